"""From a recorded program and a chip to the columns that the event loop runs over."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from opentrn.errors import UnsupportedError
from opentrn.isa.spec import Cost, Use
from opentrn.program.storage import Allocation, facts_of
from opentrn.program.trace import READS, WRITES, Trace
from opentrn.timing.timeline import ENGINES

__all__ = ["COST_FIELDS", "SPACES_ON_CHIP", "Classes", "classes_of", "columns_of", "machine_of"]

COST_FIELDS = (
    "busy", "latency", "preload", "shared", "address", "table", "meets",
    "nbytes", "work", "first", "complete", "engines",
)  # fmt: skip
"""Columns of `Classes.costs`; shared, table and meets are -1 where they do not apply."""

SPACES_ON_CHIP = 2
"""Space 0 is SBUF, space 1 PSUM; from 2 on each HBM tensor is one of its own."""


@dataclass(frozen=True, eq=False)
class Classes:
    """The distinct instructions of a program: their costs as columns, and as they were given."""

    costs: np.ndarray  # float64 (k, len(COST_FIELDS))
    engine: np.ndarray  # uint8 (k): index of ENGINES
    is_dma: np.ndarray  # uint8 (k)
    given: list[Cost]
    tables: list[str]
    meetings: list[str]


def cost_on(step: Any, chip: Any) -> Cost:
    """The cost of a step on `chip`, which may be a changed one."""
    if step.chip is chip:
        return step.cost
    assert step.instruction.price is not None
    return step.instruction.price(Use(step.instruction, step.values, chip, step.engine))


def classes_of(steps: Sequence[Any], chip: Any) -> Classes:
    """Costs of every step. Raises what a cost function raises where the chip has no public number."""
    given = [cost_on(step, chip) for step in steps]
    tables = sorted({c.table for c in given if c.table is not None})
    meetings = sorted({c.meets for c in given if c.meets is not None})
    costs = np.array([_row(c, tables, meetings) for c in given]).reshape(-1, len(COST_FIELDS))
    engine = np.array([_engine(step, c) for step, c in zip(steps, given, strict=True)], np.uint8)
    is_dma = np.array([c.transfer is not None for c in given], np.uint8)
    return Classes(costs, engine, is_dma, given, tables, meetings)


def _engine(step: Any, cost: Cost) -> int:
    if cost.engine not in ENGINES:
        raise UnsupportedError(
            f"nisa.{step.instruction.name} on {step.chip.name} has no sequencer",
            got=cost.engine,
            expected=" or ".join(ENGINES),
        )
    return ENGINES.index(cost.engine)


def _row(cost: Cost, tables: list[str], meetings: list[str]) -> list[float]:
    move = cost.transfer
    return [
        cost.busy_ns,
        cost.latency_ns,
        cost.preload_ns,
        -1.0 if cost.shared_ns is None else cost.shared_ns,
        cost.address_ns,
        -1 if cost.table is None else tables.index(cost.table),
        -1 if cost.meets is None else meetings.index(cost.meets),
        *(
            (move.nbytes, move.work_ns, move.first_byte_ns, move.stagger_ns + move.complete_ns, move.engines)
            if move
            else (0.0,) * 5
        ),
    ]


def machine_of(chip: Any, classes: Classes) -> dict[str, Any]:
    """What the loop knows about the chip beyond the costs. Numbers that the program does not need may be absent."""
    cost, engines, features = chip.cost, chip.engines, chip.features
    ramps = "clock_threshold" in cost.tensor  # no public source knows a ramp on NeuronCore-v2
    return {
        "semaphore_ns": float(cost.semaphore_ns),
        "table_load_ns": float(cost.scalar.act_table_load_ns) if classes.tables else 0.0,
        "further_wait_ns": np.array([_further_wait(chip, name) for name in ENGINES], float),
        "core_bytes_per_ns": float(cost.dma.cap_bytes_per_ns_core),
        "stack_bytes_per_ns": float(cost.hbm.bytes_per_ns_stack),
        "dma_engines": float(engines.dma.engines),
        "clock_window_ns": cost.tensor.clock_window_cycles / engines.base_clock_hz * 1e9 if ramps else 1.0,
        "clock_phase_ns": 1.0,
        "clock_low_rate": float(cost.tensor.startup_rate) if ramps else 1.0,
        "clock_threshold": float(cost.tensor.clock_threshold) if ramps else 0.0,
        "vector_gpsimd_parallel": bool(features.vector_gpsimd_sbuf_parallel),
        "vector_scalar_parallel": bool(features.vector_scalar_psum_parallel),
        "prologue_ns": float(cost.kernel_prologue_ns),
    }


def _further_wait(chip: Any, name: str) -> float:
    waits = chip.cost.further_wait_ns
    return float(waits[name] if name in waits else waits.other)  # noqa: SIM401 (a Group has no get)


def columns_of(trace: Trace, chip: Any, first_kind: int) -> dict[str, Any]:
    """The columns of one core; its classes are numbered from `first_kind` in the table of all cores."""
    facts = facts_of(trace.allocations)
    spaces, widths = _spaces(trace.allocations, facts)
    first, last = _used(trace) if trace.moved else (facts["first"], facts["last"])
    dimensions = [len(g.shape) for g in trace.geometries]
    return {
        "kind": (trace.step + first_kind).astype(np.int32, copy=False),
        "first_operand": np.ascontiguousarray(trace.first_operand, np.int64),
        "region": np.ascontiguousarray(trace.region, np.int32),
        "access": np.ascontiguousarray(trace.access, np.uint8),
        "edges": _by_consumer(trace.edges),
        "allocation_space": spaces,
        "allocation_row": (facts["row"] * facts["on_chip"]).astype(np.int32),
        "allocation_byte": facts["byte"] * facts["on_chip"],
        "allocation_width": widths,
        "allocation_on_chip": facts["on_chip"].astype(np.uint8),
        "allocation_bytes": facts["partition_bytes"] * facts["partitions"],
        "allocation_first": first,
        "allocation_last": last,
        "geometry_first": np.concatenate(([0], np.cumsum(dimensions, dtype=np.int64))).astype(np.int64),
        "geometry_shape": np.array([n for g in trace.geometries for n in g.shape], np.int64),
        "geometry_stride": np.array([n for g in trace.geometries for n in g.strides], np.int64),
        "geometry_itemsize": np.array([g.itemsize for g in trace.geometries], np.int64),
        "geometry_whole": np.array([g.whole for g in trace.geometries], np.uint8),
        "region_allocation": np.ascontiguousarray(trace.region_allocation, np.int32),
        "region_offset": np.ascontiguousarray(trace.region_offset, np.int64),
        "region_geometry": np.ascontiguousarray(trace.region_geometry, np.int32),
        "skip": _skipped(trace, spaces),
        "bank_bytes": int(chip.memory.psum_bank_bytes),
        "psum_space": 1,
    }


def _spaces(allocations: Sequence[Allocation], facts: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """(space, bytes of a row) of every allocation: int32, int64."""
    in_hbm = facts["on_chip"] == 0
    spaces = np.where(in_hbm, SPACES_ON_CHIP - 1 + np.cumsum(in_hbm), facts["psum"]).astype(np.int32)
    widths = facts["partition_bytes"].copy()
    for number in np.flatnonzero(in_hbm).tolist():
        each = allocations[number]
        widths[number] = prod(each.shape[-1:]) * each.dtype.itemsize
    return spaces, widths


def _used(trace: Trace) -> tuple[np.ndarray, np.ndarray]:
    """The first and the last row that touches each allocation, -1: none (int64)."""
    rows = trace.operand_row
    touched = trace.operand_allocation
    first, last = np.full((2, len(trace.allocations)), -1, np.int64)
    first[touched[::-1]] = rows[::-1]  # of several values for one index the last one stays
    last[touched] = rows
    return first, last


def _by_consumer(edges: np.ndarray) -> np.ndarray:
    edges = np.ascontiguousarray(edges, np.int64).reshape(-1, 2)
    return edges[np.argsort(edges[:, 1], kind="stable")]


def _skipped(trace: Trace, spaces: np.ndarray) -> np.ndarray:
    """1 for HBM tensors that are only read or only written.

    Stores to a tensor that the kernel never reads back are taken as disjoint: they cost no semaphore.
    """
    used = np.zeros(int(spaces.max(initial=1)) + 1, np.uint8)
    of_region = spaces[trace.region_allocation]
    for bit in (READS, WRITES):
        touched = np.zeros(len(of_region), bool)
        touched[trace.region[(trace.access & bit) != 0]] = True
        used[of_region[touched]] |= bit
    skip = (used != READS | WRITES).astype(np.uint8)
    skip[:SPACES_ON_CHIP] = 0
    return skip
