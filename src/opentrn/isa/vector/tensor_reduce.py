"""tensor_reduce: reduce a tile along its last free dimensions."""

from __future__ import annotations

from math import prod
from types import SimpleNamespace
from typing import Any

import numpy as np

from opentrn.isa import attributes as a
from opentrn.isa import enums
from opentrn.isa.costs import vector_cost
from opentrn.isa.indirection import indices_beside
from opentrn.isa.operators import FOLDED, bitvec_needs_integers, fold, is_bitvec
from opentrn.isa.rules import same_partitions
from opentrn.isa.spec import Attribute, Broken, Cost, Native, Use, instruction, into, of
from opentrn.numerics import alu
from opentrn.numerics.latitude import taken


def _axes(value: Any) -> tuple[int, ...]:
    return (a.integer.parse(value),) if hasattr(value, "__index__") else a.integers.parse(value)


axes = Attribute(_axes, "int or list of ints")


@instruction(
    operands={"dst": into(indirect=True), "data": of(indirect=True)},
    attributes={"op": a.alu, "axis": axes, "negate": a.boolean, "keepdims": a.boolean},
    engines=(enums.engine.vector,),
    page="nki.isa.tensor_reduce (SDK 2.32)",
    traits=("sums", "float32_integers"),
)
def tensor_reduce(dst, op, data, axis, negate=False, keepdims=False, name=None):
    """Reduce ``data`` by ``op`` over ``axis``, its last free dimension or dimensions, on the Vector Engine.

    Arithmetic reductions run in float32 and are rounded once to ``dst``; ``negate`` multiplies the result by -1.
    Bitvec reductions combine the bits of integers. ``dst`` has one element for each group, in any shape.
    """


def reduced(use: Use) -> int:
    """Elements of `data` per element of `dst`."""
    return prod(use.data.shape[-len(use.axis) :])


@tensor_reduce.rule("c1", "documented", "the axes are the last free dimensions, without gaps; never the partition")
def _(use: Use) -> None:
    rank = len(use.data.shape)
    asked = sorted(n % rank if -rank <= n < rank else n for n in use.axis)
    if not asked or asked[0] == 0 or asked != list(range(rank - len(asked), rank)):
        last = ", ".join(str(tuple(range(rank - n, rank))) for n in range(1, rank))
        raise Broken(f"axis={use.axis} of {use.data.shape}", last or "a tile with a free dimension")


@tensor_reduce.rule("c2", "documented", "data and dst have the same partitions")
def _(use: Use) -> None:
    same_partitions(use.data, use.dst)


@tensor_reduce.rule("c3", "documented", "dst has one element per partition for each reduced group")
def _(use: Use) -> None:
    wanted = use.data.elements // reduced(use)
    if use.dst.elements != wanted:
        raise Broken(f"{use.dst.elements} elements per partition in dst {use.dst.shape}", f"{wanted}")


@tensor_reduce.rule("c4", "documented", "op is a reduction operator")
def _(use: Use) -> None:
    # nki.api.shared.rst, column "Legal Reduction op"; average is only in nisa.tensor_partition_reduce
    if not use.op.reduction or use.op.name == "average":
        raise Broken(
            f"nl.{use.op.name}", "a reduction operator: add, subtract, multiply, maximum, minimum, logical, bitwise"
        )


@tensor_reduce.rule("c5", "documented", "bitvec reductions need integer tiles and no negate")
def _(use: Use) -> None:
    bitvec_needs_integers(use.op, use.dst, use.data)
    if is_bitvec(use.op) and use.negate:
        raise Broken("negate=True with a bitvec operator", "negate=False")


@tensor_reduce.rule("c6", "documented", "indices of hand-placed indirect views start on quadrants, beside their data")
def _(use: Use) -> None:
    indices_beside(use.dst, use.data)


@tensor_reduce.meaning
def _(use: Use) -> None:
    count = reduced(use)
    if is_bitvec(use.op) or taken("integers"):
        groups = use.data.raw().reshape(-1, count)
        use.dst.put(alu.reduce(use.op, groups, -1).astype(use.dst.held.carrier))
        return
    groups = use.data.f32().reshape(-1, count)
    # subtract and the logical operators have no neutral element to pad with
    folds = use.op.name in FOLDED
    result = fold(use.op, groups) if folds else alu.reduce(use.op, groups, -1)
    result = result.reshape(use.dst.partitions, -1)
    use.dst.store(np.negative(result) if use.negate else result)


@tensor_reduce.native
def _(use: Use) -> Native | None:
    if use.op.name not in FOLDED:
        return None
    return Native("tensor_reduce", ("dst", "data"), (use.op.code, reduced(use), int(use.negate)))


@tensor_reduce.cost
def _(use: Use) -> Cost:
    narrow = use.data.dtype == use.dst.dtype == "bfloat16" and use.op.name in ("add", "maximum")
    rate = "cycles_per_element_16bit_tensor_reduce" if narrow else "cycles_per_element_tensor_reduce"
    return vector_cost(use, use.data.elements, rate)


tensor_reduce.differ(
    "Sums are taken in 16 interleaved float32 lanes that are then halved; the order of the hardware is not public.",
    "subtract gives the first element minus the sum of the others; the page does not define it.",
    "maximum and minimum give NaN when an element is NaN.",
)


@tensor_reduce.shown
def _(m: SimpleNamespace) -> Any:
    def row_max(x: Any) -> Any:
        tile = m.nl.load(x)
        peak = m.nl.ndarray((x.shape[0], 1), dtype=x.dtype, buffer=m.nl.sbuf)
        m.nisa.tensor_reduce(dst=peak, op=m.nl.maximum, data=tile, axis=1)
        out = m.nl.ndarray(peak.shape, dtype=x.dtype, buffer=m.nl.shared_hbm)
        m.nisa.dma_copy(dst=out, src=peak)
        return out

    return row_max, (m.np.arange(32, dtype=m.np.float32).reshape(4, 8),)
