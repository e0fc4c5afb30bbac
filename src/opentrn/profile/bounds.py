"""How fast the kernel could be: a ladder of lower bounds, each with one more limit of the chip, up to the actual time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from opentrn.errors import MachineError
from opentrn.profile.amounts import US, overlap
from opentrn.profile.engines import engines_of
from opentrn.profile.operands import streamed_dtype
from opentrn.profile.traffic import bandwidth_peak, hbm_bytes, once_bytes
from opentrn.profile.waits import waits
from opentrn.timing.timeline import CAUSES, ENGINES, Timeline

__all__ = ["Bound", "Roofline", "bounds", "overheads", "roofline"]


@dataclass(frozen=True)
class Bound:
    """The kernel cannot take less than `us`, for the reason in `text`; `share` is us / actual time."""

    us: float
    share: float
    text: str


@dataclass(frozen=True)
class Roofline:
    """The kernel as a point: floating-point operations of TensorE per byte of HBM, and what it reached.

    `attainable_tflops` is the roof at that intensity (infinite intensity where no HBM byte moves is given as None).
    """

    flops: float
    hbm_bytes: int
    intensity: float | None
    achieved_tflops: float
    peak_tflops: float
    attainable_tflops: float
    bandwidth_gbps: float


def bounds(timeline: Timeline) -> dict[str, Bound]:
    """The ladder, by name: compute, memory, traffic, engine, dependency, actual. Times are of the slower core.

    compute: the operations of TensorE at its peak rate. memory: each distinct HBM byte once, at full bandwidth.
    traffic: the bytes that were moved. engine: the busiest engine alone. dependency: the longest chain of instructions in
    the kernel's order, through engines and semaphores, each as quick as its quickest execution in this run: no clock
    that ramps, no table to load, no bandwidth to share.
    """
    actual = timeline.total_ns * US
    flops, at_peak = _compute(timeline)
    rate, once, moved = bandwidth_peak(timeline), once_bytes(timeline), sum(hbm_bytes(timeline.dma))
    name, busiest = _busiest(timeline)
    made = {
        "compute": (at_peak * US, f"TensorE: {flops / 1e9:,.2f} GFLOP at peak"),
        "memory": (once / rate * US, f"HBM: {once / 1e6:,.2f} MB, each byte once, at {rate:,.0f} GB/s"),
        "traffic": (moved / rate * US, f"HBM: {moved / 1e6:,.2f} MB as moved, at {rate:,.0f} GB/s"),
        "engine": (busiest, f"the busiest engine: {name}"),
        "dependency": (_dependency(timeline) * US, "the longest chain in program order, everything at its quickest"),
        "actual": (actual, "as timed"),
    }
    return {key: Bound(us, us / actual if actual else 0.0, text) for key, (us, text) in made.items()}


def overheads(timeline: Timeline) -> dict[str, float]:
    """Microseconds that no arithmetic and no byte asked for, by name; they may overlap with other work.

    prologue and epilogue: of every kernel. throttle: TensorE at half its clock. The others are waits of that cause.
    """
    waited = waits(timeline).by_cause(np.arange(len(timeline)))
    causes = ("table", "weights", "register", "bank", "port", "core")
    tables = {cause: float(waited[CAUSES.index(cause)]) for cause in causes}
    fixed = {"prologue": timeline.prologue_ns, "epilogue": timeline.epilogue_ns, "throttle": _throttled(timeline)}
    return {name: ns * US for name, ns in (fixed | tables).items() if ns > 0}


def roofline(timeline: Timeline) -> Roofline:
    """The roofline point of the run, against the peak of the dtypes that it multiplied."""
    flops, at_peak = _compute(timeline)
    moved, rate = sum(hbm_bytes(timeline.dma)), bandwidth_peak(timeline)
    peak = flops / at_peak if at_peak else timeline.cores * timeline.chip.engines.tensor.tflops_bf16 * 1e3
    intensity = flops / moved if moved else None
    roof = peak if intensity is None else min(peak, intensity * rate)
    reached = flops / timeline.total_ns if timeline.total_ns else 0.0
    return Roofline(flops, moved, intensity, reached / 1e3, peak / 1e3, roof / 1e3, rate)


def _compute(timeline: Timeline) -> tuple[float, float]:
    """(operations of TensorE on all cores, ns that they take at peak with the cores sharing them)."""
    runs = np.bincount(timeline.operation, minlength=len(timeline.operations))
    flops = [float(n * op.flops) for n, op in zip(runs, timeline.operations, strict=True)]
    peaks = [_peak(timeline, op.operands) if op.flops else 1.0 for op in timeline.operations]
    return sum(flops), sum(f / p for f, p in zip(flops, peaks, strict=True)) / timeline.cores


def _peak(timeline: Timeline, operands: str) -> float:
    """Operations per ns of one TensorE for these operands. A dtype without a figure of its own runs at the 16-bit rate."""
    dtype = streamed_dtype(operands)
    if dtype is None:
        raise MachineError(
            "no peak rate for an instruction on TensorE",
            got=operands,
            expected="an operand other than dst, with its dtype",
        )
    table = timeline.chip.engines.tensor
    key = "tflops_mx" if dtype.endswith("_x4") else "tflops_fp8" if dtype.startswith("float8") else "tflops_bf16"
    if dtype in ("float32", "tfloat32"):
        key = "tflops_fp32"
    return table[key if key in table else "tflops_bf16"] * 1e3


def _busiest(timeline: Timeline) -> tuple[str, float]:
    """(name, busy microseconds) of the engine of one core that worked longest."""
    every = [engine for core in range(timeline.cores) for engine in engines_of(timeline, core).values()]
    most = max(every, key=lambda engine: engine.busy_us)
    return most.name, most.busy_us


def _dependency(timeline: Timeline) -> float:
    """ns of the longest chain of instructions, in program order on each engine and through semaphores between them."""
    if not len(timeline):
        return timeline.total_ns
    held, took = _quickest(timeline, timeline.busy), _quickest(timeline, timeline.done - timeline.start)
    waits, (before, after) = timeline.semaphores, _neighbours(timeline)
    producer = np.concatenate((waits.producer, before))
    consumer = np.concatenate((waits.consumer, after))
    delay = np.concatenate((took[waits.producer], held[before]))
    order = np.lexsort((consumer, timeline.start[consumer]))  # so that what comes before an instruction is known first
    free = [timeline.prologue_ns] * len(took)
    for p, c, d in zip(producer[order].tolist(), consumer[order].tolist(), delay[order].tolist(), strict=True):
        at = free[p] + d
        if at > free[c]:
            free[c] = at
    return float(np.max(np.array(free) + took)) + timeline.epilogue_ns


def _quickest(timeline: Timeline, amount: np.ndarray) -> np.ndarray:
    """For each row, the least `amount` of any execution of the same operation."""
    least = np.full(len(timeline.operations), np.inf)
    np.minimum.at(least, timeline.operation, amount)
    return least[timeline.operation]


def _neighbours(timeline: Timeline) -> tuple[np.ndarray, np.ndarray]:
    """(rows, the row after each on its engine)."""
    sequencer = timeline.core.astype(np.int64) * len(ENGINES) + timeline.engine
    order = np.argsort(sequencer, kind="stable")
    same = sequencer[order[:-1]] == sequencer[order[1:]]
    return order[:-1][same], order[1:][same]


def _throttled(timeline: Timeline) -> float:
    """ns that TensorE lost because its clock ran at half the rate while it worked."""
    lost = 0.0
    for core, spans in enumerate(timeline.clock):
        half = np.array([label == "half" for label in spans.label], bool)
        rows = (timeline.core == core) & (timeline.engine == ENGINES.index("tensor"))
        slow = overlap(timeline.start[rows], timeline.end[rows], spans.start[half], spans.end[half])
        lost += slow * (1 - timeline.chip.cost.tensor.startup_rate) if slow else 0.0
    return lost
