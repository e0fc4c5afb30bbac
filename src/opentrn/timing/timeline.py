"""`Timeline`: what happened when, in columns. Made by the event loop, read by everything under `opentrn.profile`.

One row per executed instruction, in program order, core after core. Times are nanoseconds from the start of the kernel
on the device (its prologue included). An instruction is issued at `start`, holds its engine until `end`, and its result
can be used at `done`; for a DMA `end` is when the triggering engine is free again and `done` when the data has arrived.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

__all__ = ["CAUSES", "ENGINES", "Dma", "Operation", "Place", "Semaphores", "Series", "Spans", "Timeline"]

ENGINES = ("tensor", "vector", "scalar", "gpsimd", "sync")
"""The five sequencers of a core, by the number in `Timeline.engine`."""

CAUSES = ("start", "engine", "semaphore", "dma", "port", "bank", "weights", "table", "core", "register")
"""Why an instruction did not start earlier, by the number in `Timeline.cause`.

start: nothing, it is the first of its engine. engine: the instruction before it on the same engine. semaphore: a result
of another engine. dma: data that a DMA brings or takes away. port: VectorE and GpSimd share a port. bank: another engine
uses the same PSUM bank. weights: LoadStationary was not hidden. table: an activation
table had to be loaded. core: the other core (barrier, sendrecv). register: a run-time address had to be read.
"""


@dataclass(frozen=True)
class Place:
    """A line of the user's kernel."""

    file: str
    line: int
    function: str

    def __str__(self) -> str:
        return f"{self.file.rpartition('/')[2]}:{self.line} in {self.function}"


@dataclass(frozen=True)
class Operation:
    """One distinct use of an instruction (a checked signature): what all its executions share."""

    name: str
    engine: str
    operands: str
    """Operands in words, e.g. ``dst (128, 512) float32 psum, data (128, 512) bfloat16 sbuf``."""
    tiers: tuple[str, ...]
    """Where the numbers of its cost come from (see `machine`)."""
    flops: float = 0.0
    """Floating-point operations of one execution on TensorE (multiply and add count two); 0 elsewhere."""
    elements: int = 0
    """Elements per partition that it streams."""
    busy_ns: float = 0.0
    """Engine time of one execution when nothing interferes."""
    latency_ns: float = 0.0


@dataclass(frozen=True, eq=False)
class Dma:
    """One row per DMA transfer. `instruction` is its row in the timeline; times in ns, sizes in bytes."""

    instruction: np.ndarray  # int64
    queue: np.ndarray  # uint8, index of Timeline.queues
    first: np.ndarray  # float64, first byte moves
    last: np.ndarray  # float64, last byte has moved
    nbytes: np.ndarray  # int64
    descriptors: np.ndarray  # int64
    engines: np.ndarray  # uint8, how many of the 16 DMA engines it is spread over
    direction: np.ndarray  # uint8: 0 HBM to SBUF, 1 SBUF to HBM, 2 HBM to HBM, 3 on chip
    tensor: np.ndarray  # int32, index of Timeline.tensors on the HBM side (-1: none)
    low: np.ndarray  # int64, first byte of the tensor it touches
    high: np.ndarray  # int64, end of the bytes it touches


@dataclass(frozen=True, eq=False)
class Semaphores:
    """The waits that are left after pruning: row `consumer` waited for row `producer`."""

    producer: np.ndarray  # int64
    consumer: np.ndarray  # int64


@dataclass(frozen=True, eq=False)
class Series:
    """A step function: `value` holds from `time` (ns) until the next time."""

    time: np.ndarray  # float64
    value: np.ndarray  # float64


@dataclass(frozen=True, eq=False)
class Spans:
    """Intervals with a label each (TensorE clock: "half" or "full")."""

    start: np.ndarray  # float64
    end: np.ndarray  # float64
    label: list[str]


@dataclass(frozen=True, eq=False)
class Timeline:
    """Everything the event loop found out about one run."""

    chip: Any
    """The machine it was timed on (`machine.Chip`)."""
    cores: int
    total_ns: float
    prologue_ns: float
    epilogue_ns: float
    operations: list[Operation]
    places: list[Place]
    tensors: list[Any]
    """The kernel's tensors (`program.storage.Allocation`), cores one after another."""
    core: np.ndarray  # uint8
    engine: np.ndarray  # uint8, index of ENGINES
    operation: np.ndarray  # int32, index of `operations`
    place: np.ndarray  # int32, index of `places`
    ready: np.ndarray  # float64, when its engine had nothing else to do
    start: np.ndarray  # float64
    end: np.ndarray  # float64
    done: np.ndarray  # float64
    cause: np.ndarray  # uint8, index of CAUSES
    blocker: np.ndarray  # int64, the row that it waited for last (-1: none)
    dma: Dma
    semaphores: Semaphores
    queues: list[str]
    """Names of the DMA queues, e.g. ``core0 sync``."""
    occupancy: dict[tuple[int, str], Series] = field(default_factory=dict)
    """Bytes per partition in use, by (core, "sbuf" or "psum")."""
    clock: list[Spans] = field(default_factory=list)
    """The TensorE clock of each core."""
    phase_totals_ns: tuple[float, ...] = ()
    """`total_ns` at each phase of the clock's windows that was tried; this timeline is the median one."""

    def __len__(self) -> int:
        return len(self.start)

    @property
    def wait(self) -> np.ndarray:
        """ns that each instruction kept its engine waiting."""
        return self.start - self.ready

    @property
    def busy(self) -> np.ndarray:
        """ns that each instruction held its engine."""
        return self.end - self.start
