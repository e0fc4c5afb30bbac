"""One layer of an MLP, gelu(x w + bias): in two launches, or fused with gelu from a table or from its Taylor form.

Source of the schedules: allenkchau/trainium-kernel-fusion (d709ddf) kernels/baseline/mlp_gemm.py and kernels/fused/mlp.py.
No trace of these is public. The source loads both tiles, and the bias, inside its loops. Loads that do not depend on a loop
are made once, as the compiler hoists them: tiles of lhs_t for a row of results, the bias for all, and rhs where all of it
fits into SBUF (the published times of the large bf16 layers, one that fits and one that does not, leave no other choice).
Loads of neighbouring tiles are joined, as in the attention traces.

lhs_t (K, M), rhs (K, N), bias (1, N) -> (M, N).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import opentrn.nki.isa as nisa
import opentrn.nki.language as nl
from opentrn.validation.kernels.tiles import COLUMNS, ROWS, Stores, load, product, sbuf

__all__ = ["fused_table", "fused_taylor", "gelu", "gemm"]

VECTOR = nisa.vector_engine

JOINED = 4096
"""Bytes per partition that the compiler joins into one DMA: what it did with the rows of scores in the attention traces."""


def _layer(lhs_t: Any, rhs: Any, bias: Any, finish: Callable[[Any], Any]) -> Any:
    rows, columns = lhs_t.shape[1], rhs.shape[1]
    out = nl.ndarray((rows, columns), dtype=lhs_t.dtype, buffer=nl.shared_hbm)
    stores, kept, biases, keeps = Stores(4), {}, {}, _fits(rhs)
    for m in range(rows // ROWS):
        here = slice(m * ROWS, (m + 1) * ROWS)
        left = _column(lhs_t, here)
        for n in range(columns // COLUMNS):
            there = slice(n * COLUMNS, (n + 1) * COLUMNS)
            right = kept[n] if n in kept else _column(rhs, there)
            if keeps:
                kept[n] = right
            if m == 0:
                biases[n] = _on_all_partitions(bias[:, there])
            summed, biased = sbuf((ROWS, COLUMNS), out.dtype), sbuf((ROWS, COLUMNS), out.dtype)
            nisa.tensor_copy(dst=summed, src=product(left, right), engine=VECTOR)
            nisa.tensor_tensor(dst=biased, data1=summed, data2=biases[n], op=nl.add)
            stores.add(out[here, there], finish(biased))
    stores.finish()
    return out


def _fits(rhs: Any) -> bool:
    """All of rhs fits beside two rows of lhs_t; a quarter of SBUF is spared."""
    width = rhs.shape[0] // ROWS * rhs.dt.itemsize
    return width * (rhs.shape[1] + 2 * ROWS) <= nl.tile_size.total_available_sbuf_size * 3 // 4


def _column(source: Any, there: slice) -> list[Any]:
    """The tiles of a column of `source`, several with one DMA."""
    width, steps = there.stop - there.start, source.shape[0] // ROWS
    together = min(steps, max(1, JOINED // (width * source.dt.itemsize)))
    tiles = []
    for first in range(0, steps, together):
        rows = source[first * ROWS : (first + together) * ROWS, there].reshape_dim(0, (together, ROWS))
        block = sbuf((ROWS, together, width), source.dtype)
        nisa.dma_copy(dst=block, src=rows.permute((1, 0, 2)))
        tiles += [block[:, i, :] for i in range(together)]
    return tiles


def _on_all_partitions(row: Any) -> Any:
    """A (1, n) row of HBM on all partitions, by one DMA."""
    tile = sbuf((ROWS, row.shape[1]), row.dtype)
    nisa.dma_copy(dst=tile, src=row.broadcast(0, ROWS))
    return tile


def gemm(lhs_t: Any, rhs: Any, bias: Any) -> Any:
    """x w + bias: the first launch of the unfused layer."""
    return _layer(lhs_t, rhs, bias, lambda tile: tile)


def gelu(y: Any) -> Any:
    """gelu of a (M, N) matrix in HBM: the second launch."""
    out = nl.ndarray(y.shape, dtype=y.dtype, buffer=nl.shared_hbm)
    stores = Stores(4)
    for m in range(0, y.shape[0], ROWS):
        for n in range(0, y.shape[1], COLUMNS):
            here = (slice(m, m + ROWS), slice(n, n + COLUMNS))
            stores.add(out[here], _table(load(y[here])))
    stores.finish()
    return out


def _table(tile: Any) -> Any:
    result = sbuf(tile.shape, tile.dtype)
    nisa.activation(dst=result, op=nl.gelu, data=tile)
    return result


def fused_table(lhs_t: Any, rhs: Any, bias: Any) -> Any:
    """The layer with gelu from ScalarE's table ("pwl" in the source)."""
    return _layer(lhs_t, rhs, bias, _table)


def _scaled(tile: Any, op: Any, number: float) -> Any:
    result = sbuf(tile.shape, tile.dtype)
    nisa.tensor_scalar(dst=result, data=tile, op0=op, operand0=number, engine=VECTOR)
    return result


def _both(left: Any, right: Any, op: Any) -> Any:
    result = sbuf(left.shape, left.dtype)
    nisa.tensor_tensor(dst=result, data1=left, data2=right, op=op)
    return result


def _taylor(x: Any) -> Any:
    """0.5 x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))), operation by operation, tanh as a sigmoid."""
    cubed = _both(_both(x, x, nl.multiply), x, nl.multiply)
    inner = _scaled(_both(_scaled(cubed, nl.multiply, 0.044715), x, nl.add), nl.multiply, 0.7978845608028654)
    sigmoid = sbuf(x.shape, x.dtype)
    nisa.activation(dst=sigmoid, op=nl.sigmoid, data=inner, scale=2.0)
    tanh = _scaled(_scaled(sigmoid, nl.multiply, 2.0), nl.add, -1.0)
    return _both(_scaled(x, nl.multiply, 0.5), _scaled(tanh, nl.add, 1.0), nl.multiply)


def fused_taylor(lhs_t: Any, rhs: Any, bias: Any) -> Any:
    """The layer with gelu from its Taylor form: eleven instructions per tile."""
    return _layer(lhs_t, rhs, bias, _taylor)
