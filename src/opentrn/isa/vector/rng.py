"""rng: random bits."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from opentrn.isa import enums
from opentrn.isa.costs import gpsimd_cost, in_psum, vector_cost
from opentrn.isa.generators import generator
from opentrn.isa.spec import Broken, Cost, Use, instruction, into

INTEGERS = frozenset({"int8", "int16", "int32", "uint8", "uint16", "uint32"})


@instruction(
    operands={"dst": into(dtypes=INTEGERS)},
    engines=(enums.engine.vector, enums.engine.gpsimd),
    page="nki.isa.rng (SDK 2.32)",
)
def rng(dst, engine=enums.engine.vector, name=None):
    """Write random bits into ``dst``, an integer tile: 32 bits are drawn per element and the lowest are kept.

    On the Vector Engine, or from NeuronCore-v3 on also on GpSimd (SBUF only).
    """


@rng.rule("c1", "documented", "GpSimd draws from NeuronCore-v3 on, into SBUF")
def _(use: Use) -> None:
    if use.engine is enums.engine.gpsimd and (use.chip.nc_version < 3 or in_psum(use.dst)):
        raise Broken(f"gpsimd on {use.chip.name} into {use.dst.buffer.value}", "trn2 or newer, into SBUF")


@rng.meaning
def _(use: Use) -> None:
    dst = use.dst
    drawn = generator(use).draw(dst.elements)[dst.start_partition : dst.start_partition + dst.partitions]
    width = dst.held.itemsize
    low = drawn.astype(np.uint32) & np.uint32((1 << (8 * width)) - 1)
    dst.put(low.astype(f"u{width}").view(dst.held.carrier))


@rng.cost
def _(use: Use) -> Cost:
    if use.engine is enums.engine.gpsimd:
        return gpsimd_cost(use, use.dst.elements)
    return vector_cost(use, use.dst.elements, "cycles_per_element_dropout")


rng.differ("The bits come from a generator of ours with explicit seeds; the hardware's polynomial is not public.")


@rng.shown
def _(m: SimpleNamespace) -> Any:
    def bits(like: Any) -> Any:
        tile = m.nl.ndarray(like.shape, dtype=m.nl.uint32, buffer=m.nl.sbuf)
        m.nisa.rng(dst=tile)
        out = m.nl.ndarray(like.shape, dtype=m.nl.uint32, buffer=m.nl.shared_hbm)
        m.nisa.dma_copy(dst=out, src=tile)
        return out

    return bits, (m.np.zeros((4, 8), m.np.uint32),)
