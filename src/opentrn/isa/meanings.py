"""Small steps that meanings share."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["value"]


def value(operand: Any) -> Any:
    """A tile's (P, elements) or (P, 1) float32 values, or a compile-time number as a float32 scalar."""
    return np.float32(operand) if isinstance(operand, (int, float)) else operand.f32()
