"""RMSNorm over the last dimension, and its gradient."""

from __future__ import annotations

from typing import Any

import opentrn.nki.isa as nisa
import opentrn.nki.language as nl
from opentrn.kernels.tiles import (
    PSUM_COLUMNS,
    ROWS,
    RowSums,
    column,
    identity,
    load,
    load_row,
    mixed,
    row_sum,
    sbuf,
    shared,
    size_of,
    spans,
    store,
    vector_sum,
)
from opentrn.nki import jit

__all__ = ["rms_norm", "rms_norm_backward"]


@jit
def rms_norm(x: Any, weight: Any, eps: float = 1e-6) -> Any:
    """``x / sqrt(mean(x**2) + eps) * weight``: x (T, H), weight (H,) -> (T, H) in the dtype of x; sums in float32.

    A row is held in SBUF as a whole: H is at most 8192.
    """
    tokens = x.shape[0]
    out = shared(x.shape, x.dtype)
    scale = load_row(weight, min(ROWS, tokens))
    for rows in spans(tokens, ROWS):
        store(out[rows, :], normalised(load(x[rows, :]), scale, eps, x.dtype))
    return out


def normalised(tile: Any, weight: Any, eps: float, dtype: Any) -> Any:
    """RMSNorm of a tile of rows in SBUF, as a new tensor of `dtype`; `weight` stands on at least as many partitions."""
    result = sbuf(tile.shape, dtype)
    nisa.scalar_tensor_tensor(
        dst=result,
        data=tile,
        op0=nl.multiply,
        operand0=_inverse_rms(tile, eps),
        op1=nl.multiply,
        operand1=weight[0 : tile.shape[0], :],
    )
    return result


def _inverse_rms(tile: Any, eps: float) -> Any:
    """1 / sqrt(mean of the squares of a row + eps), (P, 1) float32."""
    height, width = tile.shape
    inverse = sbuf((height, 1), nl.float32)
    nisa.activation(
        dst=inverse, op=nl.rsqrt, data=row_sum(tile, nl.square), scale=1.0 / width, bias=column(height, eps)
    )
    return inverse


@jit
def rms_norm_backward(dy: Any, x: Any, weight: Any, eps: float = 1e-6) -> tuple[Any, Any]:
    """Gradients of `rms_norm`: dy, x (T, H), weight (H,) -> dx (T, H) in the dtype of x, dweight (H,) float32.

    With r = 1 / rms and g = dy * weight: dx = r * (g - x * r**2 * mean(g * x)), dweight = sum over rows of dy * x * r. Products
    of elements are kept in bfloat16, which VectorE streams twice as fast; TensorE makes the sum in dx. H is at most 8192.
    """
    tokens, width = x.shape
    dx, dweight = shared(x.shape, x.dtype), shared((width,), nl.float32)
    height = min(ROWS, tokens)
    scale, same, sums = load_row(weight, height, nl.bfloat16), identity(height), RowSums(width)
    waiting: list[Any] = []
    for rows in spans(tokens, ROWS):
        tile, given = load(x[rows, :], nl.bfloat16), load(dy[rows, :], nl.bfloat16)
        inverse = _inverse_rms(tile, eps)
        gained, weighed, product = (
            sbuf(tile.shape, nl.bfloat16), sbuf(tile.shape, nl.bfloat16), sbuf(tile.shape, nl.bfloat16)
        )  # fmt: skip
        nisa.tensor_tensor(dst=gained, data1=given, data2=scale[0 : size_of(rows), :], op=nl.multiply)
        nisa.tensor_tensor(dst=weighed, data1=given, data2=tile, op=nl.multiply)
        nisa.tensor_tensor(dst=product, data1=gained, data2=tile, op=nl.multiply)
        waiting.append((dx[rows, :], tile, gained, weighed, vector_sum(product, -1.0 / width), inverse))
        # VectorE makes the next products before it needs ScalarE's sum of squares
        if len(waiting) > 1:
            _finish(waiting.pop(0), same, sums)
    _finish(waiting.pop(0), same, sums)
    sums.store(dweight)
    return dx, dweight


def _finish(held: Any, same: Any, sums: RowSums) -> None:
    """(place in HBM, x, g, dy * x, -mean(g * x), 1 / rms) -> dx, stored there, and one more term of dweight."""
    place, tile, gained, weighed, mean, inverse = held
    height, width = tile.shape
    same, short, result = same[0:height, 0:height], sbuf((height, 1), nl.bfloat16), sbuf(tile.shape, place.dtype)
    slope, slopes = sbuf((height, 1), nl.float32), sbuf((height, height), nl.bfloat16)
    nisa.tensor_scalar(dst=slope, data=mean, op0=nl.multiply, operand0=inverse, op1=nl.multiply, operand1=inverse)
    nisa.tensor_scalar(dst=slopes, data=same, op0=nl.multiply, operand0=slope)
    nisa.tensor_copy(dst=short, src=inverse, engine=nisa.engine.vector)
    for columns in spans(width, PSUM_COLUMNS // 4):
        total = mixed([(same, gained), (slopes, tile)], columns)
        nisa.activation(dst=result[:, columns], op=nl.copy, data=total, scale=inverse)
    store(place, result)
    sums.add_weighed(weighed, short)
