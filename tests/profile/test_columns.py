"""What `write_columns` writes is what the timeline says; what `read_columns` cannot read it says so."""

import pickle
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.timing.synthetic import synthetic_timeline

from opentrn.errors import FileError, InstallError
from opentrn.profile import columns
from opentrn.profile.columns import read_columns, tables, write_columns
from opentrn.profile.tables import Text
from opentrn.timing.timeline import CAUSES, ENGINES

TABLES = ["clock", "dma", "instructions", "run", "semaphores", "series", "tensors"]


@pytest.fixture(scope="module")
def timeline():
    return synthetic_timeline(900, seed=5, cores=2)


@pytest.fixture(scope="module")
def npz(timeline, tmp_path_factory):
    path = tmp_path_factory.mktemp("columns") / "run.npz"
    assert write_columns(path, timeline) == [path]
    return path


@pytest.fixture(scope="module")
def read(npz):
    return read_columns(npz)


def plain(column):
    return column.decoded() if isinstance(column, Text) else column


def test_every_column_comes_back(timeline, read):
    made = tables(timeline)
    assert sorted(read) == sorted(made) == TABLES
    for name, table in made.items():
        assert list(read[name]) == list(table)
        for column, values in table.items():
            assert read[name][column].tolist() == plain(values).tolist(), (name, column)


def test_instructions_are_the_timeline(timeline, read):
    table, t = read["instructions"], timeline
    for column, field in (
        ("core", "core"), ("ready_ns", "ready"), ("start_ns", "start"), ("end_ns", "end"), ("done_ns", "done"),
        ("blocker", "blocker"), ("wait_ns", "wait"),
    ):  # fmt: skip
        assert table[column].tolist() == getattr(t, field).tolist()
    assert table["id"].tolist() == list(range(len(t)))
    assert table["engine"].tolist() == [ENGINES[n] for n in t.engine]
    assert table["cause"].tolist() == [CAUSES[n] for n in t.cause]
    operations, places = [t.operations[n] for n in t.operation], [t.places[n] for n in t.place]
    assert table["name"].tolist() == [each.name for each in operations]
    assert table["operands"].tolist() == [each.operands for each in operations]
    assert table["tiers"].tolist() == ["+".join(each.tiers) for each in operations]
    assert table["flops"].tolist() == [each.flops for each in operations]
    assert table["line"].tolist() == [each.line for each in places]
    assert set(table["file"]) == {places[0].file}


def test_the_other_tables_are_the_timeline(timeline, read):
    t, dma = timeline, timeline.dma
    assert read["dma"]["queue"].tolist() == [t.queues[n] for n in dma.queue]
    assert read["dma"]["tensor_name"].tolist() == [t.tensors[n].name for n in dma.tensor]
    assert read["dma"]["tensor"].tolist() == dma.tensor.tolist()
    assert read["dma"]["core"].tolist() == t.core[dma.instruction].tolist()
    assert set(read["dma"]["direction"]) == {"hbm_to_sbuf", "sbuf_to_hbm"}
    assert read["semaphores"]["producer"].tolist() == t.semaphores.producer.tolist()
    series = read["series"]
    for (core, memory), expected in t.occupancy.items():
        mine = (series["core"] == core) & (series["series"] == f"{memory}_bytes_per_partition")
        assert series["time_ns"][mine].tolist() == expected.time.tolist()
        assert series["value"][mine].tolist() == expected.value.tolist()
    rate = (series["core"] == 0) & (series["series"] == "dma_bytes_per_ns")
    moved = (np.diff(series["time_ns"][rate]) * series["value"][rate][:-1]).sum()
    assert moved == pytest.approx(dma.nbytes[t.core[dma.instruction] == 0].sum())
    assert read["clock"]["label"].tolist() == [label for spans in t.clock for label in spans.label]
    assert read["tensors"]["shape"][0] == "2x512x64" and read["tensors"]["dtype"][0] == "bfloat16"
    assert read["run"]["chip"].tolist() == ["trn2"] and read["run"]["total_ns"].tolist() == [t.total_ns]


def test_a_transfer_without_a_tensor_and_a_tensor_without_a_name_have_none():
    column = columns.names(np.array([1, -1, 0, 2]), ["a", "b", ""])
    assert column.decoded().tolist() == ["b", None, "a", None]


def test_numpy_alone_can_read_a_column(timeline, npz):
    with np.load(npz, allow_pickle=False) as arrays:
        names = arrays["instructions/name/values"][arrays["instructions/name"]]
        assert names[0] == timeline.operations[timeline.operation[0]].name
        assert arrays["instructions/start_ns"].tolist() == timeline.start.tolist()


def test_parquet_holds_the_same(timeline, read, tmp_path):
    written = write_columns(tmp_path / "run.parquet", timeline)
    others = {f"run.{name}.parquet" for name in TABLES if name != "instructions"}
    assert {path.name for path in written} == {path.name for path in tmp_path.iterdir()} == {"run.parquet", *others}
    for name in TABLES:
        path = tmp_path / ("run.parquet" if name == "instructions" else f"run.{name}.parquet")
        found = pq.read_table(path)
        assert found.column_names == list(read[name])
        for column, values in read[name].items():
            assert found.column(column).to_pylist() == values.tolist(), (name, column)


@pytest.mark.parametrize("suffix", [".npz", ".parquet"])
def test_nothing_happened(tmp_path, suffix):
    path, made = tmp_path / f"run{suffix}", synthetic_timeline(0)
    write_columns(path, made)
    if suffix == ".npz":
        assert len(read_columns(path)["instructions"]["start_ns"]) == 0
    else:
        assert pq.read_table(path).num_rows == 0


def test_a_suffix_that_says_no_format(tmp_path):
    with pytest.raises(FileError, match="no suffix") as caught:
        write_columns(tmp_path / "run.csv", synthetic_timeline(1))
    assert caught.value.got == "'.csv'" and ".npz or .parquet" in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_parquet_without_pyarrow(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(InstallError, match="pip install 'opentrn"):
        write_columns(tmp_path / "run.parquet", synthetic_timeline(1))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", [".npz", ".parquet"])
def test_a_path_that_cannot_be_written(tmp_path, suffix):
    with pytest.raises(FileError, match="cannot write"):
        write_columns(tmp_path / "missing" / f"run{suffix}", synthetic_timeline(1))


def test_an_interrupted_set_of_files_leaves_the_old_ones(tmp_path, monkeypatch, timeline):
    write_columns(tmp_path / "run.parquet", synthetic_timeline(3))
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    real, calls = pq.write_table, []

    def interrupted(*arguments):
        calls.append(arguments)
        if len(calls) == 4:
            raise KeyboardInterrupt
        real(*arguments)

    monkeypatch.setattr(pq, "write_table", interrupted)
    with pytest.raises(KeyboardInterrupt):
        write_columns(tmp_path / "run.parquet", timeline)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def save(path, **arrays):
    np.savez(path, **arrays)
    return path


FORM = np.array(columns.FORM)


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({}, "form is missing"),
        ({"form": np.array("other 7")}, "form is other 7"),
        ({"form": FORM, "a/x": np.zeros(2), "a/y": np.zeros(3)}, "not equally long"),
        ({"form": FORM, "a/x": np.zeros((2, 2))}, "not equally long"),
        ({"form": FORM, "a/x": np.array([0, 2]), "a/x/values": np.array(["p", "q"])}, "number without a text"),
        ({"form": FORM, "a/x": np.array([-2]), "a/x/values": np.array(["p"])}, "number without a text"),
        ({"form": FORM, "a/x": np.array([0.0]), "a/x/values": np.array(["p"])}, "no column of texts"),
        ({"form": FORM, "a/x": np.array([{}], object)}, "allow_pickle"),
    ],
)
def test_an_archive_that_is_not_ours(tmp_path, arrays, words):
    with pytest.raises(FileError, match=words):
        read_columns(save(tmp_path / "run.npz", **arrays))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"not a zip", pickle.dumps([1])])
def test_a_file_that_is_no_archive(tmp_path, content):
    path = tmp_path / "run.npz"
    path.write_bytes(content)
    with pytest.raises(FileError, match="no columns can be read"):
        read_columns(path)


def test_a_single_array_and_no_file(tmp_path):
    np.save(tmp_path / "one.npy", np.zeros(3))
    for name in ("one.npy", "missing.npz"):
        with pytest.raises(FileError, match="no columns can be read"):
            read_columns(tmp_path / name)


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_a_damaged_archive_is_read_right_or_refused(npz, read, tmp_path_factory, data):
    content = bytearray(npz.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "damaged.npz"
    path.write_bytes(content[: data.draw(st.integers(len(content) - 2000, len(content)))])
    try:
        found = read_columns(path)
    except FileError:
        return
    assert all(
        found[table][name].tolist() == column.tolist() for table in found for name, column in read[table].items()
    )
