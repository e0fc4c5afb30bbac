"""The operators of the engines' ALUs: what each computes on float32, and on 32-bit integers where the engine is exact.

Source: nki.api.shared.rst, "Supported Math Operators for NKI ISA" (SDK 2.32). Arithmetic operators see float32, unless
all operands are int32/uint32 on GpSimd, which is exact (nisa.tensor_tensor); bitvec operators see bit patterns.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from opentrn.errors import DTypeError, UnsupportedError
from opentrn.numerics.latitude import taken

__all__ = ["ALU", "REORDERED", "AluOp", "apply", "identity", "reduce"]

REORDERED = frozenset({"add", "multiply", "average"})
"""Reductions whose rounding depends on the order, while their value does not."""


@dataclass(frozen=True)
class AluOp:
    """One operator. `f(a, b)` wants two arrays of one dtype, float32 or integer; unary operators ignore `b`.

    `reduction` says whether the table allows it as a reduction; `hardware` is False for what only a simulation has
    (release-notes/components/nki.rst: no engine divides); `code` is the number by which the native core knows it.
    """

    name: str
    kind: str  # "bitvec", "arithmetic" or "unary"
    reduction: bool
    code: int
    f: Callable[[np.ndarray, np.ndarray], np.ndarray]
    hardware: bool = True


def apply(op: AluOp, a: np.ndarray, b: np.ndarray | float | None = None) -> np.ndarray:
    """`a op b` element by element, with numpy broadcasting.

    Integer operands stay integers: bitvec works at the width of the wider array, arithmetic in 32 bits with wraparound.
    Everything else is float32, so a caller whose engine computes in float32 casts integers before. Comparisons and
    logical operators give 0 or 1 in the type of the computation. Raises `DTypeError` for a bitvec operator on floats,
    `UnsupportedError` for an integer power with negative exponent.

    >>> apply(ALU["subtract"], np.float32([3.0]), 1.0)
    array([2.], dtype=float32)
    """
    right = 0 if b is None else b
    exact = _is_integer(a) and _is_integer(right) and op.name not in _FLOAT_ONLY
    if op.kind == "bitvec" and not exact:
        raise DTypeError(f"{op.name} works on bit patterns and wants integers")
    width = _common(a, right, op.kind) if exact else np.dtype(np.float32)
    with np.errstate(all="ignore"):
        return np.asarray(op.f(_as(a, width), _as(right, width)))


def reduce(op: AluOp, a: np.ndarray, axis: int | tuple[int, ...]) -> np.ndarray:
    """`a` reduced over `axis` by `op`, axes dropped; float32, or exact 32-bit integers for an integer array.

    Sums are accumulated in float32 in numpy's pairwise order: the order of the hardware is not public, so results agree
    with it up to float32 rounding. subtract is the first element minus the sum of the others. Raises `UnsupportedError`
    for operators that do not reduce.
    """
    if op.name not in _REDUCERS:
        raise UnsupportedError(f"{op.name} is no reduction operator", hint="one of " + ", ".join(_REDUCERS))
    exact = _is_integer(a) and op.name not in _FLOAT_ONLY
    flat = _reduced_last(_as(a, _common(a, 0, op.kind) if exact else np.dtype(np.float32)), axis)
    if op.name in REORDERED and taken("sum_order"):
        flat = flat[..., ::-1]
    with np.errstate(all="ignore"):
        return np.asarray(_REDUCERS[op.name](flat)).astype(flat.dtype, copy=False)


def identity(op: AluOp) -> float | int:
    """The value that leaves `x op value` equal to x, where an accumulator starts; an int for bitvec operators.

    Raises `UnsupportedError` for operators that have none.
    """
    if op.name not in _IDENTITY:
        raise UnsupportedError(f"{op.name} has no neutral element to start a reduction from")
    return _IDENTITY[op.name]


def _is_integer(value: object) -> bool:
    if isinstance(value, (np.ndarray, np.generic)):
        return value.dtype.kind in "iu"
    return isinstance(value, int) and not isinstance(value, bool)


def _common(a: object, b: object, kind: str) -> np.dtype:
    """The integer dtype of the computation: the wider array's (the left one's when equal), for arithmetic 32 bits."""
    arrays = [value.dtype for value in (a, b) if isinstance(value, np.ndarray)]
    widest = max(arrays, key=lambda held: held.itemsize, default=np.dtype(np.int32))
    return widest if kind == "bitvec" or widest.itemsize == 4 else np.dtype(np.int32)


def _as(value: object, dtype: np.dtype) -> np.ndarray:
    return np.asarray(value).astype(dtype, copy=False)


def _reduced_last(a: np.ndarray, axis: int | tuple[int, ...]) -> np.ndarray:
    axes = sorted(axis % a.ndim for axis in ((axis,) if isinstance(axis, int) else axis))
    kept = [i for i in range(a.ndim) if i not in axes]
    return a.transpose(kept + axes).reshape(*(a.shape[i] for i in kept), -1)


def _flag(compare: Callable[..., np.ndarray]) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    return lambda a, b: compare(a, b).astype(a.dtype)


def _unsigned(a: np.ndarray) -> np.ndarray:
    return a.view(f"u{a.dtype.itemsize}")


def _shift(direction: np.ufunc) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """Logical shift; by the width or more gives 0 (not public; a negative amount counts as large)."""

    def shifted(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        bits, amount = 8 * a.dtype.itemsize, _unsigned(b)
        inside = direction(_unsigned(a), np.minimum(amount, bits - 1))
        return np.asarray(np.where(amount < bits, inside, 0)).astype(inside.dtype).view(a.dtype)

    return shifted


def _magnitude(a: np.ndarray) -> np.ndarray:
    return np.abs(a) if a.dtype.kind == "f" else _unsigned(np.asarray(np.abs(a)))  # |-2**31| needs the unsigned view


def _power(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    if a.dtype.kind == "f":
        return np.power(a.astype(np.float64), b).astype(np.float32)
    if a.dtype.kind == "i" and np.any(b < 0):
        raise UnsupportedError("power of integers with a negative exponent", hint="use float32 operands")
    return np.power(a, b)


def _rsqrt(a: np.ndarray, _b: np.ndarray) -> np.ndarray:
    return (1.0 / np.sqrt(a.astype(np.float64))).astype(np.float32)


def _abs_extreme(pick: Callable[..., np.ndarray]) -> Callable[[np.ndarray], np.ndarray]:
    """Element of largest or smallest magnitude with its sign; of equal ones the last, since ties return y."""

    def picked(a: np.ndarray) -> np.ndarray:
        back = a[..., ::-1]
        return np.take_along_axis(back, pick(_magnitude(back), -1)[..., None], -1)[..., 0]

    return picked


def _maximum() -> np.ufunc:
    return np.fmax if taken("nan_extremes") else np.maximum


def _minimum() -> np.ufunc:
    return np.fmin if taken("nan_extremes") else np.minimum


# maximum and minimum give NaN when either side is NaN: nl.maximum is documented as numpy.maximum's like.
# abs_max and abs_min return y when magnitudes are equal (nl.abs_max); mod has the sign of the divisor (nl.mod).
_ARITHMETIC: tuple[tuple[str, int, bool, Callable[[np.ndarray, np.ndarray], np.ndarray]], ...] = (
    ("add", 0, True, np.add),
    ("subtract", 1, True, np.subtract),
    ("multiply", 2, True, np.multiply),
    ("maximum", 3, True, lambda a, b: _maximum()(a, b)),
    ("minimum", 4, True, lambda a, b: _minimum()(a, b)),
    ("equal", 5, False, _flag(np.equal)),
    ("not_equal", 6, False, _flag(np.not_equal)),
    ("greater_equal", 7, False, _flag(np.greater_equal)),
    ("greater", 8, False, _flag(np.greater)),
    ("less_equal", 9, False, _flag(np.less_equal)),
    ("less", 10, False, _flag(np.less)),
    ("logical_and", 11, True, _flag(np.logical_and)),
    ("logical_or", 12, True, _flag(np.logical_or)),
    ("logical_xor", 13, True, _flag(np.logical_xor)),
    ("power", 14, False, _power),
    ("abs_max", 15, False, lambda a, b: np.where(_magnitude(a) > _magnitude(b), a, b)),
    ("abs_min", 16, False, lambda a, b: np.where(_magnitude(a) < _magnitude(b), a, b)),
    ("bypass", 28, False, lambda a, b: a),
    ("average", 29, True, lambda a, b: (a + b) / np.float32(2)),
)
_BITVEC: tuple[tuple[str, int, bool, Callable[[np.ndarray, np.ndarray], np.ndarray]], ...] = (
    ("bitwise_and", 17, True, np.bitwise_and),
    ("bitwise_or", 18, True, np.bitwise_or),
    ("bitwise_xor", 19, True, np.bitwise_xor),
    ("invert", 20, False, lambda a, b: np.invert(a)),
    ("left_shift", 21, False, _shift(np.left_shift)),
    ("right_shift", 22, False, _shift(np.right_shift)),
)
_UNARY: tuple[tuple[str, int, Callable[[np.ndarray, np.ndarray], np.ndarray]], ...] = (
    ("abs", 23, lambda a, b: np.abs(a)),
    ("square", 24, lambda a, b: a * a),
    ("relu", 25, lambda a, b: np.maximum(a, a.dtype.type(0))),
    ("rsqrt", 26, _rsqrt),
    ("reciprocal", 27, lambda a, b: np.float32(1) / a),
)
_SIMULATED = (
    AluOp("divide", "arithmetic", False, 30, np.divide, hardware=False),
    AluOp("mod", "arithmetic", False, 31, np.mod, hardware=False),
)

ALU: dict[str, AluOp] = {
    op.name: op
    for op in (
        *(AluOp(name, "arithmetic", legal, code, f) for name, code, legal, f in _ARITHMETIC),
        *(AluOp(name, "bitvec", legal, code, f) for name, code, legal, f in _BITVEC),
        *(AluOp(name, "unary", False, code, f) for name, code, f in _UNARY),
        *_SIMULATED,
    )
}

_FLOAT_ONLY = frozenset({"rsqrt", "reciprocal", "divide", "average"})

# abs_max and abs_min are no reductions in the table, yet nisa.activate2 lists them as such.
_REDUCERS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "add": lambda a: np.add.reduce(a, -1, dtype=a.dtype),
    "subtract": lambda a: a[..., 0] - np.add.reduce(a[..., 1:], -1, dtype=a.dtype),
    "multiply": lambda a: np.multiply.reduce(a, -1, dtype=a.dtype),
    "maximum": lambda a: _maximum().reduce(a, -1),
    "minimum": lambda a: _minimum().reduce(a, -1),
    "logical_and": lambda a: np.logical_and.reduce(a, -1),
    "logical_or": lambda a: np.logical_or.reduce(a, -1),
    "logical_xor": lambda a: np.logical_xor.reduce(a, -1),
    "bitwise_and": lambda a: np.bitwise_and.reduce(a, -1),
    "bitwise_or": lambda a: np.bitwise_or.reduce(a, -1),
    "bitwise_xor": lambda a: np.bitwise_xor.reduce(a, -1),
    "abs_max": _abs_extreme(np.argmax),
    "abs_min": _abs_extreme(np.argmin),
    "average": lambda a: np.add.reduce(a, -1, dtype=a.dtype) / np.float32(a.shape[-1]),
}

_IDENTITY: dict[str, float | int] = {
    "add": 0.0,
    "subtract": 0.0,
    "multiply": 1.0,
    "maximum": -np.inf,
    "minimum": np.inf,
    "logical_and": 1.0,
    "logical_or": 0.0,
    "logical_xor": 0.0,
    "abs_max": 0.0,
    "abs_min": np.inf,
    "bitwise_and": -1,
    "bitwise_or": 0,
    "bitwise_xor": 0,
}
