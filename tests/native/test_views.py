"""Strided, broadcast, permuted and overlapping views against numpy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.native.harness import BFLOAT16, View, block_of, execute, native, random_array, same, spec

SIZE = 4096
DTYPES = [np.dtype(np.float32), BFLOAT16, np.dtype(np.int8), np.dtype(np.int32)]


def window(array: np.ndarray, shape, strides, offset) -> np.ndarray:
    """The elements of a view; strides and offset in elements."""
    byte_strides = tuple(s * array.dtype.itemsize for s in strides)
    return np.lib.stride_tricks.as_strided(array[offset:], shape, byte_strides)


def offset_for(draw, shape, strides) -> int:
    low = sum(min(0, (n - 1) * s) for n, s in zip(shape, strides, strict=True))
    high = sum(max(0, (n - 1) * s) for n, s in zip(shape, strides, strict=True))
    return draw(st.integers(-low, SIZE - 1 - high))


@st.composite
def shapes(draw):
    outer = draw(st.lists(st.integers(1, 6), min_size=1, max_size=4))
    return (*outer, draw(st.sampled_from([1, 2, 7, 40])))


@st.composite
def inputs(draw, shape):
    """Any strides that stay within SIZE elements, zero and negative ones too."""
    limit = (SIZE // len(shape)) // max(shape)
    strides = tuple(draw(st.sampled_from([0, 1, -1, 2, 3, min(40, limit), min(61, limit)])) for _ in shape)
    return strides, offset_for(draw, shape, strides)


@st.composite
def outputs(draw, shape):
    """Strides of a slice of a permuted dense array, so that no element appears twice."""
    padded = [n + draw(st.integers(0, 1)) for n in shape]
    if np.prod(padded) > SIZE:
        padded = list(shape)
    order = draw(st.permutations(range(len(shape))))
    strides, step = [0] * len(shape), 1
    for axis in order:
        strides[axis] = step
        step *= padded[axis]
    return tuple(strides), offset_for(draw, shape, strides)


@st.composite
def cases(draw):
    shape = draw(shapes().filter(lambda s: np.prod([n + 1 for n in s]) <= SIZE))
    return shape, draw(outputs(shape)), draw(inputs(shape)), draw(inputs(shape)), draw(st.integers(0, 2**31))


@settings(max_examples=150, deadline=None)
@given(cases(), st.sampled_from(DTYPES), st.sampled_from(DTYPES))
def test_copy_between_views(case, to, source):
    shape, (out_strides, out_offset), (strides, offset), _, seed = case
    rng = np.random.default_rng(seed)
    before, data = random_array(rng, (SIZE,), to), random_array(rng, (SIZE,), source)
    out = block_of(before)
    plan = native.plan("copy", [spec(shape, to, "out", out_strides), spec(shape, source, "in", strides)], [], [])
    assert execute(plan, View(out, out_offset), View(block_of(data), offset)) == 1
    expected = before.copy()
    values = window(data, shape, strides, offset).astype(np.float32)
    window(expected, shape, out_strides, out_offset)[...] = (
        np.rint(values).astype(to) if to.kind == "i" else values.astype(to)
    )
    assert same(out.array.view(to), expected)


@settings(max_examples=150, deadline=None)
@given(cases(), st.sampled_from(DTYPES[:2]))
def test_operands_that_overlap_dst_are_read_before_it_is_written(case, dtype):
    shape, (out_strides, out_offset), (a_strides, a_offset), (b_strides, b_offset), seed = case
    memory = random_array(np.random.default_rng(seed), (SIZE,), dtype)
    block = block_of(memory)
    operands = [
        spec(shape, dtype, "out", out_strides),
        spec(shape, dtype, "in", a_strides),
        spec(shape, dtype, "in", b_strides),
    ]
    plan = native.plan("tensor_tensor", operands, [1, 0], [])
    assert execute(plan, View(block, out_offset), View(block, a_offset), View(block, b_offset)) == 1
    a = window(memory, shape, a_strides, a_offset).astype(np.float32)
    b = window(memory, shape, b_strides, b_offset).astype(np.float32)
    expected = memory.copy()
    window(expected, shape, out_strides, out_offset)[...] = (a - b).astype(dtype)
    assert same(block.array.view(dtype), expected)


@settings(max_examples=100, deadline=None)
@given(cases())
def test_the_shadow_marks_exactly_the_view(case):
    shape, (strides, offset), (in_strides, in_offset), _, _ = case
    block = native.Block(SIZE * 2, 2)
    plan = native.plan("memset", [spec(shape, BFLOAT16, "out", strides)], [], [1.0])
    assert execute(plan, View(block, offset)) == 1
    expected = np.zeros(SIZE, np.uint8)
    window(expected, shape, strides, offset)[...] = 1
    assert np.array_equal(block.shadow, expected)
    reader = native.plan("copy", [spec(shape, BFLOAT16, "out"), spec(shape, BFLOAT16, "in", in_strides)], [], [])
    readable = bool(np.all(window(expected, shape, in_strides, in_offset)))
    out = native.Block(int(np.prod(shape)) * 2, 2)
    assert execute(reader, View(out, 0), View(block, in_offset)) == int(readable)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_operands_of_different_rank_agree_in_row_major_order(dtype):
    rng = np.random.default_rng(5)
    a, b = random_array(rng, (6, 4, 10), dtype), random_array(rng, (6, 40), dtype)
    out = native.Block(240 * dtype.itemsize, dtype.itemsize)
    operands = [spec((6, 2, 20), dtype, "out"), spec(a.shape, dtype, "in"), spec(b.shape, dtype, "in")]
    assert execute(
        native.plan("tensor_tensor", operands, [0, 0], []), View(out, 0), View(block_of(a), 0), View(block_of(b), 0)
    )
    wide = a.reshape(6, 40).astype(np.float32) + b.astype(np.float32)
    expected = np.clip(wide, -128, 127) if dtype == np.int8 else wide
    assert same(out.array.view(dtype).reshape(6, 40), expected.astype(dtype))


def test_columns_side_by_side_in_one_block():
    memory = np.random.default_rng(6).standard_normal((128, 96)).astype(np.float32)
    block = block_of(memory)
    operands = [spec((128, 32), np.float32, role, (96, 1)) for role in ("out", "in", "in")]
    assert (
        execute(native.plan("tensor_tensor", operands, [0, 0], []), View(block, 0), View(block, 32), View(block, 64))
        == 1
    )
    result = block.array.view(np.float32).reshape(128, 96)
    assert np.array_equal(result[:, :32], memory[:, 32:64] + memory[:, 64:])
    assert np.array_equal(result[:, 32:], memory[:, 32:])


def test_blocks_over_one_buffer_are_seen_to_overlap():
    buffer = np.arange(40, dtype=np.float32)
    out, source = (native.Block.wrap(b.view(np.uint8), 4) for b in (buffer[1:], buffer[:-1]))
    plan = native.plan("copy", [spec((3, 13), np.float32, "out"), spec((3, 13), np.float32, "in")], [], [])
    assert execute(plan, View(out, 0), View(source, 0)) == 1
    assert buffer.tolist() == [0.0, *range(39)]
