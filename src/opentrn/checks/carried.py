"""Loop-carried dependencies in `nl.affine_range`: an iteration reads what an earlier one of the same loop wrote.

The public pages recommended affine_range for loops without such dependencies, associative reductions excepted; since
NKI 0.6 it is an alias of `range` and unrolled. An associative reduction is one line that reads what it wrote an iteration
before, with operators that may be applied in any order.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from opentrn.checks.conflicts import named
from opentrn.checks.pieces import Pieces, accesses_of, each
from opentrn.program.trace import READS, WRITES, Loop, Trace
from opentrn.timing.lower import columns_of

__all__ = ["Carried", "carried"]

ASSOCIATIVE = {"add", "multiply", "maximum", "minimum", "logical_and", "logical_or", "logical_xor", "bitwise_and",
               "bitwise_or", "bitwise_xor"}  # fmt: skip
"""Operators of which the public pages allow the iterations in any order."""


@dataclass(frozen=True)
class Carried:
    """Row `reader` of a later iteration reads what row `writer` of an earlier one wrote."""

    reader: int
    writer: int
    text: str


def carried(trace: Trace, chip: Any) -> Iterator[Carried]:
    """One for each pair of lines and tensor."""
    loops = [loop for loop in trace.loops if loop.kind == "affine_range" and len(loop.starts) > 1]
    if not loops:
        return
    levels = _levels(loops)
    suspects = np.flatnonzero(_suspects(trace, levels)).tolist()
    columns = columns_of(trace, chip, 0) if suspects else {}
    for number in suspects:
        yield from _of_tensor(trace, levels, columns, number)


@dataclass(frozen=True, eq=False)
class _Level:
    """Loops at one depth of nesting, which do not overlap: where iterations begin or loops end, and what begins there."""

    borders: np.ndarray  # int64 (b), ascending
    loop: np.ndarray  # int64 (b): number of the loop, -1: none
    turn: np.ndarray  # int64 (b): iteration of it

    def at(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(loop, iteration) of each of `rows`; loop -1 outside."""
        found = np.searchsorted(self.borders, rows, "right") - 1
        return np.where(found < 0, -1, self.loop[found]), self.turn[found]


def _levels(loops: list[Loop]) -> list[_Level]:
    depths: list[list[tuple[int, int, int]]] = []
    open_loops: list[int] = []
    for number, loop in enumerate(loops):
        while open_loops and open_loops[-1] <= loop.starts[0]:
            open_loops.pop()
        depth = len(open_loops)
        open_loops.append(loop.end)
        if depth == len(depths):
            depths.append([])
        depths[depth] += [(start, number, turn) for turn, start in enumerate(loop.starts)] + [(loop.end, -1, 0)]
    return [_Level(*np.array(rows, np.int64).T) for rows in depths]


def _suspects(trace: Trace, levels: list[_Level]) -> np.ndarray:
    """Tensors (bool, by allocation) that an iteration reads after an earlier one of the same loop wrote to them."""
    row = trace.operand_row
    tensor = trace.operand_allocation.astype(np.int64)
    found = np.zeros(len(trace.allocations), bool)
    for level in levels:
        loop, turn = level.at(row)
        key = loop * len(trace.allocations) + tensor
        inside = loop >= 0
        written, read = inside & ((trace.access & WRITES) != 0), inside & (trace.access == READS)
        keys, number = np.unique(key, return_inverse=True)
        first, last = np.full(len(keys), np.iinfo(np.int64).max), np.full(len(keys), -1)
        np.minimum.at(first, number[written], turn[written])
        np.maximum.at(last, number[read], turn[read])
        bad = first < last
        found[keys[bad] % len(trace.allocations)] = True
    return found


def _of_tensor(trace: Trace, levels: list[_Level], columns: dict[str, Any], tensor: int) -> Iterator[Carried]:
    chosen = np.zeros(len(trace.allocations), bool)
    chosen[tensor] = True
    access = accesses_of(columns, chosen)
    pieces = Pieces([(columns, access.region)])
    last = np.full(pieces.count, -1, np.int64)
    told: set[tuple[int, int]] = set()
    for row, region, kind in each(access):
        at = pieces.of(0, region)
        if kind & WRITES:
            last[at] = row
            continue
        for writer in np.unique(last[at]).tolist():
            lines = int(trace.place[writer]), int(trace.place[row])
            if writer < 0 or lines in told or not _apart(levels, writer, row) or _reduces(trace, writer, row):
                continue
            told.add(lines)
            yield Carried(row, writer, _text(trace, tensor, row))


def _apart(levels: list[_Level], writer: int, reader: int) -> bool:
    """The two are in different iterations of one loop."""
    for level in levels:
        loop, turn = level.at(np.array([writer, reader]))
        if loop[0] == loop[1] >= 0 and turn[0] != turn[1]:
            return True
    return False


def _reduces(trace: Trace, writer: int, reader: int) -> bool:
    """One line that applies operators which may be applied in any order, and stores the result with or without them."""
    reads, writes = (trace.steps[trace.step[row]] for row in (reader, writer))
    same = trace.place[writer] == trace.place[reader]
    return bool(same and _operators(reads) and _operators(reads) | _operators(writes) <= ASSOCIATIVE)


def _operators(step: Any) -> set[str]:
    return {op.name for name, op in step.values.items() if name in _OPERATORS and hasattr(op, "name")}


_OPERATORS = ("op", "op0", "op1", "reduce_op")


def _text(trace: Trace, tensor: int, row: int) -> str:
    one, name = trace.allocations[tensor], trace.instruction(row).name
    return (
        f"nisa.{name} reads what an earlier iteration of nl.affine_range wrote to {named(one)} "
        f"({list(one.shape)} {one.dtype.name}, {one.buffer.value})"
    )
