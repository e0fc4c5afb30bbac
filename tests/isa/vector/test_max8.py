"""max8: rules by label, meaning against sorted Python floats."""

from __future__ import annotations

import math

import numpy as np
import pytest
from harness import bits, call, cast, out, psum, refused, result, sbuf
from hypothesis import given, settings
from hypothesis import strategies as st

import opentrn
import opentrn.nki.isa as nisa
import opentrn.nki.language as nl
from opentrn.errors import MemoryFault

RNG = np.random.default_rng(8)
X = RNG.standard_normal((16, 20)).astype(np.float32)
CASE = {"dst": out((16, 8)), "src": sbuf(X)}
FLOATS = ["float32", "bfloat16", "float16", "float8_e4m3", "float8_e5m2"]
INTEGERS = ["int32", "uint32", "int16", "uint8"]


def top8(row):
    """Descending: NaN first, and +0 before -0."""
    values = [float(v) for v in np.asarray(row).reshape(-1)]
    values.sort(key=lambda v: (not math.isnan(v), 0.0 if math.isnan(v) else -v, -math.copysign(1.0, v)))
    return values[:8]


def oracle(data, dtype):
    return cast(np.array([top8(row) for row in data.astype(np.float32)], np.float32), dtype)


@pytest.mark.parametrize("size", [8, 16384])
def test_c1_accepts_the_shortest_and_the_longest(size):
    data = RNG.permutation(size).astype(np.float32).reshape(1, size)
    got = result("max8", dst=out((1, 8)), src=sbuf(data))
    assert got.tolist() == [list(range(size - 1, size - 9, -1))]


@pytest.mark.parametrize("size", [7, 16385])
def test_c1_refuses_other_sizes(size):
    refused("max8", "c1", dst=out((1, 8)), src=out((1, size)))


def test_c2_accepts_eight_from_each_partition():
    assert call("max8", **CASE)["dst"].shape == (16, 8)


@pytest.mark.parametrize("shape", [(16, 7), (16, 9), (15, 8)])
def test_c2_refuses_another_dst(shape):
    refused("max8", "c2", dst=out(shape), src=sbuf(X))


def test_c3_accepts_three_dimensions():
    got = result("max8", dst=out((16, 8)), src=sbuf(X.reshape(16, 4, 5)))
    assert np.array_equal(got, oracle(X, "float32"))


def test_c3_refuses_four_dimensions_and_a_3d_dst():
    refused("max8", "c3", dst=out((16, 8)), src=sbuf(X.reshape(16, 2, 2, 5)))
    refused("max8", "c3", dst=out((16, 2, 4)), src=sbuf(X))


def test_meaning_keeps_duplicates():
    data = np.array([[3, 1, 3, 3, 2, 2, 0, 9, -1, 3]], np.float32)
    assert result("max8", dst=out((1, 8)), src=sbuf(data)).tolist() == [[9, 3, 3, 3, 3, 2, 2, 1]]


def test_meaning_orders_nan_infinities_and_zeros():
    data = np.array([[0.0, -0.0, -np.inf, np.inf, 1.0, -0.0, np.nan, -np.nan, -1.0, 0.0]], np.float32)
    got = result("max8", dst=out((1, 8)), src=sbuf(data))[0]
    assert np.isnan(got[:2]).all()
    assert got[2:].tolist() == [np.inf, 1.0, 0.0, 0.0, 0.0, 0.0]
    assert np.signbit(got[4:]).tolist() == [False, False, True, True]


def test_meaning_may_overwrite_its_source():
    def kernel(x):
        tile = nl.load(x)
        nisa.max8(dst=tile[:, 4:12], src=tile)
        back = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
        nisa.dma_copy(dst=back, src=tile)
        return back

    want = X.copy()
    want[:, 4:12] = oracle(X, "float32")
    assert np.array_equal(opentrn.run(kernel)(X).results, want)


def test_an_unwritten_source_raises():
    with pytest.raises(MemoryFault):
        call("max8", dst=out((16, 8)), src=out((16, 20)))


@settings(deadline=None, max_examples=80)
@given(
    st.sampled_from(FLOATS + INTEGERS), st.sampled_from(FLOATS), st.sampled_from([1, 3, 32, 128]),
    st.integers(4, 9), st.sampled_from(["plain", "steps", "permuted", "broadcast"]), st.booleans(), st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_meaning_is_a_sort(source, target, partitions, columns, view, from_psum, seed):
    rng = np.random.default_rng(seed)
    data = cast(rng.integers(-6 if source in FLOATS else 0, 7, (partitions, columns, 6)).astype(np.float32), source)
    views = {
        "plain": (lambda t: t, data),
        "steps": (lambda t: t[:, :, ::2], data[:, :, ::2]),
        "permuted": (lambda t: t.permute((0, 2, 1)), data.transpose(0, 2, 1)),
        "broadcast": (lambda t: t[:, :, 0:1].broadcast(2, 4), np.repeat(data[:, :, 0:1], 4, 2)),
    }
    seen, values = views[view]
    src = (psum if from_psum else sbuf)(data).seen(seen)
    got = result("max8", dst=out((partitions, 8), target), src=src)
    assert np.array_equal(bits(got), bits(oracle(values.astype(np.float32), target)))
