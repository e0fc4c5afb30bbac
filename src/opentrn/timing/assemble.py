"""The event loop's columns as one `Timeline`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from opentrn.isa.spec import Use
from opentrn.program.trace import Trace
from opentrn.timing.lower import Classes
from opentrn.timing.timeline import ENGINES, Dma, Operation, Place, Semaphores, Series, Spans, Timeline

__all__ = ["Assembly", "direction_of", "last_done"]


def last_done(results: Sequence[dict[str, Any]], machine: dict[str, Any]) -> float:
    """When everything is done, before the epilogue."""
    return max((float(r["done"].max()) for r in results if len(r["done"])), default=machine["prologue_ns"])


class Assembly:
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
        last = last_done(self.results, self.machine)
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
        direction = np.array([direction_of(s) for s in self.steps], np.uint8)[kinds]
        tensor, low, high = self.hbm_sides(rows)
        return Dma(
            rows, queue.astype(np.uint8), first[rows], last, size, descriptors, engines,
            direction, tensor, low, high,
        )  # fmt: skip

    def hbm_sides(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """For each DMA the first operand in HBM: its tensor (-1: none), and the bytes it spans."""
        shift = np.cumsum([0, *(len(t.allocations) for t in self.traces)])
        parts = []
        for number, (trace, columns) in enumerate(zip(self.traces, self.cores, strict=True)):
            base = self.first_row[number]
            own = rows[(rows >= base) & (rows < base + len(trace))] - base
            tensor, low, high = _hbm_side(trace, columns, own)
            parts.append((np.where(tensor < 0, -1, tensor + shift[number]), low, high))
        tensor, low, high = (np.concatenate(part) for part in zip(*parts, strict=True))
        return tensor.astype(np.int32), low, high

    def occupancy(self) -> dict[tuple[int, str], Series]:
        """Bytes per partition between each tensor's first and last instruction."""
        found = {}
        for core, (columns, result) in enumerate(zip(self.cores, self.results, strict=True)):
            for space, name in enumerate(("sbuf", "psum")):
                live = (columns["allocation_space"] == space) & (columns["allocation_first"] >= 0)
                if live.any():
                    found[core, name] = _occupied(columns, result, live)
        return found

    def clock(self, result: dict[str, Any], last: float) -> Spans:
        """The rate of TensorE over time; it starts at half (or full where the chip has no ramp)."""
        edges = np.concatenate(([0.0], result["clock_change"], [last]))
        ramps = self.machine["clock_threshold"] > 0
        labels = [("half", "full")[n % 2] if ramps else "full" for n in range(len(edges) - 1)]
        return Spans(edges[:-1], edges[1:], labels)


def _hbm_side(trace: Trace, columns: dict[str, Any], rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(allocation or -1, first byte, end of the bytes) of the first HBM operand of each of a core's rows."""
    in_hbm = columns["allocation_on_chip"][trace.region_allocation] == 0
    at = np.flatnonzero(in_hbm[trace.region])  # operands in HBM
    found = np.searchsorted(at, trace.first_operand[rows])
    here = np.append(at, len(trace.region))[found]
    none = here >= trace.first_operand[rows + 1]
    region = trace.region[np.where(none, 0, here)]
    span = np.array([_span(g) for g in trace.geometries], np.int64)
    geometry = trace.region_geometry[region]
    low = trace.region_offset[region] * columns["geometry_itemsize"][geometry]
    high = low + span[geometry]
    tensor = np.where(none, -1, trace.region_allocation[region])
    return tensor, np.where(none, 0, low), np.where(none, 0, high)


def _occupied(columns: dict[str, Any], result: dict[str, Any], live: np.ndarray) -> Series:
    begin = result["start"][columns["allocation_first"][live]]
    end = result["done"][columns["allocation_last"][live]]
    size = columns["allocation_width"][live].astype(float)
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


def direction_of(step: Any) -> int:
    """0 HBM to SBUF, 1 SBUF to HBM, 2 HBM to HBM, 3 on chip."""
    values = [v for _, v in Use(step.instruction, step.values, step.chip, step.engine).tensors()]
    roles = step.roles
    from_hbm = any(v.buffer.is_hbm for v, r in zip(values, roles, strict=True) if r == "in")
    to_hbm = any(v.buffer.is_hbm for v, r in zip(values, roles, strict=True) if r != "in")
    return {(True, False): 0, (False, True): 1, (True, True): 2, (False, False): 3}[from_hbm, to_hbm]


def _span(geometry: Any) -> int:
    reach = sum(s * (n - 1) for s, n in zip(geometry.strides, geometry.shape, strict=True))
    return (reach + 1) * geometry.itemsize
