"""`Trace`: the program of one core in columns, with everything that time needs and no data.

Recorded beside (or instead of) execution: a record becomes a row of small integers, so that ten million instructions fit
into memory and the event loop can run over them without touching a Python object.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import CodeType

import numpy as np

from opentrn.isa.spec import Instruction
from opentrn.program.step import Step
from opentrn.program.storage import Allocation

__all__ = ["READS", "WRITES", "Geometry", "Loop", "Trace"]

READS, WRITES = 1, 2
"""Bits of `Trace.access`; an operand whose old values can survive has both."""


@dataclass(frozen=True)
class Geometry:
    """The form of a region: what it touches relative to its first element. Strides count elements of `itemsize` bytes.

    On chip dimension 0 is the partition (its stride is the storage's pitch). `whole` marks a run-time address: any
    element of the allocation may be touched.
    """

    shape: tuple[int, ...]
    strides: tuple[int, ...]
    itemsize: int
    whole: bool = False


@dataclass
class Loop:
    """One run of a loop: its kind (``affine_range``, ``fori_loop``), line, and the row at which each iteration began.

    `end` is the row after its last one, or -1 where the loop was left early: then nobody knows where that was.
    """

    kind: str
    place: tuple[CodeType, int]
    starts: list[int] = field(default_factory=list)
    end: int = -1


@dataclass(frozen=True, eq=False)
class Trace:
    """One core's instructions in program order; n instructions, m operands, r distinct regions.

    A region is (allocation, element offset, geometry). `allocations[i].address` is set before a trace is timed.
    """

    steps: list[Step]
    places: list[tuple[CodeType, int]]
    allocations: list[Allocation]
    geometries: list[Geometry]
    step: np.ndarray  # int32 (n): index of `steps`
    place: np.ndarray  # int32 (n): index of `places`
    first_operand: np.ndarray  # int64 (n + 1): operands of instruction i are first_operand[i] .. first_operand[i + 1]
    region: np.ndarray  # int32 (m): index of the region table; run-time indices are operands too (read)
    access: np.ndarray  # uint8 (m): READS | WRITES
    region_allocation: np.ndarray  # int32 (r): index of `allocations`
    region_offset: np.ndarray  # int64 (r): elements
    region_geometry: np.ndarray  # int32 (r): index of `geometries`
    edges: np.ndarray  # int64 (e, 2): (producer, consumer) of depends_on
    fixed: tuple[tuple[int, int], ...] = ()  # rows [first, end) that nothing may reorder (nl.no_reorder)
    shared: Mapping[int, object] = field(
        default_factory=dict
    )  # allocation -> name of the memory that all cores see in it
    looked: frozenset[int] = frozenset()  # allocations that registers, Python or simulated functions read
    loops: tuple[Loop, ...] = ()  # in the order in which they began
    moved: bool = False  # rows are not as recorded: `first` and `last` of the allocations do not number them

    def __len__(self) -> int:
        return len(self.step)

    def instruction(self, row: int) -> Instruction:
        """What row `row` executes."""
        return self.steps[self.step[row]].instruction

    def rows_of(self, name: str) -> np.ndarray:
        """Whether each row executes the instruction `name`: bool (n)."""
        return np.isin(self.step, [n for n, step in enumerate(self.steps) if step.instruction.name == name])

    @property
    def operand_row(self) -> np.ndarray:
        """The row of each operand: int64 (m)."""
        return np.repeat(np.arange(len(self)), np.diff(self.first_operand))

    @property
    def operand_allocation(self) -> np.ndarray:
        """The index of `allocations` of each operand: int32 (m)."""
        return self.region_allocation[self.region]
