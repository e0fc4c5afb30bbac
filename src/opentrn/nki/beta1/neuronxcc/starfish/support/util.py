"""`neuronxcc.starfish.support.util`: the comparison that AWS's public tests use."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["allclose"]


def allclose(a: Any, b: Any, rtol: float = 1e-05, atol: float = 1e-08, **_options: Any) -> bool:
    """True when the arrays agree within the tolerances, compared in float64."""
    return bool(np.allclose(np.asarray(a, np.float64), np.asarray(b, np.float64), rtol=rtol, atol=atol))
