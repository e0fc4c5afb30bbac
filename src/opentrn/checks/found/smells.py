"""smells: what costs time on the chip, with the time that it costs at most: the advice of the profile, and trips from PSUM.

A run that is mostly the start and end of the kernel (`too_small` in the profile) says nothing about the kernel at the size
it is meant for, so nothing is found in it: small inputs check values, inputs of the real size check time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from opentrn.checks.check import Check
from opentrn.checks.evidence import Evidence
from opentrn.checks.finding import Finding
from opentrn.checks.round_trips import needless_copies, sums_outside
from opentrn.errors import Site
from opentrn.profile.advice import NOTABLE, kinds
from opentrn.profile.amounts import US
from opentrn.profile.report import advice_for
from opentrn.program.trace import Trace
from opentrn.timing.timeline import Timeline

PERFORMANCE = "nki_perf_guide.rst (SDK 2.32)"

smells = Check("smells", "what costs time on the chip, with the time it costs at most")
_TOO_SMALL = "too_small"
for _kind, _text in kinds().items():
    if _kind != _TOO_SMALL:
        smells.rule(_kind, "advice", "inferred", _text, PERFORMANCE)
smells.rule(
    "psum_copies", "advice", "inferred", "PSUM is copied to SBUF for a reader that could read PSUM", PERFORMANCE
)
smells.rule(
    "psum_sums", "advice", "inferred", "products are added up in SBUF, where PSUM adds for nothing", PERFORMANCE
)

MOST_ROWS = 20_000
"""Longer programs are left to `opentrn profile`: finding what costs time would take as long as a third of the run."""


@smells.run
def _(evidence: Evidence) -> Iterator[Finding]:
    rows = sum(map(len, evidence.traces))
    timeline = evidence.timeline if evidence.rerun or rows <= MOST_ROWS else None
    found = advice_for(timeline) if timeline is not None else ()
    if timeline is None or any(advice.rule == _TOO_SMALL for advice in found):
        return
    for advice in found:
        place = advice.place
        site = Site(place.file, place.line, place.function) if place else evidence.site
        yield smells.finding(advice.rule, advice.evidence, site, hint=advice.hint, cost_us=advice.us)
    yield from _spent(
        evidence,
        timeline,
        "psum_copies",
        needless_copies,
        "{count:,} copies from PSUM to SBUF are read once each, by an engine that reads PSUM as well: {share}",
        "let the next instruction read the tile in PSUM",
    )
    yield from _spent(
        evidence,
        timeline,
        "psum_sums",
        sums_outside,
        "{count:,} instructions add products up in SBUF: {share}",
        "let nisa.nc_matmul accumulate in one PSUM tile for the whole contraction, as far as PSUM has room",
    )


def _spent(
    evidence: Evidence, timeline: Timeline, label: str, find: Callable[[Trace], np.ndarray], text: str, hint: str
) -> Iterator[Finding]:
    """One finding for the rows that `find` gives, where they hold their engine for a notable share of the time."""
    first, found = 0, []
    for trace in evidence.traces:
        found.append(find(trace) + first)
        first += len(trace)
    rows = np.concatenate(found)
    us = float(timeline.busy[rows].sum()) * US / timeline.cores
    if us <= NOTABLE * timeline.total_ns * US:
        return
    by_place = np.bincount(timeline.place[rows], timeline.busy[rows])
    place = timeline.places[int(by_place.argmax())]
    message = text.format(count=len(rows), share=f"{us / (timeline.total_ns * US):.0%} of the time")
    yield smells.finding(label, message, Site(place.file, place.line, place.function), hint=hint, cost_us=us)
