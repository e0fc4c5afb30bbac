"""Automatic allocation: addresses for the on-chip tensors of one core, by liveness.

Model of a compiler's allocator (ours; AWS's is not public): tensors in the order of their first use, each at the lowest
free address, live from the first to the last instruction that touches it. SBUF tensors of at most 32 (64) partitions
may sit in any quadrant (half), the places that engines can start from (trainium_inferentia2_arch.rst, lines 711-713).
A PSUM tensor of at most one bank does not cross a bank; a larger one starts on a bank. Manual addresses stay.

`allocate` packs, which tells how much memory a kernel needs. `spread` then moves the tensors as far apart in time as the
memory allows: each takes the place that has been free for longest, so that the next tile can be filled while the last
one is still in use (double buffering), as a compiler that wants speed has to do.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from operator import attrgetter

import numpy as np

from opentrn.errors import CapacityError, Site
from opentrn.isa.enums import MemoryRegion
from opentrn.program import native
from opentrn.program.storage import Allocation

__all__ = ["MemoryMap", "allocate", "spread"]

GRANULE = 16
QUADRANTS = 4


@dataclass
class MemoryMap:
    """Result for one memory: the highest byte of a partition in use, when that is, and every placed tensor."""

    region: MemoryRegion
    capacity: int
    peak: int = 0
    peak_at: int = -1
    tensors: list[Allocation] = field(default_factory=list)

    def live_at(self, moment: int) -> list[Allocation]:
        """Tensors live at one instruction, largest first."""
        live = [t for t in self.tensors if t.first <= moment <= t.last]
        return sorted(live, key=lambda t: -t.partition_bytes)


def allocate(tensors: Iterable[Allocation], region: MemoryRegion, capacity: int, bank: int | None = None) -> MemoryMap:
    """Place every used tensor of `region`; sets each `Allocation.address`. `capacity` and `bank`: bytes per partition.

    Raises CapacityError, listing the live tensors, when one does not fit.
    """
    used = [t for t in tensors if t.buffer is region and t.first >= 0]
    used.sort(key=attrgetter("first", "id"))
    result = MemoryMap(region, capacity, tensors=used)
    core = native.core()
    failed = core.place(used, capacity, bank or 0) if core else _place_all(used, capacity, bank)
    if failed >= 0:
        raise _over(result, used[failed])
    result.peak, result.peak_at = _peak(used)
    return result


def _place_all(used: list[Allocation], capacity: int, bank: int | None) -> int:
    """Set the addresses; the position of the first tensor that does not fit, or -1. The native core has a twin."""
    occupied = np.zeros((QUADRANTS, -(-capacity // GRANULE)), np.int32)
    ending: list[tuple[int, int, Allocation]] = []
    vacated: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for number, tensor in enumerate(used):
        while ending and ending[0][0] < tensor.first:
            dead = heapq.heappop(ending)[2]
            _fill(occupied, dead, -1)
            assert dead.address is not None
            vacated.setdefault(_size(dead), []).append(dead.address)
        if not tensor.manual:
            tensor.address = _vacancy(occupied, tensor, vacated) or _place(occupied, tensor, bank)
            if tensor.address is None:
                return number
        _fill(occupied, tensor, +1)
        heapq.heappush(ending, (tensor.last, tensor.id, tensor))
    return -1


def spread(memory: MemoryMap, bank: int | None = None) -> None:
    """Give the tensors of an allocated memory other addresses, for the least waiting; manual ones stay.

    Memory that nobody has had yet comes first, then the place that has been free for longest. Where the tensors do not
    fit in that way, only the second is tried, and then the packed addresses stay.
    """
    packed = [t.address for t in memory.tensors]
    core = native.core()
    apart = core.spread if core else _spread_all
    for fresh_first in (True, False):
        if apart(memory.tensors, memory.capacity, bank or 0, fresh_first):
            return
        for each, address in zip(memory.tensors, packed, strict=True):
            each.address = address


def _spread_all(tensors: list[Allocation], capacity: int, bank: int, fresh_first: bool) -> bool:
    """Set the addresses; False when a tensor does not fit. The native core has a twin."""
    occupied = np.zeros((QUADRANTS, -(-capacity // GRANULE)), np.int32)
    for tensor in tensors:
        if tensor.manual:  # nobody else may ever be there: when it is used again is for its author to say
            _fill(occupied, tensor, +1)
    ending: list[tuple[int, int, Allocation]] = []
    vacated: dict[tuple[int, int], deque[tuple[int, int]]] = {}
    fresh = 0 if fresh_first else capacity
    for tensor in (t for t in tensors if not t.manual):
        while ending and ending[0][0] < tensor.first:
            dead = heapq.heappop(ending)[2]
            _fill(occupied, dead, -1)
            assert dead.address is not None
            vacated.setdefault(_size(dead), deque()).append(dead.address)
        address, fresh = _untouched(occupied, tensor, fresh, bank)
        tensor.address = address or _oldest(occupied, tensor, vacated) or _place(occupied, tensor, bank or None)
        if tensor.address is None:
            return False
        _fill(occupied, tensor, +1)
        heapq.heappush(ending, (tensor.last, tensor.id, tensor))
    return True


def _untouched(occupied: np.ndarray, tensor: Allocation, fresh: int, bank: int) -> tuple[tuple[int, int] | None, int]:
    """(an address in memory that no tensor has had yet, the first byte beyond it); None when there is none left."""
    start = fresh
    if bank and start % bank + tensor.partition_bytes > bank:
        start = -(-start // bank) * bank
    end = start + -(-tensor.partition_bytes // GRANULE) * GRANULE
    free = end <= occupied.shape[1] * GRANULE and not occupied[:, start // GRANULE : end // GRANULE].any()
    return ((0, start), end) if free else (None, fresh)


def _oldest(
    occupied: np.ndarray, tensor: Allocation, vacated: dict[tuple[int, int], deque[tuple[int, int]]]
) -> tuple[int, int] | None:
    """The place of the tensor of this size that died first, if nothing has moved in."""
    places = vacated.get(_size(tensor))
    while places:
        tensor.address = places.popleft()
        if not occupied[_window(tensor)].any():
            return tensor.address
    return None


def _size(tensor: Allocation) -> tuple[int, int]:
    return _quadrants(tensor), tensor.partition_bytes


def _vacancy(
    occupied: np.ndarray, tensor: Allocation, vacated: dict[tuple[int, int], list[tuple[int, int]]]
) -> tuple[int, int] | None:
    """The place of a dead tensor of the same size, if nothing has moved in: the common case in a loop, and quick."""
    places = vacated.get(_size(tensor))
    while places:
        tensor.address = places.pop()
        if not occupied[_window(tensor)].any():
            return tensor.address
    tensor.address = None
    return None


def _peak(used: list[Allocation]) -> tuple[int, int]:
    """(highest byte in use per partition, the instruction at which it is) over the program."""
    top = max(used, key=lambda t: t.address[1] + t.partition_bytes if t.address else 0, default=None)
    if top is None or top.address is None:
        return 0, -1
    return top.address[1] + top.partition_bytes, top.first


def _quadrants(tensor: Allocation) -> int:
    return 1 if tensor.partitions <= 32 else 2 if tensor.partitions <= 64 else QUADRANTS


def _window(tensor: Allocation) -> tuple[slice, slice]:
    assert tensor.address is not None
    partition, byte = tensor.address
    end = -(-(byte + tensor.partition_bytes) // GRANULE)
    return slice(partition // 32, -(-(partition + tensor.partitions) // 32)), slice(byte // GRANULE, end)


def _fill(occupied: np.ndarray, tensor: Allocation, delta: int) -> None:
    occupied[_window(tensor)] += delta


def _place(occupied: np.ndarray, tensor: Allocation, bank: int | None) -> tuple[int, int] | None:
    need = -(-tensor.partition_bytes // GRANULE)
    step = _quadrants(tensor)
    best: tuple[int, int] | None = None
    for quadrant in range(0, QUADRANTS, step):
        busy = np.asarray((occupied[quadrant : quadrant + step] > 0).any(0))
        start = _first_fit(busy, need, None if bank is None else bank // GRANULE)
        if start is not None and (best is None or start < best[1]):
            best = (quadrant, start)
        if best is not None and best[1] == 0:
            break
    return None if best is None else (best[0] * 32, best[1] * GRANULE)


def _first_fit(busy: np.ndarray, need: int, bank: int | None) -> int | None:
    """Start of the first free run of `need` granules (within one bank, or from a bank's start, in PSUM)."""
    if bank is not None:
        for base in range(0, len(busy), bank):
            if need > bank:
                if base + need <= len(busy) and not busy[base : base + need].any():
                    return base
            else:
                found = _first_fit(busy[base : base + bank], need, None)
                if found is not None:
                    return base + found
        return None
    edges = np.flatnonzero(np.diff(np.concatenate(([True], busy, [True])).astype(np.int8)))
    starts, ends = edges[::2], edges[1::2]
    fits = np.flatnonzero(ends - starts >= need)
    return int(starts[fits[0]]) if fits.size else None


def _over(memory: MemoryMap, tensor: Allocation) -> CapacityError:
    live = [t for t in memory.live_at(tensor.first) if t is tensor or t.address is not None]
    total = sum(t.partition_bytes for t in live)
    return CapacityError(
        f"{memory.region.value} is over capacity: {tensor} does not fit",
        site=tensor.site,
        got=f"{total:,} bytes per partition live at instruction {tensor.first}:\n"
        + _live_ranges(memory, live, tensor.first),
        expected=f"at most {memory.capacity:,} bytes per partition",
        hint=_relief(live, total - memory.capacity),
    )


RANGES, COLUMNS = 20, 32
"""Rows and columns of the map of live ranges in an error text."""


def _live_ranges(memory: MemoryMap, live: list[Allocation], moment: int) -> str:
    """The live tensors by line, the largest first, and in which part of the program each is needed; `|` is the moment."""
    end = max(t.last for t in memory.tensors) + 1
    here = moment * COLUMNS // end
    rows = []
    groups = _by_line(live)
    for group in groups[:RANGES]:
        first, last = (pick * COLUMNS // end for pick in (min(t.first for t in group), max(t.last for t in group)))
        bar = "".join("|" if n == here else "=" if first <= n <= last else "." for n in range(COLUMNS))
        count = f"{len(group):>5} x" if len(group) > 1 else " " * 7
        rows.append(f"            {count} {group[0].partition_bytes:>9,} B [{bar}] {group[0]}")
    rest = sum(map(len, groups[RANGES:]))
    return "\n".join([*rows, *([f"            and {rest} smaller ones"] if rest else [])])


def _by_line(live: list[Allocation]) -> list[list[Allocation]]:
    """Tensors of one line and size together; the groups that take most first."""
    groups: dict[tuple[Site | None, int], list[Allocation]] = {}
    for each in live:
        groups.setdefault((each.site, each.partition_bytes), []).append(each)
    return sorted(groups.values(), key=lambda group: -len(group) * group[0].partition_bytes)


def _relief(live: list[Allocation], excess: int) -> str:
    """What would make room: fewer tensors of one line at a time, a tensor to split, or one to free."""
    if excess <= 0:
        return (
            "there is room, but not in one piece: move the hand-placed tensors together, or leave their addresses out"
        )
    most = _by_line(live)[0]
    one, line = most[0], most[0].site.line if most[0].site else "?"
    fewer = -(-excess // one.partition_bytes)
    if len(most) > fewer:
        cure = f"keep at most {len(most) - fewer} of the {len(most)} tensors of line {line} at a time"
    elif one.partition_bytes > excess:
        cure = f"work on the tensor of line {line} in {-(-one.partition_bytes // (one.partition_bytes - excess))} tiles"
    else:
        cure = f"work on smaller tiles than those of line {line}"
    return f"{excess:,} bytes per partition too many: {cure}, or need a tensor for a shorter time"
