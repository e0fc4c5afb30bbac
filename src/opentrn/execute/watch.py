"""What an ordinary run notices: values for which one of the choices of `isa.latitudes` matters, with the numbers.

A probe looks at one instruction before or after it runs, and gives back what it saw in words, or None. It must be cheap:
it looks at operands only, and only where the choice can matter at all (`Latitude.matters`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from opentrn.execute import access
from opentrn.execute.tile import Tile
from opentrn.isa.activations import invalid, scaled
from opentrn.numerics.alu import AluOp

__all__ = ["PROBES", "Probe"]

EXACT = 1 << 24
"""Up to here float32 holds every integer."""


@dataclass(frozen=True)
class Probe:
    """A look at one `Use` with values, before the instruction or `after` it; `name` is that of the choice."""

    name: str
    look: Callable[[Any], str | None]
    after: bool = False


def _inputs(use: Any) -> list[Tile]:
    """The operands that are read and may be looked at: static addresses, every element written."""
    return [
        tile
        for name, tile in use.tensors()
        if use.instruction.operand(name).role != "out"
        and isinstance(tile, Tile)
        and tile.dynamic is None
        and access.ready(tile.view)
    ]


def _all_readable(use: Any) -> bool:
    reads = [name for name, _ in use.tensors() if use.instruction.operand(name).role != "out"]
    return len(_inputs(use)) == len(reads)


def _function_range(use: Any) -> str | None:
    if use.instruction.name == "activate2" or not _all_readable(use):
        return None
    data = scaled(use)
    outside = invalid(use.op, data)
    if not outside.any():
        return None
    low, high = use.op.valid
    worst = data[outside].flat[np.abs(data[outside]).argmax()]
    return (
        f"{int(outside.sum()):,} of {outside.size:,} inputs of nl.{use.op.name} are outside [{low:.6g}, {high:.6g}],"
        f" such as {worst:.6g}"
    )


def _integers(use: Any) -> str | None:
    if not _all_readable(use):
        return None
    numbers = [abs(v) for k, v in use.values.items() if k.startswith("operand") and isinstance(v, (int, float))]
    largest = [int(max(abs(int(t.raw().min())), abs(int(t.raw().max())))) for t in _inputs(use)] + [
        int(n) for n in numbers
    ]
    bound = _bound([v.name for v in use.values.values() if isinstance(v, AluOp)], largest, use)
    if bound <= EXACT:
        return None
    return f"integers that reach {bound:,} pass through float32, which holds all of them up to {EXACT:,} only"


def _bound(operators: list[str], largest: list[int], use: Any) -> int:
    """What results can reach, from the largest inputs."""
    if use.instruction.name == "tensor_reduce":
        return largest[0] * (use.data.elements // max(use.dst.elements, 1) if operators[0] == "add" else 1)
    bound = largest[0]
    for operator, other in zip(operators, largest[1:] or [0], strict=False):
        bound = bound * other if operator == "multiply" else bound + other if operator in ("add", "subtract") else bound
    return max(bound, *largest)


def _fp8_overflow(use: Any) -> str | None:
    written = [t for n, t in use.tensors() if use.instruction.operand(n).role != "in"]
    for tile in written:
        if tile.dynamic is not None or not tile.held.is_float or tile.held.itemsize > 1 or tile.view.block.state == 0:
            continue
        lost = ~np.isfinite(access.strided(tile.view).astype(np.float32))
        if lost.any() and _finite(use):
            limit = tile.held.max
            return f"{int(lost.sum()):,} of {lost.size:,} results are beyond the ±{limit:g} of {tile.held.name}"
    return None


def _finite(use: Any) -> bool:
    """Inputs hold no infinity and no NaN of their own (or cannot be looked at)."""
    return all(np.isfinite(tile.f32()).all() for tile in _inputs(use) if tile.held.is_float and tile is not use.dst)


def _duplicates(use: Any) -> str | None:
    index, legal = use.dst.where().destinations
    values, counts = np.unique(index[legal], return_counts=True)
    twice = counts > 1
    if not twice.any():
        return None
    most = int(counts.max())
    return f"{int(twice.sum()):,} of {values.size:,} destinations of a scatter are written more than once (one {most} times)"


PROBES = (
    Probe("function_range", _function_range),
    Probe("integers", _integers),
    Probe("fp8_overflow", _fp8_overflow, after=True),
    Probe("duplicates", _duplicates),
)
