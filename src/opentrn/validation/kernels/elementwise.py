"""Kernels of the NKIBench collection that VectorE and ScalarE decide: silu, AdamW, rotary embedding.

Source of the schedules: zhang677/AccelOpt (47e29a7) NKIBench/kernels/silu_M4096_N7168_0.py, adamw_M10944_N2048_0.py,
rope_single_freq_apply_B1_H64_N4096_D128_0.py. The source leaves engines open. The published shares of ScalarE (silu 31 % of
1333 us, AdamW 62 % of 2000 us) are those of two and of eight passes, so reciprocals and products with a number run there.
"""

from __future__ import annotations

from typing import Any

import opentrn.nki.isa as nisa
import opentrn.nki.language as nl
from opentrn.validation.kernels.tiles import COLUMNS, ROWS, Stores, load, sbuf

__all__ = ["adamw", "rope", "silu"]

WIDTH = 1024
"""Elements per partition that one DMA brings."""


def _plus(tile: Any, number: float) -> Any:
    result = sbuf(tile.shape, tile.dtype)
    nisa.tensor_scalar(dst=result, data=tile, op0=nl.add, operand0=number, engine=nisa.vector_engine)
    return result


def _both(left: Any, right: Any, op: Any, dst: Any = None) -> Any:
    result = sbuf(left.shape, left.dtype) if dst is None else dst
    nisa.tensor_tensor(dst=result, data1=left, data2=right, op=op)
    return result


def _on_scalar(tile: Any, op: Any = nl.copy, scale: float = 1.0) -> Any:
    result = sbuf(tile.shape, tile.dtype)
    nisa.activation(dst=result, op=op, data=tile, scale=scale)
    return result


def _inverse(tile: Any) -> Any:
    return _on_scalar(tile, nl.reciprocal)


def silu(x: Any) -> Any:
    """x (128, rows, columns) -> the same: x / (1 + exp(-x))."""
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    stores = Stores(2)
    for row in range(x.shape[1]):
        for start in range(0, x.shape[2], WIDTH):
            here = (slice(None), row, slice(start, start + WIDTH))
            tile = load(x[here])
            result = sbuf(tile.shape, tile.dtype)
            for first in range(0, WIDTH, COLUMNS):
                part = tile[:, first : first + COLUMNS]
                inverse = _inverse(_plus(_on_scalar(part, nl.exp, -1.0), 1.0))
                _both(part, inverse, nl.multiply, result[:, first : first + COLUMNS])
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
            for first in range(0, WIDTH, COLUMNS):
                part = slice(first, first + COLUMNS)
                _adamw(result[:, part], [tile[:, part] for tile in tiles])
            stores.add(out[here], result)
    stores.finish()
    return out


def _adamw(dst: Any, tiles: list[Any]) -> None:
    theta, mean, square, gradient = tiles
    decayed = _both(theta, _on_scalar(theta, scale=1e-5), nl.subtract)
    momentum = _both(_on_scalar(mean, scale=0.9), _on_scalar(gradient, scale=0.1), nl.add)
    step = _on_scalar(momentum, scale=0.01)
    newer = _both(_on_scalar(gradient, scale=0.001), gradient, nl.multiply)
    variance = _both(_on_scalar(square, scale=0.999), newer, nl.add)
    root = _on_scalar(variance, nl.sqrt, 1000.0)
    update = _both(step, _inverse(_plus(root, 1e-8)), nl.multiply)
    _both(decayed, update, nl.subtract, dst)


def rope(x: Any, cosine: Any, sine: Any) -> Any:
    """x (d, s), cosine and sine (d / 2, s) -> (d, s): the rotary embedding, 512 columns at a time."""
    (depth, length), half = x.shape, x.shape[0] // 2
    out = nl.ndarray(x.shape, dtype=x.dtype, buffer=nl.shared_hbm)
    low, high, stores = slice(0, half), slice(half, depth), Stores(2)
    for start in range(0, length, COLUMNS):
        part = slice(start, start + COLUMNS)
        tile, result = load(x[:, part]), sbuf((depth, COLUMNS), x.dtype)
        cos, sin, odd = load(cosine[:, part]), load(sine[:, part]), sbuf((half, COLUMNS), x.dtype)
        nisa.tensor_copy(dst=odd, src=tile[high])
        even = tile[low]
        products = [_both(side, wave, nl.multiply) for wave in (cos, sin) for side in (even, odd)]
        even_cos, odd_cos, even_sin, odd_sin = products
        _both(even_cos, odd_sin, nl.subtract, result[low])
        _both(odd_cos, even_sin, nl.add, result[high])
        stores.add(out[:, part], result)
    stores.finish()
    return out
