"""The gradient of attention, again without a full row of scores: they are computed twice, for the sums of rows and for use."""

from __future__ import annotations

import math
from typing import Any

import opentrn.nki.isa as nisa
import opentrn.nki.language as nl
from opentrn.kernels.attention import load_tiles, turn
from opentrn.kernels.cross_entropy import rescaled_sum
from opentrn.kernels.swiglu import hbm
from opentrn.kernels.tiles import COLUMNS, ROWS, load, psum, row_sum, sbuf, shared, size_of, spans, store
from opentrn.nki import jit

__all__ = ["attention_backward"]

QUERIES = 8 * COLUMNS
"""Queries whose rows, columns and gradients are in SBUF at a time: 48 KiB per partition, and as much for the next."""

HIDDEN = -1e30
"""What is added to the scores of keys that a query may not see: their exponentials are 0."""


@jit
def attention_backward(dy: Any, q: Any, k: Any, v: Any, out: Any, causal: bool = True) -> tuple[Any, Any, Any]:
    """Gradients of `attention`, out = softmax(q k^T / sqrt(d)) v: dy, q, out (heads, S, d), k, v (groups, S, d) -> dq, dk, dv.

    Each has the shape and dtype of q, k or v; d is at most 128, S at most 32,768. Not `causal`, every query sees every key, and
    k and v may have another length than q. Operands of products are rounded to bfloat16, sums are float32.

    With P the weights: dv = P^T dy, dS = P * (dy v^T - sum(dy * out)), dq = dS k / sqrt(d), dk = dS^T q / sqrt(d). Scores have
    queries on partitions, so that what belongs to a query is one number on each: its largest score is subtracted, and
    the division by its sum of exponentials is made in dy, which every term contains once.
    """
    heads, length, width = q.shape
    each = heads // k.shape[0]
    assert heads == each * k.shape[0] and width <= ROWS, (
        f"heads % groups == 0 and d <= 128, got {q.shape} and {k.shape}"
    )
    assert not causal or length == k.shape[1], f"causal: as many keys as queries, got {q.shape} and {k.shape}"
    dq, hidden = shared(q.shape, q.dtype), _hidden() if causal else ()
    dk, dv = KeyGradients(k, 1.0 / math.sqrt(width)), KeyGradients(v, 1.0)
    for head in range(heads):
        group = head // each
        for span in spans(length, QUERIES):
            block = Queries(dy[head], q[head], out[head], span, hidden)
            seen = spans(span.stop if causal else k.shape[1], COLUMNS)
            block.weigh(k[group], seen)
            for keys in seen:
                first = head % each == 0 and (keys.start >= span.start if causal else span.start == 0)
                ends = first, (head + 1) % each == 0 and span.stop == length
                sums = block.multiply(load_tiles(k[group], keys), load_tiles(v[group], keys), keys)
                dv.add(sums[0], group, keys, ends)
                dk.add(sums[1], group, keys, ends)
            block.store(dq[head])
    return dq, dk.out, dv.out


class KeyGradients(nl.NKIObject):
    """Sums over heads and blocks of queries, times a number: they wait in HBM between blocks, in float32."""

    def __init__(self, like: Any, scale: float) -> None:
        self.out, self.partial, self.scale = shared(like.shape, like.dtype), hbm(like.shape, nl.float32), scale

    def add(self, total: Any, group: int, keys: slice, ends: tuple[bool, bool]) -> None:
        """One more term, (128, tiles, d) in PSUM, for keys of a group; `ends`: it is the first, the last."""
        for n, rows in enumerate(spans(size_of(keys), ROWS)):
            place, term = slice(keys.start + rows.start, keys.start + rows.stop), total[0 : size_of(rows), n, :]
            result = sbuf(term.shape, self.out.dtype if ends[1] else nl.float32)
            if ends[0]:
                nisa.tensor_scalar(dst=result, data=term, op0=nl.multiply, operand0=self.scale)
            else:
                before = load(self.partial[group, place, :])
                nisa.scalar_tensor_tensor(
                    dst=result, data=term, op0=nl.multiply, operand0=self.scale, op1=nl.add, operand1=before
                )
            store((self.out if ends[1] else self.partial)[group, place, :], result)


class Queries(nl.NKIObject):
    """A block of queries: tiles of rows, and columns (d, rows), of q and of dy by the sums of weights; the gradients of q."""

    def __init__(self, dy: Any, q: Any, out: Any, span: slice, hidden: tuple[Any, ...]) -> None:
        self.span, self.tiles, self.hidden = span, spans(size_of(span), ROWS), hidden
        self.scale = 1.0 / math.sqrt(q.shape[1])
        self.rows, self.given, self.results = load_tiles(q, span), load_tiles(dy, span), load_tiles(out, span)
        self.turned: Any = turned(self.rows)
        self.turned_given: Any = None
        self.lowest: list[Any] = []
        self.shares: list[Any] = []
        self.totals: list[Any] = []
        for tile in self.tiles:
            total = sbuf((size_of(tile), q.shape[1]), nl.float32)
            nisa.memset(dst=total, value=0.0)
            self.totals.append(total)

    def seen(self, tile: slice, keys: slice) -> int:
        """How many of the keys a tile of queries sees."""
        last = self.span.start + tile.stop
        return min(size_of(keys), last - keys.start) if self.hidden else size_of(keys)

    def scores(self, tile: slice, keys: slice, columns: Any) -> Any:
        """q k^T of a tile of queries with those keys that it sees, (queries, keys) in PSUM."""
        shape = size_of(tile), self.seen(tile, keys)
        start, total = self.span.start + tile.start - keys.start, psum(shape)
        nisa.nc_matmul(dst=total, stationary=self.turned[:, tile], moving=columns[:, 0 : shape[1]], accumulate=False)
        if self.hidden and start < shape[1]:
            same, future = self.hidden
            nisa.nc_matmul(
                dst=total[:, start:], stationary=same[:, 0 : shape[0]], moving=future[:, 0 : shape[0]], accumulate=True
            )
        return total

    def weigh(self, k: Any, seen: list[slice]) -> None:
        """Find the largest score of each query and the sum of its weights; divide dy by it."""
        maxima, sums = [], []
        for tile in self.tiles:
            chunks = 0
            for keys in seen:
                chunks += self.seen(tile, keys) > 0
            maxima.append(sbuf((size_of(tile), chunks), nl.float32))
            sums.append(sbuf((size_of(tile), chunks), nl.float32))
        for n, keys in enumerate(seen):
            columns = turned(load_tiles(k, keys))
            for tile, low, total in zip(self.tiles, maxima, sums, strict=True):
                if self.seen(tile, keys) > 0:
                    scores = self.scores(tile, keys, columns)
                    place = low[:, n : n + 1]
                    nisa.tensor_reduce(dst=place, op=nl.maximum, data=scores, axis=1, negate=True)
                    nisa.tensor_scalar(dst=place, data=place, op0=nl.multiply, operand0=self.scale)
                    nisa.activation_reduce(
                        dst=sbuf(scores.shape, nl.bfloat16), op=nl.exp, data=scores, reduce_op=nl.add,
                        reduce_res=total[:, n : n + 1], bias=place, scale=self.scale,
                    )  # fmt: skip
        for given, result, low, total in zip(self.given, self.results, maxima, sums, strict=True):
            lowest, whole = rescaled_sum(low, total)
            product = sbuf(given.shape, nl.float32)
            nisa.reciprocal(dst=whole, data=whole)
            nisa.tensor_scalar(dst=given, data=given, op0=nl.multiply, operand0=whole)
            nisa.tensor_tensor(dst=product, data1=given, data2=result, op=nl.multiply)
            self.lowest.append(lowest)
            self.shares.append(row_sum(product))
        self.turned_given = turned(self.given)

    def multiply(self, keys: list[Any], values: list[Any], span: slice) -> tuple[Any, Any]:
        """The terms of dv and dk * sqrt(d) of these keys, (128, tiles, d) in PSUM; those of dq are added here."""
        columns = turned(keys), turned(values)
        shape = ROWS, len(keys), keys[0].shape[1]
        sums = psum(shape), psum(shape)
        waiting: list[Any] = []
        for n, tile in enumerate(self.tiles):
            if self.seen(tile, span) > 0:
                waiting.append((n, self._slopes(n, span, columns)))
                # TensorE makes the next scores while other engines make the slopes from the last
                if len(waiting) > 1:
                    self._sum(waiting.pop(0), keys, span, sums)
        for held in waiting:
            self._sum(held, keys, span, sums)
        return sums

    def _slopes(self, n: int, span: slice, columns: tuple[Any, Any]) -> tuple[Any, Any]:
        """Weights of a tile of queries and the gradient of its scores, (queries, keys) bfloat16."""
        tile = self.tiles[n]
        scores = self.scores(tile, span, columns[0])
        weights, slopes = sbuf(scores.shape, nl.bfloat16), sbuf(scores.shape, nl.bfloat16)
        raised = psum(scores.shape)
        nisa.nc_matmul(
            dst=raised,
            stationary=self.turned_given[:, tile],
            moving=columns[1][:, 0 : scores.shape[1]],
            accumulate=False,
        )
        nisa.activation(dst=weights, op=nl.exp, data=scores, scale=self.scale, bias=self.lowest[n])
        nisa.scalar_tensor_tensor(
            dst=slopes, data=raised, op0=nl.subtract, operand0=self.shares[n], op1=nl.multiply, operand1=weights
        )
        return weights, slopes

    def _sum(self, held: Any, keys: list[Any], span: slice, sums: tuple[Any, Any]) -> None:
        """Add what a tile of queries gives to the sums of keys, and what the keys give to those of the tile."""
        n, (weights, slopes) = held
        start, total = self.span.start + self.tiles[n].start, psum(self.totals[n].shape)
        parts = spans(weights.shape[1], ROWS)
        for m, part in enumerate(parts):
            first = n == 0 or (self.hidden and start <= span.start + part.start)
            for sum_, left, right in ((sums[0], weights, self.given[n]), (sums[1], slopes, self.rows[n])):
                nisa.nc_matmul(
                    dst=sum_[0 : size_of(part), m, :], stationary=left[:, part], moving=right, accumulate=not first
                )
        flipped = psum((ROWS, len(parts), weights.shape[0]), nl.bfloat16)
        for m, part in enumerate(parts):
            nisa.nc_transpose(dst=flipped[0 : size_of(part), m, :], data=slopes[:, part])
        columns = sbuf(flipped.shape, nl.bfloat16)
        for m, part in enumerate(parts):
            nisa.tensor_copy(dst=columns[0 : size_of(part), m, :], src=flipped[0 : size_of(part), m, :])
            nisa.nc_matmul(dst=total, stationary=columns[0 : size_of(part), m, :], moving=keys[m], accumulate=m > 0)
        nisa.tensor_tensor(dst=self.totals[n], data1=self.totals[n], data2=total, op=nl.add)

    def store(self, dq: Any) -> None:
        """The gradients of q, times 1 / sqrt(d)."""
        for tile, total in zip(self.tiles, self.totals, strict=True):
            result = sbuf(total.shape, dq.dtype)
            nisa.tensor_scalar(dst=result, data=total, op0=nl.multiply, operand0=self.scale)
            store(dq[self.span.start + tile.start : self.span.start + tile.stop, :], result)


def turned(tiles: list[Any]) -> Any:
    """Tiles of rows (at most 128, d), one below the other, as columns (d, rows) in SBUF."""
    rows = 0
    for tile in tiles:
        rows += tile.shape[0]
    columns = sbuf((tiles[0].shape[1], rows), nl.bfloat16)
    for part in spans(rows, COLUMNS):
        first = part.start // ROWS
        turn(columns[:, part], tiles[first : first + COLUMNS // ROWS], nisa.engine.scalar)
    return columns


def _hidden() -> tuple[Any, Any]:
    """An identity, and what is added to the scores of 128 queries (rows) with their own keys; (128, 128) bfloat16."""
    same, future = sbuf((ROWS, ROWS), nl.bfloat16), sbuf((ROWS, ROWS), nl.bfloat16)
    nisa.memset(dst=same, value=1.0)
    nisa.memset(dst=future, value=0.0)
    for tile, other, holds in ((same, 0.0, nl.equal), (future, HIDDEN, nl.greater_equal)):  # row - column against 0
        nisa.affine_select(
            dst=tile, pattern=[[-1, ROWS]], channel_multiplier=1, on_true_tile=tile, on_false_value=other, cmp_op=holds
        )
    return same, future
