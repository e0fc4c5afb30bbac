"""Modulo allocation: block i of a tensor goes to place i mod n (nki.compiler.sbuf.mod_alloc, SDK 2.26)."""

from __future__ import annotations

from collections.abc import Callable
from math import prod

__all__ = ["place"]


def place(base: int, tiles: tuple[int, ...], scale: int) -> Callable[[tuple[int, ...]], int]:
    """A function from block index to ``base + scale * (row-major number of the index modulo `tiles`)``."""

    def number(index: tuple[int, ...]) -> int:
        sizes = tuple(tiles) or (1,) * len(index)
        near = [i % n for i, n in zip(index, sizes, strict=False)]
        return base + scale * sum(i * prod(sizes[dim + 1 :]) for dim, i in enumerate(near))

    return number
