"""The HTML file as a file: it asks for nothing, holds every number, lets no text of a kernel become markup."""

import base64
import json
import re
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.profile.timelines import only_transfers
from tests.timing.synthetic import KERNEL, synthetic_timeline

from opentrn.errors import FileError
from opentrn.machine.change import changed
from opentrn.machine.chip import load_chip
from opentrn.profile import html
from opentrn.profile.html import CAUSE_WORDS, write_html
from opentrn.timing.timeline import CAUSES, Place

PAGE = Path(html.__file__).parent / "page"
NASTY = (
    """x = "</script><script>window.hacked = 1</script>"  # <!-- <img src=x onerror=hacked=2> {{columns}} \u2028 é"""
)


def written(tmp_path, timeline, summary=None):
    path = tmp_path / "page.html"
    write_html(path, timeline, summary)
    return path.read_text(encoding="utf-8")


def part(text, name):
    found = re.findall(rf'<script type="[\w/]+" id="{name}">(.*?)</script>', text, re.S)
    assert len(found) == 1
    return found[0]


def facts(text):
    return json.loads(part(text, "facts"))


def columns(text):
    block = zlib.decompress(base64.b64decode(part(text, "columns")))
    return {name: np.frombuffer(block, kind, length, offset) for name, kind, offset, length in facts(text)["columns"]}


def test_nothing_in_the_page_points_outside(tmp_path):
    text = written(tmp_path, synthetic_timeline(300))
    assert "default-src 'none'" in text
    assert re.findall(r"""\b(?:src|href|action|poster)\s*=\s*["'][^"']*""", text) == ['href="data:,']
    scripts = "".join(file.read_text() for file in PAGE.glob("*.js"))
    assert not re.search(
        r"\bfetch\(|XMLHttpRequest|WebSocket|import\(|importScripts|sendBeacon|EventSource|innerHTML", scripts
    )
    assert re.findall(r"https?://[\w.]+", text) == ["http://www.w3.org"]  # the name of SVG, not an address
    assert "url(" not in (PAGE / "page.css").read_text() and "@import" not in (PAGE / "page.css").read_text()


def test_every_script_of_the_folder_is_in_the_page():
    assert sorted(html.SCRIPTS) == sorted(file.stem for file in PAGE.glob("*.js"))


def test_every_cause_has_words():
    assert tuple(CAUSE_WORDS) == CAUSES and all(words.endswith(".") for words in CAUSE_WORDS.values())


@pytest.mark.parametrize("cores", [1, 2])
def test_columns_come_back_as_they_were(tmp_path, cores):
    timeline = synthetic_timeline(500, seed=4, cores=cores)
    got = columns(written(tmp_path, timeline))
    for name in ("ready", "start", "end", "done"):
        np.testing.assert_allclose(got[name], getattr(timeline, name), atol=1 / 2048, rtol=0)
    for name in ("core", "engine", "operation", "place", "cause", "blocker"):
        np.testing.assert_array_equal(got[name], getattr(timeline, name))
    for name in ("instruction", "queue", "nbytes", "descriptors", "direction", "tensor", "low", "high"):
        np.testing.assert_array_equal(got[f"dma_{name}"], getattr(timeline.dma, name))
    np.testing.assert_array_equal(got["producer"], timeline.semaphores.producer)
    np.testing.assert_array_equal(got["psum0_value"], timeline.occupancy[0, "psum"].value)
    assert (got["clock0_full"] == [label == "full" for label in timeline.clock[0].label]).all()


def test_lines_hold_the_cost_of_their_instructions(tmp_path):
    timeline = synthetic_timeline(400)
    found = facts(written(tmp_path, timeline))
    assert len(found["lines"]) == len(found["places"]) == len(timeline.places)
    for line in found["lines"]:
        rows = timeline.place == found["places"].index(line["place"])
        assert line["instructions"] == rows.sum()
        assert line["busy_us"] == pytest.approx(timeline.busy[rows].sum() / 1e3)
        assert line["wait_us"] == pytest.approx(timeline.wait[rows].sum() / 1e3, abs=1e-6)
    assert found["files"] == [{"path": str(KERNEL), "name": "attention.py", "text": KERNEL.read_text()}]


def test_only_tensors_that_are_moved_travel(tmp_path):
    timeline = synthetic_timeline(200)
    assert facts(written(tmp_path, timeline))["tensors"] == {"1": "k", "2": "v", "3": "out"}  # not q, and no tile


def test_the_roofs_are_those_of_the_cores_in_use(tmp_path):
    one, two = (synthetic_timeline(400, cores=cores) for cores in (1, 2))
    got, double = (facts(written(tmp_path, timeline))["roofline"] for timeline in (one, two))
    tensor, cost = one.chip.engines.tensor, one.chip.cost
    roofs, more = ({roof["name"]: roof["value"] for roof in part["roofs"]} for part in (got, double))
    assert roofs["TensorE bf16"] == tensor.tflops_bf16 and roofs["HBM"] == cost.hbm.bytes_per_ns_stack
    assert more["TensorE fp32"] == 2 * tensor.tflops_fp32 and more["DMA"] == 2 * cost.dma.cap_bytes_per_ns_core
    assert more["HBM"] == roofs["HBM"]  # the two cores of a stack share it
    assert all(roof["tier"] and roof["source"] for roof in got["roofs"])
    assert got["flops"] == sum(one.operations[n].flops for n in one.operation)


@pytest.mark.parametrize("chip", ["trn1", "trn3"])
def test_other_chips_have_their_own_roofs(tmp_path, chip):
    roofs = facts(written(tmp_path, synthetic_timeline(20, chip=chip)))["roofline"]["roofs"]
    peaks = {roof["name"]: roof["value"] for roof in roofs if roof["unit"] == "TFLOP/s"}
    assert peaks["TensorE bf16"] == load_chip(chip).engines.tensor.tflops_bf16
    assert ("TensorE mx" in peaks) == (chip == "trn3")


def test_the_roofs_of_a_changed_machine_say_so(tmp_path):
    timeline = synthetic_timeline(20)
    chip = changed(timeline.chip, {"engines.tensor.tflops_bf16": "2x"})
    roofs = facts(written(tmp_path, replace(timeline, chip=chip)))["roofline"]["roofs"]
    bf16 = next(roof for roof in roofs if roof["name"] == "TensorE bf16")
    assert (bf16["value"], bf16["tier"]) == (2 * timeline.chip.engines.tensor.tflops_bf16, "changed")


def test_no_text_of_a_kernel_becomes_markup(tmp_path):
    kernel = tmp_path / "a<b>&'\"</script>.py".replace("/", "_")
    kernel.write_text(NASTY, encoding="utf-8")
    timeline = synthetic_timeline(34)
    operations = [replace(timeline.operations[0], name=NASTY, operands=NASTY), *timeline.operations[1:]]
    places = [Place(str(kernel), 1, NASTY), *timeline.places[1:]]
    summary = {"kernel": NASTY, NASTY: [{NASTY: NASTY}]}
    text = written(tmp_path, replace(timeline, operations=operations, places=places, queues=[NASTY] * 3), summary)
    plain = written(tmp_path, timeline)
    for mark in ("</script", "<script", "<!--", "<img"):
        assert text.lower().count(mark) == plain.lower().count(mark)
    got = facts(text)
    assert got["summary"] == summary and got["operations"][0]["operands"] == NASTY and got["queues"] == [NASTY] * 3
    assert got["files"][0]["text"] == NASTY and got["files"][0]["path"] == str(kernel)
    assert len(columns(text)["start"]) == 34


def test_a_source_that_is_gone_is_left_out(tmp_path):
    timeline = synthetic_timeline(17)
    places = [Place(name, 3, "f") for name in ("/nowhere/kernel.py", "<stdin>", "a\0b")] + timeline.places[3:]
    got = facts(written(tmp_path, replace(timeline, places=places)))
    assert [file["text"] for file in got["files"][:3]] == [None, None, None]


def test_a_summary_may_hold_numpy_numbers_and_no_number_at_all(tmp_path):
    summary = {"a_us": np.float32(1.5), "b": np.arange(3), "c": float("nan"), "d": (1, None, True), 5: Path("x")}
    got = facts(written(tmp_path, synthetic_timeline(5), summary))["summary"]
    assert got == {"a_us": 1.5, "b": [0, 1, 2], "c": "nan", "d": [1, None, True], "5": "x"}


def test_without_a_summary_the_engines_are_shown(tmp_path):
    timeline = synthetic_timeline(200, cores=2)
    engines = facts(written(tmp_path, timeline))["summary"]["engines"]
    assert len(engines) == 10 and sum(row["instructions"] for row in engines) == 200
    assert sum(row["busy_us"] for row in engines) == pytest.approx(timeline.busy.sum() / 1e3)


@pytest.mark.parametrize("timeline", [synthetic_timeline(0), only_transfers()], ids=["empty", "only DMA"])
def test_a_timeline_of_nothing_or_only_dma_is_written(tmp_path, timeline):
    text = written(tmp_path, timeline)
    assert len(columns(text)["start"]) == len(timeline)


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
    class Bad:
        def __str__(self):
            raise RuntimeError("no words")

    target = tmp_path / "page.html"
    with pytest.raises(RuntimeError, match="no words"):
        write_html(target, synthetic_timeline(5), {"x": Bad()})
    assert list(tmp_path.iterdir()) == []
    write_html(target, synthetic_timeline(5))
    before = target.read_text()
    with pytest.raises(RuntimeError, match="no words"):
        write_html(target, synthetic_timeline(5), {"x": Bad()})
    assert target.read_text() == before and list(tmp_path.iterdir()) == [target]


def test_a_folder_that_is_not_there_is_an_error_and_leaves_nothing(tmp_path):
    with pytest.raises(FileError, match="does not exist"):
        write_html(tmp_path / "no" / "page.html", synthetic_timeline(5))
    (tmp_path / "page.html").mkdir()
    with pytest.raises(FileError):
        write_html(tmp_path / "page.html", synthetic_timeline(5))
    assert [file.name for file in tmp_path.iterdir()] == ["page.html"]


def test_the_same_timeline_gives_the_same_file(tmp_path):
    assert written(tmp_path, synthetic_timeline(100)) == written(tmp_path, synthetic_timeline(100))
