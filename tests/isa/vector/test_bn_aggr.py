"""bn_aggr: rules by label, meaning against float64 moments of the data that bn_stats saw."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from harness import cast, inside, out, refused, result, sbuf
from hypothesis import given, settings
from hypothesis import strategies as st
from prices import price, vector_ns

import opentrn
import opentrn.nki.isa as nisa
import opentrn.nki.language as nl

STATS = np.float32([[2, 1.0, 8.0, 3, 2.0, 6.0]] * 4)
CASE = {"dst": out((4, 2)), "data": sbuf(STATS)}


def test_c1_accepts_equal_partitions():
    assert np.allclose(result("bn_aggr", **CASE)[:, 0], (2 * 1 + 3 * 2) / 5)


def test_c1_refuses_other_partitions():
    refused("bn_aggr", "c1", **{**CASE, "dst": out((3, 2))})


def test_c2_accepts_one_triple():
    got = result("bn_aggr", **{**CASE, "data": sbuf(STATS[:, :3])})
    assert got[0].tolist() == [1.0, 4.0]


def test_c2_refuses_a_partial_triple():
    refused("bn_aggr", "c2", **{**CASE, "data": sbuf(STATS[:, :4])})


def test_c3_accepts_two_results():
    assert result("bn_aggr", **{**CASE, "dst": out((4, 1, 2))}).shape == (4, 1, 2)


def test_c3_refuses_three_results():
    refused("bn_aggr", "c3", **{**CASE, "dst": out((4, 3))})


@settings(deadline=None, max_examples=40)
@given(
    st.sampled_from(["float32", "bfloat16"]), st.sampled_from([1, 5, 128]), st.integers(1, 3), st.integers(2, 60),
    st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_meaning_gives_the_moments_of_everything_that_bn_stats_saw(dtype, partitions, tiles, width, seed):
    values = cast(np.random.default_rng(seed).standard_normal((partitions, tiles * width)) * 3 + 1, dtype)

    @inside
    def _():
        tile = nl.ndarray(values.shape, dtype=dtype)
        inside.core().fill(tile, values)
        stats = nl.ndarray((partitions, tiles, 6), dtype=nl.float32)
        for n in range(tiles):
            nisa.bn_stats(dst=stats[:, n, :], data=tile[:, n * width : (n + 1) * width])
        both = nl.ndarray((partitions, 2), dtype=nl.float32)
        nisa.bn_aggr(dst=both, data=stats)
        exact = values.astype(np.float64)
        assert np.allclose(both.numpy()[:, 0], exact.mean(1), rtol=1e-4, atol=1e-5)
        assert np.allclose(both.numpy()[:, 1], exact.var(1), rtol=1e-3, atol=1e-5)


RNG = np.random.default_rng(10)


def aggregate(triples):
    """Mean and variance of the joint population by exact fractions."""
    triples = [[Fraction(float(v)) for v in t] for t in triples]
    total = sum(count for count, _, _ in triples)
    mean = sum(count * middle for count, middle, _ in triples) / total
    spread = sum(apart + count * (middle - mean) ** 2 for count, middle, apart in triples)
    return [float(mean), float(spread / total)]


@pytest.mark.parametrize("triples", [1, 2, 5, 16, 33])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_c2_accepts_any_number_of_triples(triples, dtype):
    stats = RNG.integers(1, 60, (4, triples, 3)).astype(np.float32)
    got = result("bn_aggr", dst=out((4, 2), dtype), data=sbuf(stats))
    want = np.array([aggregate(row) for row in stats])
    assert np.allclose(got.astype(np.float64), want, rtol=1e-5 if dtype == "float32" else 2**-8)


@pytest.mark.parametrize("count", [1, 2, 5])
def test_c2_refuses_other_counts(count):
    refused("bn_aggr", "c2", **{**CASE, "data": sbuf(np.ones((4, count), np.float32))})


def test_an_empty_half_does_not_count():
    """bn_stats of a single element gives zeros for the odd half."""
    got = result("bn_aggr", dst=out((1, 2)), data=sbuf(np.float32([[1, 7, 0, 0, 0, 0]])))
    assert got.tolist() == [[7.0, 0.0]]


def test_groups_of_different_sizes_are_weighted():
    """bn_stats of 512 and of 100 elements (a last, shorter tile) aggregate to the moments of all 612."""
    stats = np.float32([[256, 0, 256, 256, 0, 256, 50, 6, 0, 50, 6, 0]])
    got = result("bn_aggr", dst=out((1, 2)), data=sbuf(stats))
    assert np.allclose(got, [aggregate(stats.reshape(4, 3))], rtol=1e-6)


def test_the_bits_depend_on_the_values_alone():
    stats = RNG.random((4, 3, 17)).astype(np.float32)
    plain = result("bn_aggr", dst=out((4, 2)), data=sbuf(stats.transpose(0, 2, 1).reshape(4, -1)))
    turned = result("bn_aggr", dst=out((4, 2)), data=sbuf(stats).seen(lambda t: t.permute((0, 2, 1))))
    assert plain.tobytes() == turned.tobytes()


@pytest.mark.parametrize("width", [128, 1024])
def test_the_public_examples(width):
    """nki/test/test_nki_isa_bn_stats.py: one tile of 128, and 1024 elements in two tiles of bn_stats_fmax."""

    def kernel(x):
        tile, piece = nl.load(x), min(width, nl.tile_size.bn_stats_fmax)
        stats = nl.ndarray((128, 6 * (width // piece)), dtype=nl.float32)
        for n in range(width // piece):
            nisa.bn_stats(dst=stats[:, n * 6 : n * 6 + 6], data=tile[:, n * piece : (n + 1) * piece])
        both = nl.ndarray((128, 2), dtype=nl.float32)
        nisa.bn_aggr(dst=both, data=stats)
        result = nl.ndarray(both.shape, dtype=both.dtype, buffer=nl.shared_hbm)
        nisa.dma_copy(dst=result, src=both)
        return result

    a = np.random.default_rng(0).random((128, width), np.float32) * 100
    got = opentrn.run(kernel)(a).results
    assert np.allclose(got[:, 0], a.astype(np.float64).mean(1))
    assert np.allclose(got[:, 1], a.astype(np.float64).var(1))


def test_the_price_is_thirteen_cycles_for_each_triple():
    """SDK 2.26, nisa.bn_aggr: max(MIN_II, 13 * (N / 3))."""
    many, few = (price("bn_aggr", dst=out((4, 2)), data=sbuf(np.ones((4, n), np.float32))).busy_ns for n in (300, 6))
    assert np.isclose(many, vector_ns(1300)) and np.isclose(few, vector_ns(26))
