"""What checks find in one run or one source."""

from __future__ import annotations

from opentrn.checks.evidence import Evidence, Source
from opentrn.checks.finding import Finding
from opentrn.checks.look import Choice, examine, merged

EVERY = Choice()


def look(over: str, subject: Evidence | Source, choice: Choice = EVERY) -> list[Finding]:
    """The findings of the wanted checks, the worst first, unused suppressions among them."""
    return list(merged([examine(over, subject, choice)], choice).findings)
