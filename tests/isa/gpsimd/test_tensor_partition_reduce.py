"""tensor_partition_reduce: rules by label, meaning against float64 sums and Python's integers."""

from __future__ import annotations

from functools import reduce

import numpy as np
import pytest
from harness import bits, cast, out, psum, refused, result, sbuf
from hypothesis import given, settings
from hypothesis import strategies as st
from windows import KINDS, window

import opentrn.nki.language as nl

RNG = np.random.default_rng(61)
X = RNG.standard_normal((20, 6)).astype(np.float32)
CASE = {"dst": out((1, 6)), "op": nl.add, "data": sbuf(X)}
FLOATS = ["float32", "bfloat16", "float16"]
INTEGERS = ["int32", "uint32", "int16", "uint8", "int8"]


def test_c1_accepts_one_partition_of_another_rank():
    """attention_bwd.py (nki-library 2.29) reduces (128, heads, sinks) into (1, heads, sinks)."""
    got = result("tensor_partition_reduce", dst=out((1, 2, 3)), op=nl.add, data=sbuf(X.reshape(20, 3, 2)))
    np.testing.assert_allclose(got.reshape(6), X.astype(np.float64).sum(0), rtol=1e-5)


def test_c1_refuses_more_partitions_or_elements():
    refused("tensor_partition_reduce", "c1", **{**CASE, "dst": out((2, 6))})
    refused("tensor_partition_reduce", "c1", **{**CASE, "dst": out((1, 5))})


@pytest.mark.parametrize(("name", "oracle"), [("add", np.sum), ("average", np.mean), ("maximum", np.max)])
def test_c2_accepts_its_operators(name, oracle):
    got = result("tensor_partition_reduce", **{**CASE, "op": getattr(nl, name)})
    np.testing.assert_allclose(got, oracle(X.astype(np.float64), axis=0, keepdims=True), rtol=1e-5, atol=1e-6)


def test_c2_accepts_older_spellings():
    """test_nki_isa_partition_reduce.py (SDK 2.32) passes np.add; the page of `op` says max."""
    plain = result("tensor_partition_reduce", **CASE)
    assert np.array_equal(result("tensor_partition_reduce", **{**CASE, "op": np.add}), plain)
    peak = result("tensor_partition_reduce", **{**CASE, "op": np.maximum})
    assert np.array_equal(peak, X.max(0, keepdims=True))


@pytest.mark.parametrize("name", ["minimum", "multiply", "subtract", "bitwise_xor", "logical_or", "abs_max"])
def test_c2_refuses_other_operators(name):
    refused("tensor_partition_reduce", "c2", **{**CASE, "op": getattr(nl, name)})


@pytest.mark.parametrize("dtype", INTEGERS)
def test_c3_accepts_integers(dtype):
    data = RNG.integers(0, 100, (9, 4)).astype(dtype)
    got = result("tensor_partition_reduce", dst=out((1, 4), dtype), op=nl.bitwise_or, data=sbuf(data))
    assert got.tolist() == [[reduce(int.__or__, column) for column in data.T.tolist()]]


def test_c3_refuses_floats():
    refused("tensor_partition_reduce", "c3", **{**CASE, "op": nl.bitwise_or})
    refused("tensor_partition_reduce", "c3", **{**CASE, "op": nl.bitwise_and, "dst": out((1, 6), "int32")})


def test_c4_accepts_one_dtype_for_bits_and_any_for_sums():
    got = result("tensor_partition_reduce", **{**CASE, "dst": out((1, 6), "int32"), "data": sbuf(np.rint(X * 9))})
    assert np.array_equal(got, np.rint(X * 9).sum(0, keepdims=True))


def test_c4_refuses_a_cast_of_bits():
    data = sbuf(np.ones((4, 6), np.int32))
    for dtype in ("int8", "uint32"):
        refused("tensor_partition_reduce", "c4", dst=out((1, 6), dtype), op=nl.bitwise_and, data=data)


def test_psum_is_refused():
    refused("tensor_partition_reduce", "data.memory", **{**CASE, "data": psum(X)})


def test_meaning_of_the_example_of_the_page():
    """test_nki_isa_partition_reduce.py (SDK 2.32): a sum of (128, 32, 4) over partitions."""
    data = RNG.random((128, 32, 4), np.float32) * 100
    got = result("tensor_partition_reduce", dst=out((1, 32, 4)), op=nl.add, data=sbuf(data))
    assert np.allclose(got, data.sum(0, keepdims=True))


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(["add", "average", "maximum"]), st.sampled_from([*FLOATS, "int32", "uint8"]), st.sampled_from(FLOATS),
    st.sampled_from(KINDS), st.sampled_from(KINDS), st.sampled_from([1, 2, 17, 128]), st.integers(1, 7),
    st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_meaning_is_a_float32_reduction_rounded_once(name, source, target, kind, dst_kind, partitions, size, seed):
    """Quarters of small integers: their float32 sums are exact in any order, so every bit is determined."""
    seen, gone = window(kind, partitions, size), window(dst_kind, 1, size)
    data = cast(np.random.default_rng(seed).integers(0, 200, seen.shape) / (1 if "int" in source else 4), source)
    want = cast(np.full(gone.shape, 7), target)
    dst = sbuf(want.copy(), target).seen(gone.view)
    rows = np.ascontiguousarray(seen.look(data)).reshape(partitions, -1).astype(np.float64)
    total = rows.max(0) if name == "maximum" else rows.sum(0)
    part = gone.look(want)
    divided = total.astype(np.float32) / np.float32(partitions if name == "average" else 1)
    part[...] = cast(divided, target).reshape(part.shape)
    got = result("tensor_partition_reduce", dst=dst, op=getattr(nl, name), data=sbuf(data, source).seen(seen.view))
    assert np.array_equal(bits(got), bits(want))


@settings(deadline=None, max_examples=40)
@given(
    st.sampled_from(["bitwise_or", "bitwise_and"]), st.sampled_from(INTEGERS), st.sampled_from(KINDS),
    st.sampled_from([1, 2, 17, 128]), st.integers(1, 7), st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_meaning_of_bitwise_operators(name, dtype, kind, partitions, size, seed):
    info = np.iinfo(dtype)
    seen = window(kind, partitions, size)
    data = np.random.default_rng(seed).integers(info.min, info.max, seen.shape, endpoint=True).astype(dtype)
    combine = int.__or__ if name == "bitwise_or" else int.__and__
    columns = np.ascontiguousarray(seen.look(data)).reshape(partitions, -1).T.tolist()
    got = result(
        "tensor_partition_reduce", dst=out((1, size), dtype), op=getattr(nl, name), data=sbuf(data).seen(seen.view)
    )
    assert got.tolist() == [[reduce(combine, column) for column in columns]]


@pytest.mark.parametrize("name", ["add", "maximum", "average"])
def test_meaning_passes_nan_and_infinities_on(name):
    data = np.array([[np.nan, np.inf, -np.inf], [1, 1, 1], [2, 2, -np.inf]], np.float32)
    got = result("tensor_partition_reduce", dst=out((1, 3)), op=getattr(nl, name), data=sbuf(data))
    last = 1.0 if name == "maximum" else -np.inf
    assert np.array_equal(got, np.array([[np.nan, np.inf, last]], np.float32), equal_nan=True)
