"""What the DMA engines moved: bytes by direction, bandwidth, queues, descriptors, reloads and spills."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from opentrn.profile.amounts import US, covered, sums
from opentrn.timing.timeline import Dma, Place, Timeline

__all__ = [
    "COPY",
    "DIRECTIONS",
    "LOAD",
    "STORE",
    "Queue",
    "Reload",
    "Spill",
    "Traffic",
    "bandwidth_peak",
    "hbm_bytes",
    "once_bytes",
    "traffic",
]

DIRECTIONS = ("hbm_to_sbuf", "sbuf_to_hbm", "hbm_to_hbm", "on_chip")
"""By the number in `Dma.direction`."""

LOAD, STORE, COPY = range(3)  # on chip: bytes that no HBM sees


@dataclass(frozen=True)
class Queue:
    """One DMA queue; `busy_us` is the time in which bytes of it moved."""

    name: str
    transfers: int
    nbytes: int
    busy_us: float
    utilisation: float


@dataclass(frozen=True)
class Reload:
    """A tensor of HBM whose bytes were loaded more than once: `factor` is loaded bytes / distinct bytes.

    `distinct_bytes` counts transfers of the same region once, and never more than the tensor has; so `factor` is the
    least that it can be. `place` is the line that loads most of it.
    """

    tensor: str
    loaded_bytes: int
    distinct_bytes: int
    factor: float
    place: Place


@dataclass(frozen=True)
class Spill:
    """A tensor of HBM that the kernel stored and then loaded again. `place` is the line that stores most of it."""

    tensor: str
    stored_bytes: int
    loaded_bytes: int
    place: Place


@dataclass(frozen=True)
class Traffic:
    """The DMA traffic of one run. Bandwidths in GB/s (1e9), over the whole time of the kernel.

    `peak_gbps` is what the DMA engines of the cores in use can move, or their HBM stacks if that is less.
    `small_share` is the fraction of all bytes in descriptors below `small_below_bytes`, the chip's smallest payload
    that AWS calls efficient.
    """

    transfers: int
    descriptors: int
    nbytes: int
    directions: dict[str, int]
    hbm_read_bytes: int
    hbm_written_bytes: int
    active_us: float
    bandwidth_gbps: float
    peak_gbps: float
    share_of_peak: float
    smallest_descriptor_bytes: int
    mean_descriptor_bytes: int
    small_below_bytes: int
    small_share: float
    queues: tuple[Queue, ...]
    reloads: tuple[Reload, ...]
    spills: tuple[Spill, ...]


def bandwidth_peak(timeline: Timeline) -> float:
    """Bytes per ns between HBM and the cores of this run."""
    cost, cores = timeline.chip.cost, timeline.cores
    stacks = -(-cores // cost.hbm.cores_per_stack)
    return min(cores * cost.dma.cap_bytes_per_ns_core, stacks * cost.hbm.bytes_per_ns_stack)


def hbm_bytes(dma: Dma) -> tuple[int, int]:
    """(read, written) bytes of HBM; a copy inside HBM counts in both."""
    by = sums(dma.direction, dma.nbytes, len(DIRECTIONS))
    return int(by[LOAD] + by[COPY]), int(by[STORE] + by[COPY])


def once_bytes(timeline: Timeline) -> int:
    """Bytes of HBM that would move if each distinct byte were loaded once and stored once."""
    dma = timeline.dma
    once = sum(int(_distinct(timeline, dma.direction == way)[0].sum()) for way in (LOAD, STORE))
    return once + 2 * int(dma.nbytes[dma.direction == COPY].sum())


def traffic(timeline: Timeline) -> Traffic:
    """Sums over every transfer of the run; all zero where there is none."""
    dma, total = timeline.dma, timeline.total_ns
    nbytes, peak = int(dma.nbytes.sum()), bandwidth_peak(timeline)
    read, written = hbm_bytes(dma)
    piece = dma.nbytes / np.maximum(dma.descriptors, 1)
    small = timeline.chip.cost.dma.payload_min_bytes
    rate = nbytes / total if total else 0.0
    by = sums(dma.direction, dma.nbytes, len(DIRECTIONS))
    return Traffic(
        transfers=len(dma.nbytes),
        descriptors=int(dma.descriptors.sum()),
        nbytes=nbytes,
        directions={name: int(by[n]) for n, name in enumerate(DIRECTIONS)},
        hbm_read_bytes=read,
        hbm_written_bytes=written,
        active_us=covered(dma.first, dma.last) * US,
        bandwidth_gbps=rate,
        peak_gbps=peak,
        share_of_peak=rate / peak,
        smallest_descriptor_bytes=int(piece.min(initial=np.inf)) if len(piece) else 0,
        mean_descriptor_bytes=nbytes // max(int(dma.descriptors.sum()), 1),
        small_below_bytes=small,
        small_share=float(dma.nbytes[piece < small].sum() / max(nbytes, 1)),
        queues=_queues(timeline),
        reloads=_reloads(timeline),
        spills=_spills(timeline),
    )


def _queues(timeline: Timeline) -> tuple[Queue, ...]:
    dma, found = timeline.dma, []
    for number, name in enumerate(timeline.queues):
        mine = dma.queue == number
        if mine.any():
            busy = covered(dma.first[mine], dma.last[mine])
            found.append(Queue(name, int(mine.sum()), int(dma.nbytes[mine].sum()), busy * US, busy / timeline.total_ns))
    return tuple(sorted(found, key=lambda queue: -queue.nbytes))


def _distinct(timeline: Timeline, which: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(distinct bytes, all bytes) of each tensor, over the transfers `which`.

    A region is told by its tensor, first byte, end and size: two column tiles of a matrix share a span but no byte.
    """
    dma, count = timeline.dma, len(timeline.tensors)
    rows = np.flatnonzero(which & (dma.tensor >= 0))
    keys = np.column_stack((dma.tensor[rows], dma.low[rows], dma.high[rows], dma.nbytes[rows]))
    regions = np.unique(keys, axis=0) if len(rows) else keys
    most = np.array([tensor.nbytes for tensor in timeline.tensors], np.float64)
    once = np.minimum(sums(regions[:, 0], regions[:, 3], count), most)
    return once, sums(dma.tensor[rows], dma.nbytes[rows], count)


def _reloads(timeline: Timeline) -> tuple[Reload, ...]:
    which = timeline.dma.direction == LOAD
    once, moved = _distinct(timeline, which)
    again = [n for n in np.argsort(once - moved, kind="stable") if moved[n] > once[n]]
    return tuple(
        Reload(
            _name(timeline, n), int(moved[n]), int(once[n]), float(moved[n] / once[n]), _place(timeline, n, which)
        )
        for n in again
    )  # fmt: skip


def _spills(timeline: Timeline) -> tuple[Spill, ...]:
    """Tensors that are loaded after they were stored for the first time."""
    dma, count = timeline.dma, len(timeline.tensors)
    known = dma.tensor >= 0
    stores = known & (dma.direction == STORE)
    first_stored = np.full(count, np.inf)
    np.minimum.at(first_stored, dma.tensor[stores], dma.first[stores])
    back = known & (dma.direction == LOAD)
    back[back] = dma.first[back] >= first_stored[dma.tensor[back]]
    stored = sums(dma.tensor[stores], dma.nbytes[stores], count)
    loaded = sums(dma.tensor[back], dma.nbytes[back], count)
    return tuple(
        Spill(_name(timeline, n), int(stored[n]), int(loaded[n]), _place(timeline, n, stores))
        for n in np.argsort(-loaded, kind="stable")
        if loaded[n] > 0
    )


def _name(timeline: Timeline, tensor: int) -> str:
    found = timeline.tensors[tensor]
    return f"{found.name or 'tensor'} {list(found.shape)} {found.dtype.name}"


def _place(timeline: Timeline, tensor: int, which: np.ndarray) -> Place:
    """The line whose transfers, among `which`, move most of a tensor."""
    dma = timeline.dma
    rows = np.flatnonzero(which & (dma.tensor == tensor))
    by_place = sums(timeline.place[dma.instruction[rows]], dma.nbytes[rows], len(timeline.places))
    return timeline.places[int(by_place.argmax())]
