"""What the instructions that look for eight values share: max8, nc_find_index8, nc_match_replace8."""

from __future__ import annotations

from collections.abc import Callable, Sequence
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
    where = _candidates(data, values)
    for row, wanted in enumerate(values.tolist()):
        places = where(row)
        taken: dict[float, int] = {}
        for slot in order:
            n = taken.get(wanted[slot], 0)
            hits = places(wanted[slot])
            if n < len(hits):
                found[row, slot] = hits[n]
                taken[wanted[slot]] = n + 1
    return found


def _candidates(data: np.ndarray, values: np.ndarray) -> Callable[[int], Callable[[float], Sequence[int]]]:
    """Row -> value -> the columns of `data` that hold it.

    The values are mostly the largest of their row (max8), so that few elements are in their range: those are looked up
    in a dictionary. Where there are many, each value is compared with the whole row.
    """
    low, high = (edge(values, axis=1, initial=bound, where=~np.isnan(values)) for edge, bound in _EDGES)
    rows, columns = np.nonzero((data >= low[:, None]) & (data <= high[:, None]))
    if rows.size > 8 * values.size:
        return lambda row: lambda value: np.flatnonzero(data[row] == value).tolist()
    held: list[dict[float, list[int]]] = [{} for _ in range(len(data))]
    for row, column, value in zip(rows.tolist(), columns.tolist(), data[rows, columns].tolist(), strict=True):
        held[row].setdefault(value, []).append(column)
    return lambda row: lambda value: held[row].get(value, ())


_EDGES = ((np.min, np.inf), (np.max, -np.inf))


def missing_as_ones(found: np.ndarray, dst: Any) -> np.ndarray:
    """Positions in `dst`'s unsigned dtype, -1 as all ones (0xFFFF or 0xFFFFFFFF)."""
    return found.astype(np.uint64).astype(dst.held.carrier)
