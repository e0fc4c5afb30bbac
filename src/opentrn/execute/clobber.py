"""Clobbered reads: bytes of a hand-placed tensor that another tensor has overwritten since.

Every tensor owns its values here, as in AWS's own simulator; on the chip two tensors at overlapping addresses share
bytes. Each hand-placed tensor therefore keeps a byte mask of what its neighbours wrote over it, in program order.
"""

from __future__ import annotations

from weakref import ref

import numpy as np

from opentrn.errors import MemoryFault
from opentrn.program.storage import Allocation, Storage
from opentrn.program.view import View

__all__ = ["Neighbours"]


class Neighbours:
    """The hand-placed tensors of one core that overlap others, and what of each has been overwritten."""

    def __init__(self) -> None:
        self._placed: list[ref[Storage]] = []
        self._overlaps: dict[int, list[ref[Storage]]] = {}
        self._lost: dict[int, np.ndarray] = {}

    def add(self, storage: Storage) -> None:
        """A new hand-placed tensor; finds whom it overlaps among those still in use."""
        self._placed = [r for r in self._placed if r() is not None]
        mine = storage.allocation
        for other in self._placed:
            theirs = other()
            if theirs is not None and _overlap(mine, theirs.allocation):
                self._overlaps.setdefault(mine.id, []).append(other)
                self._overlaps.setdefault(theirs.allocation.id, []).append(ref(storage))
        self._placed.append(ref(storage))

    def __bool__(self) -> bool:
        return bool(self._overlaps)

    def concerns(self, allocation: Allocation) -> bool:
        """True when reads and writes of this tensor have to be followed."""
        return allocation.id in self._overlaps

    def wrote(self, view: View) -> None:
        """`view` was written: its bytes are good again, the same bytes of every neighbour are lost."""
        mine = view.storage.allocation
        rows, columns = _footprint(view)
        if mine.id in self._lost:
            self._lost[mine.id][rows[:, None], columns] = False
        alive = [(r, r()) for r in self._overlaps[mine.id]]
        self._overlaps[mine.id] = [r for r, storage in alive if storage is not None]
        for _, storage in alive:
            if storage is not None:
                self._lose(storage.allocation, mine, rows, columns)

    def _lose(self, theirs: Allocation, mine: Allocation, rows: np.ndarray, columns: np.ndarray) -> None:
        assert mine.address is not None and theirs.address is not None
        r = rows + mine.address[0] - theirs.address[0]
        c = columns + mine.address[1] - theirs.address[1]
        r, c = r[(r >= 0) & (r < theirs.partitions)], c[(c >= 0) & (c < theirs.partition_bytes)]
        if r.size and c.size:
            if theirs.id not in self._lost:
                self._lost[theirs.id] = np.zeros((theirs.partitions, theirs.partition_bytes), bool)
            self._lost[theirs.id][r[:, None], c] = True

    def read(self, view: View, name: str) -> None:
        """Raise MemoryFault when bytes of `view` have been overwritten by a neighbour."""
        lost = self._lost.get(view.storage.allocation.id)
        if lost is None:
            return
        rows, columns = _footprint(view)
        bad = lost[rows[:, None], columns]
        if bad.any():
            others = [s.allocation for r in self._overlaps[view.storage.allocation.id] if (s := r()) is not None]
            raise MemoryFault(
                f"{name} reads bytes that another tensor has overwritten",
                kind="clobber",
                got=f"{int(bad.sum())} bytes of {view.storage.allocation} at {view.storage.allocation.address}",
                expected="the tensor's own values",
                hint="it shares addresses with "
                + ("; ".join(f"{a} at {a.address}" for a in others[:3]) or "a dead tensor"),
            )


def _overlap(a: Allocation, b: Allocation) -> bool:
    if a.buffer is not b.buffer or a.address is None or b.address is None:
        return False
    (ap, ab), (bp, bb) = a.address, b.address
    return (
        ap < bp + b.partitions
        and bp < ap + a.partitions
        and ab < bb + b.partition_bytes
        and bb < ab + a.partition_bytes
    )


def _footprint(view: View) -> tuple[np.ndarray, np.ndarray]:
    """Partitions and byte columns that a view touches (a run-time address: all columns of its tensor)."""
    size, pitch = view.dt.itemsize, view.pitch
    start = view.offset // pitch
    rows = np.arange(start, start + view.shape[0])
    if view.dynamic is not None:
        return rows, np.arange(view.storage.allocation.partition_bytes)
    columns = np.array([view.offset % pitch])
    for count, stride in zip(view.shape[1:], view.strides[1:], strict=True):
        columns = (columns[:, None] + np.arange(count) * stride).reshape(-1)
    return rows, (np.unique(columns)[:, None] * size + np.arange(size)).reshape(-1)
