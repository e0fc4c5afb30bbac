"""The page docs/compile-ability.md: the rules that decide whether a kernel compiles, and AWS's public error codes."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from opentrn.checks.all import CHECKS
from opentrn.checks.check import Check

__all__ = ["Code", "codes", "compile_ability"]

_HEAD = """# Will it compile?

`opentrn lint FILE.py` answers from the source alone, without running or importing it; `opentrn check` runs the kernel as
well. Only kernel code is judged: functions decorated with `nki.jit`, what they call in their file, and functions that call
instructions. A kernel is meant for today's NKI unless it says otherwise: `# needs NKI >= 0.3` above it or in it, or anywhere
outside of functions for the whole file; `--nki` says it for all files. `opentrn lint --needs` prints what each kernel needs.

`error`: documented not to compile, or to compute something else. `warning`: may. `advice`: works today. AWS's own kernels
(nki-library 2.29 as NKI 0.3, the current kernels of nki-samples as NKI 0.2, the examples of the documentation as 0.6) have
no finding of severity error, but for files that still import `neuronxcc.nki`, which is one. Where these kernels do what a
page says cannot be done, the rule is a warning and says so.

As a pre-commit hook:

```yaml
repos:
  - repo: ... # the repository, or a clone of it
    rev: ... # a commit
    hooks:
      - id: opentrn-lint
```
"""
_CODES = """
## AWS's error codes

The codes that the documentation of the Neuron compiler lists (`compiler/error-codes/`), its release notes mention
(`release-notes/components/compiler.rst`) or AWS explains in public issues, each with what finds the same fault here, or
why nothing can.

| code | what it says | found by | otherwise |
|---|---|---|---|"""


@dataclass(frozen=True)
class Code:
    """One public error code: what it `says` in our words, the label of the rule that finds it (`caught`), or `why` none can."""

    code: str
    says: str
    caught: str
    why: str


def codes() -> list[Code]:
    """Every public error code of AWS's compiler."""
    with (Path(__file__).parent / "compiler_codes.csv").open(newline="", encoding="utf-8") as file:
        return [Code(**row) for row in csv.DictReader(file)]


def compile_ability() -> str:
    """The page."""
    checks = [CHECKS[name] for name in ("language", "versions", "compiler")]
    rows = [f"| NCC_{c.code} | {c.says} | {f'`{c.caught}`' if c.caught else ''} | {c.why} |" for c in codes()]
    return "\n".join([_HEAD, *(line for check in checks for line in _rules(check)), _CODES, *rows, ""])


def _rules(check: Check) -> Iterator[str]:
    yield f"\n## {check.name}: {check.summary}\n"
    yield "| rule | severity | | provenance | page |\n|---|---|---|---|---|"
    for label, rule in check.rules.items():
        yield f"| `{check.name}.{label}` | {rule.severity} | {rule.text} | {rule.provenance} | {rule.page or ''} |"
