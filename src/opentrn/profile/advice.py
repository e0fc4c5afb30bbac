"""What to try next, each piece tied to a number of the report and a line of the kernel."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from opentrn.profile.amounts import US, sums
from opentrn.profile.operands import described, streamed_dtype
from opentrn.profile.traffic import LOAD, STORE
from opentrn.profile.waits import waits as waits_of
from opentrn.timing.timeline import CAUSES, ENGINES, Place

__all__ = ["NOTABLE", "RULES", "Advice", "advise", "kinds"]

NOTABLE = 0.05
"""The fraction of the kernel's time from which on something is worth a word."""


@dataclass(frozen=True)
class Advice:
    """One finding. `us` is the time that its evidence speaks of, an upper limit of what can be won."""

    rule: str
    evidence: str
    hint: str
    us: float
    place: Place | None


_CHANGES_RESULTS = ("float32_products",)

Rule = Callable[[Any], Iterator[Advice]]

RULES: list[Rule] = []
"""Every rule: from a `ProfileReport` (its own advice still empty) to what it finds."""


def advise(report: Any) -> tuple[Advice, ...]:
    """All findings about a `ProfileReport`, those about most time first; what would change results comes last.

    Where two are about the same time, the one whose rule comes first: it says more.
    """
    found = (advice for rule in RULES for advice in rule(report))
    return tuple(sorted(found, key=lambda advice: (advice.rule in _CHANGES_RESULTS, -round(advice.us, 3))))


def kinds() -> dict[str, str]:
    """Every kind of advice by the name in `Advice.rule`, with what it is about."""
    named = {rule.__name__: (rule.__doc__ or "").rstrip(".") for rule in RULES if rule is not waits}
    return named | {cause: f"{what.removesuffix(' during')}" for cause, (what, _) in _WAITS.items()}


def _notable(report: Any, us: float) -> bool:
    return us > NOTABLE * report.latency_us


def _percent(report: Any, us: float) -> str:
    return f"{us / report.latency_us:.0%} of the time" if report.latency_us else "no time"


def _on_path(report: Any, name: str) -> float:
    return sum(part.us for part in report.critical.by_engine if part.name == name)


def _stall_place(report: Any, cause: str, engine: str | None = None) -> Place | None:
    found = (s.place for s in report.stalls if s.cause == cause and engine in (None, s.engine))
    return next(found, None)


@RULES.append
def small_descriptors(report: Any) -> Iterator[Advice]:
    """DMA in pieces below the payload that AWS calls efficient."""
    dma, on_path = report.dma, _on_path(report, "dma")
    us = on_path * dma.small_share
    if not _notable(report, us):
        return
    rows = report.timeline.dma
    small = rows.nbytes < dma.small_below_bytes * rows.descriptors
    places = report.timeline.place[rows.instruction]
    by_place = sums(places, np.where(small, rows.nbytes, 0), len(report.timeline.places))
    yield Advice(
        "small_descriptors",
        f"{dma.small_share:.0%} of the DMA bytes move in descriptors below {dma.small_below_bytes:,} B"
        f" (smallest {dma.smallest_descriptor_bytes:,} B); the critical path waits {_percent(report, on_path)} for DMA",
        "load more contiguous bytes per partition with each dma_copy, and take tiles from it in SBUF",
        us,
        report.timeline.places[int(by_place.argmax())],
    )


@RULES.append
def dma_triggers(report: Any) -> Iterator[Advice]:
    """An engine that does little but start transfers."""
    timeline, moves = report.timeline, report.timeline.dma.instruction
    spent = np.zeros(len(timeline))
    spent[moves] = timeline.busy[moves]
    by_engine = sums(timeline.engine, spent, len(ENGINES)) * US / report.cores
    most = int(by_engine.argmax())
    us = min(float(by_engine[most]), _on_path(report, ENGINES[most]))
    if us > 0.5 * report.latency_us:
        count = int((timeline.engine[moves] == most).sum())
        yield Advice(
            "dma_triggers",
            f"{ENGINES[most]} spends {_percent(report, us)} triggering {count:,} DMAs of"
            f" {report.dma.nbytes // report.dma.transfers:,} B on average",
            "move more bytes with each dma_copy, or let other engines trigger some of them (engine=...)",
            us,
            timeline.places[int(sums(timeline.place, spent, len(timeline.places)).argmax())],
        )


@RULES.append
def loads_behind_stores(report: Any) -> Iterator[Advice]:
    """An engine that triggers loads stands still until there is something to store."""
    timeline, dma = report.timeline, report.timeline.dma
    stores, loads = (dma.instruction[dma.direction == way] for way in (STORE, LOAD))
    held = np.zeros(len(timeline))
    held[stores] = timeline.wait[stores]
    both = np.isin(timeline.engine, np.unique(timeline.engine[loads]))
    by_engine = sums(timeline.engine, np.where(both, held, 0.0), len(ENGINES)) * US / report.cores
    most = int(by_engine.argmax())
    us = min(float(by_engine[most]), _waits_for_data(report))
    if _notable(report, us):
        yield Advice(
            "loads_behind_stores",
            f"{ENGINES[most]} triggers loads and stores in turn, and stands before stores {_percent(report, by_engine[most])};"
            f" an engine waits for data {_percent(report, _waits_for_data(report))}",
            "let another engine trigger the stores (engine=nisa.engine.scalar), or write the next loads before them",
            us,
            timeline.places[int(sums(timeline.place, held, len(timeline.places)).argmax())],
        )


def _waits_for_data(report: Any) -> float:
    """Microseconds that instructions which are no DMAs wait for data, on the engine where that is longest."""
    timeline, parts = report.timeline, waits_of(report.timeline)
    dma = CAUSES.index("dma")
    spent = np.where(parts.need == dma, parts.need_ns, 0.0) + np.where(parts.cause == dma, parts.cause_ns, 0.0)
    spent[timeline.dma.instruction] = 0.0
    return float(sums(timeline.engine, spent, len(ENGINES)).max()) * US / report.cores


@RULES.append
def tensor_waits_for_dma(report: Any) -> Iterator[Advice]:
    """TensorE stands still because its operands are not there."""
    us = report.engines["tensor"].waits.get("dma", 0.0) / report.cores
    if _notable(report, us):
        yield Advice(
            "tensor_waits_for_dma",
            f"TensorE waits for data in HBM during {_percent(report, us)}",
            "allocate the loaded tile in two or more buffers so that the next load runs under the current product,"
            " or hoist loads that do not depend on the inner loop",
            us,
            _stall_place(report, "dma", "tensor"),
        )


@RULES.append
def reloads(report: Any) -> Iterator[Advice]:
    """The same HBM bytes loaded again and again."""
    waited = _waits_for_data(report)
    for reload in report.dma.reloads[:3]:
        extra = reload.loaded_bytes - reload.distinct_bytes
        us = min(extra / report.dma.peak_gbps * US, waited)  # what nobody waits for costs nothing
        if _notable(report, us):
            yield Advice(
                "reloads",
                f"{reload.tensor} is loaded {reload.factor:.1f} times: {reload.loaded_bytes / 1e6:,.1f} MB for"
                f" {reload.distinct_bytes / 1e6:,.1f} MB, and an engine waits for data {_percent(report, waited)}",
                "keep the tile in SBUF across the loop that reloads it, or block that loop",
                us,
                reload.place,
            )


@RULES.append
def spills(report: Any) -> Iterator[Advice]:
    """Intermediate results that go to HBM and come back."""
    for spill in report.dma.spills[:2]:
        us = (spill.stored_bytes + spill.loaded_bytes) / report.dma.peak_gbps * US
        if _notable(report, us):
            yield Advice(
                "spills",
                f"{spill.tensor} is stored ({spill.stored_bytes / 1e6:,.1f} MB) and loaded again"
                f" ({spill.loaded_bytes / 1e6:,.1f} MB), {_percent(report, us)}",
                "keep it in SBUF, or fuse the loops that write and read it",
                us,
                spill.place,
            )


@RULES.append
def throttled(report: Any) -> Iterator[Advice]:
    """TensorE at half its clock."""
    us = report.overheads.get("throttle", 0.0) / report.cores
    if _notable(report, us):
        yield Advice(
            "throttled",
            f"TensorE works at half its clock for so long that {_percent(report, us)} is lost",
            "keep TensorE busy without gaps: it drops to half its clock when it idles (issue products back to back)",
            us,
            None,
        )


_WAITS = {
    "table": (
        "ScalarE waits for activation tables during",
        "group activations by function, so that the table changes less often, or use a function of the same table",
    ),
    "weights": (
        "TensorE waits for its stationary operand to be loaded during",
        "keep one stationary tile for several moving tiles, with a free size of the moving operand as large as allowed",
    ),
    "bank": (
        "engines wait for each other in one PSUM bank during",
        "give tensors that are used at the same time their own PSUM banks",
    ),
    "port": (
        "VectorE and GpSimd wait for the SBUF port that they share during",
        "move one of the two instructions to ScalarE or away in time",
    ),
    "register": (
        "engines wait for run-time addresses to be read during",
        "hoist address registers out of the inner loop",
    ),
}


@RULES.append
def waits(report: Any) -> Iterator[Advice]:
    """Waits whose cause names its own cure."""
    for cause, (what, hint) in _WAITS.items():
        us = sum(engine.waits.get(cause, 0.0) for engine in report.engines.values()) / report.cores
        if _notable(report, us):
            yield Advice(cause, f"{what} {_percent(report, us)}", hint, us, _stall_place(report, cause))


@RULES.append
def few_partitions(report: Any) -> Iterator[Advice]:
    """Instructions that use a quarter of the lanes or less."""
    timeline, chip = report.timeline, report.timeline.chip
    lanes = chip.memory.partitions
    widths = [_width(op.operands, lanes) for op in timeline.operations]
    moves = np.zeros(len(timeline), bool)
    moves[timeline.dma.instruction] = True
    narrow = (np.array(widths, np.int64)[timeline.operation] <= lanes // 4) & ~moves
    spent = np.where(narrow, timeline.busy, 0.0)
    us = float(spent.sum()) * US / report.cores
    if _notable(report, us):
        rows = np.flatnonzero(narrow)
        least = min(widths[n] for n in np.unique(timeline.operation[rows]))
        yield Advice(
            "few_partitions",
            f"{len(rows):,} instructions use at most {lanes // 4} of {lanes} partitions (as few as {least}):"
            f" {_percent(report, us)}",
            "lay the data out with the long dimension on the partitions; an engine takes as long for 1 as for all",
            us,
            timeline.places[int(sums(timeline.place, spent, len(timeline.places)).argmax())],
        )


def _width(operands: str, default: int) -> int:
    """The most partitions of any operand: what the instruction engages."""
    return max((operand.partitions for operand in described(operands)), default=default)


@RULES.append
def short_products(report: Any) -> Iterator[Advice]:
    """TensorE with few moving columns per instruction."""
    timeline = report.timeline
    limit = timeline.chip.limits.gemm_moving_fmax
    short = np.array([0 < op.elements <= limit // 4 and op.flops > 0 for op in timeline.operations], bool)
    spent = np.where(short[timeline.operation] & (timeline.engine == ENGINES.index("tensor")), timeline.busy, 0.0)
    us = float(spent.sum()) * US / report.cores
    if _notable(report, us):
        yield Advice(
            "short_products",
            f"TensorE spends {_percent(report, us)} on products of at most {limit // 4} of {limit} moving columns",
            f"make the free size of the moving operand larger: {limit} hides the start and the load of the weights",
            us,
            timeline.places[int(sums(timeline.place, spent, len(timeline.places)).argmax())],
        )


@RULES.append
def float32_products(report: Any) -> Iterator[Advice]:
    """TensorE takes several passes for float32."""
    timeline, table = report.timeline, report.timeline.chip.engines.tensor
    wide = [op.flops > 0 and streamed_dtype(op.operands) in ("float32", "tfloat32") for op in timeline.operations]
    spent = np.where(np.array(wide, bool)[timeline.operation], timeline.busy, 0.0)
    us = float(spent.sum()) * US / report.cores * (1 - table.tflops_fp32 / table.tflops_bf16)
    if report.engines["tensor"].utilisation > 0.5 and _notable(report, us):
        yield Advice(
            "float32_products",
            f"TensorE is busy {report.engines['tensor'].utilisation:.0%} of the time, with float32 operands: it makes"
            f" {table.tflops_fp32:g} TFLOPS of them and {table.tflops_bf16:g} of bfloat16",
            "use bfloat16 operands where 8 bits of mantissa are enough; PSUM still sums in float32",
            us,
            timeline.places[int(sums(timeline.place, spent, len(timeline.places)).argmax())],
        )


@RULES.append
def engines_take_turns(report: Any) -> Iterator[Advice]:
    """No engine is busy for long: each waits for the one before it."""
    most = max(report.engines.values(), key=lambda engine: engine.utilisation)
    us = sum(part.us for part in report.critical.by_cause if part.name == "semaphore")
    if most.utilisation < 0.6 and us > 0.3 * report.latency_us:
        yield Advice(
            "engines_take_turns",
            f"no engine is busy more than {most.utilisation:.0%} ({most.name}), and {_percent(report, us)} the critical"
            " path goes from engine to engine",
            "work on two or more independent tiles at a time, so that one engine's next tile runs under another's",
            us,
            _stall_place(report, "semaphore"),
        )


@RULES.append
def too_small(report: Any) -> Iterator[Advice]:
    """A kernel that is mostly its own start and end."""
    us = report.overheads.get("prologue", 0.0) + report.overheads.get("epilogue", 0.0)
    if us > 0.25 * report.latency_us:
        yield Advice(
            "too_small",
            f"starting and ending a kernel takes {_percent(report, us)}",
            "do more in one launch, or fuse the kernel with its neighbours",
            us,
            None,
        )
