"""tensor_reduce: rules by label, meaning against one number at a time, native core against the meaning."""

from __future__ import annotations

import operator
from functools import reduce

import numpy as np
import pytest
from beside import placed
from gathered import columns, through
from harness import call, native_equals_meaning, out, psum, refused, result, sbuf
from hypothesis import given, settings
from hypothesis import strategies as st
from prices import price
from scalars import DTYPES, FLOATS, INTEGERS, rounded, same, sample, seen
from totals import total, totals

import opentrn.nki.language as nl
from opentrn.errors import MemoryFault

RNG = np.random.default_rng(17)
X = RNG.standard_normal((16, 24)).astype(np.float32)
DEEP = X.reshape(16, 2, 3, 4)
CASE = {"dst": out((16, 1)), "op": nl.add, "data": sbuf(X), "axis": 1}
NAME = "tensor_reduce"
SEED = st.integers(0, 2**32 - 1)
BITVEC = {"bitwise_and": operator.and_, "bitwise_or": operator.or_, "bitwise_xor": operator.xor}
LOGICAL = ("logical_and", "logical_or", "logical_xor")


def grouped(values, groups):
    """(P, groups, members) of the Python numbers that an engine sees."""
    return seen(values).reshape(len(values), groups, -1)


def peaks(values, groups):
    """(P, groups) maxima by Python's max, of values without NaN."""
    return np.array([[max(g) for g in row] for row in grouped(values, groups)], np.float32)


@pytest.mark.parametrize(
    ("axis", "groups"), [(3, 6), ([3], 6), ((3,), 6), (-1, 6), ((2, 3), 2), ([3, 2], 2), ((1, 2, 3), 1), ((-2, -1), 2)]
)
def test_c1_accepts_the_last_free_dimensions(axis, groups):
    got = result(NAME, dst=out((16, groups)), op=nl.maximum, data=sbuf(DEEP), axis=axis)
    assert np.array_equal(got, peaks(DEEP, groups))


@pytest.mark.parametrize("axis", [0, (0, 1, 2, 3), (0, 3), -4, 2, (1, 2), (1, 3), (3, 3), 4, -5, ()])
def test_c1_refuses_the_partition_gaps_and_what_is_not_there(axis):
    refused(NAME, "c1", dst=out((16, 6)), op=nl.maximum, data=sbuf(DEEP), axis=axis)


def test_c1_refuses_axis_1_of_three_dimensions():
    """Release notes, NKI 0.3.0: axis=1 no longer means the last free dimension of 3-D and 4-D tiles."""
    refused(NAME, "c1", dst=out((16, 2)), op=nl.add, data=sbuf(X.reshape(16, 2, 12)), axis=1)
    call(NAME, dst=out((16, 2)), op=nl.add, data=sbuf(X.reshape(16, 2, 12)), axis=2)


def test_c1_refuses_a_tile_without_a_free_dimension():
    refused(NAME, "c1", **CASE | {"data": sbuf(X).seen(lambda t: t[:, 0])})


def test_an_axis_is_an_integer_or_several():
    refused(NAME, "axis.value", **CASE | {"axis": "1"})
    refused(NAME, "axis.value", **CASE | {"axis": 1.0})
    assert np.array_equal(result(NAME, **CASE | {"axis": np.int64(1)}), result(NAME, **CASE))


@pytest.mark.parametrize("partitions", [1, 128])
def test_c2_accepts_any_number_of_partitions(partitions):
    data = np.resize(X, (partitions, 5))
    got = result(NAME, dst=out((partitions, 1)), op=nl.maximum, data=sbuf(data), axis=1)
    assert np.array_equal(got, peaks(data, 1))


def test_c2_refuses_other_partitions():
    refused(NAME, "c2", **CASE | {"dst": out((8, 1))})
    refused(NAME, "c2", **CASE | {"dst": out((32, 1))})


@pytest.mark.parametrize("keepdims", [False, True])
@pytest.mark.parametrize("shape", [(16, 2), (16, 2, 1, 1), (16, 1, 2)])
def test_c3_accepts_any_rank_with_and_without_keepdims(shape, keepdims):
    case = {"op": nl.maximum, "data": sbuf(DEEP), "axis": (2, 3), "keepdims": keepdims}
    got = result(NAME, dst=out(shape), **case)
    assert np.array_equal(got.reshape(16, 2), peaks(DEEP, 2))


def test_c3_accepts_a_column_without_free_dimension():
    """attention kernels give ``tile[:, i]`` as dst."""
    into = sbuf(np.zeros((16, 3), np.float32)).seen(lambda t: t[:, 1])
    got = result(NAME, **CASE | {"dst": into, "op": nl.maximum})
    assert np.array_equal(got, np.pad(peaks(X, 1), ((0, 0), (1, 1))))


@pytest.mark.parametrize("shape", [(16, 2), (16, 24), (16, 3, 4)])
def test_c3_refuses_other_counts(shape):
    refused(NAME, "c3", **CASE | {"dst": out(shape)})


@pytest.mark.parametrize("name", ["add", "subtract", "multiply", "maximum", "minimum", *LOGICAL])
def test_c4_accepts_reduction_operators(name):
    data = RNG.integers(-2, 3, (16, 24)).astype(np.float32)
    got = result(NAME, **CASE | {"op": getattr(nl, name), "data": sbuf(data)})
    same(got, totals(name, seen(data)))


@pytest.mark.parametrize("name", ["greater", "equal", "power", "abs", "rsqrt", "invert", "left_shift", "divide", "mod"])
def test_c4_refuses_operators_that_do_not_reduce(name):
    refused(NAME, "c4", **CASE | {"op": name})


@pytest.mark.parametrize("name", ["abs_max", "abs_min", "average"])
def test_c4_refuses_what_the_table_has_no_reduction_for(name):
    """nki.api.shared.rst, column "Legal Reduction op"."""
    refused(NAME, "c4", target="trn3", **CASE | {"op": name})


@pytest.mark.parametrize("dtype", INTEGERS)
@pytest.mark.parametrize("name", BITVEC)
def test_c5_accepts_bits_of_integers(name, dtype):
    data = sample(dtype, (16, 24), 3)
    got = result(NAME, dst=out((16, 1), dtype), op=getattr(nl, name), data=sbuf(data), axis=1)
    assert got.tolist() == [[reduce(BITVEC[name], row)] for row in data.tolist()]


def test_c5_refuses_floats_and_negate_with_bitvec():
    whole = {"dst": out((16, 1), "int32"), "op": nl.bitwise_or, "data": sbuf(X.astype(np.int32)), "axis": 1}
    call(NAME, **whole)
    refused(NAME, "c5", **whole | {"data": sbuf(X)})
    refused(NAME, "c5", **whole | {"dst": out((16, 1))})
    refused(NAME, "c5", **whole, negate=True)


SQUARE = X[:, :16].copy()


@pytest.mark.parametrize("start", [0, 32, 96])
def test_c6_accepts_indices_beside_their_data(start):
    case = {"op": nl.maximum, "axis": 1, "dst": out((16, 1))}
    got = call(NAME, target="trn3", data=placed(sbuf(SQUARE), start, start), **case)["dst"]
    assert np.array_equal(got, peaks(SQUARE, 1))


def test_c6_accepts_a_gather_by_the_compiler_s_places():
    index = np.argsort(RNG.random(24))[:16].reshape(16, 1)
    data = sbuf(X).seen(through(index))
    got = call(NAME, target="trn3", **CASE | {"op": nl.maximum, "data": data})["dst"]
    assert np.array_equal(got, peaks(X[:, columns(index, 16, 0)], 1))


def test_c6_refuses_indices_elsewhere():
    refused(NAME, "c6", target="trn3", **CASE | {"data": placed(sbuf(SQUARE), 32, 64)})
    refused(NAME, "c6", target="trn3", **CASE | {"data": placed(sbuf(SQUARE), 16, 16)})
    refused(NAME, "data.indirect", **CASE | {"data": placed(sbuf(SQUARE), 0, 0)})


def test_the_public_example():
    """nki/test/test_nki_isa_reduce.py: a sum over 512 elements."""
    a = np.random.default_rng(0).random((128, 512), np.float32) * 100
    got = result(NAME, dst=out((128, 1)), op=np.add, data=sbuf(a), axis=[1])
    assert np.allclose(got, a.astype(np.float64).sum(1, keepdims=True))


def test_negate_gives_the_negative_maximum():
    got = result(NAME, **CASE | {"op": nl.max}, negate=True)
    assert np.array_equal(got, -peaks(X, 1))


def test_dst_may_alias_data():
    def alias(t):
        return t[:, 3:4]

    data = sbuf(X)
    got = {}

    import opentrn
    import opentrn.nki.isa as nisa

    def kernel(x):
        tile = nl.load(x)
        nisa.tensor_reduce(dst=alias(tile), op=nl.maximum, data=tile, axis=1)
        result = nl.ndarray(tile.shape, dtype=tile.dtype, buffer=nl.shared_hbm)
        nisa.dma_copy(dst=result, src=tile)
        return result

    got = opentrn.run(kernel)(data.data).results
    want = X.copy()
    want[:, 3:4] = peaks(X, 1)
    assert np.array_equal(got, want)


def test_unwritten_data_raise():
    with pytest.raises(MemoryFault):
        call(NAME, **CASE | {"data": out((16, 24))})


@settings(deadline=None, max_examples=80)
@given(
    st.sampled_from(["add", "multiply", "maximum", "minimum", *LOGICAL]), st.sampled_from(DTYPES), st.sampled_from(DTYPES),
    st.sampled_from([(1,), (2,), (5,), (33,), (3, 7), (2, 1, 19)]), st.integers(0, 2), st.booleans(), SEED,
)  # fmt: skip
def test_meaning_is_the_fixed_order(name, source, target, inner, outer, negate, seed):
    data = sample(source, (3, outer + 1, *inner), seed)
    axes = tuple(range(2, 2 + len(inner)))
    case = {"dst": out((3, outer + 1), target), "op": getattr(nl, name), "data": sbuf(data, source), "axis": axes}
    got = result(NAME, **case, negate=negate)
    want = [[total(name, list(g)) * (-1.0 if negate else 1.0) for g in row] for row in grouped(data, outer + 1)]
    same(got, rounded(want, target))


VIEWS = {
    "stepped": ((4, 61), lambda t: t[:, 1::3], lambda a: a[:, 1::3]),
    "turned": ((4, 9, 7), lambda t: t.permute((0, 2, 1)), lambda a: a.transpose(0, 2, 1)),
    "broadcast": ((4, 1), lambda t: t.broadcast_to((4, 37)), lambda a: np.broadcast_to(a, (4, 37))),
    "late partitions": ((36, 20), lambda t: t[32:36], lambda a: a[32:36]),
}


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int16"])
@pytest.mark.parametrize("region", [sbuf, psum])
def test_meaning_through_views(view, dtype, region):
    shape, show, look = VIEWS[view]
    data = sample(dtype, shape, 8)
    rows = look(data).reshape(4, -1)
    axes = tuple(range(1, look(data).ndim))
    case = {"op": nl.add, "data": region(data, dtype).seen(show), "axis": axes}
    same(result(NAME, dst=out((4, 1)), **case), rounded(totals("add", seen(rows)), "float32"))
    native_equals_meaning(NAME, dst=out((4, 1)), **case)


def test_meaning_of_subtract_is_the_first_less_the_others():
    data = RNG.integers(-50, 50, (4, 40)).astype(np.float32)
    got = result(NAME, dst=out((4, 1)), op=nl.subtract, data=sbuf(data), axis=1)
    assert got.tolist() == [[row[0] - sum(row[1:])] for row in data.tolist()]


def test_meaning_keeps_a_dst_wider_than_what_is_written():
    into = sbuf(np.full((16, 5), 7, np.float32)).seen(lambda t: t[:, 0:4:2])
    got = result(NAME, dst=into, op=nl.maximum, data=sbuf(DEEP), axis=(2, 3))
    want = np.full((16, 5), 7, np.float32)
    want[:, 0:4:2] = peaks(DEEP, 2)
    assert np.array_equal(got, want)


@settings(deadline=None, max_examples=80)
@given(
    st.sampled_from(["add", "multiply", "maximum", "minimum"]), st.sampled_from(DTYPES), st.sampled_from(FLOATS + INTEGERS),
    st.integers(1, 1100), st.integers(1, 3), st.integers(1, 2), st.booleans(), SEED,
)  # fmt: skip
def test_native_equals_meaning(name, source, target, count, groups, step, negate, seed):
    data = sbuf(sample(source, (2, groups, count * step), seed), source).seen(lambda t: t[:, :, ::step])
    case = {"op": getattr(nl, name), "data": data, "axis": 2, "negate": negate}
    native_equals_meaning(NAME, dst=out((2, groups), target), **case)


def test_the_price_halves_for_bfloat16_sums_only():
    """hardware_facts: N/2 cycles when input and output are bfloat16 and the operator is add or max, else N."""
    data = RNG.standard_normal((128, 2048))
    wide = price(NAME, dst=out((128, 1)), op=nl.add, data=sbuf(data, "float32"), axis=1)
    half = price(NAME, dst=out((128, 1), "bfloat16"), op=nl.add, data=sbuf(data, "bfloat16"), axis=1)
    mixed = price(NAME, dst=out((128, 1)), op=nl.add, data=sbuf(data, "bfloat16"), axis=1)
    other = price(NAME, dst=out((128, 1), "bfloat16"), op=nl.minimum, data=sbuf(data, "bfloat16"), axis=1)
    assert half.busy_ns * 2 == wide.busy_ns == mixed.busy_ns == other.busy_ns
