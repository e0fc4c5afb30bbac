"""Who released whom: the semaphore edges of a timeline with the transfer that carries each, as every export draws them.

A consumer of data that a DMA brings waits for the transfer, not for the instruction that started it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from opentrn.timing.timeline import Timeline

__all__ = ["Bundles", "bundles", "carriers", "no_bundles"]


def carriers(timeline: Timeline) -> np.ndarray:
    """For each semaphore edge the row of `timeline.dma` whose end releases it; -1 where the instruction itself does.

    int64, one per edge. Of several transfers of one instruction it is the last to finish.
    """
    dma = timeline.dma
    in_time = np.argsort(dma.last, kind="stable")
    last = np.full(len(timeline), -1, np.int64)
    last[dma.instruction[in_time]] = in_time  # numpy keeps the last of repeated indices
    return last[timeline.semaphores.producer]


@dataclass(frozen=True, eq=False)
class Bundles:
    """Numbers grouped by row: row r has `items[first[r]:first[r + 1]]`."""

    first: np.ndarray  # int64 (rows + 1)
    items: np.ndarray  # uint64


def bundles(keys: np.ndarray, items: np.ndarray, rows: int) -> Bundles:
    """Groups `items` by `keys` (each in 0 .. rows - 1), in the order of `items`."""
    first = np.zeros(rows + 1, np.int64)
    np.cumsum(np.bincount(keys, minlength=rows), out=first[1:])
    return Bundles(first, items[np.argsort(keys, kind="stable")].astype(np.uint64))


def no_bundles(rows: int) -> Bundles:
    """Nothing for any row."""
    return Bundles(np.zeros(rows + 1, np.int64), np.zeros(0, np.uint64))
