"""Rows of an embedding table by index, and the gradient: rows added into a table."""

from __future__ import annotations

from typing import Any

import opentrn.nki.isa as nisa
import opentrn.nki.language as nl
from opentrn.kernels.tiles import COLUMNS, ROWS, load, load_row, psum, sbuf, shared, size_of, spans, store
from opentrn.nki import jit

__all__ = ["embedding", "embedding_backward"]


@jit
def embedding(table: Any, index: Any) -> Any:
    """``table[index]``: table (V, H), index (T,) int32 in 0 ... V - 1 -> (T, H) in the dtype of the table."""
    out = shared((index.shape[0], table.shape[1]), table.dtype)
    for rows in spans(index.shape[0], ROWS):
        chosen = load(index[rows].reshape((size_of(rows), 1)))
        store(out[rows, :], load(table.vector_select(0, chosen)))
    return out


@jit
def embedding_backward(dy: Any, index: Any, words: int) -> Any:
    """The gradient of `embedding`: dy (T, H), index (T,) int32 -> (words, H) float32, where each row is the sum of its dy.

    An index may occur any number of times. 128 rows at a time: a matrix of which of them have the same index gives, by one
    product, every row the sum over its equals; so rows that meet in the table carry the same value. dy is rounded to
    bfloat16; words is at most 2**24, as indices are compared in float32.
    """
    width = dy.shape[1]
    table = shared((words, width), nl.float32)
    nothing = sbuf((min(ROWS, words), width), nl.float32)
    nisa.memset(dst=nothing, value=0.0)
    for rows in spans(words, ROWS):
        store(table[rows, :], nothing[0 : size_of(rows), :])
    for rows in spans(dy.shape[0], ROWS):
        height = size_of(rows)
        chosen, given = load(index[rows].reshape((height, 1))), load(dy[rows, :], nl.bfloat16)
        total = load(table.vector_select(0, chosen))
        same = _same(index[rows], chosen)
        for columns in spans(width, COLUMNS):
            gathered = psum((height, size_of(columns)))
            nisa.nc_matmul(dst=gathered, stationary=same, moving=given[:, columns], accumulate=False)
            nisa.tensor_tensor(dst=total[:, columns], data1=total[:, columns], data2=gathered, op=nl.add)
        nisa.dma_copy(dst=table.vector_select(0, chosen), src=total)
    return table


def _same(index: Any, chosen: Any) -> Any:
    """(P, P) bfloat16: 1 where two of P indices are equal."""
    height = chosen.shape[0]
    across, down = load_row(index, height, nl.float32), sbuf(chosen.shape, nl.float32)
    nisa.tensor_copy(dst=down, src=chosen)
    same = sbuf((height, height), nl.bfloat16)
    nisa.tensor_scalar(dst=same, data=across, op0=nl.equal, operand0=down)
    return same
