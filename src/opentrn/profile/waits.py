"""Why each instruction waited, in two parts: for what it needed, and for what had to be done first once that was there.

A timeline names one cause for each wait, the longest. Weights and run-time addresses are loaded when they are there; the
time before that is a wait for whoever made them. An activation table waits for nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from opentrn.timing.timeline import CAUSES, Timeline

__all__ = ["Waits", "waits"]

_ON_TOP = [CAUSES.index(cause) for cause in ("weights", "register")]
_DMA, _SEMAPHORE, _ENGINE = (CAUSES.index(cause) for cause in ("dma", "semaphore", "engine"))


@dataclass(frozen=True, eq=False)
class Waits:
    """A row for each instruction: ns spent for `need` (a cause) and then for `cause`; the two are `Timeline.wait`."""

    need: np.ndarray  # uint8, index of CAUSES
    need_ns: np.ndarray  # float64
    cause: np.ndarray  # uint8, index of CAUSES
    cause_ns: np.ndarray  # float64

    def by_cause(self, rows: np.ndarray) -> np.ndarray:
        """ns for each of CAUSES, summed over `rows`."""
        need = np.bincount(self.need[rows], self.need_ns[rows], minlength=len(CAUSES))
        return need + np.bincount(self.cause[rows], self.cause_ns[rows], minlength=len(CAUSES))


def waits(timeline: Timeline) -> Waits:
    """Both parts of every wait. What is not on top of another wait has no first part."""
    moves = np.zeros(len(timeline) + 1, bool)
    moves[timeline.dma.instruction] = True
    blocker, none = timeline.blocker, timeline.blocker < 0
    other = np.append(timeline.engine, 255)[blocker] != timeline.engine
    layered = np.isin(timeline.cause, _ON_TOP) & ~none & (other | moves[blocker])
    here = np.append(timeline.done, 0.0)[blocker] + timeline.chip.cost.semaphore_ns
    first = np.where(layered, np.clip(here - timeline.ready, 0.0, timeline.wait), 0.0)
    need = np.where(moves[blocker], _DMA, np.where(other, _SEMAPHORE, _ENGINE))
    alone = ~np.isin(timeline.cause, _ON_TOP)
    need = np.where(alone | none, timeline.cause, need).astype(np.uint8)
    return Waits(need, first, timeline.cause, timeline.wait - first)
