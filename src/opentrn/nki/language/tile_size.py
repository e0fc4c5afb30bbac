"""`nl.tile_size`: the sizes of the target chip that kernels tile by."""

from __future__ import annotations

from typing import Any

from opentrn.machine.chip import load_chip
from opentrn.nki import settings
from opentrn.program.recorder import ACTIVE

__all__ = ["tile_size"]


def _chip() -> Any:
    return ACTIVE.recorder.chip if ACTIVE.recorder is not None else load_chip(settings.read().target)


def _limit(name: str, text: str) -> property:
    return property(lambda self: getattr(_chip().limits, name), doc=text)


class _TileSize:
    """Hardware limits of the target (nl.tile_size, SDK 2.32). Inside a kernel: of the chip that it runs on."""

    pmax = _limit("pmax", "Partitions of a tile.")
    psum_fmax = _limit("psum_bank_fmax", "float32 elements of a PSUM bank per partition (old name of psum_bank_fmax).")
    psum_bank_fmax = _limit("psum_bank_fmax", "float32 elements of a PSUM bank per partition.")
    psum_bank_fmax_bytes = _limit("psum_bank_fmax_bytes", "Bytes of a PSUM bank per partition.")
    gemm_stationary_fmax = _limit("gemm_stationary_fmax", "Free size of a stationary operand.")
    bn_stats_fmax = _limit("bn_stats_fmax", "Free size of bn_stats.")

    @property
    def gemm_moving_fmax(self) -> int:
        """Free size of a moving operand that fits one PSUM bank (512 on every chip: public kernels tile by it)."""
        return _chip().limits.psum_bank_fmax

    @property
    def psum_min_align(self) -> int:
        """Byte alignment of PSUM addresses."""
        return _chip().memory.psum_min_align

    @property
    def sbuf_min_align(self) -> int:
        """Byte alignment of SBUF addresses."""
        return _chip().memory.sbuf_min_align

    @property
    def psum_num_banks(self) -> int:
        """PSUM banks per partition."""
        return _chip().memory.psum_banks

    @property
    def sbuf_size_bytes(self) -> int:
        """SBUF capacity in bytes, all partitions together."""
        return _chip().memory.sbuf_bytes

    @property
    def sbuf_fmax_bytes(self) -> int:
        """Usable SBUF bytes per partition."""
        return _chip().memory.sbuf_usable_bytes_per_partition

    @property
    def sbuf_fmax(self) -> int:
        """Usable SBUF per partition in float32 elements."""
        return self.sbuf_fmax_bytes // 4

    total_available_sbuf_size = sbuf_fmax_bytes


tile_size = _TileSize()
