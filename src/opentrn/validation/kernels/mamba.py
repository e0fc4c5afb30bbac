"""The selective scan of Mamba in the tutorial's three versions.

Source of the schedules: aws-neuron-sdk (81ce03ae) nki/guides/tutorials/fused_mamba.rst and
nki/examples/fused_mamba/mamba_nki_kernels.py. In versions 2 and 3 the product delta * u does not depend on the state and is made
once. A row of B or C of up to 512 elements comes onto all partitions by a product with ones, so that VectorE reads it from
PSUM: the published times of VectorE (149 us for version 1 of 256 channels, 1.57 ms for version 2 of 4096) are those of
four and five instructions at these rates. Longer rows, which no PSUM bank holds, come by DMA.

delta, u (1, channels, length), a (channels, states), b, c (1, states, length) -> (1, channels, length).
"""

from __future__ import annotations

from typing import Any

import opentrn.nki.isa as nisa
import opentrn.nki.language as nl
from opentrn.validation.kernels.tiles import COLUMNS, ROWS, load, psum, sbuf

__all__ = ["scan"]

VECTOR = nisa.vector_engine


def scan(delta: Any, u: Any, a: Any, b: Any, c: Any, reload: bool = False, piece: int = 0) -> Any:
    """Version 1 with `reload` (delta and u are loaded for each state), 2 without, 3 with `piece` elements at a time."""
    _, channels, length = delta.shape
    out = nl.ndarray(delta.shape, dtype=delta.dtype, buffer=nl.shared_hbm)
    ones = sbuf((1, ROWS), delta.dtype)
    nisa.memset(dst=ones, value=1.0, engine=VECTOR)
    for first in range(0, channels, ROWS):
        here = slice(first, first + ROWS)
        summed = sbuf((ROWS, length), delta.dtype)
        nisa.memset(dst=summed, value=0.0, engine=VECTOR)
        pair = None if reload else _inputs(delta[0, here], u[0, here])
        for state in range(a.shape[1]):
            both = pair or _inputs(delta[0, here], u[0, here])
            rate = load(a[here, state : state + 1])
            before: Any = 0.0
            for start in range(0, length, piece or length):
                part = slice(start, start + (piece or length))
                rows = [_on_all_partitions(row[0, state : state + 1, part], ones) for row in (b, c)]
                before = _step(summed[:, part], [each[:, part] for each in both], rate, rows, before)
        nisa.dma_copy(dst=out[0, here], src=summed)
    return out


def _inputs(delta: Any, u: Any) -> tuple[Any, Any]:
    """delta and delta * u in SBUF."""
    loaded, driving = load(delta), sbuf(delta.shape, delta.dtype)
    nisa.tensor_tensor(dst=driving, data1=loaded, data2=load(u), op=nl.multiply)
    return loaded, driving


def _step(summed: Any, both: list[Any], rate: Any, rows: list[Any], before: Any) -> Any:
    """One state over one part of the sequence; gives the last column of the scan for the next part."""
    delta, driving = both
    decay, driven, state, seen = (sbuf(delta.shape, delta.dtype) for _ in range(4))
    nisa.activation(dst=decay, op=nl.exp, data=delta, scale=rate)
    nisa.tensor_tensor(dst=driven, data1=driving, data2=rows[0], op=nl.multiply)
    nisa.tensor_tensor_scan(dst=state, data0=decay, data1=driven, initial=before, op0=nl.multiply, op1=nl.add)
    nisa.tensor_tensor(dst=seen, data1=state, data2=rows[1], op=nl.multiply)
    nisa.tensor_tensor(dst=summed, data1=summed, data2=seen, op=nl.add)
    return state[:, delta.shape[1] - 1 : delta.shape[1]]


def _on_all_partitions(row: Any, ones: Any) -> Any:
    if row.shape[1] > COLUMNS:
        tile = sbuf((ROWS, row.shape[1]), row.dtype)
        nisa.dma_copy(dst=tile, src=row.broadcast(0, ROWS))
        return tile
    spread = psum((ROWS, row.shape[1]))
    nisa.nc_matmul(dst=spread, stationary=ones, moving=load(row), is_stationary_onezero=True)
    return spread
