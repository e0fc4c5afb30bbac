"""Small programs for the event loop, written as engines see them, and run on both of its implementations."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from opentrn.program import native
from opentrn.timing.lower import COST_FIELDS, Classes
from opentrn.timing.native import run as run_loop
from opentrn.timing.timeline import CAUSES, ENGINES

MACHINE = {
    "semaphore_ns": 10.0,
    "table_load_ns": 1000.0,
    "further_wait_ns": np.zeros(5),
    "core_bytes_per_ns": 1e9,
    "stack_bytes_per_ns": 1e9,
    "dma_engines": 16.0,
    "clock_window_ns": 1000.0,
    "clock_phase_ns": 1000.0,
    "clock_low_rate": 0.5,
    "clock_threshold": 0.0,
    "vector_gpsimd_parallel": True,
    "vector_scalar_parallel": True,
    "prologue_ns": 0.0,
}
"""Round numbers, nothing in the way: a test turns on what it is about."""

COMPILED = [
    pytest.param(False, id="python"),
    pytest.param(True, id="compiled", marks=pytest.mark.skipif(not native.available(), reason="no native core")),
]


@dataclass(frozen=True)
class Tensor:
    """A tensor of a core: `space` 0 SBUF, 1 PSUM, from 2 on one in HBM; `width` bytes a row."""

    number: int

    def region(self, shape: tuple[int, ...], strides: tuple[int, ...], offset: int = 0, itemsize: int = 1) -> Any:
        return (self.number, offset, (shape, strides, itemsize, False))


@dataclass
class Program:
    """One core's program under construction. Regions are (tensor, element offset, geometry)."""

    tensors: list[dict[str, int]] = field(default_factory=list)
    costs: list[dict[str, float]] = field(default_factory=list)
    engines: list[int] = field(default_factory=list)
    operands: list[list[tuple[Any, int]]] = field(default_factory=list)
    edges: list[tuple[int, int]] = field(default_factory=list)

    def tensor(
        self, space: int = 0, width: int = 1024, rows: int = 128, row: int = 0, byte: int | None = None
    ) -> Tensor:
        """A new tensor; without `byte` it lies beside the others of its space."""
        taken = sum(t["width"] for t in self.tensors if t["space"] == space)
        place = taken if byte is None else byte
        on_chip = int(space < 2)
        self.tensors.append(
            {"space": space, "row": row, "byte": place if on_chip else 0, "width": width,
             "on_chip": on_chip, "bytes": rows * width}
        )  # fmt: skip
        return Tensor(len(self.tensors) - 1)

    def all_of(self, tensor: Tensor) -> Any:
        facts = self.tensors[tensor.number]
        rows = facts["bytes"] // facts["width"]
        return tensor.region((rows, facts["width"]), (facts["width"], 1))

    def do(self, engine: str, busy: float, *, reads: Any = (), writes: Any = (), **cost: float) -> int:
        """Append an instruction; a `Tensor` stands for all of it. Gives back its row."""
        defaults = {"shared": -1.0, "table": -1.0, "meets": -1.0, "engines": 16.0 if "nbytes" in cost else 0.0}
        self.costs.append(dict.fromkeys(COST_FIELDS, 0.0) | defaults | {"busy": busy} | cost)
        self.engines.append(ENGINES.index(engine))
        named = [(r, 1) for r in reads] + [(w, 2) for w in writes]
        self.operands.append([(self.all_of(t) if isinstance(t, Tensor) else t, a) for t, a in named])
        return len(self.costs) - 1

    def dma(self, engine: str, nbytes: float, work: float, **facts: Any) -> int:
        """A transfer that takes `work` ns alone, triggered by `engine` in 5 ns."""
        return self.do(engine, 5, nbytes=nbytes, work=work, **facts)

    def columns(self, first_kind: int) -> dict[str, Any]:
        regions = list(dict.fromkeys(r for ops in self.operands for r, _ in ops))
        geometries = list(dict.fromkeys(g for _, _, g in regions))
        column = lambda name, kind: np.array([t[name] for t in self.tensors], kind)  # noqa: E731
        spaces = max((t["space"] for t in self.tensors), default=1) + 1
        return {
            "kind": np.arange(len(self.costs), dtype=np.int32) + first_kind,
            "first_operand": np.cumsum([0, *(len(o) for o in self.operands)]).astype(np.int64),
            "region": np.array([regions.index(r) for ops in self.operands for r, _ in ops], np.int32),
            "access": np.array([a for ops in self.operands for _, a in ops], np.uint8),
            "edges": np.array(self.edges, np.int64).reshape(-1, 2),
            "allocation_space": column("space", np.int32),
            "allocation_row": column("row", np.int32),
            "allocation_byte": column("byte", np.int64),
            "allocation_width": column("width", np.int64),
            "allocation_on_chip": column("on_chip", np.uint8),
            "allocation_bytes": column("bytes", np.int64),
            "geometry_first": np.cumsum([0, *(len(g[0]) for g in geometries)]).astype(np.int64),
            "geometry_shape": np.array([n for g in geometries for n in g[0]], np.int64),
            "geometry_stride": np.array([n for g in geometries for n in g[1]], np.int64),
            "geometry_itemsize": np.array([g[2] for g in geometries], np.int64),
            "geometry_whole": np.array([g[3] for g in geometries], np.uint8),
            "region_allocation": np.array([a for a, _, _ in regions], np.int32),
            "region_offset": np.array([o for _, o, _ in regions], np.int64),
            "region_geometry": np.array([geometries.index(g) for _, _, g in regions], np.int32),
            "skip": np.zeros(max(spaces, 2), np.uint8),
            "bank_bytes": 2048,
            "psum_space": 1,
        }


class Run:
    """What one implementation made of a program (of its first core, unless told)."""

    def __init__(self, columns: list[dict[str, Any]], stuck: list[tuple[int, int, int, int]]) -> None:
        self.columns, self.stuck = columns, stuck

    def start(self, row: int, core: int = 0) -> float:
        return float(self.columns[core]["start"][row])

    def done(self, row: int, core: int = 0) -> float:
        return float(self.columns[core]["done"][row])

    def cause(self, row: int, core: int = 0) -> str:
        return CAUSES[self.columns[core]["cause"][row]]

    def waits(self, row: int, core: int = 0) -> list[int]:
        columns = self.columns[core]
        return sorted(columns["producer"][columns["consumer"] == row].tolist())


def run(*programs: Program, compiled: bool, **machine: Any) -> Run:
    """Time the programs, one per core."""
    first, cores = 0, []
    for program in programs:
        cores.append(program.columns(first))
        first += len(program.costs)
    rows = [[c[name] for name in COST_FIELDS] for p in programs for c in p.costs]
    engines = [e for p in programs for e in p.engines]
    is_dma = [c["nbytes"] > 0 for p in programs for c in p.costs]
    classes = Classes(
        np.array(rows, float).reshape(-1, len(COST_FIELDS)),
        np.array(engines, np.uint8),
        np.array(is_dma, np.uint8),
        [],
        [],
        [],
    )
    return Run(*run_loop(MACHINE | machine, classes, cores, compiled=compiled))
