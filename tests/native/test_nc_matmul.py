"""nc_matmul: the order of accumulation to the last bit, accumulation by shadow, shapes and layouts."""

from __future__ import annotations

import numpy as np
import pytest
from tests.native.harness import BFLOAT16, DTYPES, View, block_of, call, execute, native, random_array, same, spec

FLOAT = np.dtype(np.float32)
RNG = np.random.default_rng(41)


def product(stationary, moving):
    """Fused multiply-adds in the order of k: 64 mantissa bits hold a product exactly."""
    a, b = (x.reshape(x.shape[0], -1).astype(np.longdouble) for x in (stationary, moving))
    total = np.zeros((a.shape[1], b.shape[1]), np.float32)
    for k in range(a.shape[0]):
        total = (a[k][:, None] * b[k][None, :] + total).astype(np.float32)
    return total


@pytest.mark.skipif(np.finfo(np.longdouble).nmant < 63, reason="needs an 80-bit long double as oracle")
@pytest.mark.parametrize(
    ("k", "m", "n"), [(1, 1, 1), (128, 128, 512), (128, 128, 1), (3, 7, 33), (64, 100, 50), (128, 1, 65), (17, 128, 31)]
)
@pytest.mark.parametrize(
    "dtypes", [(FLOAT, FLOAT), (BFLOAT16, BFLOAT16), (DTYPES[3], BFLOAT16), (DTYPES[2], DTYPES[4])], ids=str
)
def test_sums_run_in_the_order_of_k(k, m, n, dtypes):
    stationary, moving = random_array(RNG, (k, m), dtypes[0]), random_array(RNG, (k, n), dtypes[1])
    assert same(call("nc_matmul", ((m, n), FLOAT), [stationary, moving], (-1, 0)), product(stationary, moving))


def plan_for(dst, stationary, moving, mode, strides=None, dst_shape=None):
    shape = dst_shape or (stationary.shape[1], moving.shape[1])
    operands = [
        spec(shape, dst, "out", strides),
        spec(stationary.shape, stationary.dtype, "in"),
        spec(moving.shape, moving.dtype, "in"),
    ]
    return native.plan("nc_matmul", operands, [mode, 0], [])


@pytest.mark.parametrize("mode", [-1, 0, 1])
@pytest.mark.parametrize("dtype", [FLOAT, BFLOAT16], ids=str)
def test_onto_written_values(mode, dtype):
    stationary, moving = random_array(RNG, (32, 24), FLOAT), random_array(RNG, (32, 70), FLOAT)
    before = random_array(RNG, (24, 70), dtype)
    dst = block_of(before)
    assert (
        execute(
            plan_for(dtype, stationary, moving, mode),
            View(dst, 0),
            View(block_of(stationary), 0),
            View(block_of(moving), 0),
        )
        == 1
    )
    sums = call("nc_matmul", ((24, 70), FLOAT), [stationary, moving], (0, 0))
    wanted = sums if mode == 0 else before.astype(np.float32) + sums
    assert same(dst.array.view(dtype).reshape(24, 70), wanted.astype(dtype))


@pytest.mark.parametrize("dtype", [FLOAT, BFLOAT16], ids=str)
def test_accumulates_where_dst_was_written_and_overwrites_elsewhere(dtype):
    stationary, moving = random_array(RNG, (32, 24), BFLOAT16), random_array(RNG, (32, 70), BFLOAT16)
    written = RNG.integers(0, 3, (24, 70)).astype(np.uint8)  # 2: clobbered, counts as not written
    before = random_array(RNG, (24, 70), dtype)
    dst = native.Block(before.nbytes, dtype.itemsize)
    dst.array[:] = before.reshape(-1).view(np.uint8)
    dst.state = 1
    dst.shadow[:] = written.reshape(-1)
    assert (
        execute(
            plan_for(dtype, stationary, moving, -1),
            View(dst, 0),
            View(block_of(stationary), 0),
            View(block_of(moving), 0),
        )
        == 1
    )
    sums = call("nc_matmul", ((24, 70), FLOAT), [stationary, moving], (0, 0))
    wanted = np.where(written == 1, before.astype(np.float32) + sums, sums).astype(dtype)
    assert same(dst.array.view(dtype).reshape(24, 70), wanted)
    assert dst.state == 2


def test_column_by_column_into_one_bank():
    stationary, moving = random_array(RNG, (64, 128), BFLOAT16), random_array(RNG, (64, 512), BFLOAT16)
    dst, whole = native.Block(128 * 512 * 4, 4), call("nc_matmul", ((128, 512), FLOAT), [stationary, moving], (0, 0))
    left, right = block_of(stationary), block_of(moving)
    operands = [
        spec((128, 128), FLOAT, "out", (512, 1)),
        spec((64, 128), BFLOAT16, "in"),
        spec((64, 128), BFLOAT16, "in", (512, 1)),
    ]
    plan = native.plan("nc_matmul", operands, [-1, 0], [])
    for repeat in (1, 2):
        for column in range(0, 512, 128):
            assert execute(plan, View(dst, column), View(left, 0), View(right, column)) == 1
        assert same(dst.array.view(FLOAT).reshape(128, 512), whole if repeat == 1 else whole + whole)


def test_strided_and_reshaped_operands():
    stationary, moving = random_array(RNG, (16, 20, 2), BFLOAT16), random_array(RNG, (16, 9, 10), FLOAT)
    dst = native.Block(20 * 90 * 4, 4)
    operands = [
        spec((20, 90), FLOAT, "out", (1, 20)),
        spec((16, 20), BFLOAT16, "in", (40, 2)),
        spec((16, 10, 9), FLOAT, "in", (90, 1, 10)),
    ]
    plan = native.plan("nc_matmul", operands, [-1, 0], [])
    assert execute(plan, View(dst, 0), View(block_of(stationary), 1), View(block_of(moving), 0)) == 1
    a, b = np.ascontiguousarray(stationary[:, :, 1]), np.ascontiguousarray(moving.transpose(0, 2, 1)).reshape(16, 90)
    wanted = call("nc_matmul", ((20, 90), FLOAT), [a, b], (0, 0))
    assert same(dst.array.view(FLOAT).reshape(90, 20), np.ascontiguousarray(wanted.T))


def test_what_does_not_fit_the_array_has_no_plan():
    for k, m in ((129, 4), (4, 129)):
        assert plan_for(FLOAT, np.empty((k, m), np.float32), np.empty((k, 8), np.float32), 0) is None
    assert plan_for(DTYPES[2], np.empty((4, 4), np.float32), np.empty((4, 8), np.float32), 0) is None
    assert plan_for(FLOAT, np.empty((4, 4), np.int32), np.empty((4, 8), np.float32), 0) is None
