"""`Tensor`: what the older dialect's kernels hold, a window of a home given by one index expression per dimension.

Indexing composes expressions (programming_model.rst, "Tensor Indexing", SDK 2.26); `arithmetic` adds the operators.
Only when an instruction uses the tensor, and its mask is known, does it become a view: an edge tile may reach beyond the
tensor where the mask cuts it off.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

import numpy as np

from opentrn.errors import UnsupportedError, ViewError
from opentrn.isa.enums import MemoryRegion
from opentrn.nki.beta1 import state
from opentrn.nki.beta1.dtypes import name_of
from opentrn.nki.beta1.home import Home
from opentrn.nki.beta1.index import Index, Mask, broadcast, constant, is_whole
from opentrn.nki.beta1.region import Box, boxes
from opentrn.nki.beta1.window import cut, fixed, window
from opentrn.program.site import user_site
from opentrn.program.view import DynamicSlice, View

__all__ = ["Tensor", "is_tensor", "tensor_of"]


def _identity(shape: tuple[int, ...]) -> tuple[Index, ...]:
    return tuple(Index(shape, tuple(int(d == n) for d in range(len(shape)))) for n in range(len(shape)))


class Tensor:
    """A tensor or a part of one (nki.tensor, SDK 2.26). `maps` say, for each dimension of the home, which element."""

    __slots__ = ("home", "lead", "maps", "shape", "whole")
    __array_ufunc__ = None

    def __init__(
        self,
        home: Home,
        shape: tuple[int, ...] | None = None,
        maps: tuple[Index, ...] | None = None,
        lead: int | None = None,
    ) -> None:
        self.home = home
        self.whole = maps is None
        self.shape = home.dims if shape is None else shape
        self.maps = _identity(self.shape) if maps is None else maps
        self.lead = len(home.blocks) if lead is None else lead
        """Block dimensions in front of the partition dimension that no index has fixed."""

    @classmethod
    def of(cls, tile: Any) -> Tensor:
        """The tensor that shows all of an NkiTensor."""
        return cls(Home.of(tile))

    # ------------------------------------------------------------- facts
    @property
    def dtype(self) -> np.dtype:
        """The data type, as numpy has it."""
        return self.home.shown_dtype

    @property
    def buffer(self) -> MemoryRegion:
        """The memory it is in."""
        return self.home.buffer

    @property
    def name(self) -> str:
        """The name given at allocation, or ''."""
        return self.home.name

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        return prod(self.shape)

    @property
    def itemsize(self) -> int:
        """Bytes of one element."""
        return self.dtype.itemsize

    @property
    def on_chip(self) -> bool:
        """True in SBUF and PSUM."""
        return self.home.buffer.on_chip

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        return f"Tensor{list(self.shape)} {self.home.dtype} {self.buffer.value}" + (
            f" {self.name!r}" if self.name else ""
        )

    def assert_shape(self, shape: Sequence[int]) -> Tensor:
        """Itself. Raises AssertionError when the shape is another."""
        assert tuple(shape) == self.shape, f"expected shape {tuple(shape)}, got {self.shape}"
        return self

    # ------------------------------------------------------------- as a view
    def view_in(self, box: Box | None = None, *, product: str = "") -> Any:
        """The NkiTensor of the elements in `box` (None: all). Raises ViewError where it leaves the home."""
        if self.whole and box is None and not self.home.blocks:
            return self.home.tile((), product=product)
        shape = self.shape if box is None else tuple(high - low for low, high in box)
        maps = self.maps if box is None else tuple(cut(m, box, shape) for m in self.maps)
        count = len(self.home.blocks)
        block = tuple(fixed(m) for m in maps[:count])
        tile = self.home.tile(block, product=product)
        return window(tile, shape, maps[count:])

    def block(self) -> tuple[int, ...]:
        """The block that it is in."""
        return tuple(fixed(m) for m in self.maps[: len(self.home.blocks)])

    def numpy(self) -> np.ndarray:
        """The values now, for people."""
        state.settle()
        return self.view_in().numpy()

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        values = self.numpy()
        return values if dtype is None else values.astype(dtype)

    # ------------------------------------------------------------- parts
    def __getitem__(self, key: Any) -> Tensor:
        if isinstance(key, (Mask, bool)):  # a comparison of loop variables alone is a bool
            return self._masked(key)
        keys = self._expand(list(key) if isinstance(key, tuple) else [key])
        advanced = any(isinstance(k, Index) or is_tensor(k) for k in keys)
        return self._advanced(keys) if advanced else self._basic(keys)

    def _masked(self, mask: Mask | bool) -> Tensor:
        """Operand masking: ``tile[i <= 64]`` is the box where the condition holds (NKI API Masking, SDK 2.26)."""
        found = boxes(mask, self.shape)
        if len(found) != 1:
            raise UnsupportedError("operand mask", site=user_site(2), got=repr(mask), expected="one rectangle")
        return self[tuple(slice(*edge) for edge in found[0])]

    def _expand(self, keys: list[Any]) -> list[Any]:
        if any(k is None for k in keys):
            raise ViewError("index with None", site=user_site(2), got="None", expected="nl.expand_dims, or reshape")
        dots = [n for n, k in enumerate(keys) if k is Ellipsis]
        missing = self.ndim - (len(keys) - len(dots))
        if missing < 0 or len(dots) > 1:
            raise ViewError("too many indices", site=user_site(2), got=str(len(keys)), expected=f"at most {self.ndim}")
        at = dots[0] if dots else len(keys)
        return keys[:at] + [slice(None)] * missing + keys[at + len(dots) :]

    def _basic(self, keys: list[Any]) -> Tensor:
        """Integers and slices, as numpy has them, except that a tile keeps its partition and one free dimension."""
        kept = [n for n, k in enumerate(keys) if isinstance(k, (slice, DynamicSlice))]
        if self.on_chip:
            kept = sorted({*kept, self.lead} if self.lead < self.ndim else kept)
            if kept and kept[-1] == self.lead and self.ndim - self.lead > 1:
                kept.append(self.ndim - 1)
        elif not kept:
            kept = [self.ndim - 1]
        spans = [_span(k, n, size) for n, (k, size) in enumerate(zip(keys, self.shape, strict=True))]
        shape = tuple(spans[n][2] for n in kept)
        at = {n: place for place, n in enumerate(kept)}
        parts = []
        for n, (start, step, _) in enumerate(spans):
            steps = tuple(step if at.get(n) == g else 0 for g in range(len(kept)))
            start, dynamic = (0, (start, 1)) if not is_whole(start) else (start, None)
            parts.append(Index(shape, steps, start, dynamic))
        return self._composed(shape, parts, sum(n < self.lead for n in kept))

    def _advanced(self, keys: list[Any]) -> Tensor:
        """Index expressions, run-time tiles among them; slices beside them make dimensions of their own, as in numpy."""
        given = [n for n, k in enumerate(keys) if isinstance(k, Index) or is_tensor(k)]
        grid = broadcast(*(keys[n].shape for n in given))
        if self.on_chip and len(grid) < 2:
            raise ViewError(
                "a tile indexed by a 1-D nl.arange", site=user_site(2), got=f"shape {grid}",
                expected="at least two dimensions: nl.arange(n)[:, None]", hint="or plain slices: tile[0:n, 0:m]",
            )  # fmt: skip
        sliced = [n for n, k in enumerate(keys) if isinstance(k, (slice, DynamicSlice))]
        spans = {n: _span(keys[n], n, self.shape[n]) for n in sliced}
        front = [n for n in sliced if n < given[0]]
        back = [n for n in sliced if n > given[0]]
        if any(n < given[-1] for n in back):
            front, back = [], sliced
        shape = (*(spans[n][2] for n in front), *grid, *(spans[n][2] for n in back))
        where = {n: place for place, n in enumerate(front)}
        where |= {n: len(front) + len(grid) + place for place, n in enumerate(back)}
        parts = []
        for n, key in enumerate(keys):
            if n in where:
                start, step, _ = spans[n]
                steps = tuple(step if where[n] == g else 0 for g in range(len(shape)))
                start, dynamic = (0, (start, 1)) if not is_whole(start) else (start, None)
                parts.append(Index(shape, steps, start, dynamic))
            elif isinstance(key, Index):
                wide = key.over(grid)
                steps = (0,) * len(front) + wide.steps + (0,) * len(back)
                parts.append(Index(shape, steps, wide.start, wide.dynamic))
            elif is_tensor(key):
                parts.append(Index(shape, (0,) * len(shape), 0, (tensor_of(key), 1)))
            else:
                parts.append(constant(_position(key, n, self.shape[n]), shape))
        return self._composed(shape, parts, sum(n < self.lead for n in front))

    def _composed(self, shape: tuple[int, ...], parts: list[Index], lead: int) -> Tensor:
        """This window seen through `parts`, an expression over `shape` for each of its dimensions."""
        maps = tuple(_substitute(m, shape, parts) for m in self.maps) if not self.whole else tuple(parts)
        return Tensor(self.home, shape, maps, lead)

    # ------------------------------------------------------------- other shapes of the same elements
    def permute(self, dims: Sequence[int]) -> Tensor:
        """The same elements with the dimensions in another order."""
        shape = tuple(self.shape[d] for d in dims)
        parts = [Index(shape, tuple(int(d == n) for d in dims)) for n in range(self.ndim)]
        return self._composed(shape, parts, self.lead)

    def broadcast_to(self, shape: Any, **_options: Any) -> Tensor:
        """A view in a larger shape; a single partition is copied to all (nki.tensor.broadcast_to, SDK 2.26)."""
        wanted = tuple(shape)
        if wanted == self.shape:
            return self
        if broadcast(self.shape, wanted) != wanted:
            raise ViewError(
                "broadcast_to", site=user_site(), got=f"{self.shape} to {wanted}", expected="a larger shape"
            )
        if self.on_chip and len(wanted) == self.ndim and self.shape[0] == 1 < wanted[0]:
            return _repeated(self, wanted[0]).broadcast_to(wanted)
        own = (1,) * (len(wanted) - self.ndim) + self.shape
        extra = len(wanted) - self.ndim
        parts = [
            Index(wanted, tuple(int(g == n + extra and own[g] > 1) for g in range(len(wanted))))
            for n in range(self.ndim)
        ]
        return self._composed(wanted, parts, self.lead)

    def reshape(self, shape: Any) -> Tensor:
        """The same elements in another shape, without a copy.

        The page is silent on sizes such as ``rows / 2``; finished public kernels write them, so whole floats are taken.
        """
        state.settle()
        if self.whole and self.home.blocks:
            raise UnsupportedError("reshape of a tensor with block dimensions", site=user_site(), got=str(self.shape))
        sizes = (shape,) if is_whole(shape) or isinstance(shape, float) else shape
        whole = tuple(int(n) if isinstance(n, float) and n.is_integer() else n for n in sizes)
        return Tensor.of(self.view_in().reshape(whole))

    def view(self, dtype: Any) -> Tensor:
        """The same bits as another dtype."""
        state.settle()
        return Tensor.of(self.view_in().view(name_of(dtype)))

    def expand_dims(self, axis: Any) -> Tensor:
        """The same elements with dimensions of size 1 at `axis` (one, or several)."""
        made = self
        for one in sorted(axis if isinstance(axis, Sequence) else [axis]):
            at = one % (made.ndim + 1)
            shape = (*made.shape[:at], 1, *made.shape[at:])
            parts = [Index(shape, tuple(int(g == n + (n >= at)) for g in range(len(shape)))) for n in range(made.ndim)]
            made = made._composed(shape, parts, made.lead + (made.on_chip and at < made.lead))
        return made

    def same_place(self, other: Tensor) -> bool:
        """True when both show the same elements in the same order."""
        if self.home is not other.home or self.shape != other.shape:
            return False
        return all(
            (a.start, a.steps, a.dynamic) == (b.start, b.steps, b.dynamic)
            for a, b in zip(self.maps, other.maps, strict=True)
        )


def is_tensor(value: Any) -> bool:
    """True for tensors of either dialect."""
    return isinstance(value, (Tensor, View))


def tensor_of(value: Any) -> Any:
    """A tensor of this dialect for one of either; anything else as it is."""
    return Tensor.of(value) if isinstance(value, View) else value


def _repeated(x: Tensor, count: int) -> Tensor:
    """One partition copied to `count` of them, through HBM: no engine reads one partition for many."""
    from opentrn.nki.language.shapes import _repeated_partition

    state.settle()
    return Tensor.of(_repeated_partition(x.view_in(), count))


def _position(key: Any, dim: int, size: int) -> int:
    if not is_whole(key):
        raise ViewError(
            f"index on dimension {dim}", site=user_site(3), got=f"{key!r} ({type(key).__name__})"[:100],
            expected="an integer, a slice, nl.ds, an index expression or a tile",
        )  # fmt: skip
    value = int(key)
    if not -size <= value < size:
        raise ViewError(
            f"index {value} is outside dimension {dim}",
            site=user_site(3),
            got=f"{value}",
            expected=f"0 <= index < {size}",
        )
    return value % size


def _span(key: Any, dim: int, size: int) -> tuple[Any, int, int]:
    """(start, step, count) of an integer, a slice or a run-time slice of a dimension."""
    if isinstance(key, DynamicSlice):
        return tensor_of(key.start), 1, key.size
    if not isinstance(key, slice):
        return _position(key, dim, size), 1, 1
    step = 1 if key.step is None else int(key.step)
    start = 0 if key.start is None else key.start
    stop = size if key.stop is None else key.stop
    if not (is_whole(start) and is_whole(stop)) or step < 1:
        raise ViewError(
            f"slice of dimension {dim}", site=user_site(3), got=repr(key), expected="integers, and a positive step",
            hint="a run-time start goes through nl.ds(tile, size)",
        )  # fmt: skip
    start, stop = int(start), int(stop)
    start, stop = start + size if start < 0 else start, stop + size if stop < 0 else stop
    if start > stop:
        raise ViewError(f"slice of dimension {dim}", site=user_site(3), got=repr(key), expected="start <= stop")
    return start, step, (stop - start + step - 1) // step


def _substitute(each: Index, shape: tuple[int, ...], parts: list[Index]) -> Index:
    """`each` with its grid's coordinates replaced by `parts`, expressions over `shape`."""
    made = constant(each.start, shape)
    dynamic = each.dynamic
    steps, start = [0] * len(shape), each.start
    for step, part in zip(each.steps, parts, strict=True):
        if not step:
            continue
        start += step * part.start
        for g, s in enumerate(part.steps):
            steps[g] += step * s
        if part.dynamic is not None:
            if dynamic is not None:
                raise UnsupportedError("two run-time indices on one tensor", site=user_site(4), expected="one")
            dynamic = (part.dynamic[0], part.dynamic[1] * step)
    made.steps, made.start, made.dynamic = tuple(steps), start, dynamic
    return made
