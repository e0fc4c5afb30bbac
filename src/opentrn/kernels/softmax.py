"""Softmax over the last dimension, and its gradient."""

from __future__ import annotations

from typing import Any

import opentrn.nki.isa as nisa
import opentrn.nki.language as nl
from opentrn.kernels.tiles import ROWS, load, row_sum, sbuf, shared, spans, store
from opentrn.nki import jit

__all__ = ["exponentials", "softmax", "softmax_backward"]


@jit
def softmax(x: Any) -> Any:
    """``exp(x - max(x)) / sum(exp(x - max(x)))`` of each row of (T, N), in the dtype of x; sums in float32.

    A row is held in SBUF as a whole: N is at most 16,384.
    """
    out = shared(x.shape, x.dtype)
    for rows in spans(x.shape[0], ROWS):
        weights, total = exponentials(load(x[rows, :]))
        inverse, result = sbuf(total.shape, nl.float32), sbuf(weights.shape, x.dtype)
        nisa.reciprocal(dst=inverse, data=total)
        nisa.tensor_scalar(dst=result, data=weights, op0=nl.multiply, operand0=inverse)
        store(out[rows, :], result)
    return out


def exponentials(tile: Any) -> tuple[Any, Any]:
    """exp(tile - max of its row), in the dtype of the tile, and the sums of its rows, (P, 1) float32."""
    lowest = sbuf((tile.shape[0], 1), nl.float32)
    nisa.tensor_reduce(dst=lowest, op=nl.maximum, data=tile, axis=1, negate=True)
    weights = sbuf(tile.shape, tile.dtype)
    return weights, row_sum(tile, nl.exp, bias=lowest, into=weights)


@jit
def softmax_backward(dy: Any, y: Any) -> Any:
    """The gradient of `softmax` from its result: ``y * (dy - sum(dy * y))`` of each row of (T, N), in the dtype of y."""
    dx = shared(y.shape, y.dtype)
    for rows in spans(y.shape[0], ROWS):
        given, result = load(dy[rows, :]), load(y[rows, :])
        product, gradient = sbuf(result.shape, nl.bfloat16), sbuf(result.shape, y.dtype)
        nisa.tensor_tensor(dst=product, data1=given, data2=result, op=nl.multiply)
        nisa.scalar_tensor_tensor(
            dst=gradient, data=given, op0=nl.subtract, operand0=row_sum(product), op1=nl.multiply, operand1=result
        )
        store(dx[rows, :], gradient)
    return dx
