"""The page about nki-library's tests, from folders as the runner writes them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from tests.conformance import page

FILE = "test/integration/nkilib/core/cumsum/test_cumsum.py"


def folder(path: Path, results: list[dict[str, Any]], timed: list[dict[str, Any]] | None = None) -> Path:
    path.mkdir()
    record = {
        "date": "2026-11-25", "mark": "fast", "target": "trn2", "seed": 3, "timed": bool(timed), "memory_gib": 20, "timeout_s": 9,
        "checkout_commit": "2.29", "commit": "abc", "machine": "Linux", "versions": {"numpy": "2"}, "synthesised": "[]",
        "files": {FILE: {"wall": 120.0, "user": 60.0, "system": 0.0, "status": 0}},
    }  # fmt: skip
    (path / "run.json").write_text(json.dumps(record))
    (path / "results.jsonl").write_text("".join(json.dumps(r) + "\n" for r in results))
    if timed:
        (path / "timed.jsonl").write_text("".join(json.dumps(r) + "\n" for r in timed))
    return path


def result(name: str, outcome: str = "passed", error: str = "") -> dict[str, Any]:
    compared = ["out"] if name == "a" else []
    return {
        "nodeid": f"{FILE}::T::test[{name}]",
        "outcome": outcome,
        "error": [error] if error else [],
        "compared": compared,
    }


def test_the_last_run_of_a_test_counts(tmp_path: Path) -> None:
    made = folder(tmp_path / "a", [result("x", "failed", "boom"), result("y"), result("x")])
    assert [r["outcome"] for r in page.results_of(made)] == ["passed", "passed"]


def test_counts_shares_causes_and_times(tmp_path: Path) -> None:
    results = [
        result("a"),
        result("b"),
        result("c", "failed", "MemoryError: Unable to allocate 16 GiB"),
        result("d", "skipped"),
    ]
    timed = [
        {"nodeid": results[0]["nodeid"], "kernel": "k", "latency_us": 1.0},
        {"nodeid": results[1]["nodeid"], "kernel": "k", "error": "MachineError: no number"},
        {"nodeid": results[0]["nodeid"], "kernel": "k", "findings": ["error races.raw"]},
        {"nodeid": results[2]["nodeid"], "kernel": "k", "error": "of a test that failed: not counted"},
    ]
    text = page.section([("fast", folder(tmp_path / "a", results, timed))])
    begin, end = page.markers("")
    assert text.startswith(begin) and text.endswith(end)
    assert "| fast | trn2 | 3 | 2 | 1 | 1 | 66.67 % | 1 | 1 min | 2 min | 2026-11-25 |" in text
    assert "| `core/cumsum` | 2 / 1 / 1 |" in text
    assert "| fast | `test_cumsum.py` | 1 | test | does not fit" in text
    assert "Timed: 2 launches of kernels in 2 passing tests. Checked: 1 launches. 1 of these raised" in text
    assert "| 1 | timing | MachineError: no number |" in text and "| error races.raw | 1 |" in text


def test_a_failure_without_a_known_cause_says_so(tmp_path: Path) -> None:
    text = page.section([("fast", folder(tmp_path / "a", [result("a", "failed", "something new")]))])
    assert "| opentrn | not traced |" in text


def test_every_cause_is_a_pattern_with_an_owner() -> None:
    for pattern, whose, why in page.causes():
        assert isinstance(pattern, re.Pattern) and whose in ("test", "kernel", "opentrn") and len(why) > 20


def test_without_folders_it_explains_itself(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["page.py", "fast=/nowhere"])
    with pytest.raises(SystemExit, match="2"):
        page.main()
    assert "fast: no folder /nowhere" in capsys.readouterr().err


def test_a_part_of_the_page_leaves_the_others_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (begin, end), first = page.markers("later"), "".join(page.markers(""))
    written = tmp_path / "conformance.md"
    written.write_text(f"{first}\n{begin}\n{end}\nby hand\n")
    monkeypatch.setattr(page, "PAGE", written)
    monkeypatch.setattr("sys.argv", ["page.py", "--part", "later", f"fast={folder(tmp_path / 'a', [result('a')])}"])
    page.main()
    text = written.read_text()
    assert text.startswith(f"{first}\n{begin}") and text.endswith(f"{end}\nby hand\n") and "| fast | trn2 |" in text
    monkeypatch.setattr("sys.argv", ["page.py", "--part", "never", f"fast={tmp_path / 'a'}"])
    with pytest.raises(SystemExit, match="2"):
        page.main()
    assert written.read_text() == text
