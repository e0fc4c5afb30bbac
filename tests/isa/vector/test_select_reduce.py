"""select_reduce: rules by label, meaning against a python loop."""

from __future__ import annotations

import numpy as np
import pytest
from chains import chain
from harness import call, cast, inside, out, psum, refused, result, sbuf
from hypothesis import given, settings
from hypothesis import strategies as st
from scalars import DTYPES, rounded, same, sample, seen
from windows import KINDS, window

import opentrn.nki.isa as nisa
import opentrn.nki.language as nl
from opentrn.errors import KernelError

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
    want = [
        [float(v) if bool(f) != reverse else 7.5 for v, f in zip(a, b, strict=True)]
        for a, b in zip(flat, flags, strict=True)
    ]
    assert got["dst"].tolist() == want
    assert got["reduce_res"][:, 0].tolist() == [max(row) for row in want]


CMD = nisa.reduce_cmd


@pytest.mark.parametrize(
    "shapes", [((4, 8), (4, 2, 4), (4, 8)), ((4, 2, 2, 2), (4, 8), (4, 8)), ((4, 8), (4, 8), (4, 2, 2, 2))]
)
def test_c1_accepts_any_mixture_of_ranks(shapes):
    case = dict(zip(("dst", "predicate", "on_true"), (out((4, 8)), sbuf(MASK), sbuf(X)), strict=True))
    shaped = {key: value.shaped(*shape) for (key, value), shape in zip(case.items(), shapes, strict=True)}
    got = result("select_reduce", **{**CASE, **shaped})
    assert np.array_equal(got.reshape(4, 8), np.where(MASK != 0, X, -1))


@pytest.mark.parametrize("key", ["predicate", "on_true", "dst"])
@pytest.mark.parametrize("shape", [(3, 8), (4, 1)])
def test_c1_refuses_every_other_size(key, shape):
    refused("select_reduce", "c1", **{**CASE, key: CASE[key].shaped(*shape)})


def test_c2_refuses_a_wide_result():
    refused("select_reduce", "c2", **CASE, reduce_res=out((4, 2)), reduce_cmd=RESET)


def test_c3_accepts_the_predicate_and_dst_in_psum():
    case = {**CASE, "predicate": psum(MASK), "dst": out((4, 8)).where(nl.psum)}
    assert np.array_equal(result("select_reduce", **case), np.where(MASK != 0, X, -1))


@pytest.mark.parametrize("dtype", ["tfloat32", "int32", "uint32"])
def test_on_true_is_none_of_these(dtype):
    refused("select_reduce", "on_true.dtype", **{**CASE, "on_true": sbuf(X, dtype)})


@pytest.mark.parametrize("dtype", ["float32", "int32", "uint32"])
def test_the_predicate_is_a_small_integer(dtype):
    refused("select_reduce", "predicate.dtype", **{**CASE, "predicate": sbuf(MASK.astype(dtype))})


def test_reduce_res_is_a_float():
    refused("select_reduce", "reduce_res.dtype", **CASE, reduce_res=out((4, 1), "int32"), reduce_cmd=RESET)


@pytest.mark.parametrize("command", [CMD.reset, CMD.load_reduce])
def test_reset_and_load_reduce_are_not_offered(command):
    refused("select_reduce", "reduce_cmd.value", **CASE, reduce_cmd=command)


def test_registers_that_were_never_set_raise():
    with pytest.raises(KernelError, match="registers"):
        call("select_reduce", **CASE, reduce_cmd=CMD.reduce)
    with pytest.raises(KernelError, match="registers"):
        call("select_reduce", **CASE, reduce_res=out((4, 1)))


def test_a_reset_starts_at_minus_infinity():
    done = chain(
        ("select_reduce", {**CASE, "on_true": sbuf(X + 100), "reduce_cmd": RESET}),
        (
            "select_reduce",
            {**CASE, "on_true": sbuf(X - 50), "on_false": -60.0, "reduce_cmd": RESET, "reduce_res": out((4, 1))},
        ),
    )
    assert np.array_equal(done[1]["reduce_res"][:, 0], np.where(MASK != 0, X - 50, -60).max(1))


def test_the_public_examples():
    """nki/test/test_nki_isa_select_reduce.py: fill with the smallest float32, a bool predicate with a column, reverse_pred."""
    smallest = float(np.finfo(np.float32).min)
    half = np.zeros((128, 64), np.uint8)
    half[:64] = 1
    case = {
        "dst": out((128, 64)),
        "predicate": sbuf(half),
        "on_true": sbuf(np.ones((128, 64), np.float32)),
        "on_false": smallest,
    }
    want = np.where(half, 1, np.float32(smallest))
    assert np.array_equal(result("select_reduce", **case), want)
    assert np.array_equal(result("select_reduce", **case, reverse_pred=True), want[::-1])
    rng = np.random.default_rng(0)
    values, column = (rng.random(shape, np.float32) * 100 for shape in ((128, 512), (128, 1)))
    flags = rng.integers(0, 2, (128, 512))
    got = call("select_reduce", dst=out((128, 512)), predicate=sbuf(flags, "bool"), on_true=sbuf(values), on_false=sbuf(column),
               reduce_cmd=RESET, reduce_res=out((128, 1)), reduce_op=nl.max)  # fmt: skip
    chosen = np.where(flags, values, column)
    assert np.array_equal(got["dst"], chosen)
    assert np.array_equal(got["reduce_res"], chosen.max(1, keepdims=True))


def test_dst_may_alias_on_true():
    @inside
    def _():
        tile, mask = nl.ndarray((4, 8), nl.float32), nl.ndarray((4, 8), nl.uint8)
        inside.core().fill(tile, X)
        inside.core().fill(mask, MASK)
        nisa.select_reduce(tile, mask, tile, tile[:, 0:1])
        assert np.array_equal(tile.numpy(), np.where(MASK != 0, X, X[:, :1]))


@settings(deadline=None, max_examples=60)
@given(
    st.sampled_from(("float32", "bfloat16", "float16", "float8_e4m3", "float8_e5m2", "int16", "uint16", "int8", "uint8")),
    st.sampled_from(DTYPES), st.sampled_from(DTYPES), st.booleans(), st.integers(1, 17), st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_meaning_with_special_values_and_every_dst(source, other, target, reverse, count, seed):
    values, column = sample(source, (3, count), seed), sample(other, (3, 1), seed + 1)
    mask = np.random.default_rng(seed).choice([0, 1, 128, 255], (3, count)).astype(np.uint8)
    got = call("select_reduce", dst=out((3, count), target), predicate=sbuf(mask), on_true=sbuf(values, source),
               on_false=sbuf(column, other), reverse_pred=reverse, reduce_cmd=RESET, reduce_res=out((3, 1)))  # fmt: skip
    rows = [
        [v if bool(f) != reverse else w[0] for v, f in zip(a, b, strict=True)]
        for a, b, w in zip(seen(values), mask.tolist(), seen(column), strict=True)
    ]
    same(got["dst"], rounded(rows, target))
    same(got["reduce_res"], np.array([[np.nan if any(v != v for v in row) else max(row)] for row in rows]))
