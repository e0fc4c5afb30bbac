"""Clobbered reads: bytes of a hand-placed tensor that another tensor has overwritten since.

Every tensor owns its values here, as in AWS's own simulator; on the chip two tensors at overlapping addresses share
bytes. Each hand-placed tensor that overlaps others therefore keeps two byte masks, in program order: which of its bytes
hold what was written to it, and which of those a neighbour has overwritten.
"""

from __future__ import annotations

from collections import defaultdict
from weakref import WeakKeyDictionary, ref

import numpy as np

from opentrn.errors import MemoryFault
from opentrn.isa.enums import MemoryRegion
from opentrn.program.storage import Allocation, Storage
from opentrn.program.view import View

__all__ = ["Neighbours"]

Part = slice | np.ndarray
"""Rows or byte columns that a view touches: a contiguous range, or their numbers."""


class _Shared:
    """What one tensor shares: whom it overlaps, and the state of its bytes, (partitions, bytes of a partition)."""

    def __init__(self, storage: Storage) -> None:
        self.mine = storage.allocation
        self.others: list[ref[_Shared]] = []
        self.held = _written(storage).reshape(self.mine.partitions, self.mine.partition_bytes)
        self.lost = np.zeros(self.held.shape, bool)  # np.zeros: pages that nobody looks at cost nothing
        self.empty = storage.block.state == 0
        """True when no byte is held."""


class _Table:
    """The places of one memory's hand-placed tensors: first and behind-last partition, first and behind-last byte."""

    def __init__(self) -> None:
        self._places = np.empty((64, 4), np.int64)
        self._tensors: list[ref[Storage]] = []

    def add(self, storage: Storage, place: tuple[int, int, int, int]) -> list[Storage]:
        """Note one more tensor; gives back those still in use that it overlaps."""
        top, bottom, left, right = self._places[: len(self._tensors)].T
        meets = (top < place[1]) & (place[0] < bottom) & (left < place[3]) & (place[2] < right)
        found = [self._tensors[row]() for row in np.flatnonzero(meets)]
        if len(self._tensors) == len(self._places):
            self._make_room()
        self._places[len(self._tensors)] = place
        self._tensors.append(ref(storage))
        return [each for each in found if each is not None]

    def _make_room(self) -> None:
        used = [row for row, tensor in enumerate(self._tensors) if tensor() is not None]
        self._tensors = [self._tensors[row] for row in used]
        fresh = np.empty((max(64, 2 * len(used)), 4), np.int64)
        fresh[: len(used)] = self._places[used]
        self._places = fresh


class Neighbours:
    """The hand-placed tensors of one core that overlap others, and what of each has been overwritten."""

    def __init__(self) -> None:
        self._placed: defaultdict[MemoryRegion, _Table] = defaultdict(_Table)
        self._shared: WeakKeyDictionary[Storage, _Shared] = WeakKeyDictionary()

    def add(self, storage: Storage) -> None:
        """A new hand-placed tensor; finds whom it overlaps among those still in use."""
        new = storage.allocation
        assert new.address is not None
        (first, byte), rows, size = new.address, new.partitions, new.partition_bytes
        for other in self._placed[new.buffer].add(storage, (first, first + rows, byte, byte + size)):
            mine, theirs = self._of(storage), self._of(other)
            mine.others.append(ref(theirs))
            theirs.others.append(ref(mine))

    def _of(self, storage: Storage) -> _Shared:
        found = self._shared.get(storage)
        if found is None:
            found = self._shared[storage] = _Shared(storage)
        return found

    def __bool__(self) -> bool:
        return bool(self._shared)

    def concerns(self, storage: Storage) -> bool:
        """True when reads and writes of this tensor have to be followed."""
        return storage in self._shared

    def wrote(self, view: View) -> None:
        """`view` was written: its bytes are good again, what neighbours held in the same bytes is lost."""
        state = self._shared[view.storage]
        rows, columns = _footprint(view)
        state.held[rows, columns] = True
        state.lost[rows, columns] = False
        state.empty = False
        others = [theirs for other in state.others if (theirs := other()) is not None]
        for theirs in others:
            if not theirs.empty:
                _lose(theirs, state.mine, rows, columns)
        if len(others) < len(state.others):
            state.others = [ref(theirs) for theirs in others]

    def read(self, view: View, name: str) -> None:
        """Raise MemoryFault when bytes of `view` have been overwritten by a neighbour."""
        state, mine = self._shared[view.storage], view.storage.allocation
        bad = state.lost[_footprint(view)]
        if bad.any():
            others = [theirs.mine for other in state.others if (theirs := other()) is not None]
            raise MemoryFault(
                f"{name} reads bytes that another tensor has overwritten",
                kind="clobber",
                got=f"{int(bad.sum())} bytes of {mine} at {mine.address}",
                expected="the tensor's own values",
                hint="it shares addresses with "
                + ("; ".join(f"{a} at {a.address}" for a in others[:3]) or "a dead tensor"),
            )


def _lose(state: _Shared, writer: Allocation, rows: slice, columns: Part) -> None:
    """`writer` was written at `rows` and `columns`: what `state`'s tensor held in the same bytes is lost."""
    theirs = state.mine
    assert writer.address is not None and theirs.address is not None
    r = _moved(rows, writer.address[0] - theirs.address[0], theirs.partitions)
    c = _moved(columns, writer.address[1] - theirs.address[1], theirs.partition_bytes)
    held = state.held[r, c]
    if not held.any():  # bytes that were never written have nothing to lose; reading them is a fault of its own
        return
    state.lost[r, c] |= held
    state.held[r, c] = False
    state.empty = not state.held.any()


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
