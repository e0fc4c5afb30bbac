"""What two runs of a kernel give differently: the largest difference that the precision of the results does not excuse."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import ml_dtypes
import numpy as np

__all__ = ["Effect", "compare", "tolerance"]

_EPSILONS = 4
"""Differences of so many units in the last place are what kernels of that dtype are written to bear."""

_FLOAT32 = 1e-5
"""No less than numpy.allclose bears: sums in float32 differ by more than their last place."""


@dataclass(frozen=True)
class Effect:
    """The difference in output number `output`: how many of its elements, and the largest, at `where`."""

    output: int
    count: int
    size: int
    where: tuple[int, ...]
    ours: float
    other: float
    relative: float
    whole: bool = False

    def __str__(self) -> str:
        which = f"result {self.output}" if self.output else "the result"
        shown = ",.0f" if self.whole else ".6g"
        return (
            f"{self.count:,} of {self.size:,} elements of {which} change, most at [{', '.join(map(str, self.where))}]:"
            f" {self.ours:{shown}} becomes {self.other:{shown}}"
        )


def tolerance(kind: np.dtype) -> float:
    """The relative difference that results of a dtype bear; 0 for integers."""
    if kind.kind in "iub":
        return 0.0
    return max(_EPSILONS * float(ml_dtypes.finfo(kind).eps), _FLOAT32)


def compare(ours: Sequence[np.ndarray], other: Sequence[np.ndarray]) -> Effect | None:
    """The worst difference between the outputs of two runs; None where each is within the tolerance of its dtype.

    Differences are relative to the element and to the root mean square of its array, whichever is larger.
    """
    found = [_effect(number, *pair) for number, pair in enumerate(zip(ours, other, strict=True))]
    return max((effect for effect in found if effect), key=lambda effect: effect.relative, default=None)


def _effect(number: int, ours: np.ndarray, other: np.ndarray) -> Effect | None:
    allowed = tolerance(ours.dtype)
    left, right = ours.astype(np.float64), other.astype(np.float64)
    with np.errstate(all="ignore"):
        finite = np.isfinite(left)
        size = np.sqrt(np.mean(left[finite] ** 2)) if finite.any() else 0.0
        apart = np.abs(left - right) / np.maximum(np.maximum(np.abs(left), size), np.finfo(np.float64).tiny)
    same = (left == right) | (np.isnan(left) & np.isnan(right))
    apart = np.where(same, 0.0, np.where(np.isnan(apart), np.inf, apart))
    beyond = apart > allowed
    if not beyond.any():
        return None
    where = np.unravel_index(int(apart.argmax()), apart.shape)
    return Effect(
        number,
        int(beyond.sum()),
        apart.size,
        tuple(int(n) for n in where),
        float(left[where]),
        float(right[where]),
        float(apart[where]),
        allowed == 0,
    )
