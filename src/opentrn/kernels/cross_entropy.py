"""Cross entropy of logits over a vocabulary, and its gradient."""

from __future__ import annotations

from typing import Any

import opentrn.nki.isa as nisa
import opentrn.nki.language as nl
from opentrn.kernels.softmax import exponentials
from opentrn.kernels.tiles import ROWS, load, sbuf, shared, size_of, spans, store
from opentrn.nki import jit

__all__ = ["cross_entropy", "cross_entropy_backward"]

CHUNK = 4096
"""Logits of a row in SBUF at a time."""


@jit
def cross_entropy(logits: Any, labels: Any) -> tuple[Any, Any]:
    """``log(sum(exp(x))) - x[label]`` of each row: logits (T, V), labels (T,) int32 -> loss and log-sum-exp, (T,) float32.

    Every label is in 0 ... V - 1, and T * V below 2**31: the logit of the label is gathered by its place. Each chunk of a row
    keeps its own maximum, and the chunks are brought together at the end.
    """
    tokens, words = logits.shape
    loss, norm = shared((tokens,), nl.float32), shared((tokens,), nl.float32)
    for rows in spans(tokens, ROWS):
        chunks = spans(words, CHUNK)
        shape = (size_of(rows), len(chunks))
        lowest, totals = sbuf(shape, logits.dtype), sbuf(shape, nl.float32)
        for n, columns in enumerate(chunks):
            exponentials(load(logits[rows, columns]), lowest[:, n : n + 1], totals[:, n : n + 1])
        whole, result = log_sum(lowest, totals), sbuf((size_of(rows), 1), nl.float32)
        nisa.tensor_tensor(dst=result, data1=whole, data2=picked(logits, labels, rows), op=nl.subtract)
        store(loss[rows].reshape(result.shape), result)
        store(norm[rows].reshape(result.shape), whole)
    return loss, norm


def log_sum(lowest: Any, totals: Any) -> Any:
    """log(sum(totals * exp(-lowest))) of each row, (P, 1) float32, from the negated maxima of chunks and their sums."""
    low, result = rescaled_sum(lowest, totals)
    nisa.activation(dst=result, op=nl.log, data=result)
    nisa.tensor_tensor(dst=result, data1=result, data2=low, op=nl.subtract)
    return result


def rescaled_sum(lowest: Any, totals: Any) -> tuple[Any, Any]:
    """The lowest of a row and sum(totals * exp(low - lowest)), (P, 1) float32, from the negated maxima of chunks and their sums."""
    column = (lowest.shape[0], 1)
    low, shares, result = sbuf(column, nl.float32), sbuf(lowest.shape, nl.float32), sbuf(column, nl.float32)
    nisa.tensor_reduce(dst=low, op=nl.minimum, data=lowest, axis=1)
    nisa.activation(dst=shares, op=nl.exp, data=lowest, scale=-1.0, bias=low)
    nisa.tensor_tensor(dst=shares, data1=shares, data2=totals, op=nl.multiply)
    nisa.tensor_reduce(dst=result, op=nl.add, data=shares, axis=1)
    return low, result


def picked(logits: Any, labels: Any, rows: slice) -> Any:
    """The logit of each row's label, (P, 1) float32, by one gather of single elements."""
    tokens, words = logits.shape
    height = size_of(rows)
    label, place = load(labels[rows].reshape((height, 1))), sbuf((height, 1), nl.int32)
    nisa.iota(dst=place, pattern=[[1, 1]], offset=rows.start * words, channel_multiplier=words)
    nisa.tensor_tensor(dst=place, data1=place, data2=label, op=nl.add)  # int32: exact, on GpSimd
    return load(logits.reshape((tokens * words, 1)).vector_select(0, place), nl.float32)


@jit
def cross_entropy_backward(dloss: Any, logits: Any, labels: Any, norm: Any) -> Any:
    """The gradient of `cross_entropy`: dloss (T,), logits (T, V), labels (T,) int32, norm (T,) as it returned -> (T, V).

    ``dloss * (exp(x - norm) - (column == label))`` in the dtype of the logits. V is at most 2**24: columns are compared in float32.
    """
    tokens, words = logits.shape
    dlogits = shared(logits.shape, logits.dtype)
    count = sbuf((min(ROWS, tokens), min(CHUNK, words)), nl.float32)
    nisa.iota(dst=count, pattern=[[1, count.shape[1]]])
    for rows in spans(tokens, ROWS):
        height = size_of(rows)
        gain = load(dloss[rows].reshape((height, 1)), nl.float32)
        label = load(labels[rows].reshape((height, 1)), nl.float32)
        low = load(norm[rows].reshape((height, 1)))
        nisa.tensor_scalar(dst=low, data=low, op0=nl.multiply, operand0=-1.0)
        for columns in spans(words, CHUNK):
            tile, place = load(logits[rows, columns]), sbuf((height, 1), nl.float32)
            nisa.tensor_scalar(dst=place, data=label, op0=nl.subtract, operand0=float(columns.start))
            chance, result = sbuf(tile.shape, nl.float32), sbuf(tile.shape, logits.dtype)
            hot = sbuf(tile.shape, nl.float32)
            nisa.activation(dst=chance, op=nl.exp, data=tile, bias=low)
            nisa.tensor_scalar(
                dst=hot,
                data=count[0:height, 0 : tile.shape[1]],
                op0=nl.equal,
                operand0=place,
                op1=nl.multiply,
                operand1=gain,
            )
            nisa.scalar_tensor_tensor(
                dst=result, data=chance, op0=nl.multiply, operand0=gain, op1=nl.subtract, operand1=hot
            )
            store(dlogits[rows, columns], result)
    return dlogits
