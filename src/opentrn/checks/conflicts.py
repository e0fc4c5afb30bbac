"""Conflicts between two cores: accesses to the same bytes of a memory that both see, unordered, at least one a write."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np

from opentrn.checks.order import Order
from opentrn.checks.pieces import Access, Pieces, accesses_of, each
from opentrn.errors import Site
from opentrn.program.storage import Allocation
from opentrn.program.trace import WRITES
from opentrn.timing.order import SLOTS

__all__ = ["Race", "missing", "named", "races_of"]


@dataclass(frozen=True)
class Race:
    """Two accesses that nothing orders: (core, row) of each in the order of the run, and the bytes that both touch.

    `verbs` say what each does (reads, writes). `allocation` is the tensor's number on the first core. `twin`: both cores do
    the same at the same line, or the reader has written the bytes itself as the other core does. `maybe`: both write at the
    same line what may be the same, for all that the program tells.
    """

    at: tuple[tuple[int, int], tuple[int, int]]
    verbs: tuple[str, str]
    allocation: int
    bytes: tuple[int, int]
    twin: bool
    maybe: bool


def races_of(order: Order) -> Iterator[Race]:
    """The first race of each pair of lines and tensor."""
    mine, theirs = (core.trace.shared for core in order.cores)
    known = set(theirs.values())
    for name in dict.fromkeys(n for n in mine.values() if n in known):
        yield from _Tensor(order, name).races()


class _Tensor:
    """One memory that both cores see, gone through in the order of the run.

    An access at a run-time address is left out: where it falls is not in the program, and a guess would be a false alarm.
    """

    def __init__(self, order: Order, name: object) -> None:
        self.order = order
        self.access = [self._accesses(core, name) for core in (0, 1)]

    def _accesses(self, core: int, name: object) -> Access:
        one = self.order.cores[core]
        chosen = np.array([one.trace.shared.get(n) == name for n in range(len(one.trace.allocations))], bool)
        found = accesses_of(one.columns, chosen, ~one.trace.rows_of("core_barrier"))
        return found.only(one.columns["geometry_whole"][one.columns["region_geometry"][found.region]] == 0)

    def races(self) -> Iterator[Race]:
        writes = [a.only((a.access & WRITES) != 0) for a in self.access]
        if not all(len(a.row) for a in self.access) or not any(len(w.row) for w in writes):
            return
        pieces = Pieces([(c.columns, a.region) for c, a in zip(self.order.cores, self.access, strict=True)])
        touched = [pieces.covered(n, a.region) for n, a in enumerate(self.access)]
        written = [pieces.covered(n, w.region) for n, w in enumerate(writes)]
        met = (written[0] & touched[1]) | (written[1] & touched[0])
        if met.any():
            pieces.keep(met)
            yield from self._pass(pieces)

    def _merged(self) -> list[tuple[int, int, int, int]]:
        """(core, row, region, access) in an order that agrees with happens-before: meeting after meeting, core after core."""
        every = []
        for core, access in enumerate(self.access):
            phase = self.order.phase(core, access.row)
            every += [(p, core, *one) for p, one in zip(np.sort(phase).tolist(), each(access), strict=True)]
        return [one[1:] for one in sorted(every, key=lambda one: one[:2])]

    def _pass(self, pieces: Pieces) -> Iterator[Race]:
        known = [dict(zip(a.row.tolist(), self.order.known(n, a.row), strict=True)) for n, a in enumerate(self.access)]
        last = np.full((2, 2, SLOTS, pieces.count), -1, np.int64)  # by core, write, slot: the latest row
        own = np.full((2, pieces.count), -1, np.int64)
        used = [sorted(set(c.slot[a.row].tolist())) for c, a in zip(self.order.cores, self.access, strict=True)]
        told: set[tuple[Any, ...]] = set()
        for core, row, region, access in self._merged():
            at = pieces.of(core, region)
            if not len(at):
                continue
            other = 1 - core
            for write in (1, 0) if access & WRITES else (1,):
                for slot in used[other]:
                    rows = last[other, write, slot, at]
                    if (rows > known[core][row][slot]).any():
                        bad = rows > known[core][row][slot]
                        race = self._race(pieces, (core, row, access), (int(rows.max()), write), at[bad], own)
                        if race is not None and self._new(race, told):
                            yield race
            kind = 1 if access & WRITES else 0
            last[core, kind, self.order.cores[core].slot[row], at] = row
            if access & WRITES:
                own[core, at] = row

    def _race(
        self, pieces: Pieces, now: tuple[int, int, int], before: tuple[int, int], at: np.ndarray, own: np.ndarray
    ) -> Race | None:
        (core, row, access), (old, wrote) = now, before
        verbs = ("writes" if wrote else "reads", "writes" if access & WRITES else "reads")
        regions = self.access[1 - core]
        first = regions.region[np.searchsorted(regions.row, old)]
        allocation = int(self.order.cores[1 - core].columns["region_allocation"][first])
        twin = self._twin(core, row, access, old, wrote, own[:, at])
        one, two = (self.order.cores[c].trace for c in (core, 1 - core))
        line = one.places[one.place[row]] == two.places[two.place[old]]
        maybe = line and bool(wrote and access & WRITES)
        return Race(((1 - core, old), (core, row)), verbs, allocation, pieces.bytes_of(at), twin, maybe)

    def _twin(self, core: int, row: int, access: int, old: int, wrote: int, own: np.ndarray) -> bool:
        if access & WRITES and wrote:
            return self._alike or self._same(core, row, old)
        if wrote:  # now reads, and has written the bytes itself
            return all(mine >= 0 and self._same(core, mine, old) for mine in np.unique(own[core]).tolist())
        # old read what its core had written itself
        return all(theirs >= 0 and self._same(core, row, theirs) for theirs in np.unique(own[1 - core]).tolist())

    @cached_property
    def _alike(self) -> bool:
        """Both cores write to the tensor the same values in the same order: any mixture ends with the same."""
        written = [access.row[(access.access & WRITES) != 0].tolist() for access in self.access]
        return len(written[0]) == len(written[1]) and all(map(partial(self._same, 0), *written))

    def _same(self, core: int, mine: int, theirs: int) -> bool:
        """The two cores do the same there: one line, the same values."""
        a, b = self.order.cores[core].trace, self.order.cores[1 - core].trace
        return (
            a.places[a.place[mine]] == b.places[b.place[theirs]]
            and self.order.prints[core][mine] == self.order.prints[1 - core][theirs]
        )

    def _new(self, race: Race, told: set[tuple[Any, ...]]) -> bool:
        traces = [core.trace for core in self.order.cores]
        key = (race.twin, race.verbs, *(traces[core].place[row] for core, row in race.at), race.at[0][0])
        fresh = key not in told
        told.add(key)
        return fresh


def named(tensor: Allocation) -> str:
    """A tensor by its name, or by the line that allocates it."""
    return tensor.name or (f"the tensor of line {tensor.site.line}" if tensor.site else "a tensor")


def missing(order: Order, race: Race, site_of: Callable[[int, int], Site | None]) -> tuple[str, str]:
    """(which edge is missing, how to make it)."""
    core = race.at[0][0]
    first, last = (int(order.phase(c, np.array([r]))[0]) for c, r in race.at)
    tensor = order.cores[core].trace.allocations[race.allocation]
    cure = f"put nisa.core_barrier(data=..., cores=(0, 1)) over {named(tensor)} between the two, on both cores"
    between = order.meetings[first:last]
    if not between:
        return "no core_barrier or sendrecv lies between them", cure
    meeting = between[0]
    where = site_of(core, meeting.rows[core])
    line = f" at line {where.line}" if where else ""
    if meeting.what != "core_barrier":
        return f"the sendrecv{line} between them waits for neither", cure
    trace = order.cores[core].trace
    region = trace.region[trace.first_operand[meeting.rows[core]]]
    data = trace.allocations[trace.region_allocation[region]]
    if trace.shared.get(data.id) == trace.shared.get(race.allocation):
        return f"the core_barrier{line} between them is over other bytes of that tensor", cure
    return (
        f"the core_barrier{line} between them orders accesses to its data, {named(data)}, and no others",
        cure,
    )
