"""Reductions over the last free dimensions of a tile."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod as product
from typing import Any

from opentrn.errors import LaunchError, ViewError
from opentrn.nki.functions import nisa
from opentrn.nki.language.compose import op, pair, scalar
from opentrn.nki.language.memory import ndarray
from opentrn.nki.tensor import Answer, NkiTensor
from opentrn.program.site import user_site
from opentrn.program.view import View

__all__ = ["all", "max", "mean", "min", "prod", "sum", "var"]


def axes_of(x: View, axis: Any) -> list[int]:
    """The reduced dimensions, from first to last. Raises ViewError unless they are the last free ones."""
    if not isinstance(x, View):
        raise LaunchError("reduction", site=user_site(), got=repr(x), expected="a tile")
    given = list(axis) if isinstance(axis, Sequence) else [axis]
    asked = sorted(n % x.ndim if isinstance(n, int) and -x.ndim <= n < x.ndim else -1 for n in given)
    if not asked or asked[0] < 1 or asked != list(range(x.ndim - len(asked), x.ndim)):
        raise ViewError("reduction axis", site=user_site(), got=f"axis={axis} of shape {x.shape}",
                        expected="the last free dimension or dimensions, never the partition (0)")  # fmt: skip
    return asked


def reduced(name: str, x: View, axes: list[int], dtype: Any, keepdims: bool, *, negate: bool = False) -> NkiTensor:
    """`x` combined over `axes` in float32. Without `keepdims` they are dropped; a tile keeps at least 2 dimensions."""
    kept = x.shape[: axes[0]]
    shape = (*kept, *(1 for _ in axes)) if keepdims else (*kept, 1) if len(kept) == 1 else kept
    out = ndarray(shape, dtype)
    nisa.tensor_reduce(dst=out, op=op(name), data=x, axis=axes, negate=negate, keepdims=keepdims)
    return out


def with_groups(name: str, x: View, groups: Any, axes: list[int], dtype: Any) -> NkiTensor:
    """``x name groups``, where `groups` has one value for each group that a reduction over `axes` makes."""
    if product(x.shape[1 : axes[0]]) == 1:
        return scalar(x, name, groups.reshape((x.shape[0], 1)), dtype)
    spread = groups.reshape((*x.shape[: axes[0]], *(1 for _ in axes)))
    for dim in axes:
        spread = spread.broadcast(dim, x.shape[dim])
    return pair(name, x, spread, dtype)


def sum(x: View, axis: Any, dtype: Any = None, keepdims: bool = False) -> NkiTensor:
    """The sum over the last free dimension or dimensions (nl.sum, SDK 2.32): float32, rounded once to `dtype`."""
    return reduced("add", x, axes_of(x, axis), dtype or x.dtype, keepdims)


def max(x: View, axis: Any, dtype: Any = None, keepdims: bool = False) -> NkiTensor:
    """The maximum over the last free dimension or dimensions (nl.max, SDK 2.32)."""
    return reduced("maximum", x, axes_of(x, axis), dtype or x.dtype, keepdims)


def min(x: View, axis: Any, dtype: Any = None, keepdims: bool = False) -> NkiTensor:
    """The minimum over the last free dimension or dimensions (nl.min, SDK 2.32)."""
    return reduced("minimum", x, axes_of(x, axis), dtype or x.dtype, keepdims)


def prod(x: View, axis: Any, dtype: Any = None, keepdims: bool = False) -> NkiTensor:
    """The product over the last free dimension or dimensions (nl.prod, SDK 2.32)."""
    return reduced("multiply", x, axes_of(x, axis), dtype or x.dtype, keepdims)


def mean(x: View, axis: Any, dtype: Any = None, keepdims: bool = False) -> NkiTensor:
    """The mean over the last free dimension or dimensions, through float32 (nl.mean, SDK 2.32)."""
    axes = axes_of(x, axis)
    total = reduced("add", x, axes, "float32", keepdims)
    return scalar(total, "multiply", 1.0 / product(x.shape[axes[0] :]), dtype or x.dtype)


def var(x: View, axis: Any, dtype: Any = None, keepdims: bool = False) -> NkiTensor:
    """The variance (divided by the count) over the last free dimension or dimensions, through float32.

    The reduced dimensions always stay, with size 1: `keepdims` is documented as ignored (nl.var, SDK 2.32).
    """
    axes = axes_of(x, axis)
    centred = with_groups("subtract", x, mean(x, axes, "float32", True), axes, "float32")
    return mean(pair("multiply", centred, centred, "float32"), axes, dtype or x.dtype, True)


def all(x: View, axis: Any, dtype: Any = None) -> NkiTensor:
    """1 where every element along the last free dimension or dimensions is not zero, else 0 (nl.all, SDK 2.32)."""
    return Answer.of(reduced("logical_and", x, axes_of(x, axis), dtype or x.dtype, False))
