"""quantize_mx: quantise to microscaled fp8 (NeuronCore-v4)."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from opentrn.isa import enums
from opentrn.isa.costs import addressed, cycles_ns, tiers_of
from opentrn.isa.microscaling import SCALES, enough_scales, scale_rows, store_scales, whole_quadrants
from opentrn.isa.spec import SBUF, Broken, Cost, Use, instruction, into, of
from opentrn.numerics import mx


@instruction(
    operands={
        "dst": into(SBUF, dtypes=frozenset({"float8_e5m2_x4", "float8_e4m3fn_x4"})),
        "src": of(SBUF, dtypes=frozenset({"float16", "bfloat16"})),
        "dst_scale": into(SBUF, dtypes=SCALES, role="inout", start=4),
    },
    engines=(enums.engine.vector,),
    page="nki.isa.quantize_mx (SDK 2.32)",
    since=4,
)
def quantize_mx(dst, src, dst_scale, name=None):
    """Quantise each group of 8 partitions x 4 elements of ``src`` to fp8 with one power-of-two scale.

    ``dst`` packs four values per element, a quarter of ``src``'s free size. The scale is
    2**(floor(log2(largest magnitude)) - (Emax - 1)), Emax 8 for e4m3fn and 15 for e5m2, and 2**-127 for zeros (half of
    that up to NKI 0.4, with the largest values clamped: release notes of 0.5.0); it goes to the group's row of
    ``dst_scale`` (four rows in each quadrant), whose other rows stay.
    """


@quantize_mx.rule("c1", "documented", "src has a multiple of 32 partitions and of 4 elements")
def _(use: Use) -> None:
    whole_quadrants(use.src)
    if use.src.elements % 4:
        raise Broken(f"{use.src.elements} elements per partition", "a multiple of 4")


@quantize_mx.rule("c2", "documented", "dst has src's partitions and a quarter of its elements")
def _(use: Use) -> None:
    if (use.dst.partitions, use.dst.elements * 4) != (use.src.partitions, use.src.elements):
        raise Broken(f"dst {use.dst.shape} for src {use.src.shape}", f"({use.src.partitions}, {use.src.elements // 4})")


@quantize_mx.rule("c3", "documented", "dst_scale has the rows and columns that the groups need")
def _(use: Use) -> None:
    enough_scales(use.dst_scale, use.src, use.src.elements // 4)


@quantize_mx.meaning
def _(use: Use) -> None:
    rows, columns = use.src.partitions // 8, use.src.elements // 4
    groups = use.src.f32().reshape(rows, 8, columns, 4).transpose(0, 2, 1, 3).reshape(rows, columns, 32)
    elements, codes = mx.quantize(groups, use.dst.dt)
    values = elements.reshape(rows, columns, 8, 4).transpose(0, 2, 1, 3).reshape(use.src.partitions, -1)
    use.dst.put(mx.pack(np.ascontiguousarray(values), use.dst.dt))
    store_scales(use.dst_scale, codes, scale_rows(use.src.partitions))


@quantize_mx.cost
def _(use: Use) -> Cost:
    table, elements = use.chip.cost.vector, use.src.elements
    cycles = use.chip.cost.access_static_cycles + elements / table.quantize_mx_elements_per_cycle
    tiers = tiers_of(use, "vector.quantize_mx_elements_per_cycle", "access_static_cycles", "vector.drain_ns")
    return addressed(use, Cost("vector", cycles_ns(use, "vector", cycles), table.drain_ns, tiers, elements=elements))


quantize_mx.differ("A group that holds an infinity or a NaN gets the NaN scale and NaN elements.")


@quantize_mx.shown
def _(m: SimpleNamespace) -> Any:
    def scales(x: Any) -> Any:
        tile = m.nl.load(x)
        data = m.nl.ndarray((32, x.shape[1] // 4), dtype=m.nl.float8_e4m3fn_x4, buffer=m.nl.sbuf)
        scale = m.nl.ndarray((4, x.shape[1] // 4), dtype=m.nl.uint8, buffer=m.nl.sbuf)
        m.nisa.quantize_mx(dst=data, src=tile, dst_scale=scale)
        out = m.nl.ndarray(scale.shape, dtype=m.nl.uint8, buffer=m.nl.shared_hbm)
        m.nisa.dma_copy(dst=out, src=scale)
        return out

    return scales, (m.np.linspace(-4, 4, 32 * 16).reshape(32, 16).astype(m.nl.bfloat16),)
