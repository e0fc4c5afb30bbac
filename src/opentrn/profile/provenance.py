"""How well the numbers are known on which a latency rests, and the band that follows from it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from opentrn.profile.amounts import US, sums
from opentrn.profile.critical import Segments
from opentrn.timing.timeline import Timeline

__all__ = ["UNCERTAINTY", "Uncertainty", "band", "shares", "worst_tier"]


@dataclass(frozen=True)
class Uncertainty:
    """By how much a number of one tier may be off, as a fraction of it, and why we say so."""

    fraction: float
    reason: str


UNCERTAINTY = {
    "changed": Uncertainty(0.0, "asked for by the user: it is what it is said to be"),
    "measured": Uncertainty(0.03, "two public measurements of one DMA trigger, 582 and 599 ns, lie 3 % apart"),
    "documented": Uncertainty(
        0.05, "AWS's pages agree to 5 %: 667 TFLOPS for a chip of 8 cores of 79, HBM of 2.9 or 3 TB/s"
    ),
    "code": Uncertainty(0.05, "written by AWS for its own estimates: as good as its documents"),
    "figure": Uncertainty(0.10, "read off a screenshot of one run; LDWEIGHTS alone shows 183 to 193 ns"),
    "derived": Uncertainty(0.10, "arithmetic on two documented numbers, each as far off as it may be"),
    "fitted": Uncertainty(0.15, "a line through published points; what lies between and beyond them is assumed"),
    "inferred": Uncertainty(0.50, "a stated guess, often from another generation of the chip"),
}
"""By tier (`machine.TIERS`, and "changed" of a what-if), surest first. The only place with these figures.

They are judgements with a reason each, not statistics; `opentrn validate` shows how far predictions are off. Errors of
one tier are taken to go the same way, which makes the band wide.
"""

_ORDER = {tier: n for n, tier in enumerate(UNCERTAINTY)}


def worst_tier(tiers: tuple[str, ...]) -> str:
    """The least certain of `tiers`; "inferred" where none is named."""
    return max(tiers, key=_ORDER.__getitem__, default="inferred")


def shares(timeline: Timeline, path: Segments) -> dict[str, float]:
    """Tier -> the fraction of the kernel's time, along the critical path, that rests on it; surest first, sum 1.

    An instruction counts under its worst tier, prologue and epilogue under the chip's own.
    """
    of_operation = np.array([_ORDER[worst_tier(op.tiers)] for op in timeline.operations], np.int64)
    rows = timeline.operation[path.rows]
    amounts = sums(of_operation[rows], path.gap + path.work, len(_ORDER)) if len(rows) else np.zeros(len(_ORDER))
    for name, ns in (("prologue", path.prologue_ns), ("epilogue", path.epilogue_ns)):
        known = timeline.chip.quantities().get(f"cost.kernel_{name}_ns")
        amounts[_ORDER[known.tier if known else "inferred"]] += ns
    total = amounts.sum() or 1.0
    return {tier: float(amounts[n] / total) for tier, n in _ORDER.items() if amounts[n] > 0}


def band(timeline: Timeline, by_tier: dict[str, float]) -> tuple[float, float]:
    """(low, high) latency in microseconds.

    Each tier's share of the time may be off by its uncertainty, all the same way; and where the run depends on the
    phase of the clock of TensorE (`Timeline.phase_totals_ns`), from the quickest of these runs to the slowest.
    """
    off = sum(share * UNCERTAINTY[tier].fraction for tier, share in by_tier.items())
    runs = (*timeline.phase_totals_ns, timeline.total_ns)
    return min(runs) * US * (1 - off), max(runs) * US * (1 + off)
