"""What `nl.ndarray` allocates: an `Allocation` (facts that outlive the data) and a `Storage` (that plus the data).

Both have a native layout where there is a native core, with a twin here of the same attributes.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from types import CodeType
from typing import TYPE_CHECKING, Any

import numpy as np

from opentrn.errors import Site
from opentrn.isa.enums import MemoryRegion
from opentrn.numerics.dtypes import DType
from opentrn.program import native
from opentrn.program.site import site_of

__all__ = ["FACTS", "Allocation", "Storage", "facts_of"]


class _Allocation:
    """The twin of `_native.Allocation`."""

    __slots__ = ("id", "name", "shape", "dtype", "buffer", "core", "_where", "address", "manual", "first", "last", "written",
                 "partitions", "partition_bytes")  # fmt: skip

    def __init__(
        self,
        id: int,
        name: str,
        shape: tuple[int, ...],
        dtype: DType,
        buffer: MemoryRegion,
        core: int,
        site: Site | tuple[CodeType, int] | None,
        address: tuple[int, int] | None = None,
        manual: bool = False,
        first: int = -1,
        last: int = -1,
        written: bool = False,
    ) -> None:
        self.id, self.name, self.shape, self.dtype, self.buffer, self.core = id, name, shape, dtype, buffer, core
        self._where, self.address, self.manual = site, address, manual
        self.first, self.last, self.written = first, last, written
        self.partitions = shape[0] if buffer.on_chip else 1
        self.partition_bytes = prod(shape[1:] if buffer.on_chip else shape) * dtype.itemsize


class _Storage:
    """The twin of `_native.Storage`."""

    __slots__ = ("allocation", "block", "wide", "source", "__weakref__")

    def __init__(self, allocation: Allocation, block: Any, wide: bool = False, source: Any = None) -> None:
        self.allocation, self.block, self.wide, self.source = allocation, block, wide, source


if not TYPE_CHECKING:
    _Allocation = getattr(native.core(), "Allocation", _Allocation)
    _Storage = getattr(native.core(), "Storage", _Storage)


class Allocation(_Allocation):
    """One tensor of a core: its extent, where it sits, and when it is used.

    `address` is (start partition, byte offset within each partition); None until given by hand (`manual`) or by the
    allocator. `partitions` times `partition_bytes` is its extent (off chip: one partition). `first` and `last` are the
    record numbers of the first and last instruction that touches it (-1: none yet); `written` tells whether one wrote to
    it.
    """

    __slots__ = ()

    @property
    def site(self) -> Site | None:
        """Where in the user's code it was allocated. May be given as a recorded (code, line) pair."""
        return self._where if self._where is None or isinstance(self._where, Site) else site_of(self._where)

    @property
    def nbytes(self) -> int:
        """Bytes over all partitions."""
        return self.partitions * self.partition_bytes

    def __str__(self) -> str:
        where = f" at {self.site}" if self.site else ""
        return f"{self.name or 'tensor'} {list(self.shape)} {self.dtype.name} {self.buffer.value}{where}"


class Storage(_Storage):
    """An allocation together with its data.

    `block` holds the bytes and their shadow (see `execute.block`); None where shapes alone are recorded. `wide` tells that
    low-precision floats are kept as float32 (`NKI_PRECISE_FP=0`). `source` is the kernel argument that it holds, or None.
    """

    __slots__ = ()


FACTS = ("on_chip", "psum", "row", "byte", "partition_bytes", "partitions", "first", "last")
"""Columns of `facts_of`; row and byte are the address (0 where there is none), first and last as in `Allocation`."""


def facts_of(allocations: Sequence[Allocation]) -> dict[str, np.ndarray]:
    """The numbers of many allocations in columns (int64) of the names in `FACTS`. The native core has a twin."""
    core = native.core()
    table = core.facts_of(list(allocations)) if core else np.array([_facts(a) for a in allocations], np.int64)
    return dict(zip(FACTS, table.reshape(-1, len(FACTS)).T, strict=True))


def _facts(each: Allocation) -> tuple[int, ...]:
    row, byte = each.address or (0, 0)
    psum = each.buffer is MemoryRegion.psum
    return (each.buffer.on_chip, psum, row, byte, each.partition_bytes, each.partitions, each.first, each.last)
