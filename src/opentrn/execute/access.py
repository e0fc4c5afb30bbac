"""Reading and writing a block through a strided view: values and shadow."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from opentrn.numerics.dtypes import DTYPES
from opentrn.program.strides import is_dense
from opentrn.program.view import View

__all__ = ["carrier", "covers_block", "mark", "ready", "shadow_of", "strided", "unmark"]

_FLOAT32 = np.dtype(np.float32)


def carrier(view: View) -> np.dtype:
    """The numpy dtype in which the view's elements are held."""
    kind = DTYPES[view.dtype]
    return _FLOAT32 if view.storage.wide and kind.is_float else kind.carrier


def strided(view: View) -> np.ndarray:
    """The view's elements as a writable numpy window (static addresses only)."""
    held = carrier(view)
    size = held.itemsize
    return np.ndarray(view.shape, held, view.block.array, view.offset * size, [s * size for s in view.strides])


def covers_block(view: View) -> bool:
    """True when the view is exactly the whole storage."""
    size = carrier(view).itemsize
    return view.offset == 0 and prod(view.shape) * size == view.block.nbytes and is_dense(view.shape, view.strides)


def shadow_of(view: View) -> np.ndarray:
    """The view's window on the shadow; one more dimension when its elements span several units."""
    block, size = view.block, carrier(view).itemsize
    if size < block.unit:
        block.refine(size)
    units = size // block.unit
    shape, strides = view.shape, [s * units for s in view.strides]
    if units > 1:
        shape, strides = (*shape, units), [*strides, 1]
    return np.ndarray(shape, np.uint8, block.shadow, view.offset * units, strides)


def ready(view: View) -> bool:
    """True when every element has been written."""
    state = view.block.state
    return state == 2 or (state == 1 and bool((shadow_of(view) == 1).all()))


def mark(view: View, where: np.ndarray | None = None) -> None:
    """Note that the view's elements (those where `where`) hold values now."""
    block = view.block
    if block.state == 2:
        return
    if where is None and covers_block(view):
        block.state = 2
        return
    window: Any = shadow_of(view)
    if where is None:
        window[...] = 1
    else:
        window[where if window.ndim == where.ndim else np.broadcast_to(where[..., None], window.shape)] = 1
    block.state = 2 if bool(block.shadow.all()) else 1


def unmark(view: View, where: np.ndarray) -> None:
    """Note that the view's elements where `where` hold nothing any more."""
    window: Any = shadow_of(view)
    window[where if window.ndim == where.ndim else np.broadcast_to(where[..., None], window.shape)] = 0
    view.block.state = 1
