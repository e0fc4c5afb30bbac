"""What the kernels share: tiles in SBUF and PSUM, spans of a dimension, loads."""

from __future__ import annotations

from typing import Any

import opentrn.nki.isa as nisa
import opentrn.nki.language as nl

__all__ = [
    "COLUMNS", "PSUM_COLUMNS", "ROWS", "RowSums", "column", "folded", "hbm", "identity", "load", "load_row", "mixed",
    "psum", "row_sum", "sbuf", "shared", "size_of", "spans", "store", "vector_sum",
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


def hbm(shape: tuple[int, ...], dtype: Any = nl.bfloat16) -> Any:
    """A tensor in HBM for what lies between two steps."""
    return nl.ndarray(shape, dtype=dtype, buffer=nl.private_hbm)


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


def identity(size: int, dtype: Any = nl.bfloat16) -> Any:
    """The identity (size, size), with which TensorE takes a term of a sum over as it is."""
    tile = sbuf((size, size), dtype)
    nisa.memset(dst=tile, value=1.0)
    nisa.affine_select(  # row - column = 0
        dst=tile, pattern=[[-1, size]], channel_multiplier=1, on_true_tile=tile, on_false_value=0.0, cmp_op=nl.equal
    )
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


def vector_sum(tile: Any, scale: float) -> Any:
    """`scale` times the sum of each row, (P, 1) float32; on VectorE, four elements per cycle in bfloat16."""
    total, aside = sbuf((tile.shape[0], 1), nl.float32), sbuf(tile.shape, nl.bfloat16)
    nisa.tensor_scalar_reduce(dst=aside, data=tile, op0=nl.multiply, operand0=scale, reduce_op=nl.add, reduce_res=total)
    return total


def folded(tile: Any, same: Any, total: Any = None) -> Any:
    """A tile of bfloat16 with row sums as they were, in at most 128 columns of PSUM: TensorE adds the blocks, by the identity."""
    height, width = tile.shape
    if total is None:
        total = psum((height, min(ROWS, width)))
    for n, columns in enumerate(spans(width, ROWS)):
        part = total[:, 0 : size_of(columns)]
        nisa.nc_matmul(dst=part, stationary=same[0:height, 0:height], moving=tile[:, columns], accumulate=n > 0)
    return total


def mixed(terms: list[tuple[Any, Any]], columns: slice) -> Any:
    """The sum of ``matrix.T @ tile[:, columns]`` over terms, (P, columns) in PSUM; at most 4096 columns.

    Each is a matrix (P, P) and a tile (P, width) in bfloat16: the identity, or numbers of the rows on its diagonal. TensorE so
    makes sums of tiles that would take VectorE a pass each.
    """
    total = psum((terms[0][1].shape[0], size_of(columns)))
    for part in spans(size_of(columns), COLUMNS):
        for n, (matrix, tile) in enumerate(terms):
            moving = tile[:, columns.start + part.start : columns.start + part.stop]
            nisa.nc_matmul(dst=total[:, part], stationary=matrix, moving=moving, accumulate=n > 0)
    return total


class RowSums(nl.NKIObject):
    """Weighed sums over all rows of tiles (P, width), on TensorE: they wait in one bank of PSUM, a column for 128 of the width.

    The width is at most 16,384.
    """

    def __init__(self, width: int) -> None:
        self.columns = spans(width, ROWS)
        self.totals, self.started = psum((ROWS, len(self.columns))), False
        self.ones = sbuf((ROWS, 1), nl.bfloat16)
        nisa.memset(dst=self.ones, value=1.0)

    def add(self, tile: Any) -> None:
        """One more tile of bfloat16."""
        self.add_weighed(tile, self.ones[0 : tile.shape[0], :])

    def add_weighed(self, tile: Any, weights: Any) -> None:
        """One more tile of bfloat16, each row times its weight, (P, 1) bfloat16."""
        for n, columns in enumerate(self.columns):
            total = self.totals[0 : size_of(columns), n : n + 1]
            nisa.nc_matmul(dst=total, stationary=tile[:, columns], moving=weights, accumulate=self.started)
        self.started = True

    def store(self, out: Any) -> None:
        """The sums to a vector in HBM."""
        whole = out.shape[0] // ROWS
        rest = out.shape[0] - whole * ROWS
        if whole:
            held, row, turned = (
                sbuf((ROWS, whole), nl.float32), sbuf((whole, ROWS), nl.float32), psum((whole, ROWS))
            )  # fmt: skip
            nisa.tensor_copy(dst=held, src=self.totals[:, 0:whole], engine=nisa.engine.vector)
            nisa.nc_transpose(dst=turned, data=held)
            nisa.tensor_copy(dst=row, src=turned, engine=nisa.engine.vector)
            store(out[0 : whole * ROWS].reshape((whole, ROWS)), row)
        if rest:
            last = sbuf((rest, 1), nl.float32)
            nisa.tensor_copy(dst=last, src=self.totals[0:rest, whole:], engine=nisa.engine.vector)
            store(out[whole * ROWS :].reshape((rest, 1)), last)
