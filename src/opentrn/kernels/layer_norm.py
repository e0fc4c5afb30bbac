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

    Mean and variance are taken in float32 on ScalarE, one pass each, which leaves VectorE to the elements.
    """
    tokens = x.shape[0]
    out = shared(x.shape, x.dtype)
    height = min(ROWS, tokens)
    scale, shift = load_row(weight, height, nl.bfloat16), load_row(bias, height, nl.bfloat16)
    for rows in spans(tokens, ROWS):
        height = size_of(rows)
        normed, _ = normalised(load(x[rows, :]), eps)
        result = sbuf(normed.shape, x.dtype)
        nisa.tensor_tensor(dst=normed, data1=normed, data2=scale[0:height, :], op=nl.multiply)
        nisa.tensor_tensor(dst=result, data1=normed, data2=shift[0:height, :], op=nl.add)
        store(out[rows, :], result)
    return out


def normalised(tile: Any, eps: float) -> tuple[Any, Any]:
    """(tile - mean) / sqrt(var + eps) in bfloat16, and 1 / sqrt(var + eps), (P, 1) float32."""
    height, width = tile.shape
    inverse, normed = sbuf((height, 1), nl.float32), sbuf(tile.shape, nl.bfloat16)
    mean = row_sum(tile, scale=-1.0 / width)
    squares = row_sum(tile, nl.square, bias=mean)
    nisa.activation(dst=inverse, op=nl.rsqrt, data=squares, scale=1.0 / width, bias=column(height, eps))
    nisa.tensor_scalar(dst=normed, data=tile, op0=nl.add, operand0=mean, op1=nl.multiply, operand1=inverse)
    return normed, inverse


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
        normed, inverse = normalised(load(x[rows, :]), eps)
        gained, product = sbuf(normed.shape, nl.bfloat16), sbuf(normed.shape, nl.bfloat16)
        weighed, result = sbuf(normed.shape, nl.bfloat16), sbuf(normed.shape, nl.bfloat16)
        nisa.tensor_tensor(dst=gained, data1=given, data2=scale[0 : size_of(rows), :], op=nl.multiply)
        nisa.tensor_tensor(dst=product, data1=gained, data2=normed, op=nl.multiply)
        slope, mean = row_sum(product, scale=-1.0 / width), row_sum(gained, scale=-1.0 / width)
        nisa.scalar_tensor_tensor(dst=result, data=normed, op0=nl.multiply, operand0=slope, op1=nl.add, operand1=gained)
        nisa.tensor_scalar(dst=result, data=result, op0=nl.add, operand0=mean, op1=nl.multiply, operand1=inverse)
        store(dx[rows, :], result)
        nisa.tensor_tensor(dst=weighed, data1=given, data2=normed, op=nl.multiply)
        weights.add(weighed)
        biases.add(given)
    weights.store(dweight)
    biases.store(dbias)
    return dx, dweight, dbias
