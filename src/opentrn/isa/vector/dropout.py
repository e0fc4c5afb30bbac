"""dropout: replace random elements by zero."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from opentrn.isa import enums
from opentrn.isa.costs import vector_cost
from opentrn.isa.generators import draw
from opentrn.isa.meanings import value
from opentrn.isa.rules import column, same_dtype, same_tile
from opentrn.isa.spec import Broken, Cost, Use, instruction, into, of, scalar_or


@instruction(
    operands={"dst": into(), "data": of(), "prob": scalar_or()},
    engines=(enums.engine.vector,),
    page="nki.isa.dropout (SDK 2.32)",
    traits=("per_core",),
)
def dropout(dst, data, prob, name=None):
    """Copy ``data`` to ``dst``, replacing each element by 0 with probability ``prob``, a number or a (P, 1) tile.

    Probability 1.0 replaces all elements, 0.0 none; others keep their bits and are not scaled. ``dst`` has ``data``'s
    dtype and shape. A ``prob`` tile is floating, and float32 when ``data`` has integers. Runs on the Vector Engine.
    """


@dropout.rule("c1", "documented", "data and dst have the same partitions and elements per partition")
def _(use: Use) -> None:
    same_tile(use.data, use.dst)


@dropout.rule("c2", "documented", "data and dst have one data type")
def _(use: Use) -> None:
    same_dtype(use.data, use.dst)


@dropout.rule("c3", "documented", "prob is a number or a (P, 1) tile")
def _(use: Use) -> None:
    column(use.prob, use.data)


@dropout.rule("c4", "documented", "a prob tile is float32 with integer data, and floating with floating data")
def _(use: Use) -> None:
    if not hasattr(use.prob, "dtype"):
        return
    exact = use.data.dt.is_integer
    if not use.prob.dt.is_float or (exact and use.prob.dtype != "float32"):
        raise Broken(f"prob {use.prob.dtype} with data {use.data.dtype}", "float32" if exact else "a floating dtype")


@dropout.meaning
def _(use: Use) -> None:
    uniform = draw(use) * 2.0**-32  # float64, in [0, 1)
    values = use.data.raw().copy()
    values[uniform < value(use.prob)] = 0
    use.dst.put(values)


@dropout.cost
def _(use: Use) -> Cost:
    return vector_cost(use, use.dst.elements, "cycles_per_element_dropout")


dropout.differ(
    "Which elements are dropped follows a generator of ours.",
    "An element is dropped when 32 random bits, as a fraction of 2^32, are below the probability; the comparison inside "
    "the engine is not public. A probability that is NaN drops nothing.",
)


@dropout.shown
def _(m: SimpleNamespace) -> Any:
    def drop(x: Any) -> Any:
        tile = m.nl.load(x)
        m.nisa.dropout(dst=tile, data=tile, prob=0.5)
        out = m.nl.ndarray(x.shape, dtype=x.dtype, buffer=m.nl.shared_hbm)
        m.nisa.dma_copy(dst=out, src=tile)
        return out

    return drop, (m.np.ones((4, 8), m.np.float32),)
