"""How a check is declared: its rules in a table, and one function that looks for them.

::

    memory = Check("memory", "what memory holds when it is read")
    memory.rule("uninitialised", "error", "documented", "elements are read that nothing wrote", page="nki_simulator.rst")

    @memory.run
    def _(evidence: Evidence) -> Iterator[Finding]:
        yield memory.finding("uninitialised", "data reads ...", site, hint="...")
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from opentrn.checks.finding import SEVERITIES, Finding, Related
from opentrn.errors import Site

__all__ = ["CHECKS", "Check", "Rule"]

CHECKS: dict[str, Check] = {}
"""Every check by name, in the order of their files."""


@dataclass(frozen=True)
class Rule:
    """A labelled kind of finding: default severity, where the rule comes from, what it means, the public page."""

    severity: str
    provenance: str
    text: str
    page: str | None = None


Look = Callable[[Any], Iterator[Finding]]


@dataclass
class Check:
    """One check. `looks` has what it does by what it looks at: a "source" (`Source`, nothing runs), a "run" (`Evidence`)."""

    name: str
    summary: str
    rules: dict[str, Rule] = field(default_factory=dict)
    looks: dict[str, Look] = field(default_factory=dict)

    def __post_init__(self) -> None:
        CHECKS[self.name] = self

    def rule(self, label: str, severity: str, provenance: str, text: str, page: str | None = None) -> None:
        """Declare a kind of finding."""
        if severity not in SEVERITIES:
            raise TypeError(f"{self.name}.{label}: {severity} is no severity")
        self.rules[label] = Rule(severity, provenance, text, page)

    def run(self, function: Look) -> Look:
        """Decorator: `function` looks at the `Evidence` of a run."""
        self.looks["run"] = function
        return function

    def source(self, function: Look) -> Look:
        """Decorator: `function` looks at the `Source` of a file, which is not run."""
        self.looks["source"] = function
        return function

    def finding(
        self,
        label: str,
        message: str,
        site: Site | None,
        *,
        hint: str | None = None,
        cost_us: float | None = None,
        related: tuple[Related, ...] = (),
    ) -> Finding:
        """A finding of the declared rule `label` at `site`."""
        rule = self.rules[label]
        file, line, function = (site.file, site.line, site.function) if site else (None, None, "")
        return Finding(
            self.name,
            label,
            rule.severity,
            message,
            file,
            line,
            hint,
            rule.provenance,
            function,
            rule.page,
            cost_us,
            1,
            related,
        )
