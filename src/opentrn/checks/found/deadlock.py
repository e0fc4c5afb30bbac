"""deadlock: cores that can never meet, waits that never end, loops without an end."""

from __future__ import annotations

from collections.abc import Iterator

from opentrn.checks.check import Check
from opentrn.checks.dynamic import diverging, edges_across
from opentrn.checks.evidence import Evidence
from opentrn.checks.failures import met
from opentrn.checks.finding import Finding, related, text_of

deadlock = Check("deadlock", "cores that never meet, waits that never end, loops without an end (docs/races.md)")
deadlock.rule(
    "meeting", "error", "documented", "a core waits at a meeting that the other never comes to", "nki.isa.core_barrier"
)
deadlock.rule("sendrecv", "error", "documented", "the two sides of a sendrecv do not fit", "nki.isa.sendrecv")
deadlock.rule(
    "endless",
    "error",
    "documented",
    "a loop did not end within the limit (opentrn.check(limit=))",
    "nki.language.while_loop",
)
deadlock.rule("edge", "error", "documented", "depends_on into or out of a dynamic loop", "nki.isa.NkiInstruction")
deadlock.rule("diverges", "warning", "documented", "a dynamic loop takes other turns on the other core", "lnc.rst")


@deadlock.run
def _(evidence: Evidence) -> Iterator[Finding]:
    yield from met(evidence, deadlock)
    if evidence.failures:
        return
    if evidence.lnc > 1 and evidence.stuck is not None:
        stuck = evidence.stuck
        yield deadlock.finding("meeting", text_of(stuck), stuck.site or evidence.site, hint=stuck.hint)
    for core, trace in enumerate(evidence.traces):
        for producer, consumer, text in edges_across(trace):
            yield deadlock.finding(
                "edge", text, evidence.site_of(core, consumer), hint="keep producer and consumer in one loop body, or outside",
                related=(related("the producer", evidence.site_of(core, producer)),),
            )  # fmt: skip
    for site, text in diverging(evidence.traces):
        yield deadlock.finding(
            "diverges", text, site, hint="let both cores take the same turns, with empty ones where needed"
        )
