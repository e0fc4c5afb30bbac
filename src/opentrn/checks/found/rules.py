"""rules: every labelled rule of every instruction, on the chosen chip; and whatever else ends a kernel."""

from __future__ import annotations

from collections.abc import Iterator

from opentrn.checks.check import Check
from opentrn.checks.evidence import Evidence
from opentrn.checks.finding import Finding, text_of
from opentrn.errors import RuleError, Site
from opentrn.isa.all import REGISTRY

rules = Check("rules", "the labelled rules of every instruction (docs/isa)")


@rules.run
def _(evidence: Evidence) -> Iterator[Finding]:
    for broken in evidence.failures:
        if isinstance(broken, RuleError):
            yield _finding(broken, broken.site or evidence.site)


def _finding(broken: RuleError, site: Site) -> Finding:
    page = REGISTRY[broken.instruction].page
    label = f"{broken.instruction}.{broken.rule}"
    return Finding(
        "rules",
        label,
        "error",
        text_of(broken),
        site.file,
        site.line,
        broken.hint,
        broken.provenance,
        site.function,
        page,
    )
