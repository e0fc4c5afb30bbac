"""One NeuronCore while a kernel runs: its recorder, memories, engine state, and the executor of what was recorded."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from math import prod
from typing import Any, NoReturn

import numpy as np

from opentrn.errors import AddressError, CapacityError, KernelError, MemoryFault, OpentrnError, Site, UnsupportedError
from opentrn.execute import access
from opentrn.execute.block import new_block
from opentrn.execute.clobber import Neighbours
from opentrn.execute.late import Late
from opentrn.execute.lockstep import Lockstep
from opentrn.execute.scrutiny import Otherwise, Sights, concerned
from opentrn.execute.tile import Tile
from opentrn.isa.enums import MemoryRegion, engine
from opentrn.isa.spec import Use
from opentrn.numerics.dtypes import DType
from opentrn.program import native
from opentrn.program.allocate import MemoryMap, allocate, spread
from opentrn.program.capture import new_capture, trace_of
from opentrn.program.recorder import Place, Record, Recorder, Steps
from opentrn.program.schedule import Schedule
from opentrn.program.site import site_of, user_site
from opentrn.program.step import Step
from opentrn.program.storage import Allocation, Storage
from opentrn.program.trace import Trace
from opentrn.program.view import View

__all__ = ["Core", "Mode"]

FLUSH_BYTES = 32 << 20
"""Newly allocated on-chip bytes after which pending records are executed, so that dead tiles are freed."""

_STEPS: dict[Any, Steps] = {}
"""Checked signatures by (chip, precision, native core or not), shared by all launches of the process."""


@dataclass(frozen=True)
class Mode:
    """What a launch is for.

    `strict`: memory faults raise, instead of being collected. `data`: tensors have values; without, shapes alone are
    recorded and no memory is allocated. `trace`: keep the recorded program (`Trace`) for timing. `wide`: low-precision
    floats are kept as float32 (`NKI_PRECISE_FP=0`). `catch`: what the kernel raises becomes part of the report. `watch`:
    note values that the chip may treat otherwise (`Report.sights`). `other`: compute with another admissible choice.
    `limit`: how many instructions, register reads and turns of dynamic loops a core may take (0: any number).
    `schedule`: execute in another order. `spill`: SBUF tensors that do not fit are noted, also where faults raise.
    """

    strict: bool = True
    data: bool = True
    trace: bool = False
    wide: bool = False
    catch: bool = False
    watch: bool = False
    other: Otherwise | None = None
    limit: int = 0
    schedule: Schedule | None = None
    spill: bool = False


class Core:
    """The state of one core for one launch of a kernel.

    `seat` is its number in the lockstep: core `index` of rank `rank` of a launch of `ranks`.
    """

    def __init__(
        self,
        chip: Any,
        seat: int,
        lockstep: Lockstep,
        mode: Mode = Mode(),
        stochastic: np.random.Generator | None = None,
    ) -> None:
        self.chip, self.seat, self.lockstep, self.mode = chip, seat, lockstep, mode
        self.rank, self.index = divmod(seat, lockstep.cores)
        self.ranks = lockstep.count // lockstep.cores
        self.stochastic = stochastic
        self.allocations: list[Allocation] = []
        self.capture = new_capture(self.allocations, mode.trace)
        self.accumulators: dict[engine, np.ndarray] = {}
        self.generators: dict[engine, Any] = {}
        self.warnings: list[OpentrnError] = []
        self.sights = Sights()
        self._scrutiny = mode.other or (self.sights if mode.watch else None)
        self.maps: dict[MemoryRegion, MemoryMap] = {}
        self.meetings: Counter[Any] = Counter()
        self.looked: set[int] = set()
        self.shared_count = 0
        self.shared: dict[int, object] = {}
        """Which memory of all cores an allocation is, by its number (`Trace.shared`)."""
        self.shared_tensors: list[tuple[tuple[int, ...], str, Any]] = []
        """Shared-HBM tensors so far; the launcher gives all cores one list."""
        memory = chip.memory
        self._capacity = {
            MemoryRegion.sbuf: memory.sbuf_usable_bytes_per_partition,
            MemoryRegion.psum: memory.psum_bytes_per_partition,
        }
        self._neighbours = Neighbours()
        self._fresh_bytes = self._ticks = 0
        self._late = Late(mode.schedule, self.index) if mode.schedule is not None else None
        self._now: tuple[Any, Any] = (None, None)
        known = (chip.name, mode.wide, native.available())
        steps = _STEPS[known] = _STEPS.get(known) or Steps()
        self.recorder = Recorder(chip, steps, native.plan, self)
        self.recorder.flush = self.flush

    # ---------------------------------------------------------------- memory
    def allocate(
        self,
        shape: tuple[int, ...],
        dtype: DType,
        buffer: MemoryRegion,
        *,
        name: str = "",
        address: tuple[int, int] | None = None,
        site: Site | Place | None = None,
        block: Any = None,
    ) -> Storage:
        """A new tensor. Raises AddressError or CapacityError when it cannot exist on this chip."""
        number = len(self.allocations)
        made = Allocation(number, name, shape, dtype, buffer, self.index, site, address, address is not None)
        on_chip = buffer.on_chip
        if on_chip and (address is not None or made.partition_bytes > self._capacity[buffer]):
            self._check_place(made)
        self.allocations.append(made)
        if not self.mode.data:
            return Storage(made, None)
        wide = self.mode.wide and dtype.is_float and dtype.itemsize < 4
        itemsize = 4 if wide else dtype.itemsize
        storage = Storage(made, block or new_block(prod(shape) * itemsize, itemsize), wide)
        if on_chip:
            if address is not None:
                self._neighbours.add(storage)
            self._fresh_bytes += made.nbytes
            if self._fresh_bytes > FLUSH_BYTES:
                self.flush()
        return storage

    def new_tensor(
        self,
        shape: tuple[int, ...],
        dtype: DType,
        buffer: MemoryRegion,
        name: str,
        address: tuple[int, int] | None,
        site: Site | Place | None,
    ) -> Storage:
        """What nl.ndarray allocates. Shared HBM is one tensor for all cores, matched by the order of allocation."""
        if buffer is not MemoryRegion.shared_hbm or self.lockstep.cores == 1:
            return self.allocate(shape, dtype, buffer, name=name, address=address, site=site)
        number, self.shared_count = self.shared_count, self.shared_count + 1
        self.shared[len(self.allocations)] = ("shared_hbm", number)
        shared = self.shared_tensors
        if number < len(shared) and shared[number][:2] != (shape, dtype.name):
            raise KernelError(
                "the cores allocate different shared_hbm tensors",
                site=site if isinstance(site, Site) else site_of(site),
                got=f"core {self.index}: {shape} {dtype.name}; the other core: {shared[number][:2]}",
                expected="the same sequence of shared_hbm allocations on both cores",
            )
        first = number == len(shared)
        block = None if first else shared[number][2]
        storage = self.allocate(shape, dtype, buffer, name=name, address=address, site=site, block=block)
        if first:
            shared.append((shape, dtype.name, storage.block))
        return storage

    def fill(self, view: View, array: np.ndarray) -> None:
        """Give a tensor constant contents (what the runtime loads with the model)."""
        if self.mode.data:
            Tile(view, "constant", self).put(array)

    def capacity(self, buffer: MemoryRegion) -> int:
        """Bytes per partition that a kernel may use."""
        return self._capacity[buffer]

    def _check_place(self, made: Allocation) -> None:
        limit, memory = self.capacity(made.buffer), made.buffer.value
        if made.partition_bytes > limit:
            raise CapacityError(
                f"{made} is larger than {memory}",
                site=made.site,
                got=f"{made.partition_bytes:,} bytes per partition",
                expected=f"at most {limit:,}",
            )
        if made.address is None:
            return
        partition, byte = made.address
        facts = self.chip.memory
        align = facts.sbuf_min_align if made.buffer is MemoryRegion.sbuf else facts.psum_min_align
        total = facts.sbuf_bytes_per_partition if made.buffer is MemoryRegion.sbuf else limit
        if not (partition >= 0 and partition + made.partitions <= facts.partitions) or byte < 0 or byte % align:
            raise AddressError(
                f"address of {made}",
                site=made.site,
                got=str(made.address),
                expected=f"(partition, byte) within {facts.partitions} partitions, byte % {align} == 0",
            )
        if byte + made.partition_bytes > total:
            raise AddressError(
                f"address of {made} leaves {memory}",
                site=made.site,
                got=f"bytes {byte:,} to {byte + made.partition_bytes:,}",
                expected=f"at most {total:,}",
            )

    def place(self) -> None:
        """Give every on-chip tensor its address (for timing: one that lets tiles be filled ahead); note the high-water marks."""
        for region, bank in ((MemoryRegion.sbuf, None), (MemoryRegion.psum, self.chip.memory.psum_bank_bytes)):
            manual = any(a.manual for a in self.allocations if a.buffer is region)
            facts = self.chip.memory
            limit = facts.sbuf_bytes_per_partition if manual and region is MemoryRegion.sbuf else self.capacity(region)
            self.maps[region] = self._allocate_in(region, limit, bank)
            if self.mode.trace:
                spread(self.maps[region], bank)

    def _allocate_in(self, region: MemoryRegion, limit: int, bank: int | None) -> MemoryMap:
        """The map of one memory. Where tensors that do not fit are only noted, they get addresses beyond its end.

        "If the total size of the live data ... overflows the capacity of any on-chip memory, the Neuron compiler will
        insert the necessary spills" (memory-hierarchy-overview.rst, SDK 2.32); that traffic is not modelled.
        """
        room = limit
        while True:
            try:
                made = allocate(self.allocations, region, room, bank)
            except CapacityError as error:
                if self.mode.strict and not (self.mode.spill and region is MemoryRegion.sbuf):
                    raise
                if room == limit:
                    self.warnings.append(error)
                room *= 2
            else:
                made.capacity = limit
                return made

    # ---------------------------------------------------------------- execution
    def close(self) -> None:
        """Part with the recorder, each of which knows the other: what a failed launch left there would keep its tensors."""
        recorder = self.recorder
        recorder.pending.clear()
        recorder.flush, recorder.state = recorder.pending.clear, None

    def flush(self) -> None:
        """Execute everything recorded so far."""
        recorder = self.recorder
        batch = recorder.pending[:]
        recorder.pending.clear()
        recorder.base += len(batch)
        self._fresh_bytes = 0
        if not batch:
            return
        if self.mode.limit:
            self._check_limit()
        self.capture.append(batch)
        if self.mode.data:
            if self._neighbours:
                self._follow(batch)
            self._run(batch)
            if self.mode.strict and self._late is None:  # a fault that is collected reads all the same
                self._neighbours.discard()

    def tick(self) -> None:
        """Count a register read, or a turn of a dynamic loop. Raises KernelError beyond `Mode.limit`."""
        self._ticks += 1
        if self.mode.limit:
            self._check_limit()

    def _check_limit(self) -> None:
        limit = self.mode.limit
        if self._ticks + self.recorder.count <= limit:
            return
        self.mode = replace(self.mode, limit=0)  # what was recorded before is still executed
        loop = next((each for each in reversed(self.recorder.loops) if each.end < 0), None)
        raise KernelError(
            f"the {loop.kind if loop else 'kernel'} does not end",
            kind="endless",
            site=site_of(loop.place) if loop else user_site(2),
            got=f"{self.recorder.count:,} instructions, {self._ticks:,} register reads and turns of loops on core {self.index}",
            expected=f"at most {limit:,} together",
            hint="let what the loop reads reach its end; limit= of opentrn.check allows more",
        )

    @property
    def counts(self) -> Counter[Step]:
        """How often each step has run."""
        return Counter(self.capture.counts())

    def trace(self) -> Trace:
        """The recorded program; after `place`."""
        recorder = self.recorder
        marks = {
            "fixed": tuple(recorder.fixed),
            "loops": tuple(recorder.loops),
            "shared": self.shared,
            "looked": frozenset(self.looked),
        }
        return trace_of(self.capture, self.allocations, recorder.edges, **marks)

    def _follow(self, batch: list[Record]) -> None:
        """Clobbered reads among hand-placed tensors, in program order."""
        concerns = self._neighbours.concerns
        for step, operands, place in batch:
            for index in (view.dynamic.index for view in operands if view.dynamic is not None):
                if isinstance(index, View) and concerns(index.storage):
                    self._guard(step, place, lambda v=index: self._neighbours.read(v, "index"))
            for when in ("in", "out"):
                for name, role, view in zip(step.names, step.roles, operands, strict=True):
                    if not concerns(view.storage):
                        continue
                    if when == "out" and role != "in":
                        self._neighbours.wrote(view)
                    elif when == "in" and role != "out":
                        self._guard(step, place, lambda n=name, v=view: self._neighbours.read(v, n))

    def finish(self) -> None:
        """Execute everything that is left; the kernel has come to its end on this core."""
        self.flush()
        if self._late is not None:
            self.lockstep.turn(self.seat)
        self._settle()

    def _settle(self) -> None:
        """Execute everything recorded so far, DMAs that end late included: somebody looks."""
        self.flush()
        if self._late is not None:
            self._end(self._late.take(len(self._late.held)))

    def _end(self, records: list[tuple[int, Record]]) -> None:
        for row, record in records:
            self._run_part([record], 0, 1)
            schedule, at = self.mode.schedule, (self.index, row)
            schedule.log.append(at)  # type: ignore[union-attr]
            if _stores(record):
                schedule.stored[at] = _left(record)  # type: ignore[union-attr]

    def _scheduled(self, batch: list[Record], late: Late) -> None:
        schedule = late.schedule
        for row, record in enumerate(batch, self.recorder.base - len(batch)):
            self._end(late.before(row, record))
            if (self.index, row) in schedule.late:
                late.held.append((row, record))
            else:
                self._end([(row, record)])
            if _stores(record) and (self.index, row) not in schedule.stay:
                self.lockstep.turn(self.seat)

    def _run(self, batch: list[Record]) -> None:
        if self._late is not None:
            self._scheduled(batch, self._late)
            return
        if self.lockstep.cores == 1:
            self._run_part(batch, 0, len(batch))
            return
        done = 0
        for number, record in enumerate(batch, 1):
            if _stores(record):
                self._run_part(batch, done, number)
                done = number
                self.lockstep.turn(self.seat)
        self._run_part(batch, done, len(batch))

    def _run_part(self, batch: list[Record], done: int, end: int) -> None:
        for stop in (*concerned(self._scrutiny, batch, done, end), end):
            while done < stop:
                done = self._advance(batch, done, stop)
            if stop < end:
                self._scrutinise(batch, stop)
                done = stop + 1

    def _advance(self, batch: list[Record], done: int, end: int) -> int:
        """Execute at least one record, natively as far as that goes; gives back how far."""
        core = native.core()
        if core is not None and self.stochastic is None:
            done = core.run(batch, done, end)
        if done < end:
            self._execute(batch[done])
            done += 1
        return done

    def _scrutinise(self, batch: list[Record], number: int) -> None:
        record, scrutiny = batch[number], self._scrutiny
        assert scrutiny is not None
        alone = scrutiny is self.mode.other  # the compiled core knows no other choices

        def execute() -> None:
            if alone:
                self._execute(record)
            else:
                self._advance(batch, number, number + 1)

        with np.errstate(all="ignore"):
            scrutiny.run(record, lambda: self._use(record), execute)

    def _use(self, record: Record) -> Use:
        step, operands, _ = record
        return step.use(tuple(Tile(v, n, self, step.engine) for v, n in zip(operands, step.names, strict=True)), self)

    def _execute(self, record: Record) -> None:
        run = record[0].instruction.run
        assert run is not None
        with np.errstate(all="ignore"):  # the engines make inf and nan without a word
            self._guard(record[0], record[2], lambda: run(self._use(record)))

    def _guard(self, step: Step, place: Any, action: Any) -> None:
        """Run `action`; an error that it raises or notes gets the instruction's name and source line."""
        self._now = (step, place)
        try:
            action()
        except OpentrnError as error:
            self._locate(error)
            if self.mode.strict or not isinstance(error, MemoryFault):
                raise
            self.warnings.append(error)

    def _locate(self, error: OpentrnError) -> None:
        if error.site is None:
            step, place = self._now
            error.site = site_of(place)
            error.what = f"nisa.{step.instruction.name}: {error.what}"

    def note(self, fault: OpentrnError) -> None:
        """Collect a fault instead of raising it (strict=False)."""
        self._locate(fault)
        self.warnings.append(fault)

    # ---------------------------------------------------------------- values
    def _need_values(self, what: str) -> NoReturn:
        raise UnsupportedError(
            f"{what} needs values, and the kernel is recorded with shapes alone",
            site=user_site(2),
            hint='use mode="values"',
        )

    def look(self, view: View) -> None:
        """Execute what is pending, because somebody other than an instruction is about to read the view's tensor."""
        self.looked.add(view.storage.allocation.id)
        self._settle()

    def values(self, view: View) -> np.ndarray:
        """The view's values now (a copy in the carrier dtype); executes what is pending. No check for unwritten bytes."""
        if not self.mode.data:
            self._need_values("looking at a tensor")
        self.look(view)
        if view.dynamic is not None:
            return Tile(view, "value", self).array()
        return access.strided(view).copy()

    def scalar(self, view: View) -> int | float:
        """The value of a one-element view, which must have been written."""
        if not self.mode.data:
            self._need_values("reading an element of a tensor")
        self.look(view)
        return Tile(view, "src", self).flat()[0].item()

    def store_scalar(self, view: View, value: int) -> None:
        """Write a register's value into a one-element view (unsigned and signed share their 32 bits)."""
        self._settle()
        tile = Tile(view, "dst", self)
        if view.dt.is_integer:
            bits = 8 * view.dt.itemsize
            tile.put(np.array([value & ((1 << bits) - 1)], np.uint64).astype(f"u{bits // 8}").view(view.dt.carrier))
        else:
            tile.store(np.array([value], np.float32))

    def meet(self, kind: str, key: Any, payload: Any = None) -> Any:
        """Wait for the partner core at the next (`kind`, `key`) and swap payloads with it."""
        partner = self.seat - self.index + (1 - self.index)
        return self._meet(kind, (key, self.rank), f"{kind} {key}", (partner,), payload)[partner]

    def meet_ranks(self, kind: str, ranks: tuple[int, ...], payload: Any = None) -> dict[int, Any]:
        """Wait for this core of every one of `ranks` at the next `kind` among them; gives back each one's payload."""
        seats = {rank: rank * self.lockstep.cores + self.index for rank in ranks}
        what = f"{kind} of ranks {', '.join(map(str, ranks))}"
        brought = self._meet(kind, (ranks, self.index), what, tuple(seats.values()), payload)
        return {rank: brought[seat] for rank, seat in seats.items()}

    def _meet(self, kind: str, key: Any, what: str, seats: tuple[int, ...], payload: Any) -> dict[int, Any]:
        tag = (kind, key, self.meetings[kind, key])
        self.meetings[kind, key] += 1
        site = site_of(self._now[1])
        return self.lockstep.exchange(self.seat, what + (f" ({site})" if site else ""), tag, seats, payload, site)


def _left(record: Record) -> object:
    """Which places the record wrote, and what is there now; equal to nothing else where an address is a run-time one."""
    written = _written(record)
    if any(view.dynamic is not None for view in written):
        return object()
    return [(id(v.block), v.offset, v.shape, v.strides, hash(access.strided(v).tobytes())) for v in written]


def _stores(record: Record) -> bool:
    """It writes to memory that the cores share."""
    return any(view.buffer is MemoryRegion.shared_hbm for view in _written(record))


def _written(record: Record) -> list[View]:
    step, operands, _ = record
    return [view for role, view in zip(step.roles, operands, strict=True) if role != "in"]
