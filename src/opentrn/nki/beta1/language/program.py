"""Where a program stands in the launch grid, its loops, and what it prints (the pages of nki.language, SDK 2.26)."""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Any

import numpy as np

from opentrn.errors import LaunchError
from opentrn.nki.beta1 import state
from opentrn.nki.beta1.dtypes import name_of, shown
from opentrn.nki.beta1.index import is_whole
from opentrn.nki.beta1.tensor import is_tensor, tensor_of
from opentrn.program.recorder import active
from opentrn.program.site import user_site
from opentrn.program.view import DynamicSlice

__all__ = [
    "affine_range", "device_print", "ds", "dslice", "nc", "num_programs", "program_id", "program_ndim", "sequential_range",
    "spmd_dim", "static_cast", "static_range",
]  # fmt: skip


def _axis(axis: Any, what: str) -> int:
    grid = state.now().grid
    if not is_whole(axis) or int(axis) < 0 or (grid and int(axis) >= len(grid)):
        raise LaunchError(f"nl.{what}", site=user_site(2), got=f"axis {axis!r}", expected=f"an axis of the grid {grid}")
    return int(axis)


def program_id(axis: int) -> int:
    """The index of this program along an axis of the launch grid; 0 where there is no grid."""
    run, at = state.now(), _axis(axis, "program_id")
    return run.program[at] if run.program else 0


def num_programs(axes: Any = None) -> int:
    """Programs along the given axes (None: all of them)."""
    grid = state.now().grid
    if axes is None:
        return prod(grid)
    chosen = axes if isinstance(axes, (tuple, list)) else (axes,)
    return prod(grid[_axis(a, "num_programs")] if grid else 1 for a in chosen)


def program_ndim() -> int:
    """Dimensions of the launch grid."""
    return len(state.now().grid)


class nc(int):
    """A number of physical NeuronCores along a grid dimension: ``nl.nc(2)``; times a number it is a `spmd_dim`."""

    def __mul__(self, other: Any) -> Any:
        return spmd_dim(self, other)

    def __rmul__(self, other: Any) -> Any:
        return spmd_dim(other, self)


class spmd_dim:
    """A grid dimension made of programs per core and cores, the outer one first (nl.spmd_dim, SDK 2.26)."""

    def __init__(self, *parts: Any) -> None:
        self.parts = parts

    @property
    def size(self) -> int:
        """Programs along the dimension."""
        return prod(int(p) for p in self.parts)

    @property
    def cores(self) -> int:
        """Cores along the dimension."""
        return prod(int(p) for p in self.parts if isinstance(p, nc))

    def core_of(self, program: int) -> int:
        """The core that runs a program of this dimension."""
        core, rest = 0, program
        for position, part in enumerate(self.parts):
            inner = prod(int(p) for p in self.parts[position + 1 :])
            here, rest = divmod(rest, inner)
            core = core * int(part) + here if isinstance(part, nc) else core
        return core


def _steps(args: tuple[Any, ...], what: str) -> range:
    if any(is_tensor(a) or not is_whole(a) for a in args):
        raise LaunchError(f"nl.{what}", site=user_site(2), got=repr(args)[:100], expected="compile-time integers")
    return range(*(int(a) for a in args))


def affine_range(*args: int, **_options: Any) -> Iterator[int]:
    """A loop whose iterations do not depend on each other; they are run in order."""
    return state.traced(_steps(args, "affine_range"))


def sequential_range(*args: int, **_options: Any) -> Iterator[int]:
    """A loop whose iterations depend on each other."""
    return state.traced(_steps(args, "sequential_range"))


def static_range(*args: int, **_options: Any) -> Iterator[int]:
    """A loop that the compiler unrolls."""
    return iter(_steps(args, "static_range"))


def ds(start: Any, size: int) -> slice | DynamicSlice:
    """The slice ``start : start + size``; `start` may be a tile of one element."""
    if is_tensor(start) or getattr(start, "is_register", False):
        return DynamicSlice(tensor_of(start), int(size))
    return slice(int(start), int(start) + int(size))


dslice = ds


def static_cast(input_data: Any, dtype: Any) -> Any:
    """A number or an array in another dtype, outside of kernels too."""
    made = np.asarray(input_data).astype(shown(name_of(dtype)))
    return made if isinstance(input_data, np.ndarray) or made.ndim else made[()]


def device_print(prefix: str, x: Any, *, mask: Any = None, **_options: Any) -> None:
    """Print the prefix and a tile's values."""
    active("nl.device_print")
    shown_now = tensor_of(x).numpy() if is_tensor(x) else x
    print(f"{prefix} {shown_now}")
