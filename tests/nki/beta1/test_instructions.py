"""nisa.*: each value-returning instruction, also with dst=, against numpy; masks and memories where they matter."""

import numpy as np
import pytest
from tests.nki.beta1.kit import instructions, normal, stored

from opentrn.errors import UnsupportedError
from opentrn.nki.beta1 import isa as nisa
from opentrn.nki.beta1 import jit
from opentrn.nki.beta1 import language as nl

X, Y = normal(32, 64), normal(32, 64, seed=8)
COLUMN = normal(32, 1, seed=9)


def loaded(body):
    return lambda *given: body(*(nl.load(g) for g in given))


@pytest.mark.parametrize(
    ("body", "want"),
    [
        (lambda x, y, c: nisa.activation(np.square, x, bias=c, scale=2.0), (2 * X + COLUMN) ** 2),
        (lambda x, y, c: nisa.tensor_scalar(x, np.subtract, c, op1=nl.multiply, operand1=3.0), (X - COLUMN) * 3),
        (lambda x, y, c: nisa.tensor_scalar(x, np.subtract, c, True), COLUMN - X),
        (lambda x, y, c: nisa.tensor_scalar(x, np.divide, 4.0), X / 4),
        (lambda x, y, c: nisa.tensor_tensor(x, y, op=np.maximum), np.maximum(X, Y)),
        (lambda x, y, c: nisa.tensor_tensor(x, y, np.divide), X / Y),
        (lambda x, y, c: nisa.scalar_tensor_tensor(data=x, op0=np.multiply, operand0=c, op1=np.add, operand1=y), X * COLUMN + Y),
        (lambda x, y, c: nisa.tensor_reduce(np.max, x, axis=(1,), negate=True), -X.max(1, keepdims=True)),
        (lambda x, y, c: nisa.tensor_reduce(np.sum, x.reshape((32, 8, 8)), axis=[2], keepdims=True), X.reshape(32, 8, 8).sum(2)),
        (lambda x, y, c: nisa.tensor_partition_reduce(np.add, x), X.sum(0, keepdims=True)),
        (lambda x, y, c: nisa.reciprocal(x), 1 / X),
        (lambda x, y, c: nisa.tensor_copy(x, engine=nisa.vector_engine), X),
        (lambda x, y, c: nisa.nc_transpose(x), X.T),
        (lambda x, y, c: nisa.nc_transpose(x[:, 0:32], engine=nisa.vector_engine), X[:, :32].T),
        (lambda x, y, c: nisa.nc_matmul(x, y), X.T @ Y),
        (lambda x, y, c: nisa.memset((32, 4), 1.5, np.float32), np.full((32, 4), 1.5)),
        (lambda x, y, c: nisa.max8(src=x), -np.sort(-X, 1)[:, :8]),
        (lambda x, y, c: nisa.dma_transpose(x), X.T),
        (lambda x, y, c: nisa.bn_aggr(nisa.bn_stats(x)), np.stack([X.mean(1), X.var(1)], 1)),
        (lambda x, y, c: nisa.iota(3 * nl.arange(8)[:, None] - nl.arange(4)[None, :], dtype=nl.int32),
         3 * np.arange(8)[:, None] - np.arange(4)[None, :]),
        (lambda x, y, c: nisa.affine_select(nl.arange(64)[None, :] <= 2 * nl.arange(32)[:, None], x, -1.0),
         np.where(np.arange(64)[None, :] <= 2 * np.arange(32)[:, None], X, -1)),
        (lambda x, y, c: nisa.tensor_tensor_scan(x, y, initial=0, op0=np.multiply, op1=np.add)[:, 0:2],
         np.stack([Y[:, 0], X[:, 1] * Y[:, 0] + Y[:, 1]], 1)),
    ],
)  # fmt: skip
def test_values(body, want):
    got = stored(loaded(body), X, Y, COLUMN)
    assert np.allclose(got.reshape(want.shape), want, rtol=2e-4, atol=2e-4)


def test_sums_are_left_in_reduce_res():
    def body(x):
        sums = nl.ndarray((32, 2), dtype=nl.float32)
        nl.copy(nisa.activation_reduce(np.exp, x, reduce_op=np.add, reduce_res=sums[:, 0]))
        nl.copy(
            nisa.tensor_scalar_reduce(data=x, op0=np.multiply, operand0=2.0, reduce_op=nl.max, reduce_res=sums[:, 1])
        )
        return sums

    want = np.stack([np.exp(X).sum(1), 2 * X.max(1)], 1)
    assert np.allclose(stored(loaded(body), X), want, rtol=1e-4)


def test_a_result_nobody_uses_is_still_executed():
    def body(x):
        sums = nl.ndarray((32, 1), dtype=nl.float32)
        nisa.activation(np.copy, x, reduce_op=np.add, reduce_res=sums, reduce_cmd=nisa.reduce_cmd.reset_reduce)
        return sums

    assert np.allclose(stored(loaded(body), X), X.sum(1, keepdims=True), atol=1e-4)


def test_the_mixed_form_writes_into_dst():
    @jit
    def mixed(a):
        out, tile = nl.ndarray(a.shape, dtype=a.dtype, buffer=nl.shared_hbm), nl.ndarray(a.shape, dtype=a.dtype)
        nisa.dma_copy(dst=tile, src=a)
        nisa.tensor_scalar(dst=tile[:, 0:32], data=tile[:, 32:64], op0=nl.multiply, operand0=2.0)
        nisa.dma_copy(dst=out, src=tile)
        return out

    assert np.array_equal(mixed(X), np.concatenate([2 * X[:, 32:], X[:, 32:]], 1))
    assert instructions(mixed, X) == {"dma_copy": 2, "tensor_scalar": 1}


def test_a_masked_instruction_leaves_the_rest_of_its_destination():
    def body(x):
        out, (i_p, i_f) = nl.zeros((32, 64), dtype=nl.float32), nl.mgrid[0:32, 0:64]
        out[i_p, i_f] = nisa.tensor_scalar(x, np.add, 1.0, mask=(i_p < 16) & (i_f >= 8))
        return out

    want = np.zeros_like(X)
    want[:16, 8:] = X[:16, 8:] + 1
    assert np.allclose(stored(loaded(body), X), want)


def test_a_matrix_product_with_a_masked_contraction():
    def body(x, y):
        return nisa.nc_matmul(x, y, mask=nl.arange(32)[:, None] < 20)

    assert np.allclose(stored(loaded(body), X, Y), X[:20].T @ Y[:20], atol=1e-4)
    with pytest.raises(UnsupportedError, match="mask the operands"):
        stored(loaded(lambda x, y: nisa.nc_matmul(x, y, mask=nl.arange(64)[None, :] < 20)), X, Y)


def test_gathers_and_scatters_by_a_tile_of_rows():
    table, rows = normal(128, 16), np.array([[5], [100], [7], [0]], np.int32)

    @jit
    def moved(data, index):
        out = nl.zeros((128, 16), dtype=data.dtype, buffer=nl.shared_hbm)
        i_p, i_f = nl.arange(4)[:, None], nl.arange(16)[None, :]
        places = nl.load(index[i_p, 0])
        nl.store(out[places, i_f], nl.load(data[places[i_p, 0], i_f]))
        nl.atomic_rmw(out[places, i_f], value=nl.load(data[places, i_f]), op=np.add)
        return out

    want = np.zeros_like(table)
    want[rows[:, 0]] = 2 * table[rows[:, 0]]
    assert np.array_equal(moved(table, rows), want)


def test_run_time_columns():
    where = np.array([[3, 9, 40]], np.int32)

    def body(x, index):
        out, (i_p, i_f) = nl.ndarray((32, 3), dtype=nl.float32), nl.mgrid[0:32, 0:1]
        for n in nl.affine_range(3):
            out[i_p, n] = nisa.tensor_copy_dynamic_src(x[i_p, index[0, n] + i_f])
        nisa.tensor_copy_dynamic_dst(dst=x[i_p, index[0, 0] + 1 + i_f], src=out[:, 2:3])
        out[:, 0] = x[:, 4]
        return out

    got = stored(loaded(body), X, where)
    assert np.array_equal(got, np.stack([X[:, 40], X[:, 9], X[:, 40]], 1))


def test_predicated_copies_take_bool_tiles():
    keep = X > 0

    def body(x, y, test):
        nisa.tensor_copy_predicated(src=x, dst=y, predicate=test)
        return y

    assert np.array_equal(stored(loaded(body), X, Y, keep), np.where(keep, X, Y))


def test_selections():
    keep = (X > 0).astype(np.uint8)

    def body(x, test):
        out, top = nl.ndarray((32, 64), dtype=nl.float32), nl.ndarray((32, 1), dtype=nl.float32)
        nisa.select_reduce(
            dst=out, predicate=test, on_true=x, on_false=-5.0, reduce_res=top, reduce_cmd=nisa.reduce_cmd.reset_reduce
        )
        out[:, 0] = top
        return out

    want = np.where(keep, X, -5)
    want[:, 0] = np.where(keep, X, -5).max(1)
    assert np.array_equal(stored(loaded(body), X, keep), want)


def test_custom_operators_are_refused():
    with pytest.raises(UnsupportedError, match="builtin_custom_op"):
        nisa.builtin_custom_op("f", "lib.so", 1, 1, [], [])
