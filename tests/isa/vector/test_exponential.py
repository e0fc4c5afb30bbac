"""exponential (trn3): rules by label, meaning against float64."""

from __future__ import annotations

import numpy as np
from harness import call, cast, out, refused, result, sbuf
from hypothesis import given, settings
from hypothesis import strategies as st
from windows import KINDS, window

import opentrn.nki.isa as nisa

RNG = np.random.default_rng(8)
X = RNG.standard_normal((4, 8)).astype(np.float32)
CASE = {"dst": out((4, 8)), "src": sbuf(X)}
CMD = nisa.reduce_cmd


def test_c1_accepts_other_ranks():
    assert np.allclose(result("exponential", target="trn3", **{**CASE, "dst": out((4, 2, 4))}).reshape(4, 8), np.exp(X))


def test_c1_refuses_other_sizes():
    refused("exponential", "c1", target="trn3", **{**CASE, "dst": out((4, 7))})


def test_c2_accepts_a_column():
    top = X.max(1, keepdims=True)
    assert np.allclose(result("exponential", target="trn3", **CASE, max_value=sbuf(top)), np.exp(X - top), rtol=1e-6)


def test_c2_refuses_a_tile():
    refused("exponential", "c2", target="trn3", **CASE, max_value=sbuf(X))


def test_c3_accepts_a_loaded_start():
    got = call("exponential", target="trn3", **CASE, reduce_res=out((4, 1)), reduce_cmd=CMD.load_reduce, reduce_init=10.0)
    assert np.allclose(got["reduce_res"][:, 0], 10 + np.exp(X.astype(np.float64)).sum(1))


def test_c3_refuses_a_start_without_load():
    refused("exponential", "c3", target="trn3", **CASE, reduce_init=1.0)


def test_c4_accepts_four_dimensions():
    assert result("exponential", target="trn3", **{**CASE, "dst": out((4, 2, 2, 2))}).shape == (4, 2, 2, 2)


def test_c4_refuses_five_dimensions():
    refused("exponential", "c4", target="trn3", **{**CASE, "dst": out((4, 2, 2, 2, 1))})


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(["float32", "bfloat16", "float16", "int8", "uint16"]), st.sampled_from(KINDS), st.sampled_from([1, 3, 128]),
    st.integers(1, 30), st.floats(-4, 4, width=32), st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_meaning_is_exp_of_the_difference(dtype, kind, partitions, elements, top, seed):
    w = window(kind, partitions, elements)
    values = cast(np.random.default_rng(seed).integers(0, 9, w.shape), dtype)
    got = call("exponential", target="trn3", dst=out((partitions, elements)), src=sbuf(values, dtype).seen(w.view),
               max_value=top, reduce_res=out((partitions, 1)), reduce_cmd=CMD.reset_reduce)  # fmt: skip
    exact = np.exp(w.look(values).astype(np.float64).reshape(partitions, -1) - np.float64(np.float32(top)))
    assert np.allclose(got["dst"], exact, rtol=2e-6, atol=0)  # the difference is rounded to float32 first
    assert np.allclose(got["reduce_res"][:, 0], exact.sum(1), rtol=1e-5)
