"""bn_stats: rules by label, meaning against float64 moments."""

from __future__ import annotations

import numpy as np
from harness import cast, out, refused, result, sbuf
from hypothesis import given, settings
from hypothesis import strategies as st
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
