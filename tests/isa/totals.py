"""Reductions and running results, one Python number at a time, in the order that opentrn fixes for float32 sums."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import reduce
from typing import Any

import numpy as np
from scalars import BINARY

START = {"add": 0.0, "subtract": 0.0, "multiply": 1.0, "maximum": -math.inf, "minimum": math.inf}
"""Where an accumulator starts (nisa.tensor_scalar_reduce and nisa.tensor_scalar_cumulative, SDK 2.32)."""


def total(op: str, numbers: Sequence[float]) -> float:
    """Sixteen lanes dealt in turn, then the upper half of the lanes joined to the lower half until one is left.

    subtract, for which the order does not show here: the first number minus the sum of the others.
    """
    if op == "subtract":
        return BINARY["subtract"](numbers[0], total("add", numbers[1:]) if len(numbers) > 1 else 0.0)
    if op.startswith("logical"):
        return reduce(BINARY[op], (float(bool(n)) for n in numbers))
    join = BINARY[op]
    lanes = [reduce(join, numbers[n::16], START[op]) for n in range(16)]
    while len(lanes) > 1:
        half = len(lanes) // 2
        lanes = [join(lanes[n], lanes[n + half]) for n in range(half)]
    return lanes[0]


def totals(op: str, rows: Iterable[Sequence[float]]) -> np.ndarray:
    """(P, 1) totals of the rows, as Python numbers."""
    return np.array([[total(op, list(row))] for row in rows], object)


def per_row(value: Any, rows: int) -> list[float]:
    """A number, or a (P, 1) array, as one Python number for each row."""
    return [float(v) for v in np.broadcast_to(np.asarray(value, np.float64).reshape(-1), rows)]
