"""`neuronxcc.nki.compiler.psum`: places of a tensor's blocks in PSUM (SDK 2.26)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from opentrn.isa.enums import MemoryRegion
from opentrn.nki.beta1.compiler.modulo import called, place
from opentrn.nki.beta1.language.memory import Placed
from opentrn.program.recorder import active

__all__ = ["alloc", "auto_alloc", "mod_alloc"]


def alloc(func: Callable[..., Any]) -> Placed:
    """Blocks go where ``func(block index, partitions, bytes per partition)`` says: (bank, start partition, byte)."""

    def where(index: tuple[int, ...], partitions: int, nbytes: int) -> tuple[int, int]:
        bank, partition, byte = called(func, index, partitions, nbytes)
        return int(partition), int(bank) * active("ncc.psum.alloc").chip.memory.psum_bank_bytes + int(byte)

    return Placed(MemoryRegion.psum, where)


def mod_alloc(
    *, base_bank: int, base_addr: int = 0, base_partition: int = 0, num_bank_tiles: tuple[int, ...] = (),
    num_par_tiles: tuple[int, ...] = (), num_free_tiles: tuple[int, ...] = (),
) -> Placed:  # fmt: skip
    """Blocks go round in `num_bank_tiles` banks from `base_bank` on."""
    return alloc(
        lambda index, partitions, nbytes: (
            place(base_bank, num_bank_tiles, 1)(index),
            place(base_partition, num_par_tiles, partitions)(index),
            place(base_addr, num_free_tiles, nbytes)(index),
        )
    )


def auto_alloc() -> Placed:
    """The allocator chooses."""
    return Placed(MemoryRegion.psum)
