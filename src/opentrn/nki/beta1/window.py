"""From a window of a home to a view: the strides, the run-time part of the address, and what a tile cannot be."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from opentrn.errors import UnsupportedError, ViewError
from opentrn.nki.beta1.index import Index
from opentrn.nki.beta1.region import Box
from opentrn.nki.tensor import NkiTensor
from opentrn.program.site import user_site
from opentrn.program.view import Indirection, View

__all__ = ["cut", "fixed", "window"]


def _is_tile(index: Any) -> bool:
    """True for a `Tensor` as a run-time index, false for a register."""
    return hasattr(index, "view_in")


def cut(each: Index, box: Box, shape: tuple[int, ...]) -> Index:
    """An index expression over the part `box` of its grid, which has that `shape`."""
    start = each.start + sum(s * low for s, (low, _) in zip(each.steps, box, strict=True))
    dynamic = each.dynamic
    if dynamic is not None and _is_tile(dynamic[0]) and dynamic[0].size > 1:  # one index for each row: those rows
        rows = dynamic[0]
        edges = box[len(box) - rows.ndim :]
        dynamic = (
            rows[tuple(slice(*e) if n > 1 else slice(0, 1) for e, n in zip(edges, rows.shape, strict=True))],
            dynamic[1],
        )
    return Index(shape, each.steps, start, dynamic)


def fixed(each: Index) -> int:
    """The one value of an expression. Raises UnsupportedError where it has several: an instruction works on one block."""
    if each.dynamic is not None or each.low() != each.high():
        raise UnsupportedError(
            "an instruction over several blocks of a tensor", site=user_site(3), got=repr(each),
            expected="a tile: every block dimension indexed by an integer", hint="loop over the blocks",
        )  # fmt: skip
    return each.start


def window(tile: Any, shape: tuple[int, ...], maps: Sequence[Index]) -> Any:
    """The view of `tile` that shows element ``maps[d]`` of each dimension d."""
    strides, offset = [0] * len(shape), tile.offset
    moving = None
    for dim, each in enumerate(maps):
        if each.dynamic is not None:
            moving = (dim, each)
        elif each.low() < 0 or each.high() >= tile.shape[dim]:
            raise ViewError(
                f"index outside dimension {dim}", site=user_site(3), got=f"{each.low()} to {each.high()}",
                expected=f"within 0 to {tile.shape[dim] - 1} of shape {tile.shape}", hint="cut the edge off with mask=",
            )  # fmt: skip
        offset += each.start * tile.strides[dim]
        for g, step in enumerate(each.steps):
            strides[g] += step * tile.strides[dim]
    if tile.buffer.on_chip:
        shape, strides = _checked_tile(tile, shape, strides, maps)
    dynamic = tile.dynamic if moving is None else _indirection(tile, shape, strides, *moving)
    return NkiTensor._make(tile.storage, tuple(shape), tuple(strides), offset, tile.dtype, dynamic)


def _checked_tile(tile: Any, shape: Any, strides: list[int], maps: Sequence[Index]) -> tuple[Any, list[int]]:
    """A window on chip: its first dimension is the partition, and it has at least two."""
    rows = maps[0]
    crosses = any(s and n > 1 for s, n in zip(rows.steps[1:], shape[1:], strict=True))
    if crosses or (shape and shape[0] > 1 and (rows.steps[0] != 1 or any(m.steps[0] for m in maps[1:]))):
        raise ViewError(
            "the partition dimension of a tile", site=user_site(4), got=f"steps {rows.steps} over a grid of {tuple(shape)}",
            expected="the first dimension of the grid, one partition at a time",
            hint="flexible indexing is for free dimensions: nc_transpose or a DMA moves data across partitions",
        )  # fmt: skip
    if shape and shape[0] == 1:
        strides[0] = tile.strides[0]
    if len(shape) < 2:
        return (*shape, 1), [*strides, 1]
    return shape, strides


def _indirection(tile: Any, shape: Any, strides: list[int], dim: int, each: Index) -> Indirection:
    """The run-time part of a window: one index for all elements, or one for each row."""
    index, factor = each.dynamic  # type: ignore[misc]
    view = index.view_in() if _is_tile(index) else index
    step = factor * tile.strides[dim]
    if tile.dynamic is not None:
        raise UnsupportedError("second run-time index on one tensor", site=user_site(4))
    source = NkiTensor._make(tile.storage, tile.shape, tile.strides, tile.offset, tile.dtype)
    if not isinstance(view, View) or view.size == 1:
        return Indirection("scalar", view, step, -((each.high() - tile.shape[dim]) // factor), source)
    if view.elements != 1 or view.partitions != shape[0] or tile.buffer.on_chip:
        raise UnsupportedError(
            "a tile as an index", site=user_site(4), got=f"shape {view.shape} for {tuple(shape)} in {tile.buffer.value}",
            expected=f"one index ((1, 1)), or one for each row of an HBM tensor (({shape[0]}, 1))",
        )  # fmt: skip
    if strides[0]:
        raise UnsupportedError("a tile as an index, with another index over its rows", site=user_site(4))
    return Indirection("vector", view, step, tile.shape[dim], source)
