"""Instructions that are executed one at a time for a check: watched, or computed with the other admissible choice.

A `Core` with a scrutiny takes the records that it concerns out of its batches; all others run as ever.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import Any, Protocol

import numpy as np

from opentrn.errors import OpentrnError
from opentrn.execute.watch import PROBES, Probe
from opentrn.isa.latitudes import LATITUDES, Line, Sight
from opentrn.numerics.latitude import taking
from opentrn.program.recorder import Place, Record
from opentrn.program.site import site_of
from opentrn.program.step import Step

__all__ = ["Otherwise", "Scrutiny", "Sights", "concerned"]


class Scrutiny(Protocol):
    """What is done with some of the records."""

    def wants(self, step: Step) -> bool:
        """Records of this step may concern it."""
        ...

    def here(self, place: Place) -> bool:
        """Records of this line do."""
        ...

    def run(self, record: Record, tiles: Callable[[], Any], execute: Callable[[], None]) -> None:
        """Execute one record by calling `execute`; `tiles` makes its `Use` with values."""
        ...


def concerned(scrutiny: Scrutiny | None, batch: Sequence[Record], done: int, end: int) -> list[int]:
    """The records from `done` up to `end` that the scrutiny concerns; quick where no step of the batch does."""
    if scrutiny is None:
        return []
    steps = {step for step in set(map(_STEP, batch)) if scrutiny.wants(step)}
    return [n for n in range(done, end) if batch[n][0] in steps and scrutiny.here(batch[n][2])] if steps else []


_STEP = itemgetter(0)


@dataclass
class Otherwise:
    """The choice `name` is taken the other way, at `lines` alone where they are given.

    It is data of a launch (`Mode.other`); what it knows about steps is kept from one record to the next.
    """

    name: str
    lines: frozenset[Line] | None = None
    _matters: dict[Step, bool] = field(default_factory=dict, repr=False)
    _random: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0), repr=False)

    def wants(self, step: Step) -> bool:
        """The choice can change what the step computes."""
        known = self._matters.get(step)
        if known is None:
            known = self._matters[step] = LATITUDES[self.name].matters(step)
        return known

    def here(self, place: Place) -> bool:
        """The line is one of ours."""
        return self.lines is None or (place[0].co_filename, place[1]) in self.lines

    def run(self, record: Record, tiles: Callable[[], Any], execute: Callable[[], None]) -> None:
        """Execute with the other choice."""
        with taking(self.name, self._random):
            execute()


@dataclass
class Sights:
    """Records are looked at as they run, and what is noticed is kept by choice and line."""

    seen: dict[tuple[str, Any], Sight] = field(default_factory=dict)
    _probes: dict[Step, tuple[Probe, ...]] = field(default_factory=dict, repr=False)

    def wants(self, step: Step) -> bool:
        """A probe wants to see it."""
        probes = self._probes.get(step)
        if probes is None:
            probes = self._probes[step] = tuple(p for p in PROBES if LATITUDES[p.name].matters(step))
        return bool(probes)

    def here(self, place: Place) -> bool:
        """On every line."""
        return True

    def run(self, record: Record, tiles: Callable[[], Any], execute: Callable[[], None]) -> None:
        """Look before and after."""
        step, _, place = record
        use, probes = tiles(), self._probes[step]
        for after in (False, True):
            if after:
                execute()
            for probe in probes:
                facts = self._look(probe, use) if probe.after is after else None
                if facts is not None:
                    self._note(probe.name, step, place, facts)

    @staticmethod
    def _look(probe: Probe, use: Any) -> str | None:
        try:
            return probe.look(use)
        except OpentrnError:  # the instruction itself will say what is wrong with its operands
            return None

    def _note(self, name: str, step: Step, place: Any, facts: str) -> None:
        key = name, place
        if key in self.seen:
            self.seen[key].count += 1
        else:
            self.seen[key] = Sight(name, step.instruction.name, site_of(place), facts)
