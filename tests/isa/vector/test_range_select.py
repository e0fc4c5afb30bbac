"""range_select: rules by label, meaning against the documented numpy equivalent written as loops."""

from __future__ import annotations

import numpy as np
import pytest
from harness import call, cast, out, refused, result, sbuf
from hypothesis import given, settings
from hypothesis import strategies as st
from windows import KINDS, window

import opentrn.nki.isa as nisa
import opentrn.nki.language as nl

FP32_MIN = np.finfo(np.float32).min
X = np.arange(32, dtype=np.float32).reshape(4, 8)
LOW, HIGH = np.float32([[0], [2], [4], [9]]), np.float32([[8], [5], [4], [20]])
CASE = {
    "dst": out((4, 8)), "on_true_tile": sbuf(X), "comp_op0": nl.greater_equal, "comp_op1": nl.less,
    "bound0": sbuf(LOW), "bound1": sbuf(HIGH), "reduce_res": out((4, 1)),
}  # fmt: skip
COMPARE = {"equal": "==", "less": "<", "less_equal": "<=", "greater": ">", "greater_equal": ">="}


def select(values, op0, op1, low, high, start=0):
    result = np.full(values.shape, FP32_MIN, np.float32)
    for p in range(values.shape[0]):
        for i in range(values.shape[1]):
            index = start + i
            if eval(f"index {COMPARE[op0]} low[p, 0]") and eval(f"index {COMPARE[op1]} high[p, 0]"):
                result[p, i] = values[p, i]
    return result


def test_c1_accepts_other_ranks():
    got = result("range_select", **{**CASE, "dst": out((4, 2, 4))})
    assert np.array_equal(got.reshape(4, 8), select(X, "greater_equal", "less", LOW, HIGH))


def test_c1_refuses_other_sizes():
    refused("range_select", "c1", **{**CASE, "dst": out((4, 7))})


def test_c2_accepts_columns():
    want = select(X, "greater_equal", "less", LOW, HIGH).max(1)
    assert np.array_equal(call("range_select", **CASE)["reduce_res"][:, 0], want)


def test_c2_refuses_rows():
    refused("range_select", "c2", **{**CASE, "bound0": sbuf(X)})


def test_c3_accepts_equal():
    got = result("range_select", **{**CASE, "comp_op0": nl.equal, "comp_op1": nl.less_equal})
    assert np.array_equal(got, select(X, "equal", "less_equal", LOW, HIGH))


def test_c3_refuses_not_equal():
    refused("range_select", "c3", **{**CASE, "comp_op0": nl.not_equal})


def test_c4_accepts_maximum():
    call("range_select", **CASE, reduce_op=nl.maximum)


def test_c4_refuses_add():
    refused("range_select", "c4", **CASE, reduce_op=nl.add)


@pytest.mark.parametrize("value", [float(FP32_MIN), FP32_MIN, -3.4028235e38])
def test_c5_accepts_fp32_min_in_each_spelling(value):
    # NKI 0.6.0 release notes: a Python float is accepted
    assert result("range_select", **CASE, on_false_value=value)[3].tolist() == [float(FP32_MIN)] * 8


def test_c5_refuses_other_fill_values():
    refused("range_select", "c5", **CASE, on_false_value=0.0)


def test_c6_accepts_a_start():
    assert np.array_equal(result("range_select", **CASE, range_start=3), select(X, "greater_equal", "less", LOW, HIGH, 3))


def test_c6_refuses_a_start_beyond_24_bits():
    refused("range_select", "c6", **CASE, range_start=2**24)


def test_the_maximum_chains_through_the_registers():
    got = call("range_select", **CASE, reduce_cmd=nisa.reduce_cmd.reset_reduce)
    assert got["reduce_res"][3, 0] == FP32_MIN


def test_a_narrow_destination_gets_minus_infinity():
    # the documented note on numerical stability: FP32_MIN does not fit a smaller dtype
    assert np.isneginf(result("range_select", **{**CASE, "dst": out((4, 8), "bfloat16")})[3].astype(np.float32)).all()


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(sorted(COMPARE)), st.sampled_from(sorted(COMPARE)), st.sampled_from(["float32", "bfloat16", "float16"]),
    st.sampled_from(KINDS), st.sampled_from([1, 4, 128]), st.integers(1, 12), st.integers(-3, 5), st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_meaning_is_the_documented_selection(op0, op1, dtype, kind, partitions, elements, start, seed):
    w, rng = window(kind, partitions, elements), np.random.default_rng(seed)
    values = cast(rng.integers(-50, 50, w.shape), dtype)
    low, high = (rng.integers(-2, 12, (partitions, 1)).astype(np.float32) for _ in range(2))
    got = call("range_select", dst=out((partitions, elements)), on_true_tile=sbuf(values, dtype).seen(w.view),
               comp_op0=getattr(nl, op0), comp_op1=getattr(nl, op1), bound0=sbuf(low), bound1=sbuf(high),
               reduce_res=out((partitions, 1)), range_start=start)  # fmt: skip
    want = select(w.look(values).astype(np.float32).reshape(partitions, -1), op0, op1, low, high, start)
    assert np.array_equal(got["dst"], want)
    assert np.array_equal(got["reduce_res"], want.max(1, keepdims=True))
