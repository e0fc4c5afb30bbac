"""DMAs that end late: what one core keeps back under a `Schedule`, and what may not overtake it."""

from __future__ import annotations

from dataclasses import dataclass, field

from opentrn.program.recorder import Record
from opentrn.program.schedule import Schedule
from opentrn.program.view import View

__all__ = ["Late"]


@dataclass
class Late:
    """Records of core `core` that wait, oldest first, each with its row."""

    schedule: Schedule
    core: int
    held: list[tuple[int, Record]] = field(default_factory=list)

    def before(self, row: int, record: Record) -> list[tuple[int, Record]]:
        """Take out what has to end before `record` begins: up to the youngest that it waits for."""
        count = max((n for n, (old, late) in enumerate(self.held, 1) if self._waits(row, record, old, late)), default=0)
        return self.take(count)

    def take(self, count: int) -> list[tuple[int, Record]]:
        """Take out the `count` oldest."""
        taken, self.held = self.held[:count], self.held[count:]
        return taken

    def _waits(self, row: int, record: Record, old: int, late: Record) -> bool:
        slots = self.schedule.slots[self.core]
        queue = row >= len(slots) or (slots[row] == slots[old] and (self.core, row) not in self.schedule.late)
        return queue or old in self.schedule.waits.get((self.core, row), ()) or _meet(record, late)


def _meet(one: Record, two: Record) -> bool:
    """They touch one tensor, and one of them writes it. A barrier counts as a write to its data."""
    left, right = _touched(one), _touched(two)
    return any(left[block] or right[block] for block in left.keys() & right.keys())


def _touched(record: Record) -> dict[int, bool]:
    step, operands, _ = record
    found: dict[int, bool] = {}
    for role, view in zip(step.roles, operands, strict=True):
        block = id(view.block)
        found[block] = found.get(block, False) or role != "in" or step.instruction.name == "core_barrier"
        if view.dynamic is not None and isinstance(view.dynamic.index, View):
            found.setdefault(id(view.dynamic.index.block), False)
    return found
