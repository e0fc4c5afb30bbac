"""Capture: what the records of one core tell, taken from each batch before it is executed and forgotten.

Always: how often each step ran, and (noted in each `Allocation`) when each tensor was first and last touched and whether
it was written. On request also the columns of a `Trace`. The native core has a class of the same interface, which is the
one in use where there is one; this one is what it is tested against.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Sequence
from types import CodeType
from typing import Any, NoReturn

import numpy as np

from opentrn.errors import KernelError
from opentrn.program import native
from opentrn.program.recorder import Record
from opentrn.program.site import site_of
from opentrn.program.step import Step
from opentrn.program.storage import Allocation
from opentrn.program.trace import READS, WRITES, Geometry, Trace
from opentrn.program.view import View

__all__ = ["Capture", "foreign", "new_capture", "trace_of"]

_ACCESS = {"in": READS, "out": WRITES, "inout": READS | WRITES}


class Capture:
    """The tables and columns of one core, which made `allocations`. With `columns` False there are counts only."""

    def __init__(self, allocations: list[Allocation], columns: bool) -> None:
        self._allocations, self._keep = allocations, columns
        self._counts: Counter[Step] = Counter()
        self._total = 0
        self._steps: dict[Step, int] = {}
        self._places: dict[tuple[int, int], int] = {}
        self._place_values: list[tuple[CodeType, int]] = []
        self._geometries: dict[Geometry, int] = {}
        self._regions: dict[tuple[int, int, int], int] = {}
        self._step, self._place, self._first_operand = array("i"), array("i"), array("q", [0])
        self._region, self._access = array("i"), bytearray()

    def append(self, batch: Sequence[Record]) -> None:
        """Take the next records. Raises KernelError for a tensor that this core did not allocate."""
        for record in batch:
            step, operands, place = record
            self._counts[step] += 1
            for role, view in zip(step.roles, operands, strict=True):
                self._operand(record, view, _ACCESS[role])
            if self._keep:
                self._step.append(self._steps.setdefault(step, len(self._steps)))
                self._place.append(self._place_number(place))
                self._first_operand.append(len(self._region))
            self._total += 1

    def _operand(self, record: Record, view: View, access: int) -> None:
        self._touch(record, view.storage.allocation, access)
        if self._keep:
            self._region.append(self._region_number(view))
            self._access.append(access)
        if view.dynamic is not None and isinstance(view.dynamic.index, View):
            self._operand(record, view.dynamic.index, READS)

    def _touch(self, record: Record, tensor: Allocation, access: int) -> None:
        if tensor.id >= len(self._allocations) or self._allocations[tensor.id] is not tensor:
            foreign(record, tensor)
        if tensor.first < 0:
            tensor.first = self._total
        tensor.last = self._total
        if access & WRITES:
            tensor.written = True

    def _place_number(self, place: tuple[CodeType, int]) -> int:
        key = id(place[0]), place[1]  # code objects compare by their contents, slowly
        if key not in self._places:
            self._places[key] = len(self._places)
            self._place_values.append(place)
        return self._places[key]

    def _region_number(self, view: View) -> int:
        form = Geometry(view.shape, view.strides, view.dt.itemsize, view.dynamic is not None)
        geometry = self._geometries.setdefault(form, len(self._geometries))
        return self._regions.setdefault((view.storage.allocation.id, view.offset, geometry), len(self._regions))

    def counts(self) -> dict[Step, int]:
        """How often each step ran."""
        return self._counts

    def columns(self) -> dict[str, Any]:
        """The fields of a `Trace` except `allocations` and `edges`, when everything has been appended."""
        regions = np.array(list(self._regions), np.int64).reshape(-1, 3)
        return {
            "steps": list(self._steps),
            "places": self._place_values,
            "geometries": list(self._geometries),
            "step": np.array(self._step, np.int32),
            "place": np.array(self._place, np.int32),
            "first_operand": np.array(self._first_operand, np.int64),
            "region": np.array(self._region, np.int32),
            "access": np.array(self._access, np.uint8),
            "region_allocation": regions[:, 0].astype(np.int32),
            "region_offset": regions[:, 1].copy(),
            "region_geometry": regions[:, 2].astype(np.int32),
        }


def foreign(record: Record, tensor: Allocation) -> NoReturn:
    """Raise KernelError: the record uses a tensor that belongs to another core, or to another launch."""
    step, _, place = record
    raise KernelError(
        f"nisa.{step.instruction.name} uses a tensor of another core, or of an earlier launch",
        site=site_of(place),
        got=f"{tensor} of core {tensor.core}",
        expected="tensors that this core allocated in this launch",
        hint="cores share tensors in nl.shared_hbm, or exchange them with nisa.sendrecv",
    )


def new_capture(allocations: list[Allocation], columns: bool) -> Any:
    """A `Capture`, of the native class where the core is in use."""
    kind = getattr(native.core(), "Capture", Capture)
    return kind(allocations, columns)


def trace_of(
    capture: Any,
    allocations: list[Allocation],
    edges: Sequence[tuple[int, int]],
    **marks: Any,
) -> Trace:
    """The recorded program of one core, whose tensors have been placed; `marks` are its other fields."""
    pairs = np.array(edges, np.int64).reshape(-1, 2)
    return Trace(allocations=allocations, edges=pairs, **marks, **capture.columns())
