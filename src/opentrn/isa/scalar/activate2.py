"""activate2: two operators with numbers, an activation function, and a reduction (NeuronCore-v4)."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from opentrn.isa import attributes as a
from opentrn.isa import enums
from opentrn.isa.activations import DIFFERS, activation_cost, limited, write_with_sum
from opentrn.isa.indirection import scatter_places
from opentrn.isa.meanings import value
from opentrn.isa.operators import reversed_apply
from opentrn.isa.rules import column, same_dtype, same_tile
from opentrn.isa.spec import Broken, Cost, Use, instruction, into, of, scalar_or

PAIRS = frozenset({
    ("multiply", "add"), ("multiply", "subtract"), ("multiply", "bypass"),
    ("add", "bypass"), ("subtract", "bypass"), ("bypass", "bypass"),
})  # fmt: skip
REDUCTIONS = ("add", "maximum", "minimum", "abs_max", "abs_min")


@instruction(
    operands={
        "dst": into(indirect=True),
        "data": of(indirect=True),
        "imm0": scalar_or(),
        "imm1": scalar_or(),
        "relu_param": scalar_or(),
        "reduce_res": into(optional=True),
    },
    attributes={
        "op": a.activation,
        "op0": a.alu,
        "op1": a.alu,
        "reverse0": a.boolean,
        "reverse1": a.boolean,
        "reduce_op": a.optional(a.alu),
        "reduce_cmd": a.choice(enums.reduce_cmd),
    },
    engines=(enums.engine.scalar,),
    page="nki.isa.activate2 (SDK 2.32)",
    traits=("sums",),
    since=4,
)
def activate2(
    dst,
    op,
    data,
    imm0,
    imm1,
    op0,
    op1,
    relu_param=0.0,
    reverse0=False,
    reverse1=False,
    reduce_op=None,
    reduce_res=None,
    reduce_cmd=enums.reduce_cmd.idle,
    name=None,
):
    """Compute ``dst = op((data <op0> imm0) <op1> imm1)`` in float32, and optionally reduce the results.

    ``nl.bypass`` leaves a stage out; ``reverse0`` and ``reverse1`` swap sides. ``relu_param`` is the slope of
    ``nl.prelu``. ``reduce_op`` (add, maximum, minimum, abs_max, abs_min) goes through the Scalar Engine's registers by
    ``reduce_cmd``, into ``reduce_res`` (P, 1).
    """


@activate2.rule("c1", "documented", "data and dst have the same partitions and elements per partition")
def _(use: Use) -> None:
    same_tile(use.data, use.dst)


@activate2.rule("c2", "documented", "imm0, imm1, relu_param and reduce_res have one element per partition")
def _(use: Use) -> None:
    for operand in (use.imm0, use.imm1, use.relu_param, use.reduce_res):
        column(operand, use.data)


@activate2.rule("c3", "documented", "(op0, op1) is one of the six combinations")
def _(use: Use) -> None:
    if (use.op0.name, use.op1.name) not in PAIRS:
        raise Broken(f"({use.op0.name}, {use.op1.name})", ", ".join(f"({x}, {y})" for x, y in sorted(PAIRS)))


@activate2.rule("c4", "documented", "imm0 and imm1 have one dtype when both are tiles")
def _(use: Use) -> None:
    if hasattr(use.imm0, "dtype") and hasattr(use.imm1, "dtype"):
        same_dtype(use.imm0, use.imm1)


@activate2.rule("c5", "documented", "reverse0 and reverse1 need their operator")
def _(use: Use) -> None:
    for flag, op in ((use.reverse0, use.op0), (use.reverse1, use.op1)):
        if flag and op.name == "bypass":
            raise Broken("reverse with nl.bypass", "an operator to reverse")


@activate2.rule("c6", "documented", "reduce_op is add, maximum, minimum, abs_max or abs_min, and reducing needs one")
def _(use: Use) -> None:
    if use.reduce_op is not None and use.reduce_op.name not in REDUCTIONS:
        raise Broken(f"nl.{use.reduce_op.name}", ", ".join(f"nl.{n}" for n in REDUCTIONS))
    if use.reduce_op is None and use.reduce_cmd in (enums.reduce_cmd.reduce, enums.reduce_cmd.reset_reduce):
        raise Broken(f"reduce_cmd={use.reduce_cmd.name} without reduce_op", "a reduce_op")


@activate2.rule("c7", "documented", "reduce_cmd is idle, reset, reduce or reset_reduce")
def _(use: Use) -> None:
    if use.reduce_cmd is enums.reduce_cmd.load_reduce:
        raise Broken("load_reduce", "idle, reset, reduce or reset_reduce")


@activate2.rule("c8", "documented", "tensor indirection: indices on quadrants, beside their data; no scatter into PSUM")
def _(use: Use) -> None:
    scatter_places(use.dst, use.data)


@activate2.meaning
def _(use: Use) -> None:
    result = use.data.f32()
    for op, operand, swap in ((use.op0, use.imm0, use.reverse0), (use.op1, use.imm1, use.reverse1)):
        if op.name != "bypass":
            result = reversed_apply(op, result, value(operand), swap)
    result = limited(use.op, result)
    result = use.op.f(result, value(use.relu_param)) if use.op.name == "prelu" else use.op.f(result)
    write_with_sum(use, result)


@activate2.cost
def _(use: Use) -> Cost:
    return activation_cost(use)


activate2.differ(*DIFFERS)


@activate2.shown
def _(m: SimpleNamespace) -> Any:
    def scaled_gelu(x: Any) -> Any:
        tile = m.nl.load(x)
        m.nisa.activate2(dst=tile, op=m.nl.gelu, data=tile, imm0=2.0, imm1=0.5, op0=m.nl.multiply, op1=m.nl.add)
        out = m.nl.ndarray(x.shape, dtype=x.dtype, buffer=m.nl.shared_hbm)
        m.nisa.dma_copy(dst=out, src=tile)
        return out

    return scaled_gelu, (m.np.linspace(-2, 2, 32, dtype=m.np.float32).reshape(4, 8),)
