"""Causal flash attention with grouped queries: softmax(Q K^T / sqrt(d)) V, without ever holding a full row of scores."""

from __future__ import annotations

import math
from typing import Any

import opentrn.nki.isa as nisa
import opentrn.nki.language as nl
from opentrn.kernels.matmul import Operand
from opentrn.kernels.tiles import COLUMNS, ROWS, column, load, psum, sbuf, shared, size_of, spans, store
from opentrn.nki import jit

__all__ = ["attention"]

QUERIES = 2 * COLUMNS
"""Queries of a block: two PSUM banks of scores for 128 keys, and room for the next two and for the sums of values."""

HEADROOM = 60.0
"""How far scores may rise above what is subtracted: exp(60) times a long row is well inside float32."""


@jit
def attention(q: Any, k: Any, v: Any) -> Any:
    """Causal attention: q (heads, S, d), k and v (groups, S, d), bfloat16, d at most 128 -> (heads, S, d) in the dtype of q.

    heads is a multiple of groups: head h reads keys and values of group h // (heads // groups). Scores are computed with
    keys on partitions, so that their exponentials are the stationary operand of the product with V as they are; a column of
    ones beside V sums them. From a query's scores the larger of 0 and |q| max|k| / sqrt(d) - 60 is subtracted, which is at
    least the maximum less 60: nothing overflows. A row of weights vanishes (and the result is not a number) only where
    the largest score of a row lies more than 140 below |q| max|k| / sqrt(d), so never while that is at most 70.
    """
    heads, length, width = q.shape
    out = shared(q.shape, q.dtype)
    for group in range(k.shape[0]):
        keys, values = Operand(k[group], False).block(slice(0, length))[0], _with_ones(v[group])
        peak, each = _largest_square(keys, 1.0 / width), heads // k.shape[0]
        for head in range(group * each, (group + 1) * each):
            for block in spans(length, QUERIES):
                _attend(out[head], Operand(q[head], False).block(block)[0], block, keys, values, peak)
    return out


def _with_ones(source: Any) -> list[Any]:
    """The rows of V in tiles of 128, each with a column of ones at its right."""
    length, width = source.shape
    tiles = []
    for rows in spans(length, ROWS):
        tile = sbuf((size_of(rows), width + 1), nl.bfloat16)
        nisa.dma_copy(dst=tile[:, 0:width], src=source[rows, :])
        nisa.memset(dst=tile[:, width : width + 1], value=1.0)
        tiles.append(tile)
    return tiles


def _squares(turned: Any, columns: slice) -> Any:
    """Sums of squares of columns of (d, n), on all 128 partitions: (128, columns) in PSUM."""
    square, ones = sbuf((turned.shape[0], size_of(columns)), nl.bfloat16), sbuf((turned.shape[0], ROWS), nl.bfloat16)
    nisa.tensor_tensor(dst=square, data1=turned[:, columns], data2=turned[:, columns], op=nl.multiply)
    nisa.memset(dst=ones, value=1.0)
    total = psum((ROWS, size_of(columns)))
    nisa.nc_matmul(dst=total, stationary=ones, moving=square, accumulate=False)
    return total


def _largest_square(keys: Any, scale: float) -> Any:
    """The largest sum of squares of a column of (d, n), times `scale`, on all partitions: (128, 1) float32."""
    peak = column(ROWS, 0.0)
    for columns in spans(keys.shape[1], COLUMNS):
        top = column(ROWS, 0.0)
        nisa.tensor_reduce(dst=top, op=nl.maximum, data=_squares(keys, columns), axis=1)
        nisa.tensor_tensor(dst=peak, data1=peak, data2=top, op=nl.maximum)
    nisa.tensor_scalar(dst=peak, data=peak, op0=nl.multiply, operand0=scale)
    return peak


def _lowering(queries: Any, peak: Any) -> Any:
    """What is subtracted from the scores of each query, on all partitions: (128, queries) float32."""
    lowering = sbuf((ROWS, queries.shape[1]), nl.float32)
    for columns in spans(queries.shape[1], COLUMNS):
        nisa.activation(dst=lowering[:, columns], op=nl.sqrt, data=_squares(queries, columns), scale=peak)
    nisa.tensor_scalar(
        dst=lowering, data=lowering, op0=nl.subtract, operand0=HEADROOM, op1=nl.maximum, operand1=0.0
    )
    return lowering


def _attend(out: Any, queries: Any, block: slice, keys: Any, values: list[Any], peak: Any) -> None:
    """One block of queries (d, n) against all keys up to it."""
    width = queries.shape[0]
    lowering = _lowering(queries, peak)
    tiles, totals = spans(size_of(block), ROWS), []
    for tile in tiles:
        totals.append(psum((size_of(tile), width + 1)))
    waiting: list[Any] = []
    for n, span in enumerate(spans(block.stop, ROWS)):
        first = max(span.start, block.start) - block.start  # earlier queries do not see these keys
        weights = _weights(keys[:, span], queries[:, first:], lowering[0 : size_of(span), first:], span.start >= block.start)
        # TensorE computes the next scores before it needs these weights
        waiting.append((weights, values[n], first, n == 0))
        if len(waiting) > 1:
            _accumulate(totals, tiles, waiting.pop(0))
    _accumulate(totals, tiles, waiting.pop(0))
    for tile, total in zip(tiles, totals, strict=True):
        inverse, result = sbuf((size_of(tile), 1), nl.float32), sbuf((size_of(tile), width), out.dtype)
        nisa.reciprocal(dst=inverse, data=total[:, width : width + 1])
        nisa.tensor_scalar(dst=result, data=total[:, 0:width], op0=nl.multiply, operand0=inverse)
        store(out[block.start + tile.start : block.start + tile.stop, :], result)


def _weights(keys: Any, queries: Any, lowering: Any, diagonal: bool) -> Any:
    """exp(scores - lowering) of a tile of keys with queries, (keys, queries) bfloat16; 0 for keys after the query."""
    count, width = queries.shape[1], queries.shape[0]
    scores = psum(lowering.shape)
    for columns in spans(count, COLUMNS):
        nisa.nc_matmul(dst=scores[:, columns], stationary=keys, moving=queries[:, columns], accumulate=False)
    lower, weights = sbuf(lowering.shape, nl.float32), sbuf(lowering.shape, nl.bfloat16)
    nisa.scalar_tensor_tensor(
        dst=lower, data=scores, op0=nl.multiply, operand0=1.0 / math.sqrt(width), op1=nl.subtract, operand1=lowering
    )
    nisa.activation(dst=weights, op=nl.exp, data=lower)
    if diagonal:
        corner = weights[:, 0 : min(count, ROWS)]
        nisa.affine_select(
            dst=corner, pattern=[[1, corner.shape[1]]], channel_multiplier=-1, on_true_tile=corner, on_false_value=0.0,
            cmp_op=nl.greater_equal,
        )  # fmt: skip
    return weights


def _accumulate(totals: list[Any], tiles: list[slice], held: Any) -> None:
    weights, values, first, fresh = held
    for tile, total in zip(tiles, totals, strict=True):
        if tile.start >= first:
            stationary = weights[:, tile.start - first : tile.stop - first]
            nisa.nc_matmul(dst=total, stationary=stationary, moving=values, accumulate=not fresh)
