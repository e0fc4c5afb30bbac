"""What the kernels of this folder share: tiles in SBUF and PSUM, and one matmul loop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import opentrn.nki.isa as nisa
import opentrn.nki.language as nl

__all__ = ["COLUMNS", "ROWS", "load", "product", "psum", "sbuf"]

ROWS, COLUMNS = 128, 512
"""Tile sizes of TensorE: 128 partitions (and stationary columns), 512 moving columns (nl.tile_size)."""


def sbuf(shape: tuple[int, ...], dtype: Any) -> Any:
    """A new tensor in SBUF."""
    return nl.ndarray(shape, dtype=dtype, buffer=nl.sbuf)


def psum(shape: tuple[int, ...], dtype: Any = nl.float32) -> Any:
    """A new tensor in PSUM."""
    return nl.ndarray(shape, dtype=dtype, buffer=nl.psum)


def load(source: Any, **options: Any) -> Any:
    """A part of HBM as a new tensor in SBUF, by one DMA; `options` are those of dma_copy."""
    tile = sbuf(source.shape, source.dtype)
    nisa.dma_copy(dst=tile, src=source, **options)
    return tile


def product(stationary: Sequence[Any], moving: Sequence[Any]) -> Any:
    """The sum of the products of two lists of tiles, accumulated in a new PSUM tile."""
    total = psum((stationary[0].shape[1], moving[0].shape[1]))
    for left, right in zip(stationary, moving, strict=True):
        nisa.nc_matmul(dst=total, stationary=left, moving=right)
    return total
