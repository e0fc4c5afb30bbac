"""tensor_reduce, nc_transpose, iota, affine_select and tensor_copy_predicated against numpy."""

from __future__ import annotations

import numpy as np
import pytest
from tests.native.harness import (
    ALU,
    BFLOAT16,
    DTYPES,
    View,
    block_of,
    call,
    execute,
    native,
    random_array,
    same,
    spec,
)

FLOAT = np.dtype(np.float32)
RNG = np.random.default_rng(31)

pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")


def folded(op, values, start):
    """The documented order, element by element."""
    lanes = [np.float32(start)] * 16
    for i, value in enumerate(values):
        lanes[i % 16] = op(lanes[i % 16], value)
    for width in (8, 4, 2, 1):
        lanes = [op(lanes[j], lanes[j + width]) for j in range(width)]
    return lanes[0]


REDUCTIONS = {
    "add": (np.add, -0.0),
    "multiply": (np.multiply, 1.0),
    "maximum": (np.maximum, -np.inf),
    "minimum": (np.minimum, np.inf),
}


@pytest.mark.parametrize("name", REDUCTIONS)
@pytest.mark.parametrize(("outputs", "count"), [(1, 1), (3, 5), (1, 16), (4, 17), (1, 515), (2, 1100)])
@pytest.mark.parametrize("dtype", [FLOAT, BFLOAT16, DTYPES[6]], ids=str)
@pytest.mark.parametrize("negate", [0, 1])
def test_tensor_reduce(name, outputs, count, dtype, negate):
    data = random_array(RNG, (3, outputs, count), dtype)
    op, start = REDUCTIONS[name]
    wide = data.astype(np.float32)
    wanted = np.array([[folded(op, group, start) for group in row] for row in wide], np.float32)
    result = call("tensor_reduce", ((3, outputs), FLOAT), [data], (ALU[name], count, negate))
    assert same(result, -wanted if negate else wanted)


def test_reduction_of_a_permuted_view():
    data = random_array(RNG, (6, 40, 5), FLOAT)
    out = native.Block(6 * 5 * 4, 4)
    operands = [spec((6, 5), FLOAT, "out"), spec((6, 5, 40), FLOAT, "in", (200, 1, 5))]
    assert (
        execute(
            native.plan("tensor_reduce", operands, [ALU["maximum"], 40, 0], []), View(out, 0), View(block_of(data), 0)
        )
        == 1
    )
    assert np.array_equal(out.array.view(FLOAT).reshape(6, 5), data.max(1))


def test_nan_survives_a_maximum():
    data = np.zeros((1, 40), np.float32)
    data[0, 21] = np.nan
    assert np.isnan(call("tensor_reduce", ((1, 1), FLOAT), [data], (ALU["maximum"], 40, 0))).all()


def test_operators_without_a_fixed_order_have_no_plan():
    operands = [spec((4, 1), FLOAT, "out"), spec((4, 8), FLOAT, "in")]
    assert native.plan("tensor_reduce", operands, [ALU["subtract"], 8, 0], []) is None
    assert native.plan("tensor_reduce", operands, [ALU["add"], 4, 0], []) is None


@pytest.mark.parametrize("shape", [(1, 1), (3, 70), (128, 128), (33, 65)])
@pytest.mark.parametrize("dtype", [DTYPES[0], BFLOAT16, DTYPES[11]], ids=str)
def test_nc_transpose(shape, dtype):
    data = random_array(RNG, shape, dtype)
    assert same(call("nc_transpose", (shape[::-1], dtype), [data]), np.ascontiguousarray(data.T))


def test_nc_transpose_casts_and_walks_any_layout():
    data = random_array(RNG, (6, 4, 5), BFLOAT16)
    assert same(call("nc_transpose", ((20, 6), FLOAT), [data]), data.reshape(6, 20).T.astype(FLOAT))
    assert same(
        call("nc_transpose", ((20, 2, 3), BFLOAT16), [data]).reshape(20, 6), np.ascontiguousarray(data.reshape(6, 20).T)
    )
    out = native.Block(20 * 6 * 2, 2)
    operands = [spec((20, 6), BFLOAT16, "out"), spec((6, 5, 4), BFLOAT16, "in", (20, 1, 5))]
    assert execute(native.plan("nc_transpose", operands, [], []), View(out, 0), View(block_of(data), 0)) == 1
    assert same(out.array.view(BFLOAT16).reshape(20, 6), np.ascontiguousarray(data.transpose(0, 2, 1).reshape(6, 20).T))


def test_nc_transpose_in_place():
    data = random_array(RNG, (40, 40), FLOAT)
    block = block_of(data)
    plan = native.plan("nc_transpose", [spec((40, 40), FLOAT, "out"), spec((40, 40), FLOAT, "in")], [], [])
    assert execute(plan, View(block, 0), View(block, 0)) == 1
    assert np.array_equal(block.array.view(FLOAT).reshape(40, 40), data.T)


def affine(rows, pattern, offset, multiplier):
    """One value at a time, in Python integers, wrapped to int32."""
    indices = np.ndindex(*(n for _, n in pattern))
    row = [sum(i * step for i, (step, _) in zip(index, pattern, strict=True)) for index in indices]
    values = [[offset + p * multiplier + v for v in row] for p in range(rows)]
    return np.array([[(v + 2**31) % 2**32 - 2**31 for v in row] for row in values], np.int64).astype(np.int32)


PATTERNS = [
    ((1, 7),),
    ((0, 3), (1, 5)),
    ((10, 2), (-3, 3), (1, 4)),
    ((1000, 2), (100, 2), (10, 2), (1, 3)),
    ((2**30, 6),),
    ((1, 700),),
]


def packed(pattern):
    return tuple(v for pair in pattern for v in pair)


@pytest.mark.parametrize("pattern", PATTERNS, ids=str)
@pytest.mark.parametrize("dtype", [DTYPES[6], DTYPES[7], FLOAT, BFLOAT16], ids=str)
def test_iota(pattern, dtype):
    values = affine(5, pattern, -7, 3)
    wanted = values.view(dtype) if dtype.kind in "iu" else values.astype(np.float32).astype(dtype)
    result = call("iota", (values.shape, dtype), [], (-7, 3, len(pattern), *packed(pattern)))
    assert same(result, wanted)


def test_a_pattern_of_another_size_has_no_plan():
    assert native.plan("iota", [spec((5, 8), np.int32, "out")], [0, 0, 1, 1, 7], []) is None
    assert native.plan("iota", [spec((5, 8), np.int32, "out")], [0, 0, 5, 1, 8], []) is None


COMPARISONS = {"equal": np.equal, "not_equal": np.not_equal, "greater_equal": np.greater_equal, "greater": np.greater,
               "less_equal": np.less_equal, "less": np.less}  # fmt: skip


@pytest.mark.parametrize("comparison", COMPARISONS)
@pytest.mark.parametrize("pattern", PATTERNS[:3] + PATTERNS[5:], ids=str)
@pytest.mark.parametrize(
    "dtypes", [(FLOAT, FLOAT), (BFLOAT16, BFLOAT16), (FLOAT, BFLOAT16), (DTYPES[3], FLOAT)], ids=str
)
def test_affine_select(comparison, pattern, dtypes):
    to, source = dtypes
    values = affine(6, pattern, -4, 2)
    data = random_array(RNG, values.shape, source)
    wanted = np.where(COMPARISONS[comparison](values, 0), data.astype(to), np.float32(-30000.0).astype(to))
    ints = (-4, 2, len(pattern), *packed(pattern), ALU[comparison])
    assert same(call("affine_select", (values.shape, to), [data], ints, (-30000.0,)), wanted)


@pytest.mark.parametrize("reverse", [0, 1])
@pytest.mark.parametrize("dtype", [FLOAT, BFLOAT16, DTYPES[11]], ids=str)
@pytest.mark.parametrize("stride", [1, 2])
def test_tensor_copy_predicated(reverse, dtype, stride):
    before, data = random_array(RNG, (9, 80), dtype), random_array(RNG, (9, 40), dtype)
    predicate = RNG.integers(-1, 2, (9, 40)).astype(np.int32)
    dst = block_of(before)
    operands = [spec((9, 40), dtype, "inout", (80, stride)), spec((9, 40), dtype, "in"), spec((9, 40), np.int32, "in")]
    plan = native.plan("tensor_copy_predicated", operands, [reverse], [])
    assert execute(plan, View(dst, 0), View(block_of(data), 0), View(block_of(predicate), 0)) == 1
    wanted = before.copy()
    part = wanted[:, ::2] if stride == 2 else wanted[:, :40]
    part[...] = np.where((predicate != 0) != bool(reverse), data, part)
    assert same(dst.array.view(dtype).reshape(9, 80), wanted)


def test_tensor_copy_predicated_needs_a_written_dst():
    operands = [spec((4,), FLOAT, "inout"), spec((4,), FLOAT, "in"), spec((4,), FLOAT, "in")]
    plan = native.plan("tensor_copy_predicated", operands, [0], [])
    ones = block_of(np.ones(4, np.float32))
    assert execute(plan, View(native.Block(16, 4), 0), View(ones, 0), View(ones, 0)) == 0
