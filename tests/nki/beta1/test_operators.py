"""nl.add, nl.exp, reductions: values against numpy, dtypes against the documented promotion."""

import ml_dtypes
import numpy as np
import pytest
from tests.nki.beta1.kit import normal, stored

from opentrn.errors import LaunchError, ViewError
from opentrn.nki.beta1 import isa as nisa
from opentrn.nki.beta1 import language as nl
from opentrn.nki.beta1.dtypes import promoted

X, Y = normal(16, 24), normal(16, 24, seed=4)


@pytest.mark.parametrize(
    ("body", "want"),
    [
        (lambda x, y: x + y, X + Y), (lambda x, y: 2 - x, 2 - X), (lambda x, y: x * 3 - 1, X * 3 - 1),
        (lambda x, y: x / y, X / Y), (lambda x, y: 1 / y, 1 / Y), (lambda x, y: x / 4, X / 4), (lambda x, y: -x, -X),
        (lambda x, y: abs(x) ** 2, X * X), (lambda x, y: (x > y) * 1.0, (X > Y) * 1.0), (lambda x, y: (x <= 0) * 1.0, (X <= 0) * 1.0),
        (lambda x, y: nl.maximum(x, y), np.maximum(X, Y)), (lambda x, y: nl.exp(x), np.exp(X)),
        (lambda x, y: nl.where(x > y, x, 0.0), np.where(X > Y, X, 0)), (lambda x, y: nl.where(x > 0, x, y), np.where(X > 0, X, Y)),
        (lambda x, y: nl.add(x, nl.sum(y, axis=1, keepdims=True)), X + Y.sum(1, keepdims=True)),
        (lambda x, y: nl.subtract(nl.max(y, axis=[1]), x), Y.max(1, keepdims=True) - X),
        (lambda x, y: nl.multiply(x, y[0:1, 0:24]), X * Y[:1]), (lambda x, y: x.broadcast_to((16, 24)) * y, X * Y),
        (lambda x, y: nl.mean(x, axis=1), X.mean(1, keepdims=True)), (lambda x, y: nl.var(x, axis=1), X.var(1, keepdims=True)),
        (lambda x, y: nl.min(x.reshape((16, 4, 6)), axis=[1]), X.reshape(16, 4, 6).min(1)),
        (lambda x, y: nl.prod(x[:, 0:3], axis=1), X[:, :3].prod(1, keepdims=True)),
        (lambda x, y: nl.softmax(x, axis=-1), np.exp(X) / np.exp(X).sum(1, keepdims=True)),
        (lambda x, y: nl.rms_norm(x, y[0:1], axis=1, n=24), X / np.sqrt((X * X).mean(1, keepdims=True) + 1e-6) * Y[:1]),
        (lambda x, y: nl.transpose(x), X.T), (lambda x, y: nl.matmul(x, nl.transpose(y)), X @ Y.T),
        (lambda x, y: nl.sqrt(nl.square(x)), abs(X)), (lambda x, y: nl.negative(nl.reciprocal(x)), -1 / X),
        (lambda x, y: nl.rsqrt(nl.abs(x) + 1.0), 1 / np.sqrt(abs(X) + 1)), (lambda x, y: nl.sin(x * 4.0), np.sin(X * 4)),
        (lambda x, y: nl.expand_dims(x, 2).reshape((16, 24)), X), (lambda x, y: nl.mod(x, 2.0), np.mod(X, 2)),
    ],
)  # fmt: skip
def test_values(body, want):
    got = stored(lambda a, b: body(nl.load(a), nl.load(b)), X, Y)
    assert np.allclose(got.reshape(want.shape), want, rtol=2e-4, atol=2e-5)


@pytest.mark.parametrize(
    ("first", "second", "want"),
    [
        ("int32", "float16", "float16"), ("uint16", "tfloat32", "tfloat32"), ("float32", "tfloat32", "float32"),
        ("float32", "bfloat16", "float32"), ("float16", "bfloat16", "float32"), ("float8_e4m3", "float16", "float16"),
        ("float8_e4m3", "float8_e5m2", "bfloat16"), ("int16", "int32", "int32"), ("uint8", "uint16", "uint16"),
        ("uint16", "int32", "int32"), ("int8", "uint8", "int16"), ("int8", "uint16", "int32"), ("int32", "uint32", "float32"),
    ],
)  # fmt: skip
def test_the_documented_promotions(first, second, want):
    assert promoted(first, second) == want == promoted(second, first)


def test_scalars_are_weakly_typed_as_documented():
    def body(given):
        half = nl.load(given, dtype=nl.float16)
        assert (half + 1.2).dtype == np.float32 and (half + np.float16(2)).dtype == np.float16
        assert nl.add(half, 1.5, dtype=nl.bfloat16).dtype == nl.bfloat16 and (half > 0).dtype == np.uint8
        return half

    stored(body, X)


def test_bits():
    a = np.arange(64, dtype=np.int32).reshape(4, 16)

    def body(given):
        x = nl.load(given)
        return ((x << 2) | 1) ^ (x & 3)

    assert np.array_equal(stored(body, a), ((a << 2) | 1) ^ (a & 3))


def test_in_place_arithmetic_changes_the_tile():
    def body(given):
        x = nl.load(given)
        x += 1.0
        x[:, 0:4] *= 2.0
        return x

    want = X + 1
    want[:, :4] *= 2
    assert np.allclose(stored(body, X), want)


def test_matrix_products_accumulate_where_they_are_added():
    a, b = normal(256, 64), normal(256, 96)

    def body(left, right):
        total = nl.zeros((64, 96), dtype=nl.float32, buffer=nl.psum)
        for k in nl.affine_range(2):
            rows = slice(128 * k, 128 * k + 128)
            total += nl.matmul(nl.load(left[rows]), nl.load(right[rows]), transpose_x=True)
        twice = nl.ndarray((2, nl.par_dim(64), 96), dtype=nl.float32, buffer=nl.psum)
        for _ in range(2):  # an assignment overwrites what is there
            twice[1] = nisa.nc_matmul(nl.load(left[0:128]), nl.load(right[0:128]))
        twice[1] += nisa.nc_matmul(nl.load(left[128:256]), nl.load(right[128:256]))
        return nl.subtract(total, nl.copy(twice[1]))

    assert np.abs(stored(body, a, b)).max() < 1e-3


@pytest.mark.parametrize("declared", [(64, 6, 7), (64, 42)])
def test_matrix_product_keeps_the_free_dimensions_of_moving(declared: tuple[int, ...]) -> None:
    """A convolution's window as `moving`: the page is silent, finished public kernels for the chip rely on it."""
    weights, image = normal(2, 128, 64), normal(128, 6, 8)
    want = np.einsum("km,khw->mhw", weights[0], image[:, :, :7]) + np.einsum("km,khw->mhw", weights[1], image[:, :, 1:])

    def body(w, x):
        tile = nl.load(x)
        total = nl.zeros(declared, dtype=nl.float32, buffer=nl.psum)
        for shift in nl.affine_range(2):
            total += nisa.nc_matmul(nl.load(w[shift]), tile[:, :, shift : shift + 7])
        return nl.copy(total)

    assert np.abs(stored(body, weights, image).reshape(want.shape) - want).max() < 1e-3


def test_matrix_product_of_a_window_has_its_shape() -> None:
    def body(w, x):
        made = nisa.nc_matmul(nl.load(w), nl.load(x)[:, :, 0:7])
        assert made.shape == (64, 6, 7)
        return nl.copy(made)

    assert stored(body, normal(128, 64), normal(128, 6, 8)).shape == (64, 6, 7)


def test_declared_zeros_of_psum_are_zeros_where_nothing_is_added():
    a = normal(128, 64)

    def body(left):
        total = nl.zeros((64, 128), dtype=nl.float32, buffer=nl.psum)
        tile = nl.load(left)
        total[:, 0:64] += nl.matmul(tile, tile, transpose_x=True)
        return nl.copy(total)

    assert np.allclose(stored(body, a), np.concatenate([a.T @ a, np.zeros((64, 64))], 1), atol=1e-3)


def test_loop_reduce_combines_with_its_destination():
    a = normal(4, 16, 8)

    def body(given):
        largest = nl.full((16, 8), -1.0, dtype=nl.float32)
        total = nl.zeros((16, 16), dtype=nl.float32)
        for i in nl.affine_range(4):
            largest = nl.loop_reduce(nl.load(given[i]), op=np.max, loop_indices=[i])
            total[:, 8:16] = nl.loop_reduce(nl.load(given[i]), op=np.add, loop_indices=[i])
        total[:, 0:8] = largest
        return total

    want = np.concatenate([np.maximum(a.max(0), -1), a.sum(0)], 1)
    assert np.allclose(stored(body, a), want, atol=1e-5)


def test_a_mask_leaves_elements_out_of_a_sum():
    def body(given):
        x, (_, i_f) = nl.load(given), nl.mgrid[0:16, 0:24]
        return nl.sum(x, axis=1, mask=i_f < 10)

    assert np.allclose(stored(body, X), X[:, :10].sum(1, keepdims=True), atol=1e-5)


def test_casts_outside_of_kernels():
    assert nl.static_cast(X, nl.bfloat16).dtype == ml_dtypes.bfloat16
    assert nl.static_cast(1.25, np.float16) == np.float16(1.25) and nl.finfo(nl.float32).min == nl.fp32.min


def test_what_is_no_tile_and_no_axis_is_refused():
    with pytest.raises(LaunchError, match="at least one tile"):
        stored(lambda given: nl.add(1.0, 2.0))
    with pytest.raises(ViewError, match="never the partition"):
        stored(lambda given: nl.sum(nl.load(given), axis=0), X)
    with pytest.raises(LaunchError, match="operator"):
        stored(lambda given: nisa.tensor_scalar(nl.load(given), op0="nonsense", operand0=1.0), X)


def test_loop_reduce_starts_an_unwritten_destination_with_the_first_iteration():
    a = normal(2, 3, 16, 8)

    def body(given):
        out = nl.ndarray((16, 16), dtype=nl.float32)
        for i in nl.affine_range(2):
            for j in nl.affine_range(3):
                out[:, nl.ds(8 * i, 8)] = nl.loop_reduce(nl.load(given[i, j]), op=np.min, loop_indices=[j])
        return out

    assert np.allclose(stored(body, a), np.concatenate(list(a.min(1)), 1))


@pytest.mark.parametrize("rows", [0, 20, 64])
@pytest.mark.parametrize("dtype", [None, nl.bfloat16])
def test_a_masked_result_leaves_the_rest_of_its_destination(rows: int, dtype: object) -> None:
    """Also where it is of another dtype, so that a copy follows (NKI API Masking, SDK 2.26)."""
    values = np.round(normal(64, 32))  # whole numbers: exact in bfloat16

    def body(x):
        tile = nl.load(x)
        made = nl.ndarray((64, 32), dtype=nl.float32, buffer=nl.sbuf)
        made[:, :] = nl.copy(tile)
        made[:, :] = nl.multiply(tile, 2.0, dtype=dtype, mask=nl.arange(64)[:, None] < rows)
        made[:, :] = nl.copy(tile, dtype=dtype, mask=False)
        made[:, 0:16] = nl.load(x[:, 16:32], dtype=dtype, mask=nl.arange(16)[None, :] < rows - 60)
        return made

    want = values.copy()
    want[:rows] *= 2
    kept = max(0, min(16, rows - 60))
    want[:, :kept] = values[:, 16 : 16 + kept]
    assert np.array_equal(stored(body, values), want)


def test_a_masked_select_of_another_dtype_leaves_its_destination() -> None:
    def body(x):
        tile = nl.load(x)
        made = nl.copy(tile)
        keep = nl.arange(64)[:, None] >= nl.arange(32)[None, :]
        made[:, :] = nisa.affine_select(keep, tile, -1.0, dtype=nl.bfloat16, mask=False)
        made[:, 0:1] = nisa.tensor_reduce(np.max, tile, axis=(1,), dtype=nl.bfloat16, mask=False)
        return made

    values = normal(64, 32)
    assert np.array_equal(stored(body, values), values)


def test_one_value_per_partition_beside_several_free_dimensions() -> None:
    """A convolution's bias: nisa.tensor_tensor of (P, H, W) and (P, 1)."""
    image, bias = normal(64, 6, 7), normal(64, 3)

    def body(x, b):
        return nisa.tensor_tensor(nl.load(x), nl.load(b)[:, 1], nl.add)

    assert np.allclose(stored(body, image, bias), image + bias[:, 1, None, None])


def test_an_operand_mask_of_loop_variables_alone() -> None:
    """``tile[k < K]`` (NKI API Masking, SDK 2.26): the whole tile where it holds."""
    a = normal(64, 32)

    def body(x):
        total = nl.zeros((32, 32), dtype=nl.float32, buffer=nl.psum)
        tile = nl.load(x)
        for k in nl.affine_range(2):
            total += nisa.nc_matmul(tile[k < 2], tile[k < 2][nl.arange(64)[:, None] < 64])
        return nl.copy(total)

    assert np.abs(stored(body, a) - 2 * a.T @ a).max() < 1e-3
