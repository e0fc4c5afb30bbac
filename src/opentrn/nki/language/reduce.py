"""Reductions and normalisations over free dimensions, composed from instructions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from opentrn.errors import ViewError
from opentrn.nki.functions import nisa
from opentrn.nki.language import ops
from opentrn.nki.language.memory import ndarray
from opentrn.program.site import user_site
from opentrn.program.view import View

__all__ = ["all", "max", "mean", "min", "prod", "rms_norm", "softmax", "sum", "var"]


def _axes(x: View, axis: Any) -> list[int]:
    asked = sorted(
        (n % x.ndim if -x.ndim <= n < x.ndim else n) for n in (axis if isinstance(axis, Sequence) else [axis])
    )
    if not asked or asked != list(range(x.ndim - len(asked), x.ndim)) or asked[0] == 0:
        raise ViewError(
            "reduction axis",
            site=user_site(3),
            got=f"axis={axis} of {x.shape}",
            expected="the last free dimension or dimensions (never the partition)",
        )
    return asked


def _reduce(op: Any, x: View, axis: Any, dtype: Any, keepdims: bool) -> Any:
    axes = _axes(x, axis)
    kept = x.shape[: axes[0]]
    shape = (*kept, *(1 for _ in axes)) if keepdims else (kept if len(kept) > 1 else (*kept, 1))
    out = ndarray(shape, dtype or x.dtype)
    nisa.tensor_reduce(dst=out, op=op, data=x, axis=axes, keepdims=keepdims)
    return out


def sum(x: View, axis: Any, dtype: Any = None, keepdims: bool = False) -> Any:
    """The sum over the last free dimension or dimensions."""
    return _reduce(ops.add, x, axis, dtype, keepdims)


def max(x: View, axis: Any, dtype: Any = None, keepdims: bool = False) -> Any:
    """The maximum over the last free dimension or dimensions."""
    return _reduce(ops.maximum, x, axis, dtype, keepdims)


def min(x: View, axis: Any, dtype: Any = None, keepdims: bool = False) -> Any:
    """The minimum over the last free dimension or dimensions."""
    return _reduce(ops.minimum, x, axis, dtype, keepdims)


def prod(x: View, axis: Any, dtype: Any = None, keepdims: bool = False) -> Any:
    """The product over the last free dimension or dimensions."""
    return _reduce(ops.multiply, x, axis, dtype, keepdims)


def mean(x: View, axis: Any, dtype: Any = None, keepdims: bool = False) -> Any:
    """The mean over the last free dimension or dimensions."""
    count = math.prod(x.shape[n] for n in _axes(x, axis))
    total = _reduce(ops.add, x, axis, "float32", keepdims)
    out = ndarray(total.shape, dtype or x.dtype)
    nisa.tensor_scalar(dst=out, data=total, op0=ops.multiply, operand0=1.0 / count)
    return out


def var(x: View, axis: Any, dtype: Any = None, keepdims: bool = False) -> Any:
    """The (population) variance over the last free dimension or dimensions."""
    axes = _axes(x, axis)
    groups = math.prod(x.shape[1 : axes[0]])
    centred = ndarray(x.shape, "float32")
    average = mean(x, axis, "float32", keepdims)
    flat, means = (
        x.reshape((x.shape[0], groups, -1)) if x.is_contiguous() else _dense(x, groups),
        average.reshape((x.shape[0], groups)),
    )
    target = centred.reshape((x.shape[0], groups, -1))
    for group in range(groups):
        nisa.tensor_scalar(
            dst=target[:, group, :], data=flat[:, group, :], op0=ops.subtract, operand0=means[:, group : group + 1]
        )
    squares = ndarray(x.shape, "float32")
    nisa.tensor_tensor(dst=squares, data1=centred, data2=centred, op=ops.multiply)
    return mean(squares, axis, dtype or x.dtype, keepdims)


def _dense(x: View, groups: int) -> Any:
    copy = ndarray(x.shape, x.dtype)
    nisa.tensor_copy(dst=copy, src=x)
    return copy.reshape((x.shape[0], groups, -1))


def all(x: View, axis: Any, dtype: Any = None) -> Any:
    """1 where all elements along the last free dimension or dimensions are nonzero, else 0."""
    flags = ndarray(x.shape, "float32")
    nisa.tensor_scalar(dst=flags, data=x, op0=ops.not_equal, operand0=0.0)
    return _reduce(ops.minimum, flags, axis, dtype or x.dtype, False)


def softmax(x: View, axis: Any = -1, dtype: Any = None) -> Any:
    """exp(x - max) / sum over the last free dimension or dimensions."""
    axes = _axes(x, axis)
    groups = math.prod(x.shape[1 : axes[0]])
    source = x.reshape((x.shape[0], groups, -1)) if x.is_contiguous() else _dense(x, groups)
    out = ndarray(x.shape, dtype or x.dtype)
    target = out.reshape((x.shape[0], groups, -1))
    for group in range(groups):
        part = source[:, group, :]
        low, total = ndarray((x.shape[0], 1), "float32"), ndarray((x.shape[0], 1), "float32")
        nisa.tensor_reduce(dst=low, op=ops.maximum, data=part, axis=[1], negate=True)
        powers = ndarray(part.shape, "float32")
        nisa.activation(dst=powers, op=ops.exp, data=part, bias=low)
        nisa.tensor_reduce(dst=total, op=ops.add, data=powers, axis=[1])
        nisa.reciprocal(dst=total, data=total)
        nisa.tensor_scalar(dst=target[:, group, :], data=powers, op0=ops.multiply, operand0=total)
    return out


def rms_norm(
    x: View, w: View, axis: Any, n: int, epsilon: float = 1e-06, dtype: Any = None, compute_dtype: Any = None
) -> Any:
    """``x / sqrt(sum(x * x) / n + epsilon) * w`` over the last free dimension; `w` has `x`'s shape.

    The squares are kept in `compute_dtype` (default float32) before they are summed in float32.
    """
    _axes(x, axis)
    squares = ndarray(x.shape, compute_dtype or "float32")
    nisa.tensor_tensor(dst=squares, data1=x, data2=x, op=ops.multiply)
    total = _reduce(ops.add, squares, axis, "float32", False).reshape((x.shape[0], -1))
    scale = ndarray(total.shape, "float32")
    nisa.activation(dst=scale, op=ops.rsqrt, data=total, scale=1.0 / n, bias=float(epsilon))
    normal = ndarray(x.shape, "float32")
    nisa.tensor_scalar(dst=normal, data=x, op0=ops.multiply, operand0=scale)
    out = ndarray(x.shape, dtype or x.dtype)
    nisa.tensor_tensor(dst=out, data1=normal, data2=w, op=ops.multiply)
    return out
