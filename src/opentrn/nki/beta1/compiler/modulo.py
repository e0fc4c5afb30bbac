"""Places of blocks. Modulo allocation: block i of a tensor goes to place i mod n (nki.compiler.sbuf.mod_alloc, SDK 2.26)."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from math import prod
from typing import Any

__all__ = ["called", "place"]


def called(func: Callable[..., Any], index: tuple[int, ...], partitions: int, nbytes: int) -> Any:
    """``func(idx, pdim_size, fdim_size)``, by these names where it has them: public kernels bind others beside them."""
    named = {"idx": index, "pdim_size": partitions, "fdim_size": nbytes}
    if set(named) <= set(inspect.signature(func).parameters):
        return func(**named)
    return func(*named.values())


def place(base: int, tiles: tuple[int, ...], scale: int) -> Callable[[tuple[int, ...]], int]:
    """A function from block index to ``base + scale * (row-major number of the index modulo `tiles`)``."""

    def number(index: tuple[int, ...]) -> int:
        sizes = tuple(tiles) or (1,) * len(index)
        near = [i % n for i, n in zip(index, sizes, strict=False)]
        return base + scale * sum(i * prod(sizes[dim + 1 :]) for dim, i in enumerate(near))

    return number
