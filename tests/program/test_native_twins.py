"""The native core's views, capture, recording and placing against their twins in Python, which are the specification."""

from __future__ import annotations

from contextlib import nullcontext

import numpy as np
import pytest
from harness import without_native
from hypothesis import given, settings
from hypothesis import strategies as st

import opentrn.nki as nki
import opentrn.nki.isa as nisa
import opentrn.nki.language as nl
from opentrn import ShapeDtype
from opentrn.errors import CapacityError, OpentrnError
from opentrn.isa.enums import MemoryRegion
from opentrn.numerics.dtypes import DTYPES
from opentrn.program import native
from opentrn.program.allocate import allocate, spread
from opentrn.program.layout import Layout
from opentrn.program.storage import Allocation, Storage
from opentrn.program.trace import Trace
from opentrn.program.view import View

pytestmark = pytest.mark.skipif(not native.available(), reason="the compiled core is not in use here")

_OWN = {"__slots__", "__dict__", "__weakref__", "__module__"}
Plain = type("Plain", (Layout,), {n: v for n, v in vars(View).items() if n not in _OWN} | {"__slots__": ()})
"""`View` on the layout in Python."""


# ------------------------------------------------------------------ views
@st.composite
def storages(draw):
    region = draw(st.sampled_from(list(MemoryRegion)))
    shape = tuple(draw(st.lists(st.integers(1, 7), min_size=2, max_size=6)))
    address = draw(st.sampled_from([None, (0, 0), (32, 64), (64, 2048)])) if region.on_chip else None
    kind = DTYPES[draw(st.sampled_from(["float32", "bfloat16", "int8"]))]
    number = draw(st.integers(0, 3))
    made = Allocation(number, "", shape, kind, region, 0, None, address, manual=address is not None)
    return Storage(made, None, draw(st.booleans()))


BOUNDS = st.one_of(st.none(), st.integers(-8, 8))
ODD = st.one_of(
    st.builds(slice, BOUNDS, BOUNDS, st.one_of(st.none(), st.integers(-1, 3))),
    st.integers(-8, 8),
    st.sampled_from(
        [
            Ellipsis,
            True,
            None,
            1.5,
            "a",
            np.int64(1),
            slice(np.int32(0), np.int32(1)),
            slice(True),
            slice(1 << 70),
            1 << 70,
        ]
    ),
)


@st.composite
def keys(draw, shape):
    """An index of a view of this shape: mostly a good one."""
    parts = []
    for size in shape[: draw(st.integers(0, len(shape)))]:
        start = draw(st.integers(0, size - 1))
        stop = draw(st.integers(start + 1, size))
        good = [slice(None), start, start - size, slice(start, stop), slice(start, stop, 2), slice(start - size, None)]
        parts.append(draw(st.sampled_from(good)) if draw(st.integers(0, 9)) else draw(ODD))
    if not draw(st.integers(0, 3)):
        parts.insert(draw(st.integers(0, len(parts))), Ellipsis)
    return parts[0] if len(parts) == 1 and draw(st.booleans()) else tuple(parts)


def facts(view):
    return view.shape, view.strides, view.offset, view.dtype, view.buffer, view.dynamic, view.storage


def tried(view, key):
    """The view that `key` selects, or the error that it raises, as comparable facts."""
    try:
        made = view[key]
    except OpentrnError as error:
        return None, (type(error), str(error))
    return made, facts(made)


@settings(deadline=None, max_examples=300)
@given(storages(), st.data())
def test_indexing(storage, data):
    quick, plain = View.whole(storage), Plain.whole(storage)
    assert facts(quick) == facts(plain)
    for _ in range(3):
        key = data.draw(keys(quick.shape))
        (quick, seen), (plain, expected) = tried(quick, key), tried(plain, key)
        assert seen == expected
        if quick is None or plain is None or 0 in quick.shape:
            return
        assert quick._facts() == plain._facts()


def alike() -> list[View]:
    """Views of which many differ in one fact only."""
    made, index = [], View.whole(Storage(Allocation(9, "", (1, 1), DTYPES["int32"], MemoryRegion.sbuf, 0, None), None))
    for region in MemoryRegion:
        for dtype in ("int8", "float32"):
            for address in (None, (0, 0), (32, 64)) if region.on_chip else (None,):
                facts = Allocation(0, "", (64, 96), DTYPES[dtype], region, 0, None, address, address is not None)
                for wide in (False, True):
                    whole = View.whole(Storage(facts, None, wide))
                    made += [whole[p : p + 8, c : c + 8] for p in (0, 8, 32) for c in (0, 16, 32, 64)]
                    made += [whole[0:8, 0:16:2], whole[0:8, 0:8].expand_dim(1)]
                    made += [] if wide else [whole[0:8, 0:8].view("uint8")[:, 0:8]]
                    made += [whole[0:8, 0:stop].select(1, index) for stop in (8, 16)]
                    made += [whole[0:8, 0:16:2].select(1, index), whole[0:8].select(1, index)]
    return made


def test_keys_are_equal_where_the_facts_are():
    numbers = {}
    for view in alike():
        numbers.setdefault(view._facts(), set()).add(view.key)
    assert all(len(found) == 1 for found in numbers.values())
    assert len(set.union(*numbers.values())) == len(numbers) > 200


def test_what_a_view_is_made_of_cannot_be_changed():
    view = View.whole(Storage(Allocation(0, "", (4, 4), DTYPES["int8"], MemoryRegion.sbuf, 0, None), None))
    with pytest.raises(AttributeError):
        view.shape = (1, 1)
    with pytest.raises(AttributeError, match="no attribute 'shappe'"):
        _ = view.shappe
    with pytest.raises(AttributeError):
        _ = View.__new__(View).shape


# ------------------------------------------------------------------ recording and capture
def tiled_matmul(a, b):
    out = nl.ndarray((a.shape[1], b.shape[1]), dtype=nl.float32, buffer=nl.shared_hbm)
    for n in range(0, b.shape[1], 128):
        product = nl.ndarray((128, 128), dtype=nl.float32, buffer=nl.psum)
        for k in range(0, a.shape[0], 128):
            x, y = nl.load(a[k : k + 128, 0:128]), nl.load(b[k : k + 128, n : n + 128])
            nisa.nc_matmul(dst=product, stationary=x, moving=y, tile_position=(), accumulate=None if k else False)
        tile = nl.ndarray((128, 128), dtype=nl.float32)
        nisa.tensor_copy(dst=tile, src=product)
        nisa.dma_copy(dst=out[0:128, n : n + 128], src=tile)
    return out


def many_operands_and_attributes(a, b):
    tile, other = nl.load(a[0:128]), nl.load(b[0:128])
    scale = nl.ndarray((128, 1), dtype=nl.float32)
    last = nisa.memset(scale, value=0.5)
    for op, number in ((nl.add, 1), (nl.add, 1.0), (nl.multiply, -0.0), (nl.multiply, 0.0), (nl.maximum, True)):
        last = nisa.tensor_scalar(dst=tile, data=tile, op0=op, operand0=number).depends_on(last)
    nisa.tensor_scalar(dst=tile, data=tile, op0=nl.multiply, operand0=scale, op1=nl.add, operand1=np.float32(2))
    nisa.activation(dst=tile, data=other, op=nl.exp, scale=scale)
    nisa.iota(dst=other[:, 0:8].view(nl.int32), pattern=[[1, 8]], offset=0, channel_multiplier=1)
    nisa.dma_compute(dst=a[0:128], srcs=[tile, other], reduce_op=nl.add, scales=[1.0, 1.0])
    return a


def run_time_addresses(a, b):
    index = nl.ndarray((1, 1), dtype=nl.int32)
    nisa.memset(index, value=3)
    register = nisa.register_alloc(2)
    rows = nl.ndarray((64, 1), dtype=nl.int32)
    nisa.iota(dst=rows, pattern=[[1, 1]], offset=0, channel_multiplier=1)
    tile = nl.load(a[0:128])
    nisa.tensor_copy(dst=tile[:, 0:4], src=tile[:, nl.ds(index, 4)])
    nisa.dma_copy(dst=tile[0:2], src=b[nl.ds(register, 2)])
    nisa.dma_copy(dst=tile[0:64], src=b.vector_select(0, rows))
    nisa.dma_copy(dst=b[0:128], src=tile)
    return b


def two_cores(a, b):
    rows = a.shape[0] // nl.num_programs()
    mine = nl.ds(nl.program_id(0) * rows, rows)
    tile = nl.ndarray((rows, 2, 64), dtype=nl.float32)
    nisa.dma_copy(dst=tile, src=a[mine].reshape((rows, 2, 64)))
    shared = nl.ndarray(a.shape, dtype=nl.float32, buffer=nl.shared_hbm)
    nisa.core_barrier(data=shared, cores=(0, 1))
    nisa.dma_copy(dst=shared[mine], src=tile.reshape((rows, 128)))
    return shared


def placed_by_hand(a, b):
    for n in range(4):
        tile = nl.ndarray((64, 128), dtype=nl.float32, address=(64 * (n % 2), 1024 * (n // 2)))
        nisa.dma_copy(dst=tile, src=a[64 * (n % 2) : 64 * (n % 2) + 64])
        nisa.dma_copy(dst=b[64 * (n % 2) : 64 * (n % 2) + 64], src=tile[:, 0:128])
    return b


KERNELS = [
    (tiled_matmul, 1),
    (many_operands_and_attributes, 1),
    (run_time_addresses, 1),
    (two_cores, 2),
    (placed_by_hand, 1),
]


def traces(kernel, lnc, *, compiled: bool, data: bool) -> list[Trace]:
    generator = np.random.default_rng(3)
    arrays = [generator.standard_normal((128, 128)).astype(np.float32) for _ in range(2)]
    given = arrays if data else [ShapeDtype(a.shape, a.dtype) for a in arrays]
    with nullcontext() if compiled else without_native():
        return nki.jit(kernel)[lnc].report(tuple(given), {}, data=data, trace=True).traces


def comparable(trace: Trace) -> dict:
    """Everything in a trace, with steps by what they say (each way of recording has its own)."""
    columns = {name: value.tolist() for name, value in vars(trace).items() if isinstance(value, np.ndarray)}
    types = {name: value.dtype for name, value in vars(trace).items() if isinstance(value, np.ndarray)}
    steps = [(s.instruction.name, s.engine, s.names, s.roles, str(s.values.keys())) for s in trace.steps]
    tensors = [
        (t.id, t.name, t.shape, t.dtype, t.buffer, t.site, t.address, t.manual, t.first, t.last, t.written)
        for t in trace.allocations
    ]
    return columns | {
        "types": types, "steps": steps, "places": trace.places, "geometries": trace.geometries, "tensors": tensors
    }  # fmt: skip


@pytest.mark.parametrize("data", [True, False], ids=["values", "shapes"])
@pytest.mark.parametrize(("kernel", "lnc"), KERNELS, ids=[k.__name__ for k, _ in KERNELS])
def test_recording_and_capture(kernel, lnc, data):
    quick = traces(kernel, lnc, compiled=True, data=data)
    plain = traces(kernel, lnc, compiled=False, data=data)
    assert len(quick) == len(plain) == lnc
    for a, b in zip(quick, plain, strict=True):
        assert len(a) > 1
        assert comparable(a) == comparable(b)


def test_numbers_that_are_equal_and_differ_have_steps_of_their_own():
    (trace,) = traces(many_operands_and_attributes, 1, compiled=True, data=False)
    values = [s.values["operand0"] for s in trace.steps if s.instruction.name == "tensor_scalar"][:5]
    assert [(type(v), str(v)) for v in values] == [
        (int, "1"), (float, "1.0"), (float, "-0.0"), (float, "0.0"), (bool, "True")
    ]  # fmt: skip


# ------------------------------------------------------------------ placing
ROWS = st.tuples(
    st.sampled_from([1, 32, 33, 64, 65, 128]),
    st.integers(1, 600),
    st.integers(0, 12),
    st.integers(0, 6),
    st.sampled_from([None, None, None, (0, 0), (64, 512)]),
)


@settings(deadline=None, max_examples=150)
@given(st.lists(ROWS, min_size=1, max_size=24), st.sampled_from([(MemoryRegion.sbuf, None), (MemoryRegion.psum, 256)]))
def test_placing(rows, where):
    region, bank = where

    def placed(compiled: bool, apart: bool):
        tensors = []
        for n, (partitions, nbytes, first, length, address) in enumerate(rows):
            shape, address = (partitions, nbytes), address if partitions <= 64 else None
            made = Allocation(n, f"t{n}", shape, DTYPES["uint8"], region, 0, None, address, manual=address is not None)
            made.first, made.last = first, first + length
            tensors.append(made)
        with nullcontext() if compiled else without_native():
            try:
                memory = allocate(tensors, region, 2048, bank)
            except CapacityError as error:
                return str(error)
            if apart:
                spread(memory, bank)
        return [t.address for t in tensors], memory.peak, memory.peak_at

    for apart in (False, True):
        assert placed(True, apart) == placed(False, apart)
