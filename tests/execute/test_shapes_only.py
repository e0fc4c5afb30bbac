"""Recording with shapes alone: no tensor has memory, results are shapes, and what needs a value says so."""

from __future__ import annotations

import gc
import tracemalloc

import jax
import numpy as np
import pytest
import torch

import opentrn
import opentrn.nki as nki
import opentrn.nki.isa as nisa
import opentrn.nki.language as nl
from opentrn import ShapeDtype
from opentrn.errors import CapacityError, KernelError, LaunchError, RuleError, UnsupportedError, ViewError

X = np.arange(32, dtype=np.float32).reshape(4, 8)


def shapes_only(kernel, *args, lnc=1, **kwargs):
    """The report of a recording without data."""
    return nki.jit(kernel)[lnc].report(args, kwargs, data=False, trace=True)


def doubled(x):
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    tile = nl.load(x)
    nisa.tensor_scalar(dst=tile, data=tile, op0=nl.multiply, operand0=2.0)
    nisa.dma_copy(dst=out, src=tile)
    return out


@pytest.mark.parametrize(
    "like",
    [
        X,
        ShapeDtype((4, 8), np.float32),
        torch.zeros(4, 8),
        torch.empty(4, 8, device="meta"),
        jax.ShapeDtypeStruct((4, 8), np.float32),
        jax.numpy.zeros((4, 8)),
    ],
    ids=["numpy", "ShapeDtype", "torch", "torch meta", "jax.ShapeDtypeStruct", "jax"],
)
def test_anything_with_a_shape_and_a_dtype_is_an_argument(like):
    report = shapes_only(doubled, like)
    assert report.results == ShapeDtype((4, 8), "float32")
    assert report.instructions == {"dma_copy": 2, "tensor_scalar": 1}


def test_the_same_program_as_with_values():
    with_values = nki.jit(doubled).report((X,), {}, trace=True)
    without = shapes_only(doubled, X)
    assert np.array_equal(with_values.results, 2 * X)
    assert without.instructions == with_values.instructions
    (a,), (b,) = with_values.traces, without.traces
    assert [s.instruction.name for s in a.steps] == [s.instruction.name for s in b.steps]
    for column in ("step", "place", "first_operand", "region", "access", "region_offset", "region_geometry"):
        assert np.array_equal(getattr(a, column), getattr(b, column))
    assert a.geometries == b.geometries
    assert [t.address for t in a.allocations] == [t.address for t in b.allocations]


def test_traces_only_where_asked_for():
    assert opentrn.run(doubled)(X).traces is None


def test_spellings_of_dtypes_in_a_stand_in():
    for spelling in ("bfloat16", nl.bfloat16, torch.bfloat16, jax.numpy.bfloat16):
        assert ShapeDtype([4, 8], spelling) == ShapeDtype((4, 8), "bfloat16")


def test_tensors_far_larger_than_the_machine():
    rows = 20 << 20  # two tensors of 20 GiB

    def kernel(x):
        out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
        for n in range(0, rows, rows // 8):
            tile = nl.load(x[n : n + 128])
            nisa.dma_copy(dst=out[n : n + 128], src=tile)
        return out

    tracemalloc.start()
    report = shapes_only(kernel, ShapeDtype((rows, 512), "bfloat16"))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert report.results == ShapeDtype((rows, 512), "bfloat16")
    assert sum(t.nbytes for t in report.traces[0].allocations if not t.buffer.on_chip) == 40 << 30
    assert peak < 20 << 20


def test_an_argument_that_is_written_is_a_result():
    def kernel(x):
        nisa.dma_copy(dst=x[0:2], src=x[2:4])

    assert shapes_only(kernel, ShapeDtype((4, 8), "float32")).results is None
    with pytest.raises(LaunchError, match="stored into none"):
        shapes_only(lambda x: (nl.load(x), None)[1], ShapeDtype((4, 8), "float32"))


def test_two_cores_have_a_trace_each():
    def kernel(x):
        out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
        rows = x.shape[0] // nl.num_programs()
        mine = nl.ds(nl.program_id(0) * rows, rows)
        tile = nl.load(x[mine])
        nisa.core_barrier(data=out, cores=(0, 1))
        nisa.dma_copy(dst=out[mine], src=tile)
        return out

    report = shapes_only(kernel, ShapeDtype((4, 8), "float32"), lnc=2)
    assert report.results == ShapeDtype((4, 8), "float32")
    assert [len(trace) for trace in report.traces] == [3, 3]
    assert report.instructions["core_barrier"] == 2


# ------------------------------------------------------------------ what stays checked
def test_rules_capacity_and_views_are_checked():
    def rule(x):
        nisa.tensor_copy(dst=nl.ndarray((4, 8), dtype=nl.float32), src=x)

    def capacity(x):
        tiles = [nl.ndarray((128, 100_000), dtype=nl.uint8) for _ in range(3)]
        for tile in tiles:
            nisa.memset(tile, value=0)
        for tile in tiles:
            nisa.dma_copy(dst=x, src=tile[0:4, 0:32].view(nl.float32))

    def view(x):
        nl.load(x[0:5])

    for kernel, error in ((rule, RuleError), (capacity, CapacityError), (view, ViewError)):
        with pytest.raises(error):
            shapes_only(kernel, ShapeDtype((4, 8), "float32"))


def test_tensors_placed_over_each_other_are_recorded():
    def kernel(x):
        a, b = (nl.ndarray((4, 8), dtype=nl.float32, address=(0, n)) for n in (0, 16))
        nisa.dma_copy(dst=a, src=x)
        nisa.dma_copy(dst=b, src=x)
        nisa.dma_copy(dst=x, src=a)

    assert shapes_only(kernel, ShapeDtype((4, 8), "float32")).instruction_count == 3


def test_the_garbage_collector_is_back_afterwards():
    seen = []
    shapes_only(lambda x: (seen.append(gc.isenabled()), doubled(x))[1], X)
    with pytest.raises(ViewError):
        shapes_only(lambda x: x[0:9], X)
    assert seen == [False]
    assert gc.isenabled()


@pytest.mark.parametrize("shape", [(), (0, 4)])
def test_stand_ins_without_elements_are_refused(shape):
    with pytest.raises(LaunchError, match="argument array"):
        shapes_only(doubled, ShapeDtype(shape, "float32"))


# ------------------------------------------------------------------ what needs values
def needs_values(body):
    """Assert that `body` (given the argument) raises, at a line of this file, and says which mode helps."""

    def kernel(x):
        body(x)
        return doubled(x)

    with pytest.raises(UnsupportedError, match="needs values") as caught:
        shapes_only(kernel, ShapeDtype((4, 8), "int32"))
    assert caught.value.site.file == __file__
    assert 'mode="values"' in caught.value.hint


def loaded(x):
    return nisa.register_alloc(x[0:1, 0:1])


@pytest.mark.parametrize(
    "body",
    [
        lambda x: print(nl.load(x)),
        lambda x: nl.device_print("x", x),
        lambda x: x.numpy(),
        lambda x: np.asarray(x),
        lambda x: f"{x[0:1, 0:1]:.2f}",
        lambda x: bool(nl.equal(nl.load(x), nl.load(x))),
        lambda x: loaded(x).read(),
        lambda x: bool(loaded(x)),
        lambda x: nl.fori_loop(0, loaded(x), lambda i: None),
        lambda x: list(nl.dynamic_range(x[0:1, 0:1])),
        lambda x: nl.while_loop(loaded(x), lambda r: r),
    ],
    ids=["print", "device_print", "numpy", "asarray", "format", "bool", "read", "condition", "fori", "range", "while"],
)
def test_what_needs_values_says_so(body):
    needs_values(body)


def test_the_form_of_a_tensor_can_be_shown():
    def kernel(x):
        assert repr(x) == "NkiTensor[4, 8] float32 shared_hbm 'x'"
        return doubled(x)

    shapes_only(kernel, ShapeDtype((4, 8), "float32"))


def test_known_registers_steer_loops_and_unknown_ones_address():
    trips = []

    def kernel(x, index):
        out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
        known, unknown = nisa.register_alloc(3), nisa.register_alloc(index)
        copy = nisa.register_alloc(0)
        nisa.register_move(copy, unknown)
        nisa.register_store(index, copy)
        tile = nl.ndarray((1, 8), dtype=x.dtype)
        nl.fori_loop(0, known, lambda i: trips.append(i.read()))
        nisa.dma_copy(dst=tile, src=x[nl.ds(copy, 1)])
        nisa.dma_copy(dst=out[0:1], src=tile)
        return out

    report = shapes_only(kernel, ShapeDtype((4, 8), "float32"), ShapeDtype((1, 1), "int32"))
    assert trips == [0, 1, 2]
    (trace,) = report.traces
    first = trace.region[trace.first_operand[0] : trace.first_operand[1]]
    assert [trace.geometries[trace.region_geometry[r]].whole for r in first] == [False, True]


def test_a_register_without_a_value_is_still_an_error():
    with pytest.raises(KernelError, match="before it has a value"):
        shapes_only(lambda x: nisa.register_move(nisa.register_alloc(), nisa.register_alloc()), X)
