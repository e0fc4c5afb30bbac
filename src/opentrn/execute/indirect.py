"""Run-time addresses: gather and scatter through scalar, vector and tensor indirection.

Address of an element: ``offset + index * step + sum(stride * position)`` (nki-aps.rst, SDK 2.32). An index is legal
when it is at least 0 and below the size of the indirect dimension; rows that would leave the tensor are illegal too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from opentrn.errors import KernelError, ViewError
from opentrn.execute import access
from opentrn.isa.enums import engine
from opentrn.numerics.latitude import taken
from opentrn.program.view import View

__all__ = ["Addresses", "addresses"]

GROUP, TENSOR_ENGINE_GROUP = 16, 32
"""Partitions that share one list of offsets in tensor indirection (NkiTensor.indirect, SDK 2.32)."""


@dataclass(frozen=True)
class Addresses:
    """Flat element numbers of an indirect view and which of them are legal."""

    view: View
    index: np.ndarray
    valid: np.ndarray
    complaint: str

    @property
    def all_valid(self) -> bool:
        """True when no index is out of bounds."""
        return bool(self.valid.all())

    def _flat(self) -> np.ndarray:
        return self.view.block.array.view(access.carrier(self.view))

    def gather(self) -> np.ndarray:
        """The elements, in the view's shape; illegal ones are whatever element 0 is (callers mask them)."""
        return self._flat()[np.where(self.valid, self.index, 0)]

    def scatter(self, values: np.ndarray, where: np.ndarray | None = None) -> None:
        """Write the legal elements; a later duplicate index wins."""
        chosen = self.valid if where is None else self.valid & where.reshape(self.valid.shape)
        order = slice(None, None, -1 if taken("duplicates") else 1)
        targets = self.index[chosen][order]
        self._flat()[targets] = values.reshape(self.valid.shape)[chosen][order]
        if self.view.block.state != 2:
            self._shadow()[targets] = 1
            self.view.block.state = 2 if bool(self.view.block.shadow.all()) else 1

    def unwritten(self) -> np.ndarray:
        """Which of the legal elements were never written."""
        if self.view.block.state == 0:
            return self.valid
        shadow = self._shadow()
        return self.valid & ~(shadow[np.where(self.valid, self.index, 0)] == 1).all(-1)

    def show(self, value: Any, where: np.ndarray) -> None:
        """Put `value` into the legal elements where `where`, which stay unwritten."""
        self._flat()[self.index[self.valid & where]] = value

    def forget(self, where: np.ndarray) -> None:
        """Mark the legal elements where `where` as never written."""
        if self.view.block.state == 0:
            return
        self._shadow()[self.index[self.valid & where.reshape(self.valid.shape)]] = 0
        self.view.block.state = 1

    def _shadow(self) -> np.ndarray:
        block, size = self.view.block, access.carrier(self.view).itemsize
        if size < block.unit:
            block.refine(size)
        return block.shadow.reshape(-1, size // block.unit)


def addresses(view: View, tile: Any, unit: engine | None = None) -> Addresses:
    """Resolve the run-time part of `view` for the engine `unit`. `tile` makes readable operands of index tensors."""
    move = view.dynamic
    assert move is not None
    if move.kind == "outside":
        low, high = move.index
        expected = f"within 0 to {move.limit - 1} ({view.storage.allocation})"
        raise ViewError("access pattern leaves the tensor", got=f"elements {low} to {high}", expected=expected)
    index, legal = _positions(view, move, tile, TENSOR_ENGINE_GROUP if unit is engine.tensor else GROUP)
    base = np.full(view.shape, view.offset, np.int64)
    for dim, stride in enumerate(view.strides):
        if stride:
            span = np.arange(view.shape[dim], dtype=np.int64) * stride
            base += span.reshape([-1 if d == dim else 1 for d in range(len(view.shape))])
    flat = base + index * move.step
    total = view.block.nbytes // access.carrier(view).itemsize
    valid = np.broadcast_to(legal, view.shape) & (flat >= 0) & (flat < total)
    bad = np.unique(np.broadcast_to(index, view.shape)[~valid])[:4]
    return Addresses(view, flat, valid, f"index {', '.join(map(str, bad.tolist()))}")


def _positions(view: View, move: Any, tile: Any, group: int) -> tuple[np.ndarray, np.ndarray]:
    """(index values, legality), both broadcastable to the view's shape."""
    if move.kind == "tensor":
        return _columns(view, move, tile, group)
    if isinstance(move.index, View):
        values = _as_int64(tile(move.index, "index").array())
    else:
        values = np.array([move.index.read()], np.int64)
    if move.kind == "vector":
        if values.size < view.shape[0]:
            raise KernelError("vector_offset has too few entries", got=str(values.size), expected=f"{view.shape[0]}")
        # column-major when the offsets themselves are 2-D (dma_transpose: indices.T.flatten(), SDK 2.32)
        flat = values.T.reshape(-1)[: view.shape[0]]
        values = flat.reshape([-1] + [1] * (len(view.shape) - 1))
    else:
        values = values.reshape([1] * len(view.shape))
    return values, (values >= 0) & (values < move.limit)


def _as_int64(values: np.ndarray) -> np.ndarray:
    # 0xFFFFFFFF and its like are "miss" markers: as unsigned they are out of any bound, which is what is wanted
    return values.astype(np.int64)


def _columns(view: View, move: Any, tile: Any, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Tensor indirection: offset i of a group of G = `size` partitions is ``index[i % G, i // G]`` of that group."""
    rows, count = view.shape
    offsets = _as_int64(tile(move.index, "index").raw())
    result = np.empty((rows, count), np.int64)
    for start in range(0, rows, size):
        group = offsets[start : start + size]
        snake = group.T.reshape(-1)
        if snake.size < count:
            raise KernelError("tensor indirection has too few offsets", got=str(snake.size), expected=str(count))
        result[start : start + size] = snake[:count]
    return result, (result >= 0) & (result < move.limit)
