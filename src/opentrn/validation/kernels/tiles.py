"""What the kernels of this folder share: tiles in SBUF and PSUM, and one matmul loop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import opentrn.nki.isa as nisa
import opentrn.nki.language as nl
from opentrn.kernels.tiles import COLUMNS, ROWS, psum, sbuf

__all__ = ["COLUMNS", "ROWS", "STATIC", "Stores", "load", "product", "psum", "sbuf"]

STATIC = {"dge_mode": nisa.dge_mode.none}
"""DMAs whose descriptors are written ahead: how a kernel is compiled with --disable-dge, and always on trn1."""


class Stores(nl.NKIObject):
    """Stores that are issued `behind` others later than they are written.

    A store waits on its queue until its data is there, and everything behind it waits too. The compiler issues what does
    not depend on it first (in the attention traces loads of the next rows stand before the stores of the last); these
    kernels do the same by holding stores back. `options` are those of dma_copy.
    """

    def __init__(self, behind: int = 1, **options: Any) -> None:
        self.behind, self.options = behind, options
        self.waiting: list[tuple[Any, Any]] = []

    def add(self, dst: Any, src: Any) -> None:
        """A store of `src` to `dst`; the oldest one that waits is issued when there are more than `behind`."""
        self.waiting.append((dst, src))
        if len(self.waiting) > self.behind:
            self._issue()

    def finish(self) -> None:
        """Issue all that wait."""
        while self.waiting:
            self._issue()

    def _issue(self) -> None:
        dst, src = self.waiting.pop(0)
        nisa.dma_copy(dst=dst, src=src, **self.options)


def load(source: Any, **options: Any) -> Any:
    """A part of HBM as a new tensor in SBUF, by one DMA; `options` are those of dma_copy."""
    tile = sbuf(source.shape, source.dtype)
    nisa.dma_copy(dst=tile, src=source, **options)
    return tile


def product(stationary: Sequence[Any], moving: Sequence[Any]) -> Any:
    """The sum of the products of two lists of tiles, accumulated in a new PSUM tile."""
    total = psum((stationary[0].shape[1], moving[0].shape[1]))
    for left, right in zip(stationary, moving, strict=True):
        nisa.nc_matmul(dst=total, stationary=left, moving=right)
    return total
