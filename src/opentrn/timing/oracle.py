"""The event loop in Python: the specification of the compiled one, and what runs where there is none.

Written for reading. Dependencies come from comparing every access with all that are still in force; the loop always takes
the next event in time. Names and columns are those of `lower`; the rules are documented in docs/timing.md.
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from opentrn.program.trace import READS, WRITES
from opentrn.timing.lower import COST_FIELDS, Classes
from opentrn.timing.timeline import CAUSES, ENGINES

__all__ = ["Region", "clocks_of", "region_of", "run"]

NEVER = math.inf
CAUSE = {name: number for number, name in enumerate(CAUSES)}
TENSOR, VECTOR, SCALAR, GPSIMD = 0, 1, 2, 3


# -------------------------------------------------------------------- what is touched
@dataclass(frozen=True, eq=False)
class Region:
    """Rows [row0, row1) of a space, and in each of them the bytes of `starts` to `ends` (ascending, disjoint)."""

    space: int
    row0: int
    row1: int
    starts: np.ndarray
    ends: np.ndarray
    banks: int

    def shares(self, other: Region) -> bool:
        if self.row0 >= other.row1 or other.row0 >= self.row1:
            return False
        after = np.searchsorted(other.ends, self.starts, "right")
        inside = after < len(other.starts)
        return bool((other.starts[np.minimum(after, len(other.starts) - 1)] < self.ends)[inside].any())

    def covers(self, other: Region) -> bool:
        if not (self.row0 <= other.row0 and other.row1 <= self.row1):
            return False
        at = np.searchsorted(self.starts, other.starts, "right") - 1
        return bool(((at >= 0) & (other.ends <= self.ends[np.maximum(at, 0)])).all())


def _runs_of(base: int, dimensions: list[tuple[int, int]], itemsize: int) -> tuple[np.ndarray, np.ndarray]:
    """Ascending, disjoint byte runs of a strided pattern."""
    starts, run = np.array([base], np.int64), itemsize
    for stride, count in sorted(d for d in dimensions if d[0] and d[1] > 1):
        if stride == run and len(starts) == 1:
            run *= count
        else:
            starts = (starts[:, None] + stride * np.arange(count)).reshape(-1)
    starts = np.unique(starts)
    fresh = np.concatenate(([True], starts[1:] > starts[:-1] + run))
    last = np.concatenate((np.flatnonzero(fresh)[1:] - 1, [len(starts) - 1]))
    return starts[fresh], starts[last] + run


def region_of(core: dict[str, Any], number: int) -> Region:
    """Region `number` of a core's columns."""
    a, g = core["region_allocation"][number], core["region_geometry"][number]
    width, row, byte = (int(core[f"allocation_{n}"][a]) for n in ("width", "row", "byte"))
    space, on_chip = int(core["allocation_space"][a]), bool(core["allocation_on_chip"][a])
    total, item = int(core["allocation_bytes"][a]), int(core["geometry_itemsize"][g])
    first, end = core["geometry_first"][g], core["geometry_first"][g + 1]
    shape, stride = core["geometry_shape"][first:end], core["geometry_stride"][first:end]
    dimensions = [(int(s) * item, int(n)) for s, n in zip(stride, shape, strict=True)]
    start = int(core["region_offset"][number]) * item
    if core["geometry_whole"][g]:
        rows = total // width if on_chip else 1
        starts, ends = np.array([byte]), np.array([byte + (width if on_chip else total)])
        row0, row1 = row, row + rows
    elif on_chip:
        starts, ends = _runs_of(byte + start % width, dimensions[1:], item)
        row0 = row + start // width
        row1 = row0 + (dimensions[0][1] if dimensions[0][0] else 1)
    else:
        starts, ends = _runs_of(start, dimensions, item)
        row0, row1 = 0, 1
    banks = 0
    if space == core["psum_space"]:
        size = core["bank_bytes"]
        used = range(int(starts[0]) // size, (int(ends[-1]) - 1) // size + 1)
        banks = 0xFF if core["geometry_whole"][g] else sum(1 << b for b in {b & 7 for b in used})
    return Region(space, row0, row1, starts, ends, banks)


# -------------------------------------------------------------------- what waits for what
@dataclass(frozen=True)
class _Access:
    region: int
    instruction: int
    slot: int
    access: int


class _Program:
    """One core's instructions with their waits, found by looking at everything that is still in force."""

    def __init__(self, core: dict[str, Any], classes: Classes) -> None:
        self.kind, self.count = core["kind"], len(core["kind"])
        self.engine, self.is_dma = classes.engine[self.kind], classes.is_dma[self.kind]
        self.slot = self.engine.astype(int) + len(ENGINES) * self.is_dma
        self.regions = [region_of(core, n) for n in range(len(core["region_allocation"]))]
        self.banks = [0] * self.count
        self.waits: list[list[int]] = []
        self.local = [-1] * self.count
        self._core = core
        self._known: dict[tuple[int, int], bool] = {}
        self._clocks: list[list[int]] = []
        self._current = [[-1] * (2 * len(ENGINES)) for _ in ENGINES]
        self._force: dict[int, list[_Access]] = {}
        self._edges: dict[int, list[int]] = {}
        for producer, consumer in core["edges"]:
            self._edges.setdefault(int(consumer), []).append(int(producer))
        for i in range(self.count):
            self._add(i)

    def _operands(self, i: int) -> list[tuple[int, int]]:
        first, end = self._core["first_operand"][i : i + 2]
        return [(int(self._core["region"][k]), int(self._core["access"][k])) for k in range(first, end)]

    def _shares(self, left: int, right: int) -> bool:
        if (left, right) not in self._known:
            self._known[left, right] = self.regions[left].shares(self.regions[right])
        return self._known[left, right]

    def _conflicts(self, region: int, access: int) -> list[_Access]:
        force = self._force.get(self.regions[region].space, [])
        return [old for old in force if (old.access | access) & WRITES and self._shares(old.region, region)]

    def _add(self, i: int) -> None:
        engine, slot, operands = int(self.engine[i]), int(self.slot[i]), self._operands(i)
        for region, _ in operands:
            self.banks[i] |= self.regions[region].banks
        operands = [(r, a) for r, a in operands if not self._core["skip"][self.regions[r].space]]
        read = [old for r, a in operands if a & READS for old in self._conflicts(r, READS)]
        every = read + [old for r, a in operands if a & WRITES for old in self._conflicts(r, WRITES)]
        if slot < len(ENGINES) and engine != TENSOR:  # TensorE reads SBUF only; its sums in PSUM are pipelined
            self.local[i] = max((o.instruction for o in read if o.slot == slot), default=-1)
        latest: dict[int, int] = {}
        for old in every:
            latest[old.slot] = max(latest.get(old.slot, -1), old.instruction)
        for producer in self._edges.get(i, []):
            latest[int(self.slot[producer])] = max(latest.get(int(self.slot[producer]), -1), producer)
        latest.pop(engine, None)  # an engine works in order
        self.waits.append(self._prune(engine, latest))
        if self.local[i] <= self._current[engine][slot]:  # known to be complete through another engine
            self.local[i] = -1
        self._clocks.append(list(self._current[engine]))
        for region, access in operands:
            self._enforce(_Access(region, i, slot, WRITES if access & WRITES else READS))

    def _prune(self, engine: int, latest: dict[int, int]) -> list[int]:
        """Without the waits that an earlier one implies."""
        clock, kept = self._current[engine], []
        for slot, producer in sorted(latest.items(), key=lambda item: -item[1]):
            if clock[slot] < producer:
                kept.append(producer)
                clock[:] = [max(a, b) for a, b in zip(clock, self._clocks[producer], strict=True)]
                clock[slot] = max(clock[slot], producer)
        return kept

    def _enforce(self, new: _Access) -> None:
        region = self.regions[new.region]
        force = self._force.setdefault(region.space, [])

        def hidden(old: _Access) -> bool:
            replaces = new.access & WRITES or (old.slot == new.slot and not old.access & WRITES)
            return bool(replaces) and region.covers(self.regions[old.region])

        force[:] = [old for old in force if not hidden(old)] + [new]


def clocks_of(core: dict[str, Any], classes: Classes) -> tuple[np.ndarray, np.ndarray]:
    """See `order.clocks_of`; every row has a clock of its own."""
    clocks = _Program(core, classes)._clocks
    return np.arange(len(clocks), dtype=np.int32), np.array(clocks, np.int32).reshape(-1, 2 * len(ENGINES))


# -------------------------------------------------------------------- when
@dataclass
class _Engine:
    order: deque[int]
    free: float
    last_done: float
    previous: int = -1
    port_free: float = 0.0  # end of its latest work on data; triggering a DMA takes no port
    port_user: int = -1


@dataclass
class _Queue:
    waiting: deque[tuple[float, int]] = field(default_factory=deque)
    active: int = -1
    left: float = 0.0
    rate: float = 0.0


class _Clock:
    """TensorE's rate: in each window the share of cycles in use decides that of the next one."""

    def __init__(self, machine: dict[str, Any]) -> None:
        self.window, self.low = machine["clock_window_ns"], machine["clock_low_rate"]
        self.threshold = machine["clock_threshold"]
        self.end, self.used, self.full = machine["clock_phase_ns"], 0.0, self.threshold <= 0
        self.changes: list[float] = []

    @property
    def rate(self) -> float:
        return 1.0 if self.full else self.low

    def _pass(self, time: float) -> None:
        while time >= self.end:
            busy = self.used >= self.threshold * self.window
            if busy != self.full:
                self.changes.append(self.end)
            self.full, self.used, self.end = busy, 0.0, self.end + self.window

    def spend(self, start: float, work: float) -> float:
        """ns that `work` ns at full rate take from `start`."""
        if self.threshold <= 0:
            return work
        self._pass(start)
        now = start
        while work > 0:
            step = min(work / self.rate, self.end - now)
            self.used += step * self.rate
            work -= step * self.rate
            now += step
            if work <= 1e-9:
                break
            self._pass(self.end)
        return now - start


class _Core:
    def __init__(self, program: _Program, machine: dict[str, Any]) -> None:
        self.program, self.clock = program, _Clock(machine)
        start = machine["prologue_ns"]
        orders = [deque(np.flatnonzero(program.engine == e).tolist()) for e in range(len(ENGINES))]
        self.engines = [_Engine(order, start, start) for order in orders]
        self.queues = [_Queue() for _ in ENGINES]
        self.table, self.previous_matmul = -1, -NEVER
        self.banks: dict[tuple[int, int], tuple[float, int]] = {}
        n = program.count
        nan = lambda: np.full(n, np.nan)  # noqa: E731
        self.columns: dict[str, Any] = {name: nan() for name in ("ready", "start", "end", "done", "first", "last")}
        self.columns |= {"cause": np.zeros(n, np.uint8), "blocker": np.full(n, -1, np.int32)}


@dataclass(frozen=True)
class _Head:
    """An engine's next instruction: when it could issue as far as is known, and why not earlier."""

    free: float
    time: float
    cause: str
    blocker: int
    waits_for: int = -1

    def delayed(self, until: float, cause: str, blocker: int | None = None) -> _Head:
        """The head at a later time; what delays it longest is the cause that is told."""
        if until <= self.time:
            return self
        if until - self.time <= self.time - self.free:
            return replace(self, time=until)
        return replace(self, time=until, cause=cause, blocker=self.blocker if blocker is None else blocker)


class _Loop:
    def __init__(self, machine: dict[str, Any], classes: Classes, cores: list[dict[str, Any]]) -> None:
        self.machine, self.classes = machine, classes
        self.cores = [_Core(_Program(core, classes), machine) for core in cores]
        self.now = 0.0
        self.agreed: dict[tuple[int, int], float] = {}  # when heads that meet issue, by (core, engine)

    def cost(self, core: _Core, i: int) -> dict[str, float]:
        return dict(zip(COST_FIELDS, self.classes.costs[core.program.kind[i]], strict=True))

    def run(self) -> list[tuple[int, int, int, int]]:
        while True:
            heads = self._heads()
            dma = self._next_dma()
            at, number, engine = min(((h.time, c, e) for (c, e), h in heads.items()), default=(NEVER, 0, 0))
            if dma < NEVER and dma <= at:
                self._advance(dma)
            elif at < NEVER:
                self.agreed.pop((number, engine), None)
                self._issue(self.cores[number], engine, heads[number, engine])
            else:
                return [(c, e, self.cores[c].engines[e].order[0], h.waits_for) for (c, e), h in heads.items()]

    # ---------------------------------------------------------------- engines
    def _heads(self) -> dict[tuple[int, int], _Head]:
        heads = {
            (c, e): self._conflict(core, e, self._head(core, e))
            for c, core in enumerate(self.cores)
            for e, engine in enumerate(core.engines)
            if engine.order
        }
        return self._meet(heads) if len(self.cores) > 1 else heads

    def _head(self, core: _Core, e: int) -> _Head:
        engine, program = core.engines[e], core.program
        i = engine.order[0]
        cost = self.cost(core, i)
        producers = [*program.waits[i], *([program.local[i]] if program.local[i] >= 0 else [])]
        # an instruction waits for one semaphore; each further one is an instruction of its own
        at = engine.free + max(0, len(producers) - 1) * self.machine["further_wait_ns"][e]
        cause, blocker, needed = "engine" if engine.previous >= 0 else "start", engine.previous, 0.0
        for producer in producers:
            done = core.columns["done"][producer]
            if np.isnan(done):
                return _Head(engine.free, NEVER, cause, blocker, producer)
            done += self.machine["semaphore_ns"]
            needed = max(needed, done)
            if done > at:
                at, cause, blocker = done, "dma" if program.is_dma[producer] else "semaphore", producer
        head = _Head(engine.free, at, cause, blocker)
        if cost["preload"] > 0:
            begin = max(core.previous_matmul, needed, self.machine["prologue_ns"])
            head = head.delayed(begin + cost["preload"] / core.clock.rate, "weights")
        if cost["table"] >= 0 and cost["table"] != core.table:  # the load waits for nothing
            head = head.delayed(engine.free + self.machine["table_load_ns"], "table")
        return head.delayed(head.time + cost["address"], "register")

    def _meet(self, heads: dict[tuple[int, int], _Head]) -> dict[tuple[int, int], _Head]:
        """A barrier or exchange issues on both cores together, once both have come to it."""
        names = {at: self.cost(self.cores[at[0]], self.cores[at[0]].engines[at[1]].order[0])["meets"] for at in heads}
        for at, head in heads.items():
            if names[at] < 0 or head.time == NEVER or at in self.agreed:
                continue
            for other, theirs in heads.items():
                if other[0] != at[0] and names[other] == names[at] and theirs.time < NEVER and other not in self.agreed:
                    self.agreed[at] = self.agreed[other] = max(head.time, theirs.time)
                    break
        return {at: self._together(at, head) if names[at] >= 0 else head for at, head in heads.items()}

    def _together(self, at: tuple[int, int], head: _Head) -> _Head:
        time = self.agreed.get(at, NEVER)
        return replace(head, time=time, cause="core" if head.time < time < NEVER else head.cause)

    def _conflict(self, core: _Core, e: int, head: _Head) -> _Head:
        """The head later, while a port or a PSUM bank is taken."""
        if head.time == NEVER or e not in (VECTOR, SCALAR, GPSIMD):
            return head
        i = core.engines[e].order[0]
        if not self.machine["vector_gpsimd_parallel"] and e != SCALAR and not core.program.is_dma[i]:
            other = core.engines[GPSIMD if e == VECTOR else VECTOR]
            head = head.delayed(other.port_free, "port", other.port_user)
        used, partner = core.program.banks[i], SCALAR if e == VECTOR else VECTOR
        if used and e != GPSIMD:
            for bank in range(8):
                if used >> bank & 1 or not self.machine["vector_scalar_parallel"]:
                    free, user = core.banks.get((bank, partner), (0.0, -1))
                    head = head.delayed(free, "bank", user)
        return head

    def _issue(self, core: _Core, e: int, head: _Head) -> None:
        engine, columns = core.engines[e], core.columns
        i = engine.order.popleft()
        cost, start = self.cost(core, i), head.time
        busy = cost["busy"]
        if e == VECTOR and cost["shared"] >= 0:
            busy = cost["shared"] if core.engines[GPSIMD].port_free > start else busy
        if e == TENSOR:
            busy = core.clock.spend(start, busy)
            core.previous_matmul = start
        if cost["table"] >= 0:
            core.table = int(cost["table"])
        columns["ready"][i], columns["start"][i], columns["end"][i] = engine.free, start, start + busy
        columns["cause"][i], columns["blocker"][i] = CAUSE[head.cause], head.blocker
        engine.free, engine.previous = start + busy, i
        if cost["nbytes"] == 0:
            engine.port_free, engine.port_user = engine.free, i
        for bank in range(8):
            if core.program.banks[i] >> bank & 1:
                core.banks[bank, e] = (engine.free, i)
        if cost["nbytes"] > 0:
            core.queues[e].waiting.append((start + cost["first"], i))
        else:
            engine.last_done = columns["done"][i] = max(engine.last_done, engine.free + cost["latency"])

    # ---------------------------------------------------------------- DMA
    def _queues(self) -> list[tuple[_Core, _Queue]]:
        return [(core, queue) for core in self.cores for queue in core.queues]

    def _next_dma(self) -> float:
        times = [self.now + q.left / q.rate for _, q in self._queues() if q.active >= 0]
        times += [max(self.now, q.waiting[0][0]) for _, q in self._queues() if q.active < 0 and q.waiting]
        return min(times, default=NEVER)

    def _advance(self, to: float) -> None:
        for _, queue in self._queues():
            queue.left -= (to - self.now) * queue.rate if queue.active >= 0 else 0
        self.now = to
        for core, queue in self._queues():
            if queue.active >= 0 and queue.left <= 1e-6:
                core.columns["last"][queue.active] = to
                core.columns["done"][queue.active] = to + self.cost(core, queue.active)["complete"]
                queue.active = -1
            if queue.active < 0 and queue.waiting and queue.waiting[0][0] <= to:
                _, queue.active = queue.waiting.popleft()
                core.columns["first"][queue.active] = to
                queue.left = self.cost(core, queue.active)["work"]
        self._share()

    def _share(self) -> None:
        """Transfers on one DMA engine take turns; a core and a stack of HBM move only so many bytes."""
        moved = 0.0
        for core in self.cores:
            active = [(q, self.cost(core, q.active)) for q in core.queues if q.active >= 0]
            load = sum(cost["engines"] for _, cost in active) / self.machine["dma_engines"]
            for queue, cost in active:
                queue.rate = 1 / max(1.0, 1 + load - cost["engines"] / self.machine["dma_engines"])
            moved += self._cap([core], self.machine["core_bytes_per_ns"])
        if moved > 0:
            self._cap(self.cores, self.machine["stack_bytes_per_ns"])

    def _cap(self, cores: list[_Core], limit: float) -> float:
        """Slow all transfers of `cores` so that together they move at most `limit` bytes per ns; what they then move."""
        active = [(q, self.cost(core, q.active)) for core in cores for q in core.queues if q.active >= 0]
        total = sum(q.rate * cost["nbytes"] / cost["work"] for q, cost in active)
        for queue, _ in active:
            queue.rate *= min(1.0, limit / total)
        return min(total, limit)


def run(
    machine: dict[str, Any], classes: Classes, cores: list[dict[str, Any]]
) -> tuple[list[dict[str, Any]], list[tuple[int, int, int, int]]]:
    """Time the cores' programs; see `native.run`."""
    loop = _Loop(machine, classes, cores)
    stuck = loop.run()
    results = []
    for core in loop.cores:
        waits = [(p, i) for i, producers in enumerate(core.program.waits) for p in producers]
        pairs = np.array(waits, np.int32).reshape(-1, 2)
        columns = core.columns | {"clock_change": np.array(core.clock.changes, float)}
        results.append(columns | {"producer": pairs[:, 0], "consumer": pairs[:, 1], "merged": 0})
    return results, stuck
