"""Causal flash attention with grouped queries: softmax(Q K^T / sqrt(d)) V, without ever holding a full row of scores."""

from __future__ import annotations

import math
from typing import Any

import opentrn.nki.isa as nisa
import opentrn.nki.language as nl
from opentrn.kernels.tiles import COLUMNS, ROWS, load, psum, sbuf, shared, size_of, spans, store
from opentrn.nki import jit

__all__ = ["attention"]

QUERIES = 2 * COLUMNS
"""Queries of a block: two PSUM banks of scores for 128 keys, and room for the next two and for the sums of values."""

HEADROOM = 60.0
"""How far scores may lie above what is subtracted: exp(60) times the length of any row is well inside float32."""


@jit
def attention(q: Any, k: Any, v: Any) -> Any:
    """Causal attention: q (heads, S, d), k and v (groups, S, d), bfloat16, d at most 128 -> (heads, S, d) in the dtype of q.

    heads is a multiple of groups: head h reads keys and values of group h // (heads // groups). Scores are computed with
    keys on partitions, so that their exponentials are the stationary operand of the product with V as they are; a column of
    ones beside V sums them. From all scores of a block of 1024 queries the larger of 0 and max|q| max|k| / sqrt(d) - 60 is
    subtracted, on ScalarE's way to the exponential: no score is more than 60 above it, so nothing overflows. All weights of
    a query vanish (and its result is not a number) only where its largest score lies more than 140 below that product of
    norms: never while max|q| max|k| / sqrt(d) is at most 70, as with normalised queries and keys it always is.
    """
    heads, length, width = q.shape
    each = heads // k.shape[0]
    assert heads == each * k.shape[0] and width <= ROWS, f"heads % groups == 0 and d <= 128, got {q.shape} and {k.shape}"
    out = shared(q.shape, q.dtype)
    # PSUM: two banks for each of two products of scores, three for the sums of values, one for what is transposed
    scores, totals = (psum((ROWS, QUERIES)), psum((ROWS, QUERIES))), _totals(width + 1)
    waiting: list[Any] = []
    for group in range(k.shape[0]):
        keys, values = _turned(k[group], slice(0, length)), _with_ones(v[group])
        peak = _largest_square(keys)
        for head in range(group * each, (group + 1) * each):
            for block in spans(length, QUERIES):
                queries = _turned(q[head], block)
                lowering = _lowering(queries, peak)
                for n, span in enumerate(spans(block.stop, ROWS)):
                    weights = _weights(scores[n % 2], keys[:, span], queries, lowering, (span, block))
                    waiting.append((totals, weights, values[n], span, block, out[head, block, :]))
                    # TensorE has two more products of scores to do before it needs these weights
                    if len(waiting) > 2:
                        _accumulate(waiting.pop(0))
    while waiting:
        _accumulate(waiting.pop(0))
    return out


def _rows(source: Any, span: slice) -> list[Any]:
    """Rows of (S, d) in HBM in tiles (at most 128, d): all whole tiles by one DMA, as each costs its start."""
    whole, tiles = size_of(span) // ROWS, []
    if whole:
        stop = span.start + whole * ROWS
        wide = load(source[span.start : stop, :].reshape((whole, ROWS, source.shape[1])).permute((1, 0, 2)), nl.bfloat16)
        for n in range(whole):
            tiles.append(wide[:, n, :])
    if size_of(span) % ROWS:
        tiles.append(load(source[span.start + whole * ROWS : span.stop, :], nl.bfloat16))
    return tiles


def _turned(source: Any, span: slice) -> Any:
    """Rows of (S, d) in HBM as columns in SBUF, (d, rows) bfloat16; four transposed tiles leave PSUM together."""
    turned = sbuf((source.shape[1], size_of(span)), nl.bfloat16)
    tiles = _rows(source, span)
    for columns in spans(size_of(span), COLUMNS):
        flipped = psum((source.shape[1], size_of(columns)), nl.bfloat16)
        for part in spans(size_of(columns), ROWS):
            nisa.nc_transpose(dst=flipped[:, part], data=tiles[(columns.start + part.start) // ROWS])
        nisa.tensor_copy(dst=turned[:, columns], src=flipped, engine=nisa.engine.vector)
    return turned


def _with_ones(source: Any) -> list[Any]:
    """The rows of V in tiles of 128, each with a column of ones at its right."""
    width, tiles = source.shape[1], []
    for rows in _rows(source, slice(0, source.shape[0])):
        tile = sbuf((rows.shape[0], width + 1), nl.bfloat16)
        nisa.tensor_copy(dst=tile[:, 0:width], src=rows, engine=nisa.engine.vector)
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


def _largest_square(turned: Any) -> Any:
    """The largest sum of squares of a column of (d, n), on all partitions: (128, 1) float32."""
    parts = spans(turned.shape[1], COLUMNS)
    tops, peak = sbuf((ROWS, len(parts)), nl.float32), sbuf((ROWS, 1), nl.float32)
    for n, columns in enumerate(parts):
        nisa.tensor_reduce(dst=tops[:, n : n + 1], op=nl.maximum, data=_squares(turned, columns), axis=1)
    nisa.tensor_reduce(dst=peak, op=nl.maximum, data=tops, axis=1)
    return peak


def _lowering(queries: Any, peak: Any) -> Any:
    """What is added to the scores of a block of queries, -max(0, max|q| max|k| / sqrt(d) - 60), on all partitions."""
    product = _largest_square(queries)
    nisa.tensor_scalar(dst=product, data=product, op0=nl.multiply, operand0=peak)
    # the root on GpSimd: between exponentials ScalarE would load another table, and again
    nisa.tensor_scalar(
        dst=product, data=product, op0=nl.multiply, operand0=1.0 / queries.shape[0], op1=nl.power, operand1=0.5
    )
    nisa.tensor_scalar(
        dst=product, data=product, op0=nl.subtract, operand0=HEADROOM, reverse0=True, op1=nl.minimum, operand1=0.0
    )
    return product


def _weights(bank: Any, keys: Any, queries: Any, lowering: Any, place: tuple[slice, slice]) -> Any:
    """exp(scores + lowering) of a span of keys with the queries of a block from there on, (keys, queries) bfloat16.

    The scores pass through `bank` of PSUM.
    """
    span, block = place
    first = _first(span, block)
    shape = (size_of(span), size_of(block) - first)
    scores, weights = bank[0 : shape[0], 0 : shape[1]], sbuf(shape, nl.bfloat16)
    for columns in spans(shape[1], COLUMNS):
        moving = queries[:, first + columns.start : first + columns.stop]
        nisa.nc_matmul(dst=scores[:, columns], stationary=keys, moving=moving, accumulate=False)
    scale = 1.0 / math.sqrt(queries.shape[0])
    nisa.activation(dst=weights, op=nl.exp, data=scores, scale=scale, bias=lowering[0 : shape[0], :])
    if span.start >= block.start:
        _hide_future(weights[:, 0 : min(ROWS, shape[1])])
    return weights


def _first(span: slice, block: slice) -> int:
    """The first query of the block that sees keys of the span."""
    return max(span.start - block.start, 0)


def _hide_future(corner: Any) -> None:
    """0 for keys (partitions) after the query (columns)."""
    nisa.affine_select(
        dst=corner,
        pattern=[[1, corner.shape[1]]],
        channel_multiplier=-1,
        on_true_tile=corner,
        on_false_value=0.0,
        cmp_op=nl.greater_equal,
    )


def _accumulate(held: Any) -> None:
    """Add the product of weights and values to the sums of a block; with the last keys, write the block to `place`."""
    totals, weights, values, span, block, place = held
    first, tiles = _first(span, block), spans(size_of(block), ROWS)
    for tile, total in zip(tiles, totals, strict=False):
        if tile.start >= first:
            stationary = weights[:, tile.start - first : tile.stop - first]
            nisa.nc_matmul(dst=total[0 : size_of(tile), :], stationary=stationary, moving=values, accumulate=span.start > 0)
    if span.stop == block.stop:
        for tile, total in zip(tiles, totals, strict=False):
            _write(place[tile, :], total[0 : size_of(tile), :])


def _totals(width: int) -> list[Any]:
    """Tiles (128, width) of PSUM for the queries of a block, in as few banks as hold them."""
    each, count, totals = COLUMNS // width, QUERIES // ROWS, []
    banks = psum((ROWS, -(-count // each), COLUMNS))
    for n in range(count):
        totals.append(banks[:, n // each, n % each * width : (n % each + 1) * width])
    return totals


def _write(place: Any, total: Any) -> None:
    """The sums of weighed values by the sum of the weights beside them."""
    width = place.shape[1]
    inverse, result = sbuf((place.shape[0], 1), nl.float32), sbuf(place.shape, place.dtype)
    nisa.reciprocal(dst=inverse, data=total[:, width : width + 1])
    nisa.tensor_scalar(dst=result, data=total[:, 0:width], op0=nl.multiply, operand0=inverse)
    store(place, result)
