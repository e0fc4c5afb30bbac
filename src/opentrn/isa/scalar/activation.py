"""activation: a function of (data * scale + bias) on the Scalar Engine, with an optional running sum."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from opentrn.isa import attributes as a
from opentrn.isa import enums
from opentrn.isa.activations import DIFFERS, activation_cost, applied, write_with_sum
from opentrn.isa.indirection import scatter_places
from opentrn.isa.rules import column, same_tile
from opentrn.isa.spec import Broken, Cost, Native, Use, instruction, into, of, scalar_or
from opentrn.numerics.dtypes import DTYPES

NOT_TF32 = frozenset(DTYPES) - {"tfloat32"}


@instruction(
    operands={
        "dst": into(indirect=True),
        "data": of(indirect=True),
        "bias": scalar_or(dtypes=NOT_TF32, optional=True),
        "scale": scalar_or(dtypes=frozenset({"float32"})),
        "reduce_res": into(optional=True),
    },
    attributes={"op": a.activation, "reduce_op": a.optional(a.alu), "reduce_cmd": a.choice(enums.reduce_cmd)},
    engines=(enums.engine.scalar,),
    page="nki.isa.activation (SDK 2.32)",
    traits=("sums",),
)
def activation(
    dst,
    op,
    data,
    bias=None,
    scale=1.0,
    reduce_op=None,
    reduce_res=None,
    reduce_cmd=enums.reduce_cmd.idle,
    name=None,
):
    """Compute ``dst = op(data * scale + bias)`` in float32, rounding once to ``dst``'s dtype.

    ``scale`` and ``bias`` are numbers or (P, 1) tiles. With ``reduce_op=nl.add`` the results are also summed along the
    free dimensions into one float32 register per partition: ``reduce_cmd`` says whether the registers are first
    reset (``reset_reduce``), added to (``reduce``), only reset (``reset``) or left alone (``idle``), and ``reduce_res``
    receives them afterwards.
    """


@activation.rule("c1", "documented", "data and dst have the same partitions and elements per partition")
def _(use: Use) -> None:
    same_tile(use.data, use.dst)


@activation.rule("c2", "documented", "scale is a number or a (P, 1) tile")
def _(use: Use) -> None:
    column(use.scale, use.data)


@activation.rule("c3", "documented", "bias is a number or a (P, 1) tile")
def _(use: Use) -> None:
    column(use.bias, use.data)


@activation.rule("c4", "documented", "on NeuronCore-v2 the bias is a (P, 1) tile")
def _(use: Use) -> None:
    if use.chip.nc_version < 3 and isinstance(use.bias, (int, float)):
        raise Broken(f"bias={use.bias} on {use.chip.name}", "a (P, 1) tile, or trn2 and newer")


@activation.rule("c5", "documented", "reduce_op is nl.add")
def _(use: Use) -> None:
    if use.reduce_op is not None and use.reduce_op.name != "add":
        raise Broken(use.reduce_op.name, "add", "trn3's activate2 also reduces with maximum, minimum, abs_max, abs_min")


@activation.rule("c6", "documented", "reduce_res has one element per partition")
def _(use: Use) -> None:
    if use.reduce_res is not None:
        column(use.reduce_res, use.data)


@activation.rule("c7", "documented", "reduce_cmd is idle, reset, reduce or reset_reduce")
def _(use: Use) -> None:
    if use.reduce_cmd is enums.reduce_cmd.load_reduce:
        raise Broken("load_reduce", "idle, reset, reduce or reset_reduce")


@activation.rule("c8", "inferred", "reducing needs a reduce_op")
def _(use: Use) -> None:
    reducing = use.reduce_cmd in (enums.reduce_cmd.reduce, enums.reduce_cmd.reset_reduce)
    if reducing and use.reduce_op is None:
        raise Broken(f"reduce_cmd={use.reduce_cmd.name} without reduce_op", "reduce_op=nl.add")


@activation.rule(
    "c9", "documented", "tensor indirection: indices on quadrants, beside their data; no scatter into PSUM"
)
def _(use: Use) -> None:
    scatter_places(use.dst, use.data)


@activation.meaning
def _(use: Use) -> None:
    write_with_sum(use, applied(use))


@activation.native
def _(use: Use) -> Native | None:
    if use.reduce_cmd is not enums.reduce_cmd.idle or use.reduce_res is not None:
        return None
    vectors = tuple(n for n in ("bias", "scale") if hasattr(use.values[n], "dtype"))
    scale, bias = (v if isinstance(v, (int, float)) else 0.0 for v in (use.scale, use.bias))
    flags = tuple(int(n in vectors) for n in ("bias", "scale"))
    return Native("activation", ("dst", "data", *vectors), (use.op.code, *flags), (float(scale), float(bias)))


@activation.cost
def _(use: Use) -> Cost:
    return activation_cost(use)


activation.differ(
    *DIFFERS,
    "nl.prelu has slope 0: the slope is a parameter of nisa.activate2 only.",
    "data * scale is rounded to float32 before bias is added (whether the engine fuses the two is not public).",
)


@activation.shown
def _(m: SimpleNamespace) -> Any:
    def gelu(x: Any) -> Any:
        tile = m.nl.load(x)
        result = m.nl.ndarray(x.shape, dtype=m.nl.float32, buffer=m.nl.sbuf)
        m.nisa.activation(dst=result, op=m.nl.gelu, data=tile, scale=0.5)
        out = m.nl.ndarray(x.shape, dtype=m.nl.float32, buffer=m.nl.shared_hbm)
        m.nisa.dma_copy(dst=out, src=result)
        return out

    return gelu, (m.np.linspace(-4, 4, 64, dtype=m.np.float32).reshape(4, 16),)
