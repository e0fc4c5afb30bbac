"""A report as text for the terminal: what took how long, why, and what to try."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from opentrn.profile.advice import Advice
from opentrn.profile.critical import Share
from opentrn.timing.timeline import Place

if TYPE_CHECKING:
    from opentrn.profile.report import ProfileReport

__all__ = ["bar", "brief", "engine_lines", "headline", "spoken", "summary", "table"]

WIDTH = 110
ROWS = 6
"""Rows of a list that the summary shows; the data has all of them."""


def bar(share: float, width: int = 20) -> str:
    """`share` of `width` characters filled."""
    filled = min(width, max(0, round(share * width)))
    return "#" * filled + "." * (width - filled)


def spoken(us: float) -> str:
    """Microseconds with a unit and about four digits, such as ``412.3 us`` or ``28.20 ms``."""
    for limit, factor, unit in ((1e3, 1.0, "us"), (1e6, 1e-3, "ms"), (float("inf"), 1e-6, "s")):
        if abs(us) < limit:
            value = us * factor
            return f"{value:.{2 if abs(value) < 100 else 1}f} {unit}"
    return f"{us} us"


def table(rows: Iterable[Iterable[str]], left: str, indent: int = 2) -> list[str]:
    """Rows in columns; `left` has an ``l`` or ``r`` for each: how it is aligned."""
    cells = [list(row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    pads = [str.ljust if side == "l" else str.rjust for side in left]
    return [
        " " * indent + "  ".join(pad(c, w) for pad, c, w in zip(pads, row, widths, strict=True)).rstrip()
        for row in cells
    ]


def headline(report: ProfileReport) -> list[str]:
    """The latency with its band, the size of the program and what bounds it, and how it was timed other than as written."""
    low, high = report.latency_band_us
    cores = "1 core" if report.cores == 1 else f"{report.cores} cores"
    lines = [
        f"{report.kernel} on {report.target}, {cores}: {spoken(report.latency_us)}"
        f"  ({spoken(low)} to {spoken(high)} by the provenance of the numbers)",
        f"  {report.instruction_count:,} instructions; {report.verdict}",
    ]
    if report.reorder:
        lines.append(f"  reordered: stores may be triggered up to {report.reorder} instructions of their engine later")
    return [*lines, f"  what if {', '.join(report.changes)}"] if report.changes else lines


def summary(report: ProfileReport) -> str:
    """The whole report in at most about 60 lines."""
    sections = (
        headline(report), engine_lines(report), _bound_lines(report), _path_lines(report), _stall_lines(report),
        _memory_lines(report), _advice_lines(report),
    )  # fmt: skip
    return "\n\n".join("\n".join(lines) for lines in sections if lines)


def brief(report: ProfileReport) -> str:
    """The latency, the engines, and the first two pieces of advice."""
    sections = (headline(report), engine_lines(report), _advice_lines(report, 2))
    return "\n\n".join("\n".join(lines) for lines in sections if lines)


def engine_lines(report: ProfileReport) -> list[str]:
    """Each engine: busy, waiting, idle, what it waits for; then the DMA engines together."""
    rows = [["engine", "busy", "", "wait", "idle", "instructions", "waits for"]]
    for engine in report.engines.values():
        total = engine.total_us or 1.0
        waits = ", ".join(
            f"{cause} {us / total:.0%}" for cause, us in list(engine.waits.items())[:3] if us > total / 200
        )
        rows.append([
            engine.name, f"{engine.utilisation:.0%}", f"[{bar(engine.utilisation)}]", f"{engine.wait_us / total:.0%}",
            f"{engine.idle_us / total:.0%}", f"{engine.instructions:,}", waits,
        ])  # fmt: skip
    dma, total = report.dma, report.latency_us or 1.0
    active = dma.active_us / total
    moved = (
        f"{_bytes(dma.nbytes)} in {dma.transfers:,} transfers: {dma.bandwidth_gbps:,.1f} GB/s,"
        f" {dma.share_of_peak:.0%} of {dma.peak_gbps:,.0f}"
    )
    return [*table(rows, "lrlrrrl"), f"  {'dma':<6}  {active:>4.0%}  [{bar(active)}]  {moved}"]


def _bound_lines(report: ProfileReport) -> list[str]:
    rows = [[name, spoken(b.us), f"{b.share:.0%}", f"[{bar(b.share)}]", b.text] for name, b in report.bounds.items()]
    point, lines = report.roofline, ["  lower bounds, from the ideal to the actual time", *table(rows, "lrrll", 4)]
    spent = ", ".join(f"{name} {spoken(us)}" for name, us in report.overheads.items())
    lines += _wrapped(f"overheads: {spent}", "    ", "      ") if spent else []
    if point.flops and point.intensity is not None:
        lines.append(
            f"    roofline: {point.intensity:,.1f} FLOP per HBM byte, {point.achieved_tflops:.2f} of"
            f" {point.attainable_tflops:.2f} TFLOPS attainable there ({point.peak_tflops:.0f} at peak)"
        )
    return lines


def _path_lines(report: ProfileReport) -> list[str]:
    path = report.critical
    rows = [
        [f"{line.critical_share:.1%}", str(line.place), f"{line.instruction} x {line.instructions:,}",
         f"busy {spoken(line.busy_us)}", f"wait {spoken(line.wait_us)}"]
        for line in report.lines[:ROWS]
    ]  # fmt: skip
    return [
        *_wrapped(f"critical path: {path.instructions:,} instructions; {_shares(path.by_engine)}", "  ", "    "),
        *_wrapped(f"each waited for: {_shares(path.by_cause)}", "    ", "      "),
        *(table(rows, "rllrr", 4) if rows else []),
    ]


def _stall_lines(report: ProfileReport) -> list[str]:
    whole = report.latency_us * report.cores
    rows = [
        [f"{s.us / whole:.1%}", s.engine, s.cause, _source(s.producer_engine, s.producer), f"x {s.count:,}"]
        for s in report.stalls[:ROWS]
    ]
    return ["  waits, by what they are for", *table(rows, "rlllr", 4)] if rows else []


def _source(engine: str | None, place: Place | None) -> str:
    return f"{engine} {place}" if place is not None else "nothing before it"


def _memory_lines(report: ProfileReport) -> list[str]:
    dma = report.dma
    lines = [
        f"  HBM: {_bytes(dma.hbm_read_bytes)} read, {_bytes(dma.hbm_written_bytes)} written; descriptors of"
        f" {dma.mean_descriptor_bytes:,} B on average, {dma.smallest_descriptor_bytes:,} B at least,"
        f" {dma.small_share:.0%} of the bytes below {dma.small_below_bytes:,} B"
    ] if dma.transfers else []  # fmt: skip
    lines += [
        f"    {again.tensor} loaded {again.factor:.1f} times ({_bytes(again.loaded_bytes)} for"
        f" {_bytes(again.distinct_bytes)}), mostly at {again.place}"
        for again in dma.reloads[:3]
    ]
    lines += [
        f"    {spill.tensor} stored ({_bytes(spill.stored_bytes)}) and loaded again ({_bytes(spill.loaded_bytes)}),"
        f" {spill.place}"
        for spill in dma.spills[:2]
    ]
    known = ", ".join(f"{tier} {share:.0%}" for tier, share in report.provenance.items())
    return [*lines, f"  the time rests on numbers that are: {known}"]


def _advice_lines(report: ProfileReport, most: int = 5) -> list[str]:
    return ["  to try", *_advice(report.advice[:most])] if report.advice else []


def _advice(found: Sequence[Advice]) -> Iterator[str]:
    for number, advice in enumerate(found, 1):
        where = f" [{advice.place}]" if advice.place else ""
        yield from _wrapped(f"{number}. {advice.evidence}{where}", "    ", "       ")
        yield from _wrapped(f"-> {advice.hint}", "       ", "          ")


def _shares(parts: tuple[Share, ...]) -> str:
    return ", ".join(f"{part.name} {part.share:.0%}" for part in parts if part.share >= 0.005)


def _bytes(count: int) -> str:
    for limit, factor, unit in ((1e3, 1, "B"), (1e6, 1e3, "kB"), (1e9, 1e6, "MB"), (float("inf"), 1e9, "GB")):
        if count < limit:
            return f"{count / factor:.{0 if unit == 'B' else 1}f} {unit}"
    return f"{count} B"


def _wrapped(text: str, first: str, rest: str) -> list[str]:
    return textwrap.wrap(text, WIDTH, initial_indent=first, subsequent_indent=rest, break_on_hyphens=False)
