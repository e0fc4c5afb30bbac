"""The element-wise functions of nki.language against float64 numpy and torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import torch
from tests.nki.kit import computed, inside, tile

from opentrn.errors import HardwareWarning, LaunchError, RuleError
from opentrn.nki import language as nl

RNG = np.random.default_rng(11)
X = RNG.uniform(-4, 4, (8, 33)).astype(np.float32)
Y = RNG.uniform(-4, 4, (8, 33)).astype(np.float32)
COLUMN = RNG.uniform(-4, 4, (8, 1)).astype(np.float32)
WHOLE = RNG.integers(0, 200, (8, 33)).astype(np.uint8)
OTHER = RNG.integers(0, 7, (8, 33)).astype(np.uint8)

ARITHMETIC: dict[str, Callable[..., Any]] = {
    "add": np.add, "subtract": np.subtract, "multiply": np.multiply, "maximum": np.maximum, "minimum": np.minimum,
    "equal": np.equal, "not_equal": np.not_equal, "less": np.less, "less_equal": np.less_equal,
    "greater": np.greater, "greater_equal": np.greater_equal, "logical_and": np.logical_and,
    "logical_or": np.logical_or, "logical_xor": np.logical_xor,
}  # fmt: skip
BITWISE: dict[str, Callable[..., Any]] = {
    "bitwise_and": np.bitwise_and, "bitwise_or": np.bitwise_or, "bitwise_xor": np.bitwise_xor,
    "left_shift": np.left_shift, "right_shift": np.right_shift,
}  # fmt: skip


def expected(function: Callable[..., Any], *given: Any) -> np.ndarray:
    """Computed in float64, rounded once to float32."""
    return np.asarray(function(*(np.asarray(g, np.float64) for g in given))).astype(np.float32)


@pytest.mark.parametrize("name", ARITHMETIC)
@pytest.mark.parametrize(("x", "y"), [(X, Y), (X, 1.5), (1.5, X), (X, COLUMN), (COLUMN, X), (X, X)],
                         ids=["tiles", "number", "number first", "column", "column first", "equal tiles"])  # fmt: skip
def test_arithmetic(name: str, x: Any, y: Any) -> None:
    np.testing.assert_array_equal(computed(getattr(nl, name), x, y), expected(ARITHMETIC[name], x, y))


@pytest.mark.parametrize("name", BITWISE)
@pytest.mark.parametrize("y", [OTHER, 3], ids=["tiles", "number"])
def test_bitwise(name: str, y: Any) -> None:
    np.testing.assert_array_equal(computed(getattr(nl, name), WHOLE, y), BITWISE[name](WHOLE, np.uint8(y)))


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16", "int32", "uint32"])
def test_invert(dtype: str) -> None:
    given = RNG.integers(0, 100, (4, 9)).astype(dtype)
    np.testing.assert_array_equal(computed(nl.invert, given), ~given)


def test_logical_not_is_xor_with_one() -> None:
    flags = RNG.integers(0, 2, (4, 9))
    np.testing.assert_array_equal(computed(nl.logical_not, flags.astype(np.float32)), 1 - flags)
    np.testing.assert_array_equal(computed(nl.logical_not, flags.astype(np.uint8)), 1 - flags)
    np.testing.assert_array_equal(computed(nl.logical_not, np.full((1, 4), 6, np.uint8)), 7)


def test_int32_is_exact_between_tiles() -> None:
    left = RNG.integers(-(2**30), 2**30, (4, 9)).astype(np.int32)
    right = RNG.integers(-(2**30), 2**30, (4, 9)).astype(np.int32)
    np.testing.assert_array_equal(computed(nl.add, left, right), left + right)
    np.testing.assert_array_equal(computed(nl.equal, left, left + 1), 0)


TORCH: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "exp": torch.exp, "tanh": torch.tanh, "sigmoid": torch.sigmoid, "relu": torch.relu,
    "gelu": torch.nn.functional.gelu, "silu": torch.nn.functional.silu, "softplus": torch.nn.functional.softplus,
    "mish": torch.nn.functional.mish, "erf": torch.erf, "square": torch.square, "abs": torch.abs, "sign": torch.sign,
    "negative": torch.neg, "reciprocal": torch.reciprocal, "arctan": torch.arctan, "sin": torch.sin, "cos": torch.cos,
    "ceil": torch.ceil, "floor": torch.floor, "trunc": torch.trunc,
    "gelu_apprx_tanh": lambda x: torch.nn.functional.gelu(x, approximate="tanh"),
    "gelu_apprx_sigmoid": lambda x: x * torch.sigmoid(1.702 * x),
}  # fmt: skip


@pytest.mark.parametrize("name", TORCH)
def test_functions_of_one_tile(name: str) -> None:
    want = TORCH[name](torch.from_numpy(X.astype(np.float64))).numpy()
    np.testing.assert_allclose(computed(getattr(nl, name), X), want, rtol=3e-7, atol=2e-7)


@pytest.mark.parametrize("name", ["log", "sqrt", "rsqrt"])
def test_functions_of_positive_tiles(name: str) -> None:
    given = np.float32(2) ** RNG.uniform(-60, 60, (8, 33)).astype(np.float32)
    want = getattr(torch, name)(torch.from_numpy(given.astype(np.float64))).numpy()
    np.testing.assert_allclose(computed(getattr(nl, name), given), want, rtol=3e-7)


@pytest.mark.parametrize(("name", "whole"), [("gelu_dx", "gelu"), ("silu_dx", "silu"), ("erf_dx", "erf"),
                                             ("gelu_apprx_sigmoid_dx", "gelu_apprx_sigmoid")])  # fmt: skip
def test_derivatives(name: str, whole: str) -> None:
    at = torch.from_numpy(X.astype(np.float64)).requires_grad_()
    TORCH[whole](at).sum().backward()
    assert at.grad is not None
    np.testing.assert_allclose(computed(getattr(nl, name), X), at.grad.numpy(), rtol=1e-5, atol=1e-5)


def wide_range() -> np.ndarray:
    """Every magnitude of float32, both signs, and the special values."""
    powers = 10.0 ** RNG.uniform(-44, 38.5, 4000) * RNG.choice([-1.0, 1.0], 4000)
    special = [0.0, -0.0, np.inf, -np.inf, np.nan, np.pi, np.pi / 2, 3.4028235e38, 1e-45, 2.5, -2.5, 8388608.5, 1e20]
    return np.resize(np.concatenate([powers, special]).astype(np.float32), (16, 251))


@pytest.mark.parametrize("name", ["sin", "cos"])
def test_sine_and_cosine_of_any_float32(name: str) -> None:
    given = wide_range()
    with np.errstate(invalid="ignore"):
        want = getattr(np, name)(given.astype(np.float64))
    np.testing.assert_allclose(
        computed(getattr(nl, name), given), want, rtol=0, atol=2e-7
    )  # three roundings of the angle


def test_a_small_sine_keeps_its_digits() -> None:
    given = np.float32(10) ** RNG.uniform(-30, -1, (4, 64)).astype(np.float32)
    np.testing.assert_allclose(computed(nl.sin, given), np.sin(given.astype(np.float64)), rtol=2e-7)


def test_tangent() -> None:
    given = RNG.uniform(-1e6, 1e6, (8, 125)).astype(np.float32)
    want = np.tan(given.astype(np.float64))
    usual = np.abs(want) < 1e3  # at a pole the cosine has few digits
    assert usual.mean() > 0.99
    np.testing.assert_allclose(computed(nl.tan, given)[usual], want[usual], rtol=2e-6, atol=2e-7)


def test_arctan_of_any_float32() -> None:
    given = wide_range()
    np.testing.assert_allclose(computed(nl.arctan, given), np.arctan(given.astype(np.float64)), rtol=2e-7, atol=1e-37)


@pytest.mark.parametrize("name", ["ceil", "floor", "trunc"])
@pytest.mark.parametrize("buffer", [nl.sbuf, nl.psum])
def test_rounding_of_any_float32(name: str, buffer: Any) -> None:
    given = wide_range()
    np.testing.assert_array_equal(computed(getattr(nl, name), given, buffer=buffer), getattr(np, name)(given))


def test_copy_is_bit_exact_from_psum_too() -> None:
    given = RNG.integers(-(2**31), 2**31, (8, 16)).astype(np.int32)
    for buffer in (nl.sbuf, nl.psum):
        np.testing.assert_array_equal(computed(nl.copy, given, buffer=buffer), given)


def test_rsqrt_refuses_psum() -> None:
    with pytest.raises(RuleError, match="gpsimd"):
        computed(nl.rsqrt, X, buffer=nl.psum)


def test_dtype_is_that_of_the_first_tile_or_the_given_one() -> None:
    half = X.astype(ml_dtypes.bfloat16)
    assert computed(nl.add, half, Y).dtype == half.dtype
    assert computed(nl.add, 1.0, half).dtype == half.dtype
    assert computed(lambda x, y: nl.add(x, y, dtype=nl.float16), half, Y).dtype == np.float16
    assert computed(lambda x: nl.exp(x, nl.float32), half).dtype == np.float32
    assert computed(lambda x: nl.equal(x, 1.0, dtype=nl.uint8), X).dtype == np.uint8


def test_results_are_rounded_once() -> None:
    got = computed(lambda x, y: nl.multiply(x, y, dtype=nl.bfloat16), X, Y)
    np.testing.assert_array_equal(got, (X * Y).astype(ml_dtypes.bfloat16))


@pytest.mark.parametrize("name", ["abs_max", "abs_min"])
def test_by_magnitude_on_trn3_only(name: str) -> None:
    pick = np.greater if name == "abs_max" else np.less
    want = np.where(pick(np.abs(X), np.abs(COLUMN)), X, COLUMN)
    np.testing.assert_array_equal(computed(getattr(nl, name), X, COLUMN, target="trn3"), want)
    np.testing.assert_array_equal(computed(getattr(nl, name), X, Y, target="trn3"),
                                  np.where(pick(np.abs(X), np.abs(Y)), X, Y))  # fmt: skip
    with pytest.raises(RuleError, match="trn3"):
        computed(getattr(nl, name), X, Y)


def test_power() -> None:
    given = np.abs(X)
    np.testing.assert_allclose(computed(nl.power, given, Y), given.astype(np.float64) ** Y, rtol=1e-6)
    np.testing.assert_allclose(computed(nl.power, given, 2), given.astype(np.float64) ** 2, rtol=1e-6)


@pytest.mark.parametrize("name", ["divide", "fmod", "mod"])
@pytest.mark.parametrize(("x", "y"), [(X, Y), (X, 0.3), (7.0, Y), (X, COLUMN)])
def test_simulated_functions_are_exact_and_warn(name: str, x: Any, y: Any) -> None:
    with pytest.warns(HardwareWarning, match=f"nl.{name} has no hardware instruction"):
        got = computed(getattr(nl, name), x, y)
    np.testing.assert_array_equal(got, expected(getattr(np, name), x, y))


def test_simulated_functions_of_integers() -> None:
    left, right = np.int32([[7, -7, 2**30 + 1]]), np.int32([[3, 3, 2]])
    with pytest.warns(HardwareWarning):
        np.testing.assert_array_equal(computed(nl.mod, left, right), [[1, 2, 1]])
    with pytest.warns(HardwareWarning):
        np.testing.assert_array_equal(computed(nl.fmod, left, right), [[1, -1, 1]])


def test_a_truth_value_means_all_true() -> None:
    def body() -> tuple[bool, bool]:
        x = tile(X)
        almost = nl.copy(x)
        almost[0:1, 0:1] = 99.0
        return bool(nl.equal(x, x)), bool(nl.equal(x, almost))

    assert inside(body) == (True, False)


def test_a_tensor_that_holds_a_zero_is_there() -> None:
    """Public kernels write ``if tensor:`` for ``is not None`` (nki-library's mlp_tkg: expert_index, whose values may be 0)."""

    def body() -> tuple[bool, bool]:
        zeros = nl.zeros((2, 2), nl.int32)
        return bool(zeros), bool(nl.ndarray((2, 2), nl.float32, nl.sbuf))

    assert inside(body) == (True, True)


def test_two_numbers_or_an_array_are_refused() -> None:
    with pytest.raises(LaunchError, match="at least one tile"):
        computed(nl.add, 1.0, 2.0)
    with pytest.raises(LaunchError, match="a tile"):
        computed(nl.exp, 1.0)
    with pytest.raises(LaunchError, match="a tile"), pytest.warns(HardwareWarning):
        computed(nl.mod, 1.0, 2.0)


def test_shapes_that_differ_are_refused() -> None:
    with pytest.raises(RuleError, match="tensor_tensor"):
        computed(nl.add, X, X[:, :5].copy())


def test_outside_a_kernel() -> None:
    with pytest.raises(LaunchError, match="outside a kernel"):
        nl.zeros((4, 4), dtype=nl.float32)
