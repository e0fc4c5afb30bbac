"""The gradient of attention, again without a full row of scores: they are computed twice, for the sums of rows and for use."""

from __future__ import annotations

import math
from typing import Any

import opentrn.nki.isa as nisa
import opentrn.nki.language as nl
from opentrn.kernels.attention import load_tiles, turn
from opentrn.kernels.tiles import COLUMNS, ROWS, hbm, identity, psum, sbuf, shared, size_of, spans, store, vector_sum
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
    room = Room(width)
    for head in range(heads):
        group = head // each
        for span in spans(length, QUERIES):
            block = Queries(dy[head], q[head], out[head], span, hidden, room)
            seen = spans(span.stop if causal else k.shape[1], COLUMNS)
            block.weigh(k[group], seen)
            for keys in seen:
                first = head % each == 0 and (keys.start >= span.start if causal else span.start == 0)
                last = (head + 1) % each == 0 and span.stop == length
                before = dk.before(group, keys, first), dv.before(group, keys, first)
                sums = block.multiply(load_tiles(k[group], keys), load_tiles(v[group], keys), keys)
                dk.add(sums[0], before[0], (group, keys), last)
                dv.add(sums[1], before[1], (group, keys), last)
            block.store(dq[head])
    return dq, dk.out, dv.out


class Room(nl.NKIObject):
    """PSUM for the steps of `Queries.multiply`, each its own, so that TensorE may go on while other engines read the last."""

    def __init__(self, width: int) -> None:
        self.banks: list[Any] = []  # two for scores, two for dy v^T
        for _ in range(4):
            self.banks.append(psum((ROWS, COLUMNS)))
        self.flipped = psum((ROWS, COLUMNS // ROWS, ROWS), nl.bfloat16)
        self.totals = psum((ROWS, width)), psum((ROWS, width))


class KeyGradients(nl.NKIObject):
    """Sums over heads and blocks of queries, times a number: they wait in HBM between blocks, in float32."""

    def __init__(self, like: Any, scale: float) -> None:
        self.out, self.partial, self.scale = shared(like.shape, like.dtype), hbm(like.shape, nl.float32), scale

    def before(self, group: int, keys: slice, first: bool) -> list[Any]:
        """The sums until now for keys of a group, if there are any: loaded before they are needed."""
        return [] if first else load_tiles(self.partial[group], keys, dtype=nl.float32)

    def add(self, total: Any, before: list[Any], place: tuple[int, slice], last: bool) -> None:
        """One more term, (128, tiles, d) in PSUM, for (group, keys); with the `last` the sums are complete."""
        group, keys = place
        for n, rows in enumerate(spans(size_of(keys), ROWS)):
            term = total[0 : size_of(rows), n, :]
            result = sbuf(term.shape, self.out.dtype if last else nl.float32)
            if before:
                nisa.scalar_tensor_tensor(
                    dst=result, data=term, op0=nl.multiply, operand0=self.scale, op1=nl.add, operand1=before[n]
                )
            else:
                nisa.tensor_scalar(dst=result, data=term, op0=nl.multiply, operand0=self.scale)
            store(
                (self.out if last else self.partial)[group, keys.start + rows.start : keys.start + rows.stop, :], result
            )


class Queries(nl.NKIObject):
    """A block of queries: tiles of rows, and columns (d, rows), of q and of dy by the sums of weights; the gradients of q."""

    def __init__(self, dy: Any, q: Any, out: Any, span: slice, hidden: tuple[Any, ...], room: Room) -> None:
        self.span, self.tiles, self.hidden, self.room = span, spans(size_of(span), ROWS), hidden, room
        self.scale = 1.0 / math.sqrt(q.shape[1])
        self.rows, self.given, self.results = load_tiles(q, span), load_tiles(dy, span), load_tiles(out, span)
        self.turned: Any = turned(self.rows)
        self.turned_given: Any = None
        self.lowest: Any = None
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

    def scores(self, n: int, keys: slice, columns: Any, bank: Any) -> Any:
        """q k^T of the n-th tile of queries with those keys that it sees, (queries, keys) in a bank of PSUM."""
        tile, total = self.tiles[n], bank[0 : size_of(self.tiles[n]), 0 : self.seen(self.tiles[n], keys)]
        start, (height, width) = self.span.start + tile.start - keys.start, total.shape
        nisa.nc_matmul(dst=total, stationary=self.turned[:, tile], moving=columns[:, 0:width], accumulate=False)
        if self.hidden and start < width:
            same, future = self.hidden
            nisa.nc_matmul(
                dst=total[:, start:], stationary=same[:, 0:height], moving=future[:, 0:height], accumulate=True
            )
        return total

    def weigh(self, k: Any, seen: list[slice]) -> None:
        """Find the largest score of each query and the sum of its weights; divide dy by it."""
        # of each tile and span of keys: -max of the scores and the sum of their exponentials; those not seen weigh nothing
        shape = ROWS, len(self.tiles), len(seen)
        lowest, sums = sbuf(shape, nl.float32), sbuf(shape, nl.float32)
        nisa.memset(dst=lowest, value=-HIDDEN)
        nisa.memset(dst=sums, value=1.0)
        for n, keys in enumerate(seen):
            columns = turned(load_tiles(k, keys))
            for m, tile in enumerate(self.tiles):
                if self.seen(tile, keys) > 0:
                    scores = self.scores(m, keys, columns, self.room.banks[m % 4])
                    place, total = lowest[0 : size_of(tile), m, n : n + 1], sums[0 : size_of(tile), m, n : n + 1]
                    aside = sbuf(scores.shape, nl.bfloat16)
                    nisa.tensor_reduce(dst=place, op=nl.maximum, data=scores, axis=1, negate=True)
                    nisa.tensor_scalar(dst=place, data=place, op0=nl.multiply, operand0=self.scale)
                    nisa.activation_reduce(
                        dst=aside,
                        op=nl.exp,
                        data=scores,
                        reduce_op=nl.add,
                        reduce_res=total,
                        bias=place,
                        scale=self.scale,
                    )
        self.lowest, inverse = sbuf(shape[0:2], nl.float32), sbuf(shape[0:2], nl.float32)
        nisa.tensor_reduce(dst=self.lowest, op=nl.minimum, data=lowest, axis=2)
        whole = self.lowest.expand_dim(2).broadcast(2, len(seen))
        nisa.tensor_tensor(dst=lowest, data1=whole, data2=lowest, op=nl.subtract)
        nisa.activation(dst=lowest, op=nl.exp, data=lowest)
        nisa.tensor_tensor(dst=sums, data1=sums, data2=lowest, op=nl.multiply)
        nisa.tensor_reduce(dst=inverse, op=nl.add, data=sums, axis=2)
        nisa.reciprocal(dst=inverse, data=inverse)
        for n, (given, result) in enumerate(zip(self.given, self.results, strict=True)):
            product = sbuf(given.shape, nl.float32)
            share = inverse[0 : given.shape[0], n : n + 1]
            nisa.tensor_scalar(dst=given, data=given, op0=nl.multiply, operand0=share)
            nisa.tensor_tensor(dst=product, data1=given, data2=result, op=nl.multiply)
            self.shares.append(vector_sum(product, 1.0))
        self.turned_given = turned(self.given)

    def multiply(self, keys: list[Any], values: list[Any], span: slice) -> tuple[Any, Any]:
        """The terms of dk * sqrt(d) and dv of these keys, (128, tiles, d) in PSUM; those of dq are added here.

        TensorE works in order: it makes the scores of two more tiles of queries before it needs what other engines make of
        these.
        """
        columns = turned(keys), turned(values)
        shape = ROWS, len(keys), keys[0].shape[1]
        sums = psum(shape), psum(shape)
        sloped: list[Any] = []
        flipped: list[Any] = []
        for n, tile in enumerate(self.tiles):
            if self.seen(tile, span) > 0:
                sloped.append((n, self._slopes(n, span, columns)))
                if len(sloped) > 1:
                    flipped.append(self._sum(sloped.pop(0), span, sums))
                if len(flipped) > 1:
                    self._add(flipped.pop(0), keys)
        while sloped:
            flipped.append(self._sum(sloped.pop(0), span, sums))
        while flipped:
            self._add(flipped.pop(0), keys)
        return sums

    def _slopes(self, n: int, span: slice, columns: tuple[Any, Any]) -> tuple[Any, Any]:
        """Weights of a tile of queries and the gradient of its scores, (queries, keys) bfloat16."""
        tile = self.tiles[n]
        scores = self.scores(n, span, columns[0], self.room.banks[n % 2])
        weights, slopes = sbuf(scores.shape, nl.bfloat16), sbuf(scores.shape, nl.bfloat16)
        raised = self.room.banks[2 + n % 2][0 : scores.shape[0], 0 : scores.shape[1]]
        moving = columns[1][:, 0 : scores.shape[1]]
        nisa.nc_matmul(dst=raised, stationary=self.turned_given[:, tile], moving=moving, accumulate=False)
        nisa.activation(
            dst=weights, op=nl.exp, data=scores, scale=self.scale, bias=self.lowest[0 : size_of(tile), n : n + 1]
        )
        nisa.scalar_tensor_tensor(
            dst=slopes, data=raised, op0=nl.subtract, operand0=self.shares[n], op1=nl.multiply, operand1=weights
        )
        return weights, slopes

    def _sum(self, held: Any, span: slice, sums: tuple[Any, Any]) -> tuple[int, Any]:
        """Add what a tile of queries gives to the sums of keys; its slopes with keys first, (128, tiles, queries)."""
        n, (weights, slopes) = held
        start, height = self.span.start + self.tiles[n].start, slopes.shape[0]
        parts = spans(slopes.shape[1], ROWS)
        flipped = self.room.flipped[:, 0 : len(parts), 0:height]
        columns = sbuf(flipped.shape, nl.bfloat16)
        for m, part in enumerate(parts):
            nisa.nc_transpose(dst=flipped[0 : size_of(part), m, :], data=slopes[:, part])
        whole = slopes.shape[1] // ROWS
        for tiles, rows in ((slice(0, whole), ROWS), (slice(whole, len(parts)), slopes.shape[1] - whole * ROWS)):
            if size_of(tiles):
                nisa.tensor_copy(
                    dst=columns[0:rows, tiles, :], src=flipped[0:rows, tiles, :], engine=nisa.engine.scalar
                )
        for m, part in enumerate(parts):
            first = n == 0 or (self.hidden and start <= span.start + part.start)
            for total, left, right in ((sums[0], slopes, self.rows[n]), (sums[1], weights, self.given[n])):
                dst = total[0 : size_of(part), m, :]
                nisa.nc_matmul(dst=dst, stationary=left[:, part], moving=right, accumulate=not first)
        return n, columns

    def _add(self, held: tuple[int, Any], keys: list[Any]) -> None:
        """Add what keys give to the gradients of a tile of queries."""
        n, columns = held
        total = self.room.totals[n % 2][0 : self.totals[n].shape[0], :]
        for m in range(columns.shape[1]):
            stationary = columns[0 : keys[m].shape[0], m, :]
            nisa.nc_matmul(dst=total, stationary=stationary, moving=keys[m], accumulate=m > 0)
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
    future = sbuf((ROWS, ROWS), nl.bfloat16)
    nisa.memset(dst=future, value=0.0)
    nisa.affine_select(  # row - column >= 0
        dst=future,
        pattern=[[-1, ROWS]],
        channel_multiplier=1,
        on_true_tile=future,
        on_false_value=HIDDEN,
        cmp_op=nl.greater_equal,
    )
    return identity(ROWS), future
