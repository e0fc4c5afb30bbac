"""The activation functions of nki.api.shared.rst, one number at a time with Python's math, as an oracle."""

from __future__ import annotations

import math
from collections.abc import Callable

import ml_dtypes
import numpy as np


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x > -700 else 0.0


def cdf(x: float) -> float:
    return math.erfc(-x / math.sqrt(2)) / 2


def silu_dx(x: float) -> float:
    return sigmoid(x) + x * sigmoid(x) * sigmoid(-x)


def sin(x: float) -> float:
    """Without range reduction: a cubic about the nearer of -pi and pi."""
    if abs(x) <= math.pi:
        return math.sin(x)
    past = x - math.copysign(math.pi, x)
    return past**3 / 6 - past


FUNCTIONS: dict[str, Callable[[float], float]] = {
    "copy": lambda x: x,
    "square": lambda x: x * x,
    "sigmoid": sigmoid,
    "relu": lambda x: max(x, 0.0),
    "prelu": lambda x: max(x, 0.0),
    "gelu": lambda x: x * cdf(x),
    "gelu_dx": lambda x: cdf(x) + x * math.exp(-x * x / 2) / math.sqrt(2 * math.pi),
    "gelu_apprx_tanh": lambda x: x / 2 * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))),
    "gelu_apprx_sigmoid": lambda x: x * sigmoid(1.702 * x),
    "gelu_apprx_sigmoid_dx": lambda x: silu_dx(1.702 * x),
    "silu": lambda x: x * sigmoid(x),
    "silu_dx": silu_dx,
    "tanh": math.tanh,
    "softplus": lambda x: math.log1p(math.exp(x)),
    "mish": lambda x: x * math.tanh(math.log1p(math.exp(x))),
    "erf": math.erf,
    "erf_dx": lambda x: 2 / math.sqrt(math.pi) * math.exp(-x * x),
    "exp": math.exp,
    "log": math.log,
    "sin": sin,
    "arctan": math.atan,
    "sqrt": math.sqrt,
    "rsqrt": lambda x: 1 / math.sqrt(x),
    "reciprocal": lambda x: 1 / x,
    "sign": lambda x: float((x > 0) - (x < 0)),
    "abs": abs,
}
RANGES = {"log": (2.0**-64, 2.0**64), "sqrt": (2.0**-116, 2.0**118), "rsqrt": (2.0**-87, 2.0**97),
          "reciprocal": (2.0**-42, 2.0**42), "sin": (-math.pi, math.pi), "arctan": (-math.pi / 2, math.pi / 2)}  # fmt: skip
"""Documented valid input ranges."""
POSITIVE = frozenset({"log", "sqrt", "rsqrt", "reciprocal"})


def apply(name: str, x: np.ndarray) -> np.ndarray:
    """float32 of the exact value for every element of a float32 array."""
    f = FUNCTIONS[name]
    with np.errstate(over="ignore"):
        return np.array([f(float(v)) for v in x.ravel()], np.float64).astype(np.float32).reshape(x.shape)


def steps_apart(a: np.ndarray, b: np.ndarray) -> int:
    """The largest distance of two arrays of one dtype in units of the last place (0 between NaNs)."""
    assert a.dtype == b.dtype and a.shape == b.shape
    if a.dtype.kind in "iub":
        return int(np.abs(a.astype(np.int64) - b.astype(np.int64)).max())
    wide = [x.astype(np.float64) for x in (a, b)]
    assert np.array_equal(np.isnan(wide[0]), np.isnan(wide[1]))
    bits = [x.view(f"i{x.dtype.itemsize}").astype(np.int64) for x in map(np.ascontiguousarray, (a, b))]
    sign = 1 << (8 * a.dtype.itemsize - 1)
    order = [np.where(v < 0, -(v & (sign - 1)), v) for v in bits]
    return int(np.where(np.isnan(wide[0]), 0, np.abs(order[0] - order[1])).max())


def rounded(values: np.ndarray, dtype: str) -> np.ndarray:
    """float32 values in a dtype: floats by ml_dtypes, integers to nearest even within their range."""
    if dtype.startswith(("int", "uint")):
        limits = np.iinfo(dtype)
        return np.clip(np.round(values.astype(np.float64)), limits.min, limits.max).astype(dtype)
    with np.errstate(over="ignore"):
        return values.astype(getattr(ml_dtypes, dtype, dtype))
