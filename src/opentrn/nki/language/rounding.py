"""ceil, floor and trunc, from the one rounding that the engines have: float32 to int32, to nearest even."""

from __future__ import annotations

from typing import Any

from opentrn.nki.functions import nisa
from opentrn.nki.language.compose import activated, copied, pair, scalar, typed
from opentrn.nki.tensor import NkiTensor
from opentrn.program.view import View

__all__ = ["ceil", "floor", "trunc"]

WHOLE = 2.0**23
"""From here on every float32 is an integer."""


def _moved(x: View, overshot: str, step: str) -> Any:
    """The nearest integers of a float32 tile, moved by one where they `overshot` it."""
    nearest = copied(copied(x, "int32"), "float32")
    moved = pair(step, nearest, pair(overshot, nearest, x, "float32"), "float32")
    fraction = scalar(x, "abs", None, "uint8", "less", WHOLE)  # 0 for NaN, too
    nisa.tensor_copy_predicated(dst=moved, src=x, predicate=fraction, reverse_pred=True)
    return moved


def _float(x: View) -> Any:
    return typed(x, "float32")


def floor(x: View, dtype: Any) -> NkiTensor:
    """The largest integers not above `x`."""
    return copied(x, dtype) if x.dt.is_integer else typed(_moved(_float(x), "greater", "subtract"), dtype)


def ceil(x: View, dtype: Any) -> NkiTensor:
    """The smallest integers not below `x`."""
    return copied(x, dtype) if x.dt.is_integer else typed(_moved(_float(x), "less", "add"), dtype)


def trunc(x: View, dtype: Any) -> NkiTensor:
    """`x` without its fraction."""
    if x.dt.is_integer:
        return copied(x, dtype)
    magnitude = activated("abs", x, "float32")
    return pair("multiply", floor(magnitude, "float32"), activated("sign", x, "float32"), dtype)
