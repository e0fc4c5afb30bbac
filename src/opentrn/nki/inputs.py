"""Arguments for a checked run: copies of arrays, and values where only a shape is given."""

from __future__ import annotations

from typing import Any

import numpy as np

from opentrn.nki.arrays import ShapeDtype, kind_of
from opentrn.numerics.dtypes import DTYPES

__all__ = ["fresh", "values_for"]


def fresh(value: Any) -> Any:
    """`value` with arrays copied and each `ShapeDtype` replaced by an array; tuples, lists and dicts are rebuilt."""
    if isinstance(value, ShapeDtype):
        return values_for(value)
    if isinstance(value, (tuple, list)):
        items = [fresh(item) for item in value]
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    if isinstance(value, dict):
        return {name: fresh(item) for name, item in value.items()}
    if isinstance(value, np.ndarray):
        return value.copy()
    kind = kind_of(value)
    return value.clone() if kind is not None and hasattr(value, "clone") else value


def values_for(like: ShapeDtype, seed: int = 0) -> np.ndarray:
    """Seeded values of a shape and dtype: standard normal floats, small integers."""
    kind = DTYPES[like.dtype]
    random = np.random.default_rng((seed, *like.shape))
    if kind.is_float:
        return random.standard_normal(like.shape, np.float32).astype(kind.carrier)
    return random.integers(0, 2 if kind.kind == "bool" else 64, like.shape).astype(kind.carrier)
