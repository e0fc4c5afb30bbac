"""hardware: results that rest on a choice which the chip may make otherwise, measured by making it the other way.

An ordinary run notices most of it (`Evidence.sights`) and the kernel is run again for that alone; with `Evidence.rerun`
it is run again for every choice that can matter to its instructions. What changes nothing beyond the precision of the
results is no finding.
"""

from __future__ import annotations

from collections.abc import Iterator

from opentrn.checks import psum
from opentrn.checks.check import Check
from opentrn.checks.effects import Effect, compare
from opentrn.checks.evidence import Evidence
from opentrn.checks.finding import Finding, related
from opentrn.errors import HardwareWarning, SimulationOnly, Site
from opentrn.isa.latitudes import LATITUDES, Latitude, Line
from opentrn.program.trace import Trace

hardware = Check("hardware", "results that the chip may compute differently, with the size of the difference")
for _each in LATITUDES.values():
    hardware.rule(_each.name, _each.severity, _each.provenance, f"{_each.ours} {_each.other}", _each.page)
hardware.rule("notice", "warning", "documented", "a warning of the run about what AWS says does not work on the device")

hardware.rule(
    "resumed_sum",
    "warning",
    "documented",
    "a product with accumulate=None is added to a sum in PSUM that was read already, as if its tile were new",
    "nki.isa.nc_matmul (SDK 2.32)",
)

MOST_LINES = 8
"""Lines of one choice that are tried alone; each costs one more run."""


@hardware.run
def _(evidence: Evidence) -> Iterator[Finding]:
    for notice in evidence.notices:
        if issubclass(notice.category, HardwareWarning) and not issubclass(notice.category, SimulationOnly):
            yield hardware.finding("notice", notice.text, notice.site, hint="use what the message names instead")
    for core, trace in enumerate(evidence.traces):
        yield from _resumed(evidence, core, trace)
    if not evidence.failures and evidence.otherwise is not None and evidence.outputs:
        for latitude in LATITUDES.values():
            lines = _lines(evidence, latitude)
            if lines:
                yield from _measured(evidence, latitude, lines)


def _resumed(evidence: Evidence, core: int, trace: Trace) -> Iterator[Finding]:
    for row, reader in psum.resumed_sums(trace):
        name, other = trace.instruction(row).name, trace.instruction(reader).name
        yield hardware.finding(
            "resumed_sum",
            f"nisa.{name} adds to a sum in PSUM that nisa.{other} has read: accumulate=None overwrites at the first write only",
            evidence.site_of(core, row),
            hint="say accumulate=False where a new sum begins, accumulate=True where this one goes on",
            related=(related(f"nisa.{other} reads it here", evidence.site_of(core, reader)),),
        )


def _lines(evidence: Evidence, latitude: Latitude) -> dict[Line, tuple[Site, str]]:
    """The lines at which the choice may matter, in program order, with their site and what is known about them."""
    if not latitude.seen and not evidence.rerun:
        return {}
    if latitude.name == "sentinel":
        met = [f for f in evidence.faults if f.kind == "uninitialised" and f.site is not None]
        return {(f.site.file, f.site.line): (f.site, "unwritten elements are read") for f in met if f.site}
    if latitude.seen:
        seen = [s for s in evidence.sights if s.name == latitude.name and s.site is not None]
        return {(s.site.file, s.site.line): (s.site, f"nisa.{s.instruction}: {s.facts}") for s in seen if s.site}
    return _recorded(evidence, latitude)


def _recorded(evidence: Evidence, latitude: Latitude) -> dict[Line, tuple[Site, str]]:
    found: dict[Line, tuple[Site, str]] = {}
    for trace in evidence.traces:
        matters = [latitude.matters(step) for step in trace.steps]
        pairs = dict.fromkeys(zip(trace.place.tolist(), trace.step.tolist(), strict=True))
        for place, step in pairs:
            code, line = trace.places[place]
            if matters[step]:
                site = Site(code.co_filename, line, code.co_name)
                found.setdefault((site.file, line), (site, f"nisa.{trace.steps[step].instruction.name}"))
    return found


def _measured(evidence: Evidence, latitude: Latitude, lines: dict[Line, tuple[Site, str]]) -> Iterator[Finding]:
    """Findings for the lines at which the choice alone changes the results; for the first where only all together do."""
    together = _effect(evidence, latitude, list(lines))
    if together is None:
        return
    alone = {line: _effect(evidence, latitude, [line]) for line in list(lines)[:MOST_LINES]} if len(lines) > 1 else {}
    guilty = {line: effect for line, effect in alone.items() if effect is not None}
    if not guilty:
        guilty = {next(iter(lines)): together}
    for line, effect in guilty.items():
        site, facts = lines[line]
        others = f" (here and at {len(lines) - 1} other lines)" if len(lines) > 1 and not alone.get(line) else ""
        message = f"{facts}; {latitude.otherwise}{others}, {effect}"
        yield hardware.finding(latitude.name, message, site, hint=latitude.hint)


def _effect(evidence: Evidence, latitude: Latitude, lines: list[Line]) -> Effect | str | None:
    assert evidence.otherwise is not None
    outputs = evidence.otherwise(latitude.name, frozenset(lines))
    if outputs is None or len(outputs) != len(evidence.outputs):
        return "the kernel fails"
    return compare(evidence.outputs, outputs)
