"""suppressions: comments that suppress findings, and are themselves wrong or no longer needed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from opentrn.checks.check import Check
from opentrn.checks.evidence import Evidence, Source
from opentrn.checks.finding import Finding
from opentrn.checks.names import near
from opentrn.checks.suppressions import Suppression, suppressions_in, suppressions_of
from opentrn.errors import Site

__all__ = ["unused"]

_PAGE = "docs/checks.md"
_FORM = "# opentrn: ignore[check.rule] reason"

suppressions = Check("suppressions", "comments of the form `# opentrn: ignore[check.rule] reason`")
suppressions.rule("reason", "warning", "documented", "a suppression does not say why", _PAGE)
suppressions.rule("unknown", "warning", "documented", "a suppression names no check or rule that exists", _PAGE)
suppressions.rule("unused", "advice", "documented", "a suppression whose finding is no longer there", _PAGE)


@suppressions.run
def _(evidence: Evidence) -> Iterator[Finding]:
    for file in evidence.files:
        yield from _malformed(suppressions_of(file))


@suppressions.source
def _(source: Source) -> Iterator[Finding]:
    yield from _malformed(suppressions_in(source.path, source.text))


def _malformed(comments: Iterable[Suppression]) -> Iterator[Finding]:
    for comment in comments:
        site = Site(comment.file, comment.line)
        if not comment.names:
            yield suppressions.finding(
                "unknown", f"`{comment.text}` names no check, so it suppresses nothing", site, hint=f"write {_FORM}"
            )
        for name in comment.names:
            hint = near(name)
            if hint is not None:
                yield suppressions.finding("unknown", f"no check or rule is called {name}", site, hint=hint)
        if comment.names and not comment.reason:
            yield suppressions.finding(
                "reason",
                f"the suppression of {', '.join(comment.names)} gives no reason",
                site,
                hint="say after the bracket why the finding does not count here",
            )


def unused(comment: Suppression, name: str) -> Finding:
    """The finding for a suppression that nothing met."""
    return suppressions.finding(
        "unused",
        f"nothing was found here that {name} would suppress",
        Site(comment.file, comment.line),
        hint=f"take {name} out of the comment" if len(comment.names) > 1 else "take the comment out",
    )
