"""`Finding`: one thing that is wrong, or worth knowing, with its place and its cure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from opentrn.errors import OpentrnError, Site

__all__ = ["SEVERITIES", "Finding", "Related", "nearby", "related", "text_of", "worst"]

SEVERITIES = ("error", "warning", "advice")
"""From worst to mildest. An error fails on the chip or computes something else there; advice costs time alone."""


@dataclass(frozen=True)
class Related:
    """Another place that belongs to a finding, such as the second access of a race."""

    message: str
    file: str | None
    line: int | None


@dataclass(frozen=True)
class Finding:
    """What one check found at one place of the user's source.

    `check` is the file under `checks/`, `rule` a label of it (for instructions ``nc_matmul.c3``). `provenance` says where
    the rule comes from (documented, measured, inferred, and a page where there is one). `cost_us` is what following the
    advice saves at most, where time is what the finding is about. `count` is how often it was met at this place.
    """

    check: str
    rule: str
    severity: str
    message: str
    file: str | None
    line: int | None
    hint: str | None
    provenance: str
    function: str = ""
    page: str | None = None
    cost_us: float | None = None
    count: int = 1
    related: tuple[Related, ...] = ()

    @property
    def label(self) -> str:
        """``check.rule``: what a suppression and the severity options name."""
        return f"{self.check}.{self.rule}"

    def to_dict(self) -> dict[str, Any]:
        """The fields as JSON data."""
        return asdict(self)


def worst(findings: Sequence[Finding]) -> str | None:
    """The worst severity among findings; None without any."""
    return min((f.severity for f in findings), key=SEVERITIES.index, default=None)


def related(message: str, site: Site | None) -> Related:
    return Related(message, site.file if site else None, site.line if site else None)


def text_of(error: OpentrnError) -> str:
    """What an error says, without its place and hint: those are fields of a finding."""
    rows = [("got", error.got), ("expected", error.expected)]
    if "\n" in (error.got or ""):  # a table comes last
        rows.reverse()
    return "; ".join([error.what, *(f"{name} {value}" for name, value in rows if value)])


def nearby(finding: Finding) -> Finding:
    """The finding with places of its own file told by their line alone."""
    if finding.file is None:
        return finding
    place = re.compile(rf"(?P<at> at )?{re.escape(finding.file)}:(?P<line>\d+)(?: in (?:\w+|<\w+>))?")

    def told(text: str) -> str:
        return place.sub(lambda found: f"{' of ' if found['at'] else ''}line {found['line']}", text)

    return replace(finding, message=told(finding.message), hint=finding.hint and told(finding.hint))
