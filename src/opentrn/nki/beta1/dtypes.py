"""Data types of the older dialect: numpy dtypes, and the rules by which operands of two types combine."""

from __future__ import annotations

from typing import Any

import numpy as np

from opentrn.numerics.dtypes import DTYPES
from opentrn.numerics.dtypes import dtype as dtype_of

__all__ = ["NAMES", "TFLOAT32", "name_of", "promoted", "shown", "weak"]

TFLOAT32 = np.dtype([("tfloat32", np.float32)])
"""nl.tfloat32 (and nl.float32r): four bytes that numpy cannot mistake for float32."""

_CLASSES = {"float32": np.float32, "float16": np.float16, "bool": np.bool_} | {
    f"{sign}int{bits}": getattr(np, f"{sign}int{bits}") for sign in ("", "u") for bits in (8, 16, 32)
}

NAMES: dict[str, Any] = {
    **_CLASSES,
    "bool_": np.bool_,
    "tfloat32": TFLOAT32,
    "float32r": TFLOAT32,
    **{n: DTYPES[n].carrier for n in ("bfloat16", "float8_e4m3", "float8_e5m2")},
}
"""What `nki.language` calls each dtype (nki.language.rst, SDK 2.26: numpy's where numpy has one)."""


def name_of(value: Any) -> str:
    """NKI's name of any spelling of a dtype."""
    if value is bool:
        return "bool"
    if isinstance(value, np.dtype) and value == TFLOAT32:
        return "tfloat32"
    if value is float:
        return "float32"
    return "int32" if value is int else dtype_of(value).name


def shown(name: str) -> np.dtype:
    """The numpy dtype that a tensor of NKI's `name` shows as its ``dtype``."""
    if name == "tfloat32":
        return TFLOAT32
    return np.dtype(np.bool_) if name == "bool" else DTYPES[name].carrier


def weak(value: Any) -> str:
    """The dtype of a scalar: numpy's own scalars have theirs, Python's count as the widest (SDK 2.26)."""
    if isinstance(value, np.generic) and value.dtype.itemsize < 8:
        return name_of(value.dtype)
    if isinstance(value, (bool, np.bool_)):
        return "uint8"
    return "int32" if isinstance(value, (int, np.integer)) else "float32"


_RANK = {"float8_e4m3": 1, "float8_e5m2": 1, "bfloat16": 2, "float16": 2, "tfloat32": 3, "float32": 4}


def promoted(first: str, second: str) -> str:
    """The dtype that an operation of two dtypes gives (NKI Type Promotion, SDK 2.26)."""
    if first == second:
        return first
    a, b = DTYPES[first], DTYPES[second]
    if a.is_float and b.is_float:
        if _RANK[first] != _RANK[second]:
            return max(first, second, key=_RANK.__getitem__)
        return "bfloat16" if _RANK[first] == 1 else "float32"
    if a.is_float or b.is_float:
        return first if a.is_float else second
    return _promoted_integers(first, second)


def _promoted_integers(first: str, second: str) -> str:
    if "bool" in (first, second):
        return second if first == "bool" else first
    a, b = DTYPES[first], DTYPES[second]
    wide, narrow = (a, b) if a.itemsize >= b.itemsize else (b, a)
    if wide.min <= narrow.min and narrow.max <= wide.max:
        return wide.name
    fits = next((n for n in ("int16", "int32") if DTYPES[n].max >= max(a.max, b.max)), None)
    return fits or "float32"  # the engines have no 64-bit integers
