"""How the operators of `nki.language` compute on tiles: each composes instructions of `nki.isa`."""

from __future__ import annotations

from typing import Any

from opentrn.nki.functions import nisa
from opentrn.nki.language.memory import ndarray
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


def binary(name: str, x: Any, y: Any, dtype: Any) -> Any:
    """A new tile with ``x <name> y``."""
    tile = x if isinstance(x, View) else y
    out = ndarray(tile.shape, dtype or tile.dtype)
    if isinstance(x, View) and isinstance(y, View):
        nisa.tensor_tensor(out, x, y, _op(name))
    elif isinstance(x, View):
        nisa.tensor_scalar(out, x, _op(name), y)
    else:
        nisa.tensor_scalar(out, y, _op(name), x, reverse0=True)
    return out


def unary(name: str, x: Any, dtype: Any) -> Any:
    """A new tile with ``<name>(x)``."""
    out = ndarray(x.shape, dtype or x.dtype)
    if name == "copy":
        nisa.tensor_copy(out, x)  # bit-accurate when the dtypes match (NKI 0.6.0 release notes)
    else:
        nisa.activation(out, _op(name), x)
    return out


def _op(name: str) -> Any:
    from opentrn.nki.language import ops

    return getattr(ops, name)
