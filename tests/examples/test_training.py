"""The training examples: five steps of each, what they write, and that the model really goes through kernels."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path

import pytest

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
    """The shared module; the functions of it that have the usual sizes as defaults get small ones."""
    monkeypatch.syspath_prepend(str(EXAMPLES))
    for name in ("training", "train_gpt", "train_gpt_jax"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    import training

    return training


def small(training, monkeypatch):
    config = dataclasses.replace(training.CONFIG, **SMALL)
    monkeypatch.setattr(training, "CONFIG", config)
    for name in ("shapes", "initial", "parameters", "angles", "losses", "batches"):
        monkeypatch.setattr(getattr(training, name), "__defaults__", (config,))


def example(name):
    return __import__(name)


@pytest.mark.parametrize(("name", "framework"), [("train_gpt", "PyTorch"), ("train_gpt_jax", "JAX")])
def test_five_steps(training, monkeypatch, tmp_path, capsys, name, framework):
    small(training, monkeypatch)
    monkeypatch.setattr(sys, "argv", [name, "--steps", "5", "--out", str(tmp_path / "made"), "--json"])
    assert training.main(framework, example(name).learner) == 0
    result = training.Result(**json.loads(capsys.readouterr().out))
    assert result.kernels_loss[-1] < result.kernels_loss[0] - 0.05
    assert 0 < max(result.distances) <= training.BAND  # not the same arithmetic, and close
    assert {row[0] for row in result.kernels} == KERNELS
    counts = {row[0]: row[1] for row in result.kernels}
    assert counts["linear"] == counts["rms_norm_backward"] == 2 * 2 + 1 and counts["adamw"] == 1
    assert sum(row[2] for row in result.kernels) == pytest.approx(result.predicted_us)
    assert json.loads((tmp_path / "made" / "report.json").read_text()) == json.loads(
        json.dumps(dataclasses.asdict(result))
    )
    assert (tmp_path / "made" / "report.html").read_text().startswith("<!doctype html>")
    assert (tmp_path / "made" / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_kernels_have_no_findings(training, monkeypatch):
    small(training, monkeypatch)
    _, session = training.compared("PyTorch", example("train_gpt").learner, 1)
    assert [f for found in session.findings for f in found if f.severity == "error"] == []


def test_both_frameworks_start_from_the_same_loss(training, monkeypatch):
    small(training, monkeypatch)
    batch = next(training.batches(1))
    first, second = (example(name).learner(False)(*batch, 1, 1e-3) for name in ("train_gpt", "train_gpt_jax"))
    assert first == pytest.approx(second, abs=1e-5)


def apart(kernels):
    """A learner whose loss with kernels leaves the band at step 2."""
    return lambda tokens, labels, number, rate: 1.0 + (kernels and number > 1)


def test_curves_that_part_are_an_error(training, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["x", "--steps", "3"])
    assert training.main("PyTorch", apart) == 1
    assert "largest distance of the curves 1.0000 at step 2: OUTSIDE the band" in capsys.readouterr().out


def test_a_loss_that_is_no_number_is_an_error(training, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["x", "--steps", "1"])
    assert training.main("PyTorch", lambda kernels: lambda *_: float("nan") if kernels else 1.0) == 1


def test_an_interrupt_ends_after_the_step_and_writes_nothing(training, monkeypatch, tmp_path, capsys):
    import signal

    steps = []

    def learner(kernels):
        def step(*_):
            signal.raise_signal(signal.SIGINT)
            steps.append(kernels)
            return 1.0

        return step

    monkeypatch.setattr(sys, "argv", ["x", "--steps", "3", "--out", str(tmp_path / "made")])
    assert training.main("PyTorch", learner) == 130
    assert steps == [False] and "nothing was written" in capsys.readouterr().err
    assert not (tmp_path / "made").exists()


def test_the_page_shows_a_run_of_today(training):
    """Predicted times are the same on every machine: a step's kernels, timed again, give the page's table."""
    _, session = training.compared("PyTorch", example("train_gpt").learner, 1)
    page = (DOCS / "training.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("| `")]
    spent = {launch.kernel.__name__: 0.0 for launch in session.launches}
    for launch in session.launches:
        spent[launch.kernel.__name__] += launch.count * launch.report.latency_us
    assert {row.split("`")[1]: row.split("|")[3].strip() for row in rows} == {
        n: f"{us:,.1f}" for n, us in spent.items()
    }
    for row in [line for line in page.splitlines() if line.startswith(("| PyTorch", "| JAX"))]:
        assert 0 < float(row.split("|")[2]) <= training.BAND
    assert (DOCS / "img" / "training.png").read_bytes().startswith(b"\x89PNG")
