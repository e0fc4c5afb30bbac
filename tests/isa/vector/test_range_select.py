"""range_select: rules by label, meaning against the documented numpy equivalent written as loops."""

from __future__ import annotations

import operator

import numpy as np
import pytest
from chains import chain
from harness import call, cast, out, psum, refused, result, sbuf
from hypothesis import given, settings
from hypothesis import strategies as st
from scalars import same
from windows import KINDS, window

import opentrn.nki.isa as nisa
import opentrn.nki.language as nl
from opentrn.errors import KernelError

FP32_MIN = np.finfo(np.float32).min
X = np.arange(32, dtype=np.float32).reshape(4, 8)
LOW, HIGH = np.float32([[0], [2], [4], [9]]), np.float32([[8], [5], [4], [20]])
CASE = {
    "dst": out((4, 8)), "on_true_tile": sbuf(X), "comp_op0": nl.greater_equal, "comp_op1": nl.less,
    "bound0": sbuf(LOW), "bound1": sbuf(HIGH), "reduce_res": out((4, 1)),
}  # fmt: skip
COMPARE = {"equal": operator.eq, "less": operator.lt, "less_equal": operator.le, "greater": operator.gt,
           "greater_equal": operator.ge}  # fmt: skip


def select(values, op0, op1, low, high, start=0):
    result = np.full(values.shape, FP32_MIN, np.float32)
    for p in range(values.shape[0]):
        for i in range(values.shape[1]):
            index = start + i
            if COMPARE[op0](index, low[p, 0]) and COMPARE[op1](index, high[p, 0]):
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
    assert np.array_equal(
        result("range_select", **CASE, range_start=3), select(X, "greater_equal", "less", LOW, HIGH, 3)
    )


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


CMD = nisa.reduce_cmd
NAME = "range_select"
EVERYTHING = {"comp_op0": nl.greater_equal, "comp_op1": nl.less, "bound0": sbuf(np.zeros((4, 1), np.float32)),
              "bound1": sbuf(np.full((4, 1), 1e6, np.float32))}  # fmt: skip


@pytest.mark.parametrize("key", ["bound1", "reduce_res"])
def test_c2_refuses_other_columns(key):
    refused(NAME, "c2", **{**CASE, key: sbuf(X)})
    refused(NAME, "c2", **{**CASE, key: sbuf(np.ones((3, 1), np.float32))})


def test_bounds_are_float32_and_the_tile_is_a_float():
    refused(NAME, "bound0.dtype", **{**CASE, "bound0": sbuf(LOW.astype(np.int32))})
    refused(NAME, "bound1.dtype", **{**CASE, "bound1": sbuf(HIGH, "bfloat16")})
    refused(NAME, "on_true_tile.dtype", **{**CASE, "on_true_tile": sbuf(X.astype(np.int32))})


@pytest.mark.parametrize("op", [nl.add, nl.logical_and, nl.maximum])
def test_c3_refuses_what_is_no_comparison(op):
    refused(NAME, "c3", **{**CASE, "comp_op1": op})


NOT_FP32_MIN = (np.nan, np.inf, -np.inf, -FP32_MIN, np.nextafter(FP32_MIN, np.float32(0)), -(2.0**128), -(10**400))


@pytest.mark.parametrize("value", NOT_FP32_MIN)
def test_c5_refuses_what_is_not_quite_fp32_min(value):
    """Release notes, NKI 0.3.0: another value is no longer replaced in silence."""
    refused(NAME, "c5", **CASE, on_false_value=value)


def test_c6_accepts_the_last_index_below_24_bits():
    got = result(NAME, **{**CASE, "bound1": sbuf(np.full((4, 1), 2**24 - 1, np.float32))}, range_start=2**24 - 8)
    assert np.array_equal(got, np.concatenate([X[:, :7], np.full((4, 1), FP32_MIN)], 1))


def test_c6_refuses_one_more():
    refused(NAME, "c6", **CASE, range_start=2**24 - 7)


def test_range_start_is_a_compile_time_integer():
    refused(NAME, "range_start.value", **CASE, range_start=1.0)
    refused(NAME, "range_start.value", **CASE, range_start=sbuf(LOW))


def test_there_is_nothing_to_load_the_registers_from():
    refused(NAME, "reduce_cmd.value", **CASE, reduce_cmd=CMD.load_reduce)


def test_the_default_fill_is_fp32_min():
    """Release notes, NKI 0.2.0: the default was 0.0 by mistake."""
    assert (result(NAME, **CASE)[3] == FP32_MIN).all()


def test_a_full_row_of_fill_gives_a_finite_maximum():
    """The note on numerical stability: with a float32 reduce_res, FP32_MIN - FP32_MIN is 0 and not NaN."""
    got = call(NAME, **{**CASE, "dst": out((4, 8), "float16")})
    assert got["reduce_res"][3, 0] == FP32_MIN
    assert np.isneginf(got["dst"][3].astype(np.float32)).all()


def test_the_maximum_is_of_unrounded_values():
    fine = np.full((4, 8), 1 + 2**-10, np.float32)
    got = call(NAME, dst=out((4, 8), "bfloat16"), on_true_tile=psum(fine), **EVERYTHING, reduce_res=out((4, 1)))
    assert (got["dst"].astype(np.float32) == 1).all() and (got["reduce_res"] == 1 + 2**-10).all()


def test_reduce_cmd_is_honoured_along_a_chain():
    """nki/test/test_nki_isa_range_select.py, example 2: reduce_res only at the end; a reset in between forgets."""

    def case(value, command, **more):
        tile = sbuf(np.full((4, 8), value, np.float32))
        return NAME, {"dst": out((4, 8)), "on_true_tile": tile, **EVERYTHING, "reduce_cmd": command, **more}

    peak = {"reduce_res": out((4, 1))}
    done = chain(case(9, CMD.reset_reduce), case(3, CMD.reduce), case(5, CMD.reduce, **peak), case(50, CMD.idle),
                 case(2, CMD.reduce, **peak), case(1, CMD.reset), case(-4, CMD.reduce, **peak),
                 case(-7, CMD.reset_reduce, **peak))  # fmt: skip
    assert [step["reduce_res"][:, 0].tolist() for step in done if "reduce_res" in step] == [
        [9.0] * 4, [9.0] * 4, [-4.0] * 4, [-7.0] * 4,
    ]  # fmt: skip


def test_registers_that_were_never_set_raise():
    with pytest.raises(KernelError, match="registers"):
        call(NAME, **CASE, reduce_cmd=CMD.reduce)


@pytest.mark.parametrize("dtype", ["float8_e4m3", "float8_e5m2", "bfloat16", "float16", "float32"])
def test_the_public_example(dtype):
    """nki/test/test_nki_isa_range_select.py, example 1, in its five dtypes."""
    values = cast(np.random.default_rng(0).random((128, 512)), dtype)
    low, high = np.zeros((128, 1), np.float32), np.full((128, 1), 64, np.float32)
    got = call(NAME, dst=out((128, 512), dtype), on_true_tile=sbuf(values, dtype), comp_op0=np.greater_equal, comp_op1=np.less,
               bound0=sbuf(low), bound1=sbuf(high), reduce_op=np.max, range_start=32, reduce_res=out((128, 1), dtype),
               on_false_value=-3.4028235e38)  # fmt: skip
    index = np.broadcast_to(32 + np.arange(512), values.shape)
    with np.errstate(over="ignore"):
        golden = np.where(index < 64, values.astype(np.float32), FP32_MIN)
        same(got["dst"], cast(golden, dtype))
        same(got["reduce_res"], cast(golden.max(1, keepdims=True), dtype))


def test_a_nan_bound_selects_nothing_and_a_nan_value_wins_the_maximum():
    nan = np.full((4, 1), np.nan, np.float32)
    assert (result(NAME, **{**CASE, "bound0": sbuf(nan)}) == FP32_MIN).all()
    values = X.copy()
    values[1, 3] = np.nan
    peaks = call(NAME, dst=out((4, 8)), on_true_tile=sbuf(values), **EVERYTHING, reduce_res=out((4, 1)))["reduce_res"]
    assert np.isnan(peaks[:, 0]).tolist() == [False, True, False, False]
