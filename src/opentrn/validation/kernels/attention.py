"""Attention without a mask, unfused (scores go through HBM twice) and fused (they stay on chip).

Source of the schedules: allenkchau/trainium-kernel-fusion (d709ddf) kernels/baseline/attention.py and kernels/fused/attention.py,
and the order of instructions in its traces (profiling/artifacts/*_s512, *_s1024). The compiler splits the loop over rows of
results into phases, joins the small reductions of several rows, copies four transposes at a time, drops copies that nobody
needs, loads q, k and v through GpSimd and the identities through SyncE, and writes intermediates through ScalarE. No trace
is public for lengths above 1024: there the same phases run over groups of rows that fit.

q, k, v are (128, length); the result is (length, 128). `identity` is a float32 identity (128, 128) and `small` one in the
dtype of v, the second operand of transposes on TensorE.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import opentrn.nki.isa as nisa
import opentrn.nki.language as nl
from opentrn.validation.kernels.tiles import COLUMNS, ROWS, load, psum, sbuf

__all__ = ["fused", "unfused"]

VECTOR, SCALAR = nisa.vector_engine, nisa.scalar_engine
THROUGH_GPSIMD = {"engine": nisa.gpsimd_engine, "dge_mode": nisa.dge_mode.swdge}
THROUGH_SYNC = {"engine": nisa.engine.sync, "dge_mode": nisa.dge_mode.hwdge}
THROUGH_SCALAR = {"engine": SCALAR, "dge_mode": nisa.dge_mode.hwdge}

ROWS_OF_SCORES = 1024
"""Scores that one DMA of the unfused kernel moves per partition: two rows of tiles at length 512, one at 1024."""


class _Inputs(nl.NKIObject):
    """q, k, v and the identities in SBUF, and v in columns of 128, transposed to float32."""

    def __init__(self, q: Any, k: Any, v: Any, identity: Any, small: Any) -> None:
        self.identity = load(identity, **THROUGH_SYNC)
        self.two = small is not None
        self.small = load(small, **THROUGH_SYNC) if self.two else self.identity
        self.v, self.q, self.k = (load(each, **THROUGH_GPSIMD) for each in (v, q, k))
        self.rows, self.chunks = q.shape[1] // ROWS, q.shape[1] // COLUMNS

    def values(self) -> Any:
        """v transposed: (128, length / 128, 128) in float32, through PSUM four tiles at a time.

        The compiler copied those of 16-bit inputs one by one where there are more than four.
        """
        held = sbuf((ROWS, self.rows, ROWS), nl.float32)
        together = 1 if self.two and self.rows > 4 else 4
        for first in range(0, self.rows, together):
            turned = psum((ROWS, together, ROWS), self.v.dtype)
            for i in range(together):
                _transpose(turned[:, i, :], self.v[:, _part(first + i, ROWS)], self.small)
            nisa.tensor_copy(dst=held[:, first : first + together, :], src=turned, engine=SCALAR)
        return held

    def scores(self, row: int, chunk: int) -> Any:
        """One tile of q^T k in PSUM."""
        total = psum((ROWS, COLUMNS))
        nisa.nc_matmul(dst=total, stationary=self.q[:, _part(row, ROWS)], moving=self.k[:, _part(chunk, COLUMNS)])
        return total


def _part(index: int, width: int) -> slice:
    return slice(index * width, (index + 1) * width)


def _transpose(dst: Any, tile: Any, identity: Any) -> None:
    nisa.nc_matmul(dst=dst, stationary=tile, moving=identity, is_moving_onezero=True, is_transpose=True)


def _row_max(tiles: Sequence[Sequence[Any]]) -> Any:
    """Minus the largest score of each row: (128, rows of tiles)."""
    largest, negative = sbuf((ROWS, len(tiles), len(tiles[0])), nl.float32), sbuf((ROWS, len(tiles)), nl.float32)
    for i, line in enumerate(tiles):
        for j, tile in enumerate(line):
            nisa.tensor_reduce(dst=largest[:, i, j : j + 1], op=nl.maximum, data=tile, axis=1)
    nisa.tensor_reduce(dst=negative, op=nl.maximum, data=largest, axis=2, negate=True)
    return negative


def _inverse(sums: Any) -> Any:
    """1 / (the sum over the last dimension)."""
    total, inverse = sbuf(sums.shape[:2], nl.float32), sbuf(sums.shape[:2], nl.float32)
    nisa.tensor_reduce(dst=total, op=nl.add, data=sums, axis=2)
    nisa.reciprocal(dst=inverse, data=total)
    return inverse


def _exponentials(tiles: Sequence[Sequence[Any]], each: Any = None) -> tuple[Any, Any]:
    """exp(scores - max) as (128, rows, length), and its sums by tile; `each` is called after each tile."""
    rows, chunks = len(tiles), len(tiles[0])
    negative = _row_max(tiles)
    result, sums = sbuf((ROWS, rows, chunks * COLUMNS), nl.float32), sbuf((ROWS, rows, chunks), nl.float32)
    for i, line in enumerate(tiles):
        for j, tile in enumerate(line):
            dst = result[:, i, _part(j, COLUMNS)]
            nisa.activation(dst=dst, op=nl.exp, data=tile, bias=negative[:, i : i + 1], scale=1.0)
            nisa.tensor_reduce(dst=sums[:, i, j : j + 1], op=nl.add, data=dst, axis=1)
            if each is not None:
                each(i, j, dst)
    return result, _inverse(sums)


def _turn(tile: Any, identity: Any) -> Any:
    """A (128, 512) tile as four transposed ones in one PSUM bank."""
    turned = psum((ROWS, 4, ROWS))
    for i in range(4):
        _transpose(turned[:, i, :], tile[:, _part(i, ROWS)], identity)
    return turned


def _weighted(turned: Any, values: Any) -> Any:
    """The tile of results of one row of weights: (128, 128) in PSUM."""
    total = psum((ROWS, ROWS))
    for k in range(values.shape[1]):
        nisa.nc_matmul(dst=total, stationary=turned[:, k, :], moving=values[:, k, :])
    return total


# ---------------------------------------------------------------- fused
def fused(q: Any, k: Any, v: Any, identity: Any, small: Any = None, rows_at_once: int = 4) -> Any:
    """Scores, softmax and weighted sum for `rows_at_once` rows of tiles at a time; one DMA writes everything at the end."""
    out = nl.ndarray((q.shape[1], ROWS), dtype=q.dtype, buffer=nl.shared_hbm)
    inputs = _Inputs(q, k, v, identity, small)
    values = inputs.values()
    results = sbuf((ROWS, inputs.rows, ROWS), nl.float32)
    for first in range(0, inputs.rows, rows_at_once):
        _fused_rows(inputs, values, results[:, first : first + rows_at_once, :], first)
    nisa.dma_copy(dst=out.reshape((inputs.rows, ROWS, ROWS)).permute((1, 0, 2)), src=results, **THROUGH_GPSIMD)
    return out


def _fused_rows(inputs: _Inputs, values: Any, results: Any, first: int) -> None:
    rows = range(first, first + results.shape[1])
    held = [[_held(inputs, row, chunk) for chunk in range(1, inputs.chunks)] for row in rows]
    tiles = [[inputs.scores(row, 0), *others] for row, others in zip(rows, held, strict=True)]
    turned = sbuf((ROWS, len(rows), 4 * inputs.chunks, ROWS), nl.float32)
    late: list[tuple[Any, Any, Any]] = []

    def each(i: int, j: int, tile: Any) -> None:
        position = i * inputs.chunks + j
        late.append(
            (turned[:, i, 4 * j : 4 * j + 4, :], _turn(tile, inputs.identity), _copier(position, inputs.chunks))
        )
        # ScalarE makes exponentials, so copies wait in the PSUM banks that the rows to come leave free.
        if position == 1 or len(late) > BANKS - 1 - (len(rows) - i):
            _copy_first(late)

    _, inverse = _exponentials(tiles, each)
    while late:
        _copy_first(late)
    for i in range(len(rows)):
        total = _weighted(turned[:, i], values)
        nisa.tensor_scalar(
            dst=results[:, i, :], data=total, op0=nl.multiply, operand0=inverse[:, i : i + 1], engine=VECTOR
        )


BANKS = 8
"""PSUM banks of one tile of 512 float32 each."""


def _copier(position: int, chunks: int) -> Any:
    """Who copies the transposed tile at `position` of a group, as in the traces of length 512 and 1024."""
    return VECTOR if position == 0 or (chunks > 1 and position % 8 in (0, 5, 7)) else SCALAR


def _copy_first(late: list[tuple[Any, Any, Any]]) -> None:
    dst, src, engine = late.pop(0)
    nisa.tensor_copy(dst=dst, src=src, engine=engine)


def _held(inputs: _Inputs, row: int, chunk: int) -> Any:
    """A tile of scores copied to SBUF: PSUM holds only one tile of each row of a group."""
    tile = sbuf((ROWS, COLUMNS), nl.float32)
    nisa.tensor_copy(dst=tile, src=inputs.scores(row, chunk), engine=SCALAR if row % 2 == 0 else VECTOR)
    return tile


# ---------------------------------------------------------------- unfused
def unfused(q: Any, k: Any, v: Any, identity: Any, small: Any = None) -> Any:
    """Scores to HBM; back, softmax, to HBM; back, transposed, weighted sum."""
    length = q.shape[1]
    out = nl.ndarray((length, ROWS), dtype=q.dtype, buffer=nl.shared_hbm)
    scores = nl.ndarray((length // ROWS, ROWS, length), dtype=nl.float32, buffer=nl.shared_hbm)
    inputs = _Inputs(q, k, v, identity, small)
    together = max(1, ROWS_OF_SCORES // length)
    at_once = inputs.rows if length <= ROWS_OF_SCORES else max(together, 8192 // length)
    _write_scores(inputs, scores, together)
    values = inputs.values()
    for first in range(0, inputs.rows, at_once):
        _write_weights(scores[first : first + at_once], together)
    _write_results(inputs, values, scores, out, together)
    return out


def _groups(scores: Any, together: int) -> list[Any]:
    """Parts of the score matrix that one DMA moves: (128, `together`, length)."""
    return [scores[i : i + together].permute((1, 0, 2)) for i in range(0, scores.shape[0], together)]


def _write_scores(inputs: _Inputs, scores: Any, together: int) -> None:
    for group, dst in enumerate(_groups(scores, together)):
        held = sbuf(dst.shape, nl.float32)
        for i in range(together):
            for j in range(inputs.chunks):
                engine = SCALAR if (i * inputs.chunks + j) % 2 == 0 else VECTOR
                tile = inputs.scores(group * together + i, j)
                nisa.tensor_copy(dst=held[:, i, _part(j, COLUMNS)], src=tile, engine=engine)
        nisa.dma_copy(dst=dst, src=held, **THROUGH_SCALAR)


def _write_weights(scores: Any, together: int) -> None:
    loaded = [load(group, **THROUGH_SYNC) for group in _groups(scores, together)]
    tiles = [_chunks(group[:, i]) for group in loaded for i in range(together)]
    powers, inverse = _exponentials(tiles)
    for first, dst in zip(range(0, len(tiles), together), _groups(scores, together), strict=True):
        weights = sbuf(dst.shape, nl.float32)
        for i in range(together):
            scale = inverse[:, first + i : first + i + 1]
            for to, tile in zip(_chunks(weights[:, i]), _chunks(powers[:, first + i]), strict=True):
                nisa.tensor_scalar(dst=to, data=tile, op0=nl.multiply, operand0=scale, engine=VECTOR)
        nisa.dma_copy(dst=dst, src=weights, **THROUGH_SCALAR)


def _chunks(row: Any) -> list[Any]:
    return [row[:, _part(j, COLUMNS)] for j in range(row.shape[1] // COLUMNS)]


def _write_results(inputs: _Inputs, values: Any, scores: Any, out: Any, together: int) -> None:
    four, last = sbuf((ROWS, 4, ROWS), out.dtype), out.reshape((inputs.rows, ROWS, ROWS))
    for group, src in enumerate(_groups(scores, together)):
        weights = load(src, **THROUGH_SYNC)
        for i in range(together):
            row = group * together + i
            turned = sbuf((ROWS, inputs.rows, ROWS), nl.float32)
            for j, tile in enumerate(_chunks(weights[:, i])):
                nisa.tensor_copy(dst=turned[:, 4 * j : 4 * j + 4, :], src=_turn(tile, inputs.identity), engine=SCALAR)
            engine = VECTOR if row % 4 == 1 or (row % 4 == 0 and inputs.chunks > 1) else SCALAR
            nisa.tensor_copy(dst=four[:, row % 4, :], src=_weighted(turned, values), engine=engine)
            if row % 4 == 3:
                nisa.dma_copy(dst=last[row - 3 : row + 1].permute((1, 0, 2)), src=four, **THROUGH_GPSIMD)
                four = sbuf((ROWS, 4, ROWS), out.dtype)
