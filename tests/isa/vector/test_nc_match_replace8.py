"""nc_match_replace8: rules by label, meaning against a stream of elements in Python, the example of the page."""

from __future__ import annotations

import numpy as np
import pytest
from harness import bits, call, cast, out, psum, refused, result, sbuf
from hypothesis import given, settings
from hypothesis import strategies as st

import opentrn
import opentrn.nki.isa as nisa
import opentrn.nki.language as nl

RNG = np.random.default_rng(10)
X = RNG.permutation(16 * 20).reshape(16, 20).astype(np.float32)
VALS = np.take_along_axis(X, np.array([[19, 0, 7, 3, 4, 11, 2, 1]] * 16), 1)
CASE = {"dst": out((16, 20)), "data": sbuf(X), "vals": sbuf(VALS), "imm": -1.0, "dst_idx": out((16, 8), "uint32")}
ONES = {"uint16": 0xFFFF, "uint32": 0xFFFFFFFF}


def oracle(data, vals, imm, dtype="uint32"):
    """The data stream by; each element takes the highest of the still open slots that hold its value."""
    replaced, index = data.copy(), np.full(vals.shape, ONES[dtype], np.int64)
    for row in range(len(data)):
        still = set(range(8))
        for column, x in enumerate(data[row].astype(np.float32)):
            match = [slot for slot in still if float(vals[row, slot]) == float(x)]
            if match:
                replaced[row, column], index[row, max(match)] = imm, column
                still.remove(max(match))
    return replaced, index


def test_c1_accepts_the_shortest_and_the_longest():
    for size in (8, 16384):
        data = np.arange(size, dtype=np.float32).reshape(1, size)
        got = result("nc_match_replace8", dst=out((1, size)), data=sbuf(data), vals=sbuf(data[:, -8:]), imm=0.5)
        assert np.array_equal(got[0, :-8], data[0, :-8])
        assert (got[0, -8:] == 0.5).all()


@pytest.mark.parametrize("size", [7, 16385])
def test_c1_refuses_other_sizes(size):
    case = {"dst": out((1, size)), "data": out((1, size)), "vals": out((1, 8)), "imm": 0.0}
    refused("nc_match_replace8", "c1", **case)


def test_c2_accepts_calls_with_and_without_indices():
    with_indices = call("nc_match_replace8", **CASE)
    assert with_indices["dst_idx"].tolist() == [[19, 0, 7, 3, 4, 11, 2, 1]] * 16
    without = result("nc_match_replace8", **{k: v for k, v in CASE.items() if k != "dst_idx"})
    assert np.array_equal(without, with_indices["dst"])


def test_c2_refuses_another_number_of_values_or_partitions():
    for key, shape in (("vals", (16, 7)), ("vals", (15, 8)), ("dst_idx", (16, 9)), ("dst_idx", (8, 8))):
        refused("nc_match_replace8", "c2", **{**CASE, key: out(shape, "uint32")})


def test_c3_accepts_another_rank():
    assert np.array_equal(
        result("nc_match_replace8", **{**CASE, "dst": out((16, 4, 5))}).reshape(16, 20), oracle(X, VALS, -1.0)[0]
    )


@pytest.mark.parametrize("shape", [(16, 19), (15, 20)])
def test_c3_refuses_another_size(shape):
    refused("nc_match_replace8", "c3", **{**CASE, "dst": out(shape)})


def test_meaning_of_the_example_of_the_page():
    """nisa.nc_match_replace8 (SDK 2.32): duplicates from the highest slot down."""
    data = np.array([[1, 2, 3, 4, 8, 8, 8, 8, 8, 8, 8]], np.float32)
    vals = np.array([[3, 8, 8, 8, 8, 8, 8, 8]], np.float32)
    got = call("nc_match_replace8", dst=out((1, 11)), data=sbuf(data), vals=sbuf(vals), imm=0.0,
               dst_idx=out((1, 8), "uint32"))  # fmt: skip
    assert got["dst_idx"].tolist() == [[2, 10, 9, 8, 7, 6, 5, 4]]
    assert got["dst"].tolist() == [[1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0]]


def test_meaning_replaces_only_first_occurrences():
    data = np.array([[5, 5, 5, 1, 2, 3, 4, 6, 6]], np.float32)
    vals = np.array([[6, 5, 5, 7, 8, 9, 10, 11]], np.float32)
    got = call("nc_match_replace8", dst=out((1, 9)), data=sbuf(data), vals=sbuf(vals), imm=float("-inf"),
               dst_idx=out((1, 8), "uint16"))  # fmt: skip
    assert got["dst"].tolist() == [[-np.inf, -np.inf, 5, 1, 2, 3, 4, -np.inf, 6]]
    assert got["dst_idx"].tolist() == [[7, 1, 0, *[0xFFFF] * 5]]


def test_meaning_does_not_find_what_it_has_just_written():
    data = np.array([[1, 2, 3, 4, 5, 6, 7, 8]], np.float32)
    vals = np.array([[0, 0, 0, 0, 0, 0, 0, 1]], np.float32)
    got = call("nc_match_replace8", dst=out((1, 8)), data=sbuf(data), vals=sbuf(vals), imm=0.0,
               dst_idx=out((1, 8), "uint32"))  # fmt: skip
    assert got["dst_idx"].tolist() == [[0xFFFFFFFF] * 7 + [0]]


def test_meaning_never_finds_nan_and_keeps_its_bits():
    data = np.array([[0x7FC12345, 0xFFC00001]], np.uint32).view(np.float32)
    data = np.concatenate([data, np.arange(6, dtype=np.float32).reshape(1, 6)], 1)
    vals = np.array([[np.nan, np.nan, 3, 9, 9, 9, 9, 9]], np.float32)
    got = result("nc_match_replace8", dst=out((1, 8)), data=sbuf(data), vals=sbuf(vals), imm=7.0)
    want = data.copy()
    want[0, 5] = 7.0
    assert np.array_equal(got.view(np.uint32), want.view(np.uint32))


def test_meaning_keeps_large_integers():
    data = np.array([[2**24 + 1, 2**30 + 7, 5, 4, 3, 2, 1, 0]], np.int32)
    vals = np.array([[5, 99, 99, 99, 99, 99, 99, 99]], np.int32)
    got = result("nc_match_replace8", dst=out((1, 8), "int32"), data=sbuf(data), vals=sbuf(vals), imm=-1)
    assert got.tolist() == [[2**24 + 1, 2**30 + 7, -1, 4, 3, 2, 1, 0]]


def test_meaning_in_place_sorts_by_eights():
    """nki-library rotational_topk_utils.py sorts this way: max8, then replace them by -inf in the same tile."""

    def kernel(x):
        tile = nl.load(x)
        best = nl.ndarray((x.shape[0], 24), dtype=x.dtype)
        index = nl.ndarray((x.shape[0], 24), dtype=nl.uint32)
        for start in range(0, 24, 8):
            eight = nl.ds(start, 8)
            nisa.max8(dst=best[:, eight], src=tile)
            nisa.nc_match_replace8(dst=tile, data=tile, vals=best[:, eight], imm=float("-inf"), dst_idx=index[:, eight])
        backs = [nl.ndarray(t.shape, dtype=t.dtype, buffer=nl.shared_hbm) for t in (best, index)]
        nisa.dma_copy(dst=backs[0], src=best)
        nisa.dma_copy(dst=backs[1], src=index)
        return backs

    data = np.random.default_rng(3).permutation(128 * 24).reshape(128, 24).astype(np.float32)
    best, index = opentrn.run(kernel)(data).results
    assert np.array_equal(best, -np.sort(-data, 1))
    assert np.array_equal(index, np.argsort(-data, 1))


FLOATS = ["float32", "bfloat16", "float16", "float8_e4m3"]


@settings(deadline=None, max_examples=80)
@given(
    st.sampled_from([*FLOATS, "int32", "uint8"]), st.sampled_from(FLOATS), st.sampled_from(["uint16", "uint32"]),
    st.sampled_from([1, 5, 128]), st.integers(4, 20), st.integers(1, 2), st.booleans(), st.booleans(), st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_meaning_is_a_stream(source, target, index, partitions, columns, step, into_psum, permuted, seed):
    rng = np.random.default_rng(seed)
    data = cast(rng.integers(0, 12, (partitions, 2, columns * step)).astype(np.float32), source)
    vals = rng.integers(0, 14, (partitions, 8)).astype(np.float32)
    seen = data[:, :, ::step].transpose(0, 2, 1) if permuted else data[:, :, ::step]
    view = (lambda t: t[:, :, ::step].permute((0, 2, 1))) if permuted else (lambda t: t[:, :, ::step])
    dst = out((partitions, 2 * columns), target)
    dst = dst.where(nl.psum) if into_psum else dst
    vals_tile = psum(vals) if into_psum else sbuf(vals)
    got = call("nc_match_replace8", dst=dst, data=sbuf(data).seen(view), vals=vals_tile, imm=13.5,
               dst_idx=out((partitions, 8), index))  # fmt: skip
    values, places = oracle(seen.reshape(partitions, -1).astype(np.float32), vals, np.float32(13.5), index)
    assert np.array_equal(bits(got["dst"]), bits(cast(values, target)))
    assert got["dst_idx"].tolist() == places.tolist()
