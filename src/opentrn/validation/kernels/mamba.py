"""The selective scan of Mamba in the tutorial's three versions.

Source of the schedules: aws-neuron-sdk (81ce03ae) nki/guides/tutorials/fused_mamba.rst and
nki/examples/fused_mamba/mamba_nki_kernels.py. A row of B or C comes onto all partitions by its DMA: the published profile of
version 1 leaves room for the five instructions of a step on VectorE only, at the rate of operands in SBUF.

delta, u (1, channels, length), a (channels, states), b, c (1, states, length) -> (1, channels, length).
"""

from __future__ import annotations

from typing import Any

import opentrn.nki.isa as nisa
import opentrn.nki.language as nl
from opentrn.validation.kernels.tiles import ROWS, Stores, load, sbuf

__all__ = ["scan"]


def scan(delta: Any, u: Any, a: Any, b: Any, c: Any, reload: bool = False, piece: int = 0) -> Any:
    """Version 1 with `reload` (delta and u are loaded for each state), 2 without, 3 with `piece` elements at a time."""
    _, channels, length = delta.shape
    out = nl.ndarray(delta.shape, dtype=delta.dtype, buffer=nl.shared_hbm)
    stores = Stores()
    for first in range(0, channels, ROWS):
        here = slice(first, first + ROWS)
        summed = sbuf((ROWS, length), delta.dtype)
        nisa.memset(dst=summed, value=0.0, engine=nisa.vector_engine)
        pair = None if reload else (load(delta[0, here]), load(u[0, here]))
        for state in range(a.shape[1]):
            both = pair or (load(delta[0, here]), load(u[0, here]))
            rate = load(a[here, state : state + 1])
            before: Any = 0.0
            for start in range(0, length, piece or length):
                part = slice(start, start + (piece or length))
                rows = (b[0, state : state + 1, part], c[0, state : state + 1, part])
                before = _step(summed[:, part], [each[:, part] for each in both], rate, rows, before)
        stores.add(out[0, here], summed)
    stores.finish()
    return out


def _step(summed: Any, both: list[Any], rate: Any, rows: tuple[Any, Any], before: Any) -> Any:
    """One state over one part of the sequence; gives the last column of the scan for the next part."""
    delta, u = both
    decay, input_, driven, state, seen = (sbuf(delta.shape, delta.dtype) for _ in range(5))
    nisa.activation(dst=decay, op=nl.exp, data=delta, scale=rate)
    in_row, out_row = (_on_all_partitions(row) for row in rows)
    nisa.tensor_tensor(dst=input_, data1=delta, data2=u, op=nl.multiply)
    nisa.tensor_tensor(dst=driven, data1=input_, data2=in_row, op=nl.multiply)
    nisa.tensor_tensor_scan(dst=state, data0=decay, data1=driven, initial=before, op0=nl.multiply, op1=nl.add)
    nisa.tensor_tensor(dst=seen, data1=state, data2=out_row, op=nl.multiply)
    nisa.tensor_tensor(dst=summed, data1=summed, data2=seen, op=nl.add)
    return state[:, delta.shape[1] - 1 : delta.shape[1]]


def _on_all_partitions(row: Any) -> Any:
    tile = sbuf((ROWS, row.shape[1]), row.dtype)
    nisa.dma_copy(dst=tile, src=row.broadcast(0, ROWS))
    return tile
