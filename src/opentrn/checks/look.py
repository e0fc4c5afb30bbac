"""Running checks: over a run or a source, with the reader's choice of checks and severities, each finding once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import Any

from opentrn.checks.all import CHECKS
from opentrn.checks.finding import SEVERITIES, Finding
from opentrn.checks.suppressions import suppressed
from opentrn.errors import LaunchError

__all__ = ["Choice", "look"]


@dataclass(frozen=True)
class Choice:
    """Which checks run, and how bad what they find is.

    `only` and `ignore` hold names (``memory``) or labels (``memory.clobber``); `severity` maps them to other severities.
    Raises LaunchError for a name that is no check, label or severity.
    """

    only: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    severity: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in (*self.only, *self.ignore, *self.severity):
            _known(name)
        for each in self.severity.values():
            if each not in SEVERITIES:
                raise LaunchError("severity", got=each, expected=", ".join(SEVERITIES))

    def wants(self, check: str) -> bool:
        """The check runs."""
        return check not in self.ignore and (
            not self.only or any(name.partition(".")[0] == check for name in self.only)
        )

    def judged(self, finding: Finding) -> Finding | None:
        """The finding with the severity chosen for it; None where it is not wanted."""
        names = (finding.check, finding.label)
        if any(name in self.ignore for name in names) or (self.only and not any(name in self.only for name in names)):
            return None
        chosen = self.severity.get(finding.label, self.severity.get(finding.check, finding.severity))
        return finding if chosen == finding.severity else replace(finding, severity=chosen)


def _known(name: str) -> None:
    check, _, label = name.partition(".")
    labels = CHECKS[check].rules if check in CHECKS else {}
    if check in CHECKS and (not label or label in labels or check == "rules"):
        return
    names = [*CHECKS, *(f"{c}.{r}" for c, each in CHECKS.items() for r in each.rules)]
    near = get_close_matches(name, names, n=3)
    hint = f"did you mean {' or '.join(near)}?" if near else f"the checks are {', '.join(CHECKS)}"
    raise LaunchError(f"no check is called {name!r}", hint=hint)


def look(over: str, subject: Any, choice: Choice = Choice(), files: Iterable[str] = ()) -> list[Finding]:
    """What the wanted checks find in `subject`, an `Evidence` (over "run") or a `Source` (over "source").

    The worst first, then by file and line; suppressed ones left out. `files` are those whose suppressions count, beside
    the files that findings name.
    """
    found = [
        judged
        for check in CHECKS.values()
        if over in check.looks and choice.wants(check.name)
        for finding in check.looks[over](subject)
        if (judged := choice.judged(finding)) is not None
    ]
    return sorted(suppressed(_once(found), over, files), key=_order)


def _once(findings: Sequence[Finding]) -> list[Finding]:
    """The first of the findings of one label at one line, with their number."""
    first: dict[tuple[Any, ...], Finding] = {}
    for finding in findings:
        key = (finding.label, finding.file, finding.line)
        known = first.get(key)
        first[key] = finding if known is None else replace(known, count=known.count + finding.count)
    return list(first.values())


def _order(finding: Finding) -> tuple[Any, ...]:
    return (SEVERITIES.index(finding.severity), finding.file or "", finding.line or 0, finding.label)
