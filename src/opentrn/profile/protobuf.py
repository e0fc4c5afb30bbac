"""The few messages of a Perfetto trace, byte by byte: the wire format of protocol buffers, slices and counters.

`slices`, `counters` and `lanes` are the plain form of native/src/profile/perfetto.cpp, which writes the same bytes.
Field numbers: protos/perfetto/trace of google/perfetto (v59.1); wire format: protobuf.dev/programming-guides/encoding.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence

import numpy as np

__all__ = ["SEQUENCE", "Note", "counters", "field", "lanes", "packet", "slices", "varint"]

SEQUENCE = 1
"""The one writer of the trace (`trusted_packet_sequence_id`)."""
NEEDS_STATE = 2
BEGIN, END, COUNTER = 1, 2, 4

Note = tuple[int, bool, np.ndarray]
"""One debug annotation of many slices: its interned name, whether its values are interned texts, int64 values (-1: none)."""


def varint(value: int) -> bytes:
    """A non-negative integer in groups of seven bits, lowest first."""
    made = bytearray()
    while value > 0x7F:
        made.append(value & 0x7F | 0x80)
        value >>= 7
    made.append(value)
    return bytes(made)


def field(number: int, value: int | float | str | bytes) -> bytes:
    """One field: an int as a varint, a float as a double, text or a message (bytes) with its length."""
    if isinstance(value, float):
        return varint(number << 3 | 1) + struct.pack("<d", value)
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    raw = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(raw)) + raw


def packet(*fields: bytes, time: int | None = None, flags: int = 0) -> bytes:
    """A `TracePacket` of the one sequence, as an entry of `Trace`."""
    stamp = b"" if time is None else field(8, time)
    state = field(13, flags) if flags else b""
    return field(1, stamp + field(10, SEQUENCE) + state + b"".join(fields))


def slices(
    track: int,
    rows: np.ndarray,
    times: tuple[np.ndarray, np.ndarray],
    names: np.ndarray,
    notes: Sequence[Note],
    starts_flows: tuple[np.ndarray, np.ndarray],
    ends_flows: tuple[np.ndarray, np.ndarray],
) -> bytes:
    """A begin and an end packet for each slice of one track.

    `times` (begin, end; int64 ns), `names` (interned, int64) and the notes' values have one entry per slice; `rows`
    (int64) are the slices' rows in the two flow tables, each (first, ids) as in `links.Bundles`.
    """
    made = []
    for n, row in enumerate(rows.tolist()):
        body = field(9, BEGIN) + field(11, track) + field(10, int(names[n]))
        for name, is_text, values in notes:
            if (value := int(values[n])) >= 0:
                body += field(4, field(1, name) + field(17 if is_text else 3, value))
        for number, (first, ids) in ((47, starts_flows), (48, ends_flows)):
            for flow in ids[first[row] : first[row + 1]].tolist():
                body += varint(number << 3 | 1) + struct.pack("<Q", flow)
        made.append(packet(field(11, body), time=int(times[0][n]), flags=NEEDS_STATE))
        made.append(packet(field(11, field(9, END) + field(11, track)), time=int(times[1][n])))
    return b"".join(made)


def counters(track: int, times: np.ndarray, values: np.ndarray) -> bytes:
    """One packet per sample of a counter track; `times` int64 ns, `values` float64."""
    body = field(9, COUNTER) + field(11, track)
    samples = zip(times.tolist(), values.tolist(), strict=True)
    return b"".join(packet(field(11, body + field(44, float(value))), time=time) for time, value in samples)


def lanes(begin: np.ndarray, end: np.ndarray) -> np.ndarray:
    """The lowest lane that is free for each interval, in the order given (begins ascend): int32."""
    free: list[int] = []
    made = np.zeros(len(begin), np.int32)
    for n, (start, stop) in enumerate(zip(begin.tolist(), end.tolist(), strict=True)):
        lane = next((k for k, until in enumerate(free) if until <= start), len(free))
        free[lane : lane + 1] = [stop]
        made[n] = lane
    return made
