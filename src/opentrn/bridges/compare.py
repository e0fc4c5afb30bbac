"""Results of a kernel beside those of its reference: made alike, and how far apart they are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from opentrn.errors import LaunchError
from opentrn.nki.arrays import ShapeDtype, kind_of, leaves, rebuilt
from opentrn.numerics.dtypes import DTYPES

__all__ = ["conform", "deviation"]


def conform(value: Any, like: Any, kernel: str) -> Any:
    """What a reference gave, in the dtypes of what the kernel would give. Raises LaunchError for another form or shape."""
    if isinstance(like, ShapeDtype):
        kind = kind_of(value)
        if kind is None or tuple(value.shape) != like.shape:
            got = type(value).__name__ if kind is None else f"shape {tuple(value.shape)}"
            raise LaunchError(f"reference of kernel {kernel}", got=got, expected=f"an array of shape {like.shape}")
        return kind.from_numpy(_cast(kind.to_numpy(value), like), DTYPES[like.dtype])
    if isinstance(like, (tuple, list, dict)):
        if type(value) is not type(like) or len(value) != len(like):
            raise LaunchError(
                f"reference of kernel {kernel}",
                got=repr(value)[:200],
                expected=f"a {type(like).__name__} of {len(like)}",
            )
        pairs = iter(value.values() if isinstance(value, dict) else value)
        return rebuilt(like, lambda each: conform(next(pairs), each, kernel))
    return like


def _cast(array: np.ndarray, like: ShapeDtype) -> np.ndarray:
    carrier = DTYPES[like.dtype].carrier
    return array if array.dtype == carrier else array.astype(np.float32).astype(carrier)


def deviation(got: Any, expected: Any) -> float:
    """The largest deviation among arrays in the same places, each relative to the largest magnitude it should have."""
    return max(map(_relative, _arrays(got), _arrays(expected)), default=0.0)


def _arrays(value: Any) -> Iterator[np.ndarray]:
    for leaf in leaves(value):
        kind = kind_of(leaf)
        if kind is not None:
            yield np.asarray(kind.to_numpy(leaf)).astype(np.float64)


def _relative(got: np.ndarray, expected: np.ndarray) -> float:
    if got.shape != expected.shape or (np.isfinite(got) != np.isfinite(expected)).any():
        return float("inf")
    finite = np.isfinite(expected)
    if not finite.any():
        return 0.0
    largest = np.abs(expected[finite]).max()
    apart = np.abs(got[finite] - expected[finite]).max()
    return float(apart / largest) if largest else (float("inf") if apart else 0.0)
