"""Kernels of the NKIBench collection that VectorE and ScalarE decide: silu, AdamW, rotary embedding.

Source of the schedules: zhang677/AccelOpt (47e29a7) NKIBench/kernels/silu_M4096_N7168_0.py, adamw_M10944_N2048_0.py,
rope_single_freq_apply_B1_H64_N4096_D128_0.py. The source leaves engines open. The published shares of ScalarE are those of two
passes (silu, 31 % of 1333 us), of eight (AdamW, 62 % of 2000 us) and of one copy (rope, 14 % of 4333 us): reciprocals,
products with a number and copies run there.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import opentrn.nki.isa as nisa
import opentrn.nki.language as nl
from opentrn.validation.kernels.tiles import COLUMNS, ROWS, Stores, load, sbuf

__all__ = ["adamw", "rope", "silu"]

WIDTH = 1024
"""Elements per partition that one DMA brings."""


Lanes: TypeAlias = list[Any]
"""The same step of independent tiles, side by side: a scheduler does not wait for one where it can go on with another."""


def _new(lanes: Lanes) -> Lanes:
    return [sbuf(tile.shape, tile.dtype) for tile in lanes]


def _plus(lanes: Lanes, number: float) -> Lanes:
    results = _new(lanes)
    for dst, tile in zip(results, lanes, strict=True):
        nisa.tensor_scalar(dst=dst, data=tile, op0=nl.add, operand0=number, engine=nisa.vector_engine)
    return results


def _on_scalar(lanes: Lanes, op: Any = nl.copy, scale: float = 1.0) -> Lanes:
    results = _new(lanes)
    for dst, tile in zip(results, lanes, strict=True):
        nisa.activation(dst=dst, op=op, data=tile, scale=scale)
    return results


def _both(left: Lanes, right: Lanes, op: Any, results: Lanes | None = None) -> Lanes:
    results = _new(left) if results is None else results
    for dst, first, second in zip(results, left, right, strict=True):
        nisa.tensor_tensor(dst=dst, data1=first, data2=second, op=op)
    return results


def _lanes(tile: Any) -> Lanes:
    return [tile[:, first : first + COLUMNS] for first in range(0, tile.shape[1], COLUMNS)]


def silu(x: Any) -> Any:
    """x (128, rows, columns) -> the same: x / (1 + exp(-x))."""
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    stores = Stores(2)
    for row in range(x.shape[1]):
        for start in range(0, x.shape[2], WIDTH):
            here = (slice(None), row, slice(start, start + WIDTH))
            tile = load(x[here])
            result = sbuf(tile.shape, tile.dtype)
            power = _on_scalar(_lanes(tile), nl.exp, -1.0)
            inverse = _on_scalar(_plus(power, 1.0), nl.reciprocal)
            _both(_lanes(tile), inverse, nl.multiply, _lanes(result))
            stores.add(out[here], result)
    stores.finish()
    return out


def adamw(theta: Any, gradient: Any, mean: Any, square: Any) -> Any:
    """All (rows, columns) -> the parameters after one step of AdamW (its constants are those of the source)."""
    out = nl.ndarray(theta.shape, dtype=theta.dtype, buffer=nl.shared_hbm)
    stores = Stores(2)
    for row in range(0, theta.shape[0], ROWS):
        for start in range(0, theta.shape[1], WIDTH):
            here = (slice(row, min(row + ROWS, theta.shape[0])), slice(start, start + WIDTH))
            tiles = [load(each[here]) for each in (theta, mean, square, gradient)]
            result = sbuf(tiles[0].shape, theta.dtype)
            _adamw(_lanes(result), [_lanes(tile) for tile in tiles])
            stores.add(out[here], result)
    stores.finish()
    return out


def _adamw(results: Lanes, tiles: list[Lanes]) -> None:
    theta, mean, square, gradient = tiles
    decayed = _both(theta, _on_scalar(theta, scale=1e-5), nl.subtract)
    momentum = _both(_on_scalar(mean, scale=0.9), _on_scalar(gradient, scale=0.1), nl.add)
    step = _on_scalar(momentum, scale=0.01)
    newer = _both(_on_scalar(gradient, scale=0.001), gradient, nl.multiply)
    variance = _both(_on_scalar(square, scale=0.999), newer, nl.add)
    root = _on_scalar(variance, nl.sqrt, 1000.0)
    update = _both(step, _on_scalar(_plus(root, 1e-8), nl.reciprocal), nl.multiply)
    _both(decayed, update, nl.subtract, results)


def rope(x: Any, cosine: Any, sine: Any) -> Any:
    """x (d, s), cosine and sine (d / 2, s) -> (d, s): the rotary embedding, 512 columns at a time."""
    (depth, length), half = x.shape, x.shape[0] // 2
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    low, high, stores = slice(0, half), slice(half, depth), Stores(2)
    for start in range(0, length, COLUMNS):
        part = slice(start, start + COLUMNS)
        tile, result = load(x[:, part]), sbuf((depth, COLUMNS), x.dtype)
        cos, sin = load(cosine[:, part]), load(sine[:, part])
        (odd,) = _on_scalar([tile[high]])
        even = tile[low]
        sides = [even, odd, even, odd]
        even_cos, odd_cos, even_sin, odd_sin = _both(sides, [cos, cos, sin, sin], nl.multiply)
        _both([even_cos], [odd_sin], nl.subtract, [result[low]])
        _both([odd_cos], [even_sin], nl.add, [result[high]])
        stores.add(out[:, part], result)
    stores.finish()
    return out
