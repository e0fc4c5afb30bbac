"""iota: rules by label, meaning against Python integers in nested loops, native core against the meaning."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from harness import bits, call, cast, native_equals_meaning, out, refused, result, sbuf, without_native
from hypothesis import given, settings
from hypothesis import strategies as st
from windows import KINDS, window

import opentrn
import opentrn.nki.isa as nisa
import opentrn.nki.language as nl

CASE = {"dst": out((4, 6), "int32"), "pattern": [[1, 6]]}
DTYPES = ["int32", "uint32", "int16", "uint8", "float32", "bfloat16", "float16"]


def wrapped(value: int) -> int:
    """The 32-bit two's complement integer with the low bits of `value`."""
    return (value + 2**31) % 2**32 - 2**31


def values(partitions, pattern, offset, multiplier):
    """Every value, partition by partition, from the pseudo code of the page."""
    steps = [step for step, _ in pattern]
    return [
        [wrapped(offset + p * multiplier + sum(i * s for i, s in zip(at, steps, strict=True)))
         for at in product(*(range(count) for _, count in pattern))]
        for p in range(partitions)
    ]  # fmt: skip


def held(numbers, dtype):
    """Integers as an array of `dtype`: uint32 takes the bits, narrow integers saturate, floats round once more."""
    if dtype in ("int32", "uint32"):
        return np.array(numbers, np.int64).astype(np.uint32).view(dtype)
    middle = np.array(numbers, np.float64).astype(np.float32)
    if "int" in dtype:
        info = np.iinfo(dtype)
        return np.array([[min(max(round(float(v)), info.min), info.max) for v in row] for row in middle], dtype)
    with np.errstate(over="ignore"):
        return cast(middle, dtype)


def test_c1_accepts_a_pattern_of_another_shape():
    got = result("iota", dst=out((2, 3, 4), "int32"), pattern=[[100, 2], [1, 6]])
    assert got.reshape(2, -1).tolist() == [[0, 1, 2, 3, 4, 5, 100, 101, 102, 103, 104, 105]] * 2


def test_c1_refuses_another_count():
    refused("iota", "c1", dst=out((4, 6), "int32"), pattern=[[1, 5]])
    refused("iota", "c1", dst=out((4, 6), "int32"), pattern=[[1, 6], [1, 2]])


def test_c2_accepts_the_ends_of_32_bits():
    got = result("iota", dst=out((1, 2), "int32"), pattern=[[-(2**31), 2]], offset=2**31 - 1)
    assert got.tolist() == [[2**31 - 1, -1]]


@pytest.mark.parametrize("broken", [{"offset": 2**32}, {"channel_multiplier": -(2**31) - 1}, {"pattern": [[2**40, 6]]}])
def test_c2_refuses_more_than_32_bits(broken):
    refused("iota", "c2", **{**CASE, **broken})


@pytest.mark.parametrize("pattern", [[], [[1, 1]] * 4 + [[1, 6]], [[1, 0]], [6], [[1, 2, 3]], "ab"])
def test_a_pattern_has_one_to_four_pairs(pattern):
    refused("iota", "pattern.value", dst=out((4, 6), "int32"), pattern=pattern)


def test_offset_and_multiplier_may_be_registers():
    """Release notes, NKI 0.5.0: iota handles dynamic register offsets."""

    def kernel(x):
        tile = nl.ndarray((2, 3), dtype=nl.int32, buffer=nl.sbuf)
        nisa.iota(tile, [[1, 3]], nisa.register_alloc(40), nisa.register_alloc(-7))
        nisa.dma_copy(dst=x, src=tile)
        return x

    assert opentrn.run(kernel)(np.zeros((2, 3), np.int32)).results.tolist() == [[40, 41, 42], [33, 34, 35]]


def test_a_register_is_read_each_time_the_instruction_is_recorded():
    def kernel(x):
        tile, at = nl.ndarray((1, 1), dtype=nl.int32, buffer=nl.sbuf), nisa.register_alloc(0)
        for n in range(4):
            nisa.register_move(at, n * n)
            nisa.iota(tile, [[1, 1]], offset=at)
            nisa.dma_copy(dst=x[n : n + 1, :], src=tile)
        return x

    assert opentrn.run(kernel)(np.zeros((4, 1), np.int32)).results.tolist() == [[0], [1], [4], [9]]


@pytest.mark.parametrize(
    ("shape", "pattern", "offset", "multiplier", "want"),
    [
        ((1, 512), [[1, 512]], 0, 0, np.arange(512)[None]),
        ((128, 1), [[0, 1]], 0, 1, np.arange(128)[:, None]),
        ((1, 512), [[-1, 512]], 0, 0, -np.arange(512)[None]),
        ((128, 1), [[0, 1]], 5, 2, np.arange(5, 260, 2)[:, None]),
        ((128, 512), [[1, 512]], 0, 1, np.arange(128)[:, None] + np.arange(512)),
    ],
)
def test_meaning_of_the_examples_of_the_page(shape, pattern, offset, multiplier, want):
    """test_nki_isa_iota.py (SDK 2.32), its five examples in today's arguments."""
    dst = out(shape, "int32")
    got = result("iota", dst=dst, pattern=pattern, offset=offset, channel_multiplier=multiplier)
    assert np.array_equal(got, want)


SMALL = st.integers(-70000, 70000)
PATTERNS = st.lists(st.tuples(SMALL, st.integers(1, 4)), min_size=1, max_size=4)


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(DTYPES), st.sampled_from(KINDS), st.sampled_from([1, 3, 128]), PATTERNS, SMALL, SMALL)
def test_meaning_is_the_pseudo_code(dtype, kind, partitions, pattern, offset, multiplier):
    numbers = values(partitions, pattern, offset, multiplier)
    seen = window(kind, partitions, len(numbers[0]))
    want = cast(np.full(seen.shape, 7), dtype)
    dst = sbuf(want.copy(), dtype).seen(seen.view)
    part = seen.look(want)
    part[...] = held(numbers, dtype).reshape(part.shape)
    with without_native():
        got = result("iota", dst=dst, pattern=pattern, offset=offset, channel_multiplier=multiplier)
    assert np.array_equal(bits(got), bits(want))


FULL = st.integers(-(2**31), 2**31 - 1)


@settings(deadline=None, max_examples=30)
@given(st.sampled_from(["int32", "uint32", "float32"]), FULL, FULL, FULL)
def test_meaning_wraps_at_32_bits(dtype, step, offset, multiplier):
    dst = out((5, 3), dtype)
    with without_native():
        got = result("iota", dst=dst, pattern=[[step, 3]], offset=offset, channel_multiplier=multiplier)
    assert np.array_equal(bits(got), bits(held(values(5, [[step, 3]], offset, multiplier), dtype)))


@settings(deadline=None, max_examples=40)
@given(st.sampled_from(DTYPES), st.sampled_from(KINDS), st.integers(1, 40), PATTERNS, FULL, FULL)
def test_native_equals_meaning(dtype, kind, partitions, pattern, offset, multiplier):
    seen = window(kind, partitions, int(np.prod([count for _, count in pattern])))
    dst = sbuf(np.zeros(seen.shape), dtype).seen(seen.view)
    native_equals_meaning("iota", dst=dst, pattern=pattern, offset=offset, channel_multiplier=multiplier)


def test_a_float_offset_is_refused():
    refused("iota", "offset.value", **CASE, offset=1.5)
    call("iota", **CASE, offset=np.int32(1))
