"""nonzero_with_count: rules by label, meaning against the loop of the page, and the partitions that it leaves alone."""

from __future__ import annotations

import numpy as np
import pytest
from harness import call, cast, out, refused, result, sbuf
from hypothesis import given, settings
from hypothesis import strategies as st
from windows import KINDS, window

import opentrn
import opentrn.nki.isa as nisa
import opentrn.nki.language as nl
from opentrn.errors import MemoryFault, RuleError

X = np.array([[0, 1, 1, 0, 0, 1, 0, 0]], np.int32)
CASE = {"dst": out((1, 9), "int32"), "src": sbuf(X)}


def listed(row, offset, padding):
    """The list that the page's loop builds for one partition."""
    found = [n + offset for n, value in enumerate(row) if value != 0]
    return [*found, *[padding] * (len(row) - len(found)), len(found)]


def test_c1_accepts_equal_partitions():
    got = result("nonzero_with_count", dst=sbuf(np.full((32, 9), 7, np.int32)), src=sbuf(np.tile(X, (32, 1))))
    for p in range(32):
        assert got[p].tolist() == (listed(X[0], 0, -1) if p % 16 == 0 else [7] * 9)


def test_c1_refuses_other_partitions():
    refused("nonzero_with_count", "c1", **{**CASE, "dst": out((2, 9), "int32")})


def test_c2_accepts_one_element_more_in_any_shape():
    """find_nonzero_indices.py (nki-library 2.29) passes (P, 1, n + 1) for (P, tiles, 128)."""
    got = result("nonzero_with_count", dst=out((1, 1, 9), "int32"), src=sbuf(X.reshape(1, 2, 4)))
    assert got[0, 0].tolist() == listed(X[0], 0, -1)


def test_c2_refuses_another_count():
    for elements in (8, 10):
        refused("nonzero_with_count", "c2", **{**CASE, "dst": out((1, elements), "int32")})


def test_c3_accepts_the_ends_of_int32():
    got = result("nonzero_with_count", **CASE, index_offset=-(2**31), padding_val=2**31 - 1)
    assert got[0].tolist() == listed(X[0], -(2**31), 2**31 - 1)


def test_c3_refuses_more_than_int32():
    refused("nonzero_with_count", "c3", **CASE, index_offset=2**31)
    refused("nonzero_with_count", "c3", **CASE, padding_val=-(2**31) - 1)


def test_it_needs_neuroncore_v3():
    with pytest.raises(RuleError) as caught:
        call("nonzero_with_count", target="trn1", **CASE)
    assert caught.value.rule == "target"


def test_meaning_of_the_example_of_the_page():
    got = result("nonzero_with_count", **CASE, index_offset=16, padding_val=-1)
    assert got.tolist() == [[17, 18, 21, -1, -1, -1, -1, -1, 3]]


def test_meaning_of_none_and_all():
    for value, want in ((0, [-1] * 8 + [0]), (5, [*range(8), 8])):
        assert result("nonzero_with_count", **{**CASE, "src": sbuf(X * 0 + value)}).tolist() == [want]


def test_meaning_of_special_floats():
    row = np.array([[0.0, -0.0, np.nan, np.inf, 1e-45, -1.0, 0.0, 0.0]], np.float32)
    assert result("nonzero_with_count", **{**CASE, "src": sbuf(row)}).tolist() == [[2, 3, 4, 5, -1, -1, -1, -1, 4]]


@settings(deadline=None, max_examples=50)
@given(
    st.sampled_from(["float32", "int32"]), st.sampled_from(KINDS), st.sampled_from(KINDS),
    st.sampled_from([1, 5, 16, 17, 100, 128]), st.integers(1, 20), st.integers(-50, 50), st.integers(-50, 50),
    st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_meaning_is_the_loop_of_the_page(dtype, kind, dst_kind, partitions, size, offset, padding, seed):
    seen, gone = window(kind, partitions, size), window(dst_kind, partitions, size + 1)
    data = cast(np.random.default_rng(seed).integers(-1, 2, seen.shape), dtype)
    want = np.full(gone.shape, 77, np.int32)
    dst = sbuf(want.copy()).seen(gone.view)
    rows, part = seen.look(data), gone.look(want)
    for p in range(0, partitions, 16):
        part[p] = np.reshape(listed(rows[p].reshape(-1), offset, padding), part[p].shape)
    src = sbuf(data, dtype).seen(seen.view)
    got = result("nonzero_with_count", dst=dst, src=src, index_offset=offset, padding_val=padding)
    assert np.array_equal(got, want)


def one_row(row, partitions=slice(0, 1)):
    """Runs on (128, 8) tiles of which `row` alone is written; uses `partitions` of the result, which held 7 before."""

    def kernel(x, y):
        source, target = nl.ndarray((128, 8), dtype=nl.int32), nl.ndarray((128, 9), dtype=nl.int32)
        nisa.memset(target, 7)
        nisa.dma_copy(dst=source[row : row + 1], src=x)
        nisa.nonzero_with_count(target, source)
        nisa.tensor_scalar(target[partitions], target[partitions], nl.add, 1)
        nisa.dma_copy(dst=y, src=target[0:1])
        return y

    return opentrn.run(kernel)(X, np.zeros((1, 9), np.int32)).results


def test_partitions_that_nobody_wrote_give_nothing_to_rely_on():
    """find_nonzero_indices_with_count.py (nki-library 2.29) fills partition 0 of 128 and uses partition 0."""
    assert one_row(0).tolist() == [[v + 1 for v in listed(X[0], 0, -1)]]
    with pytest.raises(MemoryFault, match=r"nisa\.tensor_scalar: data reads .* never written"):
        one_row(0, slice(0, 32))


def test_a_source_without_a_written_partition_raises():
    with pytest.raises(MemoryFault, match=r"nisa\.nonzero_with_count: src reads .* never written"):
        one_row(3)


def test_an_index_offset_in_a_register():
    def kernel(x, y):
        tile, target = nl.load(x), nl.ndarray((1, 9), dtype=nl.int32)
        nisa.nonzero_with_count(target, tile, index_offset=nisa.register_alloc(100))
        nisa.dma_copy(dst=y, src=target)
        return y

    got = opentrn.run(kernel)(X, np.zeros((1, 9), np.int32)).results
    assert got[0].tolist() == listed(X[0], 100, -1)
