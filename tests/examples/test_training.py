"""The training examples: five steps of each, what they write, and that the model really goes through kernels."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path

import pytest

from opentrn.docs.outputs import commands

pytest.importorskip("torch")
pytest.importorskip("jax")

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
DOCS = EXAMPLES.parent / "docs"
SMALL = {"width": 64, "heads": 2, "groups": 1, "hidden": 80, "context": 40, "batch": 2}
KERNELS = {
    "adamw", "attention", "attention_backward", "cross_entropy", "cross_entropy_backward", "embedding", "embedding_backward",
    "linear", "linear_backward", "rms_norm", "rms_norm_backward", "rotary", "swiglu", "swiglu_backward",
}  # fmt: skip


@pytest.fixture
def training(monkeypatch):
    """The module of the model, and the others to be imported."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    for name in ("training", "training_result", "training_runs", "train_gpt", "train_gpt_jax"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return example("training")


@pytest.fixture
def runs(training):
    """The module with the command."""
    return example("training_runs")


def small(training, monkeypatch):
    """The functions that have the usual sizes as defaults get small ones."""
    config = dataclasses.replace(training.CONFIG, **SMALL)
    monkeypatch.setattr(training, "CONFIG", config)
    for name in ("shapes", "initial", "parameters", "angles", "losses", "batches"):
        monkeypatch.setattr(getattr(training, name), "__defaults__", (config,))


def example(name):
    return __import__(name)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "framework"), [("train_gpt", "PyTorch"), ("train_gpt_jax", "JAX")])
def test_five_steps(training, runs, monkeypatch, tmp_path, capsys, name, framework):
    small(training, monkeypatch)
    monkeypatch.setattr(sys, "argv", [name, "--steps", "5", "--out", str(tmp_path / "made"), "--json"])
    assert runs.main(framework, example(name).learner) == 0
    result = runs.Result(**json.loads(capsys.readouterr().out))
    assert result.kernels_loss[-1] < result.kernels_loss[0] - 0.05
    assert 0 < max(result.distances) <= runs.Result.band  # not the same arithmetic, and close
    assert {row[0] for row in result.kernels} == KERNELS
    counts = {row[0]: row[1] for row in result.kernels}
    assert counts["linear"] == counts["rms_norm_backward"] == 2 * 2 + 1 and counts["adamw"] == 1
    assert json.loads((tmp_path / "made" / "report.json").read_text()) == json.loads(
        json.dumps(dataclasses.asdict(result))
    )
    assert (tmp_path / "made" / "report.html").read_text().startswith("<!doctype html>")
    assert (tmp_path / "made" / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_kernels_have_no_findings(training, runs, monkeypatch):
    small(training, monkeypatch)
    _, session = runs.compared("PyTorch", example("train_gpt").learner, 1)
    assert [f for found in session.findings for f in found if f.severity == "error"] == []


@pytest.mark.slow
def test_both_frameworks_start_from_the_same_loss(training, monkeypatch):
    small(training, monkeypatch)
    batch = next(training.batches(1))
    first, second = (example(name).learner(False)(*batch, 1, 1e-3) for name in ("train_gpt", "train_gpt_jax"))
    assert first == pytest.approx(second, abs=1e-5)


def apart(kernels):
    """A learner whose loss with kernels leaves the band at step 2."""
    return lambda tokens, labels, number, rate: 1.0 + (kernels and number > 1)


def test_curves_that_part_are_an_error(runs, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["x", "--steps", "3"])
    assert runs.main("PyTorch", apart) == 1
    assert "largest distance of the curves 1.0000 at step 2: OUTSIDE the band" in capsys.readouterr().out


def test_a_loss_that_is_no_number_is_an_error(runs, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["x", "--steps", "1"])
    assert runs.main("PyTorch", lambda kernels: lambda *_: float("nan") if kernels else 1.0) == 1


def test_an_interrupt_ends_after_the_step_and_writes_nothing(runs, monkeypatch, tmp_path, capsys):
    import signal

    steps = []

    def learner(kernels):
        def step(*_):
            signal.raise_signal(signal.SIGINT)
            steps.append(kernels)
            return 1.0

        return step

    monkeypatch.setattr(sys, "argv", ["x", "--steps", "3", "--out", str(tmp_path / "made")])
    assert runs.main("PyTorch", learner) == 130
    assert steps == [False] and "nothing was written" in capsys.readouterr().err
    assert list((tmp_path / "made").iterdir()) == []


@pytest.mark.slow
def test_one_step_by_kernel(training, runs, monkeypatch, capsys):
    small(training, monkeypatch)
    printed = []
    for name in ("train_gpt", "train_gpt_jax"):
        monkeypatch.setattr(sys, "argv", [name, "--kernels"])
        assert runs.main("either", example(name).learner) == 0
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1]
    lines = printed[0].splitlines()
    assert lines[0].endswith("us per step on trn2 (predicted, one kernel after the other)")
    assert {line.split()[0] for line in lines[3:]} == KERNELS


def test_the_page_is_made_of_both_reports(training, runs, tmp_path):
    result = runs.Result(
        "PyTorch", dataclasses.asdict(training.CONFIG), [5.0, 4.25], [5.0, 4.2403], 0.5, 0.1, [("linear", 2, 3.5)]
    )
    for name in ("torch", "jax"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "report.json").write_text(json.dumps(dataclasses.asdict(result)))
    (tmp_path / "docs" / "img").mkdir(parents=True)
    example("training_result").page(tmp_path, tmp_path / "docs")
    text = (tmp_path / "docs" / "training.md").read_text()
    assert text.count("| PyTorch | 0.010 | 4.250 | 4.240 | 0.50 s | 0.10 s |") == 2
    assert "linear                         2          3.5   100%" in text
    assert commands(text) == ["run examples/train_gpt.py --kernels"]


def test_the_page_of_today_shows_curves_within_the_band(runs):
    page = (DOCS / "training.md").read_text(encoding="utf-8")
    rows = [line.split("|") for line in page.splitlines() if line.startswith(("| PyTorch", "| JAX"))]
    assert len(rows) == 2 and all(0 < float(row[2]) <= runs.Result.band for row in rows)
    assert (DOCS / "img" / "training.png").read_bytes().startswith(b"\x89PNG")
