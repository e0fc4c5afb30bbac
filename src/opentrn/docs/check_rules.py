"""docs/check-rules.md: every check and rule, from their declarations."""

from __future__ import annotations

from opentrn.checks.all import CHECKS
from opentrn.checks.check import Check

__all__ = ["page"]

_HEAD = """\
# Checks and their rules

`check.rule` is what `--only`, `--ignore`, `--severity` and suppressions name. An error fails on the chip or computes something else
there; a warning may; advice costs time alone. [checks.md](checks.md) tells how to use them.
"""

_LOOKS = {"source": "the source", "run": "a run"}


def page() -> str:
    """The page: a table per check."""
    return "\n".join([_HEAD, *(_section(check) for check in CHECKS.values())])


def _section(check: Check) -> str:
    rows = [
        f"| `{check.name}.{label}` | {rule.severity} | {rule.text} | {rule.provenance} | {rule.page or ''} |"
        for label, rule in check.rules.items()
    ]
    head = ["| rule | severity | meaning | provenance | page |", "|---|---|---|---|---|"]
    none = "Its rules are those of the instructions: `rules.INSTRUCTION.RULE`, listed on [their pages](isa/index.md)."
    looks = " and ".join(_LOOKS[over] for over in sorted(check.looks))
    return "\n".join(
        [f"## {check.name}", "", f"{check.summary} (looks at {looks})", "", *([*head, *rows] if rows else [none]), ""]
    )
