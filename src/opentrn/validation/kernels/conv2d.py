"""A convolution with bias and max pooling as matrix products: CS149 assignment 4, part 2.

Sources of the schedules: `row_by_row`: xaviergonzalez/asst4-trainium2 (d155261) part2/conv2d.py (trn2); `two_rows`:
robertpare17/asst4-trainium (8a1d41c) part2/conv2d.py (trn1). Neither repository has a licence: the code here is ours. The
test harness compiles with --disable-dge.

x (1, C, H, W), weights (D, C, 3, 3), bias (D,) -> (1, D, H - 2, W - 2), both halved by pooling.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import opentrn.nki.isa as nisa
import opentrn.nki.language as nl
from opentrn.validation.kernels.tiles import ROWS, STATIC, Stores, load, psum, sbuf

__all__ = ["row_by_row", "two_rows"]

VECTOR = nisa.vector_engine


def _result(x: Any, weights: Any, pool: int) -> Any:
    height, width = x.shape[2] - weights.shape[2] + 1, x.shape[3] - weights.shape[3] + 1
    shape = (x.shape[0], weights.shape[0], height // pool, width // pool)
    return nl.ndarray(shape, dtype=x.dtype, buffer=nl.shared_hbm)


def _loaded_weights(weights: Any) -> dict[tuple[int, int], Any]:
    """(out tile, in tile) -> its (out, in, 3, 3) block in SBUF."""
    outs, ins = (range(size // ROWS) for size in weights.shape[:2])
    part = [slice(n * ROWS, (n + 1) * ROWS) for n in range(max(len(outs), len(ins)))]
    return {(o, c): load(weights[part[o], part[c]], **STATIC) for o in outs for c in ins}


def _turned(tile: Any) -> Any:
    """A (out, in) tile of weights as (in, out), turned by TensorE."""
    turned, held = psum((ROWS, ROWS), tile.dtype), sbuf((ROWS, ROWS), tile.dtype)
    nisa.nc_transpose(dst=turned, data=tile, engine=nisa.tensor_engine)
    nisa.tensor_copy(dst=held, src=turned, engine=VECTOR)
    return held


def _turned_weights(weights: Any) -> dict[tuple[int, ...], Any]:
    """(out tile, in tile, i, j) -> the (in, out) tile of filter position (i, j)."""
    taps = [(i, j) for i in range(weights.shape[2]) for j in range(weights.shape[3])]
    blocks = _loaded_weights(weights)
    return {(*key, i, j): _turned(block[:, :, i, j]) for key, block in blocks.items() for i, j in taps}


def _bias(bias: Any, tile: int) -> Any:
    return load(bias[tile * ROWS : (tile + 1) * ROWS].reshape((ROWS, 1)), **STATIC)


def row_by_row(x: Any, weights: Any, bias: Any, pool: int = 1) -> Any:
    """One row of the image at a time; each row of x is loaded for each row of the filter."""
    out, turned = _result(x, weights, pool), _turned_weights(weights)
    width, taps, stores = x.shape[3] - weights.shape[3] + 1, weights.shape[2], Stores(2, **STATIC)
    for o in range(weights.shape[0] // ROWS):
        for y in range(out.shape[2]):
            rows = sbuf((ROWS, pool, width), x.dtype)
            for p in range(pool):
                total = psum((ROWS, width))
                for c in range(x.shape[1] // ROWS):
                    for i in range(taps):
                        row = load(x[0, c * ROWS : (c + 1) * ROWS, y * pool + p + i, :], **STATIC)
                        for j in range(taps):
                            nisa.nc_matmul(dst=total, stationary=turned[o, c, i, j], moving=row[:, j : j + width])
                nisa.tensor_copy(dst=rows[:, p, :], src=total)
            stores.add(out[0, o * ROWS : (o + 1) * ROWS, y, :], _pooled_row(rows, _bias(bias, o), pool))
    stores.finish()
    return out


def _pooled_row(rows: Any, bias: Any, pool: int) -> Any:
    shape = (ROWS, rows.shape[2] // pool)
    largest, biased = sbuf(shape, rows.dtype), sbuf(shape, rows.dtype)
    pairs = rows.reshape((ROWS, pool, shape[1], pool)).permute((0, 2, 1, 3))
    nisa.tensor_reduce(dst=largest, op=nl.maximum, data=pairs, axis=(2, 3))
    nisa.tensor_scalar(dst=biased, data=largest, op0=nl.add, operand0=bias, engine=VECTOR)
    return biased


AHEAD = 8
"""Filter positions whose weights and window are made before their products: enough to hide both behind the products."""


def two_rows(x: Any, weights: Any, bias: Any, pool: int = 1) -> Any:
    """Two rows of the image at a time; a strip of four rows of x is loaded once and copied for each filter position.

    The write-up says that ScalarE makes these copies. The source multiplies by weights that are not transposed, so each
    product is preceded by a transpose on TensorE; it is made some positions earlier, as a scheduler does it.
    """
    out, blocks = _result(x, weights, pool), _loaded_weights(weights)
    tiles = range(weights.shape[0] // ROWS)
    biases, stores, waiting = [_bias(bias, o) for o in tiles], Stores(4, **STATIC), []
    for y in range(0, x.shape[2] - weights.shape[2] + 1, 2):
        totals = [psum((ROWS, 2, out.shape[3] * pool)) for _ in tiles]
        positions = list(_positions(x, weights.shape[2], y))
        for number, (c, i, j, rows) in enumerate(positions):
            made = [_turned(blocks[o, c][:, :, i, j]) for o in tiles]
            last = (y // pool, out, biases, pool, stores) if number == len(positions) - 1 else None
            waiting.append((totals, made, _window(rows, j, totals[0].shape[2]), last))
            if len(waiting) > AHEAD:
                _multiply(*waiting.pop(0))
    for each in waiting:
        _multiply(*each)
    stores.finish()
    return out


def _positions(x: Any, taps: int, y: int) -> Iterator[tuple[int, int, int, list[Any]]]:
    """(in tile, i, j, the two rows of x) for two rows of results from `y` on."""
    for c in range(x.shape[1] // ROWS):
        strip = [load(x[0, c * ROWS : (c + 1) * ROWS, y + row, :], **STATIC) for row in range(taps + 1)]
        for i in range(taps):
            for j in range(taps):
                yield c, i, j, strip[i : i + 2]


def _window(rows: list[Any], j: int, width: int) -> Any:
    window = sbuf((ROWS, 2, width), rows[0].dtype)
    for number, row in enumerate(rows):
        nisa.activation(dst=window[:, number, :], op=nl.copy, data=row[:, j : j + width])
    return window


def _multiply(totals: list[Any], weights: list[Any], window: Any, last: tuple[Any, ...] | None) -> None:
    """The products of one filter position; after the last one of two rows the results go out."""
    for total, stationary in zip(totals, weights, strict=True):
        nisa.nc_matmul(dst=total, stationary=stationary, moving=window)
    if last is not None:
        first, out, biases, pool, stores = last
        for o, total in enumerate(totals):
            for row, made in enumerate(_two_rows_out(total, biases[o], pool)):
                stores.add(out[0, o * ROWS : (o + 1) * ROWS, first + row, :], made)


def _two_rows_out(total: Any, bias: Any, pool: int) -> list[Any]:
    """Two rows of one tile: PSUM to SBUF, a copy and the bias for each, and the largest of four where pooled."""
    held, rows = sbuf(total.shape, bias.dtype), []
    nisa.tensor_copy(dst=held, src=total, engine=VECTOR)
    for row in range(2):
        copied, biased = sbuf((ROWS, total.shape[2]), bias.dtype), sbuf((ROWS, total.shape[2]), bias.dtype)
        nisa.tensor_copy(dst=copied, src=held[:, row, :], engine=VECTOR)
        nisa.tensor_scalar(dst=biased, data=copied, op0=nl.add, operand0=bias, engine=VECTOR)
        rows.append(biased)
    return rows if pool == 1 else [_largest_of_four(rows)]


def _largest_of_four(rows: list[Any]) -> Any:
    width = rows[0].shape[1]
    both, largest = sbuf((ROWS, width), rows[0].dtype), sbuf((ROWS, width // 2), rows[0].dtype)
    nisa.tensor_tensor(dst=both, data1=rows[0], data2=rows[1], op=nl.maximum)
    pairs, sides = both.reshape((ROWS, width // 2, 2)), []
    for side in range(2):
        copied = sbuf((ROWS, width // 2), both.dtype)
        nisa.tensor_copy(dst=copied, src=pairs[:, :, side], engine=VECTOR)
        sides.append(copied)
    nisa.tensor_tensor(dst=largest, data1=sides[0], data2=sides[1], op=nl.maximum)
    return largest
