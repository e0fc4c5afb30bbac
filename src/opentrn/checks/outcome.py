"""`Outcome`: what a checking command has to tell: the findings, what was suppressed, and what was and was not checked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from opentrn.checks.all import CHECKS
from opentrn.checks.evidence import Evidence
from opentrn.checks.finding import SEVERITIES, Finding
from opentrn.checks.look import Choice, Looked, merged

__all__ = ["Outcome", "Subject", "outcome_of", "subject_of"]


@dataclass(frozen=True)
class Subject:
    """A kernel that was run: with which arguments (as text), for which chip, on how many cores."""

    kernel: str
    arguments: str
    target: str
    lnc: int

    def __str__(self) -> str:
        cores = f"[{self.lnc}]" if self.lnc > 1 else ""
        return f"{self.kernel}{cores}({self.arguments}) on {self.target}"


@dataclass(frozen=True)
class Outcome:
    """`findings` (the worst first) and, each with its reason, the `suppressed` ones.

    `checks` are the names of the checks that ran, `subjects` the kernels that did, `not_run` those that did not, with why;
    `files` are those whose source was looked at.
    """

    findings: tuple[Finding, ...]
    suppressed: tuple[tuple[Finding, str], ...]
    checks: tuple[str, ...]
    subjects: tuple[Subject, ...] = ()
    not_run: tuple[tuple[str, str], ...] = ()
    files: tuple[str, ...] = ()

    @property
    def counts(self) -> dict[str, int]:
        """How many findings have each severity, the worst first."""
        found = Counter(finding.severity for finding in self.findings)
        return {severity: found[severity] for severity in SEVERITIES}

    def fails(self, at: str) -> bool:
        """There is a finding of severity `at` or worse."""
        return any(SEVERITIES.index(finding.severity) <= SEVERITIES.index(at) for finding in self.findings)


def subject_of(evidence: Evidence) -> Subject:
    """What an evidence is about."""
    return Subject(evidence.kernel, evidence.arguments, evidence.chip.name, evidence.lnc)


def outcome_of(
    parts: Sequence[Looked],
    choice: Choice,
    subjects: Sequence[Subject] = (),
    not_run: Sequence[tuple[str, str]] = (),
    files: Sequence[str] = (),
) -> Outcome:
    """The outcome of several looks with one choice of checks."""
    found = merged(parts, choice)
    overs = {"run"} if subjects else set()
    overs |= {"source"} if files else set()
    checks = tuple(name for name, check in CHECKS.items() if choice.wants(name) and overs & check.looks.keys())
    return Outcome(found.findings, found.suppressed, checks, tuple(subjects), tuple(not_run), tuple(files))
