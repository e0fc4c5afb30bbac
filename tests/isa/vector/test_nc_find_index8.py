"""nc_find_index8: rules by label, meaning against a scan with counters in Python."""

from __future__ import annotations

import numpy as np
import pytest
from harness import call, cast, out, psum, refused, result, sbuf
from hypothesis import given, settings
from hypothesis import strategies as st

import opentrn
import opentrn.nki.isa as nisa
import opentrn.nki.language as nl

RNG = np.random.default_rng(9)
X = RNG.permutation(16 * 20).reshape(16, 20).astype(np.float32)
VALS = np.take_along_axis(X, np.array([[19, 0, 7, 3, 4, 11, 2, 1]] * 16), 1)
CASE = {"dst": out((16, 8), "uint32"), "data": sbuf(X), "vals": sbuf(VALS)}
ONES = {"uint16": 0xFFFF, "uint32": 0xFFFFFFFF}


def oracle(data, vals, dtype):
    """Each slot waits for the n-th occurrence of its value, n the equal slots before it."""
    rows = []
    for row, wanted in zip(data, vals, strict=True):
        found = []
        for slot, value in enumerate(wanted):
            skip = sum(1 for other in wanted[:slot] if other == value)
            places = [i for i, x in enumerate(row) if x == value]
            found.append(places[skip] if skip < len(places) else ONES[dtype])
        rows.append(found)
    return rows


@pytest.mark.parametrize("size", [8, 16384])
def test_c1_accepts_the_shortest_and_the_longest(size):
    data = np.arange(size, dtype=np.float32).reshape(1, size)
    vals = data[:, -8:]
    got = result("nc_find_index8", dst=out((1, 8), "uint16"), data=sbuf(data), vals=sbuf(vals))
    assert got.tolist() == [list(range(size - 8, size))]


@pytest.mark.parametrize("size", [7, 16385])
def test_c1_refuses_other_sizes(size):
    refused("nc_find_index8", "c1", dst=out((1, 8), "uint32"), data=out((1, size)), vals=out((1, 8)))


def test_c2_accepts_eight_values():
    got = call("nc_find_index8", **CASE)["dst"]
    assert got.dtype == np.uint32
    assert got.tolist() == [[19, 0, 7, 3, 4, 11, 2, 1]] * 16


def test_c2_refuses_another_number_of_values_or_partitions():
    for key, shape in (("vals", (16, 7)), ("vals", (15, 8)), ("dst", (16, 9)), ("dst", (8, 8))):
        refused("nc_find_index8", "c2", **{**CASE, key: out(shape, "uint32")})


def test_c3_accepts_three_dimensions():
    case = {**CASE, "data": sbuf(X.reshape(16, 2, 10)), "vals": sbuf(VALS.reshape(16, 4, 2))}
    assert result("nc_find_index8", **case).tolist() == [[19, 0, 7, 3, 4, 11, 2, 1]] * 16


def test_c3_refuses_more_dimensions():
    refused("nc_find_index8", "c3", **{**CASE, "data": sbuf(X.reshape(16, 2, 2, 5))})
    refused("nc_find_index8", "c3", **{**CASE, "vals": sbuf(VALS.reshape(16, 2, 2, 2))})
    refused("nc_find_index8", "c3", **{**CASE, "dst": out((16, 2, 4), "uint32")})


@pytest.mark.parametrize("dtype", ["uint16", "uint32"])
def test_meaning_gives_all_ones_for_what_is_not_there(dtype):
    """NKI 0.6.0 release notes: unmatched slots were 0, a valid index, in the simulator before."""
    vals = VALS.copy()
    vals[:, 2:4] = 1e6
    got = result("nc_find_index8", **{**CASE, "dst": out((16, 8), dtype), "vals": sbuf(vals)})
    assert got.tolist() == [[19, 0, ONES[dtype], ONES[dtype], 4, 11, 2, 1]] * 16


def test_meaning_advances_through_duplicates_ascending():
    """NKI 0.6.0 release notes; nc_match_replace8 says that the order here is ascending."""
    data = np.array([[1, 2, 3, 4, 8, 8, 8, 8, 8, 8, 8]], np.float32)
    vals = np.array([[3, 8, 8, 8, 8, 8, 8, 8]], np.float32)
    got = result("nc_find_index8", dst=out((1, 8), "uint32"), data=sbuf(data), vals=sbuf(vals))
    assert got.tolist() == [[2, 4, 5, 6, 7, 8, 9, 10]]


def test_meaning_never_finds_nan_and_takes_the_zeros_as_one():
    data = np.array([[np.nan, -0.0, 0.0, 5, 6, 7, 8, 9]], np.float32)
    vals = np.array([[0.0, -0.0, np.nan, 0.0, 9, 8, np.inf, 5]], np.float32)
    none = ONES["uint32"]
    got = result("nc_find_index8", dst=out((1, 8), "uint32"), data=sbuf(data), vals=sbuf(vals))
    assert got.tolist() == [[1, 2, none, none, 7, 6, none, 3]]


def test_meaning_of_one_value_broadcast_as_cascaded_max_does():
    """nki-library cascaded_max.py: the maximum, read eight times; slot 0 is the first occurrence."""

    def kernel(x):
        tile = nl.load(x)
        peak = nl.ndarray((x.shape[0], 1), dtype=x.dtype)
        nisa.tensor_reduce(dst=peak, op=nl.maximum, data=tile, axis=1)
        index = nl.ndarray((x.shape[0], 8), dtype=nl.uint32)
        nisa.nc_find_index8(dst=index[...], data=tile, vals=peak.ap([[1, x.shape[0]], [0, 8]]))
        back = nl.ndarray(index.shape, dtype=nl.uint32, buffer=nl.shared_hbm)
        nisa.dma_copy(dst=back, src=index)
        return back

    got = opentrn.run(kernel)(X).results
    assert np.array_equal(got[:, 0], X.argmax(1))
    assert (got[:, 1:] == ONES["uint32"]).all()


def test_meaning_after_max8_names_the_places_of_the_largest():
    def kernel(x):
        tile = nl.load(x)
        best, index = nl.ndarray((x.shape[0], 8), dtype=x.dtype), nl.ndarray((x.shape[0], 8), dtype=nl.uint32)
        nisa.max8(dst=best, src=tile)
        nisa.nc_find_index8(dst=index, data=tile, vals=best)
        back = nl.ndarray(index.shape, dtype=nl.uint32, buffer=nl.shared_hbm)
        nisa.dma_copy(dst=back, src=index)
        return back

    assert np.array_equal(opentrn.run(kernel)(X).results, np.argsort(-X, 1)[:, :8])


DTYPES = ["float32", "bfloat16", "float16", "float8_e4m3", "int32", "uint32", "uint8"]


@settings(deadline=None, max_examples=80)
@given(
    st.sampled_from(DTYPES), st.sampled_from(DTYPES), st.sampled_from(["uint16", "uint32"]), st.sampled_from([1, 5, 128]),
    st.integers(8, 40), st.integers(1, 2), st.booleans(), st.booleans(), st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_meaning_is_a_scan(source, other, target, partitions, columns, step, from_psum, permuted, seed):
    rng = np.random.default_rng(seed)
    data = cast(rng.integers(0, 12, (partitions, 2, columns * step)).astype(np.float32), source)
    vals = cast(rng.integers(0, 14, (partitions, 8)).astype(np.float32), other)
    seen = data[:, :, ::step].transpose(0, 2, 1) if permuted else data[:, :, ::step]
    view = (lambda t: t[:, :, ::step].permute((0, 2, 1))) if permuted else (lambda t: t[:, :, ::step])
    tile = (psum if from_psum else sbuf)(data).seen(view)
    got = result("nc_find_index8", dst=out((partitions, 8), target), data=tile, vals=sbuf(vals))
    want = oracle(seen.reshape(partitions, -1).astype(np.float64), vals.astype(np.float64), target)
    assert got.tolist() == want
