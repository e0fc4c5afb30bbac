"""Rotary position embedding: pairs of elements turned by angles that depend on the token's position."""

from __future__ import annotations

from typing import Any

import opentrn.nki.isa as nisa
import opentrn.nki.language as nl
from opentrn.kernels.tiles import COLUMNS, ROWS, identity, load, psum, sbuf, shared, size_of, spans, store
from opentrn.nki import jit

__all__ = ["rotary"]


@jit
def rotary(x: Any, cosine: Any, sine: Any, backwards: bool = False) -> Any:
    """Turn element d of each head together with element d + D/2: x (T, heads, D), cosine and sine (T, D/2) -> as x.

    ``(a, b) -> (a * cos - b * sin, b * cos + a * sin)``. `backwards` turns the other way, which is the gradient. VectorE makes
    the products, TensorE the sums, in the dtype of x (float32 in PSUM); D is at most 512.
    """
    tokens, heads, width = x.shape
    out, half = shared(x.shape, x.dtype), width // 2
    same = identity(min(ROWS, tokens), x.dtype)
    other = sbuf(same.shape, x.dtype)
    nisa.tensor_scalar(dst=other, data=same, op0=nl.multiply, operand0=-1.0)
    signs = (same, other) if backwards else (other, same)
    for rows in spans(tokens, ROWS):
        tile = load(x[rows, :, :]).reshape((size_of(rows), heads, 2, half))
        kept, turned, result = sbuf(tile.shape, x.dtype), sbuf(tile.shape, x.dtype), sbuf(tile.shape, x.dtype)
        for dst, angles in ((kept, cosine), (turned, sine)):
            wide = load(angles[rows, :], x.dtype).expand_dim(1).expand_dim(1).broadcast(1, heads).broadcast(2, 2)
            nisa.tensor_tensor(dst=dst, data1=tile, data2=wide, op=nl.multiply)
        for some in spans(heads, max(1, COLUMNS // width)):
            total = psum((size_of(rows), size_of(some), 2, half))
            for n, sign in enumerate(signs):
                terms = (same, kept[:, some, n, :]), (sign, turned[:, some, 1 - n, :])
                for m, (matrix, moving) in enumerate(terms):
                    stationary = matrix[0 : size_of(rows), 0 : size_of(rows)]
                    nisa.nc_matmul(dst=total[:, :, n, :], stationary=stationary, moving=moving, accumulate=m > 0)
            nisa.tensor_copy(dst=result[:, some, :, :], src=total, engine=nisa.engine.scalar)
        store(out[rows, :, :].reshape(tile.shape), result)
    return out
