"""affine_select: rules by label, meaning against nested loops over single elements, native core against the meaning."""

from __future__ import annotations

import operator
from itertools import product

import ml_dtypes
import numpy as np
import pytest
from harness import bits, call, cast, native_equals_meaning, out, refused, result, sbuf, without_native
from hypothesis import given, settings
from hypothesis import strategies as st
from windows import KINDS, window

import opentrn
import opentrn.nki.isa as nisa
import opentrn.nki.language as nl
from opentrn.errors import MemoryFault

RNG = np.random.default_rng(21)
X = RNG.standard_normal((8, 8)).astype(np.float32)
LOWEST = float(np.finfo(np.float32).min)
CASE = {
    "dst": out((8, 8)), "pattern": [[-1, 8]], "channel_multiplier": 1, "on_true_tile": sbuf(X), "on_false_value": -1.0,
    "cmp_op": nl.greater_equal,
}  # fmt: skip
COMPARE = {
    "equal": operator.eq, "not_equal": operator.ne, "less": operator.lt, "less_equal": operator.le,
    "greater": operator.gt, "greater_equal": operator.ge,
}  # fmt: skip
DTYPES = ["float32", "bfloat16", "float16", "float8_e4m3", "int32", "uint32", "int16", "uint8"]


def one(value, source, target):
    """One element cast as the page says: through float32 when the dtypes differ."""
    if source == target:
        return value
    middle = np.float32(value)
    if "int" in target:
        info = np.iinfo(target)
        return np.dtype(target).type(0 if np.isnan(middle) else round(min(max(float(middle), info.min), info.max)))
    with np.errstate(over="ignore"):
        return cast(middle, target)[()]


def chosen(data, source, target, pattern, offset, multiplier, compare, other):
    """The pseudo code of the page on (partitions, elements) `data`."""
    want = np.empty(data.shape, cast(0, target).dtype)
    for p in range(len(data)):
        for n, at in enumerate(product(*(range(count) for _, count in pattern))):
            affine = offset + p * multiplier + sum(i * step for i, (step, _) in zip(at, pattern, strict=True))
            holds = compare((affine + 2**31) % 2**32 - 2**31, 0)
            want[p, n] = one(data[p, n], source, target) if holds else one(np.float32(other), None, target)
    return want


def test_c1_accepts_equal_partitions():
    assert np.array_equal(result("affine_select", **CASE), np.where(np.tri(8, dtype=bool), X, np.float32(-1)))


def test_c1_refuses_other_partitions():
    refused("affine_select", "c1", **{**CASE, "dst": out((4, 8))})


def test_c2_accepts_other_ranks_and_patterns():
    got = result("affine_select", **{**CASE, "dst": out((8, 2, 4)), "pattern": [[-4, 2], [-1, 4]]})
    assert np.array_equal(got.reshape(8, 8), result("affine_select", **CASE))


def test_c2_refuses_another_count():
    refused("affine_select", "c2", **{**CASE, "pattern": [[-1, 7]]})
    refused("affine_select", "c2", **{**CASE, "dst": out((8, 7))})
    refused("affine_select", "c2", **{**CASE, "on_true_tile": sbuf(X[:, :7])})


@pytest.mark.parametrize("name", COMPARE)
def test_c3_accepts_comparisons(name):
    got = result("affine_select", **{**CASE, "cmp_op": getattr(nl, name)})
    p, i = np.indices((8, 8))
    assert np.array_equal(got, np.where(COMPARE[name](p - i, 0), X, np.float32(-1)))


@pytest.mark.parametrize("name", ["add", "logical_and", "maximum", "bitwise_and"])
def test_c3_refuses_other_operators(name):
    refused("affine_select", "c3", **{**CASE, "cmp_op": getattr(nl, name)})


def test_c4_accepts_the_ends_of_32_bits():
    offsets = [(2**31 - 1, True), (-(2**31), False), (2**31, False)]  # the last is -2**31 in 32 bits
    for offset, holds in offsets:
        case = {**CASE, "pattern": [[0, 8]], "channel_multiplier": 0, "cmp_op": nl.greater}
        assert np.array_equal(result("affine_select", **case, offset=offset), X if holds else np.full((8, 8), -1.0))


def test_c4_refuses_more_than_32_bits():
    refused("affine_select", "c4", **CASE, offset=2**32)
    refused("affine_select", "c4", **{**CASE, "channel_multiplier": -(2**31) - 1})
    refused("affine_select", "c4", **{**CASE, "pattern": [[2**33, 8]]})


@pytest.mark.parametrize("value", [LOWEST, -3.4028235e38, float("-inf"), float("nan"), np.float32(2.5), 0, -9984])
def test_c5_accepts_float32_numbers(value):
    """Release notes, NKI 0.6.0: a Python float such as float(np.finfo(np.float32).min) is accepted."""
    got = result("affine_select", **{**CASE, "on_false_value": value})
    assert np.array_equal(got[0, 1:], np.full(7, value, np.float32), equal_nan=True)


@pytest.mark.parametrize(
    "value", [1e39, -3.5e38, -3.4028236e38, 10**400], ids=["1e39", "-3.5e38", "-3.4028236e38", "1e400"]
)
def test_c5_refuses_what_float32_cannot_hold(value):
    refused("affine_select", "c5", **{**CASE, "on_false_value": value})


def test_meaning_of_the_default_is_the_diagonal():
    case = {**CASE, "on_false_value": 0.0}
    del case["cmp_op"]
    assert np.array_equal(result("affine_select", **case), np.diag(np.diag(X)))


@pytest.mark.parametrize("shift", [0, 1, -1])
def test_meaning_of_a_dst_that_overlaps_the_source(shift):
    def kernel(x):
        tile = nl.load(x)
        nisa.affine_select(tile[:, 1 + shift : 9 + shift], [[-1, 8]], 1, tile[:, 1:9], -1.0, nl.greater_equal)
        nisa.dma_copy(dst=x, src=tile)
        return x

    row = 10 + np.arange(10, dtype=np.float32)
    with without_native():
        got = opentrn.run(kernel)(np.tile(row, (8, 1))).results
    assert np.array_equal(got[:, 1 + shift : 9 + shift], np.where(np.tri(8, dtype=bool), row[1:9], -1.0))


def test_an_offset_in_a_register():
    """Release notes, NKI 0.5.0: affine_select handles dynamic register offsets."""

    def kernel(x):
        tile, at = nl.load(x), nisa.register_alloc(-2)
        nisa.affine_select(tile, [[-1, 8]], 1, tile, 0.0, nl.greater_equal, at)
        nisa.dma_copy(dst=x, src=tile)
        return x

    assert np.array_equal(opentrn.run(kernel)(X.copy()).results, np.tril(X, -2))


def half_written(offset):
    """What comes back when only columns 0 to 3 of the source are written and element i is chosen where i < offset."""

    def kernel(x):
        source, target = nl.ndarray((8, 8), dtype=nl.float32), nl.ndarray((8, 8), dtype=nl.float32)
        nisa.dma_copy(dst=source[:, :4], src=x[:, :4])
        nisa.affine_select(target, [[-1, 8]], 0, source, 5.0, nl.greater, offset)
        nisa.tensor_scalar(target, target, nl.add, 1.0)
        nisa.dma_copy(dst=x, src=target)
        return x

    return opentrn.run(kernel)(X.copy()).results


def test_an_unwritten_element_matters_only_where_it_is_chosen():
    assert np.array_equal(half_written(4), np.hstack([X[:, :4] + 1, np.full((8, 4), 6.0, np.float32)]))
    with pytest.raises(MemoryFault, match="never written"):
        half_written(5)
    with pytest.raises(MemoryFault, match="never written"):
        call("affine_select", **{**CASE, "on_true_tile": out((8, 8))})


def test_meaning_rounds_the_lowest_float32_to_minus_infinity_in_bfloat16():
    got = result("affine_select", **{**CASE, "dst": out((8, 8), "bfloat16"), "on_false_value": LOWEST})
    assert (got[0, 1:] == ml_dtypes.bfloat16("-inf")).all()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_meaning_keeps_nan_payloads_of_equal_dtypes(dtype):
    payload = np.full((8, 8), 0x7FA5A5A5, np.uint32).view(np.float32)
    if dtype == "bfloat16":
        payload = np.full((8, 8), 0x7FA5, np.uint16).view(ml_dtypes.bfloat16)
    case = {**CASE, "dst": out((8, 8), dtype), "on_true_tile": sbuf(payload)}
    with without_native():
        got = result("affine_select", **{**case, "cmp_op": nl.not_equal, "pattern": [[0, 8]], "offset": 1000})
    assert got.tobytes() == payload.tobytes()


SMALL = st.integers(-5, 5)
PATTERNS = st.lists(st.tuples(SMALL, st.integers(1, 3)), min_size=1, max_size=4)


@settings(deadline=None, max_examples=80)
@given(
    st.sampled_from(DTYPES), st.sampled_from(DTYPES), st.sampled_from(KINDS), st.sampled_from(KINDS),
    st.sampled_from([1, 2, 7, 33]), PATTERNS, SMALL, SMALL, st.sampled_from(sorted(COMPARE)),
    st.sampled_from([0.0, -1.5, 300.0, LOWEST, -7e4]), st.integers(0, 2**32 - 1),
)  # fmt: skip
def test_meaning_is_the_pseudo_code(source, target, kind, other_kind, rows, pattern, offset, step, name, other, seed):
    n = int(np.prod([count for _, count in pattern]))
    seen, gone = window(kind, rows, n), window(other_kind, rows, n)
    spread = np.random.default_rng(seed).standard_normal(seen.shape) * 100
    data = cast(np.abs(spread) if source.startswith("u") else spread, source)
    want = cast(np.full(gone.shape, 7), target)
    dst = sbuf(want.copy(), target).seen(gone.view)
    flat = np.ascontiguousarray(seen.look(data)).reshape(rows, n)
    part = gone.look(want)
    part[...] = chosen(flat, source, target, pattern, offset, step, COMPARE[name], other).reshape(part.shape)
    with without_native():
        got = result(
            "affine_select", dst=dst, pattern=pattern, channel_multiplier=step, on_true_tile=sbuf(data, source).seen(seen.view),
            on_false_value=other, cmp_op=getattr(nl, name), offset=offset,
        )  # fmt: skip
    assert np.array_equal(bits(got), bits(want))


def test_meaning_goes_through_float32_between_integers_of_one_width():
    """The page: an element of another dtype is first cast to FP32, so -1 saturates in uint32."""
    data = np.array([[-1, 2**24 + 1, -(2**31), 5]], np.int32)
    case = {"pattern": [[0, 4]], "channel_multiplier": 0, "on_true_tile": sbuf(data), "on_false_value": 0.0}
    assert result("affine_select", dst=out((1, 4), "uint32"), **case).tolist() == [[0, 2**24, 0, 5]]
    assert result("affine_select", dst=out((1, 4), "int32"), **case).tolist() == data.tolist()


@settings(deadline=None, max_examples=40)
@given(
    st.sampled_from(DTYPES), st.sampled_from(DTYPES), st.sampled_from(KINDS), st.integers(1, 40), PATTERNS, SMALL,
    st.sampled_from(sorted(COMPARE)),
)  # fmt: skip
def test_native_equals_meaning(source, target, kind, rows, pattern, step, name):
    seen = window(kind, rows, int(np.prod([count for _, count in pattern])))
    data = sbuf(np.abs(RNG.standard_normal(seen.shape)) * 60, source).seen(seen.view)
    native_equals_meaning(
        "affine_select", dst=sbuf(np.zeros(seen.shape), target).seen(seen.view), pattern=pattern, channel_multiplier=step,
        on_true_tile=data, on_false_value=-3.25, cmp_op=getattr(nl, name), offset=-1,
    )  # fmt: skip
