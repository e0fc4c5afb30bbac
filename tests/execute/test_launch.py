"""Launching: arguments and results in kind, stores into arguments, settings from the environment, failures."""

from __future__ import annotations

import gc
import weakref
from dataclasses import dataclass
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np
import pytest

import opentrn
import opentrn.nki as nki
import opentrn.nki.isa as nisa
import opentrn.nki.language as nl
from opentrn.errors import KernelError, LaunchError, MachineError
from opentrn.nki.arrays import ShapeDtype

RNG = np.random.default_rng(9)
X = RNG.standard_normal((6, 8)).astype(np.float32)


def plus_one(x):
    """A new tensor."""
    tile = nl.load(x)
    nisa.tensor_scalar(dst=tile, data=tile, op0=nl.add, operand0=1.0)
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    nisa.dma_copy(dst=out, src=tile)
    return out


def add_one(x):
    """In place."""
    tile = nl.load(x)
    nisa.tensor_scalar(dst=tile, data=tile, op0=nl.add, operand0=1.0)
    nisa.dma_copy(dst=x, src=tile)


def run(kernel, *args, **kwargs):
    return opentrn.run(kernel)(*args, **kwargs).results


# ------------------------------------------------------------------ numpy
@pytest.mark.parametrize("dtype", [np.float32, np.float16, ml_dtypes.bfloat16, np.int32, np.uint8, np.int8])
def test_numpy_in_numpy_out(dtype):
    x = np.arange(48).reshape(6, 8).astype(dtype)
    kept = x.copy()
    got = run(plus_one, x)
    assert type(got) is np.ndarray
    assert got.dtype == x.dtype
    assert np.array_equal(got.astype(np.float32), kept.astype(np.float32) + 1)
    assert np.array_equal(x.view(np.uint8), kept.view(np.uint8))


LAYOUTS = {
    "dense": lambda base: base[0],
    "every second column": lambda base: base[0][:, ::2],
    "transposed": lambda base: base[0].T,
    "reversed rows": lambda base: base[0][::-1],
    "a slice in the middle": lambda base: base[0][1:4, 3:7],
    "fortran order": lambda base: np.asfortranarray(base[0]),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_stores_are_seen_in_the_callers_array_whatever_its_layout(layout):
    base = np.arange(96, dtype=np.float32).reshape(1, 8, 12)
    x = LAYOUTS[layout](base)
    before, elsewhere = x.copy(), np.ones_like(base)
    if x.base is not None and np.shares_memory(x, base):
        mask = np.zeros_like(base)
        LAYOUTS[layout](mask)[...] = 1
        elsewhere = mask
    untouched = base[elsewhere == 0].copy()
    assert run(add_one, x) is None
    assert np.array_equal(x, before + 1)
    assert np.array_equal(base[elsewhere == 0], untouched)


def test_a_strided_argument_is_read_in_its_own_order():
    base = np.arange(96, dtype=np.float32).reshape(8, 12)
    assert np.array_equal(run(plus_one, base.T[::3]), base.T[::3] + 1)


def test_an_argument_returned_is_the_callers_own_array():
    def kernel(x):
        add_one(x)
        return x

    x = X.copy()
    assert run(kernel, x) is x
    assert np.array_equal(x, X + 1)


def test_a_permuted_argument_is_not_the_argument():
    square = RNG.standard_normal((6, 6)).astype(np.float32)

    def kernel(x):
        nisa.dma_copy(dst=x, src=x)
        return x.permute((1, 0))

    assert np.array_equal(run(kernel, square.copy()), square.T)


def test_an_argument_seen_as_another_dtype_is_not_the_argument():
    def kernel(x):
        nisa.dma_copy(dst=x, src=x)
        return x.view(nl.int32)

    got = run(kernel, X.copy())
    assert got.dtype == np.int32
    assert np.array_equal(got, X.view(np.int32))


def test_one_array_given_twice_is_one_memory():
    def kernel(x, y):
        tile = nl.load(x)
        nisa.tensor_scalar(dst=tile, data=tile, op0=nl.add, operand0=1.0)
        nisa.dma_copy(dst=x, src=tile)
        nisa.dma_copy(dst=y, src=nl.load(y))
        return y

    x = X.copy()
    assert np.array_equal(run(kernel, x, x), X + 1)


def test_results_outlive_the_launch():
    results = [run(plus_one, X) for _ in range(5)]
    assert all(np.array_equal(r, X + 1) for r in results)
    results[0][...] = 0
    assert np.array_equal(results[1], X + 1)


def test_read_only_arrays_can_be_read():
    x = X.copy()
    x.flags.writeable = False
    assert np.array_equal(run(plus_one, x), X + 1)


@pytest.mark.parametrize(
    "bad",
    [
        np.zeros((0, 4), np.float32),
        np.zeros((), np.float32),
        np.zeros((2, 2), np.complex64),
        np.array([["a"]]),
        np.zeros((2, 2), object),
    ],
)
def test_arrays_that_are_no_tensors(bad):
    with pytest.raises(TypeError) as caught:
        run(plus_one, bad)
    assert "argument array" in str(caught.value) or "NKI data type" in str(caught.value)
    assert caught.value.site is not None
    assert caught.value.site.file == __file__


# ------------------------------------------------------------------ torch
TORCH = ["float32", "float16", "bfloat16", "int32", "uint8", "float8_e4m3fn", "float8_e5m2"]


@pytest.mark.parametrize("dtype", TORCH)
def test_torch_in_torch_out(dtype, monkeypatch):
    torch = pytest.importorskip("torch")
    if dtype == "float8_e4m3fn":
        monkeypatch.setenv("NEURON_PLATFORM_TARGET_OVERRIDE", "trn3")
    x = torch.arange(8).reshape(2, 4).to(getattr(torch, dtype))

    def same(x):
        out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
        nisa.dma_copy(dst=out, src=x)
        return out

    got = run(same, x)
    assert isinstance(got, torch.Tensor)
    assert got.dtype == x.dtype
    assert torch.equal(got.to(torch.float32), x.to(torch.float32))


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("strided", [False, True])
def test_torch_stores_in_place(dtype, strided):
    torch = pytest.importorskip("torch")
    base = torch.arange(96).reshape(8, 12).to(getattr(torch, dtype))
    kept = base.clone()
    x = base[:, 1::3] if strided else base
    assert run(add_one, x) is None
    assert torch.equal(x, (kept[:, 1::3] if strided else kept) + 1)
    if strided:
        assert torch.equal(base[:, 0::3], kept[:, 0::3])


def test_torch_tensors_with_gradients_are_read():
    torch = pytest.importorskip("torch")
    x = torch.ones((2, 4), requires_grad=True)
    assert torch.equal(run(plus_one, x), torch.full((2, 4), 2.0))


def test_torch_complex_and_sparse_are_refused():
    torch = pytest.importorskip("torch")
    for bad in (torch.ones((2, 2), dtype=torch.complex64), torch.ones((2, 2)).to_sparse()):
        with pytest.raises(LaunchError, match="torch argument"):
            run(plus_one, bad)


def test_torch_and_numpy_dtypes_as_arguments():
    torch = pytest.importorskip("torch")
    seen = []

    def kernel(x, dtypes):
        seen.extend(dtypes)
        return plus_one(x)

    run(kernel, X, [torch.bfloat16, np.float16, np.dtype("int32"), nl.float32])
    assert [nl_name(d) for d in seen] == ["bfloat16", "float16", "int32", "float32"]


def nl_name(dtype):
    return str(dtype).rsplit(".", 1)[-1]


# ------------------------------------------------------------------ jax
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int32"])
def test_jax_in_jax_out(dtype):
    jax = pytest.importorskip("jax")
    x = jax.numpy.arange(8).reshape(2, 4).astype(dtype)
    got = run(plus_one, x)
    assert isinstance(got, jax.Array)
    assert got.dtype == x.dtype
    assert np.array_equal(np.asarray(got).astype(np.float32), np.arange(8).reshape(2, 4) + 1)


def test_jax_arrays_stay_as_they_are_and_stores_come_back_as_a_result():
    jax = pytest.importorskip("jax")
    x = jax.numpy.zeros((2, 4))

    def kernel(x):
        add_one(x)
        return x

    got = run(kernel, x)
    assert got is not x
    assert np.array_equal(np.asarray(got), np.ones((2, 4)))
    assert np.array_equal(np.asarray(x), np.zeros((2, 4)))


def test_stores_that_only_a_jax_array_would_see_are_refused():
    jax = pytest.importorskip("jax")
    with pytest.raises(LaunchError, match="stored into none of its arguments"):
        run(add_one, jax.numpy.zeros((2, 4)))


# ------------------------------------------------------------------ other arguments and results
class Pair(NamedTuple):
    left: Any
    right: Any


@dataclass(frozen=True)
class Weights:
    gain: Any
    bias: Any
    eps: float


def test_containers_of_arrays_go_in_and_out():
    def kernel(pair, listed, named, *, weights):
        assert (weights.eps, listed[1], named["n"]) == (0.5, "text", 3)
        outs = [plus_one(t) for t in (pair.left, pair.right, listed[0], named["x"], weights.gain)]
        return Pair(outs[0], outs[1]), [outs[2], 7], {"x": outs[3], "none": None}, (outs[4],)

    arrays = [X + n for n in range(5)]
    weights = Weights(arrays[4], None, 0.5)
    pair, listed, named, last = run(
        kernel, Pair(arrays[0], arrays[1]), [arrays[2], "text"], {"x": arrays[3], "n": 3}, weights=weights
    )
    assert isinstance(pair, Pair)
    got = [pair.left, pair.right, listed[0], named["x"], last[0]]
    assert all(np.array_equal(g, a + 1) for g, a in zip(got, arrays, strict=True))
    assert listed[1] == 7
    assert named["none"] is None
    assert weights.gain is arrays[4]  # the caller's own object still holds the caller's array


def test_numbers_strings_and_numpy_scalars_pass_through():
    seen = []

    def kernel(x, *others, flag=False):
        seen.extend([*others, flag])
        return plus_one(x)

    run(kernel, X, 3, 2.5, "text", None, np.int64(7), np.float32(0.5), flag=True)
    assert seen == [3, 2.5, "text", None, 7, 0.5, True]
    assert [type(s) for s in seen[4:6]] == [int, float]


def test_shape_and_dtype_alone_make_an_unwritten_argument():
    def kernel(x, like):
        assert like.shape == (2, 3)
        assert like.dtype == nl.bfloat16
        return plus_one(x)

    assert np.array_equal(run(kernel, X, ShapeDtype((2, 3), "bfloat16")), X + 1)

    with pytest.raises(RuntimeError, match="never written"):
        run(lambda x, like: plus_one(like), X, ShapeDtype((2, 3), "bfloat16"))


@pytest.mark.parametrize(("dtype", "shown"), [("uint8", 4), ("int32", 4), ("float32", np.nan), ("bfloat16", np.nan)])
@pytest.mark.parametrize("wide", ["1", "0"])
def test_unwritten_bytes_moved_into_an_argument_are_shown_as_such(monkeypatch, dtype, shown, wide):
    """The rows that nothing wrote are neither the old values nor leftovers of the host's memory (nki_simulator.rst)."""
    monkeypatch.setenv("NKI_PRECISE_FP", wide)

    def kernel(x):
        tile = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.sbuf)
        nisa.memset(dst=tile[:2], value=1)
        nisa.dma_copy(dst=x, src=tile)
        return x

    given = np.full((5, 7), 9, np.dtype(dtype))
    with pytest.warns(UserWarning, match=r"21 of 35 elements, the first at index \(2, 0\), of x "):
        made = run(kernel, given)
    assert made is given
    np.testing.assert_array_equal(
        given.astype(np.float32), np.repeat([[1.0], [shown]], [2, 3], 0) * np.ones(7, np.float32)
    )


def test_on_chip_results_are_refused():
    with pytest.raises(LaunchError, match="returned a tensor in sbuf"):
        run(lambda x: nl.load(x), X)


def test_a_kernel_without_any_result_is_refused():
    with pytest.raises(LaunchError, match="returned nothing"):
        run(lambda x: None, X)


# ------------------------------------------------------------------ settings
def rounded_twice(x):
    """x + 2**-10 - x in bfloat16 tiles: the small term survives only where nothing is rounded between."""
    tile = nl.ndarray(x.shape, dtype=nl.bfloat16)
    nisa.dma_copy(dst=tile, src=x)
    nisa.tensor_scalar(dst=tile, data=tile, op0=nl.add, operand0=2.0**-10)
    nisa.tensor_scalar(dst=tile, data=tile, op0=nl.subtract, operand0=1.0)
    out = nl.ndarray(x.shape, dtype=nl.bfloat16, buffer=nl.shared_hbm)
    nisa.dma_copy(dst=out, src=tile)
    return out


def test_precise_fp_is_the_default_and_zero_keeps_float32(monkeypatch):
    ones = np.ones((4, 4), np.float32)
    assert (run(rounded_twice, ones) == 0).all()
    monkeypatch.setenv("NKI_PRECISE_FP", "0")
    got = run(rounded_twice, ones)
    assert got.dtype == ml_dtypes.bfloat16
    assert (got.astype(np.float32) == 2.0**-10).all()
    monkeypatch.setenv("NKI_PRECISE_FP", "1")
    assert (run(rounded_twice, ones) == 0).all()


def test_bfloat16_arguments_are_stored_into_without_precise_fp(monkeypatch):
    monkeypatch.setenv("NKI_PRECISE_FP", "0")
    x = np.arange(8).reshape(2, 4).astype(ml_dtypes.bfloat16)
    assert run(add_one, x) is None
    assert x.astype(np.float32).tolist() == [[1, 2, 3, 4], [5, 6, 7, 8]]


@pytest.mark.parametrize(
    ("name", "chip"),
    [("trn1", "trn1"), ("gen2", "trn1"), ("trn2", "trn2"), ("gen3", "trn2"), ("trn3", "trn3"), ("gen4", "trn3")],
)
def test_the_target_comes_from_the_environment(monkeypatch, name, chip):
    monkeypatch.setenv("NEURON_PLATFORM_TARGET_OVERRIDE", name)
    seen = []

    def kernel(x):
        seen.append(nisa.get_nc_version())
        return plus_one(x)

    report = opentrn.run(kernel)(X)
    assert report.chip.name == chip
    assert int(seen[0]) == int(chip[-1]) + 1


def test_trn2_is_the_default_and_an_argument_wins(monkeypatch):
    monkeypatch.delenv("NEURON_PLATFORM_TARGET_OVERRIDE", raising=False)
    assert opentrn.run(plus_one)(X).chip.name == "trn2"
    monkeypatch.setenv("NEURON_PLATFORM_TARGET_OVERRIDE", "trn1")
    assert opentrn.run(plus_one, target="trn3")(X).chip.name == "trn3"


def test_a_target_that_does_not_exist(monkeypatch):
    monkeypatch.setenv("NEURON_PLATFORM_TARGET_OVERRIDE", "trn9")
    with pytest.raises(MachineError, match="trn9"):
        run(plus_one, X)


def third(x):
    """x / 3 rounded to bfloat16."""
    tile = nl.load(x)
    small = nl.ndarray(x.shape, dtype=nl.bfloat16)
    nisa.tensor_scalar(dst=small, data=tile, op0=nl.multiply, operand0=1 / 3)
    out = nl.ndarray(x.shape, dtype=nl.bfloat16, buffer=nl.shared_hbm)
    nisa.dma_copy(dst=out, src=small)
    return out


def test_stochastic_rounding_goes_both_ways_and_repeats_by_seed(monkeypatch):
    ones = np.ones((128, 256), np.float32)
    nearest = run(third, ones).astype(np.float32)
    assert len(np.unique(nearest)) == 1
    monkeypatch.setenv("NEURON_RT_STOCHASTIC_ROUNDING_EN", "1")
    monkeypatch.setenv("NEURON_RT_STOCHASTIC_ROUNDING_SEED", "7")
    first, again = run(third, ones).astype(np.float32), run(third, ones).astype(np.float32)
    assert np.array_equal(first, again)
    low, high = np.unique(first)
    assert low < 1 / 3 < high
    # the mean is unbiased: 32768 samples, five standard deviations
    assert abs(first.mean(dtype=np.float64) - 1 / 3) < 5 * (high - low) / 2 / np.sqrt(first.size)
    monkeypatch.setenv("NEURON_RT_STOCHASTIC_ROUNDING_SEED", "8")
    assert not np.array_equal(first, run(third, ones).astype(np.float32))


def test_the_lnc_of_the_environment_has_to_agree(monkeypatch):
    monkeypatch.setenv("NEURON_LOGICAL_NC_CONFIG", "2")
    with pytest.raises(LaunchError, match="NEURON_LOGICAL_NC_CONFIG=2"):
        nki.jit(plus_one)(X)
    assert np.array_equal(nki.jit(plus_one)[2](X), X + 1)


# ------------------------------------------------------------------ kernels in kernels
def test_a_kernel_called_in_a_kernel_is_inlined():
    inner = nki.jit(plus_one)

    @nki.jit
    def outer(x):
        return inner(inner(x))

    report = outer.report((X,), {})
    assert np.array_equal(report.results, X + 1 + 1)
    assert report.instructions["tensor_scalar"] == 2


def test_a_nested_launch_does_not_disturb_the_one_around_it():
    kernel = nki.jit(plus_one)
    first, second = kernel(X), kernel(kernel(X))
    assert np.array_equal(first, X + 1)
    assert np.array_equal(second, X + 1 + 1)


# ------------------------------------------------------------------ failures
class Mine(Exception):
    pass


def test_exceptions_of_the_kernel_come_out_as_they_are():
    error = Mine("the kernel's own", {"n": 3})

    def kernel(x):
        raise error

    with pytest.raises(Mine) as caught:
        run(kernel, X)
    assert caught.value is error
    assert np.array_equal(run(plus_one, X), X + 1)


@pytest.mark.parametrize("layout", ["dense", "every second column", "transposed"])
def test_a_kernel_that_fails_before_its_first_store_leaves_the_inputs(layout):
    base = np.arange(96, dtype=np.float32).reshape(1, 8, 12)
    x, kept = LAYOUTS[layout](base), base.copy()

    def kernel(x):
        tile = nl.load(x)
        nisa.tensor_scalar(dst=tile, data=tile, op0=nl.add, operand0=1.0)
        raise Mine

    with pytest.raises(Mine):
        run(kernel, x)
    assert np.array_equal(base, kept)


def test_a_call_outside_a_kernel_says_so():
    with pytest.raises(LaunchError, match="outside a kernel"):
        nisa.memset(None, value=0)


def test_a_register_without_value():
    def kernel(x):
        nisa.register_move(nisa.register_alloc(), nisa.register_alloc())

    with pytest.raises(KernelError, match="before it has a value"):
        run(kernel, X)


def test_wrong_arguments_are_the_functions_own_type_error():
    with pytest.raises(TypeError, match="plus_one"):
        nki.jit(plus_one)(X, X)


def test_results_that_were_written_in_part_are_named():
    def kernel(x):
        out = nl.ndarray((4, 4), dtype=x.dtype, buffer=nl.shared_hbm)
        nisa.dma_copy(dst=out[0:2], src=x[0:2])
        return out

    with pytest.warns(UserWarning, match="8 of 16 elements"):
        report = opentrn.run(kernel)(np.ones((4, 4), np.float32))
    assert np.isnan(report.results[2:]).all() and (report.results[:2] == 1).all()
    assert "never written" in str(report.warnings[0])


@pytest.mark.parametrize("lnc", [1, 2])
@pytest.mark.parametrize("error", [ValueError, MemoryError])
def test_a_launch_that_fails_keeps_nothing(lnc, error):
    """A reference cycle would keep its tensors until Python's collector runs, which may be many launches later."""
    seen = []

    @nki.jit
    def kernel(x):
        tile = nl.ndarray((128, 512), dtype=x.dtype, buffer=nl.sbuf)
        seen.append(weakref.ref(tile))
        nisa.dma_copy(dst=tile, src=x)
        raise error("as asked")

    gc.collect()
    gc.disable()
    try:
        for _ in range(3):
            with pytest.raises(error, match="as asked"):
                kernel[lnc](np.ones((128, 512), np.float32))
        assert len(seen) >= 3 and [each() for each in seen] == [None] * len(seen)
    finally:
        gc.enable()
