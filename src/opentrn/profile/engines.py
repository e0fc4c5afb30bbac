"""How the five engines spent the time: busy + wait + idle is the whole time of the kernel, on each of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from opentrn.profile.amounts import US, covered
from opentrn.profile.waits import Waits, waits
from opentrn.timing.timeline import CAUSES, ENGINES, Timeline

__all__ = ["Engine", "engines", "engines_of"]


@dataclass(frozen=True)
class Engine:
    """One engine (of all cores together where there are two): busy_us + wait_us + idle_us = total_us.

    `wait_us` is time in which it had an instruction that could not start, `idle_us` time in which it had none.
    `waits` splits the wait by cause (`timing.timeline.CAUSES`), largest first.
    """

    name: str
    total_us: float
    busy_us: float
    wait_us: float
    idle_us: float
    instructions: int
    utilisation: float
    """busy_us / total_us."""
    waits: dict[str, float]


def engines(timeline: Timeline) -> dict[str, Engine]:
    """Every engine by name, the cores together."""
    parts = [engines_of(timeline, core) for core in range(timeline.cores)]
    return {name: _joined([part[name] for part in parts]) for name in ENGINES}


def engines_of(timeline: Timeline, core: int) -> dict[str, Engine]:
    """Every engine of one core by name."""
    waited = waits(timeline)
    return {name: _engine(timeline, waited, core, number) for number, name in enumerate(ENGINES)}


def _engine(timeline: Timeline, parts: Waits, core: int, number: int) -> Engine:
    rows = np.flatnonzero((timeline.core == core) & (timeline.engine == number))
    total, busy = timeline.total_ns * US, covered(timeline.start[rows], timeline.end[rows]) * US
    wait, causes = float(timeline.wait[rows].sum()) * US, parts.by_cause(rows) * US
    split = {CAUSES[n]: float(causes[n]) for n in np.argsort(-causes, kind="stable") if causes[n] > 0}
    return Engine(
        ENGINES[number], total, busy, wait, total - busy - wait, len(rows), busy / total if total else 0.0, split
    )


def _joined(parts: list[Engine]) -> Engine:
    if len(parts) == 1:
        return parts[0]
    names = dict.fromkeys(cause for part in parts for cause in part.waits)
    waits = {cause: sum(part.waits.get(cause, 0.0) for part in parts) for cause in names}
    total, busy = sum(p.total_us for p in parts), sum(p.busy_us for p in parts)
    return Engine(
        parts[0].name, total, busy, sum(p.wait_us for p in parts), sum(p.idle_us for p in parts),
        sum(p.instructions for p in parts), busy / total if total else 0.0,
        dict(sorted(waits.items(), key=lambda item: -item[1])),
    )  # fmt: skip
