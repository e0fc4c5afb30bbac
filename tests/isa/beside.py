"""Hand-placed operands seen through hand-placed indices, for the rules about where indices start."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from gathered import through
from harness import Operand

STARTS = np.arange(16).reshape(16, 1)


def placed(operand: Operand, tensor: int, index: int) -> Operand:
    """A (16, 16) operand at partition `tensor`, through an index at partition `index` that changes nothing."""
    return replace(operand, address=(tensor, 0)).seen(through(STARTS, address=(index, 4096)))
