"""What is captured of a kernel: the columns of its trace, and the use of its tensors."""

from __future__ import annotations

import numpy as np
import pytest

import opentrn.nki as nki
import opentrn.nki.isa as nisa
import opentrn.nki.language as nl
from opentrn.errors import KernelError
from opentrn.program.trace import READS, WRITES, Trace

X = np.arange(128 * 64, dtype=np.float32).reshape(128, 64)


def trace_of(kernel, *args) -> Trace:
    (trace,) = nki.jit(kernel).report(args or (X.copy(),), {}, trace=True).traces
    return trace


def operands(trace: Trace, n: int):
    """(access, allocation id, element offset, geometry) of each operand of instruction n."""
    found = []
    for m in range(trace.first_operand[n], trace.first_operand[n + 1]):
        region = trace.region[m]
        geometry = trace.geometries[trace.region_geometry[region]]
        found.append(
            (int(trace.access[m]), int(trace.region_allocation[region]), int(trace.region_offset[region]), geometry)
        )
    return found


def test_one_row_for_each_instruction():
    def kernel(x):
        tile = nl.load(x)
        for _ in range(3):
            nisa.tensor_scalar(dst=tile[:, 0:8], data=tile[:, 8:16], op0=nl.add, operand0=1.0)
        nisa.dma_copy(dst=x, src=tile)

    trace = trace_of(kernel)
    assert [trace.steps[s].instruction.name for s in trace.step] == ["dma_copy", *["tensor_scalar"] * 3, "dma_copy"]
    assert trace.first_operand.tolist() == [0, 2, 4, 6, 8, 10]
    assert len({trace.places[p] for p in trace.place[1:4]}) == 1
    code, line = trace.places[trace.place[2]]
    assert code is kernel.__code__ and line == kernel.__code__.co_firstlineno + 3
    to, source = operands(trace, 1)
    assert to[:3] == (WRITES, 1, 0) and source[:3] == (READS, 1, 8)
    assert to[3] is source[3]
    assert (to[3].shape, to[3].strides, to[3].itemsize, to[3].whole) == ((128, 8), (64, 1), 4, False)
    assert trace.region[2] == trace.region[4] == trace.region[6]
    assert all(t.address is not None for t in trace.allocations if t.buffer.on_chip)


def test_columns_are_small():
    def kernel(x):
        tile = nl.load(x)
        for _ in range(1000):
            nisa.tensor_tensor(dst=tile, data1=tile, data2=tile, op=nl.add)
        nisa.dma_copy(dst=x, src=tile)

    trace = trace_of(kernel)
    columns = (trace.step, trace.place, trace.first_operand, trace.region, trace.access)
    assert sum(column.nbytes for column in columns) <= 40 * len(trace)
    assert [len(table) for table in (trace.steps, trace.places, trace.geometries, trace.region_offset)] == [3, 3, 1, 2]


def test_old_values_that_can_survive_are_read():
    def kernel(x):
        tile = nl.load(x)
        weights = nl.ndarray((128, 128), dtype=nl.float32)
        product = nl.ndarray((128, 64), dtype=nl.float32, buffer=nl.psum)
        nisa.memset(weights, value=1.0)
        nisa.nc_matmul(dst=product, stationary=weights, moving=tile)
        nisa.nc_matmul(dst=product, stationary=weights, moving=tile, accumulate=False)
        nisa.tensor_copy(dst=tile, src=product)
        nisa.dma_copy(dst=x, src=tile)

    trace = trace_of(kernel)
    assert [o[0] for o in operands(trace, 2)] == [READS | WRITES, READS, READS]
    assert [o[0] for o in operands(trace, 3)] == [WRITES, READS, READS]


def test_the_tensor_of_a_run_time_index_is_read():
    def kernel(x):
        index = nl.ndarray((1, 1), dtype=nl.int32)
        nisa.memset(index, value=8)
        tile = nl.load(x)
        part = nl.ndarray((128, 4), dtype=nl.float32)
        nisa.tensor_copy(dst=part, src=tile[:, nl.ds(index, 4)])
        nisa.dma_copy(dst=x[:, 0:4], src=part)

    trace = trace_of(kernel)
    found = operands(trace, 2)
    assert [o[0] for o in found] == [WRITES, READS, READS]
    assert [o[3].whole for o in found] == [False, True, False]
    assert found[2][1] == 1
    index = trace.allocations[1]
    assert (index.first, index.last) == (0, 2)


def test_edges_of_depends_on():
    def kernel(x):
        a, b = (nl.ndarray((128, 64), dtype=nl.float32) for _ in range(2))
        first = nisa.memset(a, value=1.0)
        second = nisa.memset(b, value=1.0)
        nisa.dma_copy(dst=x, src=a).depends_on(first, second)

    assert trace_of(kernel).edges.tolist() == [[0, 2], [1, 2]]


def test_first_and_last_use_and_writing():
    def kernel(x, y):
        tile = nl.load(x)
        unused = nl.ndarray((128, 64), dtype=nl.float32)  # noqa: F841
        for _ in range(1500):  # several batches
            nisa.tensor_scalar(dst=tile, data=tile, op0=nl.add, operand0=1.0)
        nisa.dma_copy(dst=y, src=tile)

    trace = trace_of(kernel, X.copy(), X.copy())
    assert [(t.first, t.last, t.written) for t in trace.allocations] == [
        (0, 0, False),
        (1501, 1501, True),
        (0, 1501, True),
        (-1, -1, False),
    ]


def test_a_tensor_of_an_earlier_launch_is_refused():
    kept = []

    def first(x):
        kept.append(nl.load(x))
        nisa.dma_copy(dst=x, src=kept[0])

    def second(x):
        nisa.dma_copy(dst=x, src=nl.load(x))
        nisa.dma_copy(dst=x, src=kept[0])

    trace_of(first)
    with pytest.raises(KernelError, match="of an earlier launch") as caught:
        trace_of(second)
    assert caught.value.site.function == "second"
