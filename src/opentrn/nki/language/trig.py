"""sin, cos, tan and arctan over all of float32.

The Scalar Engine's sin is valid in [-pi, pi] and its arctan in [-pi/2, pi/2] (nki.api.shared.rst, SDK 2.32), so
arguments are reduced first. The reduction is Payne and Hanek's: x = m * 2**e turns into m * frac(2**e / (2 pi)) modulo
one turn, in 32-bit integers on GpSimd, with the fractions of all exponents in a table. It keeps an absolute error of
about 2**-32 turns however large x is.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np

from opentrn.nki.functions import nisa
from opentrn.nki.language.compose import activated, in_sbuf, op, pair, scalar
from opentrn.nki.language.constants import constant
from opentrn.nki.language.memory import full, ndarray
from opentrn.nki.tensor import NkiTensor
from opentrn.program.view import View

__all__ = ["arctan", "cos", "sin", "tan"]

EXPONENTS = 256
RADIANS = 2 * math.pi / 2.0**32
"""Radians of one unit of a phase: a uint32 that counts 2**-32 turns."""
QUARTER = 1 << 30


def _arctan_inverse(n: int, bits: int) -> int:
    """atan(1 / n) * 2**bits."""
    total, term, k = 0, (1 << bits) // n, 1
    while term:
        total += term // k if k % 4 == 1 else -(term // k)
        term, k = term // (n * n), k + 2
    return total


@cache
def _turns() -> np.ndarray:
    """(1, 512) uint32: the upper, then the lower half of frac(2**(e - 150) / (2 pi)) * 2**64 for each exponent e."""
    bits = 512
    pi = 4 * (4 * _arctan_inverse(5, bits) - _arctan_inverse(239, bits))
    inverse = (1 << 2 * bits) // (2 * pi)
    words = [(inverse << 200 + e >> bits + 200 + 150 - 64) % 2**64 for e in range(EXPONENTS)]
    return np.array([[w >> 32 for w in words] + [w & 0xFFFFFFFF for w in words]], np.uint32)


def _gathered(table: View, index: View) -> NkiTensor:
    out = ndarray(index.shape, "uint32")
    nisa.nc_n_gather(dst=out, data=table, indices=index)
    return out


def _phase(x: View) -> Any:
    """|x| of a float32 SBUF tile in turns modulo 1, as uint32."""
    bits = x.view("uint32")
    exponent = scalar(bits, "right_shift", 23, "uint32", "bitwise_and", 0xFF)
    mantissa = scalar(bits, "bitwise_and", 0x7FFFFF, "uint32", "bitwise_or", 0x800000)
    table = constant(_turns(), partitions=x.shape[0])
    high, low = (_gathered(table[:, n : n + EXPONENTS], exponent) for n in (0, EXPONENTS))
    total: Any = pair("multiply", mantissa, high, "uint32")
    for place in (24, 16, 8):  # bytes of the lower word: 24 + 8 bits fit a product
        byte = scalar(low, "right_shift", place, "uint32", "bitwise_and", 0xFF)
        product = pair("multiply", mantissa, byte, "uint32")
        total = pair("add", total, scalar(product, "right_shift", 32 - place, "uint32"), "uint32")
    return total


def _folded(phase: Any) -> NkiTensor:
    """The angle in [-pi/2, pi/2], float32, with the sine of `phase`."""
    mirrored = pair("subtract", full(phase.shape, 2 * QUARTER, "uint32"), phase, "uint32")
    beyond = pair("bitwise_xor", phase, scalar(phase, "left_shift", 1, "uint32"), "uint32")
    nisa.tensor_copy_predicated(dst=phase, src=mirrored, predicate=scalar(beyond, "right_shift", 31, "uint32"))
    return scalar(phase.view("int32"), "multiply", RADIANS, "float32")


def _sine(angle: Any, x: View, dtype: Any) -> NkiTensor:
    """The sine of `angle`, NaN where `x` is not finite."""
    nisa.scalar_tensor_tensor(dst=angle, data=x, op0=op("multiply"), operand0=0.0, op1=op("add"), operand1=angle)
    return activated("sin", angle, dtype)


def sin(x: View, dtype: Any) -> NkiTensor:
    """The sine of `x`."""
    given = in_sbuf(x, "float32")
    angle = pair("multiply", _folded(_phase(given)), activated("sign", given, "float32"), "float32")
    small = scalar(given, "abs", None, "uint8", "less_equal", 1.0)
    nisa.tensor_copy_predicated(dst=angle, src=given, predicate=small)  # the phase of a small x has few digits
    return _sine(angle, given, dtype)


def cos(x: View, dtype: Any) -> NkiTensor:
    """The cosine of `x`."""
    given = in_sbuf(x, "float32")
    phase = _phase(given)
    return _sine(_folded(pair("add", phase, full(phase.shape, QUARTER, "uint32"), "uint32")), given, dtype)


def tan(x: View, dtype: Any) -> NkiTensor:
    """The tangent of `x`."""
    below = cos(x, "float32")
    nisa.reciprocal(dst=below, data=below)
    return pair("multiply", sin(x, "float32"), below, dtype)


def arctan(x: View, dtype: Any) -> NkiTensor:
    """The inverse tangent: of the smaller of |x| and 1 / |x|, then pi/2 minus it where |x| > 1."""
    magnitude = activated("abs", x, "float32")
    inverse = ndarray(x.shape, "float32")
    nisa.reciprocal(dst=inverse, data=magnitude)
    near = activated("arctan", pair("minimum", magnitude, inverse, "float32"), "float32")
    far = scalar(near, "subtract", math.pi / 2, "float32", reverse=True)
    beyond = scalar(magnitude, "greater", 1.0, "uint8")
    nisa.tensor_copy_predicated(dst=near, src=far, predicate=beyond)
    return pair("multiply", near, activated("sign", x, "float32"), dtype)
