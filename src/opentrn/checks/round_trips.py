"""Results that leave PSUM without need: copied to SBUF for one reader that could read PSUM, or added up in SBUF."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from opentrn.isa.enums import MemoryRegion, engine
from opentrn.program.trace import READS, WRITES, Trace

__all__ = ["needless_copies", "sums_outside"]

_PSUM, _SBUF = MemoryRegion.psum, MemoryRegion.sbuf
_READERS = (engine.vector, engine.scalar)
"""Engines that read PSUM as well as SBUF."""


def needless_copies(trace: Trace) -> np.ndarray:
    """Rows that only copy PSUM to an SBUF tensor, where each copy is read once, by an instruction that could read PSUM.

    That is: ScalarE or VectorE reads it, and nothing else in PSUM.
    """
    copies = np.array([_copies(step) for step in trace.steps], bool)
    if not copies.any():
        return np.zeros(0, np.int64)
    rows = trace.operand_row
    tensors, steps = trace.operand_allocation, trace.step[rows]
    could = np.array([_could_read_psum(step) for step in trace.steps], bool)
    writes, reads = (trace.access & WRITES) != 0, (trace.access & READS) != 0
    count = len(trace.allocations)
    good = np.array([a.buffer is _SBUF for a in trace.allocations], bool)
    good[tensors[writes & ~copies[steps]]] = False
    good[tensors[reads & ~could[steps]]] = False
    good &= np.bincount(tensors[writes], minlength=count) == np.bincount(tensors[reads], minlength=count)
    return rows[writes & good[tensors] & copies[steps]]


def sums_outside(trace: Trace) -> np.ndarray:
    """Rows that add a tensor in PSUM to one in SBUF and write the sum where that was: ``total += product``.

    None where all such sums together are larger than PSUM: then they cannot stay there.
    """
    adds = np.array([_adds(step) for step in trace.steps], bool)
    rows = np.flatnonzero(adds[trace.step]) if adds.any() else np.zeros(0, np.int64)
    in_place = [row for row in rows.tolist() if _in_place(trace, row)]
    sums = {int(trace.region[trace.first_operand[row]]) for row in in_place}
    if not in_place or sum(_partition_bytes(trace, region) for region in sums) > _psum_bytes(trace):
        return np.zeros(0, np.int64)
    return np.array(in_place, np.int64)


def _psum_bytes(trace: Trace) -> int:
    return trace.steps[0].chip.memory.psum_bytes_per_partition


def _partition_bytes(trace: Trace, region: int) -> int:
    form = trace.geometries[trace.region_geometry[region]]
    return prod(form.shape[1:]) * form.itemsize


def _copies(step: Any) -> bool:
    values = step.values
    return step.instruction.name == "tensor_copy" and values["src"].buffer is _PSUM and values["dst"].buffer is _SBUF


def _could_read_psum(step: Any) -> bool:
    operands = [step.values[name] for name in step.names if name in step.values]
    in_psum = any(getattr(each, "buffer", None) is _PSUM for each in operands[1:])
    return step.engine in _READERS and not in_psum and len(operands) == len(step.names)


def _adds(step: Any) -> bool:
    values = step.values
    if step.instruction.name != "tensor_tensor" or values["op"].name != "add":
        return False
    return {values["data1"].buffer, values["data2"].buffer} == {_PSUM, _SBUF} and values["dst"].buffer is _SBUF


def _in_place(trace: Trace, row: int) -> bool:
    regions = trace.region[trace.first_operand[row] : trace.first_operand[row + 1]].tolist()
    return regions[0] in regions[1:]
