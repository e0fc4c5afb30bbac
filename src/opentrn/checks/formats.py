"""Findings as text for a terminal, as JSON, as SARIF and as annotations of GitHub Actions."""

from __future__ import annotations

import json
import linecache
from collections.abc import Callable, Iterator
from textwrap import indent
from typing import Any

from opentrn.checks.finding import Finding, Related
from opentrn.checks.outcome import Outcome
from opentrn.checks.paths import shown_path
from opentrn.checks.sarif import sarif

__all__ = ["FORM", "FORMATS", "finding_text", "pieces", "render", "summary"]

FORM = "opentrn check 1"
"""What the first field of the JSON says: its kind and version."""


def render(outcome: Outcome, form: str) -> str:
    """The outcome in one of `FORMATS`, ending with a line break."""
    return FORMATS[form](outcome)


def text(outcome: Outcome) -> str:
    """For people: each finding under the source line it is about, by file, and a closing line with the counts."""
    return "".join(piece for piece, _ in pieces(outcome))


def pieces(outcome: Outcome) -> Iterator[tuple[str, str]]:
    """The text in pieces, each with a style: error, warning, advice, place, quiet, or none."""
    files = dict.fromkeys(finding.file for finding in outcome.findings)  # the file with the worst finding first
    for file in files:
        for finding in sorted((f for f in outcome.findings if f.file == file), key=lambda f: f.line or 0):
            yield from _finding(finding)
    for subject in outcome.subjects if len(outcome.subjects) > 1 else ():
        yield f"checked: {subject}\n", "quiet"
    for name, why in outcome.not_run:
        yield f"not run: {name}: {why}\n", "quiet"
    yield f"{summary(outcome)}\n", ""


def finding_text(finding: Finding) -> str:
    """One finding as the text shows it."""
    return "".join(piece for piece, _ in _finding(finding))


def _finding(finding: Finding) -> Iterator[tuple[str, str]]:
    yield f"{_place(finding.file, finding.line)}: ", "place"
    yield f"{finding.severity}: {finding.label}", finding.severity
    where = [f"in {finding.function}"] if finding.function.isidentifier() else []
    where += [f"{finding.count} times"] if finding.count > 1 else []
    yield f" ({', '.join(where)})\n" if where else "\n", "quiet"
    line = _source(finding.file, finding.line)
    if line:
        yield f"    | {line}\n", "quiet"
    yield f"{indent(finding.message, '  ')}\n", ""
    if finding.cost_us is not None:
        yield f"  costs:  up to {finding.cost_us:.3g} us\n", ""
    if finding.hint:
        yield f"  hint:   {finding.hint}\n", ""
    for other in finding.related:
        yield f"  see:    {_related(other)}\n", ""
    yield f"  source: {_origin(finding)}\n\n", "quiet"


def _place(file: str | None, line: int | None) -> str:
    return ":".join([shown_path(file) if file else "(no file)", *([str(line)] if line else [])])


def _related(other: Related) -> str:
    return f"{_place(other.file, other.line)}: {other.message}" if other.file else other.message


def _source(file: str | None, line: int | None) -> str:
    return linecache.getline(file, line).strip() if file and line else ""


def _origin(finding: Finding) -> str:
    return ", ".join([finding.provenance, *([finding.page] if finding.page else [])])


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 or what == 'advice' else 's'}"


def summary(outcome: Outcome) -> str:
    """The closing line: how much was found, and what was checked."""
    counts = [_count(number, severity) for severity, number in outcome.counts.items() if number]
    found = ", ".join(counts) or "no findings"
    found += f" ({len(outcome.suppressed)} suppressed)" if outcome.suppressed else ""
    checks = ": ".join(filter(None, [_count(len(outcome.checks), "check"), ", ".join(outcome.checks)]))
    return f"{found} in {_subjects(outcome)} ({checks})"


def _subjects(outcome: Outcome) -> str:
    if len(outcome.subjects) == 1:
        return str(outcome.subjects[0])
    if outcome.subjects:
        targets = dict.fromkeys(subject.target for subject in outcome.subjects)
        return f"{len(outcome.subjects)} runs on {', '.join(targets)}"
    if len(outcome.files) > 3:
        return f"{len(outcome.files)} files"
    return ", ".join(map(shown_path, outcome.files)) or "nothing"


def data(outcome: Outcome) -> dict[str, Any]:
    """The outcome as JSON data; docs/checks.md describes each field."""
    return {
        "form": FORM,
        "counts": outcome.counts,
        "checks": list(outcome.checks),
        "files": list(outcome.files),
        "checked": [vars(subject) for subject in outcome.subjects],
        "not_run": [{"kernel": name, "reason": why} for name, why in outcome.not_run],
        "findings": [finding.to_dict() for finding in outcome.findings],
        "suppressed": [{**finding.to_dict(), "reason": reason} for finding, reason in outcome.suppressed],
    }


_COMMANDS = {"error": "error", "warning": "warning", "advice": "notice"}


def github(outcome: Outcome) -> str:
    """Workflow commands that GitHub Actions shows beside the lines of a pull request.

    Form and escapes: docs.github.com, "Workflow commands for GitHub Actions"; the toolkit's `command.ts`.
    """
    rows = [_annotation(finding) for finding in outcome.findings]
    rows += [f"::warning title=not run::{_escaped(f'{name}: {why}')}" for name, why in outcome.not_run]
    return "\n".join([*rows, summary(outcome)]) + "\n"


def _annotation(finding: Finding) -> str:
    fields = {"file": finding.file and shown_path(finding.file), "line": finding.line, "title": finding.label}
    shown = ",".join(f"{name}={_escaped(str(value), ':,')}" for name, value in fields.items() if value)
    parts = [
        finding.message,
        *([f"hint: {finding.hint}"] if finding.hint else []),
        *(f"see {_related(other)}" for other in finding.related),
    ]
    return f"::{_COMMANDS[finding.severity]} {shown}::{_escaped(chr(10).join(parts))}"


def _escaped(value: str, also: str = "") -> str:
    """Line breaks would end the command, and in its fields colons and commas too; each becomes %XX."""
    return "".join(f"%{ord(c):02X}" if c in "%\r\n" + also else c for c in value)


FORMATS: dict[str, Callable[[Outcome], str]] = {
    "text": text,
    "json": lambda outcome: json.dumps(data(outcome), indent=1) + "\n",
    "sarif": lambda outcome: json.dumps(sarif(outcome), indent=1) + "\n",
    "github": github,
}
