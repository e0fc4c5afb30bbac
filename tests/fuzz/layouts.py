"""Strategies for views: how a tensor can be allocated and seen so that a view of a wanted shape comes out."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

from hypothesis import strategies as st
from tests.fuzz.parts import Seen, Tensor

from opentrn.numerics.dtypes import DTYPES

__all__ = ["KINDS", "chance", "layout"]

Layout = tuple[tuple[int, ...], str, tuple[tuple[Any, ...], ...]]
"""(shape to allocate, dtype to allocate, steps)."""


def chance(draw: Any, percent: int) -> bool:
    """True in about `percent` of 100 draws; shrinks to False."""
    return draw(st.integers(0, 99)) >= 100 - percent


def layout(draw: Any, shape: tuple[int, ...], dtype: str, region: str, role: str, new: Callable[..., int]) -> Layout:
    """A way to see `shape` of `dtype`. `new` adds a `Tensor` (an index) to the program and gives its number."""
    if not chance(draw, 45):
        return shape, dtype, ()
    kind = draw(st.sampled_from(sorted(KINDS)))
    made = KINDS[kind](draw, shape, dtype, region in ("sbuf", "psum"), role, new)
    return made or (shape, dtype, ())


def _sliced(draw: Any, shape: tuple[int, ...], dtype: str, on_chip: bool, role: str, new: Any) -> Layout:
    parts, base = [], []
    for dim, size in enumerate(shape):
        partition = on_chip and dim == 0
        start = draw(st.sampled_from([0, 32, 64]) if partition else st.integers(0, 3))
        step = 1 if partition else draw(st.integers(1, 3))
        end = start + (size - 1) * step + 1
        parts.append((start, end, step))
        base.append(end + (0 if partition else draw(st.integers(0, 2))))
    return tuple(base), dtype, (("index", *parts),)


def _permuted(draw: Any, shape: tuple[int, ...], dtype: str, on_chip: bool, role: str, new: Any) -> Layout:
    first = 1 if on_chip else 0
    dims = (*range(first), *draw(st.permutations(range(first, len(shape)))))
    base = [0] * len(shape)
    for place, dim in enumerate(dims):
        base[dim] = shape[place]
    return tuple(base), dtype, (("permute", tuple(dims)),)


def _reshaped(draw: Any, shape: tuple[int, ...], dtype: str, on_chip: bool, role: str, new: Any) -> Layout:
    head, rest = (shape[:1], prod(shape[1:])) if on_chip else ((), prod(shape))
    factor = draw(st.sampled_from([n for n in range(1, rest + 1) if rest % n == 0]))
    return (*head, rest // factor, factor), dtype, (("reshape", shape),)


def _broadcast(draw: Any, shape: tuple[int, ...], dtype: str, on_chip: bool, role: str, new: Any) -> Layout | None:
    dims = range(1 if on_chip else 0, len(shape))
    if role != "in" or not dims:
        return None
    dim = draw(st.sampled_from(dims))
    return (*shape[:dim], 1, *shape[dim + 1 :]), dtype, (("broadcast", dim, shape[dim]),)


def _reversed(draw: Any, shape: tuple[int, ...], dtype: str, on_chip: bool, role: str, new: Any) -> Layout | None:
    if on_chip and len(shape) < 2:
        return None
    steps = _dense(shape)
    pattern = [[step, size] for step, size in zip(steps, shape, strict=True)]
    pattern[-1][0] = -1
    return shape, dtype, (("ap", pattern, shape[-1] - 1),)


def _retyped(draw: Any, shape: tuple[int, ...], dtype: str, on_chip: bool, role: str, new: Any) -> Layout:
    size = DTYPES[dtype].itemsize
    held = draw(st.sampled_from([n for n, t in DTYPES.items() if t.itemsize == size and t.code >= 0]))
    return shape, held, (("view", dtype),)


def _scalar_offset(draw: Any, shape: tuple[int, ...], dtype: str, on_chip: bool, role: str, new: Any) -> Layout | None:
    dim = draw(st.sampled_from(range(1 if on_chip else 0, len(shape)) or [0]))
    if on_chip and dim == 0:
        return None
    spare = draw(st.integers(0, 4))
    base = (*shape[:dim], shape[dim] + spare, *shape[dim + 1 :])
    pattern = [[step, size] for step, size in zip(_dense(base), shape, strict=True)]
    index = new(Tensor("sbuf", (1, 1), draw(st.sampled_from(["int32", "uint32"])), spare + 1, draw(SEEDS)))
    return base, dtype, (("scalar_offset", pattern, Seen(index), dim),)


def _vector_offset(draw: Any, shape: tuple[int, ...], dtype: str, on_chip: bool, role: str, new: Any) -> Layout | None:
    if on_chip or len(shape) < 2:
        return None
    rows = draw(st.integers(1, 9))
    base = (rows, *shape[1:])
    pattern = [[step, size] for step, size in zip(_dense(base), shape, strict=True)]
    index = new(Tensor("sbuf", (shape[0], 1), "int32", rows + chance(draw, 5), draw(SEEDS)))
    return base, dtype, (("vector_offset", pattern, Seen(index), 0),)


def _indirect(draw: Any, shape: tuple[int, ...], dtype: str, on_chip: bool, role: str, new: Any) -> Layout | None:
    if not on_chip or len(shape) != 2:
        return None
    width = draw(st.integers(1, 40))
    index = new(Tensor("sbuf", (shape[0], -(-shape[1] // shape[0])), "uint16", width, draw(SEEDS)))
    return (shape[0], width), dtype, (("indirect", Seen(index), shape[1]),)


def _dense(shape: tuple[int, ...]) -> list[int]:
    return [prod(shape[dim + 1 :]) for dim in range(len(shape))]


SEEDS = st.integers(0, 2**16)

KINDS = {
    "broadcast": _broadcast,
    "indirect": _indirect,
    "permuted": _permuted,
    "reshaped": _reshaped,
    "retyped": _retyped,
    "reversed": _reversed,
    "scalar_offset": _scalar_offset,
    "sliced": _sliced,
    "vector_offset": _vector_offset,
}
