"""range_select: keep elements whose index lies between two bounds, with a running maximum."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from opentrn.isa import attributes as a
from opentrn.isa import enums
from opentrn.isa.costs import vector_cost
from opentrn.isa.rules import column, same_tile
from opentrn.isa.selects import FP32_MIN, finish, maximum_only
from opentrn.isa.spec import Broken, Cost, Use, instruction, into, of
from opentrn.numerics import alu
from opentrn.numerics.dtypes import DTYPES

FLOATS = frozenset(n for n, d in DTYPES.items() if d.is_float and n != "float8_e8m0fnu")
# load_reduce has no operand to load from
COMMANDS = (enums.reduce_cmd.idle, enums.reduce_cmd.reset, enums.reduce_cmd.reduce, enums.reduce_cmd.reset_reduce)
COMPARISONS = ("equal", "less", "less_equal", "greater", "greater_equal")


@instruction(
    operands={
        "dst": into(),
        "on_true_tile": of(dtypes=FLOATS),
        "bound0": of(dtypes=frozenset({"float32"})),
        "bound1": of(dtypes=frozenset({"float32"})),
        "reduce_res": into(optional=True),
    },
    attributes={
        "comp_op0": a.alu,
        "comp_op1": a.alu,
        "reduce_cmd": a.choice(enums.reduce_cmd, *COMMANDS),
        "reduce_op": a.alu,
        "range_start": a.integer,
        "on_false_value": a.number,
    },
    engines=(enums.engine.vector,),
    page="nki.isa.range_select (SDK 2.32)",
    traits=("sums",),
    since=3,
)
def range_select(
    dst,
    on_true_tile,
    comp_op0,
    comp_op1,
    bound0,
    bound1,
    reduce_cmd=enums.reduce_cmd.reset_reduce,
    reduce_res=None,
    reduce_op=a.operator("maximum"),
    range_start=0,
    on_false_value=FP32_MIN,
    name=None,
):
    """Keep ``on_true_tile[i]`` where ``(range_start + i) comp_op0 bound0`` and ``... comp_op1 bound1``, else FP32_MIN.

    Index and bounds are compared in float32. The maximum over the free dimension goes through the Vector Engine's
    accumulator registers into ``reduce_res`` (P, 1).
    """


@range_select.rule("c1", "documented", "on_true_tile and dst have the same partitions and elements per partition")
def _(use: Use) -> None:
    same_tile(use.on_true_tile, use.dst)


@range_select.rule("c2", "documented", "bounds and reduce_res have one element per partition")
def _(use: Use) -> None:
    for operand in (use.bound0, use.bound1, use.reduce_res):
        column(operand, use.on_true_tile)


@range_select.rule("c3", "documented", "the comparisons are equal, less, less_equal, greater or greater_equal")
def _(use: Use) -> None:
    for op in (use.comp_op0, use.comp_op1):
        if op.name not in COMPARISONS:
            raise Broken(f"nl.{op.name}", ", ".join(f"nl.{n}" for n in COMPARISONS))


@range_select.rule("c4", "documented", "reduce_op is nl.maximum")
def _(use: Use) -> None:
    maximum_only(use)


@range_select.rule("c5", "documented", "on_false_value is FP32_MIN")
def _(use: Use) -> None:
    # what rounds to it in float32, so that the page's -3.4028235e+38 is it too; an int may be of any size
    if not FP32_MIN - 2.0**103 < use.on_false_value < FP32_MIN + 2.0**103:
        raise Broken(str(use.on_false_value), str(FP32_MIN))


@range_select.rule("c6", "documented", "range_start plus the index stays within 2**24")
def _(use: Use) -> None:
    last = use.range_start + use.on_true_tile.elements - 1
    if max(abs(use.range_start), abs(last)) > use.chip.limits.range_select_index_max:
        raise Broken(f"indices {use.range_start} to {last}", f"at most {use.chip.limits.range_select_index_max}")


@range_select.meaning
def _(use: Use) -> None:
    values = use.on_true_tile.f32()
    index = np.float32(use.range_start) + np.arange(values.shape[1], dtype=np.float32)[None, :]
    low, high = alu.apply(use.comp_op0, index, use.bound0.f32()), alu.apply(use.comp_op1, index, use.bound1.f32())
    finish(use, np.where((low != 0) & (high != 0), values, np.float32(FP32_MIN)))


@range_select.cost
def _(use: Use) -> Cost:
    return vector_cost(use, use.dst.elements, "cycles_per_element_range_select")


@range_select.shown
def _(m: SimpleNamespace) -> Any:
    def window(x: Any, low: Any, high: Any) -> Any:
        tile, first, last = m.nl.load(x), m.nl.load(low), m.nl.load(high)
        peak = m.nl.ndarray((x.shape[0], 1), dtype=m.nl.float32, buffer=m.nl.sbuf)
        m.nisa.range_select(
            dst=tile,
            on_true_tile=tile,
            comp_op0=m.nl.greater_equal,
            comp_op1=m.nl.less,
            bound0=first,
            bound1=last,
            reduce_res=peak,
        )
        out = m.nl.ndarray(peak.shape, dtype=m.nl.float32, buffer=m.nl.shared_hbm)
        m.nisa.dma_copy(dst=out, src=peak)
        return out

    low, high = m.np.zeros((4, 1), m.np.float32), m.np.full((4, 1), 4, m.np.float32)
    return window, (m.np.arange(32, dtype=m.np.float32).reshape(4, 8), low, high)
