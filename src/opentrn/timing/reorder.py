"""A legal reordering of a recorded program: stores are triggered later, so that what follows does not wait behind them.

An engine triggers its DMAs in program order. A store that waits for a result keeps back every load that the same engine
triggers after it, although they have nothing to do with each other. AWS's compiler moves such instructions past each
other; no public source tells by how many, or by which rule. So this is off unless asked for, and the number is the user's.

The rule: a store (a DMA from memory on chip to HBM) waits until `window` instructions of its engine have come after it. It
goes earlier, before the first instruction of any engine that shares a byte with it where one of the two writes, that
depends on it (depends_on), that meets the other core, or that stands in nl.no_reorder, where nothing moves. Stores of one
engine keep their order, and so does everything else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from opentrn.program import native
from opentrn.program.trace import WRITES, Trace
from opentrn.timing.assemble import direction_of
from opentrn.timing.lower import COST_FIELDS, Classes, classes_of, columns_of
from opentrn.timing.oracle import Region, region_of
from opentrn.timing.timeline import ENGINES

__all__ = ["order_of", "reordered"]

STORE = 1
"""`Dma.direction` of a DMA from memory on chip to HBM."""


def reordered(trace: Trace, chip: Any, window: int, *, compiled: bool | None = None) -> Trace:
    """`trace` with its rows in an order in which stores pass up to `window` later instructions of their engine.

    0 changes nothing. Tensors must have their addresses. Raises what a cost function raises on `chip`.
    """
    if window == 0 or not len(trace):
        return trace
    classes = classes_of(trace.steps, chip)
    stores = _stores(trace.steps, classes)[trace.step]
    fences = (classes.costs[:, COST_FIELDS.index("meets")] >= 0)[trace.step]
    for first, end in trace.fixed:
        fences[first:end] = True
    order = order_of(columns_of(trace, chip, 0), classes, stores & ~fences, fences, window, compiled=compiled)
    return _in_order(trace, order)


def _stores(steps: Sequence[Any], classes: Classes) -> np.ndarray:
    found = [bool(dma) and direction_of(s) == STORE for s, dma in zip(steps, classes.is_dma, strict=True)]
    return np.array(found, bool)


def order_of(
    columns: dict[str, Any],
    classes: Classes,
    stores: np.ndarray,
    fences: np.ndarray,
    window: int,
    *,
    compiled: bool | None = None,
) -> np.ndarray:
    """Rows of one core's columns in their new order: int64 (n). `stores` (bool, n) may be held back, but not over `fences`."""
    core = native.core() if compiled is not False else None
    if core is None:
        return _Pass(columns, window).run(classes.engine, stores, fences)
    facts = {"engine": classes.engine, "is_dma": classes.is_dma}
    return core.reorder_program(facts, columns, stores.astype(np.uint8), fences.astype(np.uint8), window)


@dataclass
class _Waiting:
    """What one engine holds back, oldest first: (row, after how many instructions of the engine it goes)."""

    held: list[tuple[int, int]] = field(default_factory=list)
    seen: int = 0


class _Pass:
    """The twin of native/src/timing/reorder.cpp."""

    def __init__(self, columns: dict[str, Any], window: int) -> None:
        self.columns, self.window = columns, window
        self.regions: dict[int, Region] = {}
        self.known: dict[tuple[int, int], bool] = {}
        self.edges = {(int(producer), int(consumer)) for producer, consumer in columns["edges"]}
        self.waiting = [_Waiting() for _ in ENGINES]
        self.order: list[int] = []

    def run(self, engines: np.ndarray, stores: np.ndarray, fences: np.ndarray) -> np.ndarray:
        for row, kind in enumerate(self.columns["kind"]):
            for each in self.waiting:
                self.release(each, len(each.held) if fences[row] else self.up_to_conflict(each, row))
            own = self.waiting[engines[kind]]
            own.seen += 1
            if stores[row]:
                own.held.append((row, own.seen + self.window))
            else:
                self.order.append(row)
            self.release(own, sum(until <= own.seen for _, until in own.held))
        for each in self.waiting:
            self.release(each, len(each.held))
        return np.array(self.order, np.int64)

    def release(self, waiting: _Waiting, count: int) -> None:
        self.order += [row for row, _ in waiting.held[:count]]
        del waiting.held[:count]

    def up_to_conflict(self, waiting: _Waiting, row: int) -> int:
        """How many of the oldest have to go first: up to the youngest that `row` must stay behind."""
        return max((k for k, (old, _) in enumerate(waiting.held, 1) if self.conflict(old, row)), default=0)

    def conflict(self, old: int, row: int) -> bool:
        pairs = ((a, b) for a in self.operands(old) for b in self.operands(row))
        return (old, row) in self.edges or any((a[1] | b[1]) & WRITES and self.shares(a[0], b[0]) for a, b in pairs)

    def operands(self, row: int) -> list[tuple[int, int]]:
        at = slice(*self.columns["first_operand"][row : row + 2])
        return list(zip(self.columns["region"][at].tolist(), self.columns["access"][at].tolist(), strict=True))

    def shares(self, left: int, right: int) -> bool:
        if (left, right) not in self.known:
            for number in (left, right):
                self.regions.setdefault(number, region_of(self.columns, number))
            one, two = self.regions[left], self.regions[right]
            self.known[left, right] = one.space == two.space and one.shares(two)
        return self.known[left, right]


def _in_order(trace: Trace, order: np.ndarray) -> Trace:
    """The trace with row `order[i]` as its row i."""
    position = np.empty(len(order), np.int64)
    position[order] = np.arange(len(order))
    counts = np.diff(trace.first_operand)[order]
    first = np.concatenate(([0], np.cumsum(counts)))
    operand = np.repeat(trace.first_operand[:-1][order] - first[:-1], counts) + np.arange(first[-1])
    return replace(
        trace,
        step=trace.step[order],
        place=trace.place[order],
        first_operand=first,
        region=trace.region[operand],
        access=trace.access[operand],
        edges=position[trace.edges],
        moved=True,
    )
