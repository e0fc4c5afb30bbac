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
    waiting: list[Any] = []
    for rows in spans(x.shape[0], ROWS):
        waiting.append((out[rows, :], _exponentials(load(x[rows, :]))))
        # VectorE finds the next maximum before it divides these: it would wait for ScalarE's exponentials otherwise
        if len(waiting) > 1:
            _divide(waiting.pop(0))
    _divide(waiting.pop(0))
    return out


def _divide(held: Any) -> None:
    """(place in HBM, (exponentials, their sums)) -> their quotient, stored there."""
    place, (weights, total) = held
    inverse, result = sbuf(total.shape, nl.float32), sbuf(weights.shape, place.dtype)
    nisa.reciprocal(dst=inverse, data=total)
    nisa.tensor_scalar(dst=result, data=weights, op0=nl.multiply, operand0=inverse)
    store(place, result)


def _exponentials(tile: Any) -> tuple[Any, Any]:
    lowest, total = sbuf((tile.shape[0], 1), tile.dtype), sbuf((tile.shape[0], 1), nl.float32)
    return exponentials(tile, lowest, total), total


def exponentials(tile: Any, lowest: Any, total: Any) -> Any:
    """exp(tile - max of its row), in the dtype of the tile; `lowest` (P, 1) receives -max and `total` (P, 1) the sums in float32.

    The maximum is one of the elements: in their own dtype it is exact, and VectorE finds it faster.
    """
    nisa.tensor_reduce(dst=lowest, op=nl.maximum, data=tile, axis=1, negate=True)
    weights = sbuf(tile.shape, tile.dtype)
    nisa.activation_reduce(dst=weights, op=nl.exp, data=tile, reduce_op=nl.add, reduce_res=total, bias=lowest)
    return weights


@jit
def softmax_backward(dy: Any, y: Any) -> Any:
    """The gradient of `softmax` from its result: ``y * (dy - sum(dy * y))`` of each row of (T, N), in the dtype of y.

    N is at most 8192.
    """
    dx = shared(y.shape, y.dtype)
    waiting: list[Any] = []
    for rows in spans(y.shape[0], ROWS):
        given, result = load(dy[rows, :]), load(y[rows, :])
        product = sbuf(result.shape, nl.bfloat16)
        nisa.tensor_tensor(dst=product, data1=given, data2=result, op=nl.multiply)
        waiting.append((dx[rows, :], given, result, row_sum(product)))
        if len(waiting) > 1:
            _weigh(waiting.pop(0))
    _weigh(waiting.pop(0))
    return dx


def _weigh(held: Any) -> None:
    """(place in HBM, dy, y, sum of dy * y) -> y * (dy - sum), stored there."""
    place, given, result, total = held
    less, gradient = sbuf(result.shape, given.dtype), sbuf(result.shape, place.dtype)
    nisa.tensor_scalar(dst=less, data=given, op0=nl.subtract, operand0=total)
    nisa.tensor_tensor(dst=gradient, data1=less, data2=result, op=nl.multiply)
    store(place, gradient)
