"""What happens before what on the cores of a launch: vector clocks with one slot per engine and DMA queue of every core.

Inside a core the order is that of the semaphores which the compiler must emit (`timing.order`): program order of each engine,
accesses to the same bytes, `depends_on`, and program order inside `no_reorder`. Between the cores there are the meetings:
`core_barrier` orders what is known of its `data` on both sides, `sendrecv` what comes before and after it. Where the
allocator puts a tile orders nothing, because another one may put it elsewhere; addresses given by hand do.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from opentrn.checks.fingerprints import fingerprints
from opentrn.errors import MachineError
from opentrn.isa.enums import engine
from opentrn.program.trace import READS, WRITES, Trace
from opentrn.timing.lower import COST_FIELDS, Classes, classes_of, columns_of
from opentrn.timing.order import SLOTS, clocks_of
from opentrn.timing.timeline import ENGINES

__all__ = ["CoreOrder", "Meeting", "Order", "order_of"]


@dataclass(frozen=True, eq=False)
class CoreOrder:
    """One core: its columns (`timing.lower.columns_of`, tensors by identity), and what each row knows of its own core."""

    trace: Trace
    columns: dict[str, Any]
    engine: np.ndarray  # uint8 (n): index of ENGINES
    slot: np.ndarray  # uint8 (n)
    clock: np.ndarray  # int32 (n): row of `clocks`
    clocks: np.ndarray  # int32 (k, SLOTS)

    def known(self, rows: np.ndarray) -> np.ndarray:
        """By slot, the latest row of this core that is complete when each of `rows` issues: int64 (len(rows), SLOTS)."""
        made = self.clocks[self.clock[rows]].astype(np.int64)
        made[np.arange(len(rows)), self.engine[rows]] = rows - 1  # an engine works in order
        return made


_Told = dict[int, tuple[list[int], list[np.ndarray]]]
"""Of one core, by slot: the rows of its meetings, and what both cores know after each."""


@dataclass(frozen=True)
class Meeting:
    """Where the two cores meet: what (``core_barrier``, ``sendrecv 0``), and its row on either core."""

    what: str
    rows: tuple[int, int]


@dataclass(frozen=True, eq=False)
class Order:
    """Happens-before of two cores."""

    cores: Sequence[CoreOrder]
    meetings: Sequence[Meeting]

    def phase(self, core: int, rows: np.ndarray) -> np.ndarray:
        """How many meetings come before each of `rows` in program order."""
        return np.searchsorted([m.rows[core] for m in self.meetings], rows)

    def known(self, core: int, rows: np.ndarray) -> np.ndarray:
        """By slot, the latest row of the other core that is complete when each of `rows` issues: int64 (len(rows), SLOTS)."""
        return self._after(core, rows)[:, 1 - core]

    @cached_property
    def prints(self) -> list[list[int]]:
        """`fingerprints` of both cores."""
        return [fingerprints(core.trace, number) for number, core in enumerate(self.cores)]

    @cached_property
    def _by_slot(self) -> list[dict[int, tuple[np.ndarray, np.ndarray]]]:
        """For each core and slot: the rows of its meetings, and what is known after each: int64 (k, 2, SLOTS)."""
        told: list[_Told] = [{}, {}]
        for meeting in self.meetings:
            both = np.maximum(*(self._before(told[core], core, row) for core, row in enumerate(meeting.rows)))
            for core, row in enumerate(meeting.rows):
                rows, after = told[core].setdefault(int(self.cores[core].slot[row]), ([], []))
                rows.append(row)
                after.append(np.maximum(both, after[-1]) if after else both)
        return [{s: (np.array(r), np.array(a)) for s, (r, a) in each.items()} for each in told]

    def _before(self, told: _Told, core: int, row: int) -> np.ndarray:
        """What one row knows of both cores, given what earlier meetings told: int64 (2, SLOTS)."""
        known = np.full((2, SLOTS), -1, np.int64)
        own = known[core] = self.cores[core].known(np.array([row]))[0]
        for slot, (rows, after) in told.items():
            latest = bisect_right(rows, own[slot]) - 1
            known = np.maximum(known, after[latest]) if latest >= 0 else known
        return known

    def _after(self, core: int, rows: np.ndarray) -> np.ndarray:
        """`_before` of many rows, when all meetings are known: int64 (len(rows), 2, SLOTS)."""
        known = np.full((len(rows), 2, SLOTS), -1, np.int64)
        own = known[:, core] = self.cores[core].known(rows)
        for slot, (at, after) in self._by_slot[core].items():
            latest = np.searchsorted(at, own[:, slot], "right") - 1
            known[latest >= 0] = np.maximum(known[latest >= 0], after[latest[latest >= 0]])
        return known


def order_of(traces: Sequence[Trace], chip: Any) -> Order:
    """The order of a launch of two cores that came to its end."""
    cores = [_core(trace, chip) for trace in traces]
    return Order(cores, list(_meetings(traces)))


def _core(trace: Trace, chip: Any) -> CoreOrder:
    classes = _classes(trace, chip)
    columns = _apart(columns_of(trace, chip, 0), trace)
    columns["edges"] = _edges(trace)
    columns["access"] = _with_barriers(trace)
    clock, clocks = clocks_of(columns, classes)
    engines, is_dma = classes.engine[trace.step], classes.is_dma[trace.step]
    return CoreOrder(trace, columns, engines, engines + len(ENGINES) * is_dma, clock, clocks)


def _classes(trace: Trace, chip: Any) -> Classes:
    """Which engine, and whether a DMA. A chip without public costs triggers its DMAs on the sync engine."""
    try:
        return classes_of(trace.steps, chip)
    except MachineError:
        pass
    names = [step.engine.name if step.engine.name in ENGINES else "sync" for step in trace.steps]
    return Classes(
        np.zeros((len(names), len(COST_FIELDS))),
        np.array([ENGINES.index(name) for name in names], np.uint8),
        np.array([step.engine is engine.dma for step in trace.steps], np.uint8),
        [], [], [],
    )  # fmt: skip


def _apart(columns: dict[str, Any], trace: Trace) -> dict[str, Any]:
    """The columns with every tensor in a memory of its own, save hand-placed ones; the same memory is one space."""
    spaces = columns["allocation_space"].copy()
    free = np.array([a.buffer.on_chip and not a.manual for a in trace.allocations], bool)
    top = int(spaces.max(initial=1)) + 1
    spaces[free] = top + np.arange(free.sum())
    first: dict[object, int] = {}
    for number, name in trace.shared.items():
        spaces[number] = spaces[first.setdefault(name, number)]
    place = {n: np.where(free, 0, columns[n]).astype(columns[n].dtype) for n in ("allocation_row", "allocation_byte")}
    skip = np.zeros(int(spaces.max(initial=1)) + 1, np.uint8)
    return columns | place | {"allocation_space": spaces, "skip": skip}


def _edges(trace: Trace) -> np.ndarray:
    """`depends_on`, and each instruction of a no_reorder region after the one before it; by consumer."""
    chains = [np.stack((np.arange(first, end - 1), np.arange(first + 1, end)), 1) for first, end in trace.fixed]
    edges = np.concatenate([trace.edges.reshape(-1, 2), *chains]).astype(np.int64)
    return np.ascontiguousarray(edges[np.argsort(edges[:, 1], kind="stable")])


def _with_barriers(trace: Trace) -> np.ndarray:
    """Accesses, with a barrier's data read and written: what comes before it is complete, what comes after waits."""
    access = np.array(trace.access, np.uint8)
    access[trace.first_operand[:-1][trace.rows_of("core_barrier")]] = READS | WRITES
    return access


def _meeting_of(step: Any, core: int) -> str | None:
    """What a step of `core` meets the other core at."""
    name, values = step.instruction.name, step.values
    if name == "core_barrier":
        return name if len(values["cores"]) > 1 else None
    alone = name != "sendrecv" or values["send_to_rank"] == values["recv_from_rank"] == core
    return None if alone else f"sendrecv {values['pipe_id']}"


def _meetings(traces: Sequence[Trace]) -> list[Meeting]:
    """In the order in which both cores came to them: a core waits at each."""
    rows: list[list[int]] = []
    names: list[list[str]] = []
    for core, trace in enumerate(traces):
        meets = [_meeting_of(step, core) for step in trace.steps]
        kinds = [n for n, what in enumerate(meets) if what is not None]
        rows.append(np.flatnonzero(np.isin(trace.step, kinds)).tolist())
        names.append([str(meets[trace.step[row]]) for row in rows[-1]])
    return [Meeting(a, (r, s)) for a, b, r, s in zip(*names, *rows, strict=False) if a == b]
