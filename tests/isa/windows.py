"""Ways to see a tile, for tests: the storage it needs, the view an instruction gets, and the same view in numpy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

KINDS = ("whole", "late", "stepped", "turned", "deep")


@dataclass(frozen=True)
class Window:
    """`shape` of the storage; `view` of an NKI tensor; `look`, the same view of a numpy array."""

    shape: tuple[int, ...]
    view: Callable[[Any], Any]
    look: Callable[[np.ndarray], np.ndarray]


def window(kind: str, partitions: int, elements: int) -> Window:
    """A window of (partitions, elements), however many dimensions it has."""
    if kind == "late":
        return _sliced((partitions, elements + 3), slice(3, None))
    if kind == "stepped":
        return _sliced((partitions, 2 * elements + 1), slice(1, None, 2))
    inner = 2 if elements % 2 == 0 else 1
    shape = (partitions, elements // inner, inner)
    if kind == "turned":
        return Window(shape, lambda t: t.permute((0, 2, 1)), lambda a: a.transpose(0, 2, 1))
    return Window(shape if kind == "deep" else (partitions, elements), lambda t: t, lambda a: a)


def _sliced(shape: tuple[int, int], columns: slice) -> Window:
    return Window(shape, lambda t: t[:, columns], lambda a: a[:, columns])
