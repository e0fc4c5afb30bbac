"""`write_perfetto`: a timeline as a .pftrace, which ui.perfetto.dev opens and trace_processor queries.

One process per core; in it a track per engine (a slice is the time that the instruction holds the engine), a track of
waits per engine, the DMA queues (transfers that overlap in a queue lie on several tracks of one name), counters (SBUF
and PSUM in use, DMA rate, TensorE clock) and the throttle state. An arrow (flow) leads from the instruction or transfer
that posts a semaphore to each instruction that waits for it, and from a DMA trigger to its transfer. Times are whole ns.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from opentrn.profile import protobuf
from opentrn.profile.files import whole
from opentrn.profile.links import Bundles, bundles, carriers, no_bundles
from opentrn.profile.protobuf import field, packet
from opentrn.profile.usage import DIRECTION_WORDS, clock_rate, nanoseconds, transfer_rate
from opentrn.program import native
from opentrn.timing.timeline import CAUSES, ENGINES, Dma, Series, Timeline

__all__ = ["write_perfetto"]

CHUNK = 1 << 14
"""Slices that are turned into bytes at a time, so that memory does not grow with the file."""
EVENT_NAMES, NOTE_NAMES, NOTE_TEXTS = 2, 3, 29
"""Tables of `InternedData`, by field number (protos/perfetto/trace/interned_data/interned_data.proto)."""
STATE_CLEARED = 1
EXPLICIT_ORDER = 3
UNIT_BYTES = 3

Rows = np.ndarray
Pick = Callable[[Rows], np.ndarray]


def write_perfetto(path: str | os.PathLike[str], timeline: Timeline) -> None:
    """Write the timeline as a Perfetto trace, whole or not at all. Raises FileError when `path` cannot be written."""
    with whole(path) as temporary, temporary.open("wb") as file:
        file.writelines(_trace(timeline))


class _Words:
    """Texts of the trace, written once each and then called by number (from 1, per table)."""

    def __init__(self) -> None:
        self.numbers: dict[tuple[int, str], int] = {}
        self.used: dict[int, int] = dict.fromkeys((EVENT_NAMES, NOTE_NAMES, NOTE_TEXTS), 0)

    def number(self, table: int, text: str) -> int:
        if (table, text) not in self.numbers:
            self.used[table] += 1
            self.numbers[table, text] = self.used[table]
        return self.numbers[table, text]

    def lookup(self, table: int, texts: list[str]) -> np.ndarray:
        """The numbers of a list of texts, int64, for indexing by their place in the list."""
        return np.array([self.number(table, text) for text in texts], np.int64)

    def packet(self) -> bytes:
        entries = [field(table, field(1, number) + field(2, text)) for (table, text), number in self.numbers.items()]
        return packet(field(12, b"".join(entries)), flags=STATE_CLEARED)


class _Tracks:
    """The tree of tracks; a track is called by its number (from 1)."""

    def __init__(self) -> None:
        self.packets: list[bytes] = []

    def add(self, name: str, parent: int = 0, kind: bytes = b"") -> int:
        """`kind` is a process or counter descriptor. Siblings are shown in the order in which they were added."""
        uuid = len(self.packets) + 1
        order = field(11, EXPLICIT_ORDER) + field(12, uuid)
        self.packets.append(
            packet(field(60, field(1, uuid) + (field(5, parent) if parent else b"") + field(2, name) + kind + order))
        )
        return uuid


@dataclass(frozen=True, eq=False)
class _Kind:
    """What slices of one kind look like, as functions of their rows."""

    begin: Pick
    end: Pick
    name: Pick
    notes: list[tuple[int, bool, Pick]]
    starts: Bundles
    ends: Bundles


@dataclass(frozen=True, eq=False)
class _Sheet:
    """The slices of one track: rows of a kind, in time order."""

    track: int
    rows: Rows
    kind: _Kind

    def parts(self) -> Iterator[bytes]:
        encode, kind = _encoder("slices"), self.kind
        starts, ends = (kind.starts.first, kind.starts.items), (kind.ends.first, kind.ends.items)
        for low in range(0, len(self.rows), CHUNK):
            rows = self.rows[low : low + CHUNK]
            times = nanoseconds(kind.begin(rows)), nanoseconds(kind.end(rows))
            notes = [(name, is_text, pick(rows)) for name, is_text, pick in kind.notes]
            yield encode(self.track, rows, times, kind.name(rows), notes, starts, ends)


def _encoder(name: str) -> Callable[..., bytes]:
    core = native.core()
    return getattr(core, f"perfetto_{name}") if core is not None else getattr(protobuf, name)


def _lanes(begin: np.ndarray, end: np.ndarray) -> np.ndarray:
    core = native.core()
    if core is None:
        return protobuf.lanes(begin, end)
    made = np.zeros(len(begin), np.int32)
    core.perfetto_lanes(begin, end, made)
    return made


def _trace(timeline: Timeline) -> Iterator[bytes]:
    tracks, words = _Tracks(), _Words()
    flows = _flows(timeline)
    kinds = _instructions(timeline, words, flows), _waits(timeline, words), _transfers(timeline, words, flows)
    sheets: list[_Sheet] = []
    samples: list[tuple[int, Series]] = []
    for core in range(timeline.cores):
        name = f"{timeline.chip.name} core {core}"
        root = tracks.add(name, kind=field(3, field(1, core + 1) + field(6, name)))
        sheets += _engine_sheets(timeline, tracks, (core, root), kinds[:2])
        sheets += _queue_sheets(timeline, tracks, (core, root), kinds[2])
        sheets += _throttle_sheets(timeline, tracks, (core, root), words)
        samples += _counters(timeline, tracks, (core, root))
    yield words.packet()
    yield from tracks.packets
    for sheet in sheets:
        yield from sheet.parts()
    for track, series in samples:
        yield _encoder("counters")(track, nanoseconds(series.time), np.ascontiguousarray(series.value, np.float64))


@dataclass(frozen=True, eq=False)
class _Flows:
    """Numbers of the flows that start and end at each instruction and at each transfer."""

    from_instruction: Bundles
    into_instruction: Bundles
    from_transfer: Bundles
    into_transfer: Bundles


def _flows(timeline: Timeline) -> _Flows:
    """Flow numbers: 1 .. edges for the semaphores, then one per transfer (from its trigger)."""
    edges, dma = timeline.semaphores, timeline.dma
    number = np.arange(1, len(edges.producer) + 1)
    trigger = np.arange(len(dma.instruction)) + len(number) + 1
    carrier = carriers(timeline)
    direct = carrier < 0
    keys = np.concatenate((edges.producer[direct], dma.instruction))
    rows, transfers = len(timeline), len(dma.instruction)
    return _Flows(
        bundles(keys, np.concatenate((number[direct], trigger)), rows),
        bundles(edges.consumer, number, rows),
        bundles(carrier[~direct], number[~direct], transfers),
        bundles(np.arange(transfers), trigger, transfers),
    )


def _instructions(timeline: Timeline, words: _Words, flows: _Flows) -> _Kind:
    t = timeline
    names = words.lookup(EVENT_NAMES, [operation.name for operation in t.operations])
    operands = words.lookup(NOTE_TEXTS, [operation.operands for operation in t.operations])
    sources = words.lookup(NOTE_TEXTS, [str(place) for place in t.places])
    causes = words.lookup(NOTE_TEXTS, list(CAUSES))

    def waited(rows: Rows) -> np.ndarray:
        wait = nanoseconds(t.start[rows]) - nanoseconds(t.ready[rows])
        return np.where(wait > 0, wait, -1)

    notes: list[tuple[str, bool, Pick]] = [
        ("operands", True, lambda rows: operands[t.operation[rows]]),
        ("source", True, lambda rows: sources[t.place[rows]]),
        ("cause", True, lambda rows: causes[t.cause[rows]]),
        ("wait_ns", False, waited),
        ("blocker", False, lambda rows: np.ascontiguousarray(t.blocker[rows], np.int64)),
        ("done_ns", False, lambda rows: nanoseconds(t.done[rows])),
        ("row", False, lambda rows: rows),
    ]
    return _Kind(
        lambda rows: t.start[rows],
        lambda rows: t.end[rows],
        lambda rows: names[t.operation[rows]],
        _named(words, notes),
        flows.from_instruction,
        flows.into_instruction,
    )


def _waits(timeline: Timeline, words: _Words) -> _Kind:
    """From `ready` to `start`, called after the cause, with what was waiting and what it waited for."""
    t, nothing = timeline, no_bundles(len(timeline))
    names = words.lookup(EVENT_NAMES, list(CAUSES))
    texts = words.lookup(NOTE_TEXTS, [operation.name for operation in t.operations])

    def blocked_by(rows: Rows) -> np.ndarray:
        blocker = t.blocker[rows]
        return np.where(blocker >= 0, texts[t.operation[blocker]], -1)

    notes: list[tuple[str, bool, Pick]] = [
        ("waiting", True, lambda rows: texts[t.operation[rows]]),
        ("blocked_by", True, blocked_by),
    ]
    return _Kind(
        lambda rows: t.ready[rows],
        lambda rows: t.start[rows],
        lambda rows: names[t.cause[rows]],
        _named(words, notes),
        nothing,
        nothing,
    )


def _transfers(timeline: Timeline, words: _Words, flows: _Flows) -> _Kind:
    dma = timeline.dma
    used = np.unique(_pair(dma))
    names = words.lookup(EVENT_NAMES, [_moved(timeline, *divmod(int(pair), PAIRED)) for pair in used])
    notes: list[tuple[str, bool, Pick]] = [
        (name, False, lambda rows, column=column: column[rows].astype(np.int64))
        for name, column in (
            ("nbytes", dma.nbytes),
            ("descriptors", dma.descriptors),
            ("engines", dma.engines),
            ("low", dma.low),
            ("high", dma.high),
            ("triggered_by", dma.instruction),
        )
    ]
    return _Kind(
        lambda rows: dma.first[rows],
        lambda rows: dma.last[rows],
        lambda rows: names[np.searchsorted(used, _pair(dma)[rows])],
        _named(words, notes),
        flows.from_transfer,
        flows.into_transfer,
    )


PAIRED = 1 << 32


def _pair(dma: Dma) -> np.ndarray:
    """Direction and tensor as one number."""
    return dma.direction.astype(np.int64) * PAIRED + dma.tensor + 1


def _moved(timeline: Timeline, direction: int, following: int) -> str:
    """What a transfer is called: where to, and the tensor before `following` (0: none)."""
    if not following:
        return DIRECTION_WORDS[direction].rstrip()
    tensor = timeline.tensors[following - 1]
    return f"{DIRECTION_WORDS[direction]} {tensor.name or f'{list(tensor.shape)} {tensor.dtype.name}'}"


def _named(words: _Words, notes: list[tuple[str, bool, Pick]]) -> list[tuple[int, bool, Pick]]:
    return [(words.number(NOTE_NAMES, name), is_text, pick) for name, is_text, pick in notes]


def _in_order(rows: Rows, *times: np.ndarray) -> Rows:
    return rows[np.lexsort([time[rows] for time in reversed(times)])]


def _engine_sheets(
    timeline: Timeline, tracks: _Tracks, place: tuple[int, int], kinds: tuple[_Kind, ...]
) -> Iterator[_Sheet]:
    core, root = place
    rows = {
        name: _in_order(np.flatnonzero((timeline.core == core) & (timeline.engine == engine)), timeline.start)
        for engine, name in enumerate(ENGINES)
    }
    for name in ENGINES:
        yield _Sheet(tracks.add(name, root), rows[name], kinds[0])
    group = tracks.add("semaphores", root)
    for name in ENGINES:
        late = nanoseconds(timeline.start[rows[name]]) > nanoseconds(timeline.ready[rows[name]])
        if late.any():
            yield _Sheet(tracks.add(f"{name} waits", group), rows[name][late], kinds[1])


def _queue_sheets(timeline: Timeline, tracks: _Tracks, place: tuple[int, int], kind: _Kind) -> Iterator[_Sheet]:
    core, root = place
    dma, group = timeline.dma, tracks.add("DMA queues", root)
    mine = timeline.core[dma.instruction] == core
    for queue in np.unique(dma.queue[mine]):
        rows = _in_order(np.flatnonzero(mine & (dma.queue == queue)), dma.first, dma.last)
        lane = _lanes(nanoseconds(dma.first[rows]), nanoseconds(dma.last[rows]))
        for number in range(lane.max(initial=-1) + 1):
            yield _Sheet(tracks.add(timeline.queues[queue], group), rows[lane == number], kind)


def _throttle_sheets(timeline: Timeline, tracks: _Tracks, place: tuple[int, int], words: _Words) -> Iterator[_Sheet]:
    core, root = place
    if core >= len(timeline.clock):
        return
    spans = timeline.clock[core]
    names = words.lookup(EVENT_NAMES, [f"{label} clock" for label in spans.label])
    nothing = no_bundles(len(names))
    kind = _Kind(
        lambda rows: spans.start[rows], lambda rows: spans.end[rows], lambda rows: names[rows], [], nothing, nothing
    )
    yield _Sheet(tracks.add("throttle", root), np.arange(len(names)), kind)


def _counters(timeline: Timeline, tracks: _Tracks, place: tuple[int, int]) -> Iterator[tuple[int, Series]]:
    core, root = place
    for (owner, memory), series in timeline.occupancy.items():
        if owner == core:
            yield tracks.add(f"{memory.upper()} bytes per partition", root, field(8, field(3, UNIT_BYTES))), series
    dma = timeline.dma
    mine = timeline.core[dma.instruction] == core
    if mine.any():
        rate = transfer_rate(dma.first[mine], dma.last[mine], dma.nbytes[mine])
        yield tracks.add("DMA rate", root, field(8, field(6, "GB/s"))), rate
    if core < len(timeline.clock):
        rate = clock_rate(timeline.chip, timeline.clock[core])
        yield tracks.add("TensorE clock", root, field(8, field(6, "Hz"))), rate
