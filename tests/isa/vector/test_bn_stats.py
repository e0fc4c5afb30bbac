"""bn_stats: rules by label, meaning against float64 moments."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from harness import cast, out, psum, refused, result, sbuf
from hypothesis import given, settings
from hypothesis import strategies as st
from scalars import BINARY, single
from totals import total
from windows import KINDS, window

RNG = np.random.default_rng(9)
X = RNG.standard_normal((4, 10)).astype(np.float32)
CASE = {"dst": out((4, 6)), "data": sbuf(X)}


def test_c1_accepts_equal_partitions():
    assert result("bn_stats", **CASE)[:, 0].tolist() == [5.0] * 4


def test_c1_refuses_other_partitions():
    refused("bn_stats", "c1", **{**CASE, "dst": out((5, 6))})


def test_c2_accepts_two_triples():
    assert result("bn_stats", **{**CASE, "dst": out((4, 2, 3))}).shape == (4, 2, 3)


def test_c2_refuses_other_sizes():
    refused("bn_stats", "c2", **{**CASE, "dst": out((4, 5))})


def test_c3_accepts_512_elements():
    result("bn_stats", **{**CASE, "data": sbuf(np.ones((4, 512), np.float32))})


def test_c3_refuses_513_elements():
    refused("bn_stats", "c3", **{**CASE, "data": sbuf(np.ones((4, 513), np.float32))})


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(["float32", "bfloat16", "int16"]), st.sampled_from(KINDS), st.sampled_from([1, 3, 128]),
       st.integers(2, 70), st.integers(0, 2**32 - 1))  # fmt: skip
def test_meaning_is_count_mean_and_spread_of_even_and_odd(dtype, kind, partitions, elements, seed):
    w = window(kind, partitions, elements)
    values = cast(np.random.default_rng(seed).integers(-30, 30, w.shape), dtype)
    got = result("bn_stats", dst=out((partitions, 6)), data=sbuf(values, dtype).seen(w.view)).astype(np.float64)
    flat = w.look(values).astype(np.float64).reshape(partitions, -1)
    for part, start in ((flat[:, 0::2], 0), (flat[:, 1::2], 3)):
        count = part.shape[1]
        assert got[:, start].tolist() == [count] * partitions
        assert np.allclose(got[:, start + 1], part.mean(1), rtol=1e-5, atol=1e-5)
        assert np.allclose(got[:, start + 2], part.var(1) * count, rtol=1e-4, atol=1e-3)


def moments(row):
    """Count, mean and sum of squared deviations by exact fractions."""
    row = [Fraction(float(v)) for v in row]
    if not row:
        return [0.0, 0.0, 0.0]
    mean = sum(row) / len(row)
    return [float(len(row)), float(mean), float(sum((v - mean) ** 2 for v in row))]


@pytest.mark.parametrize("shape", [(4, 2, 256), (4, 1), (128, 2), (1, 511)])
def test_c3_accepts_other_shapes(shape):
    values = RNG.integers(-8, 8, shape).astype(np.float32)
    got = result("bn_stats", dst=out((shape[0], 6)), data=psum(values))
    want = [moments(row[0::2]) + moments(row[1::2]) for row in values.reshape(shape[0], -1)]
    assert np.allclose(got, want, rtol=1e-5, atol=1e-5)


def test_c3_refuses_513_elements_in_two_dimensions():
    refused("bn_stats", "c3", **{**CASE, "data": sbuf(np.ones((4, 27, 19), np.float32))})


def test_even_and_odd_elements_come_in_this_order():
    got = result("bn_stats", dst=out((1, 6)), data=sbuf(np.float32([[1, 10, 3, 20, 5]])))
    assert got.tolist() == [[3.0, 3.0, 8.0, 2.0, 15.0, 50.0]]


def test_the_results_are_rounded_to_dst():
    """nki-library keeps the statistics in its activation dtype."""
    wide = result("bn_stats", **CASE)
    assert np.array_equal(result("bn_stats", **{**CASE, "dst": out((4, 6), "bfloat16")}), cast(wide, "bfloat16"))


def test_the_bits_depend_on_the_values_alone():
    """Sums have one order, whatever the strides of the view."""
    values = RNG.standard_normal((4, 11, 13)).astype(np.float32)
    plain = result("bn_stats", dst=out((4, 6)), data=sbuf(values.transpose(0, 2, 1).reshape(4, -1)))
    turned = result("bn_stats", dst=out((4, 6)), data=sbuf(values).seen(lambda t: t.permute((0, 2, 1))))
    assert plain.tobytes() == turned.tobytes()


def test_a_large_mean_does_not_drown_the_variance():
    """Two passes: the squares are of deviations, so that a mean of 4096 leaves a variance of 1 intact."""
    values = (4096 + RNG.choice([-1.0, 1.0], (4, 512))).astype(np.float32)
    got = result("bn_stats", dst=out((4, 6)), data=sbuf(values))
    want = [moments(row[0::2]) + moments(row[1::2]) for row in values]
    assert np.allclose(got, want, rtol=1e-5)


def test_meaning_of_nan_and_infinity_stays_in_its_half():
    values = np.ones((2, 6), np.float32)
    values[0, 2], values[1, 3] = np.nan, np.inf
    got = result("bn_stats", dst=out((2, 6)), data=sbuf(values))
    assert np.isnan(got[0, 1:3]).all() and got[0, 3:].tolist() == [3, 1, 0]
    assert got[1, :3].tolist() == [3, 1, 0] and np.isposinf(got[1, 4])


@pytest.mark.parametrize("count", [1, 2, 33, 100, 512])
def test_meaning_is_bit_exact_in_the_fixed_order(count):
    values = RNG.standard_normal((3, count)).astype(np.float32)
    want = []
    for row in values.tolist():
        want.append([])
        for half in (row[0::2], row[1::2]):
            mean = single(total("add", half) / len(half)) if half else 0.0
            squares = [BINARY["multiply"](*[BINARY["subtract"](v, mean)] * 2) for v in half]
            want[-1] += [len(half), mean, total("add", squares)]
    assert result("bn_stats", dst=out((3, 6)), data=sbuf(values)).tolist() == want
