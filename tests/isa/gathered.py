"""Tensor indirection in tests: views through an index tensor, and the same in numpy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import opentrn.nki.language as nl
from opentrn.program.recorder import ACTIVE


def through(
    index: np.ndarray, count: int | None = None, address: tuple[int, int] | None = None
) -> Callable[[Any], Any]:
    """The view of a tensor through a new index tensor that holds `index`, hand-placed when `address` is given."""

    def view(tensor: Any) -> Any:
        made = nl.ndarray(index.shape, dtype=nl.int32, address=address)
        assert ACTIVE.recorder is not None
        ACTIVE.recorder.state.fill(made, index.astype(np.int32))
        return tensor.indirect(made, count)

    return view


def columns(index: np.ndarray, count: int, partition: int, group: int = 16) -> list[int]:
    """The columns that `partition` sees: offset i of its group is ``index[i % group, i // group]``."""
    start = partition // group * group
    rows = min(group, index.shape[0] - start)
    return [int(index[start + i % rows, i // rows]) for i in range(count)]
