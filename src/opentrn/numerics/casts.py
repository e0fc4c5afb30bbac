"""Casts between NKI data types: everything goes through float32, as the engines do, with one rounding at the end.

Engines compute in float32 and cast on the way in and out (trainium_inf2_arch.rst); float32 to integer rounds to
nearest even and saturates (release-notes/components/nki.rst, SDK 2.32); to a float the default is nearest even,
optionally stochastic (rounding-modes.rst). No public page says what an overflowing cast to an 8-bit float gives, nor
which NaN comes out: both follow ml_dtypes (infinity where the type has one, else NaN; quiet NaN, only its sign kept).
"""

from __future__ import annotations

import math
from functools import cache

import ml_dtypes
import numpy as np

from opentrn.errors import UnsupportedError
from opentrn.numerics.dtypes import DType
from opentrn.numerics.latitude import ordinary, random_bits, taken

__all__ = ["convert", "from_f32", "stored_f32", "to_f32"]

# float32 needs no rounding; float8_e8m0fnu holds scales, whose rounding is quantize_mx's own.
_NEAREST_ONLY = ("float32", "float8_e8m0fnu")
_BLOCK = 32768  # elements whose temporaries stay in the cache


def to_f32(a: np.ndarray, dt: DType) -> np.ndarray:
    """The values of `a`, an array in `dt`'s carrier, as float32 of the same shape.

    Exact for every float type; 32-bit integers round to nearest even; bool gives 0.0 or 1.0. The result may share
    memory with `a` when it already is float32. Raises `UnsupportedError` for packed types (see `numerics.mx`).
    """
    _refuse_packed(dt)
    if dt.itemsize == 1 and dt.is_float:
        return np.asarray(_values_of_bytes(dt).take(a.view(np.uint8), mode="clip"))
    if dt.kind == "bool":
        return np.asarray(np.not_equal(a, 0), np.float32)
    with np.errstate(invalid="ignore"):
        values = a.astype(np.float32, copy=False)
    return _flushed(values) if taken("denormals") else values


def from_f32(x: np.ndarray, dt: DType, *, stochastic: np.random.Generator | None = None) -> np.ndarray:
    """float32 `x` rounded once to `dt`; returns an array of the same shape in `dt`'s carrier.

    Floats round to nearest even, or stochastically when a generator is given. Integers always round to nearest even and
    saturate, NaN gives 0; bool is 1 for everything but zero. float32 is returned as it is, without a copy.
    Raises `UnsupportedError` for packed types.
    """
    _refuse_packed(dt)
    if x.ndim == 0:  # numpy 1 computes with a single number in wider types than with an array
        return from_f32(x.reshape(1), dt, stochastic=stochastic).reshape(())
    if dt.is_integer:
        return _to_integer(x, dt)
    if dt.kind == "bool":
        return np.not_equal(x, 0).astype(np.uint8)
    if not ordinary():
        x, stochastic = _otherwise(x, dt), random_bits() if taken("rounding") else stochastic
    if stochastic is not None and dt.name not in _NEAREST_ONLY:
        x = _stochastic(x, dt, stochastic)
    return _to_float(x, dt)


def convert(a: np.ndarray, src: DType, dst: DType) -> np.ndarray:
    """`a`, held as `src`, cast to `dst`.

    Equal types and integers of equal width are a bit copy (NaN payloads survive), as trainium_inf2_arch.rst says of
    copies; everything else goes through float32, so 32-bit integers keep 24 significant bits.
    """
    if src == dst or (src.is_integer and dst.is_integer and src.itemsize == dst.itemsize):
        return a.view(dst.carrier)
    return from_f32(to_f32(a, src), dst)


def _otherwise(x: np.ndarray, dt: DType) -> np.ndarray:
    """`x` before it is rounded to the float type `dt`, as another choice than ours would have it (see `isa.latitudes`)."""
    if taken("denormals"):
        return _flushed(x)
    if taken("fp8_overflow") and dt.itemsize == 1 and dt.name not in _NEAREST_ONLY:
        return np.where(np.isfinite(x), np.clip(x, np.float32(dt.min), np.float32(dt.max)), x)
    return x


def _flushed(x: np.ndarray) -> np.ndarray:
    """`x` with zeros of the same sign in place of float32's denormals."""
    return np.where(np.abs(x) < np.finfo(np.float32).smallest_normal, np.copysign(np.float32(0), x), x)


def _refuse_packed(dt: DType) -> None:
    if dt.kind == "packed":
        raise UnsupportedError(
            f"{dt.name} has no value of its own to cast", hint="only nc_matmul_mx and quantize_mx read or write it"
        )


def _to_float(x: np.ndarray, dt: DType) -> np.ndarray:
    if dt.itemsize == 1:
        return _to_byte(x, dt)
    if dt.name == "tfloat32":
        return _to_tfloat32(x)
    if dt.name == "float32":
        return x
    with np.errstate(all="ignore"):
        out = x.astype(dt.carrier)
    return _quiet(out) if dt.name == "float16" else out


@cache
def _values_of_bytes(dt: DType) -> np.ndarray:
    return np.arange(256, dtype=np.uint8).view(dt.carrier).astype(np.float32)


@cache
def _bytes_of_halves(dt: DType) -> np.ndarray:
    """What each float32 whose lower 16 bits are zero becomes in the 8-bit type `dt`."""
    values = (np.arange(65536, dtype=np.uint32) << 16).view(np.float32)
    with np.errstate(all="ignore"):
        return values.astype(dt.carrier).view(np.uint8)


def _to_byte(x: np.ndarray, dt: DType) -> np.ndarray:
    bits, table = np.ravel(x).view(np.uint32), _bytes_of_halves(dt)
    out = np.empty(bits.size, np.uint8)
    for start in range(0, bits.size, _BLOCK):
        block = slice(start, start + _BLOCK)
        out[block] = table.take(_upper_half(bits[block]), mode="clip")
    return out.view(dt.carrier).reshape(x.shape)


def _upper_half(bits: np.ndarray) -> np.ndarray:
    """The upper 16 bits of each float32, rounded to odd: the last bit also says whether anything was cut off.

    An 8-bit float has at least two bits less than the half kept here, so rounding the half once more to nearest even
    gives the same as rounding once (Boldo and Melquiond, "Emulation of FMA and correctly rounded sums", 2008).
    """
    odd = bits & 0xFFFF
    odd += 0xFFFF
    odd |= bits
    odd >>= 16
    return odd


def _quiet(half: np.ndarray) -> np.ndarray:
    """One NaN per sign, in place: numpy keeps the payload in float16, and how depends on the processor."""
    bits = half.view(np.uint16)
    nan = (bits & 0x7FFF) > 0x7C00  # several times faster than isnan on float16
    if nan.any():
        bits[nan] = (bits[nan] & 0x8000) | 0x7E00
    return half


def _to_tfloat32(x: np.ndarray) -> np.ndarray:
    """Round the mantissa to ten bits; the carry into the exponent, up to infinity, is what rounding means here."""
    bits = np.array(x, np.float32).view(np.uint32)
    nearest = bits + 0xFFF + ((bits >> 13) & 1)
    quiet = (bits & 0x80000000) | 0x7FC00000
    return np.where(np.isnan(x), quiet, nearest & ~np.uint32(0x1FFF)).view(np.float32)


def _to_integer(x: np.ndarray, dt: DType) -> np.ndarray:
    limit = np.float32(dt.max)  # rounds up to 2**31 or 2**32 where float32 cannot hold the largest integer
    largest = limit if int(limit) == dt.max else np.nextafter(limit, np.float32(0))
    nearest = np.clip(np.rint(x), np.float32(dt.min), largest)
    out = np.where(np.isnan(x), np.float32(0), nearest).astype(dt.carrier)
    return out if largest == limit else np.where(x >= limit, dt.carrier.type(dt.max), out)


def _stochastic(x: np.ndarray, dt: DType, rng: np.random.Generator) -> np.ndarray:
    """`x` moved to one of its two neighbours in `dt`: uniform bits are added below the kept ones, the rest is cut off.

    A finite value above the largest one may reach the next power of two, which then overflows as usual.
    """
    kept, lowest = _precision(dt)
    uniform = rng.integers(0, 2**32, np.shape(x), np.uint32)
    bits = np.array(x, np.float32).view(np.uint32)
    cut = (bits + (uniform >> (9 + kept))) & ~np.uint32((1 << (23 - kept)) - 1)
    moved = np.where(np.isfinite(x), cut.view(np.float32), x)
    return moved if lowest == -126 else np.where(np.abs(x) < 2.0**lowest, _subnormal(x, lowest - kept, uniform), moved)


def _subnormal(x: np.ndarray, exponent: int, uniform: np.ndarray) -> np.ndarray:
    """The same below `dt`'s smallest normal value, where the neighbours are the multiples of 2**exponent."""
    with np.errstate(all="ignore"):
        steps = np.abs(x) * 2.0**-exponent
        below = np.floor(steps)
        return np.copysign((below + (uniform * 2.0**-32 < steps - below)) * 2.0**exponent, x).astype(np.float32)


def _precision(dt: DType) -> tuple[int, int]:
    """Mantissa bits after the point and the exponent of the smallest normal value."""
    if dt.name == "tfloat32":
        return 10, -126
    info = ml_dtypes.finfo(dt.carrier)
    return int(info.nmant), int(info.minexp)


def stored_f32(number: float) -> float:
    """A Python number as float32 holds it: infinite beyond its range.

    The range ends where rounding does: -3.4028235e38, as people write the lowest float32, is that number once it is stored.
    """
    if abs(number) > 1e300:  # an int may be too large for a float
        return math.inf if number > 0 else -math.inf
    with np.errstate(over="ignore"):
        return float(np.float32(number))
