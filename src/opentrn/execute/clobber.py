"""Clobbered reads: bytes of a hand-placed tensor that another tensor has overwritten since.

Every tensor owns its values here, as in AWS's own simulator; on the chip two tensors at overlapping addresses share
bytes. Each hand-placed tensor that overlaps others therefore keeps two byte masks, in program order: which of its bytes
hold what was written to it, and which of those a neighbour has overwritten.
"""

from __future__ import annotations

from weakref import WeakKeyDictionary, ref

import numpy as np

from opentrn.errors import MemoryFault
from opentrn.program.storage import Allocation, Storage
from opentrn.program.view import View

__all__ = ["Neighbours"]

Part = slice | np.ndarray
"""Rows or byte columns that a view touches: a contiguous range, or their numbers."""


class _Shared:
    """What one tensor shares: whom it overlaps, and the state of its bytes, (partitions, bytes of a partition)."""

    def __init__(self, storage: Storage) -> None:
        mine = storage.allocation
        self.others: list[ref[Storage]] = []
        self.held = _written(storage).reshape(mine.partitions, mine.partition_bytes)
        self.lost = np.zeros(self.held.shape, bool)  # np.zeros: pages that nobody looks at cost nothing
        self.empty = storage.block.state == 0
        """True when no byte is held, as far as that is known without looking at all of them."""


class Neighbours:
    """The hand-placed tensors of one core that overlap others, and what of each has been overwritten."""

    def __init__(self) -> None:
        self._placed: list[ref[Storage]] = []
        self._shared: WeakKeyDictionary[Storage, _Shared] = WeakKeyDictionary()

    def add(self, storage: Storage) -> None:
        """A new hand-placed tensor; finds whom it overlaps among those still in use."""
        self._placed = [r for r in self._placed if r() is not None]
        for other in self._placed:
            theirs = other()
            if theirs is not None and _overlap(storage.allocation, theirs.allocation):
                self._of(storage).others.append(other)
                self._of(theirs).others.append(ref(storage))
        self._placed.append(ref(storage))

    def _of(self, storage: Storage) -> _Shared:
        if storage not in self._shared:
            self._shared[storage] = _Shared(storage)
        return self._shared[storage]

    def __bool__(self) -> bool:
        return bool(self._shared)

    def concerns(self, storage: Storage) -> bool:
        """True when reads and writes of this tensor have to be followed."""
        return storage in self._shared

    def wrote(self, view: View) -> None:
        """`view` was written: its bytes are good again, what neighbours held in the same bytes is lost."""
        mine = self._shared[view.storage]
        rows, columns = _footprint(view)
        mine.held[rows, columns] = True
        mine.lost[rows, columns] = False
        mine.empty = False
        mine.others = [other for other in mine.others if other() is not None]
        for other in mine.others:
            storage = other()
            if storage is not None:
                self._lose(storage, view.storage.allocation, rows, columns)

    def _lose(self, storage: Storage, mine: Allocation, rows: slice, columns: Part) -> None:
        theirs, state = storage.allocation, self._shared[storage]
        if state.empty:
            return
        assert mine.address is not None and theirs.address is not None
        r = _moved(rows, mine.address[0] - theirs.address[0], theirs.partitions)
        c = _moved(columns, mine.address[1] - theirs.address[1], theirs.partition_bytes)
        # bytes that were never written have nothing to lose; reading them is a fault of its own
        state.lost[r, c] |= state.held[r, c]
        state.held[r, c] = False
        state.empty = isinstance(c, slice) and state.held[r, c].size == state.held.size

    def read(self, view: View, name: str) -> None:
        """Raise MemoryFault when bytes of `view` have been overwritten by a neighbour."""
        state, mine = self._shared[view.storage], view.storage.allocation
        bad = state.lost[_footprint(view)]
        if bad.any():
            others = [s.allocation for r in state.others if (s := r()) is not None]
            raise MemoryFault(
                f"{name} reads bytes that another tensor has overwritten",
                kind="clobber",
                got=f"{int(bad.sum())} bytes of {mine} at {mine.address}",
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


def _written(storage: Storage) -> np.ndarray:
    """One boolean for each byte: does it hold a value now?"""
    block, nbytes = storage.block, storage.allocation.nbytes
    if block.state != 1:
        return np.ones(nbytes, bool) if block.state == 2 else np.zeros(nbytes, bool)
    shadow = np.asarray(block.shadow) == 1
    return np.repeat(shadow, nbytes // shadow.size)


def _moved(part: Part, by: int, size: int) -> Part:
    """The same rows or columns counted from another origin, those within `size`."""
    if isinstance(part, slice):
        return slice(max(part.start + by, 0), max(min(part.stop + by, size), 0))
    part = part + by
    return part[(part >= 0) & (part < size)]


def _footprint(view: View) -> tuple[slice, Part]:
    """Partitions and byte columns that a view touches (a run-time address: all columns of its tensor)."""
    size, pitch = view.dt.itemsize, view.pitch
    start = view.offset // pitch
    rows = slice(start, start + view.shape[0])
    if view.dynamic is not None:
        return rows, slice(0, view.storage.allocation.partition_bytes)
    first = view.offset % pitch
    if view.is_contiguous():
        return rows, slice(first * size, (first + view.elements) * size)
    columns = np.array([first])
    for count, stride in zip(view.shape[1:], view.strides[1:], strict=True):
        columns = (columns[:, None] + np.arange(count) * stride).reshape(-1)
    return rows, (np.unique(columns)[:, None] * size + np.arange(size)).reshape(-1)
