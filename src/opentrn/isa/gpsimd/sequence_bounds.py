"""sequence_bounds: where each segment begins and ends."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np

from opentrn.errors import KernelError
from opentrn.isa import enums
from opentrn.isa.costs import gpsimd_cost, inferred
from opentrn.isa.spec import SBUF, Broken, Cost, Use, instruction, into, of

NUMBERS = frozenset({"float32", "int32"})


@instruction(
    operands={"dst": into(SBUF, dtypes=NUMBERS), "segment_ids": of(SBUF, dtypes=NUMBERS)},
    engines=(enums.engine.gpsimd,),
    page="nki.isa.sequence_bounds (SDK 2.32)",
)
def sequence_bounds(dst, segment_ids, name=None):
    """For each element write the start (first row) and the end (second row) of the run of equal ids that it belongs to.

    ``segment_ids`` is (1, n), ``dst`` (1, 2, n), each float32 or int32. Ends are exclusive. Elements with id 0 are
    padding: start n, end -1. Raises `KernelError` for an id that is no non-negative integer.
    """


@sequence_bounds.rule("c1", "documented", "one partition")
def _(use: Use) -> None:
    if use.segment_ids.partitions != 1 or use.dst.partitions != 1:
        raise Broken(f"{use.segment_ids.partitions} and {use.dst.partitions} partitions", "1")


@sequence_bounds.rule("c2", "documented", "dst has two elements for each id")
def _(use: Use) -> None:
    if use.dst.elements != 2 * use.segment_ids.elements:
        raise Broken(f"dst {use.dst.shape}", f"(1, 2, {use.segment_ids.elements})")


@sequence_bounds.meaning
def _(use: Use) -> None:
    ids = use.segment_ids.raw()[0]
    bad = ids[~((ids >= 0) & (ids == np.floor(ids)) & np.isfinite(ids))]
    if bad.size:
        raise KernelError("sequence_bounds: not a segment id", got=str(bad[0]), expected="non-negative integers")
    n = len(ids)
    edges = np.flatnonzero(np.concatenate(([True], ids[1:] != ids[:-1], [True])))
    run = np.repeat(np.arange(len(edges) - 1), np.diff(edges))
    bounds = np.where(ids == 0, [[n], [-1]], [edges[run], edges[run + 1]])
    use.dst.store(bounds.astype(np.float32))


@sequence_bounds.cost
def _(use: Use) -> Cost:
    return inferred(gpsimd_cost(use, use.dst.elements))  # no rate of its own is public


sequence_bounds.differ("An id that is negative or no integer raises; the page only demands that there is none.")


@sequence_bounds.shown
def _(m: SimpleNamespace) -> Any:
    def bounds(ids: Any) -> Any:
        tile = m.nl.load(ids)
        result = m.nl.ndarray((1, 2, ids.shape[1]), dtype=ids.dtype, buffer=m.nl.sbuf)
        m.nisa.sequence_bounds(dst=result, segment_ids=tile)
        out = m.nl.ndarray(result.shape, dtype=ids.dtype, buffer=m.nl.shared_hbm)
        m.nisa.dma_copy(dst=out, src=result)
        return out

    return bounds, (m.np.int32([[0, 1, 1, 2, 2, 2, 0, 3, 3]]),)
