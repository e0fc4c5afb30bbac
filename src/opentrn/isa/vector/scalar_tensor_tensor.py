"""scalar_tensor_tensor: (tile op number) op tile, in one pass."""

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
from opentrn.isa.spec import Broken, Cost, Native, Use, instruction, into, of, scalar_or


@instruction(
    operands={"dst": into(), "data": of(), "operand0": scalar_or(), "operand1": of()},
    attributes={"op0": a.alu, "op1": a.alu, "reverse0": a.boolean, "reverse1": a.boolean},
    engines=(enums.engine.vector,),
    page="nki.isa.scalar_tensor_tensor (SDK 2.32)",
)
def scalar_tensor_tensor(dst, data, op0, operand0, op1, operand1, reverse0=False, reverse1=False, name=None):
    """Compute ``dst = (data <op0> operand0) <op1> operand1`` in float32, rounding once to ``dst``.

    ``operand0`` is a number or a (P, 1) tile, ``operand1`` a tile of ``data``'s size. ``reverse0`` and ``reverse1``
    swap the sides of their operator. Runs on the Vector Engine.
    """


@scalar_tensor_tensor.rule("c1", "documented", "data, operand1 and dst have the same partitions and elements")
def _(use: Use) -> None:
    same_tile(use.data, use.operand1, use.dst)


@scalar_tensor_tensor.rule("c2", "documented", "operand0 is a number or a (P, 1) tile")
def _(use: Use) -> None:
    column(use.operand0, use.data)


@scalar_tensor_tensor.rule("c3", "documented", "data and operand1 are not both in PSUM")
def _(use: Use) -> None:
    not_both_psum(use.data, use.operand1)


@scalar_tensor_tensor.rule("c4", "documented", "both operators are arithmetic operators of two inputs")
def _(use: Use) -> None:
    arithmetic_only(use.op0, use.op1)
    binary_only(use.op0, use.op1)
    on_hardware(use, use.op0, use.op1)


@scalar_tensor_tensor.rule("c5", "documented", "nl.power does not run on the Vector Engine")
def _(use: Use) -> None:
    # nisa.tensor_tensor (SDK 2.32): nl.power runs on the GpSimd Engine
    if "power" in (use.op0.name, use.op1.name):
        raise Broken("nl.power on vector", "another operator", "nisa.tensor_tensor(op=nl.power) runs on gpsimd")


@scalar_tensor_tensor.meaning
def _(use: Use) -> None:
    first = reversed_apply(use.op0, use.data.f32(), value(use.operand0), use.reverse0)
    use.dst.store(reversed_apply(use.op1, first, use.operand1.f32(), use.reverse1))


@scalar_tensor_tensor.native
def _(use: Use) -> Native | None:
    vector = hasattr(use.operand0, "dtype")
    ints = (use.op0.code, int(use.reverse0), int(vector), use.op1.code, int(use.reverse1))
    operands = ("dst", "data", "operand0", "operand1") if vector else ("dst", "data", "operand1")
    return Native("scalar_tensor_tensor", operands, ints, (0.0 if vector else float(np.float32(use.operand0)),))


@scalar_tensor_tensor.cost
def _(use: Use) -> Cost:
    # v2.26.1 formula: N for bf16 subtract-multiply with even N, else 2N
    bf16 = use.data.dtype == use.operand1.dtype == "bfloat16" and use.data.elements % 2 == 0
    quick = bf16 and (use.op0.name, use.op1.name) == ("subtract", "multiply")
    rate = "cycles_per_element_bf16_scalar_tensor_tensor" if quick else "cycles_per_element_scalar_tensor_tensor"
    return vector_cost(use, use.data.elements, rate)


@scalar_tensor_tensor.shown
def _(m: SimpleNamespace) -> Any:
    def scaled_sum(x: Any, y: Any) -> Any:
        left, right = m.nl.load(x), m.nl.load(y)
        total = m.nl.ndarray(x.shape, dtype=x.dtype, buffer=m.nl.sbuf)
        m.nisa.scalar_tensor_tensor(dst=total, data=left, op0=m.nl.multiply, operand0=3.0, op1=m.nl.add, operand1=right)
        out = m.nl.ndarray(x.shape, dtype=x.dtype, buffer=m.nl.shared_hbm)
        m.nisa.dma_copy(dst=out, src=total)
        return out

    return scaled_sum, (m.np.ones((4, 8), m.np.float32), m.np.ones((4, 8), m.np.float32))
