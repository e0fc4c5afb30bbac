"""The integers that iota and affine_select generate: an affine pattern of up to four dimensions for each partition."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from opentrn.isa.spec import Broken

__all__ = ["affine_values", "in_32_bits", "native_pattern", "same_count"]


def affine_values(pattern: tuple[tuple[int, int], ...], offset: int, multiplier: int, partitions: int) -> np.ndarray:
    """(partitions, elements) int32 values ``offset + partition * multiplier + sum(step * position)``, wrapping."""
    total = np.int64(offset) + np.arange(partitions, dtype=np.int64)[:, None] * multiplier
    for step, count in pattern:
        total = (total[:, :, None] + np.arange(count, dtype=np.int64) * step).reshape(partitions, -1)
    return total.astype(np.uint32).view(np.int32)


def same_count(pattern: tuple[tuple[int, int], ...], *tiles: Any) -> None:
    """The pattern has as many elements as each tile has per partition."""
    count = prod(n for _, n in pattern)
    for tile in tiles:
        if tile.elements != count:
            raise Broken(f"a pattern of {count} elements for {tile.elements} of {tile.shape}", "equally many")


def in_32_bits(pattern: tuple[tuple[int, int], ...], offset: int, multiplier: int) -> None:
    """Offset, multiplier and steps are 32-bit integers, of either signedness (a register holds bits)."""
    for value in (offset, multiplier, *(step for step, _ in pattern)):
        if not -(2**31) <= value < 2**32:
            raise Broken(str(value), "a 32-bit integer")


def native_pattern(pattern: tuple[tuple[int, int], ...], offset: int, multiplier: int) -> tuple[int, ...]:
    """The integers by which the native core knows a pattern."""
    return (offset, multiplier, len(pattern), *(v for pair in pattern for v in pair))
