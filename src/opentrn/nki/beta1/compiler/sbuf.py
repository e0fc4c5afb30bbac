"""`neuronxcc.nki.compiler.sbuf`: places of a tensor's blocks in SBUF (SDK 2.26)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from opentrn.isa.enums import MemoryRegion
from opentrn.nki.beta1.compiler.modulo import called, place
from opentrn.nki.beta1.language.memory import Placed

__all__ = ["alloc", "auto_alloc", "mod_alloc"]


def alloc(func: Callable[..., Any]) -> Placed:
    """Blocks go where ``func(block index, partitions, bytes per partition)`` says: (start partition, byte)."""

    def where(index: tuple[int, ...], partitions: int, nbytes: int) -> tuple[int, int]:
        partition, byte = called(func, index, partitions, nbytes)
        return int(partition), int(byte)

    return Placed(MemoryRegion.sbuf, where)


def mod_alloc(
    *, base_addr: int, base_partition: int = 0, num_par_tiles: tuple[int, ...] = (), num_free_tiles: tuple[int, ...] = ()
) -> Placed:  # fmt: skip
    """Blocks go round in `num_free_tiles` places from `base_addr` on."""
    return alloc(
        lambda index, partitions, nbytes: (
            place(base_partition, num_par_tiles, partitions)(index),
            place(base_addr, num_free_tiles, nbytes)(index),
        )
    )


def auto_alloc() -> Placed:
    """The allocator chooses."""
    return Placed(MemoryRegion.sbuf)
