"""exponential: exp(x - max) on the Vector Engine, with a running sum."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from opentrn.isa import attributes as a
from opentrn.isa import enums
from opentrn.isa.accumulators import accumulate
from opentrn.isa.costs import addressed, cycles_ns, tiers_of
from opentrn.isa.indirection import indices_beside
from opentrn.isa.meanings import value
from opentrn.isa.rules import column, same_tile
from opentrn.isa.spec import Broken, Cost, Use, instruction, into, of, scalar_or
from opentrn.numerics.activations import ACTIVATIONS
from opentrn.numerics.alu import ALU

FLOATS = frozenset({"float8_e4m3", "float8_e5m2", "float16", "bfloat16", "float32", "tfloat32"})
SMALL = frozenset({"int8", "int16", "uint8", "uint16"})
COMMANDS = (enums.reduce_cmd.idle, enums.reduce_cmd.reset_reduce, enums.reduce_cmd.reduce, enums.reduce_cmd.load_reduce)


@instruction(
    operands={
        "dst": into(dtypes=FLOATS | SMALL | {"int32"}, indirect=True),
        "src": of(dtypes=(FLOATS - {"tfloat32"}) | SMALL | {"int32", "uint32"}, indirect=True),
        "max_value": scalar_or(dtypes=frozenset({"float32"})),
        "reduce_res": into(dtypes=FLOATS, optional=True),
        "reduce_init": scalar_or(dtypes=frozenset({"float32"})),
    },
    attributes={"reduce_cmd": a.choice(enums.reduce_cmd, *COMMANDS)},
    engines=(enums.engine.vector,),
    page="nki.isa.exponential (SDK 2.32)",
    traits=("sums",),
    since=4,
)
def exponential(dst, src, max_value=0.0, reduce_res=None, reduce_cmd=enums.reduce_cmd.idle, reduce_init=0.0, name=None):
    """Compute ``dst = exp(src - max_value)`` in float32; ``max_value`` is a number or a (P, 1) tile.

    With ``reduce_cmd`` the sum over the free dimension is kept in the Vector Engine's accumulator registers (reset,
    continued, or loaded from ``reduce_init``) and written to ``reduce_res`` (P, 1).
    """


@exponential.rule("c1", "documented", "src and dst have the same partitions and elements per partition")
def _(use: Use) -> None:
    same_tile(use.src, use.dst)


@exponential.rule("c2", "documented", "max_value, reduce_init and reduce_res have one element per partition")
def _(use: Use) -> None:
    for operand in (use.max_value, use.reduce_init, use.reduce_res):
        column(operand, use.src)


@exponential.rule("c3", "documented", "reduce_init is 0.0 unless reduce_cmd is load_reduce")
def _(use: Use) -> None:
    unset = isinstance(use.reduce_init, (int, float)) and use.reduce_init == 0
    if use.reduce_cmd is not enums.reduce_cmd.load_reduce and not unset:
        raise Broken(f"reduce_init={use.reduce_init} with {use.reduce_cmd.name}", "0.0, or load_reduce")


@exponential.rule("c4", "documented", "operands have at most four dimensions")
def _(use: Use) -> None:
    for tile in (use.src, use.dst):
        if len(tile.shape) > 4:
            raise Broken(str(tile.shape), "at most 4-D")


@exponential.rule("c5", "documented", "indices of hand-placed indirect views start on quadrants, beside their data")
def _(use: Use) -> None:
    indices_beside(use.dst, use.src)


@exponential.meaning
def _(use: Use) -> None:
    result = ACTIVATIONS["exp"].f(use.src.f32() - value(use.max_value))
    total = accumulate(use, ALU["add"], result, value(use.reduce_init))
    use.dst.store(result)
    if use.reduce_res is not None:
        use.reduce_res.store(total)


@exponential.cost
def _(use: Use) -> Cost:
    # four times the Scalar Engine's exp (trainium3_arch.rst, "Fast Exponential Evaluation")
    table = use.chip.cost.vector
    cycles = use.src.elements / table.exponential_speedup_over_scalar
    busy = cycles_ns(use, "vector", use.chip.cost.access_static_cycles) + cycles_ns(use, "scalar", cycles)
    tiers = tiers_of(use, "vector.exponential_speedup_over_scalar", "access_static_cycles", "vector.drain_ns")
    return addressed(use, Cost("vector", busy, table.drain_ns, tiers, elements=use.src.elements))


exponential.differ("exp is evaluated as reference mathematics; how the Vector Engine computes it is not public.")


@exponential.shown
def _(m: SimpleNamespace) -> Any:
    def softmax_parts(x: Any) -> Any:
        tile = m.nl.load(x)
        total = m.nl.ndarray((x.shape[0], 1), dtype=m.nl.float32, buffer=m.nl.sbuf)
        m.nisa.exponential(
            dst=tile, src=tile, max_value=1.0, reduce_res=total, reduce_cmd=m.nisa.reduce_cmd.reset_reduce
        )
        out = m.nl.ndarray(total.shape, dtype=m.nl.float32, buffer=m.nl.shared_hbm)
        m.nisa.dma_copy(dst=out, src=total)
        return out

    return softmax_parts, (m.np.ones((4, 8), m.np.float32),)
