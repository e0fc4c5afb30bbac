"""Random words: Marsaglia's xorwow with Python integers, and kernels that exist for one value."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import opentrn
import opentrn.nki.isa as nisa
import opentrn.nki.language as nl
from opentrn.program.recorder import ACTIVE

MASK = 2**32 - 1


def xorwow(state: Sequence[int], count: int) -> list[int]:
    """The next `count` words of one stream."""
    x, y, z, w, v, d = (int(n) for n in state)
    values = []
    for _ in range(count):
        t = x ^ x >> 2
        x, y, z, w = y, z, w, v
        v = (v ^ v << 4 ^ t ^ t << 1) & MASK
        d = (d + 362437) & MASK
        values.append((v + d) & MASK)
    return values


def inside(body: Callable[[], Any], target: str = "trn2") -> Any:
    """What `body` gives when it runs in a kernel."""
    kept = []

    def kernel(anchor: Any) -> Any:
        kept.append(body())
        nisa.dma_copy(dst=anchor, src=anchor)
        return anchor

    opentrn.run(kernel, target=target)(np.zeros((1, 1), np.float32))
    return kept[0]


def filled(array: np.ndarray) -> Any:
    """An SBUF tile with the values of `array`."""
    tile = nl.ndarray(array.shape, dtype=array.dtype, buffer=nl.sbuf)
    ACTIVE.recorder.state.fill(tile, array)
    return tile
