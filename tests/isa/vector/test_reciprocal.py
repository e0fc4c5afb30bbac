"""reciprocal: rules by label, meaning against Python's division, native core against the meaning."""

from __future__ import annotations

import numpy as np
import pytest
from harness import bits, native_equals_meaning, out, psum, refused, result, sbuf
from hypothesis import given, settings
from hypothesis import strategies as st
from prices import price, vector_ns
from scalars import DTYPES, inverse, rounded, same, sample, seen
from windows import KINDS, window

import opentrn.nki.language as nl

X = np.linspace(0.5, 8, 16 * 24, dtype=np.float32).reshape(16, 24)
CASE = {"dst": out((16, 24)), "data": sbuf(X)}
SEED = st.integers(0, 2**32 - 1)


def test_c1_accepts_other_ranks():
    assert np.array_equal(result("reciprocal", dst=out((16, 4, 6)), data=sbuf(X)).reshape(16, 24), 1 / X)


def test_c1_refuses_other_sizes():
    refused("reciprocal", "c1", dst=out((16, 23)), data=sbuf(X))
    refused("reciprocal", "c1", dst=out((8, 48)), data=sbuf(X))


def test_both_sides_in_psum():
    assert np.array_equal(result("reciprocal", dst=out((16, 24), region=nl.psum), data=psum(X)), 1 / X)


def test_the_public_example():
    """nki/test/test_nki_isa_reciprocal.py: 128 x 512 float32 numbers below 100."""
    data = np.random.default_rng(0).random((128, 512), np.float32) * 100
    assert np.allclose(result("reciprocal", dst=out((128, 512)), data=sbuf(data)), np.reciprocal(data))


def test_meaning_at_zero_infinity_and_the_smallest_numbers():
    data = np.array([[0.0, -0.0, np.inf, -np.inf, np.nan, 1e-40, -(2.0**-126), 3e38]], np.float32)
    want = np.array([[np.inf, -np.inf, 0.0, -0.0, np.nan, np.inf, -(2.0**126), 1 / np.float64(data[0, 7])]], np.float32)
    assert np.array_equal(bits(result("reciprocal", dst=out((1, 8)), data=sbuf(data))), bits(want))


def test_meaning_in_place():
    case = {"dst": sbuf(X), "data": sbuf(X)}
    assert np.array_equal(result("reciprocal", **case), 1 / X)


@settings(deadline=None, max_examples=80)
@given(
    st.sampled_from(DTYPES), st.sampled_from(DTYPES), st.sampled_from(KINDS), st.sampled_from(KINDS),
    st.sampled_from([1, 3, 128]), st.integers(1, 7), SEED,
)  # fmt: skip
def test_meaning_is_one_over_each_number(source, target, kind, other, rows, columns, seed):
    look, goes = window(kind, rows, columns), window(other, rows, columns)
    data, want = sample(source, look.shape, seed), sample(target, goes.shape, seed + 1)
    got = result("reciprocal", dst=sbuf(want.copy(), target).seen(goes.view), data=sbuf(data, source).seen(look.view))
    cells = goes.look(want)
    values = [[inverse(v) for v in row] for row in seen(look.look(data))]
    cells[...] = rounded(values, target).reshape(cells.shape)
    same(got, want)


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(DTYPES), st.sampled_from(DTYPES), st.sampled_from(KINDS), st.integers(1, 150), SEED)
def test_native_equals_meaning(source, target, kind, columns, seed):
    look = window(kind, 6, columns)
    data = sbuf(sample(source, look.shape, seed), source)
    native_equals_meaning("reciprocal", dst=out((6, columns), target), data=data.seen(look.view))


def test_the_cost_is_six_cycles_per_element():
    data = np.ones((128, 512), np.float32)
    assert price("reciprocal", dst=out((128, 512)), data=sbuf(data)).busy_ns == pytest.approx(vector_ns(6 * 512))
