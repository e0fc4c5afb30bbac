"""activation_reduce: activation with a reduction that starts anew."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from opentrn.isa import attributes as a
from opentrn.isa import enums
from opentrn.isa.activations import DIFFERS, activation_cost, applied, write_with_sum
from opentrn.isa.indirection import scatter_places
from opentrn.isa.rules import column, same_tile
from opentrn.isa.spec import Broken, Cost, Use, instruction, into, of, scalar_or
from opentrn.numerics.dtypes import DTYPES

NOT_TF32 = frozenset(DTYPES) - {"tfloat32"}


@instruction(
    operands={
        "dst": into(indirect=True),
        "data": of(indirect=True),
        "reduce_res": into(optional=True),
        "bias": scalar_or(dtypes=NOT_TF32, optional=True),
        "scale": scalar_or(dtypes=frozenset({"float32"})),
    },
    attributes={"op": a.activation, "reduce_op": a.alu},
    engines=(enums.engine.scalar,),
    page="nki.isa.activation_reduce (SDK 2.32)",
    traits=("sums",),
)
def activation_reduce(dst, op, data, reduce_op, reduce_res, bias=None, scale=1.0, name=None):
    """Compute ``dst = op(data * scale + bias)`` and the sum of the results along the free dimensions.

    The same as `activation` with ``reduce_cmd=reset_reduce``: the Scalar Engine's registers are reset, summed into and
    written to ``reduce_res`` (P, 1), or kept there when it is None.
    """


@activation_reduce.rule("c1", "documented", "data and dst have the same partitions and elements per partition")
def _(use: Use) -> None:
    same_tile(use.data, use.dst)


@activation_reduce.rule("c2", "documented", "scale, bias and reduce_res have one element per partition")
def _(use: Use) -> None:
    for operand in (use.scale, use.bias, use.reduce_res):
        column(operand, use.data)


@activation_reduce.rule("c3", "documented", "on NeuronCore-v2 the bias is a (P, 1) tile")
def _(use: Use) -> None:
    if use.chip.nc_version < 3 and isinstance(use.bias, (int, float)):
        raise Broken(f"bias={use.bias} on {use.chip.name}", "a (P, 1) tile, or trn2 and newer")


@activation_reduce.rule("c4", "documented", "reduce_op is nl.add")
def _(use: Use) -> None:
    if use.reduce_op.name != "add":
        raise Broken(f"nl.{use.reduce_op.name}", "nl.add")


@activation_reduce.rule(
    "c5", "documented", "tensor indirection: indices on quadrants, beside their data; no scatter into PSUM"
)
def _(use: Use) -> None:
    scatter_places(use.dst, use.data)


@activation_reduce.meaning
def _(use: Use) -> None:
    result = applied(use)
    write_with_sum(replace(use, values={**use.values, "reduce_cmd": enums.reduce_cmd.reset_reduce}), result)


@activation_reduce.cost
def _(use: Use) -> Cost:
    return activation_cost(use)


activation_reduce.differ(*DIFFERS)


@activation_reduce.shown
def _(m: SimpleNamespace) -> Any:
    def sum_of_squares(x: Any) -> Any:
        tile = m.nl.load(x)
        total = m.nl.ndarray((x.shape[0], 1), dtype=m.nl.float32, buffer=m.nl.sbuf)
        m.nisa.activation_reduce(dst=tile, op=m.nl.square, data=tile, reduce_op=m.nl.add, reduce_res=total)
        out = m.nl.ndarray(total.shape, dtype=m.nl.float32, buffer=m.nl.shared_hbm)
        m.nisa.dma_copy(dst=out, src=total)
        return out

    return sum_of_squares, (m.np.arange(32, dtype=m.np.float32).reshape(4, 8),)
