"""How the operators of `nki.language` compute on tiles: each composes instructions of `nki.isa`."""

from __future__ import annotations

import math
import warnings
from typing import Any

from opentrn.errors import LaunchError
from opentrn.nki.functions import nisa
from opentrn.nki.language.memory import full, ndarray
from opentrn.program.site import user_site
from opentrn.program.view import View

__all__ = ["BINARY", "UNARY", "binary", "unary"]

BINARY = {
    "add": "x + y", "subtract": "x - y", "multiply": "x * y", "divide": "x / y", "maximum": "the larger of x and y",
    "minimum": "the smaller of x and y", "abs_max": "x or y, whichever has the larger magnitude (trn3)",
    "abs_min": "x or y, whichever has the smaller magnitude (trn3)", "power": "x to the power of y",
    "equal": "1 where x == y", "not_equal": "1 where x != y", "less": "1 where x < y", "less_equal": "1 where x <= y",
    "greater": "1 where x > y", "greater_equal": "1 where x >= y", "bitwise_and": "x & y", "bitwise_or": "x | y",
    "bitwise_xor": "x ^ y", "left_shift": "x << y", "right_shift": "x >> y (logical)",
    "logical_and": "1 where x and y", "logical_or": "1 where x or y", "logical_xor": "1 where exactly one of x and y",
    "fmod": "remainder with the sign of x", "mod": "remainder with the sign of y",
}  # fmt: skip
UNARY = {
    "abs": "|x|", "square": "x * x", "exp": "e to the x", "log": "natural logarithm", "sqrt": "square root",
    "rsqrt": "1 / sqrt(x)", "tanh": "hyperbolic tangent", "sigmoid": "1 / (1 + exp(-x))", "relu": "max(x, 0)",
    "gelu": "x * Phi(x)", "gelu_apprx_sigmoid": "x * sigmoid(1.702 x)", "gelu_apprx_tanh": "gelu by tanh",
    "gelu_dx": "derivative of gelu", "gelu_apprx_sigmoid_dx": "derivative of gelu_apprx_sigmoid",
    "silu": "x * sigmoid(x)", "silu_dx": "derivative of silu", "softplus": "log(1 + exp(x))",
    "mish": "x * tanh(softplus(x))", "erf": "error function", "erf_dx": "derivative of erf", "reciprocal": "1 / x",
    "copy": "x", "sin": "sine, with range reduction", "cos": "cosine", "tan": "tangent", "arctan": "inverse tangent",
    "ceil": "round up", "floor": "round down", "trunc": "round toward zero", "negative": "-x", "sign": "sign of x",
    "invert": "bitwise not", "logical_not": "1 where x is 0",
}  # fmt: skip


_SIMULATED = {"divide": "nl.multiply(x, nl.reciprocal(y))", "fmod": None, "mod": None}
"""Operators without a hardware instruction: they run here, and a compiler refuses them (NKI 0.3.0 release notes)."""

_HALF_TURN = math.pi / 2
_TO_TURNS = 1.0 / (2.0 * math.pi)


def binary(name: str, x: Any, y: Any, dtype: Any) -> Any:
    """A new tile with ``x <name> y``; at least one of them is a tile, and two tiles have one shape."""
    if name in _SIMULATED:
        return _simulated(name, x, y, dtype)
    tile = x if isinstance(x, View) else y
    if not isinstance(tile, View):
        raise LaunchError(
            f"nl.{name} of two numbers", site=user_site(3), got=f"{x!r}, {y!r}", expected="at least one tile"
        )
    out = ndarray(tile.shape, dtype or tile.dtype)
    if isinstance(x, View) and isinstance(y, View):
        nisa.tensor_tensor(out, x, y, _op(name))
    elif isinstance(x, View):
        nisa.tensor_scalar(out, x, _op(name), y)
    else:
        nisa.tensor_scalar(out, y, _op(name), x, reverse0=True)
    return out


def _simulated(name: str, x: Any, y: Any, dtype: Any) -> Any:
    warnings.warn(
        f"nl.{name} has no hardware instruction: it runs here, and does not compile for Trainium", stacklevel=4
    )
    tile = x if isinstance(x, View) else y
    left, right = (v if isinstance(v, View) else full(tile.shape, float(v), "float32") for v in (x, y))
    quotient = binary("multiply", left, unary("reciprocal", right, "float32"), "float32")
    if name == "divide":
        return unary("copy", quotient, dtype or tile.dtype)
    whole = unary("trunc" if name == "fmod" else "floor", quotient, "float32")
    return binary("subtract", left, binary("multiply", whole, right, "float32"), dtype or tile.dtype)


def unary(name: str, x: Any, dtype: Any) -> Any:
    """A new tile with ``<name>(x)``."""
    made = _COMPOSED.get(name)
    if made is not None:
        return made(x, dtype or x.dtype)
    out = ndarray(x.shape, dtype or x.dtype)
    nisa.activation(out, _op(name), x)
    return out


def _copy(x: Any, dtype: Any) -> Any:
    out = ndarray(x.shape, dtype)
    nisa.tensor_copy(out, x)  # bit-accurate when the dtypes match (NKI 0.6.0 release notes)
    return out


def _scaled(x: Any, dtype: Any, op0: str, operand0: Any, op1: str | None = None, operand1: Any = None) -> Any:
    out = ndarray(x.shape, dtype)
    nisa.tensor_scalar(out, x, _op(op0), operand0, op1=None if op1 is None else _op(op1), operand1=operand1)
    return out


def _rsqrt(x: Any, dtype: Any) -> Any:
    # on GpSimd, at higher precision; PSUM is not supported (NKI 0.5.0 release notes)
    return _scaled(x, dtype, "rsqrt", 0.0)


def _reciprocal(x: Any, dtype: Any) -> Any:
    out = ndarray(x.shape, dtype)
    nisa.reciprocal(out, x)
    return out


def _rounded(x: Any) -> Any:
    """The nearest integers, ties to even, as float32: a float32 to int32 copy rounds."""
    return _copy(_copy(x, "int32"), "float32")


def _whole(x: Any, dtype: Any, compare: str, step: float) -> Any:
    """floor (greater, -1) or ceil (less, +1): the rounded value, moved where it overshot; large values stay."""
    nearest = _rounded(x)
    moved = binary(
        "add", nearest, _scaled(binary(compare, nearest, x, "float32"), "float32", "multiply", step), "float32"
    )
    large = _scaled(unary("abs", x, "float32"), "uint8", "greater_equal", 2.0**23)
    nisa.tensor_copy_predicated(moved, _copy(x, "float32"), large)
    return moved if moved.dtype == dtype else _copy(moved, dtype)


def _floor(x: Any, dtype: Any) -> Any:
    return _whole(x, dtype, "greater", -1.0)


def _ceil(x: Any, dtype: Any) -> Any:
    return _whole(x, dtype, "less", 1.0)


def _trunc(x: Any, dtype: Any) -> Any:
    down, up = _floor(x, "float32"), _ceil(x, "float32")
    nisa.tensor_copy_predicated(down, up, _scaled(x, "uint8", "less", 0.0))
    return down if down.dtype == dtype else _copy(down, dtype)


def _sine(x: Any, dtype: Any, shift: float) -> Any:
    """sin(x + shift) after reducing to [-pi, pi] in three float32 steps (Cody and Waite)."""
    turns = _rounded(_scaled(x, "float32", "multiply", _TO_TURNS, "add", shift * _TO_TURNS))
    angle: Any = _scaled(x, "float32", "add", shift)
    for part in (6.28125, 1.9340515136718750e-03, 1.2556659146e-06):
        angle = binary("subtract", angle, _scaled(turns, "float32", "multiply", part), "float32")
    angle = _scaled(angle, "float32", "minimum", math.pi, "maximum", -math.pi)
    out = ndarray(x.shape, dtype)
    nisa.activation(out, _op("sin"), angle)
    return out


def _tangent(x: Any, dtype: Any) -> Any:
    return binary("multiply", _sine(x, "float32", 0.0), _reciprocal(_sine(x, "float32", _HALF_TURN), "float32"), dtype)


_COMPOSED: dict[str, Any] = {
    "copy": _copy,
    "rsqrt": _rsqrt,
    "reciprocal": _reciprocal,
    "sin": lambda x, dtype: _sine(x, dtype, 0.0),
    "cos": lambda x, dtype: _sine(x, dtype, _HALF_TURN),
    "tan": _tangent,
    "floor": _floor,
    "ceil": _ceil,
    "trunc": _trunc,
    "negative": lambda x, dtype: _scaled(x, dtype, "multiply", -1.0),
    "invert": lambda x, dtype: _scaled(x, dtype, "bitwise_xor", -1 if x.dt.kind == "int" else int(x.dt.max)),
    "logical_not": lambda x, dtype: _scaled(x, dtype, "logical_xor", 1.0),
}


def _op(name: str) -> Any:
    from opentrn.nki.language import ops

    return getattr(ops, name)
