"""sequence_bounds: rules by label, meaning against a scan from each element to both sides."""

from __future__ import annotations

import numpy as np
import pytest
from harness import bits, call, cast, out, refused, result, sbuf
from hypothesis import given, settings
from hypothesis import strategies as st
from windows import KINDS, window

from opentrn.errors import KernelError

IDS = np.array([[0, 1, 1, 2, 2, 2, 0, 3, 3]], np.int32)
BOUNDS = [[9, 1, 1, 3, 3, 3, 9, 7, 7], [-1, 3, 3, 6, 6, 6, -1, 9, 9]]
CASE = {"dst": out((1, 2, 9), "int32"), "segment_ids": sbuf(IDS)}


def bounds(ids):
    """Start and end of each element's run, by walking from it to both sides."""
    starts, ends = [], []
    for at, own in enumerate(ids):
        first = last = at
        while first > 0 and ids[first - 1] == own:
            first -= 1
        while last < len(ids) and ids[last] == own:
            last += 1
        starts.append(len(ids) if own == 0 else first)
        ends.append(-1 if own == 0 else last)
    return np.array([starts, ends])


def test_c1_accepts_one_partition():
    assert result("sequence_bounds", **CASE)[0].tolist() == BOUNDS


def test_c1_refuses_more_partitions():
    refused("sequence_bounds", "c1", dst=out((1, 2, 18), "int32"), segment_ids=sbuf(np.tile(IDS, (2, 1))))
    refused("sequence_bounds", "c1", **{**CASE, "dst": out((2, 9), "int32")})


def test_c2_accepts_two_elements_for_each_id_in_any_shape():
    got = result("sequence_bounds", dst=out((1, 18), "int32"), segment_ids=sbuf(IDS.reshape(1, 3, 3)))
    assert got.reshape(2, 9).tolist() == BOUNDS


def test_c2_refuses_another_count():
    refused("sequence_bounds", "c2", **{**CASE, "dst": out((1, 9), "int32")})
    refused("sequence_bounds", "c2", **{**CASE, "dst": out((1, 2, 10), "int32")})


@pytest.mark.parametrize("source", ["int32", "float32"])
@pytest.mark.parametrize("target", ["int32", "float32"])
def test_meaning_of_the_example_of_the_page(source, target):
    """test_nki_isa_sequence_bounds.py (SDK 2.32), the example in its comment; both dtypes on both sides."""
    got = result("sequence_bounds", dst=out((1, 2, 9), target), segment_ids=sbuf(IDS, source))
    assert got.dtype == target
    assert got[0].tolist() == BOUNDS


def test_meaning_tells_large_integers_apart():
    ids = np.array([[2**24, 2**24 + 1, 2**31 - 1, 2**31 - 2]], np.int32)
    got = result("sequence_bounds", dst=out((1, 2, 4), "int32"), segment_ids=sbuf(ids))
    assert got[0].tolist() == [[0, 1, 2, 3], [1, 2, 3, 4]]


NUMBERS = st.sampled_from(["int32", "float32"])
RUNS = st.lists(st.tuples(st.integers(0, 3), st.integers(1, 4)), min_size=1, max_size=12)


@settings(deadline=None, max_examples=60)
@given(NUMBERS, NUMBERS, st.sampled_from(KINDS), st.sampled_from(KINDS), RUNS)
def test_meaning_is_a_walk_to_both_sides(source, target, kind, dst_kind, runs):
    """Ids in any order: a repeated id starts a new segment; n = 1, all padding and no padding among them."""
    ids = [own for own, length in runs for _ in range(length)]
    seen, gone = window(kind, 1, len(ids)), window(dst_kind, 1, 2 * len(ids))
    data = cast(np.full(seen.shape, 9), source)
    part = seen.look(data)
    part[...] = np.array(ids).reshape(part.shape)
    want = cast(np.full(gone.shape, 7), target)
    dst = sbuf(want.copy(), target).seen(gone.view)
    part = gone.look(want)
    part[...] = bounds(ids).reshape(part.shape)
    got = result("sequence_bounds", dst=dst, segment_ids=sbuf(data, source).seen(seen.view))
    assert np.array_equal(bits(got), bits(want))


@pytest.mark.parametrize("wrong", [-1.0, 1.5, float("nan"), float("inf")])
def test_an_id_that_is_no_non_negative_integer_raises(wrong):
    ids = IDS.astype(np.float32)
    ids[0, 4] = wrong
    with pytest.raises(KernelError, match="segment id"):
        call("sequence_bounds", **{**CASE, "segment_ids": sbuf(ids)})
    with pytest.raises(KernelError, match="segment id"):
        call("sequence_bounds", **{**CASE, "segment_ids": sbuf(-IDS)})
