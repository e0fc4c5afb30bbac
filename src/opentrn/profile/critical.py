"""The critical path: from the last instruction back through what each one waited for last.

The path covers the kernel's time without gap or overlap: prologue, then for each instruction the time until it could
start and the time until the next one on the path was free to go, then the epilogue.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from opentrn.profile.amounts import US, sums
from opentrn.profile.waits import waits
from opentrn.timing.timeline import CAUSES, ENGINES, Place, Timeline

__all__ = ["CriticalPath", "Segments", "Share", "critical_path", "walk"]


@dataclass(frozen=True)
class Share:
    """A part of the kernel's time: its name, microseconds, and the fraction of the whole."""

    name: str
    us: float
    share: float
    place: Place | None = None
    """The line, where the part is one."""


@dataclass(frozen=True, eq=False)
class Segments:
    """The path, first instruction first; `rows` of the timeline and, for each, ns before it and ns that it took.

    sum(gap) + sum(work) + prologue_ns + epilogue_ns = total_ns.
    """

    rows: np.ndarray  # int64
    gap: np.ndarray  # float64
    work: np.ndarray  # float64
    prologue_ns: float
    epilogue_ns: float


@dataclass(frozen=True)
class CriticalPath:
    """Where the kernel's time went, three times over: by what worked, by why it waited, by line. Each adds up to it.

    In `by_cause` what an instruction took is named after what the next one waited for, and the time from there to its
    start after its own cause.
    """

    instructions: int
    by_engine: tuple[Share, ...]
    by_cause: tuple[Share, ...]
    by_line: tuple[Share, ...]
    segments: Segments = field(repr=False, compare=False, metadata={"data": False})


def walk(timeline: Timeline) -> Segments:
    """Follow `Timeline.blocker` from the instruction that was done last."""
    prologue = min(timeline.prologue_ns, timeline.total_ns)
    if not len(timeline):
        none = np.zeros(0)
        return Segments(none.astype(np.int64), none, none, prologue, timeline.total_ns - prologue)
    blocker, path = timeline.blocker.tolist(), [int(timeline.done.argmax())]
    while (row := blocker[path[-1]]) >= 0 and len(path) <= len(blocker):
        path.append(row)
    rows = np.array(path[::-1])
    start, released = timeline.start[rows], _released(timeline, rows)
    before = np.concatenate(([min(prologue, start[0])], released))
    after = np.concatenate((released, timeline.done[rows[-1:]]))
    prologue, finish = float(before[0]), float(after[-1])
    return Segments(rows, start - before, after - start, prologue, timeline.total_ns - finish)


def _released(timeline: Timeline, rows: np.ndarray) -> np.ndarray:
    """When each instruction but the last let the next one go: at its result, or its end, or (a shared place) its start."""
    earlier, start = rows[:-1], timeline.start[rows[1:]]
    done, end = timeline.done[earlier], timeline.end[earlier]
    return np.where(done <= start, done, np.minimum(end, start))


def critical_path(timeline: Timeline) -> CriticalPath:
    """The path and its sums. A timeline without instructions has prologue and epilogue alone."""
    path = walk(timeline)
    total = timeline.total_ns
    return CriticalPath(
        len(path.rows),
        _shares(_by_engine(timeline, path), total),
        _shares(_by_cause(timeline, path), total),
        _by_line(timeline, path),
        path,
    )


def _ends(path: Segments) -> dict[str, float]:
    return {"prologue": path.prologue_ns, "epilogue": path.epilogue_ns}


def _by_engine(timeline: Timeline, path: Segments) -> dict[str, float]:
    """Work by engine; what a DMA takes beyond its trigger is "dma", and time between instructions "handover"."""
    moves = np.zeros(len(timeline), bool)
    moves[timeline.dma.instruction] = True
    trigger = np.minimum(path.work, timeline.busy[path.rows])
    held = np.where(moves[path.rows], trigger, path.work)
    by_engine = sums(timeline.engine[path.rows], held, len(ENGINES))
    found = dict(zip(ENGINES, by_engine, strict=True)) | {"dma": (path.work - held).sum(), "handover": path.gap.sum()}
    return found | _ends(path)


def _by_cause(timeline: Timeline, path: Segments) -> dict[str, float]:
    if not len(path.rows):
        return _ends(path)
    parts = waits(timeline)
    before = sums(parts.need[path.rows[1:]], path.work[:-1], len(CAUSES))
    by_cause = before + sums(timeline.cause[path.rows], path.gap, len(CAUSES))
    return dict(zip(CAUSES, by_cause, strict=True)) | {"last instruction": path.work[-1]} | _ends(path)


def _by_line(timeline: Timeline, path: Segments) -> tuple[Share, ...]:
    by_line = sums(timeline.place[path.rows], path.gap + path.work, len(timeline.places))
    total = timeline.total_ns or 1.0
    lines = [
        Share(str(timeline.places[n]), float(by_line[n]) * US, float(by_line[n]) / total, timeline.places[n])
        for n in np.argsort(-by_line, kind="stable")
        if by_line[n] > 0
    ]
    return (*lines, *_shares(_ends(path), timeline.total_ns))


def _shares(parts: dict[str, float], total: float) -> tuple[Share, ...]:
    ordered = sorted(((name, float(ns)) for name, ns in parts.items() if ns > 0), key=lambda part: -part[1])
    return tuple(Share(name, ns * US, ns / total if total else 0.0) for name, ns in ordered)
