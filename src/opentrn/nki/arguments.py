"""Arguments of a launch: the caller's arrays with their data, and other values as a kernel knows them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from opentrn.errors import LaunchError, OpentrnError
from opentrn.execute.block import wrap_block
from opentrn.nki.arrays import Kind, ShapeDtype, kind_of
from opentrn.numerics.dtypes import DTYPES, DType
from opentrn.numerics.dtypes import dtype as dtype_of
from opentrn.program.site import user_site
from opentrn.program.storage import Allocation

__all__ = ["Argument", "dtype_name", "same", "without_data", "wrapped"]


@dataclass
class Argument:
    """One array argument and how to bring what the kernel wrote into it back to the caller.

    `block` and `array` hold its data; None where shapes alone are recorded. `tensors` are its tensors on the cores, `number` tells
    arguments apart.
    """

    original: Any
    shape: tuple[int, ...]
    dtype: DType
    kind: Kind | None = None
    shared: bool = False
    block: Any = None
    array: np.ndarray | None = None
    tensors: list[Allocation] = field(default_factory=list)
    number: int = 0

    @property
    def stored(self) -> bool:
        """An instruction wrote into it."""
        return any(tensor.written for tensor in self.tensors)

    @property
    def changes(self) -> bool:
        """What is stored into it reaches the caller (the arrays of jax never change)."""
        return self.shared or self.kind is None or self.kind.write_back is not None


def same(seen: Any, given: Any) -> bool:
    """True for containers that were rebuilt without a change."""
    if isinstance(given, (tuple, list)):
        return len(seen) == len(given) and all(s is g or same(s, g) for s, g in zip(seen, given, strict=True))
    return isinstance(given, dict) and all(seen[key] is g or same(seen[key], g) for key, g in given.items())


def dtype_name(value: Any) -> Any:
    """A numpy, torch or jax dtype as the NKI string; classes that name none pass through."""
    try:
        return dtype_of(value).name
    except OpentrnError:
        return value


def wrapped(value: Any, kind: Kind, wide: bool) -> Argument:
    """An array with its data, shared with the caller where its memory allows; `wide` as in `execute.core.Mode`."""
    seen = kind.to_numpy(value)
    try:
        named = dtype_of(value.dtype)
    except OpentrnError as error:
        error.site = user_site()
        raise
    _check_shape(seen.shape)
    if wide and named.is_float and named.itemsize < 4:
        array, shared = np.ascontiguousarray(seen.astype(np.float32)), False
    elif kind.write_back is not None and seen.flags.c_contiguous and seen.flags.writeable and seen.flags.aligned:
        array, shared = seen, True
    else:
        array, shared = np.array(seen, order="C"), False
    flat = array.reshape(-1).view(np.uint8)
    block = wrap_block(flat, array.dtype.itemsize)
    return Argument(value, seen.shape, named, kind, shared, block, array)


def without_data(value: Any, like: ShapeDtype) -> Argument:
    """An array, or what stands in for one, of which the shape and dtype alone are recorded."""
    _check_shape(like.shape)
    return Argument(value, like.shape, DTYPES[like.dtype], kind_of(value))


def _check_shape(shape: tuple[int, ...]) -> None:
    if not shape or 0 in shape:
        raise LaunchError(
            "argument array",
            site=user_site(),
            got=f"shape {shape}",
            expected="at least one dimension and one element",
        )
