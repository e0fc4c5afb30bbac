"""nonzero_with_count: positions of the nonzero elements, and how many there are."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from opentrn.isa import attributes as a
from opentrn.isa import enums
from opentrn.isa.costs import gpsimd_cost
from opentrn.isa.rules import same_partitions
from opentrn.isa.spec import SBUF, Broken, Cost, Use, instruction, into, of

CORE = 16


@instruction(
    operands={
        "dst": into(SBUF, dtypes=frozenset({"int32"}), role="inout"),
        "src": of(SBUF, dtypes=frozenset({"float32", "int32"})),
    },
    attributes={"index_offset": a.integer_or_register, "padding_val": a.integer},
    engines=(enums.engine.gpsimd,),
    page="nki.isa.nonzero_with_count (SDK 2.32)",
    since=3,
)
def nonzero_with_count(dst, src, index_offset=0, padding_val=-1, name=None):
    """Write the positions of nonzero elements plus ``index_offset``, then ``padding_val``, and last their count.

    Works on partitions 0, 16, ..., 112 only; the other partitions of ``dst`` keep what they hold. ``dst`` has one
    element more per partition than ``src``.
    """


@nonzero_with_count.rule("c1", "documented", "src and dst have the same partitions")
def _(use: Use) -> None:
    same_partitions(use.src, use.dst)


@nonzero_with_count.rule("c2", "documented", "dst has one element more per partition than src")
def _(use: Use) -> None:
    if use.dst.elements != use.src.elements + 1:
        raise Broken(f"{use.dst.elements} elements in dst for {use.src.elements}", f"{use.src.elements + 1}")


@nonzero_with_count.meaning
def _(use: Use) -> None:
    written = use.src.written()
    result = np.zeros((use.dst.partitions, use.dst.elements), np.int32)
    touched, garbage = np.zeros(result.shape, bool), np.zeros(result.shape, bool)
    for row in range(0, use.src.partitions, CORE):
        if not written[row].all():
            garbage[row] = True  # the engine would write what it finds: no value to rely on
            continue
        values = type(use.src)(use.src.view[row : row + 1], "src", use.core).raw()[0]
        hits = np.flatnonzero(values != 0) + use.index_offset
        result[row] = use.padding_val
        result[row, : hits.size] = hits
        result[row, -1] = hits.size
        touched[row] = True
    if not touched.any():
        use.src.require_written()
    use.dst.put(result, touched)
    use.dst.forget(garbage)


@nonzero_with_count.cost
def _(use: Use) -> Cost:
    return gpsimd_cost(use, use.src.elements)


@nonzero_with_count.shown
def _(m: SimpleNamespace) -> Any:
    def positions(x: Any) -> Any:
        tile = m.nl.load(x)
        result = m.nl.ndarray((1, x.shape[1] + 1), dtype=m.nl.int32, buffer=m.nl.sbuf)
        m.nisa.nonzero_with_count(dst=result, src=tile, index_offset=16)
        out = m.nl.ndarray(result.shape, dtype=m.nl.int32, buffer=m.nl.shared_hbm)
        m.nisa.dma_copy(dst=out, src=result)
        return out

    return positions, (m.np.int32([[0, 1, 1, 0, 0, 1, 0, 0]]),)
