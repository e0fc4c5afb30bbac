"""What the instructions that look for eight values share: max8, nc_find_index8, nc_match_replace8."""

from __future__ import annotations

from typing import Any

import numpy as np

from opentrn.isa.rules import same_partitions
from opentrn.isa.spec import Broken, Use

__all__ = ["INDICES", "WIDTH", "eight", "largest", "missing_as_ones", "positions", "rank_at_most", "searchable"]

WIDTH = 8
INDICES = frozenset({"uint16", "uint32"})
_MAGNITUDE = np.int32(0x7FFFFFFF)


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


def rank_at_most(rank: int, *tiles: Any) -> None:
    """At most `rank` dimensions, the partition dimension among them."""
    for tile in tiles:
        if len(tile.shape) > rank:
            raise Broken(str(tile.shape), f"at most {rank}-D")


def largest(values: np.ndarray) -> np.ndarray:
    """(P, 8): the largest of each row of (P, n) float32, descending; NaN above every number, +0 above -0.

    They are sorted as integers of the same order, so that the result does not depend on the sorting algorithm.
    """
    bits = np.where(np.isnan(values), np.float32(np.nan), values).view(np.int32)
    keys = np.where(bits < 0, bits ^ _MAGNITUDE, bits)
    top = np.sort(np.partition(keys, -WIDTH, axis=1)[:, -WIDTH:], axis=1)[:, ::-1]
    return np.where(top < 0, top ^ _MAGNITUDE, top).view(np.float32)


def positions(data: np.ndarray, values: np.ndarray, order: range) -> np.ndarray:
    """(P, 8) column of each value in `data`, -1 where there is none; equal values take successive occurrences.

    `order` is the order in which the eight values look: the first takes the first occurrence.
    """
    found = np.full(values.shape, -1, np.int64)
    for row in range(len(data)):
        taken: dict[float, int] = {}
        for slot in order:
            wanted = float(values[row, slot])
            hits = np.flatnonzero(data[row] == wanted)
            n = taken.get(wanted, 0)
            if n < hits.size:
                found[row, slot] = hits[n]
                taken[wanted] = n + 1
    return found


def missing_as_ones(found: np.ndarray, dst: Any) -> np.ndarray:
    """Positions in `dst`'s unsigned dtype, -1 as all ones (0xFFFF or 0xFFFFFFFF)."""
    return found.astype(np.uint64).astype(dst.held.carrier)
