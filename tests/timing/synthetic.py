"""A seeded `Timeline` that looks like a run of examples/attention.py, of any size, for tests of what reads timelines.

It keeps the contract of `opentrn.timing.timeline` (engines in order, a consumer after its producers, ready <= start <=
end <= done) and nothing more: its durations are made up, so no test may read the speed of a chip from it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np

from opentrn.errors import Site
from opentrn.isa.enums import MemoryRegion
from opentrn.machine.chip import Chip, load_chip
from opentrn.numerics.dtypes import dtype
from opentrn.program.storage import Allocation
from opentrn.timing.timeline import CAUSES, ENGINES, Dma, Operation, Place, Semaphores, Series, Spans, Timeline

__all__ = ["KERNEL", "synthetic_timeline"]

KERNEL = Path(__file__).resolve().parents[2] / "examples" / "attention.py"
TENSOR, VECTOR, SCALAR, GPSIMD, SYNC = range(5)
TILE = 128
PROLOGUE = 1000.0
FIRST_BYTE, ARRIVAL, BYTES_PER_NS = 750.0, 315.0, 92.0
"""Made up, as are the durations below: not every chip has public numbers for these."""


@dataclass(frozen=True)
class Made:
    """One instruction of the loop: where its text is, who runs it, how long, and which of the loop it needs."""

    text: str
    function: str
    engine: int
    busy: float
    latency: float
    operands: str
    needs: tuple[int, ...] = ()
    flops: float = 0.0
    tensor: int = -1
    tiers: tuple[str, ...] = ("measured",)

    @property
    def name(self) -> str:
        return self.text.partition("nisa.")[2].partition("(")[0]


_T = "(128, 128) bfloat16"
_S = "(128, 512) float32"
_ONE = "(128, 1) float32 sbuf"
_DMA = ("documented", "fitted")
_MAC = 2.0 * TILE**3
LOOP = (
    Made("nisa.dma_copy(dst=tile, src=src[start", "load_transposed", SYNC, 60, 0, f"dst {_T} sbuf, src {_T} k", (), 0, 1, _DMA),
    Made("nisa.nc_transpose(dst=flipped, data=tile", "load_transposed", TENSOR, 60, 80, f"dst {_T} psum, data {_T} sbuf", (0,)),
    Made("nisa.tensor_copy(dst=out", "load_transposed", VECTOR, 140, 60, f"dst {_T} sbuf, src {_T} psum", (1,)),
    Made("nisa.dma_copy(dst=tile, src=v", "attention", GPSIMD, 90, 0, f"dst {_T} sbuf, src {_T} v", (), 0, 2, _DMA),
    Made("nisa.nc_matmul(dst=raw", "attend", TENSOR, 213, 90, f"dst {_S} psum, stationary {_T} sbuf", (2,), 4 * _MAC),
    Made("nisa.activation(dst=scores", "attend", SCALAR, 420, 200, f"dst {_S} sbuf, data {_S} psum", (4,)),
    Made("nisa.affine_select(", "mask_future", GPSIMD, 560, 50, f"dst {_S} sbuf, on_true_tile {_S} sbuf", (5,)),
    Made("nisa.tensor_reduce(dst=peak", "attend", VECTOR, 540, 60, f"dst {_ONE}, data {_S} sbuf", (6,)),
    Made("nisa.tensor_tensor(dst=new_top", "attend", VECTOR, 62, 60, f"dst {_ONE}, data1 {_ONE}", (7,)),
    Made("nisa.tensor_scalar(dst=low", "attend", VECTOR, 62, 60, f"dst {_ONE}, data {_ONE}", (8,)),
    Made("nisa.activation(dst=shrink", "attend", SCALAR, 190, 200, f"dst {_ONE}, bias {_ONE}", (9,)),
    Made("nisa.activation(", "attend", SCALAR, 430, 200, "dst (128, 512) bfloat16 sbuf, data (128, 512) float32 sbuf", (9, 6)),
    Made("nisa.nc_transpose(dst=flipped, data=p", "weigh_values", TENSOR, 60, 80, f"dst {_T} psum, data {_T} sbuf", (11,)),
    Made("nisa.tensor_copy(dst=p_t", "weigh_values", VECTOR, 140, 60, f"dst {_T} sbuf, src {_T} psum", (12,)),
    Made("nisa.nc_matmul(dst=total", "weigh_values", TENSOR, 64, 90, f"dst {_T} psum, moving {_T} v", (13, 3), _MAC),
    Made("nisa.scalar_tensor_tensor(dst=acc", "attend", VECTOR, 180, 60, f"dst {_T} sbuf, data {_T} sbuf", (10, 14)),
    Made("nisa.dma_copy(dst=out", "attention", SYNC, 60, 0, f"dst {_T} out, src {_T} sbuf", (15,), 0, 3, _DMA),
)  # fmt: skip
EXTRA = {TENSOR: "weights", VECTOR: "port", SCALAR: "table", GPSIMD: "port", SYNC: "register"}
COLUMNS = ("engine", "operation", "ready", "start", "end", "done", "cause", "blocker")
TRANSFERS = ("instruction", "queue", "first", "last", "nbytes", "descriptors", "direction", "tensor", "low")


@dataclass
class _Core:
    """What one core has done so far; rows are counted from the core's first one."""

    rng: np.random.Generator
    free: list[float] = field(default_factory=lambda: [PROLOGUE] * 5)
    latest: list[int] = field(default_factory=lambda: [-1] * 5)
    queue_free: dict[int, float] = field(default_factory=dict)
    rows: list[tuple] = field(default_factory=list)
    transfers: list[tuple] = field(default_factory=list)
    waits: list[tuple[int, int]] = field(default_factory=list)

    def issue(self, number: int, made: Made, base: int) -> None:
        """Append one instruction: after the one before it on its engine, and after all it needs."""
        row, ready = len(self.rows), self.free[made.engine]
        start, cause, blocker = ready, "engine", self.latest[made.engine]
        if blocker < 0:
            cause = "start"
        for needed in (base + n for n in made.needs):
            if LOOP[needed % len(LOOP)].engine != made.engine:
                self.waits.append((needed, row))
            if self.rows[needed][5] > start:
                start, blocker = self.rows[needed][5], needed
                cause = "dma" if LOOP[needed % len(LOOP)].tensor >= 0 else "semaphore"
        if blocker >= 0 and self.rng.random() < 0.02:
            start, cause = start + 50 * self.rng.random() + 5, EXTRA[made.engine]
        end = start + made.busy * (0.95 + 0.1 * self.rng.random())
        done = end + made.latency if made.tensor < 0 else self.transfer(row, made, end)
        self.free[made.engine], self.latest[made.engine] = end, row
        self.rows.append((made.engine, number, ready, start, end, done, CAUSES.index(cause), blocker))

    def transfer(self, row: int, made: Made, triggered: float) -> float:
        """Append the DMA that `row` triggers; gives the time when its data has arrived."""
        queue, nbytes = made.tensor - 1, TILE * TILE * 2
        first = max(triggered + FIRST_BYTE, self.queue_free.get(queue, 0.0))
        last = first + nbytes / BYTES_PER_NS
        self.queue_free[queue] = last
        low = nbytes * (len(self.transfers) // 3 % 16)
        self.transfers.append((row, queue, first, last, nbytes, TILE, int(made.tensor == 3), made.tensor, low))
        return last + ARRIVAL


def synthetic_timeline(instructions: int = 2000, seed: int = 0, cores: int = 1, chip: str = "trn2") -> Timeline:
    """A valid timeline of exactly `instructions` rows (0 is allowed), split over `cores`; the same for the same seed."""
    machine = load_chip(chip)
    shares = [len(part) for part in np.array_split(np.arange(instructions), cores)]
    made = [_run(_Core(np.random.default_rng([seed, core])), share) for core, share in enumerate(shares)]
    first_row = np.concatenate(([0], np.cumsum(shares)))[:-1]
    column = {name: np.concatenate([_column(core.rows, n) for core in made]) for n, name in enumerate(COLUMNS)}
    offset = np.repeat(first_row, shares)
    blocker = column["blocker"].astype(np.int64)
    total = float(column["done"].max(initial=PROLOGUE)) + PROLOGUE / 2
    waits = np.concatenate(
        [np.array(c.waits, np.int64).reshape(-1, 2) + r for c, r in zip(made, first_row, strict=True)]
    )
    return Timeline(
        chip=machine,
        cores=cores,
        total_ns=total,
        prologue_ns=PROLOGUE,
        epilogue_ns=PROLOGUE / 2,
        operations=[Operation(m.name, ENGINES[m.engine], m.operands, m.tiers, m.flops, 512, m.busy, m.latency) for m in LOOP],
        places=[_place(m) for m in LOOP],
        tensors=[tensor for core in range(cores) for tensor in _tensors(core)],
        core=np.repeat(np.arange(cores, dtype=np.uint8), shares),
        engine=column["engine"].astype(np.uint8),
        operation=column["operation"].astype(np.int32),
        place=column["operation"].astype(np.int32),
        ready=column["ready"],
        start=column["start"],
        end=column["end"],
        done=column["done"],
        cause=column["cause"].astype(np.uint8),
        blocker=np.where(blocker >= 0, blocker + offset, -1),
        dma=_dma(made, first_row),
        semaphores=Semaphores(waits[:, 0].copy(), waits[:, 1].copy()),
        queues=[f"core{core} {name}" for core in range(cores) for name in ("sync load", "gpsimd", "sync store")],
        occupancy={key: series for core in range(cores) for key, series in _occupancy(machine, core, total, seed).items()},
        clock=[_clock(total) for _ in range(cores)],
    )  # fmt: skip


def _run(core: _Core, instructions: int) -> _Core:
    for row in range(instructions):
        number = row % len(LOOP)
        core.issue(number, LOOP[number], row - number)
    return core


def _column(rows: list[tuple], n: int) -> np.ndarray:
    return np.array([row[n] for row in rows], np.float64)


def _dma(made: list[_Core], first_row: np.ndarray) -> Dma:
    column = {name: np.concatenate([_column(c.transfers, n) for c in made]) for n, name in enumerate(TRANSFERS)}
    counts = [len(core.transfers) for core in made]
    core = np.repeat(np.arange(len(made)), counts)
    low = column["low"].astype(np.int64)
    return Dma(
        instruction=column["instruction"].astype(np.int64) + np.repeat(first_row, counts),
        queue=(column["queue"] + 3 * core).astype(np.uint8),
        first=column["first"],
        last=column["last"],
        nbytes=column["nbytes"].astype(np.int64),
        descriptors=column["descriptors"].astype(np.int64),
        engines=np.full(len(low), 16, np.uint8),
        direction=column["direction"].astype(np.uint8),
        tensor=(column["tensor"] + len(_tensors(0)) * core).astype(np.int32),
        low=low,
        high=low + column["nbytes"].astype(np.int64),
    )


def _tensors(core: int) -> list[Allocation]:
    shape, half = (2, 512, 64), dtype("bfloat16")
    hbm = [Allocation(n, name, shape, half, MemoryRegion.shared_hbm, core, None) for n, name in enumerate("qkv")]
    out = Allocation(3, "out", shape, half, MemoryRegion.shared_hbm, core, Site(str(KERNEL), 1, "attention"))
    return [*hbm, out, Allocation(4, "tile", (TILE, 64), half, MemoryRegion.sbuf, core, None, (0, 0))]


@cache
def _lines() -> list[str]:
    return [line.strip() for line in KERNEL.read_text().splitlines()]


def _place(made: Made) -> Place:
    """The line of the example that holds the instruction; the shortest such line is the exact one."""
    found = [n for n, line in enumerate(_lines()) if line.startswith(made.text)]
    return Place(str(KERNEL), 1 + min(found, key=lambda n: len(_lines()[n])), made.function)


def _occupancy(chip: Chip, core: int, total: float, seed: int) -> dict[tuple[int, str], Series]:
    """A walk in steps of a tile that starts and ends with nothing in use."""
    made = {}
    for memory in ("sbuf", "psum"):
        capacity = chip.memory[f"{memory}_bytes_per_partition"]
        rng = np.random.default_rng([seed, core, capacity])
        time = np.sort(rng.uniform(0, total, max(2, int(total // 2000))))
        walk = np.abs(np.cumsum(rng.integers(-3, 4, len(time)))) * (capacity // 64)
        value = np.minimum(walk, capacity).astype(np.float64)
        value[-1] = 0.0
        made[core, memory] = Series(np.concatenate(([0.0], time)), np.concatenate(([0.0], value)))
    return made


def _clock(total: float) -> Spans:
    """Half the clock at the start and now and then, full in between."""
    edges = np.unique(
        np.concatenate(([0.0], np.arange(4000.0, total, 9000.0), np.arange(12000.0, total, 36000.0), [total]))
    )
    return Spans(edges[:-1], edges[1:], ["half" if n % 5 == 0 else "full" for n in range(len(edges) - 1)])
