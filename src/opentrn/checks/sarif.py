"""Findings as SARIF 2.1.0, which code hosts and editors show (docs.oasis-open.org/sarif/sarif/v2.1.0)."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path
from typing import Any
from urllib.parse import quote

from opentrn.checks.all import CHECKS
from opentrn.checks.check import Rule
from opentrn.checks.finding import Finding
from opentrn.checks.outcome import Outcome
from opentrn.checks.paths import shown_path

__all__ = ["sarif"]

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/os/schemas/sarif-schema-2.1.0.json"
_LEVELS = {"error": "error", "warning": "warning", "advice": "note"}


def sarif(outcome: Outcome) -> dict[str, Any]:
    """The log of one run: every rule of the checks that ran, a result per finding, suppressed ones marked as such."""
    results = [(finding, None) for finding in outcome.findings] + list(outcome.suppressed)
    rules = _rules(outcome.checks, [finding for finding, _ in results])
    places = {rule["id"]: place for place, rule in enumerate(rules)}
    driver = {"name": "opentrn", "version": _version(), "rules": rules}
    run = {
        "tool": {"driver": driver},
        "originalUriBaseIds": {"SRCROOT": {"uri": f"{Path.cwd().as_uri()}/"}},
        "columnKind": "unicodeCodePoints",
        "results": [_result(finding, reason, places) for finding, reason in results],
    }
    return {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}


def _version() -> str:
    try:
        return importlib.metadata.version("opentrn")
    except importlib.metadata.PackageNotFoundError:
        return "0"


def _rules(checks: tuple[str, ...], findings: list[Finding]) -> list[dict[str, Any]]:
    """The declared rules, and those of instructions as far as they were met: their list is the operand tables."""
    declared = {f"{name}.{label}": rule for name in checks for label, rule in CHECKS[name].rules.items()}
    met = {f.label: Rule(f.severity, f.provenance, f"{f.label.partition('.')[2]} is broken", f.page) for f in findings}
    return [_rule(label, rule) for label, rule in {**met, **declared}.items()]


def _rule(label: str, rule: Rule) -> dict[str, Any]:
    origin = f"{rule.provenance}{f', {rule.page}' if rule.page else ''}"
    return {
        "id": label,
        "shortDescription": {"text": rule.text},
        "help": {"text": f"{rule.text}. Source: {origin}. docs/checks.md tells more."},
        "defaultConfiguration": {"level": _LEVELS[rule.severity]},
        "properties": {"provenance": rule.provenance},
    }


def _result(finding: Finding, reason: str | None, places: dict[str, int]) -> dict[str, Any]:
    message = f"{finding.message}\nhint: {finding.hint}" if finding.hint else finding.message
    made: dict[str, Any] = {
        "ruleId": finding.label,
        "ruleIndex": places[finding.label],
        "level": _LEVELS[finding.severity],
        "message": {"text": message},
        "occurrenceCount": finding.count,
        "properties": {"provenance": finding.provenance},
    }
    if finding.file:
        made["locations"] = [_location(finding.file, finding.line)]
    if finding.related:
        made["relatedLocations"] = [
            {**_location(other.file, other.line), "id": place, "message": {"text": other.message}}
            for place, other in enumerate(finding.related, 1)
            if other.file
        ]
    if reason is not None:
        made["suppressions"] = [{"kind": "inSource", **({"justification": reason} if reason else {})}]
    return made


def _location(file: str, line: int | None) -> dict[str, Any]:
    shown = shown_path(file)
    below = not Path(shown).is_absolute()
    artifact = {"uri": quote(Path(shown).as_posix()), "uriBaseId": "SRCROOT"} if below else {"uri": Path(file).as_uri()}
    region = {"region": {"startLine": line}} if line else {}
    return {"physicalLocation": {"artifactLocation": artifact, **region}}
