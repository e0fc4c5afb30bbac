"""Making, moving, reshaping and multiplying tiles."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from tests.nki.kit import ANCHOR, computed, inside, tile

import opentrn
from opentrn.errors import AddressError, KernelError, LaunchError, RuleError, UnsupportedError, ViewError
from opentrn.nki import isa as nisa
from opentrn.nki import language as nl

RNG = np.random.default_rng(13)
X = RNG.standard_normal((16, 24)).astype(np.float32)
REGIONS = [nl.sbuf, nl.psum, nl.private_hbm, nl.shared_hbm]


# ------------------------------------------------------------- creation
@pytest.mark.parametrize("buffer", REGIONS)
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float8_e4m3", "int32", "uint8", "bool"])
def test_filled_tensors(buffer: Any, dtype: str) -> None:
    def body() -> list[np.ndarray]:
        made = [nl.full((4, 6), 3, dtype, buffer), nl.ones((4, 6), dtype, buffer), nl.zeros((4, 6), dtype, buffer)]
        assert all(t.buffer is buffer and t.dtype == dtype for t in made)
        return [t.numpy().astype(np.float64) for t in made]

    three, one, zero = inside(body)
    assert (three == (1 if dtype == "bool" else 3)).all()
    assert (one == 1).all()
    assert (zero == 0).all()


@pytest.mark.parametrize("shape", [(1,), (127,), (300, 7), (129, 2048), (3, 5, 7), (2, 200_003), (600_001,)])
def test_hbm_is_filled_whatever_its_size(shape: tuple[int, ...]) -> None:
    filled = inside(lambda: nl.full(shape, 2.5, nl.float32, nl.private_hbm).numpy())
    assert filled.shape == shape
    assert (filled == 2.5).all()


def test_the_tensor_under_a_view_is_the_one_that_was_allocated() -> None:
    def body() -> tuple[Any, np.ndarray]:
        whole = tile(X)
        base = whole[2:5, 3:9].view(nl.uint16).base_tensor
        whole[0, 0] = 5
        return (base.shape, base.dtype, base.buffer, whole.base_tensor.shape), base.numpy()

    facts, values = inside(body)
    assert facts == (X.shape, "float32", nl.sbuf, X.shape)
    assert values[0, 0] == 5 and np.array_equal(values[1:], X[1:])


@pytest.mark.parametrize("window", [np.s_[:, 1:5], np.s_[::2], np.s_[5:150, 3], np.s_[:, ::3], np.s_[7]])
def test_a_part_of_an_hbm_tensor_is_written(window: Any) -> None:
    def body() -> np.ndarray:
        whole = nl.zeros((300, 12), nl.float32, nl.private_hbm)
        whole[window] = 7
        return whole.numpy()

    want = np.zeros((300, 12), np.float32)
    want[window] = 7
    np.testing.assert_array_equal(inside(body), want)


def test_wide_rows_of_an_hbm_view_are_written_row_by_row() -> None:
    def body() -> np.ndarray:
        whole = nl.zeros((3, 5000), nl.float32, nl.private_hbm)
        whole[:, 0:4000] = -1.0
        return whole.numpy()

    want = np.zeros((3, 5000), np.float32)
    want[:, :4000] = -1
    np.testing.assert_array_equal(inside(body), want)


def test_likes() -> None:
    def body() -> None:
        x = tile(X.astype(ml_dtypes.bfloat16))
        zero, other, empty = nl.zeros_like(x), nl.zeros_like(x, nl.int32, nl.private_hbm, "z"), nl.empty_like(x)
        assert (zero.shape, zero.dtype, zero.buffer) == (x.shape, "bfloat16", nl.sbuf)
        assert (other.dtype, other.buffer, other.name) == ("int32", nl.private_hbm, "z")
        assert not zero.numpy().any()
        assert not other.numpy().any()
        assert (empty.shape, empty.dtype) == (x.shape, "bfloat16")

    inside(body)


def test_numbers_are_written_as_the_type_wants_them() -> None:
    assert (inside(lambda: nl.full((2, 2), np.float32(2.0), nl.int32).numpy()) == 2).all()
    assert np.isnan(inside(lambda: nl.full((2, 2), float("nan"), nl.float32).numpy())).all()
    with pytest.raises(RuleError, match="an integer value"):
        inside(lambda: nl.full((2, 2), 2.5, nl.int32))
    with pytest.raises(LaunchError, match="a tensor of the kernel, or a number"):
        inside(lambda: nl.full((2, 2), "one", nl.float32))


def test_ndarray_is_a_class_and_makes_tensors() -> None:
    def body() -> None:
        made = nl.ndarray((4, 8), nl.float32)
        assert isinstance(made, nl.ndarray)
        assert isinstance(made, nl.NkiTensor)
        assert not isinstance(3, nl.ndarray)
        assert nl.ndarray((4, 8), nl.float32, nl.sbuf, None, None).name == ""
        assert nl.ndarray((4, 8), nl.float32, address=(32, 64)).storage.allocation.address == (32, 64)

    inside(body)
    assert (nl.ndarray | None).__args__ == (nl.ndarray, type(None))


@pytest.mark.parametrize("address", [(0,), 5, (1, 2, 3)])
def test_bad_addresses(address: Any) -> None:
    with pytest.raises(AddressError):
        inside(lambda: nl.ndarray((4, 8), nl.float32, address=address))
    with pytest.raises(AddressError):
        inside(lambda: nl.ndarray((4, 8), nl.float32, nl.private_hbm, address=(0, 0)))


@pytest.mark.parametrize("buffer", ["sbuf", "psum", "hbm", "shared_hbm"])
def test_memories_by_name_are_the_old_spelling(buffer: str) -> None:
    with pytest.warns(DeprecationWarning, match="nl\\." + buffer):
        made = inside(lambda: nl.ndarray((4, 8), nl.float32, buffer).buffer)
    assert made is getattr(nl, buffer)


def test_questions_about_memories() -> None:
    assert [nl.is_hbm(b) for b in REGIONS] == [False, False, True, True]
    assert [nl.is_on_chip(b) for b in REGIONS] == [True, True, False, False]
    assert [nl.is_psum(b) for b in REGIONS] == [False, True, False, False]
    assert [nl.is_sbuf(b) for b in REGIONS] == [True, False, False, False]
    assert nl.hbm is nl.private_hbm
    with pytest.raises(LaunchError, match="memory of a tensor"):
        nl.is_hbm("dram")


# ------------------------------------------------------------- moving
def test_load_and_store_convert() -> None:
    def kernel(x: Any) -> Any:
        out = nl.ndarray(x.shape, nl.bfloat16, nl.shared_hbm)
        nl.store(out, nl.load(x, dtype=nl.bfloat16))
        return out

    np.testing.assert_array_equal(opentrn.nki.simulate(kernel)(X), X.astype(ml_dtypes.bfloat16))


def test_store_refuses_psum() -> None:
    with pytest.raises(RuleError, match="dma_copy"):
        inside(lambda: nl.store(nl.ndarray((4, 4), nl.float32, nl.private_hbm), nl.zeros((4, 4), nl.float32, nl.psum)))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_load_transpose2d(dtype: str) -> None:
    given = RNG.standard_normal((40, 24)).astype(np.float32)
    got = computed(lambda t: nl.load_transpose2d(t, dtype), given, buffer=nl.private_hbm)
    np.testing.assert_array_equal(got, given.T.astype(got.dtype))
    with pytest.raises(ViewError, match="2-D"):
        computed(lambda t: nl.load_transpose2d(t.reshape((2, 20, 24))), given, buffer=nl.private_hbm)


# ------------------------------------------------------------- shapes
def test_expand_dims() -> None:
    assert inside(lambda: nl.expand_dims(tile(X), 1).shape) == (16, 1, 24)
    with pytest.raises(ViewError):
        inside(lambda: nl.expand_dims(tile(X), 0))


@pytest.mark.parametrize("shape", [(16, 24, 5), (16, 24, 1)])
@pytest.mark.parametrize("buffer", [nl.sbuf, nl.psum])
def test_broadcast_of_a_free_dimension(shape: tuple[int, ...], buffer: Any) -> None:
    got = computed(lambda t: nl.broadcast_to(t.expand_dim(2), shape), X, buffer=buffer)
    np.testing.assert_array_equal(got, np.broadcast_to(X[:, :, None], shape))


@pytest.mark.parametrize("buffer", [nl.sbuf, nl.psum])
def test_broadcast_of_the_partition(buffer: Any) -> None:
    for given, shape in ((X[:1], (128, 24)), (X[:1, :1], (64, 9))):
        got = computed(lambda t, shape=shape: nl.broadcast_to(t, shape, nl.bfloat16), given.copy(), buffer=buffer)
        np.testing.assert_array_equal(got, np.broadcast_to(given, shape).astype(ml_dtypes.bfloat16))


def test_broadcast_to_the_same_shape_is_the_tile_itself() -> None:
    def body() -> bool:
        x = tile(X)
        return nl.broadcast_to(x, X.shape) is x and nl.broadcast_to(x, X.shape, nl.float16).dtype == "float16"

    assert inside(body)


@pytest.mark.parametrize("shape", [(16, 48), (24,), (16, 24, 1), (32, 24)])
def test_other_broadcasts_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ViewError, match="broadcast_to"):
        inside(lambda: nl.broadcast_to(tile(X), shape))


def test_where() -> None:
    flags = RNG.integers(0, 2, X.shape).astype(np.float32)
    other = -X
    np.testing.assert_array_equal(computed(nl.where, flags, X, other), np.where(flags, X, other))
    np.testing.assert_array_equal(computed(nl.where, flags, X, 0.5), np.where(flags, X, np.float32(0.5)))
    np.testing.assert_array_equal(computed(nl.where, flags, 2.0, other), np.where(flags, np.float32(2), other))
    narrow = computed(lambda c, x, y: nl.where(c, x, y, nl.bfloat16), flags, X, other)
    np.testing.assert_array_equal(narrow, np.where(flags, X, other).astype(ml_dtypes.bfloat16))
    integers = RNG.integers(-(2**31), 2**31, X.shape).astype(np.int32)
    np.testing.assert_array_equal(computed(nl.where, flags, integers, integers[::-1].copy()),
                                  np.where(flags, integers, integers[::-1]))  # fmt: skip


def test_gather_flattened() -> None:
    index = RNG.integers(0, 24, (16, 40))
    for dtype in ("uint32", "int32"):
        got = computed(nl.gather_flattened, X, index.astype(dtype))
        np.testing.assert_array_equal(got, np.take_along_axis(X, index, 1))
    with pytest.raises(UnsupportedError, match="axis=1"):
        computed(lambda d, i: nl.gather_flattened(d, i, axis=1), X, index.astype("uint32"))
    with pytest.raises(KernelError, match="out of bounds"):
        computed(nl.gather_flattened, X, (index + 24).astype("uint32"))


# ------------------------------------------------------------- matrices
@pytest.mark.parametrize("buffer", [nl.sbuf, nl.psum])
def test_transpose(buffer: Any) -> None:
    def body() -> tuple[Any, np.ndarray]:
        flipped = nl.transpose(tile(X, buffer))
        return flipped.buffer, flipped.numpy()

    where, got = inside(body)
    assert where is nl.psum
    np.testing.assert_array_equal(got, X.T)
    np.testing.assert_array_equal(computed(lambda t: nl.transpose(t, nl.bfloat16), X), X.T.astype(ml_dtypes.bfloat16))


def test_matmul() -> None:
    left, right = RNG.standard_normal((64, 32)).astype(np.float32), RNG.standard_normal((32, 200)).astype(np.float32)
    want = left.astype(np.float64) @ right
    np.testing.assert_allclose(computed(nl.matmul, left, right), want, rtol=1e-5, atol=1e-5)
    transposed = computed(lambda x, y: nl.matmul(x, y, transpose_x=True), left.T.copy(), right)
    np.testing.assert_allclose(transposed, want, rtol=1e-5, atol=1e-5)


def test_matrices_of_other_ranks_or_sizes() -> None:
    with pytest.raises(ViewError, match=r"nl\.transpose"):
        inside(lambda: nl.transpose(tile(X).reshape((16, 4, 6))))
    with pytest.raises(ViewError, match=r"at most \(128, 128\)"):
        inside(lambda: nl.transpose(nl.zeros((16, 200), nl.float32)))
    with pytest.raises(RuleError, match="nc_matmul"):
        computed(lambda x, y: nl.matmul(x, y, transpose_x=True), X, X[:8].copy())


# ------------------------------------------------------------- constants
@pytest.mark.parametrize("dtype", ["uint8", "float32", "bfloat16", "float8_e4m3", "int32", "bool"])
def test_identity(dtype: str) -> None:
    assert inside(lambda: nl.shared_identity_matrix(8).dtype) == "uint8"
    got = inside(lambda: nl.shared_identity_matrix(n=128, dtype=dtype).numpy())
    np.testing.assert_array_equal(got.astype(np.float32), np.eye(128))


def test_identity_into_a_tile() -> None:
    def body() -> np.ndarray:
        dst = nl.ndarray((32, 32), nl.bfloat16)
        assert nl.shared_identity_matrix(32, dst=dst) is dst
        return dst.numpy()

    np.testing.assert_array_equal(inside(body).astype(np.float32), np.eye(32))
    with pytest.raises(LaunchError, match=r"\(32, 32\)"):
        inside(lambda: nl.shared_identity_matrix(32, dst=nl.ndarray((32, 16), nl.bfloat16)))


def test_shared_constant(tmp_path: Path) -> None:
    np.save(tmp_path / "c.npy", X)
    for given in (X, str(tmp_path / "c.npy"), X.astype(ml_dtypes.bfloat16), X[:, ::2]):
        want = X if isinstance(given, str) else given
        np.testing.assert_array_equal(inside(lambda given=given: nl.shared_constant(given).numpy()), want)
    assert inside(lambda: nl.shared_constant(X).buffer) is nl.shared_hbm


@pytest.mark.parametrize("given", [np.zeros(()), np.zeros((0, 3), np.float32), "no/such/file.npy"])
def test_constants_that_are_none(given: Any) -> None:
    with pytest.raises(LaunchError, match="shared_constant"):
        inside(lambda: nl.shared_constant(given))


def on_two_cores(body: Any) -> Any:
    def kernel(anchor: Any) -> Any:
        body()
        nl.store(anchor, nl.zeros((1, 1), dtype=nl.float32))
        return anchor

    return opentrn.nki.jit(kernel)[2](ANCHOR.copy())


def test_both_cores_share_a_constant_and_agree_on_it() -> None:
    on_two_cores(lambda: nl.shared_constant(X))
    with pytest.raises(KernelError, match="different data"):
        on_two_cores(lambda: nl.shared_constant(X + nl.program_id()))


def test_functions_with_tables_work_on_one_core_alone() -> None:
    def body() -> None:
        if nl.program_id() == 1:
            np.testing.assert_allclose(nl.sin(tile(X)).numpy(), np.sin(X), atol=2e-7)

    on_two_cores(body)


# ------------------------------------------------------------- random numbers
@pytest.mark.parametrize("target", ["trn1", "trn2", "trn3"])
@pytest.mark.parametrize("buffer", [nl.sbuf, nl.psum, nl.private_hbm])
def test_rand_is_uniform_and_seeded(target: str, buffer: Any) -> None:
    def body() -> list[np.ndarray]:
        drawn = []
        for seed in (42, 42, 43):
            nl.random_seed(nl.full((1, 1), seed, nl.int32))
            drawn.append(nl.rand((128, 300), nl.float32, buffer).numpy())
        drawn.append(nl.rand((128, 300), nl.float32, buffer).numpy())
        return drawn

    first, again, other, following = inside(body, target)
    np.testing.assert_array_equal(first, again)
    assert (first != other).mean() > 0.9
    assert (following != other).mean() > 0.9
    assert first.min() >= 0
    assert first.max() < 1
    counts, _ = np.histogram(first, 16, (0, 1))
    assert np.abs(counts / first.size * 16 - 1).max() < 0.1


def test_rand_of_a_large_hbm_tensor() -> None:
    values = inside(lambda: nl.rand((700, 33), nl.float32, nl.private_hbm, "noise").numpy())
    assert len(np.unique(values)) > 0.99 * values.size


def test_random_seed_wants_a_tile() -> None:
    with pytest.raises(LaunchError, match=r"nl\.random_seed"):
        inside(lambda: nl.random_seed(42))
    with pytest.raises(RuleError, match="set_rng_seed"):
        inside(lambda: nl.random_seed(nl.zeros((1, 2), nl.int32)))


def test_dropout() -> None:
    given = np.ones((128, 500), np.float32)
    for rate in (0.0, 0.25, 1.0):
        got = computed(nl.dropout, given, rate)
        assert set(np.unique(got)) <= {0.0, 1.0}
        assert abs((got == 0).mean() - rate) < 0.01
    rates = np.linspace(0, 1, 128, dtype=np.float32).reshape(128, 1)
    lost = (computed(nl.dropout, given, rates) == 0).mean(1)
    assert np.abs(lost - rates[:, 0]).max() < 0.1
    assert computed(lambda x: nl.dropout(x, 0.5, dtype=nl.bfloat16), given).dtype == ml_dtypes.bfloat16


def test_instructions_are_those_of_the_chip() -> None:
    """The composed functions record ordinary instructions, so that they have a cost."""

    def kernel(x: Any) -> Any:
        out = nl.ndarray(x.shape, nl.float32, nl.shared_hbm)
        nl.store(out, nl.softmax(nl.load(x)))
        return out

    counts = opentrn.run(kernel)(X).instructions
    assert counts == {"dma_copy": 2, "tensor_reduce": 2, "tensor_scalar": 2, "activation": 1, "reciprocal": 1}
    assert set(counts) <= set(vars(nisa))
