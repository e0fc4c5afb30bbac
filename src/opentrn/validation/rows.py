"""The published measurements: `rows.csv`, `skipped.csv` and `explanations.csv` as data."""

from __future__ import annotations

import csv
import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Literal, cast

from opentrn.errors import OpentrnError

__all__ = ["Explanation", "Row", "Skipped", "explanations", "read_table", "rows", "select", "skipped"]


@dataclass(frozen=True)
class Row:
    """One published number and what to run for it.

    `metric` says what was measured (`metrics.METRICS`), `tier` how it is known (`machine.TIERS`), `reliability` how good
    it is: A a complete trace or an AWS profile, B an exact timer, both with the kernel's source in public. Rows with the
    same `versions` are versions of one kernel. `case` and `arguments` name what is run (`cases.CASES`).
    `schedule` tells what our kernel follows: a public trace, the public source, one instruction as a probe, or "inferred":
    an order, engine or tile that neither shows, chosen so that published facts about the run, its time among them, agree.
    """

    id: str
    kind: Literal["instruction", "dma", "kernel"]
    family: str
    versions: str
    target: str
    measured_us: float
    metric: str
    tier: str
    reliability: str
    source: str
    schedule: Literal["trace", "source", "inferred", "probe"]
    case: str
    arguments: tuple[tuple[str, Any], ...]


@dataclass(frozen=True)
class Skipped:
    """Published rows that are not repeated: a range of ids, and the reason."""

    ids: str
    what: str
    reason: str


@dataclass(frozen=True)
class Explanation:
    """Why the rows whose id or family is `about` are missed, and which public fact would settle it."""

    about: str
    text: str
    settles: str


def read_table(name: str) -> list[dict[str, str]]:
    """The rows of one of the tables beside this file, by column."""
    text = resources.files("opentrn.validation").joinpath(name).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


def _value(text: str) -> Any:
    if text in ("True", "False"):
        return text == "True"
    return int(text) if text.isdigit() else text


def _row(entry: dict[str, str]) -> Row:
    pairs = (part.partition("=") for part in entry["arguments"].split(";") if part)
    arguments = tuple((name, _value(value)) for name, _, value in pairs)
    return Row(**cast(Any, entry | {"measured_us": float(entry["measured_us"]), "arguments": arguments}))


@cache
def rows() -> tuple[Row, ...]:
    """All measurements, in the order of the file."""
    return tuple(map(_row, read_table("rows.csv")))


@cache
def skipped() -> tuple[Skipped, ...]:
    """The measurements that are not repeated."""
    return tuple(Skipped(**entry) for entry in read_table("skipped.csv"))


@cache
def explanations() -> tuple[Explanation, ...]:
    """What is understood of the misses."""
    return tuple(Explanation(**entry) for entry in read_table("explanations.csv"))


def select(family: str | None = None, target: str | None = None) -> Sequence[Row]:
    """The rows of one family and one chip; OpentrnError names near ones where there is none."""
    for name, value in (("family", family), ("target", target)):
        known = sorted({getattr(row, name) for row in rows()})
        if value is not None and value not in known:
            near = difflib.get_close_matches(value, known, n=3, cutoff=0.4) or known
            raise OpentrnError(f"no published row has the {name} {value!r}", hint=f"near: {', '.join(near)}")
    return [r for r in rows() if family in (None, r.family) and target in (None, r.target)]
