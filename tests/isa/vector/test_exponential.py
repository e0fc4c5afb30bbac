"""exponential (trn3): rules by label, meaning against float64."""

from __future__ import annotations

import numpy as np
import pytest
from beside import placed
from chains import chain
from functions import apply, steps_apart
from harness import call, cast, out, psum, refused, result, sbuf
from hypothesis import given, settings
from hypothesis import strategies as st
from scalars import same
from totals import totals
from windows import KINDS, window

import opentrn.nki.isa as nisa
from opentrn.errors import KernelError

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
    got = call(
        "exponential", target="trn3", **CASE, reduce_res=out((4, 1)), reduce_cmd=CMD.load_reduce, reduce_init=10.0
    )
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


T3 = {"target": "trn3"}
FLOATS = ("float8_e4m3", "float8_e5m2", "float16", "bfloat16", "float32")
SMALL = ("int8", "int16", "uint8", "uint16")


def test_older_chips_do_not_have_it():
    refused("exponential", "target", target="trn2", **CASE)


@pytest.mark.parametrize("dtype", [*FLOATS, *SMALL, "int32", "uint32"])
def test_every_documented_source_is_taken(dtype):
    data = cast(np.arange(8).reshape(1, 8), dtype)
    got = result("exponential", **T3, dst=out((1, 8)), src=sbuf(data, dtype), max_value=7.0)
    assert steps_apart(got, apply("exp", np.arange(-7, 1, dtype=np.float32).reshape(1, 8))) <= 1


@pytest.mark.parametrize("dtype", [*FLOATS, *SMALL, "int32"])
def test_every_documented_dst_is_rounded_once(dtype):
    got = result("exponential", **T3, **{**CASE, "dst": out((4, 8), dtype), "src": psum(X)})
    exact = np.exp(X.astype(np.float64))
    want = np.rint(exact).astype(dtype) if np.dtype(got.dtype).kind in "iu" else cast(exact.astype(np.float32), dtype)
    assert steps_apart(got, want) <= (1 if dtype == "float32" else 0)


def test_dtypes_outside_the_lists_are_refused():
    refused("exponential", "src.dtype", **T3, **{**CASE, "src": sbuf(X, "tfloat32")})
    refused("exponential", "dst.dtype", **T3, **{**CASE, "dst": out((4, 8), "uint32")})
    refused(
        "exponential", "reduce_res.dtype", **T3, **CASE, reduce_res=out((4, 1), "int8"), reduce_cmd=CMD.reset_reduce
    )
    refused("exponential", "max_value.dtype", **T3, **CASE, max_value=sbuf(X[:, :1], "bfloat16"))


@pytest.mark.parametrize("key", ["reduce_res", "reduce_init"])
def test_c2_refuses_other_columns(key):
    refused("exponential", "c2", **T3, **{**CASE, "reduce_cmd": CMD.load_reduce, key: sbuf(X)})


def test_c3_refuses_a_column_without_load():
    refused("exponential", "c3", **T3, **CASE, reduce_init=sbuf(X[:, :1]), reduce_cmd=CMD.reset_reduce)


def test_reset_is_not_offered():
    refused("exponential", "reduce_cmd.value", **T3, **CASE, reduce_cmd=CMD.reset)


@pytest.mark.parametrize("start", [0, 64])
def test_c5_accepts_indices_beside_their_data(start):
    values = RNG.standard_normal((16, 16)).astype(np.float32)
    got = result("exponential", **T3, dst=out((16, 16)), src=placed(sbuf(values), start, start))
    assert steps_apart(got, apply("exp", values)) <= 1


def test_c5_refuses_indices_elsewhere():
    values = sbuf(np.ones((16, 16), np.float32))
    refused("exponential", "c5", **T3, dst=values, src=placed(values, 32, 64))
    refused("exponential", "c5", **T3, dst=placed(values, 0, 16), src=values)
    refused("exponential", "max_value.indirect", **T3, dst=values, src=values, max_value=placed(values, 0, 0))


def test_a_chain_sums_up_and_the_last_call_gives_the_total():
    call_ = {"dst": out((4, 8)), "src": sbuf(np.zeros((4, 8), np.float32))}
    done = chain(
        ("exponential", {**call_, "reduce_cmd": CMD.reset_reduce}),
        ("exponential", {**call_, "reduce_cmd": CMD.reduce}),
        ("exponential", {**call_, "reduce_cmd": CMD.reduce, "reduce_res": out((4, 1), "bfloat16")}),
        ("exponential", {**call_, "reduce_cmd": CMD.load_reduce, "reduce_init": sbuf(np.arange(4, dtype=np.float32)[:, None]),
                         "reduce_res": out((4, 1))}),
        **T3,
    )  # fmt: skip
    assert done[2]["reduce_res"].tolist() == [[24.0]] * 4
    assert done[3]["reduce_res"].tolist() == [[8.0], [9.0], [10.0], [11.0]]


def test_registers_that_were_never_set_raise():
    with pytest.raises(KernelError, match="registers"):
        call("exponential", **T3, **CASE, reduce_cmd=CMD.reduce)


def test_idle_leaves_no_sum():
    with pytest.raises(KernelError, match="registers"):
        call("exponential", **T3, **CASE, reduce_res=out((4, 1)))


def test_the_sum_is_in_the_fixed_order_of_unrounded_results():
    values = RNG.standard_normal((3, 77)).astype(np.float32)
    case = {"src": sbuf(values), "reduce_cmd": CMD.reset_reduce, "reduce_res": out((3, 1))}
    wide, narrow = (call("exponential", **T3, **case, dst=out((3, 77), dtype)) for dtype in ("float32", "float8_e4m3"))
    same(wide["reduce_res"], totals("add", wide["dst"].tolist()))
    assert np.array_equal(narrow["reduce_res"], wide["reduce_res"])
