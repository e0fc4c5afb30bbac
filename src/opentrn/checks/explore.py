"""Other legal orders of a launch of two cores: which change its values, and which two accesses make the difference.

Each order runs the whole kernel again on fresh copies of its inputs, so that values which steer Python's control flow steer
it there too. What is chosen is when DMAs on shared memory end, and where a core goes on while the other waits; everything
that happens-before orders (`checks.order`) stays in order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from random import Random
from typing import Any

import numpy as np

from opentrn.checks.order import Order
from opentrn.program.schedule import At, Schedule
from opentrn.program.trace import WRITES
from opentrn.timing.oracle import Region, region_of
from opentrn.timing.timeline import ENGINES

__all__ = ["Difference", "Search", "explored"]

Outputs = Sequence[np.ndarray] | None
Run = Callable[[Schedule], Outputs]
Decision = tuple[str, At]
"""(late or stay, where)."""


@dataclass(frozen=True)
class Difference:
    """Two accesses whose order decides a value: `first` came before `second` in the usual run. `text` says what changes.

    `decisions` is the shortest list that was found of what has to be done otherwise.
    """

    first: At
    second: At
    text: str
    decisions: tuple[Decision, ...]


def explored(search: Search, count: int) -> Iterator[Difference]:
    """The difference that `count` other orders show, in its shortest form; nothing where all give the same values."""
    if not search.choices:
        return
    for number in range(count):
        decisions = _drawn(search.choices, number)
        if search.differs(decisions):
            yield search.difference(search.shortest(decisions))
            return


def _drawn(choices: list[Decision], number: int) -> list[Decision]:
    """The DMAs of one core late, or of the other; every core as far as it comes; then some of both."""
    if number < 3:
        chosen = (("late", 0), ("late", 1), ("stay", None))[number]
        return [one for one in choices if one[0] == chosen[0] and chosen[1] in (None, one[1][0])]
    random = Random(number)
    return [one for one in choices if random.random() < 0.5]


class Search:
    """Runs in other orders, and what they change."""

    def __init__(self, order: Order, run: Run) -> None:
        self.order, self.run = order, run
        self.slots = [core.slot for core in order.cores]
        self.waits: dict[At, tuple[int, ...]] = {}
        self._late: dict[int, tuple[Outputs, Schedule]] = {}  # the run in which a core is as late as can be
        for number, core in enumerate(order.cores):
            for producer, consumer in core.trace.edges.tolist():
                self.waits[number, consumer] = (*self.waits.get((number, consumer), ()), producer)

    @cached_property
    def _usual(self) -> tuple[Outputs, Schedule]:
        return self._execute([])

    @cached_property
    def choices(self) -> list[Decision]:
        """What may be done otherwise: rows that touch memory of both cores."""
        return sorted(self._choices())

    def _choices(self) -> Iterator[Decision]:
        for number, core in enumerate(self.order.cores):
            trace = core.trace
            for row in _shared_rows(trace):
                step = trace.steps[trace.step[row]]
                tensors = [trace.allocations[a] for a in trace.region_allocation[_regions(trace, row)]]
                fixed = any(first <= row < end for first, end in trace.fixed)
                dma = core.slot[row] >= len(ENGINES)
                if dma and not (fixed or step.indexed or any(t.manual for t in tensors)):
                    yield "late", (number, row)
                yield "stay", (number, row)

    def _execute(self, decisions: Sequence[Decision]) -> tuple[Outputs, Schedule]:
        late, stay = (frozenset(at for what, at in decisions if what == name) for name in ("late", "stay"))
        schedule = Schedule(late, stay, self.slots, self.waits)
        return self.run(schedule), schedule

    def indifferent(self, one: At, other: At) -> bool:
        """The two stores leave the same bytes at the same places; or they change places and no value changes.

        They do where the core that comes first is late: its DMAs are, and the other core goes on past its stores.
        """
        stored = self._usual[1].stored
        if one in stored and stored[one] == stored.get(other):
            return True
        usual = {at: n for n, at in enumerate(self._usual[1].log)}
        if one not in usual or other not in usual:
            return False
        first, second = sorted((one, other), key=usual.__getitem__)
        core = first[0]
        if core not in self._late:
            wanted = {("late", core), ("stay", 1 - core)}
            self._late[core] = self._execute([(what, at) for what, at in self.choices if (what, at[0]) in wanted])
        outputs, late = self._late[core]
        place = {at: n for n, at in enumerate(late.log)}
        swapped = first in place and second in place and place[second] < place[first]
        return swapped and _apart(self._usual[0], outputs) is None

    def differs(self, decisions: Sequence[Decision]) -> bool:
        return _apart(self._usual[0], self._execute(decisions)[0]) is not None

    def shortest(self, decisions: list[Decision]) -> list[Decision]:
        """Delta debugging: leave out halves, quarters, and at last single decisions, while the values still differ."""
        size = len(decisions)
        while size := size // 2:
            start = 0
            while start < len(decisions):
                fewer = decisions[:start] + decisions[start + size :]
                if fewer and self.differs(fewer):
                    decisions = fewer
                else:
                    start += size
        return decisions

    def difference(self, decisions: list[Decision]) -> Difference:
        outputs, schedule = self._execute(decisions)
        first, second = self._swapped(schedule.log)
        return Difference(first, second, str(_apart(self._usual[0], outputs)), tuple(decisions))

    def _swapped(self, log: list[At]) -> tuple[At, At]:
        """The first two accesses of different cores to the same bytes, one of them a write, that changed places."""
        place = {at: n for n, at in enumerate(self._usual[1].log)}
        mine, theirs = ([at for at in log if at[0] == core and at in place] for core in (0, 1))
        now = {at: n for n, at in enumerate(log)}
        for second in sorted(mine + theirs, key=now.__getitem__):
            for first in theirs if second[0] == 0 else mine:
                if place[first] < place[second] and now[second] < now[first] and self._conflict(first, second):
                    return first, second
        return log[0], log[-1]  # pragma: no cover: values differ only where two accesses changed places

    def _conflict(self, one: At, two: At) -> bool:
        return any(
            a == b and (x | y) & WRITES and r.shares(s)
            for a, x, r in self._shared(one)
            for b, y, s in self._shared(two)
        )

    def _shared(self, at: At) -> Iterator[tuple[Any, int, Region]]:
        core = self.order.cores[at[0]]
        trace = core.trace
        for k in range(*trace.first_operand[at[1] : at[1] + 2].tolist()):
            name = trace.shared.get(int(trace.region_allocation[trace.region[k]]))
            if name is not None and trace.instruction(at[1]).name != "core_barrier":
                region = region_of(core.columns, int(trace.region[k]))
                yield name, int(trace.access[k]), Region(0, region.row0, region.row1, region.starts, region.ends, 0)


def _regions(trace: Any, row: int) -> np.ndarray:
    return trace.region[trace.first_operand[row] : trace.first_operand[row + 1]]


def _shared_rows(trace: Any) -> list[int]:
    """Rows that touch memory of both cores; barriers do not."""
    known = np.zeros(len(trace.allocations), bool)
    known[list(trace.shared)] = True
    touched = np.zeros(len(trace), bool)
    touched[trace.operand_row[known[trace.operand_allocation]]] = True
    return np.flatnonzero(touched & ~trace.rows_of("core_barrier")).tolist()


def _apart(usual: Outputs, other: Outputs) -> str | None:
    """How two runs' outputs differ, in words; None where they are the same bit for bit."""
    if usual is None or other is None:
        return None if usual is other else "the run ends early"
    for number, (a, b) in enumerate(zip(usual, other, strict=True)):
        same = a.view(np.uint8) == b.view(np.uint8)
        if not same.all():
            changed = ~same.reshape(*a.shape, -1).all(-1)
            gap = np.abs(a[changed].astype(np.float64) - b[changed].astype(np.float64))
            size = "by values that were never written" if np.isnan(gap).any() else f"by up to {gap.max():.4g}"
            return f"output {number} differs in {int(changed.sum()):,} of {a.size:,} elements, {size}"
    return None
