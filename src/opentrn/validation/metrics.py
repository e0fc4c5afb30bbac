"""What was measured, read off our timeline: one function per metric, each giving microseconds.

Two metrics of whole kernels are published, and they are not the same: the latency that nki.benchmark prints (NCL), which is
what a timeline spans, and the total time of a profile, which is longer by what lies outside the execution that NCL clocks.
The number between them is `cost.profile_total_minus_latency_ns` of the chip.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from opentrn.errors import OpentrnError
from opentrn.timing.timeline import Timeline
from opentrn.validation.kernels.probes import REPEATS

__all__ = ["METRICS", "read"]

US = 1e-3  # microseconds per nanosecond


def _total(timelines: Sequence[Timeline], _: str) -> float:
    return sum(each.total_ns + each.chip.cost.profile_total_minus_latency_ns for each in timelines)


def _latency(timelines: Sequence[Timeline], _: str) -> float:
    return sum(each.total_ns for each in timelines)


def _probed(timeline: Timeline, instruction: str) -> np.ndarray:
    """The rows of the instruction that is looked at (a probe's first `REPEATS`)."""
    numbers = [n for n, operation in enumerate(timeline.operations) if operation.name == instruction]
    found = np.flatnonzero(np.isin(timeline.operation, numbers))[:REPEATS]
    if not len(found):
        raise OpentrnError(f"the timeline has no {instruction}", got=", ".join(o.name for o in timeline.operations))
    return found


def _settled(values: np.ndarray) -> float:
    """The middle value of the second half: clocks have settled."""
    return float(np.median(values[len(values) // 2 :]))


def _duration(timelines: Sequence[Timeline], instruction: str) -> float:
    rows = _probed(timelines[0], instruction)
    return _settled((timelines[0].done - timelines[0].start)[rows])


def _duration_cold(timelines: Sequence[Timeline], instruction: str) -> float:
    first = _probed(timelines[0], instruction)[1]
    return float(timelines[0].done[first] - timelines[0].start[first])


def _interval(timelines: Sequence[Timeline], instruction: str) -> float:
    return _settled(np.diff(timelines[0].start[_probed(timelines[0], instruction)]))


def _interval_cold(timelines: Sequence[Timeline], instruction: str) -> float:
    return float(np.diff(timelines[0].start[_probed(timelines[0], instruction)])[1])


def _first_dma(timeline: Timeline) -> tuple[int, Any]:
    """The timeline row of the first DMA, and the DMA table."""
    return int(timeline.dma.instruction[0]), timeline.dma


def _issue(timelines: Sequence[Timeline], _: str) -> float:
    row, _dma = _first_dma(timelines[0])
    return float(timelines[0].end[row] - timelines[0].start[row])


def _dispatch(timelines: Sequence[Timeline], _: str) -> float:
    row, dma = _first_dma(timelines[0])
    return float(dma.first[0] - timelines[0].start[row])


def _transfer(timelines: Sequence[Timeline], _: str) -> float:
    _row, dma = _first_dma(timelines[0])
    return float(dma.last[0] - dma.first[0])


def _packet(timelines: Sequence[Timeline], _: str) -> float:
    _row, dma = _first_dma(timelines[0])
    streaming = float(dma.last[0] - dma.first[0]) - _late(timelines[0], int(dma.engines[0]))
    return streaming / -(-int(dma.descriptors[0]) // int(dma.engines[0]))


def _late(timeline: Timeline, engines: int) -> float:
    """What the first packets of a load wait for: HBM, and the engines that begin one after another."""
    table = timeline.chip.cost.dma
    return table.load_latency_ns + (engines - 1) * table.load_stagger_ns


def _preamble(timelines: Sequence[Timeline], _: str) -> float:
    row, _dma = _first_dma(timelines[0])
    return float(timelines[0].start[row]) + timelines[0].chip.cost.profile_total_minus_latency_ns


METRICS: dict[str, tuple[str, Callable[[Sequence[Timeline], str], float]]] = {
    "total": ("total time of a profile", _total),
    "latency": ("latency by nki.benchmark (NCL)", _latency),
    "duration": ("start to result, in a settled stream", _duration),
    "duration_cold": ("start to result, of the first ones", _duration_cold),
    "interval": ("between starts, in a settled stream", _interval),
    "interval_cold": ("between starts, of the first ones", _interval_cold),
    "issue": ("a DMA trigger on its engine", _issue),
    "dispatch": ("DMA trigger to first byte", _dispatch),
    "transfer": ("first to last byte of a DMA", _transfer),
    "packet": ("one descriptor on one DMA engine", _packet),
    "preamble": ("start of the profile to the first DMA trigger", _preamble),
}
"""Metric -> (what it is, how to read it in nanoseconds)."""


def read(metric: str, timelines: Sequence[Timeline], instruction: str) -> float:
    """The value of `metric` in microseconds on the timelines of a case's launches."""
    return METRICS[metric][1](timelines, instruction) * US
