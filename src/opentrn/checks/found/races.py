"""races: two accesses to the same bytes, one of them a write, that nothing orders."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from opentrn.checks.carried import carried
from opentrn.checks.check import Check
from opentrn.checks.conflicts import Race, missing, named, races_of
from opentrn.checks.evidence import Evidence
from opentrn.checks.explore import Difference, Search, explored
from opentrn.checks.finding import Finding, related
from opentrn.checks.order import Order, order_of
from opentrn.checks.overlaps import overlaps
from opentrn.timing.timeline import ENGINES

races = Check("races", "accesses to the same bytes, one of them a write, in no order (docs/races.md)")
races.rule(
    "cores", "error", "documented", "two cores touch the same bytes, one writes, and nothing orders the two",
    "nki.isa.core_barrier",
)  # fmt: skip
races.rule(
    "both", "warning", "documented", "both cores write the same bytes at one line; harmless while the values are equal",
    "nki.isa.core_barrier",
)  # fmt: skip
races.rule(
    "overlap", "warning", "inferred", "a DMA reads bytes that it also writes elsewhere; its pieces move in any order",
    "nki-dma-overview.rst",
)  # fmt: skip
races.rule(
    "carried", "warning", "documented", "an iteration of nl.affine_range reads what an earlier one wrote",
    "matrix_multiplication.rst",
)  # fmt: skip
races.rule(
    "values", "error", "documented", "the result depends on an order that nothing promises (explore=)",
    "nki.isa.core_barrier",
)  # fmt: skip


@races.run
def _(evidence: Evidence) -> Iterator[Finding]:
    if evidence.failures:
        return
    for number, trace in enumerate(evidence.traces):
        for row, text in overlaps(trace, evidence.chip):
            yield races.finding(
                "overlap", text, evidence.site_of(number, row), hint="copy through another tensor, or piece by piece"
            )
        for one in carried(trace, evidence.chip):
            yield races.finding(
                "carried", one.text, evidence.site_of(number, one.reader),
                hint="use a plain range (sequential_range in older NKI), or reduce with one associative instruction",
                related=(related("written here", evidence.site_of(number, one.writer)),),
            )  # fmt: skip
    if len(evidence.traces) == 2 and all(len(trace) for trace in evidence.traces):
        order = order_of(evidence.traces, evidence.chip)
        search = Search(order, evidence.reschedule) if evidence.reschedule is not None else None
        for race in races_of(order):
            twin = race.twin or (race.maybe and search is not None and search.indifferent(*race.at))
            yield _finding(evidence, order, replace(race, twin=twin))
        if evidence.explore and search is not None:
            for difference in explored(search, evidence.explore):
                yield _values(evidence, order, difference)


def _finding(evidence: Evidence, order: Order, race: Race) -> Finding:
    sites = [evidence.site_of(core, row) for core, row in race.at]
    words = [_words(order, core, row) for core, row in race.at]
    tensor = order.cores[race.at[0][0]].trace.allocations[race.allocation]
    low, high = race.bytes
    what = f"bytes {low:,} to {high:,} of {named(tensor)} ({list(tensor.shape)} {tensor.dtype.name}, {tensor.buffer.value})"
    places = [f"{site.file.rpartition('/')[2]}:{site.line}" if site else "?" for site in sites]
    message = f"{words[0]} at {places[0]} {race.verbs[0]} {what}, and {words[1]} at {places[1]} {race.verbs[1]} them: "
    why, hint = missing(order, race, evidence.site_of)
    return races.finding(
        "both" if race.twin else "cores",
        message + why,
        sites[1],
        hint="let one core write, or give each its half" if race.twin else hint,
        related=(related("the other access", sites[0]),),
    )


def _values(evidence: Evidence, order: Order, found: Difference) -> Finding:
    (core, row), (other, later) = found.first, found.second
    sites = [evidence.site_of(*at) for at in (found.first, found.second)]
    places = [f"{site.file.rpartition('/')[2]}:{site.line}" if site else "?" for site in sites]
    one, two = _words(order, core, row), _words(order, other, later)
    message = f"with {two} at {places[1]} before {one} at {places[0]}, and not after it, {found.text}"
    return races.finding(
        "values", message, sites[1], hint="order the two: core_barrier over their tensor, on both cores",
        related=(related("the access that it overtakes", sites[0]),),
    )  # fmt: skip


def _words(order: Order, core: int, row: int) -> str:
    one = order.cores[core]
    step, slot = one.trace.steps[one.trace.step[row]], int(one.slot[row])
    queue = "DMA queue of " if slot >= len(ENGINES) else ""
    return f"nisa.{step.instruction.name} on core {core} ({queue}{ENGINES[int(one.engine[row])]})"
