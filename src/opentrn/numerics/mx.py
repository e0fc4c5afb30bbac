"""Microscaling (MX) data: four small floats packed in one element, and power-of-two scales shared by 32 values.

Sources: nisa.quantize_mx and nisa.nc_matmul_mx (SDK 2.32); the OCP Microscaling Formats specification 1.0 for the scale
type. The first of four elements sits in the lowest bits, as the public MX tutorial and tests pack them
(nki-samples tutorials/mxfp-matmul, nki-library test/utils/mx_utils.py).
"""

from __future__ import annotations

from functools import cache

import numpy as np

from opentrn.errors import DTypeError, UnsupportedError
from opentrn.numerics.casts import from_f32
from opentrn.numerics.dtypes import DType
from opentrn.numerics.latitude import taken

__all__ = ["GROUP", "pack", "quantize", "scale_codes", "scale_values", "unpack", "unpack_f32"]

GROUP = 32  # values that share one scale
_BIAS = 127
_NAN = 0xFF
# Largest exponent of the element types that quantize_mx writes (nisa.quantize_mx, "Scale calculation").
_LARGEST_EXPONENT = {"float8_e4m3fn_x4": 8, "float8_e5m2_x4": 15}


def unpack(a: np.ndarray, packed: DType) -> np.ndarray:
    """The elements of `a` (carrier of `packed`, shape [..., n]) in the element type's own dtype, shape [..., 4 n]."""
    return _bit_patterns(a, packed).view(_element(packed).carrier)


def unpack_f32(a: np.ndarray, packed: DType) -> np.ndarray:
    """The elements of `a` as float32, shape [..., 4 n]."""
    words = np.ascontiguousarray(a).view(np.uint16)
    return _words(packed).take(words, axis=0).reshape(*a.shape[:-1], -1)


def pack(elements: np.ndarray, packed: DType) -> np.ndarray:
    """The inverse of `unpack`: [..., 4 n] of the element type to [..., n] in the carrier of `packed`.

    Raises `DTypeError` when `elements` has another dtype or a last axis that is no multiple of four.
    """
    if elements.dtype != _element(packed).carrier or elements.shape[-1] % 4:
        raise DTypeError(f"{packed} packs fours of {_element(packed)}, not {elements.dtype} {elements.shape}")
    quads = elements.view(np.uint8).reshape(*elements.shape[:-1], -1, 4).astype(packed.carrier)
    quads <<= _shifts(packed)
    return np.bitwise_or.reduce(quads, axis=-1)


def scale_values(codes: np.ndarray) -> np.ndarray:
    """float32 of float8_e8m0fnu scales given as uint8 or in that type: 2**(code - 127), NaN for 0xFF."""
    return _scale_table().take(codes.view(np.uint8))


def scale_codes(exponents: np.ndarray) -> np.ndarray:
    """uint8 codes of the scales 2**exponents (integers), limited to the type's range of -127 to 127."""
    return (np.clip(exponents, -_BIAS, _BIAS) + _BIAS).astype(np.uint8)


def quantize(values: np.ndarray, packed: DType) -> tuple[np.ndarray, np.ndarray]:
    """Quantize groups of 32: float32 [..., 32] gives elements [..., 32] in the element type and uint8 scales [...].

    The scale is 2**(floor(log2(largest magnitude)) - (largest exponent - 1)), twice that of the OCP sample, so that no
    element saturates; a group of zeros gets 2**-127. A group with an infinity or NaN gets the NaN scale and NaN
    elements (not public). With the choice `mx_scale` taken the scale is the sample's, and elements are clamped.
    Raises `UnsupportedError` for types that quantize_mx does not write.
    """
    if packed.name not in _LARGEST_EXPONENT:
        raise UnsupportedError(f"quantize_mx does not write {packed}", hint="one of " + ", ".join(_LARGEST_EXPONENT))
    largest = np.max(np.abs(values), axis=-1)
    exponents = np.frexp(largest)[1] - _LARGEST_EXPONENT[packed.name]  # frexp's exponent is floor(log2) + 1
    as_sampled = taken("mx_scale")
    exponents -= as_sampled
    zero_or_finite = np.where(largest == 0, 0, scale_codes(exponents))
    codes = np.where(np.isfinite(largest), zero_or_finite, _NAN).astype(np.uint8)
    scaled = (values / scale_values(codes)[..., None]).astype(np.float32)
    if as_sampled:
        scaled = np.clip(scaled, _element(packed).min, _element(packed).max)  # a NaN stays
    return from_f32(scaled, _element(packed)), codes


def _element(packed: DType) -> DType:
    if packed.packed_element is None:
        raise DTypeError(f"{packed} is no packed type")
    return packed.packed_element


def _shifts(packed: DType) -> np.ndarray:
    bits = 2 * packed.itemsize
    return np.arange(0, 4 * bits, bits, dtype=packed.carrier)


def _bit_patterns(a: np.ndarray, packed: DType) -> np.ndarray:
    """One uint8 per element; ml_dtypes keeps a 4-bit float in the lower half of a byte."""
    _element(packed)
    lowest = (1 << 2 * packed.itemsize) - 1
    quads = a.view(packed.carrier)[..., None] >> _shifts(packed) & packed.carrier.type(lowest)
    return quads.astype(np.uint8).reshape(*a.shape[:-1], -1)


@cache
def _words(packed: DType) -> np.ndarray:
    """float32 values of every 16 bits: four elements of 4 bits, or two of 8. Looked up far faster than one by one."""
    words = np.arange(1 << 16, dtype=np.uint16)
    bits = 2 * packed.itemsize
    patterns = words[:, None] >> np.arange(0, 16, bits, dtype=np.uint16) & np.uint16((1 << bits) - 1)
    return patterns.astype(np.uint8).view(_element(packed).carrier).astype(np.float32)


@cache
def _scale_table() -> np.ndarray:
    """The code is the exponent field of a float32, except for its two ends."""
    table = (np.arange(256, dtype=np.uint32) << 23).view(np.float32)
    table[0], table[_NAN] = 2.0**-_BIAS, np.nan
    return table
