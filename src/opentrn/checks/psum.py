"""What is written to PSUM, and how: sums of products, and operands larger than a bank."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from opentrn.isa.enums import MemoryRegion, engine
from opentrn.program.trace import WRITES, Geometry, Trace

__all__ = ["foreign_sums", "resumed_sums", "wide_operands"]


def foreign_sums(trace: Trace) -> Iterator[tuple[int, int]]:
    """(row, writer): products that are added to elements that another engine's instruction `writer` was last to write.

    Only tensors that TensorE adds to and another engine writes are followed, element by element.
    """
    product = np.array([step.engine is engine.tensor for step in trace.steps], bool)
    adds = np.array(
        [step.engine is engine.tensor and step.values.get("accumulate", False) is not False for step in trace.steps]
    )
    if not adds.any():
        return
    in_psum = np.array([a.buffer is MemoryRegion.psum for a in trace.allocations], bool)
    rows = trace.operand_row
    tensors = trace.operand_allocation
    writes = ((trace.access & WRITES) != 0) & in_psum[tensors]
    by_product = product[trace.step[rows]]
    mixed = np.zeros((2, len(trace.allocations)), bool)
    mixed[0, tensors[writes & ~by_product]] = True
    mixed[1, tensors[writes & adds[trace.step[rows]]]] = True
    for number in np.flatnonzero(mixed.all(0)).tolist():
        yield from _follow(trace, number, np.flatnonzero(writes & (tensors == number)), rows, by_product, adds)


def _follow(
    trace: Trace, number: int, operands: np.ndarray, rows: np.ndarray, by_product: np.ndarray, adds: np.ndarray
) -> Iterator[tuple[int, int]]:
    tensor = trace.allocations[number]
    writer = np.full(tensor.nbytes // tensor.dtype.itemsize, -1)
    for operand in operands.tolist():
        row = int(rows[operand])
        window = _window(writer, trace, int(trace.region[operand]))
        if not by_product[operand]:
            window[...] = row
            continue
        if adds[trace.step[row]] and window.max() >= 0:
            yield row, int(window.max())
        window[...] = -1


def _window(elements: np.ndarray, trace: Trace, region: int) -> np.ndarray:
    """The region's elements of a tensor; all of it where the address is known at run time only."""
    form = trace.geometries[trace.region_geometry[region]]
    if form.whole or form.itemsize * elements.size != trace.allocations[trace.region_allocation[region]].nbytes:
        return elements
    size = elements.itemsize
    start = int(trace.region_offset[region])
    return np.ndarray(form.shape, elements.dtype, elements, start * size, [s * size for s in form.strides])


def wide_operands(trace: Trace, bank: int) -> Iterator[tuple[int, int]]:
    """(row, bytes per partition): the first instruction for each PSUM region that reaches over more bytes than a bank has."""
    wide = {n: b for n, form in enumerate(trace.geometries) if (b := _reach(form)) > bank}
    if not wide:
        return
    in_psum = np.array([a.buffer is MemoryRegion.psum for a in trace.allocations], bool)
    large = np.isin(trace.region_geometry, list(wide)) & in_psum[trace.region_allocation]
    operands = np.flatnonzero(large[trace.region])
    _, first = np.unique(trace.region[operands], return_index=True)
    rows = trace.operand_row
    for operand in operands[first].tolist():
        yield int(rows[operand]), wide[int(trace.region_geometry[trace.region[operand]])]


def _reach(form: Geometry) -> int:
    """Bytes of a partition from the first to the last element."""
    return (sum((n - 1) * s for n, s in zip(form.shape[1:], form.strides[1:], strict=True)) + 1) * form.itemsize


def resumed_sums(trace: Trace) -> Iterator[tuple[int, int]]:
    """(row, reader): products with ``accumulate=None`` that go on with a sum which `reader` has read since its last product.

    Regions are compared as wholes. The first such product of each line is given.
    """
    unsure = np.array(
        [step.engine is engine.tensor and step.values.get("accumulate", False) is None for step in trace.steps], bool
    )
    if not unsure.any():
        return
    in_psum = np.array([a.buffer is MemoryRegion.psum for a in trace.allocations], bool)
    rows = trace.operand_row
    operands = np.flatnonzero(in_psum[trace.operand_allocation])
    operands = operands[np.lexsort((rows[operands], trace.region[operands]))]
    here, before = operands[1:], operands[:-1]
    resumes = (trace.region[here] == trace.region[before]) & unsure[trace.step[rows[here]]]
    resumes &= ((trace.access[here] & WRITES) != 0) & ((trace.access[before] & WRITES) == 0)
    seen: set[int] = set()
    for row, reader in zip(rows[here[resumes]].tolist(), rows[before[resumes]].tolist(), strict=True):
        if int(trace.place[row]) not in seen:
            seen.add(int(trace.place[row]))
            yield row, reader
