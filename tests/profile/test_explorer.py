"""The tables of `write_explorer` have the public schema and say what the timeline says."""

import dataclasses
import os
import re
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.timing.synthetic import synthetic_timeline

from opentrn.errors import FileError, InstallError
from opentrn.machine.chip import CHIP_NAMES
from opentrn.profile import explorer
from opentrn.profile.explorer import write_explorer
from opentrn.profile.explorer_schema import SCHEMA_VERSION, schema
from opentrn.timing.timeline import CAUSES, ENGINES, Semaphores

PAGE = "tools/neuron-explorer/profile-schema-reference.rst"
ARROW = {
    ("string", ""): "string",
    ("boolean", ""): "bool",
    ("integer", "int32"): "int32",
    ("integer", "int64"): "int64",
    ("number", "float"): "float",
}


@pytest.fixture(scope="module")
def timeline():
    return synthetic_timeline(1200, seed=6, cores=2)


@pytest.fixture(scope="module")
def folder(timeline, tmp_path_factory):
    path = tmp_path_factory.mktemp("explorer") / "run@latest"
    write_explorer(path, timeline)
    return path


@pytest.fixture(scope="module")
def read(folder):
    return {path.stem: pq.read_table(path) for path in folder.iterdir()}


def column(read, table, name):
    return read[table].column(name).to_pylist()


def one(read, table):
    (row,) = read[table].to_pylist()
    return row


def whole(times):
    return np.rint(times).astype(int).tolist()


# the schema


def test_every_table_has_the_documented_columns_and_types(read):
    assert sorted(read) == sorted(schema())
    for table, (_, fields) in schema().items():
        assert read[table].column_names == [field.name for field in fields]
        assert [str(kind) for kind in read[table].schema.types] == [ARROW[f.type, f.format] for f in fields], table


def test_what_is_said_to_be_known_is_known_and_nothing_else(read):
    for table, (_, fields) in schema().items():
        filled = [name for name in read[table].column_names if read[table].column(name).null_count < len(read[table])]
        assert filled == [field.name for field in fields if field.meaning], table


def test_the_docstring_lists_what_is_not_known():
    listed = dict(re.findall(r"^- (\w+): ([^.]*)\.$", explorer.__doc__ or "", re.M))
    unknown = {t: [f.name for f in fields if not f.meaning] for t, (_, fields) in schema().items()}
    assert {table: re.split(r",\s+", names) for table, names in listed.items()} == {
        t: n for t, n in unknown.items() if n
    }


def test_required_fields_that_are_null_are_the_known_few():
    null = {f"{t}.{f.name}" for t, (_, fields) in schema().items() for f in fields if f.required and not f.meaning}
    assert {n for n in null if not n.startswith("DmaPacketAggregated.")} == {
        "DmaPacket.crc", "Instruction.bir_id", "Metadata.gpsimd_engine_num_channels", "Metadata.ntff_version",
        "Metadata.ticks_per_nanosec",
    }  # fmt: skip


def test_values_are_among_those_that_the_schema_allows(read):
    checked = 0
    for table, (_, fields) in schema().items():
        for field in fields:
            if field.values:
                assert set(column(read, table, field.name)) <= {*field.values, None}
                checked += 1
    assert checked == 3


def test_schema_fields_are_the_schema(read):
    rows = read["SchemaFields"].to_pylist()
    pairs = [(table, field) for table, (_, fields) in schema().items() for field in fields]
    assert [(row["table_name"], row["field_name"]) for row in rows] == [(table, field.name) for table, field in pairs]
    for row, (_, field) in zip(rows, pairs, strict=True):
        assert row["field_type"] == field.type and row["field_required"] == field.required
        assert (row["field_format"] or "", row["field_unit"] or "") == (field.format, field.unit)
        assert row["field_description"] and row["table_description"]
        assert row["field_enum_values"] == (",".join(field.values) or None)


def parse_page(text):
    """Table -> [(field, type, format, unit, required, values)] and the version, from AWS's page."""
    lines, tables, values, heading = [*text.splitlines(), ""], {}, {}, ""
    for n, line in enumerate(lines[:-1]):
        if lines[n + 1] and set(lines[n + 1]) == {"~"}:
            heading = line
        if found := re.match(r"\* ``(.+)``$", line):
            values.setdefault(heading, []).append(found[1])
        if found := re.match(r"   \* - ``(\w+)``", line):
            kind, unit, required = (lines[n + k].strip()[2:].strip() for k in (1, 2, 3))
            tables.setdefault(heading, []).append((found[1], kind, unit, required == "Yes"))
    return tables, values, re.search(r"schema version ``(.+?)``", text)


@pytest.mark.skipif(
    "OPENTRN_NEURON_SDK" not in os.environ, reason="OPENTRN_NEURON_SDK names no aws-neuron-sdk checkout"
)
def test_the_facts_are_those_of_the_public_page():
    tables, values, version = parse_page((Path(os.environ["OPENTRN_NEURON_SDK"]) / PAGE).read_text(encoding="utf-8"))
    assert version and version[1] == SCHEMA_VERSION
    for table, (_, fields) in schema().items():
        assert [field.name for field in fields] == [name for name, *_ in tables[table]]
        for field, (_, kind, unit, required) in zip(fields, tables[table], strict=True):
            base, form, enum = re.fullmatch(r"(\w+)(?: \((\w+)\))?(?: \(:ref:`(\w+) .*\))?", kind).groups()
            assert (field.type, field.format, field.unit, field.required) == (base, form or "", unit, required)
            assert field.values == tuple(values[enum] if enum else ())


# what the tables say


def test_instructions(timeline, read):
    t = timeline
    is_dma = np.isin(np.arange(len(t)), t.dma.instruction)
    end = np.where(is_dma, t.end, t.done)
    operations, places = [t.operations[n] for n in t.operation], [t.places[n] for n in t.place]
    assert column(read, "Instruction", "start_ts") == whole(t.start)
    assert column(read, "Instruction", "end_ts") == whole(end)
    assert column(read, "Instruction", "duration_ns") == (np.rint(end) - np.rint(t.start)).tolist()
    assert column(read, "Instruction", "engine") == [ENGINES[n].capitalize().replace("Gps", "GpS") for n in t.engine]
    assert column(read, "Instruction", "pcore_idx") == t.core.tolist()
    assert column(read, "Instruction", "id") == list(range(len(t)))
    assert column(read, "Instruction", "compiler_opcode") == [each.name for each in operations]
    assert column(read, "Instruction", "operands") == [each.operands for each in operations]
    assert column(read, "Instruction", "raw_flops") == [each.flops for each in operations]
    assert column(read, "Instruction", "nki_source_location") == [f"{each.file}:{each.line}" for each in places]
    seen, program_counters = Counter(), []
    for key in zip(t.core.tolist(), t.engine.tolist(), strict=True):
        program_counters.append(seen[key])
        seen[key] += 1
    assert column(read, "Instruction", "pc") == program_counters
    waits = [CAUSES[c] in ("semaphore", "dma", "core") for c in t.cause]
    assert (
        column(read, "Instruction", "evt_wait_time_ns")
        == np.where(waits, np.rint(t.start) - np.rint(t.ready), 0).tolist()
    )


def test_opcodes_are_the_profilers_where_they_are_public(read):
    pairs = set(zip(column(read, "Instruction", "compiler_opcode"), column(read, "Instruction", "opcode"), strict=True))
    assert {("nc_matmul", "MATMUL"), ("activation", "ACTIVATE"), ("affine_select", "affine_select")} <= pairs


def test_what_a_trigger_started(timeline, read):
    dma, rows = timeline.dma, read["Instruction"].to_pylist()
    triggers = {row["id"]: row for row in rows if row["dma_trigger_start_ts"] is not None}
    assert sorted(triggers) == sorted(dma.instruction.tolist())
    for n, trigger in enumerate(dma.instruction.tolist()):
        row = triggers[trigger]
        assert (row["dma_trigger_start_ts"], row["dma_trigger_end_ts"]) == (round(dma.first[n]), round(dma.last[n]))
        assert row["dma_wait_time_ns"] == round(dma.first[n]) - round(timeline.end[trigger])
        moved = (row["hbm_read_bytes"], row["hbm_write_bytes"])
        assert moved == ((dma.nbytes[n], 0) if dma.direction[n] == 0 else (0, dma.nbytes[n]))
    assert all(row["hbm_read_bytes"] == row["hbm_write_bytes"] == 0 for row in rows if row["id"] not in triggers)


def test_transfers(timeline, read):
    dma = timeline.dma
    for table in ("DmaPacket", "DmaPacketAggregated"):
        assert column(read, table, "start_ts") == whole(dma.first)
        assert column(read, table, "end_ts") == whole(dma.last)
        assert column(read, table, "transfer_bytes") == dma.nbytes.tolist()
        assert column(read, table, "queue_name") == [timeline.queues[n] for n in dma.queue]
        assert column(read, table, "variable") == [timeline.tensors[n].name for n in dma.tensor]
        assert column(read, table, "throughput") == pytest.approx((dma.nbytes / (dma.last - dma.first) * 1e9).tolist())
    assert column(read, "DmaPacket", "packet_aggregation_id") == column(read, "DmaPacketAggregated", "id")
    assert column(read, "DmaPacketAggregated", "trigger") == whole(timeline.start[dma.instruction])


def test_flows(timeline, read):
    transfer_of = {row: n for n, row in enumerate(timeline.dma.instruction.tolist())}
    edges = zip(timeline.semaphores.producer.tolist(), timeline.semaphores.consumer.tolist(), strict=True)
    expected = [
        ("dma_block", transfer_of[p], "instruction", c) if p in transfer_of else ("instruction", p, "instruction", c)
        for p, c in edges
    ] + [("instruction", row, "dma_block", n) for row, n in transfer_of.items()]
    found = read["Flow"].to_pylist()
    assert [(row["in_table"], row["in_id"], row["out_table"], row["out_id"]) for row in found] == expected
    ends = {"instruction": column(read, "Instruction", "end_ts"), "dma_block": column(read, "DmaPacket", "end_ts")}
    starts = {
        "instruction": column(read, "Instruction", "start_ts"),
        "dma_block": column(read, "DmaPacket", "start_ts"),
    }
    for row in found:
        assert row["gap_time"] == starts[row["out_table"]][row["out_id"]] - ends[row["in_table"]][row["in_id"]]
        assert row["gap_time"] >= 0


def test_semaphores_count_up_once_for_each_result_that_is_waited_for(timeline, read):
    rows = read["SemaphoreUpdate"].to_pylist()
    assert len(rows) == len(np.unique(timeline.semaphores.producer))
    assert [row["timestamp"] for row in rows] == sorted(row["timestamp"] for row in rows)
    seen = Counter()
    for row in rows:
        seen[row["pcore_idx"], row["id"]] += 1
        assert row["value"] == seen[row["pcore_idx"], row["id"]]
        assert (row["update_source"] or row["id"]).lower() == row["id"]
    assert {row["id"] for row in rows if row["update_source"] is None} <= set(timeline.queues)


def test_active_time_covers_the_instructions_without_touching(read):
    rows = read["ActiveTime"].to_pylist()
    instructions = read["Instruction"].to_pylist()
    for core in range(2):
        for engine in ENGINES:
            active = [(r["start_ts"], r["end_ts"]) for r in rows if (r["pcore_idx"], r["engine"]) == (core, engine)]
            assert all(a[1] < b[0] for a, b in pairwise(active))
            covered = np.zeros(max((end for _, end in active), default=0) + 1, bool)
            for r in instructions:
                if (r["pcore_idx"], r["engine"].lower()) == (core, engine):
                    covered[r["start_ts"] : r["end_ts"]] = True
            assert sum(end - start for start, end in active) == covered.sum()


def test_usage_series(timeline, read):
    for table, memory in (("SbufUsage", "sbuf"), ("PsumUsage", "psum")):
        capacity = timeline.chip.memory[f"{memory}_bytes_per_partition"]
        values = np.concatenate([timeline.occupancy[core, memory].value for core in range(2)]) / capacity
        assert column(read, table, "avg_util_percent") == pytest.approx(values.tolist())
        assert max(values) <= 1
    for table in ("DmaUsage", "HbmUsage"):
        rows = [row for row in read[table].to_pylist() if row["pcore_idx"] == 1]
        mine = timeline.core[timeline.dma.instruction] == 1
        assert rows[-1]["total_transfer_bytes"] == timeline.dma.nbytes[mine].sum()
        assert rows[-1]["current_throughput"] == 0 and rows[0]["total_transfer_bytes"] == 0


def test_a_copy_inside_hbm_counts_twice_and_one_on_chip_not_at_all(tmp_path):
    made = synthetic_timeline(200, seed=3)
    direction = made.dma.direction.copy()
    direction[:2] = 2, 3
    write_explorer(tmp_path / "run", dataclasses.replace(made, dma=dataclasses.replace(made.dma, direction=direction)))
    usage = pq.read_table(tmp_path / "run" / "HbmUsage.parquet").to_pylist()
    summary = pq.read_table(tmp_path / "run" / "Summary.parquet").to_pylist()[0]
    assert usage[-1]["total_transfer_bytes"] == made.dma.nbytes.sum()  # all alike here: one more, one less
    assert summary["hbm_read_bytes"] + summary["hbm_write_bytes"] == made.dma.nbytes.sum()


def test_throttle(timeline, read):
    rows = read["Throttle"].to_pylist()
    spans = [(core, s, e) for core, each in enumerate(timeline.clock)
             for s, e, label in zip(each.start, each.end, each.label, strict=True) if label == "half"]  # fmt: skip
    assert [(r["pcore_idx"], r["timestamp"], r["duration"]) for r in rows] == [
        (c, round(s), round(e) - round(s)) for c, s, e in spans
    ]
    assert {(r["k"], r["n"], r["type"]) for r in rows} == {(1, 2, "unknown")}


def test_metadata(timeline, read):
    row = one(read, "Metadata")
    assert row["is_simulation"] is True and row["profile_schema_version"] == SCHEMA_VERSION
    assert (row["num_physical_cores"], row["vnc_enabled"]) == (2, True)
    assert row["last_hw_timestamp"] == round(timeline.total_ns)
    assert row["first_ts"] == "1970-01-01 00:00:00+00:00" and row["last_ts"].startswith("1970-01-01 00:00:00.000")
    assert row["tensor_engine_clock_freq"] == pytest.approx(timeline.chip.engines.tensor.clock_hz / 1e9)
    assert row["hbm_ddr_bandwidth"] == pytest.approx(timeline.chip.cost.hbm.bytes_per_ns_stack * 1e9)


def test_summary_agrees_with_the_other_tables(timeline, read):
    row, total = one(read, "Summary"), timeline.total_ns * 1e-9
    instructions = read["Instruction"].to_pylist()
    assert row["total_time"] == pytest.approx(total)
    assert (
        row["dma_transfer_total_bytes"] == timeline.dma.nbytes.sum() == row["hbm_read_bytes"] + row["hbm_write_bytes"]
    )
    assert row["hardware_flops"] == sum(each["raw_flops"] for each in instructions)
    assert row["matmul_instruction_count"] == sum(each["opcode"] == "MATMUL" for each in instructions)
    for engine in ENGINES:
        mine = [each for each in instructions if each["engine"].lower() == engine]
        assert row[f"{engine}_engine_instruction_count"] == len(mine)
        spent = sum(each["duration_ns"] for each in mine) * 1e-9
        assert row[f"{engine}_engine_instruction_time"] == pytest.approx(spent, rel=2e-2)
        assert 0 < row[f"{engine}_engine_active_time_percent"] < 1
        assert row[f"{engine}_engine_active_time"] <= row[f"{engine}_engine_instruction_time"] * (1 + 1e-6)
    assert row["hfu_estimated_percent"] == pytest.approx(row["hardware_flops"] / total / (2 * 2 * 128 * 128 * 2.4e9))
    assert row["total_active_time"] <= row["total_exec_time"] <= row["total_time"]


def test_opcode_summary_is_a_sum_over_instructions(timeline, read):
    instructions = read["Instruction"].to_pylist()
    for row in read["OpcodeSummary"].to_pylist():
        mine = [r for r in instructions if (r["engine"].lower(), r["opcode"]) == (row["engine"], row["opcode"])]
        assert row["instruction_count"] == len(mine)
        assert row["instruction_time_ns"] == sum(each["duration_ns"] for each in mine) >= row["active_time_ns"] > 0
        assert row["active_time_percent"] == pytest.approx(row["active_time_ns"] / timeline.total_ns)
    assert sum(column(read, "OpcodeSummary", "instruction_count")) == len(timeline)


def test_tensors(timeline, read):
    rows = read["TensorInfo"].to_pylist()
    assert [row["variable_name"] for row in rows] == ["q", "k", "v", "out"] * 2, "only what lies in HBM"
    for row in rows:
        number = 5 * row["pcore_idx"] + ["q", "k", "v", "out"].index(row["variable_name"])
        loads = (timeline.dma.tensor == number) & (timeline.dma.direction == 0)
        assert (row["load_to_sbuf_dma_count"], row["load_to_sbuf_total_size_bytes"]) == (
            loads.sum(), timeline.dma.nbytes[loads].sum(),
        )  # fmt: skip
        assert row["shape"] == "2 512 64" and row["size"] == 2 * 512 * 64 * 2
        assert row["load_to_sbuf_repeat_factor"] == pytest.approx(timeline.dma.nbytes[loads].sum() / row["size"])
        assert (row["load_to_sbuf_avg_size_bytes"] is None) == (loads.sum() == 0)


def test_frames_lead_to_the_line(timeline, read):
    locations = {row["id"]: row for row in read["StackFrameFileLocation"].to_pylist()}
    files = {row["id"]: row["name"] for row in read["StackFrameFileName"].to_pylist()}
    functions = {row["id"]: row["name"] for row in read["StackFrameFunctionName"].to_pylist()}
    frames = {row["id"]: locations[str(row["file_location_id"])] for row in read["StackFrame"].to_pylist()}
    for row, place in zip(column(read, "Instruction", "stack_frame_ids"), timeline.place, strict=True):
        found, expected = frames[row.strip("[]")], timeline.places[place]
        assert found["line_number"] == expected.line
        assert files[str(found["file_name_id"])] == expected.file
        assert functions[str(found["function_name_id"])] == expected.function


def test_a_query_of_the_public_how_to(read):
    """how-to-analyze-profile-output.rst groups Instruction by engine and opcode; so do we, with Arrow."""
    grouped = read["Instruction"].group_by(["engine", "opcode"]).aggregate([("duration_ns", "sum")])
    assert ("Tensor", "MATMUL") in {(row["engine"], row["opcode"]) for row in grouped.to_pylist()}


# writing


@pytest.mark.parametrize("chip", CHIP_NAMES)
@pytest.mark.parametrize("instructions", [0, 1, 17])
def test_little_or_nothing_on_every_chip(tmp_path, chip, instructions):
    made = dataclasses.replace(synthetic_timeline(instructions), chip=synthetic_timeline(0, chip=chip).chip)
    if chip == "trn1":  # without a ramp of the clock, there is no span at half of it
        made = dataclasses.replace(made, clock=[])
    paths = write_explorer(tmp_path / "run", made)
    assert {path.name for path in paths} == {path.name for path in (tmp_path / "run").iterdir()}
    assert pq.read_table(tmp_path / "run" / "Instruction.parquet").num_rows == instructions


def test_large_tables_are_written_in_batches(tmp_path, monkeypatch, timeline, read):
    monkeypatch.setattr(explorer, "BATCH", 100)
    write_explorer(tmp_path / "run", timeline)
    assert pq.ParquetFile(tmp_path / "run" / "Instruction.parquet").num_row_groups == 12
    assert pq.read_table(tmp_path / "run" / "Instruction.parquet").equals(read["Instruction"])


def test_an_earlier_export_is_replaced(tmp_path):
    for instructions in (5, 3):
        write_explorer(tmp_path / "run", synthetic_timeline(instructions))
    assert pq.read_table(tmp_path / "run" / "Instruction.parquet").num_rows == 3
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_folder_with_other_files_is_not_replaced(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(FileError, match="holds other files") as caught:
        write_explorer(tmp_path, synthetic_timeline(1))
    assert caught.value.got == "notes.txt"
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_paths_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("mine")
    for path in (tmp_path / "file", tmp_path / "missing" / "run", tmp_path / "file" / "run"):
        with pytest.raises(FileError, match="cannot write"):
            write_explorer(path, synthetic_timeline(1))
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_an_interrupted_export_leaves_the_old_one(tmp_path, monkeypatch):
    write_explorer(tmp_path / "run", synthetic_timeline(4))
    real = explorer._write_table

    def interrupted(path, name, *rest):
        if name == "Summary":
            raise KeyboardInterrupt
        real(path, name, *rest)

    monkeypatch.setattr(explorer, "_write_table", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_explorer(tmp_path / "run", synthetic_timeline(9))
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    assert pq.read_table(tmp_path / "run" / "Instruction.parquet").num_rows == 4


def test_without_pyarrow(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(InstallError, match=r"pip install 'opentrn\[parquet\]'"):
        write_explorer(tmp_path / "run", synthetic_timeline(1))


def test_no_edges(tmp_path):
    none = np.zeros(0, np.int64)
    made = dataclasses.replace(synthetic_timeline(30), semaphores=Semaphores(none, none))
    write_explorer(tmp_path / "run", made)
    flows = pq.read_table(tmp_path / "run" / "Flow.parquet")
    assert pa.types.is_string(flows.schema.field("in_table").type)
    assert flows.num_rows == len(made.dma.instruction)
