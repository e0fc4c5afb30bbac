"""dropout: replace random elements by zero."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from opentrn.isa import enums
from opentrn.isa.costs import vector_cost
from opentrn.isa.generators import generator
from opentrn.isa.meanings import value
from opentrn.isa.rules import column, same_dtype, same_tile
from opentrn.isa.spec import Broken, Cost, Use, instruction, into, of, scalar_or


@instruction(
    operands={"dst": into(), "data": of(), "prob": scalar_or()},
    engines=(enums.engine.vector,),
    page="nki.isa.dropout (SDK 2.32)",
)
def dropout(dst, data, prob, name=None):
    """Copy ``data`` to ``dst``, replacing each element by 0 with probability ``prob``, a number or a (P, 1) tile.

    Probability 1.0 replaces all elements, 0.0 none. ``dst`` has ``data``'s dtype.
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
    if (use.data.dt.is_integer and use.prob.dtype != "float32") or not use.prob.dt.is_float:
        raise Broken(
            f"prob {use.prob.dtype} with data {use.data.dtype}", "float32" if use.data.dt.is_integer else "a float"
        )


@dropout.meaning
def _(use: Use) -> None:
    dst = use.dst
    drawn = generator(use).draw(dst.elements)[dst.start_partition : dst.start_partition + dst.partitions]
    uniform = drawn.astype(np.float64) / 2.0**32  # in [0, 1)
    values = use.data.raw().copy()
    values[uniform < np.asarray(value(use.prob), np.float64)] = 0
    dst.put(values)


@dropout.cost
def _(use: Use) -> Cost:
    return vector_cost(use, use.dst.elements, "cycles_per_element_dropout")


dropout.differ(
    "Which elements are dropped follows a generator of ours; the comparison inside the engine is not public."
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
