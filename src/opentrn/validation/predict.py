"""Timing the rows: each case is recorded once and timed on the machine as it is and on the one that does not know it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from opentrn.errors import OpentrnError
from opentrn.machine.chip import load_chip
from opentrn.nki.profile import profile
from opentrn.timing.simulate import simulate
from opentrn.timing.timeline import Timeline
from opentrn.validation.cases import Case, case_of
from opentrn.validation.fit import held_out
from opentrn.validation.metrics import read
from opentrn.validation.rows import Row

__all__ = ["Result", "predictions"]


@dataclass(frozen=True)
class Result:
    """A row with what we predict: by the machine as it is, and by constants fitted without the row's family.

    Both are None, and `problem` says why, where the chip has no public number for something that the case needs, or the
    kernel cannot be placed on it.
    """

    row: Row
    predicted_us: float | None
    held_out_us: float | None
    problem: str = ""

    @property
    def error(self) -> float | None:
        """(predicted - measured) / measured."""
        return None if self.predicted_us is None else self.predicted_us / self.row.measured_us - 1

    @property
    def held_out_error(self) -> float | None:
        """The same with constants fitted without the family."""
        return None if self.held_out_us is None else self.held_out_us / self.row.measured_us - 1


@dataclass(frozen=True)
class _Recorded:
    """The programs of a case's launches, with their timelines on the machine as it is."""

    case: Case
    traces: list[Any]
    timelines: list[Timeline]

    def on(self, chip: Any) -> list[Timeline]:
        return [simulate(traces, chip) for traces in self.traces]


def predictions(rows: Sequence[Row]) -> Iterator[Result]:
    """The result of each row, in the order of `rows`; rows of one case that follow one another share its recording."""
    last: tuple[Any, _Recorded | str] = (None, "")
    for row in rows:
        key = (row.target, row.case, row.arguments)
        if last[0] != key:
            last = (key, _recorded(row))
        yield _result(row, last[1])


def _recorded(row: Row) -> _Recorded | str:
    try:
        case = case_of(row)
        reports = [profile(each.kernel, mode="timing", target=row.target)(*each.arguments) for each in case.launches]
    except OpentrnError as error:
        return str(error).splitlines()[0]
    return _Recorded(case, [each.traces for each in reports], [each.timeline for each in reports])


def _result(row: Row, recorded: _Recorded | str) -> Result:
    if isinstance(recorded, str):
        return Result(row, None, None, recorded)
    try:
        known = read(row.metric, recorded.timelines, recorded.case.instruction)
        chip = held_out(load_chip(row.target), row.family)
        unknown = known if chip is None else read(row.metric, recorded.on(chip), recorded.case.instruction)
    except OpentrnError as error:
        return Result(row, None, None, str(error).splitlines()[0])
    return Result(row, known, unknown)
