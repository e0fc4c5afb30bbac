"""The functions of the Scalar Engine, float32 in and float32 out.

Source: nki.api.shared.rst, "Supported Activation Functions for NKI ISA" (SDK 2.32). The chip evaluates piece-wise
polynomials whose coefficients are not public; here each function is the float64 value rounded to float32, so that
machines agree (to the last bit, except where two float64 libraries differ across a rounding boundary). Outside the
documented range that stays so, except for sin, whose extrapolation is documented.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from opentrn.numerics.erf import erf, erfc_positive

__all__ = ["ACTIVATIONS", "Activation"]

_BLOCK = 16384  # elements whose float64 temporaries stay in the cache
_FAR = 1000.0  # exp(-1000) is 0 in float64: limits at infinity follow from a clamp, without 0 * inf


@dataclass(frozen=True)
class Activation:
    """One function. `f` maps a float32 array to a float32 array of the same shape; prelu's also takes `slope`.

    `valid` is the documented input range, outside of which the chip's result is invalid; `code` is the number by which
    the native core knows it.
    """

    name: str
    code: int
    f: Callable[..., np.ndarray]
    valid: tuple[float, float] = (-np.inf, np.inf)
    note: str = ""


def _through_double(f: Callable[[np.ndarray], np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
    def rounded(x: np.ndarray) -> np.ndarray:
        flat, out = np.ravel(x), np.empty(np.size(x), np.float32)
        with np.errstate(all="ignore"):
            for start in range(0, flat.size, _BLOCK):
                out[start : start + _BLOCK] = f(flat[start : start + _BLOCK].astype(np.float64))
        return out.reshape(np.shape(x))

    return rounded


def _in_single(f: Callable[[np.ndarray], np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
    def exact(x: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):
            return np.asarray(f(np.asarray(x, np.float32)))

    return exact


def _prelu(x: np.ndarray, slope: np.ndarray | float = 0.0) -> np.ndarray:
    """x where positive, else slope times x; `slope` broadcasts (relu_param of nisa.activate2, default 0)."""
    zero = np.float32(0)
    with np.errstate(all="ignore"):
        return np.asarray(np.maximum(x, zero) + np.minimum(x, zero) * np.asarray(slope, np.float32))


def _sigmoid(x: np.ndarray) -> np.ndarray:
    """Where exp overflows float64, the result has long been below float32's smallest number."""
    return 1.0 / (1.0 + np.exp(-x))


def _softplus(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, 0.0) + np.log1p(np.exp(-np.abs(x)))


def _clamped(x: np.ndarray) -> np.ndarray:
    return np.clip(x, -_FAR, _FAR)


def _silu(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, -_FAR) * _sigmoid(x)


def _silu_dx(x: np.ndarray) -> np.ndarray:
    return _sigmoid(x) * (1.0 + _clamped(x) * _sigmoid(-x))


def _normal_cdf(x: np.ndarray) -> np.ndarray:
    tail = 0.5 * erfc_positive(np.abs(x) * np.sqrt(0.5))
    return (x >= 0) - np.copysign(tail, x)  # 1 - tail on the right, tail on the left


def _gelu(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, -_FAR) * _normal_cdf(x)


def _gelu_dx(x: np.ndarray) -> np.ndarray:
    near = _clamped(x)
    return _normal_cdf(x) + near * np.exp(-0.5 * near * near) / np.sqrt(2.0 * np.pi)


def _gelu_tanh(x: np.ndarray) -> np.ndarray:
    """x/2 (1 + tanh(u)) is x sigmoid(2u), which does not cancel for negative x."""
    return np.maximum(x, -_FAR) * _sigmoid(2.0 * np.sqrt(2.0 / np.pi) * (x + 0.044715 * x * x * x))


def _gelu_sigmoid(x: np.ndarray) -> np.ndarray:
    return np.maximum(x, -_FAR) * _sigmoid(1.702 * x)


def _mish(x: np.ndarray) -> np.ndarray:
    """x tanh(log(1 + e^x)), with the tanh of the logarithm written out as a fraction of exponentials."""
    grown = np.exp(np.minimum(x, 40.0))  # beyond, the fraction is 1 in float64
    top = grown * (grown + 2.0)
    return np.maximum(x, -_FAR) * (top / (top + 2.0))


def _sin(x: np.ndarray) -> np.ndarray:
    """sin inside [-pi, pi]; outside, the Taylor cubic about the nearer of -pi and pi, so sin(9.0) is 27.65."""
    inside = np.abs(x) <= np.pi
    past = x - np.copysign(np.pi, x)
    return np.where(inside, np.sin(np.where(inside, x, 0.0)), past * past * past / 6.0 - past)


_ALL = (
    Activation("copy", 0, _in_single(lambda x: x)),
    Activation("square", 1, _in_single(lambda x: x * x)),
    Activation("sigmoid", 2, _through_double(_sigmoid)),
    Activation("relu", 3, _in_single(lambda x: np.maximum(x, np.float32(0)))),
    Activation("prelu", 4, _prelu, note="slope for x <= 0 is a parameter"),
    Activation("gelu", 5, _through_double(_gelu), note="x/2 (1 + erf(x / sqrt(2)))"),
    Activation("gelu_dx", 6, _through_double(_gelu_dx)),
    Activation("gelu_apprx_tanh", 7, _through_double(_gelu_tanh), note="x/2 (1 + tanh(sqrt(2/pi)(x + 0.044715 x^3)))"),
    Activation("gelu_apprx_sigmoid", 8, _through_double(_gelu_sigmoid), note="x sigmoid(1.702 x)"),
    Activation(
        "gelu_apprx_sigmoid_dx",
        9,
        _through_double(lambda x: _silu_dx(1.702 * x)),
        note="S(X)(1 + X S(-X)) with X = 1.702 x",
    ),
    Activation("silu", 10, _through_double(_silu)),
    Activation("silu_dx", 11, _through_double(_silu_dx)),
    Activation("tanh", 12, _through_double(np.tanh)),
    Activation("softplus", 13, _through_double(_softplus)),
    Activation("mish", 14, _through_double(_mish)),
    Activation("erf", 15, _through_double(erf)),
    Activation("erf_dx", 16, _through_double(lambda x: 2.0 / np.sqrt(np.pi) * np.exp(-x * x))),
    Activation("exp", 17, _through_double(np.exp)),
    Activation("log", 18, _through_double(np.log), (2.0**-64, 2.0**64)),
    Activation("sin", 19, _through_double(_sin), (-np.pi, np.pi), "no range reduction: a cubic outside"),
    Activation("arctan", 20, _through_double(np.arctan), (-np.pi / 2, np.pi / 2)),
    Activation("sqrt", 21, _in_single(np.sqrt), (2.0**-116, 2.0**118)),
    Activation("rsqrt", 22, _through_double(lambda x: 1.0 / np.sqrt(x)), (2.0**-87, 2.0**97)),
    Activation("reciprocal", 23, _in_single(lambda x: np.float32(1) / x), (2.0**-42, 2.0**42), "range of |x|"),
    Activation("sign", 24, _in_single(np.sign)),
    Activation("abs", 25, _in_single(np.abs)),
)

ACTIVATIONS: dict[str, Activation] = {entry.name: entry for entry in _ALL}
