"""Pure arithmetic on shapes and strides."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

__all__ = ["contiguous", "ends", "is_dense", "reshape_strides"]


def contiguous(shape: Sequence[int]) -> tuple[int, ...]:
    """Row-major strides of a dense array, in elements."""
    strides, step = [], 1
    for size in reversed(shape):
        strides.append(step)
        step *= size
    return tuple(reversed(strides))


def ends(offset: int, shape: Sequence[int], strides: Sequence[int]) -> tuple[int, int]:
    """The numbers of the first and the last element that a pattern from `offset` touches."""
    reach = [(n - 1) * s for n, s in zip(shape, strides, strict=True)]
    return offset + sum(r for r in reach if r < 0), offset + sum(r for r in reach if r > 0)


def is_dense(shape: Sequence[int], strides: Sequence[int]) -> bool:
    """True when the elements lie one after another in row-major order (size-1 dims don't matter)."""
    step = 1
    for size, stride in zip(reversed(shape), reversed(strides), strict=True):
        if size != 1 and stride != step:
            return False
        step *= size
    return True


def reshape_strides(shape: Sequence[int], strides: Sequence[int], target: Sequence[int]) -> tuple[int, ...] | None:
    """Strides that show the same elements in `target`'s shape without a copy; None when there are none."""
    if prod(shape) != prod(target):
        return None
    old = [(n, s) for n, s in zip(shape, strides, strict=True) if n != 1]
    result: list[int] = []
    i = j = 0
    while i < len(old) or j < len(target):
        if j < len(target) and target[j] == 1:
            result.append(0)
            j += 1
            continue
        # gather the smallest groups of old and new dims that hold equally many elements
        oi, nj = i + 1, j + 1
        have, want = old[i][0], target[j]
        while have != want:
            if have < want:
                have, oi = have * old[oi][0], oi + 1
            else:
                want, nj = want * target[nj], nj + 1
        for k in range(i, oi - 1):
            if old[k][1] != old[k + 1][1] * old[k + 1][0]:
                return None
        group, step = [], old[oi - 1][1]
        for size in reversed(target[j:nj]):
            group.append(step)
            step *= size
        result += reversed(group)
        i, j = oi, nj
    return tuple(result)
