"""Matrix products of any size, with a bias and an activation, and their gradients."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import opentrn.nki.isa as nisa
import opentrn.nki.language as nl
from opentrn.kernels.tiles import COLUMNS, ROWS, RowSums, load, psum, sbuf, shared, size_of, spans, store
from opentrn.nki import jit

__all__ = ["Operand", "linear", "linear_backward", "matmul", "multiply"]

RIGHT_BYTES, LEFT_BYTES = 64 << 10, 32 << 10
"""SBUF per partition for a block of each operand. Two of each fit, so that the next is loaded under the current one."""

TRANSPOSES = 4
"""Transposed tiles that share a PSUM bank before they are copied out together."""


@dataclass
class Operand(nl.NKIObject):
    """A matrix in HBM whose contraction is its first dimension (`by_depth`) or its last.

    TensorE sums over partitions: a matrix that has the contraction last is transposed on its way, on TensorE itself.
    """

    source: Any
    by_depth: bool

    @property
    def depth(self) -> int:
        """Size of the contraction."""
        return self.source.shape[0 if self.by_depth else 1]

    @property
    def width(self) -> int:
        """Size of the other dimension."""
        return self.source.shape[1 if self.by_depth else 0]

    def block(self, span: slice) -> list[Any]:
        """The rows or columns of `span` as tiles (at most 128 of the contraction, size of the span)."""
        tiles: list[Any] = []
        if self.by_depth:
            for k in spans(self.depth, ROWS):
                tiles.append(load(self.source[k, span], _narrow(self.source)))
            return tiles
        for k in spans(self.depth, ROWS):
            tiles.append(sbuf((size_of(k), size_of(span)), _narrow(self.source)))
        for rows in spans(size_of(span), ROWS):
            first = span.start + rows.start
            wide = load(self.source[first : first + size_of(rows), :], _narrow(self.source))
            for tile, k in zip(tiles, spans(self.depth, ROWS), strict=True):
                turned = psum((size_of(k), size_of(rows)), wide.dtype)
                nisa.nc_transpose(dst=turned, data=wide[:, k])
                nisa.tensor_copy(dst=tile[:, rows], src=turned, engine=nisa.engine.vector)
        return tiles


def _narrow(source: Any) -> Any:
    """bfloat16 for float32, whose products take four times as long; other dtypes stay."""
    return nl.bfloat16 if source.dtype == "float32" else source.dtype


def _block_size(depth: int, nbytes: int, step: int, most: int) -> int:
    """Columns of a block that takes `nbytes` per partition over all of the contraction, in whole steps where that fits."""
    columns = nbytes // (2 * -(-depth // ROWS))
    return min(most, columns // step * step or max(ROWS, columns // ROWS * ROWS))


Finish = Callable[[Any, Any, slice, slice], None]
"""(dst in SBUF, sum in PSUM, rows and columns of the result) -> writes dst."""


def copy(dst: Any, total: Any, rows: slice, columns: slice) -> None:
    """The sum as it is."""
    nisa.tensor_copy(dst=dst, src=total, engine=nisa.engine.vector)


def multiply(
    out: Any, left: Operand, right: Operand, finish: Finish = copy, start: Callable[..., None] | None = None
) -> None:
    """``out = left @ right``, (M, N) in HBM, block by block; each sum in PSUM goes through `finish`.

    `start` adds the first term of a sum: ``start(total, rows, columns)`` with ``accumulate=False``. The operand that has to
    be transposed stays in SBUF while the other streams by, so that it is transposed once.
    """
    wide = _block_size(left.depth, RIGHT_BYTES, COLUMNS, 2 * COLUMNS)
    tall = _block_size(left.depth, LEFT_BYTES, ROWS, 8 * ROWS)
    if left.by_depth or not right.by_depth:
        for n in spans(right.width, wide):
            block = right.block(n)
            for m in spans(left.width, tall):
                _multiply_block(out, (left.block(m), m), (block, n), finish, start)
    else:
        for m in spans(left.width, tall):
            block = left.block(m)
            for n in spans(right.width, wide):
                _multiply_block(out, (block, m), (right.block(n), n), finish, start)


def _multiply_block(out: Any, left: Any, right: Any, finish: Finish, start: Callable[..., None] | None) -> None:
    (stationary, m), (moving, n) = left, right
    for rows in spans(size_of(m), ROWS):
        held = sbuf((size_of(rows), size_of(n)), out.dtype)
        height = slice(m.start + rows.start, m.start + rows.stop)
        for columns in spans(size_of(n), COLUMNS):
            total = psum((size_of(rows), size_of(columns)))
            place = slice(n.start + columns.start, n.start + columns.stop)
            if start is not None:
                start(total, rows, place)
            for k, (a, b) in enumerate(zip(stationary, moving, strict=True)):
                nisa.nc_matmul(
                    dst=total, stationary=a[:, rows], moving=b[:, columns], accumulate=k > 0 or start is not None
                )
            finish(held[:, columns], total, height, place)
        store(out[height, n], held)


@jit
def matmul(lhs: Any, rhs: Any, transpose_lhs: bool = False, transpose_rhs: bool = False) -> Any:
    """``lhs @ rhs`` for (M, K) and (K, N) of any size -> (M, N) in the dtype of lhs; sums in float32.

    ``transpose_lhs``: lhs is given as (K, M), which is the quickest form; ``transpose_rhs``: rhs is given as (N, K).
    float32 operands are rounded to bfloat16.
    """
    left, right = Operand(lhs, transpose_lhs), Operand(rhs, not transpose_rhs)
    assert left.depth == right.depth, f"the contraction differs: {lhs.shape} and {rhs.shape}"
    out = shared((left.width, right.width), lhs.dtype)
    multiply(out, left, right)
    return out


@jit
def linear(x: Any, weight: Any, bias: Any = None, activation: Any = None) -> Any:
    """``activation(x @ weight + bias)``: x (T, K), weight (K, N), bias (N,) -> (T, N) in the dtype of x.

    The bias is one more term of each sum, so it costs one short product. ``activation`` is an NKI function such as
    ``nl.gelu`` or its name (torch.compile takes no functions), applied on the way out of PSUM.
    """
    out = shared((x.shape[0], weight.shape[1]), x.dtype)
    multiply(
        out,
        Operand(x, False),
        Operand(weight, True),
        _activate(_named(activation)),
        None if bias is None else _bias(bias),
    )
    return out


def _named(activation: Any) -> Any:
    """The function of NKI with that name; anything else as it is."""
    return getattr(nl, activation) if isinstance(activation, str) else activation


def _activate(activation: Any) -> Finish:
    if activation is None:
        return copy

    def apply(dst: Any, total: Any, rows: slice, columns: slice) -> None:
        nisa.activation(dst=dst, op=activation, data=total)

    return apply


def _bias(bias: Any) -> Callable[..., None]:
    row = load(bias.reshape((1, bias.shape[0])), _narrow(bias))
    ones = sbuf((1, ROWS), row.dtype)
    nisa.memset(dst=ones, value=1.0)

    def add(total: Any, rows: slice, columns: slice) -> None:
        nisa.nc_matmul(dst=total, stationary=ones[:, 0 : size_of(rows)], moving=row[:, columns], accumulate=False)

    return add


SLOPES = {nl.gelu: nl.gelu_dx, nl.gelu_apprx_sigmoid: nl.gelu_apprx_sigmoid_dx, nl.silu: nl.silu_dx}
"""Activations, and their derivatives."""


@jit
def linear_backward(dy: Any, x: Any, weight: Any, bias: Any = None, activation: Any = None) -> tuple[Any, Any, Any]:
    """Gradients of `linear`: dy (T, N), x (T, K), weight (K, N), bias (N,) -> dx (T, K), dweight (K, N), dbias (N,).

    dx has the dtype of x; dweight and dbias are float32. With an activation, what goes into it is computed again.
    """
    activation = _named(activation)
    if activation is not None:
        assert activation in SLOPES, f"{activation} has no derivative here: gelu, gelu_apprx_sigmoid and silu have one"
        given, dy = dy, nl.ndarray(dy.shape, dtype=nl.bfloat16, buffer=nl.private_hbm)
        finish, start = _through(SLOPES[activation], given), None if bias is None else _bias(bias)
        multiply(dy, Operand(x, False), Operand(weight, True), finish, start)
    dx, dweight = shared(x.shape, x.dtype), shared(weight.shape, nl.float32)
    multiply(dx, Operand(dy, False), Operand(weight, False))
    multiply(dweight, Operand(x, True), Operand(dy, True))
    return dx, dweight, column_sums(dy)


def _through(slope: Any, given: Any) -> Finish:
    """The slope at each sum times the element of `given` at its place."""

    def finish(dst: Any, total: Any, rows: slice, columns: slice) -> None:
        steep = sbuf(total.shape, nl.bfloat16)
        nisa.activation(dst=steep, op=slope, data=total)
        nisa.tensor_tensor(dst=dst, data1=steep, data2=load(given[rows, columns]), op=nl.multiply)

    return finish


def column_sums(source: Any) -> Any:
    """The sum over rows of (T, N) in HBM -> (N,) float32 in HBM: a product with ones."""
    out = shared((source.shape[1],), nl.float32)
    for columns in spans(source.shape[1], ROWS * ROWS):
        sums = RowSums(size_of(columns))
        for rows in spans(source.shape[0], ROWS):
            sums.add(load(source[rows, columns], nl.bfloat16))
        sums.store(out[columns])
    return out
