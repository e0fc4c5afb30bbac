"""A session as text, as data and as a page."""

from __future__ import annotations

import html
import os
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from opentrn.nki.arrays import told
from opentrn.profile.files import write_whole
from opentrn.profile.html import page_of
from opentrn.profile.text import spoken, table

if TYPE_CHECKING:
    from opentrn.bridges.session import Session
    from opentrn.nki.profile import Launch

__all__ = ["HEADS", "rows", "text", "to_data", "write_html"]

HEADS = ("kernel", "arguments", "calls", "each", "in sum", "share", "findings", "bound")
FORM = "opentrn session 1"


def rows(session: Session) -> list[tuple[str, ...]]:
    """One row for each launch, under `HEADS`; the one that takes longest first."""
    total = session.latency_us or 1.0
    found = []
    for launch, findings in _longest_first(session):
        report, spent = launch.report, launch.report.latency_us * launch.count
        found.append((
            _name(launch), told(*launch.args, **launch.kwargs), f"{launch.count:,}", spoken(report.latency_us), spoken(spent),
            f"{spent / total:.0%}", _counted(findings), report.verdict,
        ))  # fmt: skip
    return found


def text(session: Session) -> str:
    """The table, the sums, the findings and the deviations."""
    if not session.launches:
        return "no kernel was called"
    chips = ", ".join(dict.fromkeys(launch.report.target for launch in session.launches))
    calls = "1 kernel call" if session.calls == 1 else f"{session.calls:,} kernel calls"
    head = f"{calls} on {chips}: {spoken(session.latency_us)} one after the other"
    return "\n".join(
        [head, "", *table([HEADS, *rows(session)], "llrrrrll"), *_finding_lines(session), *_deviation_lines(session)]
    )


def to_data(session: Session) -> dict[str, Any]:
    """The session as JSON data. Times in microseconds; `report` is `ProfileReport.to_dict`."""
    launches = [
        {
            "kernel": launch.kernel.__name__,
            "cores": launch.kernel.lnc,
            "target": launch.report.target,
            "arguments": told(*launch.args, **launch.kwargs),
            "calls": launch.count,
            "latency_us": launch.report.latency_us,
            "total_us": launch.report.latency_us * launch.count,
            "verdict": launch.report.verdict,
            "findings": [finding.to_dict() for finding in findings],
            "report": launch.report.to_dict(),
        }
        for launch, findings in _longest_first(session)
    ]
    first = session.first_deviation
    return {
        "form": FORM,
        "calls": session.calls,
        "latency_us": session.latency_us,
        "launches": launches,
        "tolerance": session.tolerance,
        "deviations": [vars(each) for each in session.deviations],
        "first_deviation": None if first is None else vars(first),
    }


def _name(launch: Launch) -> str:
    return launch.kernel.__name__ + (f"[{launch.kernel.lnc}]" if launch.kernel.lnc > 1 else "")


def _longest_first(session: Session) -> list[tuple[Launch, list[Any]]]:
    pairs = list(zip(session.launches, session.findings, strict=False))
    return sorted(pairs, key=lambda pair: -pair[0].report.latency_us * pair[0].count)


def _counted(findings: list[Any]) -> str:
    severities = [finding.severity for finding in findings]
    return ", ".join(f"{severities.count(s)} {s}" for s in dict.fromkeys(severities)) or "-"


def _finding_lines(session: Session) -> Iterator[str]:
    found = [(launch, finding) for launch, findings in _longest_first(session) for finding in findings]
    if found:
        yield ""
    for launch, finding in found:
        place = f"{finding.file}:{finding.line}: " if finding.file else ""
        yield f"  {place}{finding.severity} [{finding.label}] in {_name(launch)}: {finding.message}"


def _deviation_lines(session: Session) -> Iterator[str]:
    if not session.deviations:
        return
    worst = max(each.error for each in session.deviations)
    yield ""
    yield f"  {len(session.deviations):,} calls compared with their references: largest deviation {worst:.2e} of the largest value"
    first = session.first_deviation
    if first is not None:
        yield f"  the first above {session.tolerance:g}: call {first.call}, {first.kernel}, with {first.error:.2e}"


# ---------------------------------------------------------------- the page
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; script-src 'unsafe-inline';
 style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>
body {{ font: 15px/1.5 system-ui, sans-serif; margin: 2rem; }}
table {{ border-collapse: collapse; }}
th, td {{ text-align: left; padding: .2rem .8rem; border-bottom: 1px solid #8884; }}
td.number {{ text-align: right; font-variant-numeric: tabular-nums; }}
iframe {{ width: 100%; height: 85vh; border: 1px solid #8884; }}
summary {{ cursor: pointer; margin: .6rem 0; }}
pre {{ white-space: pre-wrap; }}
</style>
</head>
<body>
<h1>{title}</h1>
<table>
<thead><tr>{heads}</tr></thead>
<tbody>
{rows}
</tbody>
</table>
<pre>{notes}</pre>
{timelines}
</body>
</html>
"""


def write_html(path: str | os.PathLike[str], session: Session) -> None:
    """Write the table and, folded, the timeline page of every launch, as one file that asks for nothing (whole or not at all)."""
    title = text(session).partition("\n")[0]
    notes = "\n".join([*_finding_lines(session), *_deviation_lines(session)])
    page = _PAGE.format(
        title=html.escape(title),
        heads="".join(f"<th>{head}</th>" for head in HEADS),
        rows="\n".join(_row(cells) for cells in rows(session)),
        notes=html.escape(notes),
        timelines="\n".join(_timeline(launch) for launch, _ in _longest_first(session)),
    )
    write_whole(path, page)


def _row(cells: tuple[str, ...]) -> str:
    kinds = ["" if name in ("kernel", "arguments", "findings", "bound") else ' class="number"' for name in HEADS]
    return "<tr>" + "".join(f"<td{k}>{html.escape(cell)}</td>" for k, cell in zip(kinds, cells, strict=True)) + "</tr>"


def _timeline(launch: Launch) -> str:
    page = html.escape(page_of(launch.report.timeline, launch.report.to_dict()))
    label = html.escape(f"{_name(launch)}({told(*launch.args, **launch.kwargs)}): {spoken(launch.report.latency_us)}")
    return (
        f'<details><summary>{label}</summary><iframe loading="lazy" title="{label}" srcdoc="{page}"></iframe></details>'
    )
