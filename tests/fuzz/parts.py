"""What a generated program consists of, as data that prints itself: tensors, views of them, calls."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from opentrn.numerics.dtypes import DTYPES

__all__ = ["Call", "Program", "Seen", "Tensor"]

SPECIAL = (0.0, -0.0, 1.0, -1.0, 0.5, 1e-40, 448.0, 65504.0, 3e38, -3e38, np.inf, -np.inf, np.nan, 16777217.0)


@dataclass(frozen=True)
class Tensor:
    """One allocation and what it holds at first.

    `values`: normal, small (integers 0 to 7), bits (any), special, or a number n (integers below n). `written`: all,
    half (of the last dimension) or none.
    """

    region: str
    shape: tuple[int, ...]
    dtype: str
    values: str | int = "normal"
    seed: int = 0
    written: str = "all"

    def array(self) -> np.ndarray:
        """The first values, in the carrier of the dtype."""
        kind, random = DTYPES[self.dtype], np.random.default_rng(self.seed)
        if kind.kind == "bool":
            return random.integers(0, 2, self.shape).astype(kind.carrier)
        if kind.kind == "packed" or self.values == "bits":
            raw = random.integers(0, 256, (*self.shape, kind.itemsize), np.uint8)
            return raw.reshape(-1).view(kind.carrier).reshape(self.shape)
        if isinstance(self.values, int) or self.values == "small":
            top = self.values if isinstance(self.values, int) else 8
            return random.integers(0, top, self.shape).astype(kind.carrier)
        if self.values == "special":
            chosen = random.choice(np.float32(SPECIAL), self.shape)
            with np.errstate(all="ignore"):
                return (np.nan_to_num(chosen, posinf=99, neginf=-99) if kind.is_integer else chosen).astype(
                    kind.carrier
                )
        normal = random.standard_normal(self.shape).astype(np.float32)
        return (normal * 20).astype(np.int8).astype(kind.carrier) if kind.is_integer else normal.astype(kind.carrier)


@dataclass(frozen=True)
class Seen:
    """Tensor number `tensor` through `steps`, each (method, arguments); a `Seen` among the arguments is an index."""

    tensor: int
    steps: tuple[tuple[Any, ...], ...] = ()

    def of(self, tensors: list[Any]) -> Any:
        """The view, of the kernel's tensors."""
        view = tensors[self.tensor]
        for method, *given in self.steps:
            arguments = [g.of(tensors) if isinstance(g, Seen) else g for g in given]
            if method == "index":
                view = view[tuple(slice(*part) for part in arguments)]
            elif method in ("scalar_offset", "vector_offset"):
                pattern, index, dim = arguments
                view = view.ap(pattern, indirect_dim=dim, **{method: index})
            else:
                view = getattr(view, method)(*arguments)
        return view

    def touched(self) -> tuple[int, ...]:
        """Numbers of the tensors that the view reads, its own first."""
        inner = [i for step in self.steps for part in step if isinstance(part, Seen) for i in part.touched()]
        return (self.tensor, *inner)


@dataclass(frozen=True)
class Call:
    """``nisa.<name>(**given)``, with `Seen` for tensors."""

    name: str
    given: dict[str, Any]


@dataclass(frozen=True)
class Program:
    """A kernel: its chip, number of cores, tensors and calls."""

    target: str
    lnc: int
    tensors: tuple[Tensor, ...]
    calls: tuple[Call, ...]
