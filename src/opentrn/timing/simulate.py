"""`simulate`: when everything in a recorded program happens on a chip."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from opentrn.errors import KernelError
from opentrn.isa.enums import MemoryRegion
from opentrn.isa.spec import Use
from opentrn.program.site import site_of
from opentrn.program.trace import Trace
from opentrn.timing import native
from opentrn.timing.lower import Classes, classes_of, columns_of, machine_of
from opentrn.timing.timeline import ENGINES, Dma, Operation, Place, Semaphores, Series, Spans, Timeline

__all__ = ["simulate"]


def simulate(traces: Sequence[Trace], chip: Any, *, compiled: bool | None = None) -> Timeline:
    """Run one program per core through the event loop of `chip`.

    `chip` may be another machine than the one the program was recorded for (a changed one, for what-if questions).
    Raises KernelError with the chain of waits when the program can never end, MachineError where a cost has no public
    number.
    """
    steps = [step for trace in traces for step in trace.steps]
    classes = classes_of(steps, chip)
    firsts = np.cumsum([0, *(len(t.steps) for t in traces)])
    cores = [columns_of(t, chip, int(first)) for t, first in zip(traces, firsts, strict=False)]
    machine = machine_of(chip, classes)
    runs = []
    for machine["clock_phase_ns"] in _phases(machine, classes):
        results, stuck = native.run(machine, classes, cores, compiled=compiled)
        if stuck:
            raise _deadlock(traces, stuck)
        runs.append((_last(results, machine), len(runs), results))
        if runs[0][0] > PHASED_WINDOWS * machine["clock_window_ns"]:
            break
    middle = sorted(runs, key=lambda run: run[:2])[len(runs) // 2][2]
    ends = [last for last, _, _ in runs]
    return _Assembly(traces, chip, machine, classes, steps, cores, middle).timeline(ends)


PHASES, PHASED_WINDOWS = 5, 300
"""The clock's windows run free of the kernel's start, so a short kernel is timed at several phases and the median taken."""


def _phases(machine: dict[str, Any], classes: Classes) -> list[float]:
    """Ends of the clock's first window, the whole window first; one where the clock cannot matter."""
    window, matters = machine["clock_window_ns"], machine["clock_threshold"] > 0 and (classes.engine == 0).any()
    return [window * (PHASES - k) / PHASES for k in range(PHASES if matters else 1)]


def _last(results: Sequence[dict[str, Any]], machine: dict[str, Any]) -> float:
    return max((float(r["done"].max()) for r in results if len(r["done"])), default=machine["prologue_ns"])


def _deadlock(traces: Sequence[Trace], stuck: Sequence[tuple[int, int, int, int]]) -> KernelError:
    def named(core: int, row: int) -> str:
        trace = traces[core]
        step = trace.steps[trace.step[row]]
        return f"nisa.{step.instruction.name} ({site_of(trace.places[trace.place[row]])})"

    chain = []
    for core, engine, row, other in stuck:
        waits = "the other core" if other < 0 else named(core, other)
        chain.append(f"core {core} {ENGINES[engine]}: {named(core, row)} waits for {waits}")
    core, _, row, _ = stuck[0]
    return KernelError(
        "the program can never end: every engine waits",
        site=site_of(traces[core].places[traces[core].place[row]]),
        got="\n            ".join(chain),
        expected="barriers and sendrecvs that both cores reach, in the same order",
    )


class _Assembly:
    """The loop's columns as one `Timeline`."""

    def __init__(
        self,
        traces: Sequence[Trace],
        chip: Any,
        machine: dict[str, Any],
        classes: Classes,
        steps: Sequence[Any],
        cores: Sequence[dict[str, Any]],
        results: Sequence[dict[str, Any]],
    ) -> None:
        self.traces, self.chip, self.machine = traces, chip, machine
        self.classes, self.steps = classes, steps
        self.cores, self.results = cores, results
        self.first_row = np.cumsum([0, *(len(t) for t in traces)])

    def joined(self, name: str) -> np.ndarray:
        return np.concatenate([r[name] for r in self.results])

    def rows(self, name: str) -> np.ndarray:
        """A column of row numbers, shifted to the rows of the timeline; -1 stays."""
        parts = [
            np.where(r[name] < 0, -1, r[name] + base) for r, base in zip(self.results, self.first_row, strict=False)
        ]
        return np.concatenate(parts).astype(np.int64)

    def timeline(self, ends: Sequence[float]) -> Timeline:
        kind = np.concatenate([c["kind"] for c in self.cores])
        done = self.joined("done")
        places, place = self.places()
        prologue, epilogue = float(self.chip.cost.kernel_prologue_ns), float(self.chip.cost.kernel_epilogue_ns)
        last = _last(self.results, self.machine)
        return Timeline(
            chip=self.chip,
            cores=len(self.traces),
            total_ns=last + epilogue,
            prologue_ns=prologue,
            epilogue_ns=epilogue,
            operations=[_operation(s, c) for s, c in zip(self.steps, self.classes.given, strict=True)],
            places=places,
            tensors=[a for t in self.traces for a in t.allocations],
            core=np.repeat(np.arange(len(self.traces), dtype=np.uint8), [len(t) for t in self.traces]),
            engine=self.classes.engine[kind] if len(kind) else np.zeros(0, np.uint8),
            operation=kind,
            place=place,
            ready=self.joined("ready"),
            start=self.joined("start"),
            end=self.joined("end"),
            done=done,
            cause=self.joined("cause"),
            blocker=self.rows("blocker"),
            dma=self.dma(kind),
            semaphores=Semaphores(self.rows("producer"), self.rows("consumer")),
            queues=[f"core{c} {e}" for c in range(len(self.traces)) for e in ENGINES],
            occupancy=self.occupancy(),
            clock=[self.clock(r, last) for r in self.results],
            phase_totals_ns=tuple(end + epilogue for end in ends),
        )

    def places(self) -> tuple[list[Place], np.ndarray]:
        """Lines of all cores, equal ones once, and each row's."""
        known: dict[Any, int] = {}
        columns = []
        for trace in self.traces:
            numbers = [known.setdefault((code, line), len(known)) for code, line in trace.places]
            columns.append(np.array(numbers, np.int32)[trace.place] if numbers else np.zeros(0, np.int32))
        return [Place(c.co_filename, n, c.co_name) for c, n in known], np.concatenate(columns)

    def dma(self, kind: np.ndarray) -> Dma:
        first = self.joined("first")
        rows = np.flatnonzero(~np.isnan(first))
        kinds = kind[rows]
        moves = [c.transfer for c in self.classes.given]
        size = np.array([m.nbytes if m else 0 for m in moves], np.int64)[kinds]
        descriptors = np.array([m.descriptors if m else 0 for m in moves], np.int64)[kinds]
        engines = np.array([m.engines if m else 0 for m in moves], np.uint8)[kinds]
        last = self.joined("last")[rows] + np.array([m.stagger_ns if m else 0.0 for m in moves])[kinds]
        queue = self.classes.engine[kinds] + len(ENGINES) * (np.searchsorted(self.first_row, rows, "right") - 1)
        direction = np.array([_direction(s) for s in self.steps], np.uint8)[kinds]
        tensor, low, high = self.hbm_sides(rows)
        return Dma(
            rows, queue.astype(np.uint8), first[rows], last, size, descriptors, engines,
            direction, tensor, low, high,
        )  # fmt: skip

    def hbm_sides(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """For each DMA the first operand in HBM: its tensor (-1: none), and the bytes it spans."""
        found = [self._hbm_side(trace, base, rows) for trace, base in zip(self.traces, self.first_row, strict=False)]
        shift = np.cumsum([0, *(len(t.allocations) for t in self.traces)])
        tensor = [np.where(t < 0, -1, t + s) for (t, _, _), s in zip(found, shift, strict=False)]
        return (
            np.concatenate(tensor).astype(np.int32),
            np.concatenate([low for _, low, _ in found]),
            np.concatenate([high for _, _, high in found]),
        )

    @staticmethod
    def _hbm_side(trace: Trace, base: int, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        own = rows[(rows >= base) & (rows < base + len(trace))] - base
        in_hbm = np.array([not a.buffer.on_chip for a in trace.allocations], bool)
        span = np.array([_span(g) for g in trace.geometries], np.int64)
        item = np.array([g.itemsize for g in trace.geometries], np.int64)
        tensor, low, high = (np.full(len(own), value, np.int64) for value in (-1, 0, 0))
        for position in range(4):  # a DMA has few operands; the first in HBM counts
            at = trace.first_operand[own] + position
            inside = (at < trace.first_operand[own + 1]) & (tensor < 0)
            region = trace.region[np.where(inside, at, 0)]
            allocation = trace.region_allocation[region]
            take = inside & in_hbm[allocation]
            geometry = trace.region_geometry[region]
            start = trace.region_offset[region] * item[geometry]
            tensor[take] = allocation[take]
            low[take] = start[take]
            high[take] = (start + span[geometry])[take]
        return tensor, low, high

    def occupancy(self) -> dict[tuple[int, str], Series]:
        """Bytes per partition between each tensor's first and last instruction."""
        found = {}
        for core, (trace, result) in enumerate(zip(self.traces, self.results, strict=True)):
            for region in (MemoryRegion.sbuf, MemoryRegion.psum):
                live = [a for a in trace.allocations if a.buffer is region and a.first >= 0]
                if live:
                    found[core, region.value] = _occupied(live, result)
        return found

    def clock(self, result: dict[str, Any], last: float) -> Spans:
        """The rate of TensorE over time; it starts at half (or full where the chip has no ramp)."""
        edges = np.concatenate(([0.0], result["clock_change"], [last]))
        ramps = self.machine["clock_threshold"] > 0
        labels = [("half", "full")[n % 2] if ramps else "full" for n in range(len(edges) - 1)]
        return Spans(edges[:-1], edges[1:], labels)


def _occupied(live: Sequence[Any], result: dict[str, Any]) -> Series:
    begin = result["start"][[a.first for a in live]]
    end = result["done"][[a.last for a in live]]
    size = np.array([a.partition_bytes for a in live], float)
    time = np.concatenate([begin, end])
    order = np.argsort(time, kind="stable")
    value = np.cumsum(np.concatenate([size, -size])[order])
    return Series(time[order], value)


def _operation(step: Any, cost: Any) -> Operation:
    tensors = Use(step.instruction, step.values, step.chip, step.engine).tensors()
    return Operation(
        name=step.instruction.name,
        engine=cost.engine,
        operands=", ".join(_operand(n, v) for n, v in tensors),
        tiers=cost.tiers,
        flops=cost.flops,
        elements=cost.elements,
        busy_ns=cost.busy_ns,
        latency_ns=cost.latency_ns,
    )


def _operand(name: str, view: Any) -> str:
    shape = ", ".join(map(str, view.shape))
    return f"{name} ({shape}) {view.dtype} {view.buffer.value}"


def _direction(step: Any) -> int:
    """0 HBM to SBUF, 1 SBUF to HBM, 2 HBM to HBM, 3 on chip."""
    values = [v for _, v in Use(step.instruction, step.values, step.chip, step.engine).tensors()]
    roles = step.roles
    from_hbm = any(v.buffer.is_hbm for v, r in zip(values, roles, strict=True) if r == "in")
    to_hbm = any(v.buffer.is_hbm for v, r in zip(values, roles, strict=True) if r != "in")
    return {(True, False): 0, (False, True): 1, (True, True): 2, (False, False): 3}[from_hbm, to_hbm]


def _span(geometry: Any) -> int:
    reach = sum(s * (n - 1) for s, n in zip(geometry.strides, geometry.shape, strict=True))
    return (reach + 1) * geometry.itemsize
