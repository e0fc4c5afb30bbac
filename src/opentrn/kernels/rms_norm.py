"""RMSNorm over the last dimension, and its gradient."""

from __future__ import annotations

from typing import Any

import opentrn.nki.isa as nisa
import opentrn.nki.language as nl
from opentrn.kernels.tiles import ROWS, RowSums, column, load, load_row, row_sum, sbuf, shared, size_of, spans, store
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
        tile = load(x[rows, :])
        inverse = inverse_rms(tile, eps)
        result = sbuf(tile.shape, x.dtype)
        nisa.scalar_tensor_tensor(
            dst=result,
            data=tile,
            op0=nl.multiply,
            operand0=inverse,
            op1=nl.multiply,
            operand1=scale[0 : size_of(rows), :],
        )
        store(out[rows, :], result)
    return out


def inverse_rms(tile: Any, eps: float) -> Any:
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

    With r = 1 / rms and n = x * r: dx = r * (dy * w - n * mean(dy * w * n)), dweight = sum over rows of dy * n. Products of
    elements are kept in bfloat16, which VectorE streams twice as fast; sums are float32. H is at most 4096: the sums over
    rows wait in PSUM.
    """
    tokens, width = x.shape
    dx, dweight = shared(x.shape, x.dtype), shared((width,), nl.float32)
    scale = load_row(weight, min(ROWS, tokens), nl.bfloat16)
    sums = RowSums(width)
    for rows in spans(tokens, ROWS):
        tile, given = load(x[rows, :], nl.bfloat16), load(dy[rows, :], nl.bfloat16)
        inverse = inverse_rms(tile, eps)
        normed, gained = sbuf(tile.shape, nl.bfloat16), sbuf(tile.shape, nl.bfloat16)
        product, result = sbuf(tile.shape, nl.bfloat16), sbuf(tile.shape, nl.bfloat16)
        nisa.tensor_scalar(dst=normed, data=tile, op0=nl.multiply, operand0=inverse)
        nisa.tensor_tensor(dst=gained, data1=given, data2=scale[0 : size_of(rows), :], op=nl.multiply)
        nisa.tensor_tensor(dst=product, data1=gained, data2=normed, op=nl.multiply)
        mean = row_sum(product, scale=-1.0 / width)
        nisa.scalar_tensor_tensor(dst=result, data=normed, op0=nl.multiply, operand0=mean, op1=nl.add, operand1=gained)
        nisa.tensor_scalar(dst=result, data=result, op0=nl.multiply, operand0=inverse)
        store(dx[rows, :], result)
        weighed = sbuf(tile.shape, nl.bfloat16)
        nisa.tensor_tensor(dst=weighed, data1=given, data2=normed, op=nl.multiply)
        sums.add(weighed)
    sums.store(dweight)
    return dx, dweight
