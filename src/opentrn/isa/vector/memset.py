"""memset: fill a tile with one compile-time value."""

from __future__ import annotations

from math import isfinite
from types import SimpleNamespace
from typing import Any

import numpy as np

from opentrn.isa import attributes as a
from opentrn.isa import enums
from opentrn.isa.costs import gpsimd_cost, inferred, vector_cost
from opentrn.isa.spec import ON_CHIP, Broken, Cost, Native, Use, instruction, into, note
from opentrn.numerics.casts import stored_f32
from opentrn.numerics.dtypes import DTYPES


@instruction(
    operands={"dst": into(ON_CHIP)},
    attributes={"value": a.number},
    engines=(enums.engine.vector, enums.engine.gpsimd),
    page="nki.isa.memset (SDK 2.32)",
)
def memset(dst, value, engine=enums.engine.unknown, name=None):
    """Fill every element of ``dst`` with the constant ``value``, on the Vector or GpSimd Engine.

    ``value`` is rounded once to a floating ``dst``; an integer ``dst`` takes integers in its range only. Packed x4
    types take 0 only.
    """


@memset.rule("c1", "documented", "an integer dst takes an integer value")
def _(use: Use) -> None:
    # NKI 0.3.0 release notes: "Enforces strict type matching between value and destination dtype". A whole number as a
    # float is the older spelling (0.2 cast it), which AWS's kernels still have (nki-library 2.29, cross_partition_copy).
    if not (use.dst.dt.is_integer or use.dst.dt.kind == "bool") or not isinstance(use.value, float):
        return
    if not use.value.is_integer():
        raise Broken(
            f"value={use.value} (float) into {use.dst.dtype}",
            "an int",
            f"write {int(use.value)}" if isfinite(use.value) else None,
        )
    note(
        f"nisa.memset(value={use.value}) into {use.dst.dtype} is the spelling of NKI before 0.3.0: write {int(use.value)}"
    )


@memset.rule("c2", "documented", "a packed x4 dst takes 0 only")
def _(use: Use) -> None:
    if use.dst.dt.kind == "packed" and use.value != 0:
        raise Broken(f"value={use.value} into {use.dst.dtype}", "0")


@memset.rule("c3", "inferred", "value is in the range of dst's dtype (of float32 for floating types, or infinite)")
def _(use: Use) -> None:
    kind = DTYPES["float32"] if use.dst.dt.is_float else use.dst.dt
    if use.dst.dt.kind == "packed" or (isinstance(use.value, float) and not isfinite(use.value)):
        return
    value = stored_f32(use.value) if kind.is_float else use.value
    if not kind.min <= value <= kind.max:
        raise Broken(f"value={_short(use.value)} into {use.dst.dtype}", f"{kind.min} to {kind.max}")


def _short(value: float) -> str:
    return str(value) if abs(value) < 1e300 else f"{'-' if value < 0 else ''}1e300 or more"


@memset.rule("c4", "documented", "the GpSimd Engine does not reach PSUM")
def _(use: Use) -> None:
    if use.engine is enums.engine.gpsimd and use.dst.buffer is enums.MemoryRegion.psum:
        raise Broken("dst in PSUM on gpsimd", "dst in SBUF, or the vector engine")


@memset.meaning
def _(use: Use) -> None:
    dst = use.dst
    if dst.held.is_float:
        dst.store(np.full((dst.partitions, dst.elements), use.value, np.float32))
    else:
        dst.put(np.full((dst.partitions, dst.elements), use.value, dst.held.carrier))


@memset.native
def _(use: Use) -> Native | None:
    if use.dst.dt.is_float:
        return Native("memset", ("dst",), (), (float(use.value),))
    return Native("memset", ("dst",), (int(use.value),))


@memset.cost
def _(use: Use) -> Cost:
    if use.engine is enums.engine.gpsimd:
        return inferred(gpsimd_cost(use, use.dst.elements))
    return vector_cost(use, use.dst.elements, "cycles_per_element_memset")


memset.differ("A number that float32 cannot hold is rounded to float32 before it is rounded to dst's narrower dtype.")


@memset.shown
def _(m: SimpleNamespace) -> Any:
    def fill(like: Any) -> Any:
        tile = m.nl.ndarray(like.shape, dtype=like.dtype, buffer=m.nl.sbuf)
        m.nisa.memset(dst=tile, value=1.5)
        out = m.nl.ndarray(like.shape, dtype=like.dtype, buffer=m.nl.shared_hbm)
        m.nisa.dma_copy(dst=out, src=tile)
        return out

    return fill, (m.np.zeros((4, 8), m.np.float32),)
