"""What the kernels share: tiles in SBUF and PSUM, spans of a dimension, loads."""

from __future__ import annotations

from typing import Any

import opentrn.nki.isa as nisa
import opentrn.nki.language as nl

__all__ = [
    "COLUMNS", "PSUM_COLUMNS", "ROWS", "RowSums", "column", "load", "load_row", "psum", "row_sum", "sbuf", "shared", "size_of",
    "spans", "store",
]  # fmt: skip

ROWS, COLUMNS = 128, 512
"""Tile sizes of TensorE: 128 partitions (and stationary columns), 512 moving columns (nl.tile_size)."""

PSUM_COLUMNS = 8 * COLUMNS
"""float32 columns of all eight PSUM banks."""


def spans(total: int, size: int) -> list[slice]:
    """`total` in consecutive slices of at most `size`."""
    parts = []
    for start in range(0, total, size):
        parts.append(slice(start, min(start + size, total)))
    return parts


def size_of(span: slice) -> int:
    """Elements of a slice."""
    return span.stop - span.start


def sbuf(shape: tuple[int, ...], dtype: Any) -> Any:
    """A new tensor in SBUF."""
    return nl.ndarray(shape, dtype=dtype, buffer=nl.sbuf)


def psum(shape: tuple[int, ...], dtype: Any = nl.float32) -> Any:
    """A new tensor in PSUM."""
    return nl.ndarray(shape, dtype=dtype, buffer=nl.psum)


def shared(shape: tuple[int, ...], dtype: Any) -> Any:
    """A new tensor in HBM, for a result."""
    return nl.ndarray(shape, dtype=dtype, buffer=nl.shared_hbm)


def load(source: Any, dtype: Any = None) -> Any:
    """A part of HBM as a new tensor in SBUF, by one DMA (which converts, where `dtype` is another)."""
    tile = sbuf(source.shape, dtype or source.dtype)
    nisa.dma_copy(dst=tile, src=source)
    return tile


def load_row(vector: Any, rows: int, dtype: Any = None) -> Any:
    """A vector (n,) of HBM on each of `rows` partitions: (rows, n), by one DMA."""
    return load(vector.reshape((1, vector.shape[0])).broadcast(0, rows), dtype)


def store(dst: Any, tile: Any) -> None:
    """A tile to HBM. SyncE triggers it: it waits for the tile, and loads behind it in one queue would wait too."""
    nisa.dma_copy(dst=dst, src=tile, engine=nisa.engine.sync)


def column(height: int, value: float) -> Any:
    """One number on each of `height` partitions, (P, 1) float32."""
    tile = sbuf((height, 1), nl.float32)
    nisa.memset(dst=tile, value=value)
    return tile


def row_sum(tile: Any, function: Any = nl.copy, *, scale: Any = 1.0, bias: Any = None) -> Any:
    """The sum of ``function(tile * scale + bias)`` over each row, (P, 1) float32; on ScalarE, in one pass.

    The elements themselves are not kept.
    """
    total = sbuf((tile.shape[0], 1), nl.float32)
    aside = sbuf(tile.shape, nl.bfloat16)
    nisa.activation_reduce(
        dst=aside, op=function, data=tile, reduce_op=nl.add, reduce_res=total, scale=scale, bias=bias
    )
    return total


class RowSums(nl.NKIObject):
    """Sums over all rows of tiles (P, width), on TensorE: products with ones that wait in PSUM, at most 4096 columns."""

    def __init__(self, width: int) -> None:
        self.totals: list[Any] = []
        for columns in spans(width, COLUMNS):
            self.totals.append((columns, psum((1, size_of(columns)))))
        self.ones, self.started = sbuf((ROWS, 1), nl.bfloat16), False
        nisa.memset(dst=self.ones, value=1.0)

    def add(self, tile: Any) -> None:
        """One more tile of bfloat16."""
        for columns, total in self.totals:
            ones = self.ones[0 : tile.shape[0], :]
            nisa.nc_matmul(dst=total, stationary=ones, moving=tile[:, columns], accumulate=self.started)
        self.started = True

    def store(self, out: Any) -> None:
        """The sums to a vector in HBM."""
        row = sbuf((1, out.shape[0]), nl.float32)
        for columns, total in self.totals:
            nisa.tensor_copy(dst=row[:, columns], src=total, engine=nisa.engine.vector)
        store(out.reshape((1, out.shape[0])), row)
