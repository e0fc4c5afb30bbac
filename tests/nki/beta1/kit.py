"""Runs bodies written in the older dialect, and gives back what they store."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import opentrn
from opentrn.nki.beta1 import jit
from opentrn.nki.beta1 import language as nl


def stored(body: Callable[..., Any], *arrays: np.ndarray, target: str | None = None) -> np.ndarray:
    """What the tile holds that ``body(*HBM tensors)`` gives back."""

    def kernel(*given: Any) -> Any:
        tile = body(*given)
        out = nl.ndarray(tile.shape, dtype=tile.dtype, buffer=nl.shared_hbm)
        nl.store(out, tile)
        return out

    return jit(kernel, platform_target=target)(*(arrays or (np.zeros((1, 1), np.float32),)))


def instructions(kernel: Any, *arrays: np.ndarray) -> dict[str, int]:
    """How often each instruction is recorded."""
    return dict(opentrn.run(kernel)(*arrays).instructions)


def normal(*shape: int, seed: int = 3, dtype: Any = np.float32) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)
