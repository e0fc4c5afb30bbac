"""Where a mask lets an instruction work: boxes of a grid.

"Generate the instruction with a smaller input tile" (NKI API Masking, SDK 2.26) is one box. A mask whose conditions mix
dimensions, such as a triangle, is several.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from opentrn.errors import ViewError
from opentrn.nki.beta1.index import Index, Mask, Shape, broadcast
from opentrn.program.site import user_site

__all__ = ["Box", "boxes", "full", "is_full", "size"]

Box = tuple[tuple[int, int], ...]
"""[low, high) of each dimension."""


def full(shape: Shape) -> Box:
    """All of a grid."""
    return tuple((0, n) for n in shape)


def is_full(box: Box, shape: Shape) -> bool:
    """True when nothing is left out."""
    return box == full(shape)


def size(box: Box) -> int:
    """Elements in a box."""
    total = 1
    for low, high in box:
        total *= max(0, high - low)
    return total


def boxes(mask: Any, shape: Shape, *, whole: Iterable[int] = ()) -> list[Box]:
    """The disjoint boxes of a grid of `shape` where `mask` holds (None and True: all of it; False: none).

    `whole` are dimensions that are better not split. Raises ViewError for what is no mask, or one of another grid.
    """
    if mask is None or mask is True:
        return [full(shape)]
    if mask is False:
        return []
    if not isinstance(mask, Mask):
        if hasattr(mask, "dtype") and getattr(mask, "ndim", 1) == 0:
            return boxes(bool(mask), shape)
        raise ViewError("mask=", site=user_site(2), got=repr(mask)[:100], expected="comparisons of index expressions")
    grid = broadcast(mask.shape, shape)
    if grid != shape:
        raise ViewError("mask= over another grid", site=user_site(2), got=str(mask.shape), expected=str(shape))
    return _solve(full(shape), [c.over(shape) for c in mask.conditions], tuple(whole))


def _solve(box: Box, conditions: list[Index], whole: tuple[int, ...]) -> list[Box]:
    mixed = []
    for each in conditions:
        dims = [d for d, (s, (a, b)) in enumerate(zip(each.steps, box, strict=True)) if s and b - a > 1]
        if len(dims) > 1:
            mixed.append(each)
            continue
        rest = each.start + sum(
            s * a for d, (s, (a, _)) in enumerate(zip(each.steps, box, strict=True)) if d not in dims
        )
        if not dims:
            if rest < 0:
                return []
            continue
        box = _bounded(box, dims[0], each.steps[dims[0]], rest)
    if size(box) == 0:
        return []
    mixed = [each for each in mixed if _least(each, box) < 0]
    if not mixed:
        return [box]
    return _split(box, mixed, whole)


def _bounded(box: Box, dim: int, step: int, rest: int) -> Box:
    """The part of `box` where ``step * position + rest >= 0`` on `dim`."""
    low, high = box[dim]
    if step > 0:
        low = max(low, -(rest // step))
    else:
        high = min(high, rest // -step + 1)
    return (*box[:dim], (low, max(low, high)), *box[dim + 1 :])


def _least(each: Index, box: Box) -> int:
    return each.start + sum(min(s * a, s * (b - 1)) for s, (a, b) in zip(each.steps, box, strict=True))


def _split(box: Box, mixed: list[Index], whole: tuple[int, ...]) -> list[Box]:
    dims = [d for d, (a, b) in enumerate(box) if b - a > 1 and any(c.steps[d] for c in mixed)]
    dim = min(dims, key=lambda d: (d in whole, box[d][1] - box[d][0]))
    found: list[Box] = []
    for position in range(*box[dim]):
        slab = (*box[:dim], (position, position + 1), *box[dim + 1 :])
        for part in _solve(slab, mixed, whole):
            last = found[-1] if found else None
            if last is not None and _beside(last, part, dim):
                found[-1] = (*last[:dim], (last[dim][0], part[dim][1]), *last[dim + 1 :])
            else:
                found.append(part)
    return found


def _beside(first: Box, second: Box, dim: int) -> bool:
    rest = first[:dim] + first[dim + 1 :] == second[:dim] + second[dim + 1 :]
    return rest and first[dim][1] == second[dim][0]
