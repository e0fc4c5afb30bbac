"""reciprocal: 1 / x on the Vector Engine."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from opentrn.isa import enums
from opentrn.isa.costs import vector_cost
from opentrn.isa.rules import same_tile
from opentrn.isa.spec import Cost, Native, Use, instruction, into, of
from opentrn.numerics.alu import ALU


@instruction(
    operands={"dst": into(), "data": of()},
    engines=(enums.engine.vector,),
    page="nki.isa.reciprocal (SDK 2.32)",
)
def reciprocal(dst, data, name=None):
    """Compute ``dst = 1 / data`` in float32 on the Vector Engine, rounding once to ``dst``."""


@reciprocal.rule("c1", "documented", "data and dst have the same partitions and elements per partition")
def _(use: Use) -> None:
    same_tile(use.data, use.dst)


@reciprocal.meaning
def _(use: Use) -> None:
    use.dst.store(np.float32(1) / use.data.f32())


@reciprocal.native
def _(use: Use) -> Native | None:
    op = ALU["reciprocal"].code
    return Native("tensor_scalar", ("dst", "data"), (op, 0, 0, -1, 0, 0, 0), (0.0, 0.0))


@reciprocal.cost
def _(use: Use) -> Cost:
    return vector_cost(use, use.data.elements, "cycles_per_element_reciprocal")


@reciprocal.shown
def _(m: SimpleNamespace) -> Any:
    def invert(x: Any) -> Any:
        tile = m.nl.load(x)
        m.nisa.reciprocal(dst=tile, data=tile)
        out = m.nl.ndarray(x.shape, dtype=x.dtype, buffer=m.nl.shared_hbm)
        m.nisa.dma_copy(dst=out, src=tile)
        return out

    return invert, (m.np.linspace(1, 8, 32, dtype=m.np.float32).reshape(4, 8),)
