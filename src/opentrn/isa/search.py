"""What the instructions that look for eight values share: max8, nc_find_index8, nc_match_replace8."""

from __future__ import annotations

from typing import Any

import numpy as np

from opentrn.isa.rules import same_partitions
from opentrn.isa.spec import Broken, Use

__all__ = ["WIDTH", "eight", "positions", "searchable"]

WIDTH = 8


def searchable(use: Use, data: Any) -> None:
    """Between 8 and 16,384 elements per partition (nisa.max8, SDK 2.32)."""
    low, high = use.chip.limits.max8_min, use.chip.limits.max8_max
    if not low <= data.elements <= high:
        raise Broken(f"{data.elements} elements per partition", f"{low} to {high}")


def eight(data: Any, *tiles: Any) -> None:
    """The partitions of `data` and exactly eight elements in each."""
    for tile in tiles:
        if tile is None:
            continue
        same_partitions(data, tile)
        if tile.elements != WIDTH:
            raise Broken(f"{tile.elements} elements per partition in {tile.shape}", f"{WIDTH}")


def positions(data: np.ndarray, values: np.ndarray, order: range) -> np.ndarray:
    """(P, 8) column of each value in `data`, -1 where there is none; equal values take successive occurrences.

    `order` is the order in which the eight values look: the first takes the first occurrence.
    """
    found = np.full(values.shape, -1, np.int64)
    for row in range(len(data)):
        taken: dict[float, int] = {}
        for slot in order:
            wanted = values[row, slot]
            hits = np.flatnonzero(data[row] == wanted)
            n = taken.get(float(wanted), 0)
            if n < hits.size:
                found[row, slot] = hits[n]
                taken[float(wanted)] = n + 1
    return found
