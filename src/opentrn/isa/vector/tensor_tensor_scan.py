"""tensor_tensor_scan: a recurrence along the free dimension of two tiles."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from opentrn.isa import attributes as a
from opentrn.isa import enums
from opentrn.isa.costs import vector_cost
from opentrn.isa.meanings import value
from opentrn.isa.operators import arithmetic_only, binary_only, on_hardware, reversed_apply
from opentrn.isa.rules import column, not_both_psum, same_tile
from opentrn.isa.spec import Cost, Native, Use, instruction, into, of, scalar_or


@instruction(
    operands={"dst": into(), "data0": of(), "data1": of(), "initial": scalar_or()},
    attributes={"op0": a.alu, "op1": a.alu, "reverse0": a.boolean, "reverse1": a.boolean},
    engines=(enums.engine.vector,),
    page="nki.isa.tensor_tensor_scan (SDK 2.32)",
)
def tensor_tensor_scan(dst, data0, data1, initial, op0, op1, reverse0=False, reverse1=False, name=None):
    """Compute ``r = (data0[i] <op0> r) <op1> data1[i]`` for each i along the free dimension; ``dst[i] = r``.

    r starts as ``initial``, a number or a (P, 1) tile, and stays float32; each ``dst[i]`` is rounded once. ``reverse0``
    and ``reverse1`` swap the sides of their operator. Runs on the Vector Engine.
    """


@tensor_tensor_scan.rule("c1", "documented", "data0, data1 and dst have the same partitions and elements")
def _(use: Use) -> None:
    same_tile(use.data0, use.data1, use.dst)


@tensor_tensor_scan.rule("c2", "documented", "initial is a number or a (P, 1) tile")
def _(use: Use) -> None:
    column(use.initial, use.data0)


@tensor_tensor_scan.rule("c3", "documented", "data0 and data1 are not both in PSUM")
def _(use: Use) -> None:
    not_both_psum(use.data0, use.data1)


@tensor_tensor_scan.rule("c4", "documented", "both operators are arithmetic operators of two inputs")
def _(use: Use) -> None:
    arithmetic_only(use.op0, use.op1)
    binary_only(use.op0, use.op1)
    on_hardware(use, use.op0, use.op1)


@tensor_tensor_scan.meaning
def _(use: Use) -> None:
    left, right = use.data0.f32(), use.data1.f32()
    running = np.broadcast_to(value(use.initial), (len(left), 1))
    result = np.empty_like(left)
    for i in range(left.shape[1]):
        first = reversed_apply(use.op0, left[:, i : i + 1], running, use.reverse0)
        running = reversed_apply(use.op1, first, right[:, i : i + 1], use.reverse1)
        result[:, i : i + 1] = running
    use.dst.store(result)


@tensor_tensor_scan.native
def _(use: Use) -> Native | None:
    vector = hasattr(use.initial, "dtype")
    ints = (use.op0.code, use.op1.code, int(use.reverse0), int(use.reverse1), int(vector))
    start = 0.0 if vector else float(np.float32(use.initial))
    return Native("tensor_tensor_scan", ("dst", "data0", "data1", *(("initial",) if vector else ())), ints, (start,))


@tensor_tensor_scan.cost
def _(use: Use) -> Cost:
    return vector_cost(use, use.dst.elements, "cycles_per_element_tensor_tensor_scan")


tensor_tensor_scan.differ("The state stays float32 between elements, whatever dst's dtype.")


@tensor_tensor_scan.shown
def _(m: SimpleNamespace) -> Any:
    def cumulative_sum(x: Any) -> Any:
        tile = m.nl.load(x)
        ones = m.nl.ones(x.shape, dtype=x.dtype)
        result = m.nl.ndarray(x.shape, dtype=x.dtype, buffer=m.nl.sbuf)
        m.nisa.tensor_tensor_scan(dst=result, data0=ones, data1=tile, initial=0.0, op0=m.nl.multiply, op1=m.nl.add)
        out = m.nl.ndarray(x.shape, dtype=x.dtype, buffer=m.nl.shared_hbm)
        m.nisa.dma_copy(dst=out, src=result)
        return out

    return cumulative_sum, (m.np.ones((4, 8), m.np.float32),)
