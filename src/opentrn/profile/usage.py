"""What a timeline says over time: bytes moved, engines at work, the clock of TensorE."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from opentrn.errors import OpentrnError
from opentrn.machine.chip import Chip
from opentrn.timing.timeline import Dma, Series, Spans

__all__ = ["DIRECTION_WORDS", "clock_rate", "hbm_traffic", "nanoseconds", "transfer_rate", "union"]

DIRECTION_WORDS = ("load", "store", "move", "on chip")
"""A word for each `Dma.direction`, as a kernel's author would say it."""
_HBM_READS, _HBM_WRITES = np.array([1, 0, 1, 0]), np.array([0, 1, 1, 0])
SHORTEST = 1.0
"""ns; a transfer that takes less (none does, on any chip) would have no rate that can be drawn."""


def nanoseconds(times: np.ndarray) -> np.ndarray:
    """Whole nanoseconds, as the exported formats count: int64."""
    return np.rint(times).astype(np.int64)


def union(begin: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The intervals that cover the same time as the given ones and do not touch each other, in order."""
    if not len(begin):
        return begin, end
    order = np.argsort(begin, kind="stable")
    begin, until = begin[order], np.maximum.accumulate(end[order])
    first = np.flatnonzero(np.concatenate(([True], begin[1:] > until[:-1])))
    return begin[first], until[np.append(first[1:], len(begin)) - 1]


def hbm_traffic(dma: Dma) -> tuple[np.ndarray, np.ndarray]:
    """Bytes that each transfer reads from HBM, and bytes that it writes there: int64."""
    return dma.nbytes * _HBM_READS[dma.direction], dma.nbytes * _HBM_WRITES[dma.direction]


def transfer_rate(first: np.ndarray, last: np.ndarray, nbytes: np.ndarray) -> Series:
    """Bytes per ns (that is GB/s) in flight, each transfer at an even rate from its first byte to its last."""
    length = np.maximum(last - first, SHORTEST)
    times, steps = np.concatenate((first, first + length)), np.concatenate((nbytes / length, -nbytes / length))
    order = np.argsort(times, kind="stable")
    times, rates = times[order], np.cumsum(steps[order])
    settled = np.flatnonzero(np.append(times[1:] > times[:-1], True)) if len(times) else np.array([], np.int64)
    rates = np.maximum(rates[settled], 0.0)
    rates[-1:] = 0.0  # the sum of the steps is zero but for rounding
    return Series(times[settled], rates)


def clock_rate(chip: Chip, spans: Spans) -> Series:
    """The TensorE clock in Hz from the labels of `Timeline.clock`."""
    rates: dict[str, Callable[[], float]] = {
        "full": lambda: chip.engines.tensor.clock_hz,
        "half": lambda: chip.engines.tensor.clock_hz * chip.cost.tensor.startup_rate,
    }
    if unknown := sorted(set(spans.label) - set(rates)):
        raise OpentrnError("a label of the TensorE clock has no rate", got=unknown[0], expected=", ".join(rates))
    known = {label: float(rates[label]()) for label in set(spans.label)}
    return Series(np.asarray(spans.start, np.float64), np.array([known[label] for label in spans.label], np.float64))
