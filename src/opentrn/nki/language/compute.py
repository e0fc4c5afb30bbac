"""How the operators of `nki.language` compute on tiles: each composes instructions of `nki.isa`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from opentrn.errors import LaunchError
from opentrn.nki.functions import nisa
from opentrn.nki.language import rounding, trig
from opentrn.nki.language.compose import activated, copied, pair, scalar
from opentrn.nki.language.memory import ndarray
from opentrn.nki.language.simulated import SIMULATED, simulated
from opentrn.nki.tensor import NkiTensor
from opentrn.program.site import user_site
from opentrn.program.view import View

__all__ = ["BINARY", "UNARY", "binary", "unary"]

BINARY = {
    "add": "x + y", "subtract": "x - y", "multiply": "x * y", "divide": "x / y (simulation only)",
    "maximum": "the larger of x and y", "minimum": "the smaller of x and y",
    "abs_max": "x where |x| > |y|, else y (trn3)", "abs_min": "x where |x| < |y|, else y (trn3)",
    "power": "x to the power of y", "equal": "1 where x == y", "not_equal": "1 where x != y", "less": "1 where x < y",
    "less_equal": "1 where x <= y", "greater": "1 where x > y", "greater_equal": "1 where x >= y",
    "bitwise_and": "x & y", "bitwise_or": "x | y", "bitwise_xor": "x ^ y", "left_shift": "x << y",
    "right_shift": "x >> y (logical)", "logical_and": "1 where x and y", "logical_or": "1 where x or y",
    "logical_xor": "1 where exactly one of x and y", "fmod": "remainder with the sign of x (simulation only)",
    "mod": "remainder with the sign of y (simulation only)",
}  # fmt: skip
UNARY = {
    "abs": "|x|", "square": "x * x", "exp": "e to the x", "log": "natural logarithm", "sqrt": "square root",
    "rsqrt": "1 / sqrt(x), on GpSimd, not from PSUM", "tanh": "hyperbolic tangent", "sigmoid": "1 / (1 + exp(-x))",
    "relu": "max(x, 0)", "gelu": "x * Phi(x)", "gelu_apprx_sigmoid": "x * sigmoid(1.702 x)",
    "gelu_apprx_tanh": "gelu by tanh", "gelu_dx": "derivative of gelu",
    "gelu_apprx_sigmoid_dx": "derivative of gelu_apprx_sigmoid", "silu": "x * sigmoid(x)",
    "silu_dx": "derivative of silu", "softplus": "log(1 + exp(x))", "mish": "x * tanh(softplus(x))",
    "erf": "error function", "erf_dx": "derivative of erf", "reciprocal": "1 / x",
    "copy": "x, bit for bit in the same dtype", "sin": "sine of any x", "cos": "cosine of any x",
    "tan": "tangent of any x", "arctan": "inverse tangent of any x", "ceil": "round up", "floor": "round down",
    "trunc": "round toward zero", "negative": "-x", "sign": "sign of x", "invert": "bitwise not",
    "logical_not": "x xor 1, for x of 0 and 1",
}  # fmt: skip


def binary(name: str, x: Any, y: Any, dtype: Any) -> NkiTensor:
    """A new tile with ``x name y``; its dtype is that of the first tile unless given.

    Two tiles have one shape, or one of them is a (P, 1) column. Raises LaunchError for two numbers.
    """
    if name in SIMULATED:
        return simulated(name, x, y, dtype)
    first = x if isinstance(x, View) else y
    if not isinstance(first, View):
        raise LaunchError(f"nl.{name}", site=user_site(), got=f"{x!r}, {y!r}", expected="at least one tile")
    kind = dtype or first.dtype
    if not isinstance(x, View) or _is_column(x, y):
        return scalar(y, name, x, kind, reverse=True)
    if not isinstance(y, View) or _is_column(y, x):
        return scalar(x, name, y, kind)
    return pair(name, x, y, kind)


def _is_column(x: View, other: Any) -> bool:
    """True for one value per partition, against more of them."""
    return isinstance(other, View) and x.elements == 1 < other.elements and x.partitions == other.partitions


def unary(name: str, x: Any, dtype: Any) -> NkiTensor:
    """A new tile with ``name(x)``; its dtype is that of `x` unless given. Raises LaunchError unless `x` is a tile."""
    if not isinstance(x, View):
        raise LaunchError(f"nl.{name}", site=user_site(), got=repr(x), expected="a tile")
    made = _COMPOSED.get(name)
    return activated(name, x, dtype or x.dtype) if made is None else made(x, dtype or x.dtype)


def _rsqrt(x: View, dtype: Any) -> NkiTensor:
    # more precise than the Scalar Engine's; PSUM is not supported (NKI 0.5.0 release notes)
    return scalar(x, "rsqrt", None, dtype)


def _reciprocal(x: View, dtype: Any) -> NkiTensor:
    out = ndarray(x.shape, dtype)
    nisa.reciprocal(dst=out, data=x)
    return out


def _negative(x: View, dtype: Any) -> NkiTensor:
    return scalar(x, "multiply", -1.0, dtype)


def _invert(x: View, dtype: Any) -> NkiTensor:
    # all ones, as x's own type writes them (nl.invert, SDK 2.32: "XOR with all-ones")
    return scalar(x, "bitwise_xor", -1 if x.dt.kind == "int" else int(x.dt.max), dtype)


def _logical_not(x: View, dtype: Any) -> NkiTensor:
    return scalar(x, "bitwise_xor", 1, dtype) if x.dt.is_integer else scalar(x, "logical_xor", 1.0, dtype)


_COMPOSED: dict[str, Callable[[Any, Any], NkiTensor]] = {
    "copy": copied, "rsqrt": _rsqrt, "reciprocal": _reciprocal, "negative": _negative, "invert": _invert,
    "logical_not": _logical_not, "sin": trig.sin, "cos": trig.cos, "tan": trig.tan, "arctan": trig.arctan,
    "ceil": rounding.ceil, "floor": rounding.floor, "trunc": rounding.trunc,
}  # fmt: skip
