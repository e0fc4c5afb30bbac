"""The bytes of one tensor in pieces: between two borders every access touches all bytes or none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from opentrn.timing.oracle import Region, region_of

__all__ = ["Access", "Pieces", "accesses_of"]


@dataclass(frozen=True, eq=False)
class Access:
    """Operands of one core that touch certain tensors, in program order. One entry per operand."""

    row: np.ndarray  # int64 (m)
    region: np.ndarray  # int64 (m): number in the core's columns
    access: np.ndarray  # uint8 (m): READS | WRITES

    def only(self, mask: np.ndarray) -> Access:
        """The entries that `mask` chooses."""
        return Access(self.row[mask], self.region[mask], self.access[mask])


def accesses_of(columns: dict[str, Any], chosen: np.ndarray, rows: np.ndarray | None = None) -> Access:
    """The accesses to the allocations that `chosen` (bool, by allocation) marks, of the rows that `rows` marks."""
    wanted = chosen[columns["region_allocation"]][columns["region"]]
    if rows is not None:
        wanted &= np.repeat(rows, np.diff(columns["first_operand"]))
    operands = np.flatnonzero(wanted)
    row = np.searchsorted(columns["first_operand"], operands, "right") - 1
    return Access(row, columns["region"][operands].astype(np.int64), columns["access"][operands])


class Pieces:
    """One tensor's pieces, cut at the borders of all regions in `tables`, a (columns, regions) pair per core."""

    def __init__(self, tables: Sequence[tuple[dict[str, Any], np.ndarray]]) -> None:
        self._runs = [{int(r): _flat(columns, int(r)) for r in np.unique(regions)} for columns, regions in tables]
        every = [bounds for core in self._runs for runs in core.values() for bounds in runs]
        self.borders = np.unique(np.concatenate(every)) if every else np.zeros(0, np.int64)
        self._spans: list[dict[int, tuple[np.ndarray, np.ndarray]]] = [{} for _ in self._runs]
        self._kept: np.ndarray | None = None
        self._numbers: list[dict[int, np.ndarray]] = [{} for _ in self._runs]

    @property
    def count(self) -> int:
        """Pieces there are, or those that `keep` left."""
        return len(self.borders) if self._kept is None else int(self._kept[-1])

    def covered(self, table: int, regions: np.ndarray) -> np.ndarray:
        """Which pieces any of `regions` touches (bool, by piece)."""
        change = np.zeros(len(self.borders) + 1, np.int64)
        for region in np.unique(regions).tolist():
            first, end = self._span(table, region)
            np.add.at(change, first, 1)
            np.add.at(change, end, -1)
        return np.cumsum(change[:-1]) > 0

    def keep(self, pieces: np.ndarray) -> None:
        """Number only the pieces that the mask `pieces` chooses from here on."""
        self._kept = np.concatenate(([0], np.cumsum(pieces)))

    def of(self, table: int, region: int) -> np.ndarray:
        """The numbers of the pieces that a region touches, ascending."""
        found = self._numbers[table].get(region)
        if found is None:
            first, end = self._span(table, region)
            if self._kept is not None:
                first, end = self._kept[first], self._kept[end]
            counts = end - first
            offsets = np.cumsum(counts) - counts
            found = np.repeat(first - offsets, counts) + np.arange(int(counts.sum()))
            self._numbers[table][region] = found
        return found

    def bytes_of(self, pieces: np.ndarray) -> tuple[int, int]:
        """First byte and end of the smallest range that holds `pieces` (numbers)."""
        if self._kept is not None:
            pieces = np.flatnonzero(np.diff(self._kept))[pieces]
        return int(self.borders[pieces.min()]), int(self.borders[pieces.max() + 1])

    def _span(self, table: int, region: int) -> tuple[np.ndarray, np.ndarray]:
        if region not in self._spans[table]:
            first, end = (np.searchsorted(self.borders, bounds) for bounds in self._runs[table][region])
            self._spans[table][region] = first, end
        return self._spans[table][region]


def _flat(columns: dict[str, Any], number: int) -> tuple[np.ndarray, np.ndarray]:
    """(starts, ends) of a region's bytes in its memory; on chip a partition begins where the one before it ends."""
    region = region_of(columns, number)
    if region.row1 - region.row0 == 1 and region.row0 == 0:
        return region.starts, region.ends
    return _rows(region)


_PARTITION = 1 << 32
"""Bytes of address space per partition: more than any has."""


def _rows(region: Region) -> tuple[np.ndarray, np.ndarray]:
    base = _PARTITION * np.arange(region.row0, region.row1)[:, None]
    return (base + region.starts).reshape(-1), (base + region.ends).reshape(-1)


def each(access: Access) -> Iterator[tuple[int, int, int]]:
    """(row, region, access) one after the other; of one row the reads first."""
    order = np.lexsort((access.access & 2, access.row))
    return zip(access.row[order].tolist(), access.region[order].tolist(), access.access[order].tolist(), strict=True)
