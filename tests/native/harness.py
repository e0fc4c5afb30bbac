"""Runs single instructions on the native core from numpy arrays; used by the tests beside this file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import ml_dtypes
import numpy as np
import pytest

native = pytest.importorskip("opentrn._native")

DTYPES = tuple(
    np.dtype(t)
    for t in (
        np.float32, ml_dtypes.bfloat16, np.float16, ml_dtypes.float8_e4m3, ml_dtypes.float8_e5m2,
        ml_dtypes.float8_e4m3fn, np.int32, np.uint32, np.int16, np.uint16, np.int8, np.uint8, np.bool_,
    )
)  # fmt: skip
FLOATS = DTYPES[:6]
INTEGERS = DTYPES[6:12]
BFLOAT16 = DTYPES[1]

ALU = {
    name: code
    for code, name in enumerate(
        [
            "add",
            "subtract",
            "multiply",
            "maximum",
            "minimum",
            "equal",
            "not_equal",
            "greater_equal",
            "greater",
            "less_equal",
            "less",
            "logical_and",
            "logical_or",
            "logical_xor",
            "power",
            "abs_max",
            "abs_min",
            "bitwise_and",
            "bitwise_or",
            "bitwise_xor",
            "invert",
            "left_shift",
            "right_shift",
            "abs",
            "square",
            "relu",
            "rsqrt",
            "reciprocal",
            "bypass",
        ]
    )
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class View:
    """What run() reads of an operand."""

    block: Any
    offset: int


@dataclass(frozen=True, slots=True)
class Step:
    """What run() reads of an instruction."""

    native: Any


def block_of(array: np.ndarray) -> Any:
    """A fully written Block with the bytes of `array`."""
    block = native.Block(array.nbytes, array.dtype.itemsize)
    block.array[:] = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    block.state = 2
    return block


def dense(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Row-major strides, in elements."""
    return tuple(int(np.prod(shape[i + 1 :])) for i in range(len(shape)))


def spec(shape: tuple[int, ...], dtype: Any, role: str, strides: tuple[int, ...] | None = None) -> tuple[Any, ...]:
    """An operand as plan() wants it."""
    return (DTYPES.index(np.dtype(dtype)), tuple(shape), strides or dense(shape), role)


def execute(plan: Any, *views: View) -> int:
    """The answer of run() on a batch of one: 1 executed, 0 refused."""
    return native.run([(Step(plan), views, 0)], 0, 1)


def call(
    opcode: str,
    out: tuple[tuple[int, ...], Any],
    inputs: list[np.ndarray],
    ints: tuple[int, ...] = (),
    floats: tuple[float, ...] = (),
    level: str | None = None,
) -> np.ndarray:
    """The result of one instruction on dense arrays; `out` is (shape, dtype)."""
    shape, dtype = out
    dtype = np.dtype(dtype)
    operands = [spec(shape, dtype, "out")] + [spec(a.shape, a.dtype, "in") for a in inputs]
    plan = native.plan(opcode, operands, list(ints), list(floats), level)
    assert plan is not None, f"{opcode} {operands} has no native plan"
    dst = native.Block(int(np.prod(shape)) * dtype.itemsize, dtype.itemsize)
    assert execute(plan, View(dst, 0), *(View(block_of(a), 0) for a in inputs)) == 1
    assert dst.state == 2
    return dst.array.view(dtype).reshape(shape).copy()


def bits(array: np.ndarray) -> np.ndarray:
    """The bits of `array`, all NaNs made one."""
    array = np.ascontiguousarray(array)
    raw = array.view(f"u{array.dtype.itemsize}").copy()
    if array.dtype in FLOATS:
        raw[np.isnan(array.astype(np.float32))] = np.iinfo(raw.dtype).max
    return raw


def same(a: np.ndarray, b: np.ndarray) -> bool:
    """Equal shape, type and bits, NaN payloads aside."""
    return a.shape == b.shape and a.dtype == b.dtype and bool(np.array_equal(bits(a), bits(b)))


def random_array(rng: np.random.Generator, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """Moderate values: normal floats, small integers."""
    dtype = np.dtype(dtype)
    if dtype in INTEGERS or dtype == np.bool_:
        return rng.integers(0, 2 if dtype == np.bool_ else 100, shape).astype(dtype)
    return rng.standard_normal(shape).astype(np.float32).astype(dtype)
