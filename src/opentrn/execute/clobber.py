"""Clobbered reads: bytes of a hand-placed tensor that another tensor has overwritten since.

Every tensor owns its values here, as in AWS's own simulator; on the chip two tensors at overlapping addresses share
bytes. Each hand-placed tensor that overlaps others therefore keeps two byte masks, in program order: which of its bytes
hold what was written to it, and which of those a neighbour has overwritten. Where none is held, its memory is given back.
"""

from __future__ import annotations

from collections import defaultdict
from weakref import WeakKeyDictionary, WeakSet, ref

import numpy as np

from opentrn.errors import MemoryFault
from opentrn.isa.enums import MemoryRegion
from opentrn.program.storage import Allocation, Storage
from opentrn.program.view import View

__all__ = ["Neighbours"]

Part = slice | np.ndarray
"""Rows or byte columns that a view touches: a contiguous range, or their numbers."""


Mask = bool | np.ndarray
"""One boolean for each byte, (partitions, bytes of a partition), or one for all of them."""


class _Shared:
    """What one tensor shares: whom it overlaps, and the state of its bytes."""

    def __init__(self, storage: Storage) -> None:
        self.mine, self.block = storage.allocation, storage.block
        self.others: list[ref[_Shared]] = []
        self.held: Mask = _written(storage)
        self.lost: Mask = False

    def hold(self, rows: slice, columns: Part) -> None:
        """These bytes hold what was written to them."""
        if self._are_all(rows, columns):
            self.held, self.lost = True, False
            return
        if self.held is not True:
            held = self._spread(self.held)
            held[rows, columns] = True
            self.held = bool(held.all()) or held
        if self.lost is not False:
            lost = self._spread(self.lost)
            lost[rows, columns] = False
            self.lost = bool(lost.any()) and lost

    def lose(self, rows: slice, columns: Part) -> None:
        """A neighbour was written there; reading bytes that held nothing is a fault of its own."""
        if self.held is False:
            return
        if self._are_all(rows, columns):
            self.held, self.lost = False, self.lost | self.held
            return
        held = self._spread(self.held)
        here = held[rows, columns]
        if here.any():
            lost = self._spread(self.lost)
            lost[rows, columns] |= here
            held[rows, columns] = False
            self.held, self.lost = bool(held.any()) and held, bool(lost.all()) or lost

    def bad(self, rows: slice, columns: Part) -> int:
        """How many of these bytes are lost."""
        return 0 if self.lost is False else int(self._spread(self.lost)[rows, columns].sum())

    def _are_all(self, rows: slice, columns: Part) -> bool:
        count = columns.stop - columns.start if isinstance(columns, slice) else len(columns)
        return rows.stop - rows.start == self.mine.partitions and count == self.mine.partition_bytes

    def _spread(self, mask: Mask) -> np.ndarray:
        return (
            mask if isinstance(mask, np.ndarray) else np.full((self.mine.partitions, self.mine.partition_bytes), mask)
        )


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
        self._dead: WeakSet[_Shared] = WeakSet()

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
        state.hold(rows, columns)
        others = [theirs for other in state.others if (theirs := other()) is not None]
        for theirs in others:
            if theirs.held is not False:
                _lose(theirs, state.mine, rows, columns)
                if theirs.held is False:
                    self._dead.add(theirs)
        if len(others) < len(state.others):
            state.others = [ref(theirs) for theirs in others]

    def read(self, view: View, name: str) -> None:
        """Raise MemoryFault when bytes of `view` have been overwritten by a neighbour."""
        state, mine = self._shared[view.storage], view.storage.allocation
        bad = state.bad(*_footprint(view))
        if bad:
            others = [theirs.mine for other in state.others if (theirs := other()) is not None]
            raise MemoryFault(
                f"{name} reads bytes that another tensor has overwritten",
                kind="clobber",
                got=f"{bad} bytes of {mine} at {mine.address}",
                expected="the tensor's own values",
                hint="it shares addresses with "
                + ("; ".join(f"{a} at {a.address}" for a in others[:3]) or "a dead tensor"),
            )

    def discard(self) -> None:
        """Give back the memory of tensors of which no byte is held: nothing can read them any more.

        To be called once what was followed is executed. A kernel may know thousands of tiles of the few MiB that there are.
        """
        for state in self._dead:
            if state.held is False:
                state.block.discard()
        self._dead.clear()


def _lose(state: _Shared, writer: Allocation, rows: slice, columns: Part) -> None:
    """`writer` was written at `rows` and `columns`: what `state`'s tensor held in the same bytes is lost."""
    theirs = state.mine
    assert writer.address is not None and theirs.address is not None
    state.lose(
        _moved_rows(rows, writer.address[0] - theirs.address[0], theirs.partitions),
        _moved(columns, writer.address[1] - theirs.address[1], theirs.partition_bytes),
    )


def _written(storage: Storage) -> Mask:
    """Does each byte hold a value now?"""
    block, mine = storage.block, storage.allocation
    if block.state != 1:
        return block.state == 2
    shadow = np.asarray(block.shadow) == 1
    return np.repeat(shadow, mine.nbytes // shadow.size).reshape(mine.partitions, mine.partition_bytes)


def _moved_rows(part: slice, by: int, size: int) -> slice:
    """The same rows or columns counted from another origin, those within `size`."""
    first = max(part.start + by, 0)
    return slice(first, max(min(part.stop + by, size), first))


def _moved(part: Part, by: int, size: int) -> Part:
    """`_moved_rows`, also for numbers of columns."""
    if isinstance(part, slice):
        return _moved_rows(part, by, size)
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
