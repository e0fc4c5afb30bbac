"""Run-time addresses: gather and scatter through scalar, vector and tensor indirection.

Address of an element: ``offset + index * step + sum(stride * position)`` (nki-aps.rst, SDK 2.32). An index is legal
when it is at least 0 and below the size of the indirect dimension; elements that would leave the tensor are illegal too.
A scalar index of an access pattern in HBM is a dynamic start address, for which only the latter counts (dma_copy).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from opentrn.errors import KernelError, ViewError
from opentrn.execute import access
from opentrn.isa.enums import engine
from opentrn.numerics.latitude import taken
from opentrn.program.strides import ends
from opentrn.program.view import View

__all__ = ["Addresses", "Rows", "addresses"]

GROUP, TENSOR_ENGINE_GROUP = 16, 32
"""Partitions that share one list of offsets in tensor indirection (NkiTensor.indirect, SDK 2.32)."""


@dataclass(frozen=True)
class Addresses:
    """Flat element numbers of an indirect view and which of them are legal."""

    view: View
    index: np.ndarray
    valid: np.ndarray
    bad: np.ndarray
    """The index values that are out of bounds."""

    @property
    def complaint(self) -> str:
        """The first of them, for a message."""
        return _complaint(self.bad)

    @property
    def limit(self) -> int:
        """The number of index values at which no element is illegal, for a message."""
        view, move = self.view, self.view.dynamic
        assert move is not None
        if move.kind != "scalar" or move.step <= 0:
            return move.limit
        total = view.block.nbytes // access.carrier(view).itemsize
        last = ends(view.offset, view.shape, view.strides)[1]
        return min(move.limit, max(0, (total - 1 - last) // move.step + 1))

    @property
    def all_valid(self) -> bool:
        """True when no index is out of bounds."""
        return bool(self.valid.all())

    @property
    def destinations(self) -> tuple[np.ndarray, np.ndarray]:
        """(number, legal) of whatever has an address of its own: here each element of the view, in row-major order."""
        return self.index.reshape(-1), self.valid.reshape(-1)

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


@dataclass(frozen=True)
class Rows:
    """An indirect view of which whole rows move: by ``index[p]`` along dimension 0, or all of it by one index.

    Interface and meaning are those of `Addresses`, for an index of each row instead of one of each element.
    """

    view: View
    index: np.ndarray
    legal: np.ndarray
    values: np.ndarray
    """Window on the block: first the places where a row can be, then the row itself."""

    @property
    def complaint(self) -> str:
        """The first index values that are out of bounds, for a message."""
        return _complaint(self.index[~self.legal])

    @property
    def limit(self) -> int:
        """The number of index values at which no element is illegal, for a message."""
        assert self.view.dynamic is not None
        return min(self.view.dynamic.limit, self.values.shape[0])

    @property
    def all_valid(self) -> bool:
        """True when no index is out of bounds."""
        return bool(self.legal.all())

    @property
    def valid(self) -> np.ndarray:
        """Which elements of the view are legal."""
        lead = self.legal if self.legal.size == self.view.shape[0] else np.broadcast_to(self.legal, self.view.shape[:1])
        return np.broadcast_to(lead.reshape([-1] + [1] * (len(self.view.shape) - 1)), self.view.shape)

    @property
    def destinations(self) -> tuple[np.ndarray, np.ndarray]:
        """(number, legal) of whatever has an address of its own: here each row of the view."""
        return self.index, self.legal

    def _by_row(self, array: np.ndarray) -> np.ndarray:
        """An array over the view, with a leading dimension for the index (one row where the index is a scalar)."""
        return array.reshape((self.index.size, *self.values.shape[1:]))

    def gather(self) -> np.ndarray:
        """The elements, in the view's shape; illegal ones are whatever element 0 is (callers mask them)."""
        if self.index.size == 1:
            return self.values[self.index[0] if self.legal[0] else 0].reshape(self.view.shape)
        return self.values[np.where(self.legal, self.index, 0)].reshape(self.view.shape)

    def scatter(self, values: np.ndarray, where: np.ndarray | None = None) -> None:
        """Write the legal elements; a later duplicate index wins."""
        order = slice(None, None, -1 if taken("duplicates") else 1)
        _write(self.values, self._by_row(values)[order], self.index[order], self._chosen(where)[order])
        if self.view.block.state != 2:
            shadow, chosen = self._shadow(), self._chosen(where)
            if chosen.ndim > 1:
                chosen = np.broadcast_to(chosen[..., None], (self.index.size, *shadow.shape[1:]))
            _write(shadow, np.ones(1, np.uint8), self.index, chosen)
            self.view.block.state = 2 if bool(self.view.block.shadow.all()) else 1

    def _chosen(self, where: np.ndarray | None) -> np.ndarray:
        """What is written: one flag for each row where that says it all, else one for each element."""
        if where is None:
            return self.legal
        each = self._by_row(where).reshape(self.index.size, -1)
        some, every = each.any(1), each.all(1)
        return self.legal & every if bool((some == every).all()) else self._by_row(where & self.valid)

    def unwritten(self) -> np.ndarray:
        """Which of the legal elements were never written."""
        if self.view.block.state == 0:
            return self.valid
        rows = self._shadow()[np.where(self.legal, self.index, 0)]
        return self.valid & ~(rows == 1).all(-1).reshape(self.view.shape)

    def show(self, value: Any, where: np.ndarray) -> None:
        """Put `value` into the legal elements where `where`, which stay unwritten."""
        _write(self.values, np.full(1, value), self.index, self._by_row(where & self.valid))

    def forget(self, where: np.ndarray) -> None:
        """Mark the legal elements where `where` as never written."""
        if self.view.block.state == 0:
            return
        shadow = self._shadow()
        each = np.broadcast_to(self._by_row(where & self.valid)[..., None], (self.index.size, *shadow.shape[1:]))
        _write(shadow, np.zeros(1, np.uint8), self.index, each)
        self.view.block.state = 1

    def _shadow(self) -> np.ndarray:
        """The same window on the shadow; one more dimension for the units of an element."""
        block, size = self.view.block, self.values.itemsize
        if size < block.unit:
            block.refine(size)
        units = size // block.unit
        strides = [s // size * units for s in self.values.strides]
        return np.ndarray((*self.values.shape, units), np.uint8, block.shadow, self.view.offset * units, (*strides, 1))


def _write(window: np.ndarray, values: np.ndarray, index: np.ndarray, chosen: np.ndarray) -> None:
    """``window[index[p]] = values[p]`` for chosen rows p, or for the chosen elements of each."""
    if chosen.ndim == 1:
        rows = index if chosen.all() else index[chosen]
        window[rows] = values if rows is index or values.ndim == 1 else values[chosen]
        return
    for p in np.flatnonzero(chosen.reshape(index.size, -1).any(1)):
        np.copyto(window[index[p]], values if values.ndim == 1 else values[p], where=chosen[p])


def addresses(view: View, tile: Any, unit: engine | None = None) -> Addresses | Rows:
    """Resolve the run-time part of `view` for the engine `unit`. `tile` makes readable operands of index tensors."""
    move = view.dynamic
    assert move is not None
    if move.kind == "outside":
        low, high = move.index
        expected = f"within 0 to {move.limit - 1} ({view.storage.allocation})"
        raise ViewError("access pattern leaves the tensor", got=f"elements {low} to {high}", expected=expected)
    index, legal = _positions(view, move, tile, TENSOR_ENGINE_GROUP if unit is engine.tensor else GROUP)
    return _rows(view, move, index, legal) or _elements(view, move, index, legal)


def _rows(view: View, move: Any, index: np.ndarray, legal: np.ndarray) -> Rows | None:
    """By rows, where every legal row is inside the block as a whole."""
    by_row = move.kind == "vector" and view.strides[0] == 0
    if move.kind == "tensor" or move.step <= 0 or not (by_row or index.size == 1):
        return None
    held = access.carrier(view)
    shape, strides = (view.shape[1:], view.strides[1:]) if by_row else (view.shape, view.strides)
    if any(s < 0 for s in strides):
        return None
    places = (view.block.nbytes // held.itemsize - 1 - ends(view.offset, shape, strides)[1]) // move.step + 1
    rows, fine = index.reshape(-1), np.broadcast_to(legal, index.shape).reshape(-1)
    if places < 1 or bool((fine & (rows >= places)).any()):
        return None
    steps = [s * held.itemsize for s in (move.step, *strides)]
    window = np.ndarray((places, *shape), held, view.block.array, view.offset * held.itemsize, steps)
    return Rows(view, rows, fine, window)


def _elements(view: View, move: Any, index: np.ndarray, legal: np.ndarray) -> Addresses:
    base = np.full(view.shape, view.offset, np.int64)
    for dim, stride in enumerate(view.strides):
        if stride:
            span = np.arange(view.shape[dim], dtype=np.int64) * stride
            base += span.reshape([-1 if d == dim else 1 for d in range(len(view.shape))])
    flat = base + index * move.step
    total = view.block.nbytes // access.carrier(view).itemsize
    valid = np.broadcast_to(legal, view.shape) & (flat >= 0) & (flat < total)
    return Addresses(view, flat, valid, np.broadcast_to(index, view.shape)[~valid])


def _complaint(bad: np.ndarray) -> str:
    return f"index {', '.join(map(str, np.unique(bad)[:4].tolist()))}"


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
