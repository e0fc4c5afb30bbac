"""Index expressions: affine integer functions over a grid (nl.arange, nl.mgrid), and the masks that compare them.

An `Index` is ``start + sum(steps[d] * position[d])`` over a grid of `shape`, with numpy's broadcasting. That is all that
the programming model calls affine; whatever leaves this form is refused (nki/programming_model.rst, SDK 2.26).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from opentrn.errors import UnsupportedError, ViewError
from opentrn.program.notices import notice
from opentrn.program.site import user_site

__all__ = ["Grid", "Index", "Mask", "arange", "broadcast", "constant", "is_whole", "mgrid"]

Shape = tuple[int, ...]


def broadcast(*shapes: Shape) -> Shape:
    """numpy's common shape. Raises ViewError where there is none."""
    try:
        return np.broadcast_shapes(*shapes)
    except ValueError:
        raise ViewError(
            "shapes that do not broadcast",
            site=user_site(2),
            got=" and ".join(map(str, shapes)),
            expected="equal sizes, or 1, from the last dimension on",
        ) from None


def is_whole(value: Any) -> bool:
    """True for integers of Python and numpy, not for bools."""
    return hasattr(value, "__index__") and not isinstance(value, (bool, np.bool_)) and not isinstance(value, np.ndarray)


class Index:
    """An affine expression over a grid. `dynamic` is (tile, factor) where a run-time value is added, or None."""

    __slots__ = ("dynamic", "shape", "start", "steps")
    __array_ufunc__ = None  # numpy scalars leave arithmetic to us

    def __init__(self, shape: Shape, steps: Shape, start: int = 0, dynamic: tuple[Any, int] | None = None) -> None:
        self.shape, self.steps, self.start, self.dynamic = shape, steps, start, dynamic

    # ------------------------------------------------------------- the grid
    @property
    def ndim(self) -> int:
        """Dimensions of the grid."""
        return len(self.shape)

    def over(self, shape: Shape) -> Index:
        """The same expression, broadcast to a grid of `shape`."""
        if shape == self.shape:
            return self
        missing = len(shape) - len(self.shape)
        steps = (0,) * missing + tuple(s if n > 1 else 0 for s, n in zip(self.steps, self.shape, strict=True))
        return Index(shape, steps, self.start, self.dynamic)

    def low(self) -> int:
        """The smallest value (of the static part)."""
        return self.start + sum(min(s * (n - 1), 0) for s, n in zip(self.steps, self.shape, strict=True))

    def high(self) -> int:
        """The largest value (of the static part)."""
        return self.start + sum(max(s * (n - 1), 0) for s, n in zip(self.steps, self.shape, strict=True))

    def values(self) -> np.ndarray:
        """The static values as an int64 array of the grid's shape."""
        total = np.full(self.shape, self.start, np.int64)
        for dim, (step, size) in enumerate(zip(self.steps, self.shape, strict=True)):
            line = [1] * self.ndim
            line[dim] = size
            total += (step * np.arange(size)).reshape(line)
        return total

    def __getitem__(self, key: Any) -> Index:
        """``[:, None]`` and its like: new dimensions of size 1, and slices of the grid."""
        keys = list(key) if isinstance(key, tuple) else [key]
        if Ellipsis in [k for k in keys if k is Ellipsis]:
            at = next(n for n, k in enumerate(keys) if k is Ellipsis)
            fill = self.ndim - sum(k is not None and k is not Ellipsis for k in keys)
            keys[at : at + 1] = [slice(None)] * fill
        keys += [slice(None)] * (self.ndim - sum(k is not None for k in keys))
        shape: list[int] = []
        steps: list[int] = []
        start, dim = self.start, 0
        for k in keys:
            if k is None:
                shape.append(1)
                steps.append(0)
                continue
            if dim >= self.ndim:
                raise ViewError(
                    "index of an index expression", site=user_site(), got=str(key), expected=str(self.shape)
                )
            if isinstance(k, slice):
                first, last, step = k.indices(self.shape[dim])
                start += first * self.steps[dim]
                shape.append(max(0, (last - first + step - 1) // step))
                steps.append(self.steps[dim] * step)
            else:
                start += int(k) * self.steps[dim]
            dim += 1
        return Index(tuple(shape), tuple(steps), start, self.dynamic)

    def expand_dims(self, axis: int) -> Index:
        """A new grid dimension of size 1 at `axis`."""
        at = axis % (self.ndim + 1)
        return Index(
            (*self.shape[:at], 1, *self.shape[at:]), (*self.steps[:at], 0, *self.steps[at:]), self.start, self.dynamic
        )

    # ------------------------------------------------------------- arithmetic
    def _plus(self, other: Any, sign: int) -> Any:
        if is_whole(other):
            return Index(self.shape, self.steps, self.start + sign * int(other), self.dynamic)
        if isinstance(other, Index):
            shape = broadcast(self.shape, other.shape)
            a, b = self.over(shape), other.over(shape)
            steps = tuple(s + sign * t for s, t in zip(a.steps, b.steps, strict=True))
            return Index(shape, steps, a.start + sign * b.start, _one(a.dynamic, b.dynamic, sign))
        return NotImplemented

    def __add__(self, other: Any) -> Any:
        return self._plus(other, 1)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Any:
        return self._plus(other, -1)

    def __rsub__(self, other: Any) -> Any:
        return (-self)._plus(other, 1)

    def __neg__(self) -> Index:
        return self * -1

    def __mul__(self, factor: Any) -> Any:
        if isinstance(factor, Index) and not any(factor.steps):
            factor = factor.start
        if not is_whole(factor):
            if isinstance(factor, (Index, float)):
                raise _not_affine("*", factor)
            return NotImplemented
        by = int(factor)  # pyright: ignore[reportArgumentType]
        dynamic = self.dynamic and (self.dynamic[0], self.dynamic[1] * by)
        return Index(self.shape, tuple(s * by for s in self.steps), self.start * by, dynamic)

    __rmul__ = __mul__

    def __floordiv__(self, other: Any) -> Index:
        return self._refit("//", other, np.floor_divide)

    def __mod__(self, other: Any) -> Index:
        return self._refit("%", other, np.mod)

    def _refit(self, sign: str, other: Any, function: Any) -> Index:
        """``//`` and ``%`` where what comes out is affine again (one tile's worth of a loop, for example)."""
        if not is_whole(other) or self.dynamic is not None:
            raise _not_affine(sign, other)
        wanted = function(self.values(), int(other))
        corner = (0,) * self.ndim
        start = int(wanted[corner]) if wanted.size else 0
        steps = []
        for dim, size in enumerate(self.shape):
            beside = tuple(int(d == dim) for d in range(self.ndim))
            steps.append(int(wanted[beside]) - start if size > 1 else 0)
        made = Index(self.shape, tuple(steps), start)
        if not np.array_equal(made.values(), wanted):
            raise _not_affine(sign, other)
        return made

    # ------------------------------------------------------------- comparisons
    def __lt__(self, other: Any) -> Mask:
        return Mask((other - self - 1,))

    def __le__(self, other: Any) -> Mask:
        return Mask((other - self,))

    def __gt__(self, other: Any) -> Mask:
        return Mask((self - other - 1,))

    def __ge__(self, other: Any) -> Mask:
        return Mask((self - other,))

    def __eq__(self, other: object) -> Any:
        if not is_whole(other) and not isinstance(other, Index):
            return NotImplemented
        return Mask((self - other, other - self))  # type: ignore[operator]

    def __ne__(self, other: object) -> Any:
        raise UnsupportedError(
            "a mask with !=", site=user_site(), expected="<, <=, >, >= or ==, joined with &",
            hint="the places where two expressions differ are not one region: use two masks",
        )  # fmt: skip

    __hash__ = object.__hash__

    def __bool__(self) -> bool:
        raise UnsupportedError("the truth of an index expression", site=user_site(), hint="compare it, and pass mask=")

    def __repr__(self) -> str:
        return f"Index(shape={self.shape}, start={self.start}, steps={self.steps})"


def _one(a: tuple[Any, int] | None, b: tuple[Any, int] | None, sign: int) -> tuple[Any, int] | None:
    if a is not None and b is not None:
        raise UnsupportedError("two run-time values in one index", site=user_site(3), hint="add the tiles first")
    return a if b is None else (b[0], sign * b[1])


def _not_affine(sign: str, other: Any) -> UnsupportedError:
    return UnsupportedError(
        f"index expression {sign} {other!r}",
        site=user_site(2),
        expected="an affine expression: sums, and products with integers",
    )


class Mask:
    """A conjunction of conditions, each an `Index` that must not be negative."""

    __slots__ = ("conditions",)

    def __init__(self, conditions: tuple[Index, ...]) -> None:
        self.conditions = conditions
        if any(c.dynamic is not None for c in conditions):
            raise UnsupportedError(
                "a mask with a run-time value", site=user_site(2), expected="compile-time predicates (nki-mask, SDK 2.26)",
                hint="nl.where chooses by a tile",
            )  # fmt: skip

    @property
    def shape(self) -> Shape:
        """The grid that all conditions share."""
        return broadcast(*(c.shape for c in self.conditions))

    def __and__(self, other: Any) -> Any:
        if isinstance(other, (bool, np.bool_)):
            return self if other else False
        if other is None:
            return self
        return Mask(self.conditions + other.conditions) if isinstance(other, Mask) else NotImplemented

    __rand__ = __and__

    def __or__(self, other: Any) -> Any:
        if isinstance(other, (bool, np.bool_)):
            return True if other else self
        raise UnsupportedError("masks joined with |", site=user_site(), expected="& (NKI API Masking, SDK 2.26)")

    __ror__ = __or__

    def __invert__(self) -> Mask:
        if len(self.conditions) != 1:
            raise UnsupportedError("~ of a mask with several conditions", site=user_site(), expected="one comparison")
        return Mask((-self.conditions[0] - 1,))

    def __bool__(self) -> bool:
        # public kernels write `a and b` (test_nki_isa_nc_match_replace8.py, SDK 2.26): Python then drops `a`, here as in NKI
        notice("a mask as a condition of Python is always true: `a and b` drops the first mask, write `a & b`")
        return True

    def __repr__(self) -> str:
        return " & ".join(f"({c!r} >= 0)" for c in self.conditions)


def constant(value: int, shape: Shape) -> Index:
    """The same number everywhere on a grid."""
    return Index(shape, (0,) * len(shape), value)


def _whole(value: Any, what: str) -> int:
    if not is_whole(value):
        raise ViewError(what, site=user_site(2), got=f"{value!r} ({type(value).__name__})", expected="an integer")
    return int(value)


def arange(*bounds: int) -> Index:
    """``arange(stop)``, ``arange(start, stop)`` or with a step: consecutive integers on a grid of one dimension."""
    spread = range(*(_whole(b, "nl.arange") for b in bounds))
    return Index((len(spread),), (spread.step,), spread.start)


class Grid(tuple[Index, ...]):
    """What ``nl.mgrid[...]`` gives: one `Index` for each dimension, also as ``.p``, ``.x``, ``.y``, ``.z``."""

    NAMES = "pxyzw"

    def __getattr__(self, name: str) -> Index:
        at = self.NAMES.find(name) if len(name) == 1 else -1
        if not 0 <= at < len(self):
            raise AttributeError(f"a grid of {len(self)} dimensions has no {name!r}")
        return self[at]


class _MeshGrid:
    """`nl.mgrid`: indexed by slices, gives dense index expressions."""

    def __getitem__(self, key: Any) -> Grid:
        slices: Sequence[Any] = key if isinstance(key, tuple) else (key,)
        spreads = []
        for each in slices:
            if not isinstance(each, slice) or each.stop is None:
                raise ViewError("nl.mgrid", site=user_site(), got=repr(each), expected="slices start:stop")
            step = 1 if each.step is None else _whole(each.step, "nl.mgrid")
            first = 0 if each.start is None else _whole(each.start, "nl.mgrid")
            spreads.append(range(first, _whole(each.stop, "nl.mgrid"), step))
        shape = tuple(len(s) for s in spreads)
        return Grid(
            Index(shape, tuple(s.step if d == n else 0 for d in range(len(shape))), s.start)
            for n, s in enumerate(spreads)
        )


mgrid = _MeshGrid()
