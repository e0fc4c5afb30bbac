"""LayerNorm over the last dimension, and its gradient."""

from __future__ import annotations

from typing import Any

import opentrn.nki.isa as nisa
import opentrn.nki.language as nl
from opentrn.kernels.tiles import ROWS, RowSums, column, load, load_row, row_sum, sbuf, shared, size_of, spans, store
from opentrn.nki import jit

__all__ = ["layer_norm", "layer_norm_backward"]


@jit
def layer_norm(x: Any, weight: Any, bias: Any, eps: float = 1e-5) -> Any:
    """``(x - mean) / sqrt(var + eps) * weight + bias``: x (T, H), weight and bias (H,) -> (T, H) in the dtype of x.

    Sums are float32: the variance on ScalarE, the mean on ScalarE and VectorE in turn, so that both are equally busy. A row is
    held in SBUF as a whole: H is at most 8192.
    """
    tokens = x.shape[0]
    out = shared(x.shape, x.dtype)
    height = min(ROWS, tokens)
    scale, shift = load_row(weight, height, nl.bfloat16), load_row(bias, height, nl.bfloat16)
    waiting: list[Any] = []
    for n, rows in enumerate(spans(tokens, ROWS)):
        tile = load(x[rows, :])
        waiting.append((out[rows, :], tile, _moments(tile, eps, n % 2 == 1)))
        # VectorE sums the next rows before it works on the last: ScalarE would wait for the mean otherwise
        if len(waiting) > 2:
            _finish(waiting.pop(0), scale, shift)
    while waiting:
        _finish(waiting.pop(0), scale, shift)
    return out


def _finish(held: Any, scale: Any, shift: Any) -> None:
    place, tile, moments = held
    normed, result = _normalised(tile, moments), sbuf(tile.shape, place.dtype)
    nisa.tensor_tensor(dst=normed, data1=normed, data2=scale[0 : tile.shape[0], :], op=nl.multiply)
    nisa.tensor_tensor(dst=result, data1=normed, data2=shift[0 : tile.shape[0], :], op=nl.add)
    store(place, result)


def _moments(tile: Any, eps: float, on_vector: bool) -> tuple[Any, Any]:
    """-mean and 1 / sqrt(var + eps) of each row, (P, 1) float32; the mean is summed `on_vector` or on ScalarE."""
    height, width = tile.shape
    inverse, mean = sbuf((height, 1), nl.float32), _negative_mean(tile, on_vector)
    squares = row_sum(tile, nl.square, bias=mean)
    nisa.activation(dst=inverse, op=nl.rsqrt, data=squares, scale=1.0 / width, bias=column(height, eps))
    return mean, inverse


def _normalised(tile: Any, moments: tuple[Any, Any]) -> Any:
    """(tile - mean) / sqrt(var + eps) in bfloat16."""
    normed = sbuf(tile.shape, nl.bfloat16)
    nisa.tensor_scalar(dst=normed, data=tile, op0=nl.add, operand0=moments[0], op1=nl.multiply, operand1=moments[1])
    return normed


def _negative_mean(tile: Any, on_vector: bool) -> Any:
    if not on_vector:
        return row_sum(tile, scale=-1.0 / tile.shape[1])
    mean, parts = sbuf((tile.shape[0], 1), nl.float32), sbuf(tile.shape, nl.bfloat16)
    nisa.tensor_scalar_reduce(
        dst=parts, data=tile, op0=nl.multiply, operand0=-1.0 / tile.shape[1], reduce_op=nl.add, reduce_res=mean
    )
    return mean


@jit
def layer_norm_backward(dy: Any, x: Any, weight: Any, eps: float = 1e-5) -> tuple[Any, Any, Any]:
    """Gradients of `layer_norm`: dy, x (T, H), weight (H,) -> dx (T, H) in the dtype of x, dweight and dbias (H,) float32.

    With n the normalised x, r = 1 / sqrt(var + eps) and g = dy * weight: dx = r * (g - mean(g) - n * mean(g * n)). Products
    of elements are kept in bfloat16. H is at most 2048: the sums over rows wait in PSUM.
    """
    tokens, width = x.shape
    dx, dweight, dbias = shared(x.shape, x.dtype), shared((width,), nl.float32), shared((width,), nl.float32)
    scale = load_row(weight, min(ROWS, tokens), nl.bfloat16)
    weights, biases = RowSums(width), RowSums(width)
    for rows in spans(tokens, ROWS):
        given = load(dy[rows, :], nl.bfloat16)
        tile = load(x[rows, :])
        moments = _moments(tile, eps, True)
        normed = _normalised(tile, moments)
        gained, product = sbuf(normed.shape, nl.bfloat16), sbuf(normed.shape, nl.bfloat16)
        weighed, result = sbuf(normed.shape, nl.bfloat16), sbuf(normed.shape, nl.bfloat16)
        nisa.tensor_tensor(dst=gained, data1=given, data2=scale[0 : size_of(rows), :], op=nl.multiply)
        nisa.tensor_tensor(dst=product, data1=gained, data2=normed, op=nl.multiply)
        slope, mean = row_sum(product, scale=-1.0 / width), row_sum(gained, scale=-1.0 / width)
        nisa.scalar_tensor_tensor(dst=result, data=normed, op0=nl.multiply, operand0=slope, op1=nl.add, operand1=gained)
        nisa.tensor_scalar(dst=result, data=result, op0=nl.add, operand0=mean, op1=nl.multiply, operand1=moments[1])
        store(dx[rows, :], result)
        nisa.tensor_tensor(dst=weighed, data1=given, data2=normed, op=nl.multiply)
        weights.add(weighed)
        biases.add(given)
    weights.store(dweight)
    biases.store(dbias)
    return dx, dweight, dbias
