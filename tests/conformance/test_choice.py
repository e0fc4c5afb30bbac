"""Which tests of the suite run: a share drawn with a seed, without those that are finished."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.conformance import choice


@dataclass(frozen=True)
class Collected:
    """What the plugin looks at in a test."""

    nodeid: str


NAMES = [f"test_file.py::test[{n}]" for n in range(4000)]


def chosen(monkeypatch: pytest.MonkeyPatch, share: float, seed: int, results: str = "") -> tuple[list[str], list[str]]:
    """(names that run, names that are left out)."""
    for name, value in [("OPENTRN_SAMPLE", share), ("SEED", seed), ("OPENTRN_FINISHED", results)]:
        monkeypatch.setenv(name, str(value))
    left: list[Any] = []
    hook = SimpleNamespace(pytest_deselected=lambda items: left.extend(items))
    items: list[Any] = [Collected(name) for name in NAMES]
    choice.pytest_collection_modifyitems(SimpleNamespace(hook=hook), items)  # type: ignore[arg-type]
    return [item.nodeid for item in items], [item.nodeid for item in left]


def test_a_share_is_drawn_and_the_seed_decides_which(monkeypatch: pytest.MonkeyPatch) -> None:
    first, left = chosen(monkeypatch, 0.1, 0)
    assert 320 < len(first) < 480  # 4000 draws at 0.1: four standard deviations are 76
    assert sorted(first + left) == sorted(NAMES)
    assert chosen(monkeypatch, 0.1, 0)[0] == first != chosen(monkeypatch, 0.1, 1)[0]
    assert set(first) < set(chosen(monkeypatch, 0.3, 0)[0])
    assert chosen(monkeypatch, 1.0, 0)[0] == NAMES


def test_finished_tests_are_left_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    results = tmp_path / "results.jsonl"
    assert chosen(monkeypatch, 1.0, 0, str(results))[0] == NAMES
    results.write_text("".join(json.dumps({"nodeid": name, "outcome": "failed"}) + "\n" for name in NAMES[:10]))
    assert chosen(monkeypatch, 1.0, 0, str(results)) == (NAMES[10:], NAMES[:10])
