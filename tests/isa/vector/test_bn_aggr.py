"""bn_aggr: rules by label, meaning against float64 moments of the data that bn_stats saw."""

from __future__ import annotations

import numpy as np
from harness import cast, inside, out, refused, result, sbuf
from hypothesis import given, settings
from hypothesis import strategies as st

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
@given(st.sampled_from(["float32", "bfloat16"]), st.sampled_from([1, 5, 128]), st.integers(1, 3), st.integers(2, 60), st.integers(0, 2**32 - 1))
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
