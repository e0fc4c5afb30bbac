"""What `nl.ndarray` allocates: an `Allocation` (facts that outlive the data) and a `Storage` (that plus the data)."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import prod
from typing import Any

from opentrn.errors import Site
from opentrn.isa.enums import MemoryRegion
from opentrn.numerics.dtypes import DType

__all__ = ["Allocation", "Storage"]


@dataclass(slots=True)
class Allocation:
    """One tensor of a core: its extent, where it sits, and when it is used.

    `address` is (start partition, byte offset within each partition); None until given by hand or by the allocator.
    `first` and `last` are the record numbers of the first and last instruction that touches it (-1: none yet);
    `written` tells whether one wrote to it.
    """

    id: int
    name: str
    shape: tuple[int, ...]
    dtype: DType
    buffer: MemoryRegion
    core: int
    site: Site | None
    address: tuple[int, int] | None = None
    manual: bool = False
    first: int = -1
    last: int = -1
    written: bool = False
    partitions: int = field(init=False)
    partition_bytes: int = field(init=False)

    def __post_init__(self) -> None:
        self.partitions = self.shape[0] if self.buffer.on_chip else 1
        free = prod(self.shape[1:]) if self.buffer.on_chip else prod(self.shape)
        self.partition_bytes = free * self.dtype.itemsize

    @property
    def nbytes(self) -> int:
        """Bytes over all partitions."""
        return self.partitions * self.partition_bytes

    def __str__(self) -> str:
        where = f" at {self.site}" if self.site else ""
        return f"{self.name or 'tensor'} {list(self.shape)} {self.dtype.name} {self.buffer.value}{where}"


@dataclass(slots=True, weakref_slot=True, eq=False)
class Storage:
    """An allocation together with its data.

    `block` holds the bytes and their shadow (see `execute.block`); None where shapes alone are recorded.
    `wide` tells that low-precision floats are kept as float32 (`NKI_PRECISE_FP=0`).
    """

    allocation: Allocation
    block: Any
    wide: bool = False
    source: Any = None
    """The caller's own array when this is a kernel argument (so that it can be handed back or updated)."""
