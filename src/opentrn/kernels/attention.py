"""Causal flash attention with grouped queries: softmax(Q K^T / sqrt(d)) V, without ever holding a full row of scores."""

from __future__ import annotations

import math
from typing import Any

import opentrn.nki.isa as nisa
import opentrn.nki.language as nl
from opentrn.kernels.tiles import COLUMNS, ROWS, psum, sbuf, shared, size_of, spans, store
from opentrn.nki import jit

__all__ = ["attention", "load_tiles", "turn"]

QUERIES = 2 * COLUMNS
"""Queries of a block: two PSUM banks of scores for 128 keys, and room for the next two and for the sums of values."""

LOADED = 4
"""Tiles of keys until the queries of the next block have come from HBM: their DMA takes about that long."""

HEADROOM = 60.0
"""How far scores may lie above what is subtracted: exp(60) times the length of any row is well inside float32."""


@jit
def attention(q: Any, k: Any, v: Any) -> Any:
    """Causal attention: q (heads, S, d), k and v (groups, S, d), bfloat16, d at most 128, S at most 32,768 -> (heads, S, d).

    heads is a multiple of groups: head h reads keys and values of group h // (heads // groups). Scores are computed with
    keys on partitions, so that their exponentials are the stationary operand of the product with V as they are; a column of
    ones beside V sums them. From all scores of a block of 1024 queries the larger of 0 and max|q| max|k| / sqrt(d) - 60 is
    subtracted, on ScalarE's way to the exponential: no score is more than 60 above it, so nothing overflows. All weights of
    a query vanish (and its result is not a number) only where its largest score lies more than 140 below that product of
    norms: never while max|q| max|k| / sqrt(d) is at most 70, as with normalised queries and keys it always is.
    """
    heads, length, width = q.shape
    each = heads // k.shape[0]
    assert heads == each * k.shape[0] and width <= ROWS, (
        f"heads % groups == 0 and d <= 128, got {q.shape} and {k.shape}"
    )
    out = shared(q.shape, q.dtype)
    # PSUM: two banks for each of two products of scores, three for the sums of values, one for what is transposed
    scores, totals = (psum((ROWS, QUERIES)), psum((ROWS, QUERIES))), _totals(width + 1)
    waiting: list[Any] = []
    for group in range(k.shape[0]):
        work: list[Any] = []
        for head in range(group * each, (group + 1) * each):
            for block in spans(length, QUERIES):
                work.append((head, block))
        keys = Columns(k[group], slice(0, length), nisa.engine.scalar, [])
        keys.room = list(scores)  # no scores yet: sums of squares need not wait for one bank
        coming = Columns(q[work[0][0]], work[0][1], nisa.engine.vector, [keys.peak])
        values = load_tiles(v[group], slice(0, length), 1)
        keys.finish()
        for m, (head, block) in enumerate(work):
            coming.finish()
            queries, lowering = coming.turned, coming.lowering
            if m + 1 < len(work):
                coming = Columns(q[work[m + 1][0]], work[m + 1][1], nisa.engine.vector, [keys.peak])
            for n, span in enumerate(spans(block.stop, ROWS)):
                weights = _weights(scores[n % 2], keys.turned[:, span], queries, lowering, (span, block))
                waiting.append((totals, weights, values[n], span, block, out[head, block, :]))
                # TensorE has two more products of scores to do before it needs these weights
                if len(waiting) > 2:
                    _accumulate(waiting.pop(0))
                if n >= LOADED:
                    coming.advance()
    while waiting:
        _accumulate(waiting.pop(0))
    return out


def load_tiles(source: Any, span: slice, ones: int = 0) -> list[Any]:
    """Rows of (S, d) in HBM in tiles (at most 128, d + ones), the last columns 1; eight by one DMA: each costs its start."""
    width, tiles = source.shape[1], []
    for part in spans(size_of(span), QUERIES):
        for rows in (slice(0, size_of(part) // ROWS * ROWS), slice(size_of(part) // ROWS * ROWS, size_of(part))):
            count = -(-size_of(rows) // ROWS)
            if count:
                height = size_of(rows) // count
                wide = sbuf((height, count, width + ones), nl.bfloat16)
                start = span.start + part.start + rows.start
                given = source[start : start + size_of(rows), :].reshape((count, height, width))
                nisa.dma_copy(dst=wide[:, :, 0:width], src=given.permute((1, 0, 2)))
                if ones:
                    nisa.memset(dst=wide[:, :, width : width + ones], value=1.0)
                for n in range(count):
                    tiles.append(wide[:, n, :])
    return tiles


def turn(dst: Any, tiles: list[Any], engine: Any) -> None:
    """Up to four tiles (at most 128, d), one below the other, as columns (d, rows) of `dst`: they leave PSUM together."""
    flipped = psum(dst.shape, nl.bfloat16)
    for tile, part in zip(tiles, spans(dst.shape[1], ROWS), strict=True):
        nisa.nc_transpose(dst=flipped[:, part], data=tile)
    nisa.tensor_copy(dst=dst, src=flipped, engine=engine)


class Columns(nl.NKIObject):
    """Rows of (S, d) in HBM as columns in SBUF, `turned` (d, rows) bfloat16, and the largest square of their norms.

    `peak` is that square on all partitions, (128, 1) float32; of queries also `lowering`, what is added to their scores, from
    the peak of the keys (a list of it; empty for keys themselves). The work is cut in steps, so that those of the next block can
    stand between the products of this one: TensorE works in order, and would wait at each step for what another engine
    makes of the last.
    """

    def __init__(self, source: Any, span: slice, engine: Any, keys: list[Any]) -> None:
        self.tiles, self.engine = load_tiles(source, span), engine
        self.keys, self.lowering = keys, None
        self.room: list[Any] = []
        self.parts, self.done = spans(size_of(span), COLUMNS), 0
        self.turned = sbuf((source.shape[1], size_of(span)), nl.bfloat16)
        self.tops, self.peak = sbuf((ROWS, len(self.parts)), nl.float32), sbuf((ROWS, 1), nl.float32)
        self.ones = sbuf((source.shape[1], ROWS), nl.bfloat16)
        nisa.memset(dst=self.ones, value=1.0)

    def advance(self) -> None:
        """The next step, if there is one: turn 512 rows, or find the largest square of 512."""
        count = len(self.parts)
        if self.done < count:
            self._turn(self.parts[self.done])
        elif self.done < 2 * count:
            self._square(self.parts[self.done - count], self.done - count)
            if self.done == 2 * count - 1:
                nisa.tensor_reduce(dst=self.peak, op=nl.maximum, data=self.tops, axis=1)
                for peak in self.keys:
                    self.lowering = _lowering(self.peak, peak, self.turned.shape[0])
        self.done += 1

    def finish(self) -> None:
        """All steps that are left."""
        while self.done < 2 * len(self.parts):
            self.advance()

    def _turn(self, columns: slice) -> None:
        first = columns.start // ROWS
        turn(self.turned[:, columns], self.tiles[first : first + COLUMNS // ROWS], self.engine)

    def _square(self, columns: slice, n: int) -> None:
        """The sums of squares of columns, on all partitions by a product with ones, and the largest of them."""
        part = self.turned[:, columns]
        square = sbuf(part.shape, nl.bfloat16)
        total = self.room[n % 2][:, 0 : size_of(columns)] if self.room else psum((ROWS, size_of(columns)))
        if self.room:  # ScalarE has nothing else to do yet, and VectorE would wait for each sum before the next square
            nisa.activation(dst=square, op=nl.square, data=part)
        else:
            nisa.tensor_tensor(dst=square, data1=part, data2=part, op=nl.multiply)
        nisa.nc_matmul(dst=total, stationary=self.ones, moving=square, accumulate=False)
        nisa.tensor_reduce(dst=self.tops[:, n : n + 1], op=nl.maximum, data=total, axis=1)


def _lowering(queries: Any, keys: Any, width: int) -> Any:
    """What is added to scores, -max(0, |q| |k| / sqrt(d) - 60), from the squares of the norms; (128, 1) float32."""
    product = sbuf((ROWS, 1), nl.float32)
    nisa.tensor_scalar(dst=product, data=queries, op0=nl.multiply, operand0=keys, op1=nl.multiply, operand1=1.0 / width)
    # the root on GpSimd: between exponentials ScalarE would load another table, and again
    nisa.tensor_scalar(dst=product, data=product, op0=nl.power, operand0=0.5)
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
            nisa.nc_matmul(
                dst=total[0 : size_of(tile), :], stationary=stationary, moving=values, accumulate=span.start > 0
            )
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
