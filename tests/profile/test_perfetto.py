"""A written .pftrace, parsed back with Perfetto's published schema, says what the timeline says."""

import dataclasses
from collections import defaultdict
from dataclasses import dataclass, field

import numpy as np
import pytest
from google.protobuf.unknown_fields import UnknownFieldSet
from hypothesis import given, settings
from hypothesis import strategies as st
from perfetto.protos.perfetto.trace import perfetto_trace_pb2 as schema
from tests.timing.synthetic import synthetic_timeline

from opentrn.errors import FileError, OpentrnError
from opentrn.profile import perfetto, protobuf
from opentrn.profile.links import bundles
from opentrn.profile.perfetto import write_perfetto
from opentrn.program import native
from opentrn.timing.timeline import CAUSES, ENGINES, Spans

needs_native = pytest.mark.skipif(not native.available(), reason="no compiled core")


@dataclass
class Slice:
    track: int
    name: str
    begin: int
    end: int
    notes: dict
    starts: list[int]
    ends: list[int]


@dataclass
class Parsed:
    tracks: dict = field(default_factory=dict)
    slices: dict[int, list[Slice]] = field(default_factory=lambda: defaultdict(list))
    counters: dict[int, list[tuple[int, float]]] = field(default_factory=lambda: defaultdict(list))

    def name(self, track: int) -> str:
        """The names of a track and its ancestors, e.g. ``trn2 core 0/DMA queues/core0 sync load``."""
        found = self.tracks[track]
        return "/".join(([self.name(found.parent_uuid)] if found.parent_uuid else []) + [found.name])

    def named(self, name: str) -> list[Slice]:
        """Slices of all tracks of that name, in time order."""
        found = [each for track in self.tracks if self.name(track) == name for each in self.slices[track]]
        return sorted(found, key=lambda each: (each.begin, each.end))

    def samples(self, name: str) -> list[tuple[int, float]]:
        (track,) = [track for track in self.tracks if self.name(track) == name]
        return self.counters[track]


def parse(path) -> Parsed:
    """Reads a trace as the published schema and its comments say; asserts that slices of a track follow each other."""
    trace, made = schema.Trace(), Parsed()
    trace.ParseFromString(path.read_bytes())
    words = {"event_names": {}, "debug_annotation_names": {}, "debug_annotation_string_values": {}}
    is_open: dict[int, Slice] = {}
    latest: dict[int, int] = defaultdict(int)
    for packet in trace.packet:
        assert packet.trusted_packet_sequence_id == 1
        for part in (packet, packet.track_event, packet.track_descriptor, *packet.track_event.debug_annotations):
            assert not list(UnknownFieldSet(part)), "a field that the schema does not have"
        for table, known in words.items():
            known.update(
                {e.iid: getattr(e, "name", None) or e.str.decode() for e in getattr(packet.interned_data, table)}
            )
        if packet.HasField("track_descriptor"):
            assert packet.track_descriptor.uuid not in made.tracks
            made.tracks[packet.track_descriptor.uuid] = packet.track_descriptor
        if not packet.HasField("track_event"):
            continue
        event, time = packet.track_event, packet.timestamp
        assert event.track_uuid in made.tracks and time >= latest[event.track_uuid]
        latest[event.track_uuid] = time
        if event.type == schema.TrackEvent.TYPE_SLICE_BEGIN:
            assert packet.sequence_flags == schema.TracePacket.SEQ_NEEDS_INCREMENTAL_STATE
            assert event.track_uuid not in is_open, "slices of one track overlap"
            notes = {words["debug_annotation_names"][n.name_iid]: note_value(n, words) for n in event.debug_annotations}
            is_open[event.track_uuid] = Slice(
                event.track_uuid, words["event_names"][event.name_iid], time, -1, notes,
                list(event.flow_ids), list(event.terminating_flow_ids),
            )  # fmt: skip
        elif event.type == schema.TrackEvent.TYPE_SLICE_END:
            closed = is_open.pop(event.track_uuid)
            closed.end = time
            made.slices[event.track_uuid].append(closed)
        else:
            assert event.type == schema.TrackEvent.TYPE_COUNTER
            made.counters[event.track_uuid].append((time, event.double_counter_value))
    assert not is_open
    return made


def note_value(note, words):
    is_text = note.WhichOneof("value") == "string_value_iid"
    return words["debug_annotation_string_values"][note.string_value_iid] if is_text else note.uint_value


@pytest.fixture(scope="module")
def timeline():
    return synthetic_timeline(1500, seed=4, cores=2)


@pytest.fixture(scope="module")
def parsed(timeline, tmp_path_factory):
    path = tmp_path_factory.mktemp("trace") / "run.pftrace"
    write_perfetto(path, timeline)
    return parse(path)


def whole(times):
    return np.rint(times).astype(int).tolist()


def test_every_instruction_is_a_slice_of_its_engine(timeline, parsed):
    for core in range(2):
        for engine, name in enumerate(ENGINES):
            rows = np.flatnonzero((timeline.core == core) & (timeline.engine == engine))
            found = parsed.named(f"trn2 core {core}/{name}")
            assert [each.notes["row"] for each in found] == rows.tolist()
            assert [each.begin for each in found] == whole(timeline.start[rows])
            assert [each.end for each in found] == whole(timeline.end[rows])
            assert [each.name for each in found] == [timeline.operations[o].name for o in timeline.operation[rows]]


def test_notes_of_instructions(timeline, parsed):
    waited = 0
    for core in range(2):
        for name in ENGINES:
            for each in parsed.named(f"trn2 core {core}/{name}"):
                row = each.notes["row"]
                assert each.notes["operands"] == timeline.operations[timeline.operation[row]].operands
                assert each.notes["source"] == str(timeline.places[timeline.place[row]])
                assert each.notes["cause"] == CAUSES[timeline.cause[row]]
                assert each.notes["done_ns"] == round(timeline.done[row])
                assert each.notes.get("blocker", -1) == timeline.blocker[row]
                wait = round(timeline.start[row]) - round(timeline.ready[row])
                assert each.notes.get("wait_ns", 0) == wait
                waited += wait > 0
    assert waited > 100


def test_waits_are_slices_before_their_instruction(timeline, parsed):
    for engine, name in enumerate(ENGINES):
        rows = np.flatnonzero((timeline.core == 1) & (timeline.engine == engine))
        rows = rows[np.rint(timeline.start[rows]) > np.rint(timeline.ready[rows])]
        found = parsed.named(f"trn2 core 1/semaphores/{name} waits")
        assert [each.begin for each in found] == whole(timeline.ready[rows])
        assert [each.end for each in found] == whole(timeline.start[rows])
        assert [each.name for each in found] == [CAUSES[c] for c in timeline.cause[rows]]
        operations = [operation.name for operation in timeline.operations]
        assert [each.notes["waiting"] for each in found] == [operations[o] for o in timeline.operation[rows]]
        blockers = [operations[timeline.operation[b]] if b >= 0 else None for b in timeline.blocker[rows]]
        assert [each.notes.get("blocked_by") for each in found] == blockers


def test_every_transfer_is_a_slice_of_its_queue(timeline, parsed):
    dma, total = timeline.dma, 0
    for queue, name in enumerate(timeline.queues):
        rows = np.flatnonzero(dma.queue == queue)
        found = parsed.named(f"trn2 core {name[4]}/DMA queues/{name}")
        total += len(found)
        assert [(each.begin, each.end) for each in found] == list(
            zip(whole(dma.first[rows]), whole(dma.last[rows]), strict=True)
        )
        for row, each in zip(rows, found, strict=True):
            word = ("load", "store", "move", "on chip")[dma.direction[row]]
            assert each.name == f"{word} {timeline.tensors[dma.tensor[row]].name}"
            for note in ("nbytes", "descriptors", "engines", "low", "high"):
                assert each.notes[note] == getattr(dma, note)[row]
            assert each.notes["triggered_by"] == dma.instruction[row]
    assert total == len(dma.instruction) > 100


def test_flows_lead_from_producer_to_consumer(timeline, parsed):
    slices = [each for found in parsed.slices.values() for each in found]
    starts = {flow: each for each in slices for flow in each.starts}
    ends = {flow: each for each in slices for flow in each.ends}
    assert len(starts) == sum(len(each.starts) for each in slices), "a flow starts once"
    assert set(starts) == set(ends)
    edges, dma = timeline.semaphores, timeline.dma
    transfer_of = dict(zip(dma.instruction.tolist(), range(len(dma.instruction)), strict=True))
    found = {
        (starts[f].notes.get("row"), starts[f].notes.get("triggered_by"), ends[f].notes.get("row")) for f in starts
    }
    expected = {
        (None if producer in transfer_of else producer, producer if producer in transfer_of else None, consumer)
        for producer, consumer in zip(edges.producer.tolist(), edges.consumer.tolist(), strict=True)
    }
    triggers = {(row, None, None) for row in transfer_of}
    assert found == expected | triggers
    assert all(starts[flow].begin <= ends[flow].begin for flow in starts)


def test_counters(timeline, parsed):
    for (core, memory), series in timeline.occupancy.items():
        found = parsed.samples(f"trn2 core {core}/{memory.upper()} bytes per partition")
        assert found == list(zip(whole(series.time), series.value.tolist(), strict=True))
    clock = parsed.samples("trn2 core 0/TensorE clock")
    full = timeline.chip.engines.tensor.clock_hz
    assert clock == [
        (round(start), full / 2 if label == "half" else full)
        for start, label in zip(timeline.clock[0].start, timeline.clock[0].label, strict=True)
    ]
    throttle = parsed.named("trn2 core 0/throttle")
    assert [each.name for each in throttle] == [f"{label} clock" for label in timeline.clock[0].label]
    assert [each.end for each in throttle] == whole(timeline.clock[0].end)


def test_dma_rate_holds_all_bytes(timeline, parsed):
    mine = timeline.core[timeline.dma.instruction] == 1
    found = np.array(parsed.samples("trn2 core 1/DMA rate"))
    moved = (np.diff(found[:, 0]) * found[:-1, 1]).sum()
    assert moved == pytest.approx(timeline.dma.nbytes[mine].sum(), rel=0.02)  # times are whole ns here
    assert found[-1, 1] == 0 and (found[:, 1] >= 0).all()


def test_transfers_that_overlap_lie_on_lanes_of_one_name(tmp_path):
    made = synthetic_timeline(400, seed=1)
    longer = dataclasses.replace(made, dma=dataclasses.replace(made.dma, last=made.dma.last + 20000))
    write_perfetto(tmp_path / "run.pftrace", longer)
    parsed = parse(tmp_path / "run.pftrace")
    lanes = [track for track in parsed.tracks if parsed.name(track).endswith("core0 sync load")]
    assert len(lanes) > 2
    found = parsed.named("trn2 core 0/DMA queues/core0 sync load")
    assert len(found) == (made.dma.queue == 0).sum()
    depth = max(sum(a.begin <= b.begin < a.end for a in found) for b in found)
    assert len(lanes) == depth, "no more lanes than transfers at one time"


def test_rows_of_an_engine_in_another_order_than_time(tmp_path):
    """A reordering scheduler issues later rows first; slices of a track still follow each other."""
    made = synthetic_timeline(60, seed=2)
    columns = {
        name: getattr(made, name)[::-1].copy() for name in ("engine", "operation", "ready", "start", "end", "done")
    }
    write_perfetto(tmp_path / "run.pftrace", dataclasses.replace(made, **columns))
    found = parse(tmp_path / "run.pftrace").named("trn2 core 0/vector")
    assert [each.begin for each in found] == whole(np.sort(made.start[made.engine == 1]))


@pytest.mark.parametrize("instructions", [0, 1])
def test_almost_nothing(tmp_path, instructions):
    write_perfetto(tmp_path / "run.pftrace", synthetic_timeline(instructions))
    parsed = parse(tmp_path / "run.pftrace")
    assert sum(each.name == "dma_copy" for found in parsed.slices.values() for each in found) == instructions


@needs_native
def test_native_and_plain_write_the_same_bytes(tmp_path, monkeypatch, timeline):
    write_perfetto(tmp_path / "native.pftrace", timeline)
    monkeypatch.setattr(native, "core", lambda: None)
    write_perfetto(tmp_path / "plain.pftrace", timeline)
    assert (tmp_path / "native.pftrace").read_bytes() == (tmp_path / "plain.pftrace").read_bytes()


def test_the_size_of_the_parts_does_not_show(tmp_path, monkeypatch, timeline):
    write_perfetto(tmp_path / "large.pftrace", timeline)
    monkeypatch.setattr(perfetto, "CHUNK", 7)
    write_perfetto(tmp_path / "small.pftrace", timeline)
    assert (tmp_path / "small.pftrace").read_bytes() == (tmp_path / "large.pftrace").read_bytes()


large = st.integers(0, 2**62)


@needs_native
@settings(deadline=None, max_examples=60)
@given(st.data())
def test_native_slices_are_the_plain_ones_for_any_numbers(data):
    count = data.draw(st.integers(0, 5))

    def column(values=large):
        return np.array(data.draw(st.lists(values, min_size=count, max_size=count)), np.int64)

    notes = [
        (data.draw(st.integers(1, 2**31)), data.draw(st.booleans()), column(st.integers(-1, 2**62))) for _ in range(3)
    ]
    keys = data.draw(st.lists(st.integers(0, 6), max_size=30))
    flows = bundles(np.array(keys, np.int64), np.arange(len(keys)) + data.draw(large), 7)
    pair = flows.first, flows.items
    rows = column(st.integers(0, 6))
    arguments = (data.draw(st.integers(1, 2**40)), rows, (column(), column()), column(), notes, pair, pair)
    assert native.core().perfetto_slices(*arguments) == protobuf.slices(*arguments)


@needs_native
@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 9)), max_size=30))
def test_native_lanes_are_the_plain_ones(intervals):
    begin = np.sort(np.array([start for start, _ in intervals], np.int64))
    end = begin + np.array([length for _, length in intervals], np.int64)
    made = np.zeros(len(begin), np.int32)
    native.core().perfetto_lanes(begin, end, made)
    assert made.tolist() == protobuf.lanes(begin, end).tolist()
    for lane in set(made.tolist()):
        rows = np.flatnonzero(made == lane)
        assert (begin[rows][1:] >= end[rows][:-1]).all()


@needs_native
def test_native_refuses_columns_that_do_not_fit():
    one, two, none = np.zeros(1, np.int64), np.zeros(2, np.int64), (np.zeros(2, np.int64), np.zeros(0, np.uint64))
    slices, counters = native.core().perfetto_slices, native.core().perfetto_counters
    assert slices(1, one, (one, one), one, [], none, none)
    with pytest.raises(ValueError, match="one entry per slice"):
        slices(1, one, (one, two), one, [], none, none)
    with pytest.raises(ValueError, match="one entry per slice"):
        slices(1, one, (one, one), one, [(1, True, two)], none, none)
    with pytest.raises(IndexError, match="without flows"):
        slices(1, one + 1, (one, one), one, [], none, none)
    with pytest.raises(ValueError, match="one entry per sample"):
        counters(1, one, np.zeros(2))


def test_bytes_per_instruction(tmp_path):
    made = synthetic_timeline(5000, seed=7)
    write_perfetto(tmp_path / "run.pftrace", made)
    assert (tmp_path / "run.pftrace").stat().st_size <= 200 * len(made)


def test_a_clock_label_without_a_rate(tmp_path):
    made = synthetic_timeline(20)
    odd = dataclasses.replace(made, clock=[Spans(np.zeros(1), np.ones(1), ["third"])])
    with pytest.raises(OpentrnError, match="no rate") as caught:
        write_perfetto(tmp_path / "run.pftrace", odd)
    assert caught.value.got == "third"
    assert list(tmp_path.iterdir()) == []


def test_a_path_that_cannot_be_written(tmp_path):
    made = synthetic_timeline(20)
    with pytest.raises(FileError, match="cannot write") as caught:
        write_perfetto(tmp_path / "missing" / "run.pftrace", made)
    assert "does not exist" in (caught.value.hint or "")
    (tmp_path / "folder.pftrace").mkdir()
    with pytest.raises(FileError, match="cannot write"):
        write_perfetto(tmp_path / "folder.pftrace", made)
    assert [each.name for each in tmp_path.iterdir()] == ["folder.pftrace"]


def test_an_interrupted_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "run.pftrace"
    path.write_bytes(b"old")

    def interrupted(timeline):
        yield b"half"
        raise KeyboardInterrupt

    monkeypatch.setattr(perfetto, "_trace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_perfetto(path, synthetic_timeline(20))
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_tensor_without_a_name_is_called_by_its_form(tmp_path):
    made = synthetic_timeline(20)
    for tensor in made.tensors:
        tensor.name = ""
    write_perfetto(tmp_path / "run.pftrace", made)
    found = parse(tmp_path / "run.pftrace").named("trn2 core 0/DMA queues/core0 sync load")
    assert {each.name for each in found} == {"load [2, 512, 64] bfloat16"}
