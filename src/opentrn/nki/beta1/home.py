"""Where tensors live: one tile for each logical block, allocated when it is first used.

A block dimension is a logical one: each block is a (partition, free) tile of its own, and how many of them exist at a
time is the allocator's affair (nki_block_dimension_migration_guide.rst, SDK 2.26). A tile that an instruction gives back
without being told where (`Order`) is not allocated before it is known that nobody names a place for it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from opentrn.errors import ViewError
from opentrn.execute import access
from opentrn.execute.tile import sentinel
from opentrn.isa.enums import MemoryRegion
from opentrn.nki.beta1 import state
from opentrn.nki.beta1.dtypes import shown
from opentrn.nki.language.memory import ndarray
from opentrn.nki.tensor import NkiTensor
from opentrn.numerics.dtypes import DTYPES
from opentrn.program.recorder import active
from opentrn.program.site import user_site

__all__ = ["Home", "Order", "Placement", "leave_garbage"]

Placement = Callable[[tuple[int, ...], int, int], tuple[int, int]]
"""(block index, partitions, bytes per partition) -> (start partition, byte offset) of that block."""


@dataclass
class Order:
    """An instruction that is asked for but not recorded: ``record(tensor, fresh)`` writes its result into a tensor.

    `place` is the user's line, `memories` where the result can go, `dtype` the type that was asked for (None: whatever the
    destination has). `fresh` tells that nothing else is in the tensor.
    """

    record: Callable[[Any, bool], None]
    place: Any
    memories: frozenset[MemoryRegion]
    dtype: str | None = None
    alone: Callable[[], None] = lambda: None
    """Writes the result into a tile of its own."""
    reduces: bool = False
    """The result is combined with what its destination holds (nl.loop_reduce)."""
    adds: Callable[[Any], None] | None = None
    """Adds the result to a destination in the same instruction; None where that takes two."""
    found: list[Any] | None = None
    """The boxes of the result that a mask lets it write; None for all of it."""


class Home:
    """The tiles of one tensor. `shape` is that of a tile, `blocks` the sizes of the block dimensions in front of it."""

    __slots__ = (
        "__weakref__",
        "blocks",
        "buffer",
        "dtype",
        "holes",
        "name",
        "order",
        "placed",
        "placement",
        "reduced",
        "shape",
        "tiles",
        "zero",
    )

    def __init__(
        self,
        shape: tuple[int, ...],
        dtype: str,
        buffer: MemoryRegion,
        *,
        blocks: tuple[int, ...] = (),
        name: str = "",
        placement: Placement | None = None,
        order: Order | None = None,
    ) -> None:
        self.shape, self.dtype, self.buffer, self.blocks, self.name = shape, dtype, buffer, blocks, name
        self.placement, self.order = placement, order
        self.tiles: dict[tuple[int, ...], NkiTensor] = {}
        self.placed: dict[tuple[int, int], tuple[int, ...]] = {}
        """The block that is at an address now, of those placed by hand."""
        self.zero: set[tuple[int, ...]] | None = None
        """Blocks that are full of zeros by declaration, and were not touched; None where nothing was declared."""
        self.reduced: set[Any] | None = None
        """Parts that only nl.loop_reduce has written; None where values came from elsewhere, too."""
        self.holes: set[tuple[int, ...]] = set()
        """Blocks in PSUM that a mask kept from being written: garbage, but only once somebody looks."""

    @classmethod
    def of(cls, tile: Any) -> Home:
        """The home of a tensor that exists."""
        made = cls(tile.shape, tile.dtype, tile.buffer, name=tile.name)
        made.tiles[()] = tile if isinstance(tile, NkiTensor) else NkiTensor._make(
            tile.storage, tile.shape, tile.strides, tile.offset, tile.dtype, tile.dynamic
        )  # fmt: skip
        return made

    @property
    def ndim(self) -> int:
        """Dimensions, those of the blocks included."""
        return len(self.blocks) + len(self.shape)

    @property
    def dims(self) -> tuple[int, ...]:
        """Sizes of all dimensions."""
        return self.blocks + self.shape

    def tile(self, block: tuple[int, ...], *, product: str = "") -> NkiTensor:
        """The tile of one block, with everything in it that was ordered or declared.

        `product` is "all" or "part" for a matrix product into all or a part of it, which overwrites what nobody wrote:
        then garbage stays unwritten, and zeros that are overwritten as a whole need no memset.
        """
        if self.order is not None:
            state.settle()
        found = self.tiles.get(block)
        if found is None:
            found = self.tiles[block] = self._allocate(block)
        if self.zero is not None and block in self.zero:
            self.zero.discard(block)
            if product != "all":
                state.fill(found, 0)
        if block in self.holes and not product:
            self.holes.discard(block)
            leave_garbage(found)
        return found

    def _allocate(self, block: tuple[int, ...]) -> NkiTensor:
        if any(not 0 <= n < size for n, size in zip(block, self.blocks, strict=True)):
            raise ViewError(
                "index of a block dimension", site=user_site(2), got=str(block), expected=f"within {self.blocks}"
            )
        address = None
        if self.placement is not None and not state.now().automatic:
            per_partition = int(np.prod(self.shape[1:], dtype=np.int64)) * DTYPES[self.dtype].itemsize
            address = self.placement(block, self.shape[0], per_partition)
            self._hand_over(address, block)
        name = self.name + (f"[{', '.join(map(str, block))}]" if block else "")
        return ndarray(self.shape, self.dtype, self.buffer, name, address)

    def _hand_over(self, address: tuple[int, int], block: tuple[int, ...]) -> None:
        """A block that goes where another one is ends that one: who reads it afterwards reads what was never written.

        It would be the same to follow its bytes, at a cost that grows with the square of the blocks.
        """
        before = self.placed.get(address)
        if before is not None:
            self.tiles.pop(before, None)
        self.placed[address] = block

    @property
    def shown_dtype(self) -> np.dtype:
        """The dtype as numpy has it."""
        return shown(self.dtype)


def leave_garbage(view: Any, *, fresh: bool = False) -> None:
    """Let the unwritten elements of `view` hold what the chip would: something (NaN; in integers 4), without an error.

    A mask leaves elements out that later instructions may read and throw away, as public kernels do at their edges.
    `fresh` tells that no instruction wrote to it yet.
    """
    core = active("mask=").state
    if not core.mode.data:
        return
    if not fresh:
        core.flush()
    if access.ready(view):
        return
    kind = DTYPES["float32"] if view.storage.wide and view.dt.is_float else view.dt
    values = np.full(view.shape, sentinel(kind))
    if view.block.state:
        shadow = access.shadow_of(view).reshape((*view.shape, -1))
        values = np.where((shadow != 1).any(-1), values, access.strided(view))
    core.fill(view, values)
