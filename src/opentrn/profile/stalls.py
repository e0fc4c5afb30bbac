"""Who waited for whom: the time that engines stood still, by the instruction that they stood still for."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from opentrn.profile.amounts import US
from opentrn.profile.waits import waits
from opentrn.timing.timeline import CAUSES, ENGINES, Place, Timeline

__all__ = ["Stall", "stalls"]


@dataclass(frozen=True)
class Stall:
    """Time that `engine` waited, for one cause and one line of another instruction.

    `place` is the line that waited most, `producer` the line it waited for; `producer_engine` is "dma" where that line
    moves data, and both are None where there was no instruction to wait for.
    """

    engine: str
    cause: str
    producer_engine: str | None
    producer: Place | None
    place: Place
    us: float
    count: int


def stalls(timeline: Timeline) -> tuple[Stall, ...]:
    """Every wait of the run, summed by (engine, cause, producer's engine and line), longest first."""
    parts, every = waits(timeline), np.arange(len(timeline))
    rows = np.concatenate((every, every))
    cause, waited = np.concatenate((parts.need, parts.cause)), np.concatenate((parts.need_ns, parts.cause_ns))
    some = waited > 0
    found, us, count = _sums(_keys(timeline, rows[some], cause[some]), waited[some] * US)
    groups: dict[tuple[int, ...], list[tuple[float, int, int]]] = {}
    for (*key, place), spent, times in zip(found.T.tolist(), us.tolist(), count.tolist(), strict=True):
        groups.setdefault(tuple(key), []).append((spent, place, times))
    made = [_stall(timeline, key, parts) for key, parts in groups.items()]
    return tuple(sorted(made, key=lambda stall: -stall.us))


def _keys(timeline: Timeline, rows: np.ndarray, cause: np.ndarray) -> tuple[np.ndarray, ...]:
    """(engine, cause, producer's engine, producer's place, own place) of each row; -1: it waited for no instruction."""
    blocker = timeline.blocker[rows]
    source = np.append(timeline.engine.astype(np.int64), -1)
    source[timeline.dma.instruction] = len(ENGINES)
    place = np.append(timeline.place.astype(np.int64), -1)
    return timeline.engine[rows], cause, source[blocker], place[blocker], timeline.place[rows]


def _sums(keys: tuple[np.ndarray, ...], amount: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(distinct keys as columns, sum of `amount`, count) of each."""
    packed, sizes = np.zeros(len(amount), np.int64), [int(key.max(initial=0)) + 2 for key in keys]
    for key, size in zip(keys, sizes, strict=True):
        packed = packed * size + (
            key.astype(np.int64) + 1
        )  # one integer for each key sorts ten times as fast as rows of five
    distinct, group, count = np.unique(packed, return_inverse=True, return_counts=True)
    return np.array(np.unravel_index(distinct, sizes)) - 1, np.bincount(group, amount, len(distinct)), count


def _stall(timeline: Timeline, key: tuple[int, ...], parts: list[tuple[float, int, int]]) -> Stall:
    engine, cause, source, producer = key
    return Stall(
        engine=ENGINES[engine],
        cause=CAUSES[cause],
        producer_engine=None if source < 0 else (*ENGINES, "dma")[source],
        producer=timeline.places[producer] if producer >= 0 else None,
        place=timeline.places[max(parts)[1]],
        us=sum(spent for spent, _, _ in parts),
        count=sum(times for _, _, times in parts),
    )
