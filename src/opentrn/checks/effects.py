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

_PIECE = 1 << 20
"""Elements that are widened to float64 at once."""


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
    """Only elements whose bits differ are widened: outputs of production size fill the memory of the machine otherwise."""
    allowed = tolerance(ours.dtype)
    mine, theirs = np.ravel(ours), np.ravel(other)
    bits = f"u{mine.itemsize}"
    at = np.flatnonzero(mine.view(bits) != theirs.view(bits))
    left, right = mine[at].astype(np.float64), theirs[at].astype(np.float64)
    same = (left == right) | (np.isnan(left) & np.isnan(right))
    at, left, right = at[~same], left[~same], right[~same]
    if not at.size:
        return None
    with np.errstate(all="ignore"):
        scale = np.maximum(np.maximum(np.abs(left), _root_mean_square(mine)), np.finfo(np.float64).tiny)
        apart = np.abs(left - right) / scale
    apart = np.where(np.isnan(apart), np.inf, apart)
    beyond = int((apart > allowed).sum())
    if not beyond:
        return None
    worst = int(apart.argmax())
    return Effect(
        number,
        beyond,
        mine.size,
        tuple(int(n) for n in np.unravel_index(int(at[worst]), ours.shape)),
        float(left[worst]),
        float(right[worst]),
        float(apart[worst]),
        allowed == 0,
    )


def _root_mean_square(values: np.ndarray) -> float:
    """Of the finite elements, piece by piece; 0 without any."""
    total, count = 0.0, 0
    for start in range(0, values.size, _PIECE):
        piece = values[start : start + _PIECE].astype(np.float64)
        finite = piece[np.isfinite(piece)]
        total, count = total + float(finite @ finite), count + finite.size
    return (total / count) ** 0.5 if count else 0.0
