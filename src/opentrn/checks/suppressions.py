"""Suppressions: `# opentrn: ignore[check.rule] reason` at the end of a line, or on a line of its own above it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from opentrn.checks.finding import Finding

__all__ = ["suppressed"]


def suppressed(findings: Sequence[Finding], over: str, files: Iterable[str]) -> list[Finding]:
    """The findings that no comment suppresses."""
    return list(findings)
