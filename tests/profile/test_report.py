"""The report as data and as text: names that other programs rely on, and the text as it is read."""

import json
import os
import time
from pathlib import Path

import pytest
from tests.profile.small import Row, load_multiply_add, timeline
from tests.timing.synthetic import synthetic_timeline

import opentrn
from opentrn.errors import FileError
from opentrn.profile.compare import compare, side_by_side
from opentrn.profile.files import load, save
from opentrn.profile.report import ProfileReport, profile_report
from opentrn.profile.text import bar, spoken, table
from opentrn.timing.timeline import ENGINES

GOLDEN = Path(__file__).parent / "golden"


def assert_golden(name, text):
    """The text is that of the file; UPDATE_GOLDEN=1 writes it."""
    path = GOLDEN / name
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(text + "\n")
    assert text + "\n" == path.read_text()


def keys(data, depth=2):
    if isinstance(data, list):
        return keys(data[0], depth) if data else []
    return {k: keys(v, depth - 1) for k, v in data.items()} if isinstance(data, dict) and depth else ""


def test_the_contract():
    report = profile_report(load_multiply_add(), "matmul", results="values")
    assert report.latency_us == pytest.approx(5.4)
    assert report.latency_band_us[0] < report.latency_us < report.latency_band_us[1]
    assert report.instruction_count == 4 and report.results == "values"
    assert set(report.engines) == set(ENGINES)
    assert report.engines["tensor"].busy_us > 0 and report.engines["tensor"].wait_us > 0
    assert report.dma.nbytes == 2 << 18 and report.bounds["actual"].us == report.latency_us
    assert len(report.timeline) == 4 and repr(report).startswith("<profile of matmul on trn2: 5.40 us")


def test_names_of_the_data():
    data = profile_report(synthetic_timeline(500, 1)).to_dict() | {"overheads": {}, "provenance": {}}
    assert_golden("names.json", json.dumps(keys(data), indent=1))


@pytest.mark.parametrize(("instructions", "cores"), [(0, 1), (1, 1), (400, 2)])
def test_the_data_is_json_without_nan(instructions, cores):
    report = profile_report(synthetic_timeline(instructions, 1, cores))
    data = report.to_dict()
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    assert "timeline" not in data and "results" not in data


@pytest.mark.parametrize("name", ["small", "attention", "empty"])
def test_the_summary_as_it_is_read(name):
    made = {"small": load_multiply_add(), "attention": synthetic_timeline(2000, 1), "empty": timeline([], total=100)}[
        name
    ]
    text = str(profile_report(made, name))
    assert_golden(f"{name}.txt", text)
    lines = text.splitlines()
    assert len(lines) <= 60 and max(map(len, lines)) <= 130


def test_what_bounds_a_kernel():
    dense = [Row("tensor", 213 * n, 213 * (n + 1), ready=213 * n, cause="engine", blocker=n - 1) for n in range(20)]
    assert profile_report(timeline(dense)).verdict.startswith("bound by TensorE")
    assert profile_report(timeline([Row("vector", 0, 1000)])).verdict.startswith("bound by the busiest engine: vector")
    assert profile_report(load_multiply_add()).verdict.startswith("bound by latency")
    assert profile_report(synthetic_timeline(2000, 1)).verdict.startswith("bound by latency")
    loading = timeline([Row("scalar", 900, 1000, ready=0, cause="table")])
    assert profile_report(loading).verdict.startswith("no single limit: of the critical path handover takes 90%")


def test_two_hundred_thousand_instructions_in_under_a_second():
    made = synthetic_timeline(200_000, 1)
    start = time.process_time()
    profile_report(made)
    assert time.process_time() - start < 1


def test_opentrn_profile_is_a_function_and_a_folder():
    assert callable(opentrn.profile) and opentrn.profile.report.ProfileReport is ProfileReport


@pytest.mark.parametrize(
    ("us", "text"),
    [
        (0, "0.00 us"),
        (1.5, "1.50 us"),
        (412.34, "412.3 us"),
        (28197.982, "28.20 ms"),
        (3e6, "3.00 s"),
        (999.99, "1000.0 us"),
    ],
)
def test_times_as_they_are_spoken(us, text):
    assert spoken(us) == text


def test_bars_stay_within_their_width():
    assert [bar(share, 4) for share in (-1, 0, 0.5, 1, 7)] == ["....", "....", "##..", "####", "####"]


def test_columns_are_aligned():
    assert table([["a", "1"], ["bcd", "23"]], "lr") == ["  a     1", "  bcd  23"]


def test_a_saved_report_comes_back(tmp_path):
    report = profile_report(load_multiply_add(), "one")
    save(report.to_dict(), tmp_path / "r.json")
    back = load(tmp_path / "r.json")
    assert {**back} == {"form": back["form"], **report.to_dict()}
    assert compare(back, report) == compare(report, report)
    assert list(tmp_path.iterdir()) == [tmp_path / "r.json"]


@pytest.mark.parametrize("text", ["", "[]", "{", '{"form": "something else"}', '{"latency_us": 3}'])
def test_what_is_no_report_is_refused(tmp_path, text):
    path = tmp_path / "r.json"
    path.write_text(text)
    with pytest.raises(FileError, match=r"r\.json"):
        load(path)


def test_a_report_that_cannot_be_written_leaves_nothing(tmp_path):
    old = tmp_path / "r.json"
    old.write_text("old")
    with pytest.raises(TypeError):
        save({"not": object()}, old)
    assert old.read_text() == "old" and list(tmp_path.iterdir()) == [old]


# --------------------------------------------------------------------- comparing
def test_equal_reports_differ_in_nothing():
    report = profile_report(synthetic_timeline(500, 1))
    found = compare(report, report)
    for part in (found.total, found.engines, found.bounds, found.lines):
        assert all(d.a == d.b and d.ratio in (None, 1) for d in part)
    assert "both take the same time" in side_by_side(found)


def test_what_changed_most_comes_first():
    slow = load_multiply_add()
    quick = timeline(
        [Row("sync", 100, 160, 2200, ready=100), Row("tensor", 2215, 2428, 2600, ready=100, cause="dma", blocker=0, line=12)],
        total=2700, prologue=100,
    )  # fmt: skip
    found = compare(profile_report(slow, "slow"), profile_report(quick, "quick"))
    assert found.names == ("slow on trn2", "quick on trn2")
    assert [d.name for d in found.lines][:2] == ["dma_copy in kernel #2", "tensor_tensor in kernel"]
    product = next(d for d in found.lines if d.name.startswith("nc_matmul"))
    assert product.ratio == pytest.approx(1, rel=0.05), "the same line is found where its number changed"
    text = side_by_side(found)
    assert "B is 2.00 times as fast" in text
    assert_golden("compare.txt", text)
