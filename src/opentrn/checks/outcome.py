"""`Outcome`: what a checking command has to tell: the findings, what was suppressed, and what was and was not checked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from opentrn.checks.all import CHECKS
from opentrn.checks.evidence import Evidence, Source, read_source
from opentrn.checks.finding import SEVERITIES, Finding
from opentrn.checks.look import Choice, Looked, examine, merged

__all__ = ["Looks", "Outcome", "Subject"]


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


class Looks:
    """What has been looked at so far, with one choice of checks."""

    def __init__(self, choice: Choice) -> None:
        self.choice = choice
        self.parts: list[Looked] = []
        self.subjects: list[Subject] = []
        self.files: list[str] = []

    def add(self, evidence: Evidence, source: bool = False) -> None:
        """Look at a run and, with `source`, at what its kernel's file says of it."""
        self.parts.append(examine("run", evidence, self.choice))
        self.subjects.append(Subject(evidence.kernel, evidence.arguments, evidence.chip.name, evidence.lnc))
        site = evidence.site
        if source and Path(site.file).is_file():
            self.add_source(read_source(site.file, first=site.line))

    def add_source(self, source: Source) -> None:
        """Look at a file."""
        self.parts.append(examine("source", source, self.choice))
        self.files.append(source.path)

    def outcome(self, not_run: Sequence[tuple[str, str]] = ()) -> Outcome:
        """All of it; `not_run` are kernels that could not be run, with why."""
        overs = {*(["run"] if self.subjects else []), *(["source"] if self.files else [])}
        checks = [name for name, each in CHECKS.items() if self.choice.wants(name) and overs & each.looks.keys()]
        found = merged(self.parts, self.choice)
        return Outcome(
            found.findings, found.suppressed, tuple(checks), tuple(self.subjects), tuple(not_run), tuple(self.files)
        )
