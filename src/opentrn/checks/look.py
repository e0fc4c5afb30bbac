"""Running checks: over a run or a source, with the reader's choice of checks and severities, each finding once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from opentrn.checks.all import CHECKS
from opentrn.checks.check import Check
from opentrn.checks.evidence import Evidence, Source
from opentrn.checks.finding import SEVERITIES, Finding, nearby
from opentrn.checks.found.suppressions import unused
from opentrn.checks.names import near
from opentrn.checks.suppressions import Suppression, suppressions_of
from opentrn.errors import LaunchError

__all__ = ["Choice", "Looked", "examine", "merged"]


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
            hint = near(name)
            if hint is not None:
                raise LaunchError(f"no check is called {name!r}", hint=hint)
        for each in self.severity.values():
            if each not in SEVERITIES:
                raise LaunchError("severity", got=each, expected=", ".join(SEVERITIES))

    def wants(self, check: str) -> bool:
        """The check runs."""
        return check not in self.ignore and (
            not self.only or any(name.partition(".")[0] == check for name in self.only)
        )

    def keeps(self, name: str) -> bool:
        """Nothing that `name`, a check or a label, stands for is left out."""
        named = (name, name.partition(".")[0])
        left_out = any(f"{each}.".startswith(f"{name}.") for each in self.ignore)
        return (
            not left_out
            and not any(each in self.ignore for each in named)
            and (not self.only or any(each in self.only for each in named))
        )

    def judged(self, finding: Finding) -> Finding | None:
        """The finding with the severity chosen for it; None where it is not wanted."""
        names = (finding.check, finding.label)
        if any(name in self.ignore for name in names) or (self.only and not any(name in self.only for name in names)):
            return None
        chosen = self.severity.get(finding.label, self.severity.get(finding.check, finding.severity))
        return finding if chosen == finding.severity else replace(finding, severity=chosen)


@dataclass(frozen=True)
class Looked:
    """What the wanted checks found in one subject.

    `suppressed` are the findings that comments of the source suppress, each with the comment's reason. `used` are the
    (comment, name) pairs that did so, `idle` those that had the opportunity and did not, with what was looked at.
    """

    findings: tuple[Finding, ...]
    suppressed: tuple[tuple[Finding, str], ...]
    used: frozenset[tuple[Suppression, str]]
    idle: frozenset[tuple[Suppression, str, str]]


def examine(over: str, subject: Evidence | Source, choice: Choice) -> Looked:
    """What the wanted checks find in `subject`, an `Evidence` (over "run") or a `Source` (over "source").

    Unused suppressions come from `merged`, which sees all subjects.
    """
    found = [
        judged
        for check in CHECKS.values()
        if over in check.looks and choice.wants(check.name)
        for finding in _found(check, over, subject)
        if (judged := choice.judged(finding)) is not None
    ]
    named = dict.fromkeys([*subject.files, *(finding.file for finding in found if finding.file)])
    comments = [comment for file in named for comment in suppressions_of(file)]
    findings, suppressed, used = [], [], set()
    for finding in found:
        hits = [(comment, name) for comment in comments if (name := comment.by(finding))]
        used.update(hits)
        if hits and finding.check != "suppressions":
            suppressed.append((finding, hits[0][0].reason))
        else:
            findings.append(nearby(finding))
    idle = {
        (comment, name, over)
        for comment in comments
        if subject.covers(comment.file, comment.first, comment.last)
        for name in comment.names
        if choice.keeps(name)
    }
    return Looked(tuple(findings), tuple(suppressed), frozenset(used), frozenset(idle))


def _found(check: Check, over: str, subject: Evidence | Source) -> Iterable[Finding]:
    if isinstance(subject, Evidence):
        return check.looks[over](subject)
    if check.name not in subject.known:
        subject.known[check.name] = tuple(check.looks[over](subject))
    return subject.known[check.name]


def merged(parts: Sequence[Looked], choice: Choice) -> Looked:
    """What was found in several subjects, each finding once, the worst first, with the suppressions that nothing needed."""
    used = frozenset().union(*(part.used for part in parts))
    idle = frozenset().union(*(part.idle for part in parts))
    found = [finding for part in parts for finding in part.findings]
    if choice.wants("suppressions"):
        found += [each for each in map(choice.judged, _unused(used, idle)) if each is not None]
    suppressed = {_key(finding): (finding, reason) for part in parts for finding, reason in part.suppressed}
    return Looked(tuple(sorted(_once(found), key=_order)), tuple(suppressed.values()), used, idle)


def _unused(used: frozenset[tuple[Suppression, str]], idle: frozenset[tuple[Suppression, str, str]]) -> list[Finding]:
    """A name is unused where everything that its check looks at was looked at, and nothing was suppressed."""
    seen: dict[tuple[Suppression, str], set[str]] = {}
    for comment, name, over in idle:
        seen.setdefault((comment, name), set()).add(over)
    return [
        unused(comment, name)
        for (comment, name), overs in seen.items()
        if (comment, name) not in used and near(name) is None and overs >= CHECKS[name.partition(".")[0]].looks.keys()
    ]


def _key(finding: Finding) -> tuple[Any, ...]:
    return (finding.label, finding.file, finding.line)


def _once(findings: Sequence[Finding]) -> list[Finding]:
    """The first of the findings of one label at one line, with their number."""
    first: dict[tuple[Any, ...], Finding] = {}
    for finding in findings:
        known = first.get(_key(finding))
        first[_key(finding)] = finding if known is None else replace(known, count=known.count + finding.count)
    return list(first.values())


def _order(finding: Finding) -> tuple[Any, ...]:
    return (SEVERITIES.index(finding.severity), finding.file or "", finding.line or 0, finding.label)
