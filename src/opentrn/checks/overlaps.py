"""DMAs that read bytes which they also write, at another place: their descriptors move in no promised order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from opentrn.checks.conflicts import named
from opentrn.program.trace import READS, WRITES, Trace
from opentrn.timing.lower import columns_of
from opentrn.timing.oracle import region_of

__all__ = ["overlaps"]


def overlaps(trace: Trace, chip: Any) -> Iterator[tuple[int, str]]:
    """(row, what is wrong) of each distinct use."""
    suspects = _suspects(trace)
    if not suspects:
        return
    columns = columns_of(trace, chip, 0)
    known: dict[tuple[int, int], bool] = {}
    for row, source, target in suspects:
        pair = (source, target)
        if pair not in known:
            one, two = region_of(columns, source), region_of(columns, target)
            known[pair] = one.shares(two) and not (one.covers(two) and two.covers(one))
        if known[pair]:
            tensor = trace.allocations[trace.region_allocation[target]]
            name = trace.instruction(row).name
            yield (
                row,
                f"nisa.{name} reads bytes of {named(tensor)} {list(tensor.shape)} that it also writes",
            )


def _suspects(trace: Trace) -> list[tuple[int, int, int]]:
    """(row, region read, region written) of DMAs with two different regions of one tensor, no run-time address among them."""
    moves = [n for n, s in enumerate(trace.steps) if s.instruction.name.startswith("dma_") and not s.indexed]
    rows = np.flatnonzero(np.isin(trace.step, moves))
    if not len(rows):
        return []
    counts = np.diff(trace.first_operand)[rows]
    row = np.repeat(rows, counts)
    operand = np.repeat(trace.first_operand[rows] - (np.cumsum(counts) - counts), counts) + np.arange(counts.sum())
    region, access = trace.region[operand], trace.access[operand]
    key = row * np.int64(len(trace.allocations)) + trace.region_allocation[region]
    read, written = (access & READS) != 0, (access & WRITES) != 0
    both = np.flatnonzero(read & np.isin(key, key[written]))
    found = []
    for k in both.tolist():
        for t in np.flatnonzero(written & (key == key[k])).tolist():
            if region[k] != region[t]:
                found.append((int(row[k]), int(region[k]), int(region[t])))
    return found
