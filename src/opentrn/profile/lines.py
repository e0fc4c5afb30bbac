"""The kernel by source line: what each line costs, and how much of the time hangs on it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from opentrn.profile.amounts import US, sums
from opentrn.profile.critical import Segments
from opentrn.timing.timeline import Place, Timeline

__all__ = ["Line", "lines"]


@dataclass(frozen=True)
class Line:
    """One line of the kernel, over all its executions on all cores.

    `critical_us` is its part of the critical path: what making it quicker can bring at most.
    """

    place: Place
    instruction: str
    instructions: int
    critical_us: float
    critical_share: float
    busy_us: float
    wait_us: float
    dma_bytes: int


def lines(timeline: Timeline, path: Segments) -> tuple[Line, ...]:
    """Every line that ran, those with most of the critical path first."""
    count = len(timeline.places)
    critical = sums(timeline.place[path.rows], path.gap + path.work, count) * US
    busy = sums(timeline.place, timeline.busy, count) * US
    wait = sums(timeline.place, timeline.wait, count) * US
    moved = sums(timeline.place[timeline.dma.instruction], timeline.dma.nbytes, count)
    runs = np.bincount(timeline.place, minlength=count)
    names = _names(timeline)
    total = timeline.total_ns * US or 1.0
    order = np.lexsort((-busy, -critical))
    return tuple(
        Line(
            timeline.places[n], names[n], int(runs[n]), float(critical[n]), float(critical[n] / total),
            float(busy[n]), float(wait[n]), int(moved[n]),
        )
        for n in order
        if runs[n]
    )  # fmt: skip


def _names(timeline: Timeline) -> dict[int, str]:
    """Place -> the instructions on that line, by name."""
    kinds = len(timeline.operations)
    pairs = np.unique(timeline.place.astype(np.int64) * kinds + timeline.operation)
    found: dict[int, dict[str, None]] = {}
    for place, operation in (divmod(pair, kinds) for pair in pairs.tolist()):
        found.setdefault(place, {})[timeline.operations[operation].name] = None
    return {place: ", ".join(names) for place, names in found.items()}
