"""A stand-in for AWS's `neuron_dtypes` module, for public tests that import it: numpy dtypes and value casts.

Only what nki-library (tag 2.29) uses is here. A packed x4 dtype is opaque bytes that print as the bare type name.
"""

from __future__ import annotations

import ml_dtypes
import numpy as np

from opentrn.numerics import mx
from opentrn.numerics.dtypes import DTYPES, PACKED_VOID

__all__ = [
    "bfloat16",
    "finfo",
    "float4_e2m1fn",
    "float4_e2m1fn_x4",
    "float8_e3m4",
    "float8_e4m3",
    "float8_e4m3fn",
    "float8_e4m3fn_x4",
    "float8_e5m2",
    "float8_e5m2_x4",
    "float8_e8m0fnu",
    "float16",
    "float32",
    "fp32r",
    "iinfo",
    "int8",
    "int16",
    "int32",
    "is_float_type",
    "sizeinbytes",
    "static_cast",
    "tfloat32",
    "uint8",
    "uint16",
    "uint32",
]

bfloat16 = ml_dtypes.bfloat16
float4_e2m1fn = ml_dtypes.float4_e2m1fn
float8_e3m4 = ml_dtypes.float8_e3m4
float8_e4m3 = ml_dtypes.float8_e4m3
float8_e4m3fn = ml_dtypes.float8_e4m3fn
float8_e5m2 = ml_dtypes.float8_e5m2
float8_e8m0fnu = ml_dtypes.float8_e8m0fnu
float16, float32 = np.float16, np.float32
tfloat32 = fp32r = np.float32
int8, int16, int32 = np.int8, np.int16, np.int32
uint8, uint16, uint32 = np.uint8, np.uint16, np.uint32
float8_e4m3fn_x4 = PACKED_VOID["float8_e4m3fn_x4"]
float8_e5m2_x4 = PACKED_VOID["float8_e5m2_x4"]
float4_e2m1fn_x4 = PACKED_VOID["float4_e2m1fn_x4"]

for _alias, _known in (("float8e4", float8_e4m3), ("float8e5", float8_e5m2), ("fp32r", fp32r)):
    np.sctypeDict.setdefault(_alias, _known)


def static_cast(arr: np.ndarray, dtype: object) -> np.ndarray:
    """`arr` cast by value; to an x4 type it packs four neighbours of the last axis, from one it unpacks them."""
    source, target = np.asarray(arr), np.dtype(dtype)  # type: ignore[call-overload]
    if str(source.dtype) == str(target):  # numpy calls all opaque dtypes of one size equal
        return source
    if str(source.dtype) in PACKED_VOID:
        return static_cast(mx.unpack(source, DTYPES[str(source.dtype)]), target)
    if str(target) in PACKED_VOID:
        packed = DTYPES[str(target)]
        return mx.pack(_value_cast(source, packed.packed_element.carrier), packed).view(target)  # type: ignore[union-attr]
    return _value_cast(source, target)


def _value_cast(a: np.ndarray, target: np.dtype) -> np.ndarray:
    """numpy has no direct cast between some of ml_dtypes' types; float32 holds all of their values."""
    narrow = a.dtype.itemsize == 1 and a.dtype.kind not in "iub"
    return (a.astype(np.float32) if narrow else a).astype(target)


def sizeinbytes(dtype: object) -> int:
    """Bytes of one element, of a packed type of all four."""
    return np.dtype(dtype).itemsize  # type: ignore[call-overload]


def is_float_type(dtype: object) -> bool:
    """True for every floating type, the packed ones included; takes names, scalar types and numpy dtypes."""
    name = dtype if isinstance(dtype, str) else str(np.dtype(dtype))  # type: ignore[call-overload]
    return name.startswith(("float", "bfloat", "tfloat", "fp"))


def finfo(dtype: object) -> ml_dtypes.finfo:
    """Limits of a floating type."""
    return ml_dtypes.finfo(np.dtype(dtype))  # type: ignore[call-overload]


def iinfo(dtype: object) -> np.iinfo:
    """Limits of an integer type."""
    return np.iinfo(np.dtype(dtype))  # type: ignore[call-overload]
