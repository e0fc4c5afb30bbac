"""LayerNorm over the last dimension, and its gradient."""

from __future__ import annotations

from typing import Any

import opentrn.nki.isa as nisa
import opentrn.nki.language as nl
from opentrn.kernels.tiles import (
    PSUM_COLUMNS,
    ROWS,
    RowSums,
    column,
    folded,
    identity,
    load,
    load_row,
    mixed,
    psum,
    row_sum,
    sbuf,
    shared,
    size_of,
    spans,
    store,
    vector_sum,
)
from opentrn.nki import jit

__all__ = ["layer_norm", "layer_norm_backward"]


@jit
def layer_norm(x: Any, weight: Any, bias: Any, eps: float = 1e-5) -> Any:
    """``(x - mean) / sqrt(var + eps) * weight + bias``: x (T, H), weight and bias (H,) -> (T, H) in the dtype of x.

    Sums are float32: those of x on TensorE and VectorE, of squares on ScalarE. TensorE adds the bias to three eighths of the
    columns, from where ScalarE takes them, so that it and VectorE are equally busy. A row is held in SBUF as a whole: H is at
    most 8192.
    """
    out, height, parts = shared(x.shape, x.dtype), min(ROWS, x.shape[0]), spans(x.shape[0], ROWS)
    same, small = identity(height), column(height, eps)
    tiles: list[Any] = []
    for rows in parts[0:3]:
        tiles.append(load(x[rows, :]))
    # behind tiles: their DMA takes as long, and nobody needs them yet
    scale, shift = load_row(weight, height, nl.bfloat16), load_row(bias, height, nl.bfloat16)
    folds: list[Any] = []
    summed: list[Any] = []
    for n, rows in enumerate(parts):
        tile = tiles[n] if n < len(tiles) else load(x[rows, :])
        folds.append((out[rows, :], tile, _summands(tile, same)))
        # each engine works on other rows than the one that it would have to wait for
        if len(folds) > 1:
            summed.append(_summed(folds.pop(0), small))
        if len(summed) > 1:
            _finish(summed.pop(0), scale, shift, same)
    summed.append(_summed(folds.pop(0), small))
    while summed:
        _finish(summed.pop(0), scale, shift, same)
    return out


def _summed(held: Any, small: Any) -> Any:
    """(place in HBM, tile, summands of its rows) -> (place, tile, moments)."""
    place, tile, summands = held
    return place, tile, _moments(tile, summands, small)


def _finish(held: Any, scale: Any, shift: Any, same: Any) -> None:
    """(place in HBM, tile, moments) -> the result, stored there."""
    place, tile, moments = held
    (height, width), half = tile.shape, tile.shape[1] * 5 // 8
    normed, result = _normalised(tile, moments), sbuf(tile.shape, place.dtype)
    scale, shift, same = scale[0:height, :], shift[0:height, :], same[0:height, 0:height]
    for part in (slice(half, width), slice(0, half)):  # first what TensorE and ScalarE wait for
        if size_of(part):
            nisa.tensor_tensor(dst=normed[:, part], data1=normed[:, part], data2=scale[:, part], op=nl.multiply)
    for part in spans(width - half, PSUM_COLUMNS * 3 // 8):  # two of them and what `folded` makes fill PSUM
        columns = slice(half + part.start, half + part.stop)
        total = mixed([(same, shift), (same, normed)], columns)
        nisa.tensor_copy(dst=result[:, columns], src=total, engine=nisa.engine.scalar)
    if half:
        nisa.tensor_tensor(dst=result[:, 0:half], data1=normed[:, 0:half], data2=shift[:, 0:half], op=nl.add)
    store(place, result)


def _summands(tile: Any, same: Any) -> Any:
    """What adds up to the sum of each row: the tile, or few columns where TensorE can take it."""
    return folded(tile, same) if tile.dtype == nl.bfloat16 else tile


def _moments(tile: Any, summands: Any, small: Any) -> tuple[Any, Any]:
    """-mean and 1 / sqrt(var + small) of each row, (P, 1) float32."""
    height, width = tile.shape
    inverse, mean = sbuf((height, 1), nl.float32), vector_sum(summands, -1.0 / width)
    squares = row_sum(tile, nl.square, bias=mean)
    nisa.activation(dst=inverse, op=nl.rsqrt, data=squares, scale=1.0 / width, bias=small[0:height, :])
    return mean, inverse


def _normalised(tile: Any, moments: tuple[Any, Any]) -> Any:
    """(tile - mean) / sqrt(var + eps) in bfloat16."""
    normed = sbuf(tile.shape, nl.bfloat16)
    nisa.tensor_scalar(dst=normed, data=tile, op0=nl.add, operand0=moments[0], op1=nl.multiply, operand1=moments[1])
    return normed


@jit
def layer_norm_backward(dy: Any, x: Any, weight: Any, eps: float = 1e-5) -> tuple[Any, Any, Any]:
    """Gradients of `layer_norm`: dy, x (T, H), weight (H,) -> dx (T, H) in the dtype of x, dweight and dbias (H,) float32.

    With n the normalised x, r = 1 / sqrt(var + eps) and g = dy * weight: dx = r * (g - mean(g) - n * mean(g * n)). Products
    of elements are kept in bfloat16; TensorE makes the sum in dx and most of each row sum. H is at most 8192.

    A tile of 128 rows and 2048 columns keeps TensorE busy for 5.3 us, VectorE for 5.0 and ScalarE for 4.4, the DMA engines
    for 3.6. Three quarters of the memory's speed, less the kernel's start and end, are 4.3 us. With these passes that is out
    of reach: n and three products take VectorE 4.1 us, squares and the way out of PSUM ScalarE 4.2, before any row sum.
    """
    tokens, width = x.shape
    dx, dweight, dbias = shared(x.shape, x.dtype), shared((width,), nl.float32), shared((width,), nl.float32)
    parts, height = spans(tokens, ROWS), min(ROWS, tokens)
    scale, same, small = load_row(weight, height, nl.bfloat16), identity(height), column(height, eps)
    sums = RowSums(width), RowSums(width)
    tiles: list[Any] = []
    # each engine works on other rows than the one that it would have to wait for; SBUF holds fewer of those that are long
    late = 2 if width <= 4096 else 1
    for n in range(len(parts) + late):
        if n < len(parts):
            tiles.append(_Gradient(dy[parts[n], :], x[parts[n], :], dx[parts[n], :], same))
        if 0 <= n - 1 < len(parts):
            tiles[n - 1].moments(small)
        if n > late:
            tiles[n - late - 1].finish()
        if 0 <= n - late < len(parts):
            tiles[n - late].multiply(sums)
        if n < len(parts):
            tiles[n].gain(scale, sums)
        if n == len(parts):  # as soon as it is whole: the end of the kernel has the other to wait for
            sums[1].store(dbias)
    tiles[len(parts) - 1].finish()
    sums[0].store(dweight)
    return dx, dweight, dbias


class _Gradient(nl.NKIObject):
    """The steps of `layer_norm_backward` for a tile of rows."""

    def __init__(self, dy: Any, x: Any, dx: Any, same: Any) -> None:
        self.height, self.width = x.shape
        self.same, self.dx = same[0 : self.height, 0 : self.height], dx
        self.tile, self.given = load(x), load(dy, nl.bfloat16)
        self.summands = _summands(self.tile, self.same)
        self.folds = psum((self.height, 2, min(ROWS, self.width)))

    def gain(self, scale: Any, sums: tuple[RowSums, RowSums]) -> None:
        """g, and a term of dbias."""
        self.gained = sbuf(self.tile.shape, nl.bfloat16)
        nisa.tensor_tensor(dst=self.gained, data1=self.given, data2=scale[0 : self.height, :], op=nl.multiply)
        folded(self.gained, self.same, self.folds[:, 0, :])
        sums[1].add(self.given)

    def moments(self, small: Any) -> None:
        """Mean and variance of x."""
        self.held = _moments(self.tile, self.summands, small)

    def multiply(self, sums: tuple[RowSums, RowSums]) -> None:
        """n and g * n, and a term of dweight."""
        self.normed = _normalised(self.tile, self.held)
        product, weighed = sbuf(self.tile.shape, nl.bfloat16), sbuf(self.tile.shape, nl.bfloat16)
        nisa.tensor_tensor(dst=product, data1=self.gained, data2=self.normed, op=nl.multiply)
        folded(product, self.same, self.folds[:, 1, :])
        nisa.tensor_tensor(dst=weighed, data1=self.given, data2=self.normed, op=nl.multiply)
        sums[0].add(weighed)

    def finish(self) -> None:
        """dx, stored."""
        means, inverse = sbuf((self.height, 2), nl.float32), self.held[1]
        slopes, mean = sbuf((self.height, self.height), nl.bfloat16), sbuf((self.height, 1), nl.float32)
        nisa.tensor_reduce(dst=means, op=nl.add, data=self.folds, axis=2)
        share = -1.0 / self.width
        nisa.tensor_scalar(
            dst=slopes, data=self.same, op0=nl.multiply, operand0=means[:, 1:2], op1=nl.multiply, operand1=share
        )
        nisa.tensor_scalar(
            dst=mean, data=means[:, 0:1], op0=nl.multiply, operand0=inverse, op1=nl.multiply, operand1=share
        )
        result = sbuf(self.dx.shape, self.dx.dtype)
        for columns in spans(self.width, PSUM_COLUMNS // 4):
            total = mixed([(self.same, self.gained), (slopes, self.normed)], columns)
            nisa.activation(dst=result[:, columns], op=nl.copy, data=total, scale=inverse, bias=mean)
        store(self.dx, result)
