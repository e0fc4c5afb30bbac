"""tensor_scalar_reduce: an operator with a number, and a reduction of the result."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from opentrn.isa import attributes as a
from opentrn.isa import enums
from opentrn.isa.accumulators import accumulate
from opentrn.isa.costs import tensor_scalar_rate, tiers_of, vector_cost
from opentrn.isa.indirection import indices_beside
from opentrn.isa.meanings import value
from opentrn.isa.operators import arithmetic_only, on_hardware, operand_given, scalar_op0_exists
from opentrn.isa.rules import column, same_tile
from opentrn.isa.spec import Broken, Cost, Use, instruction, into, of, scalar_or
from opentrn.numerics import alu

COMMANDS = (enums.reduce_cmd.reset_reduce, enums.reduce_cmd.reduce, enums.reduce_cmd.load_reduce)


@instruction(
    operands={
        "dst": into(indirect=True),
        "data": of(indirect=True),
        "operand0": scalar_or(optional=True),
        "reduce_res": into(optional=True),
        "reduce_init": scalar_or(dtypes=frozenset({"float32"}), optional=True),
    },
    attributes={
        "op0": a.alu,
        "reduce_op": a.alu,
        "reverse0": a.boolean,
        "reduce_cmd": a.choice(enums.reduce_cmd, *COMMANDS),
        "reduce_res_negate": a.boolean,
    },
    engines=(enums.engine.vector,),
    page="nki.isa.tensor_scalar_reduce (SDK 2.32)",
    traits=("sums",),
)
def tensor_scalar_reduce(
    dst,
    data,
    op0,
    operand0,
    reduce_op,
    reduce_res=None,
    reverse0=False,
    reduce_cmd=enums.reduce_cmd.reset_reduce,
    reduce_init=None,
    reduce_res_negate=False,
    name=None,
):
    """Compute ``dst = data <op0> operand0`` and reduce it by ``reduce_op`` along all free dimensions.

    The reduction goes through the Vector Engine's accumulator registers: reset, continued or loaded from
    ``reduce_init`` by ``reduce_cmd``. ``reduce_res`` (P, 1) receives them, negated if asked; without it they keep the
    value for the next instruction of the chain.
    """


@tensor_scalar_reduce.rule("c1", "documented", "data and dst have the same partitions and elements per partition")
def _(use: Use) -> None:
    same_tile(use.data, use.dst)


@tensor_scalar_reduce.rule("c2", "documented", "operand0, reduce_res and reduce_init have one element per partition")
def _(use: Use) -> None:
    for operand in (use.operand0, use.reduce_res, use.reduce_init):
        column(operand, use.data)


@tensor_scalar_reduce.rule("c3", "documented", "op0 is an arithmetic operator of the chip; a unary one takes None or 0")
def _(use: Use) -> None:
    arithmetic_only(use.op0)
    on_hardware(use, use.op0)
    if use.op0.name == "average":
        raise Broken("nl.average", "an operator of the table in nki.api.shared.rst")
    scalar_op0_exists(use)
    operand_given(use.op0, use.operand0)


@tensor_scalar_reduce.rule("c4", "documented", "reduce_op is add, multiply, max or min")
def _(use: Use) -> None:
    if use.reduce_op.name not in ("add", "multiply", "maximum", "minimum"):
        raise Broken(f"nl.{use.reduce_op.name}", "nl.add, nl.multiply, nl.maximum or nl.minimum")


@tensor_scalar_reduce.rule("c5", "documented", "reverse0 is not supported")
def _(use: Use) -> None:
    if use.reverse0:
        raise Broken("reverse0=True", "reverse0=False")


@tensor_scalar_reduce.rule("c6", "documented", "reduce_init belongs to load_reduce, and only to it")
def _(use: Use) -> None:
    if (use.reduce_cmd is enums.reduce_cmd.load_reduce) != (use.reduce_init is not None):
        raise Broken(
            f"reduce_cmd={use.reduce_cmd.name}, reduce_init={use.reduce_init}",
            "load_reduce with reduce_init, or neither",
        )


@tensor_scalar_reduce.rule(
    "c7", "documented", "indices of hand-placed indirect views start on quadrants, beside their data"
)
def _(use: Use) -> None:
    indices_beside(use.dst, use.data)


@tensor_scalar_reduce.meaning
def _(use: Use) -> None:
    result = alu.apply(use.op0, use.data.f32(), value(0 if use.operand0 is None else use.operand0))
    total = accumulate(use, use.reduce_op, result, None if use.reduce_init is None else value(use.reduce_init))
    use.dst.store(result)
    if use.reduce_res is not None:
        use.reduce_res.store(-total if use.reduce_res_negate else total)


@tensor_scalar_reduce.cost
def _(use: Use) -> Cost:
    # v2.26.1 formula: one more initiation interval than tensor_scalar
    base = vector_cost(use, use.data.elements, tensor_scalar_rate(use.data, use.dst))
    tail = (
        use.chip.cost.vector.reduce_tail_min_ii * use.chip.cost.min_ii_cycles / use.chip.engines.vector.clock_hz * 1e9
    )
    shared = None if base.shared_ns is None else base.shared_ns + tail
    tiers = (*base.tiers, *tiers_of(use, "vector.reduce_tail_min_ii", "min_ii_cycles"))
    return replace(base, busy_ns=base.busy_ns + tail, shared_ns=shared, tiers=tiers)


tensor_scalar_reduce.differ(
    "The reduction takes the float32 results, before they are rounded to dst's dtype; the page writes it on dst.",
    "nl.rsqrt and nl.power are computed as on GpSimd; the page allows every arithmetic operator on the Vector Engine.",
)


@tensor_scalar_reduce.shown
def _(m: SimpleNamespace) -> Any:
    def scaled_row_sum(x: Any) -> Any:
        tile = m.nl.load(x)
        total = m.nl.ndarray((x.shape[0], 1), dtype=m.nl.float32, buffer=m.nl.sbuf)
        m.nisa.tensor_scalar_reduce(
            dst=tile, data=tile, op0=m.nl.multiply, operand0=2.0, reduce_op=m.nl.add, reduce_res=total
        )
        out = m.nl.ndarray(total.shape, dtype=m.nl.float32, buffer=m.nl.shared_hbm)
        m.nisa.dma_copy(dst=out, src=total)
        return out

    return scaled_row_sum, (m.np.ones((4, 8), m.np.float32),)
