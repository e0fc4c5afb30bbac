"""The arithmetic of the engines, one Python number at a time: an oracle for element-wise instructions.

Python floats are float64. A sum, difference or product of two float32 values rounded from float64 to float32 is the
correctly rounded float32 result, so these loops share nothing with numpy's float32 arithmetic.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from harness import cast

FLOATS = ("float32", "bfloat16", "float16", "float8_e4m3", "float8_e5m2")
INTEGERS = ("int32", "uint32", "int16", "uint16", "int8", "uint8")
DTYPES = FLOATS + INTEGERS

_SPECIAL = (
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    2.5,
    -3.5,
    240.0,
    1e-3,
    -65504.0,
    3e38,
    -3e38,
    1e-40,
    math.inf,
    -math.inf,
    math.nan,
)


def sample(dtype: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Numbers of a dtype: ordinary ones, and one in four a special one (zeros, ends of the range, NaN, infinities)."""
    rng = np.random.default_rng(seed)
    special = rng.random(shape) < 0.25
    if dtype in INTEGERS:
        ends = np.iinfo(dtype)
        ordinary = rng.integers(max(ends.min, -100), 101, shape)
        return np.where(special, rng.choice([ends.min, ends.max, ends.max - 1, 0, 1], shape), ordinary).astype(dtype)
    values = np.where(special, rng.choice(_SPECIAL, shape), rng.standard_normal(shape) * 8)
    with np.errstate(all="ignore"):
        return cast(values.astype(np.float32), dtype)


def seen(array: np.ndarray) -> np.ndarray:
    """(partitions, elements) Python numbers, as an engine that computes in float32 reads them."""
    flat = [float(np.float32(int(v))) if array.dtype.kind in "iu" else float(v) for v in array.reshape(-1)]
    return np.array(flat, object).reshape(array.shape[0], -1)


def single(value: float) -> float:
    """`value` rounded to float32."""
    with np.errstate(over="ignore"):
        return float(np.float32(value))


def _extreme(pick: Callable[[float, float], float]) -> Callable[[float, float], float]:
    return lambda a, b: math.nan if math.isnan(a) or math.isnan(b) else pick(a, b)


BINARY: dict[str, Callable[[float, float], float]] = {
    "add": lambda a, b: single(a + b),
    "subtract": lambda a, b: single(a - b),
    "multiply": lambda a, b: single(a * b),
    "maximum": _extreme(max),
    "minimum": _extreme(min),
    "equal": lambda a, b: float(a == b),
    "not_equal": lambda a, b: float(a != b),
    "greater_equal": lambda a, b: float(a >= b),
    "greater": lambda a, b: float(a > b),
    "less_equal": lambda a, b: float(a <= b),
    "less": lambda a, b: float(a < b),
    "logical_and": lambda a, b: float(bool(a) and bool(b)),
    "logical_or": lambda a, b: float(bool(a) or bool(b)),
    "logical_xor": lambda a, b: float(bool(a) != bool(b)),
}


def _root(a: float) -> float:
    if math.isnan(a) or a < 0:
        return math.nan
    return math.copysign(math.inf, a) if a == 0 else single(1 / math.sqrt(a))


def inverse(a: float) -> float:
    """1 / a in float32, with the infinities of IEEE 754."""
    return math.copysign(math.inf, a) if a == 0 else single(1 / a)


UNARY: dict[str, Callable[[float], float]] = {
    "abs": abs,
    "square": lambda a: single(a * a),
    "relu": lambda a: math.nan if math.isnan(a) else max(a, 0.0),
    "rsqrt": _root,
    "reciprocal": inverse,
}


def rounded(values: Any, dtype: str) -> np.ndarray:
    """Python floats holding float32 values, rounded once to a dtype: integers to nearest even, saturating, NaN to 0."""
    values = np.asarray(values, object)
    if dtype not in INTEGERS:
        with np.errstate(all="ignore"):
            return cast(values.astype(np.float32), dtype)
    ends = np.iinfo(dtype)

    def whole(value: float) -> int:
        if math.isnan(value):
            return 0
        return ends.min if value <= ends.min else ends.max if value >= ends.max else round(value)

    return np.array([whole(v) for v in values.reshape(-1)], dtype).reshape(values.shape)


def same(got: np.ndarray, want: np.ndarray) -> None:
    """Assert equal shapes' worth of equal values; NaN equals NaN."""
    wide = [np.asarray(a).reshape(np.shape(a)[0], -1).astype(np.float64) for a in (got, want)]
    np.testing.assert_array_equal(*wide)
