"""select_reduce: rules by label, meaning against a python loop."""

from __future__ import annotations

import numpy as np
from harness import call, cast, inside, out, psum, refused, result, sbuf
from hypothesis import given, settings
from hypothesis import strategies as st
from windows import KINDS, window

import opentrn.nki.isa as nisa
import opentrn.nki.language as nl

RNG = np.random.default_rng(7)
X = RNG.standard_normal((4, 8)).astype(np.float32)
MASK = RNG.integers(0, 2, (4, 8)).astype(np.uint8)
CASE = {"dst": out((4, 8)), "predicate": sbuf(MASK), "on_true": sbuf(X), "on_false": -1.0}
RESET = nisa.reduce_cmd.reset_reduce


def test_c1_accepts_mismatched_ranks():
    # NKI 0.6.0 release notes: a 2-D source with a 4-D destination and predicate
    got = result("select_reduce", **{**CASE, "dst": out((4, 2, 2, 2)), "predicate": sbuf(MASK.reshape(4, 2, 2, 2))})
    assert np.array_equal(got.reshape(4, 8), np.where(MASK != 0, X, -1))


def test_c1_refuses_other_sizes():
    refused("select_reduce", "c1", **{**CASE, "predicate": sbuf(MASK[:, :7])})


def test_c2_accepts_a_column():
    column = np.arange(4, dtype=np.float32)[:, None]
    assert np.array_equal(result("select_reduce", **{**CASE, "on_false": sbuf(column)}), np.where(MASK != 0, X, column))


def test_c2_refuses_a_tile():
    refused("select_reduce", "c2", **{**CASE, "on_false": sbuf(X)})


def test_c3_accepts_one_in_psum():
    assert np.array_equal(result("select_reduce", **{**CASE, "on_true": psum(X)}), result("select_reduce", **CASE))


def test_c3_refuses_both_in_psum():
    refused("select_reduce", "c3", **{**CASE, "on_true": psum(X), "predicate": psum(MASK)})


def test_c4_accepts_maximum():
    got = call("select_reduce", **CASE, reduce_res=out((4, 1)), reduce_cmd=RESET)["reduce_res"]
    assert np.array_equal(got[:, 0], np.where(MASK != 0, X, -1).max(1))


def test_c4_refuses_add():
    refused("select_reduce", "c4", **CASE, reduce_op=nl.add)


def test_the_maximum_carries_on():
    @inside
    def _():
        tile, ones = nl.full((4, 8), 2.0, nl.float32), nl.full((4, 8), 1, nl.uint8)
        low, peak = nl.full((4, 8), -5.0, nl.float32), nl.ndarray((4, 1), nl.float32)
        nisa.select_reduce(tile, ones, tile, 0.0, reduce_cmd=RESET)
        nisa.select_reduce(low, ones, low, 0.0, reduce_res=peak, reduce_cmd=nisa.reduce_cmd.reduce)
        assert peak.numpy()[:, 0].tolist() == [2.0] * 4


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(["float32", "bfloat16", "float16", "int16", "uint8"]), st.sampled_from(["uint8", "uint16", "int8", "int16"]),
    st.sampled_from(KINDS), st.sampled_from([1, 3, 128]), st.integers(1, 16), st.booleans(), st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_meaning_chooses_element_by_element(dtype, kind_of_mask, kind, partitions, elements, reverse, seed):
    w, rng = window(kind, partitions, elements), np.random.default_rng(seed)
    values, mask = cast(rng.integers(0, 90, w.shape), dtype), rng.integers(0, 3, w.shape).astype(kind_of_mask)
    got = call("select_reduce", dst=out((partitions, elements)), predicate=sbuf(mask).seen(w.view),
               on_true=sbuf(values, dtype).seen(w.view), on_false=7.5, reverse_pred=reverse,
               reduce_res=out((partitions, 1)), reduce_cmd=RESET)  # fmt: skip
    flat, flags = (w.look(a).reshape(partitions, -1) for a in (values, mask))
    want = [[float(v) if bool(f) != reverse else 7.5 for v, f in zip(a, b, strict=True)] for a, b in zip(flat, flags, strict=True)]
    assert got["dst"].tolist() == want
    assert got["reduce_res"][:, 0].tolist() == [max(row) for row in want]
