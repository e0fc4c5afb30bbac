"""tensor_partition_reduce: reduce across partitions."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from opentrn.isa import attributes as a
from opentrn.isa import enums
from opentrn.isa.costs import gpsimd_cost, inferred
from opentrn.isa.operators import bitvec_needs_integers, fold, is_bitvec
from opentrn.isa.rules import same_dtype, same_elements
from opentrn.isa.spec import SBUF, Broken, Cost, Use, instruction, into, of
from opentrn.numerics import alu

OPS = ("add", "average", "maximum", "bitwise_or", "bitwise_and")


@instruction(
    operands={"dst": into(SBUF), "data": of(SBUF)},
    attributes={"op": a.alu},
    engines=(enums.engine.gpsimd,),
    page="nki.isa.tensor_partition_reduce (SDK 2.32)",
    traits=("sums",),
)
def tensor_partition_reduce(dst, op, data, name=None):
    """Reduce ``data`` over its partitions into ``dst``, one partition with as many elements.

    ``op`` is add, average, max (in float32, rounded once), bitwise_or or bitwise_and (on the bits of integers).
    """


@tensor_partition_reduce.rule("c1", "documented", "dst has one partition and data's elements")
def _(use: Use) -> None:
    same_elements(use.data, use.dst)
    if use.dst.partitions != 1:
        raise Broken(f"{use.dst.partitions} partitions in dst", "1")


@tensor_partition_reduce.rule("c2", "documented", "op is add, average, max, bitwise_or or bitwise_and")
def _(use: Use) -> None:
    if use.op.name not in OPS:
        raise Broken(f"nl.{use.op.name}", ", ".join(f"nl.{n}" for n in OPS))


@tensor_partition_reduce.rule("c3", "documented", "bitvec reductions need integer tiles")
def _(use: Use) -> None:
    bitvec_needs_integers(use.op, use.dst, use.data)


@tensor_partition_reduce.rule("c4", "inferred", "bitvec reductions keep data's dtype")
def _(use: Use) -> None:
    # nki.api.shared.rst: bitvec operators treat elements as bit patterns, so there is nothing to cast
    if is_bitvec(use.op):
        same_dtype(use.data, use.dst)


@tensor_partition_reduce.meaning
def _(use: Use) -> None:
    if is_bitvec(use.op):
        use.dst.put(alu.reduce(use.op, use.data.raw(), 0))
        return
    values = np.ascontiguousarray(use.data.f32().T)
    average = use.op.name == "average"
    result = fold(alu.ALU["add"] if average else use.op, values).T
    use.dst.store(result / np.float32(use.data.partitions) if average else result)


@tensor_partition_reduce.cost
def _(use: Use) -> Cost:
    return inferred(gpsimd_cost(use, use.data.elements))  # no rate of its own is public


tensor_partition_reduce.differ(
    "Partitions are added in 16 interleaved float32 lanes that are then halved; the order of the hardware is not public.",
    "Integers are reduced in float32 as arithmetic operators do, although GpSimd could add them exactly; average divides.",
)


@tensor_partition_reduce.shown
def _(m: SimpleNamespace) -> Any:
    def column_sum(x: Any) -> Any:
        tile = m.nl.load(x)
        total = m.nl.ndarray((1, x.shape[1]), dtype=x.dtype, buffer=m.nl.sbuf)
        m.nisa.tensor_partition_reduce(dst=total, op=m.nl.add, data=tile)
        out = m.nl.ndarray(total.shape, dtype=x.dtype, buffer=m.nl.shared_hbm)
        m.nisa.dma_copy(dst=out, src=total)
        return out

    return column_sum, (m.np.ones((8, 4), m.np.float32),)
