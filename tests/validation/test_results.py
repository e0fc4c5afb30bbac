"""Predictions, what they add up to, the page and the command."""

import dataclasses
import json

import numpy as np
import pytest

from opentrn.cli.validate import main
from opentrn.errors import FileError, MachineError, OpentrnError
from opentrn.validation import predict
from opentrn.validation.page import family_errors, page, worse
from opentrn.validation.predict import Result, predictions
from opentrn.validation.rows import rows, select
from opentrn.validation.summary import families, rankings, spearman


def row(**changes):
    return dataclasses.replace(rows()[0], **changes)


def result(measured, predicted, held_out=None, **changes):
    return Result(row(measured_us=measured, **changes), predicted, held_out or predicted)


# ------------------------------------------------------------------ predictions
def test_single_instructions_of_the_traces_are_near():
    found = list(predictions(select("instructions-traced")))
    assert len(found) > 30
    errors = [abs(each.error) for each in found]
    assert np.mean(errors) < 0.05
    assert all(each.held_out_us for each in found)


def test_both_metrics_of_one_kernel_differ_by_the_published_time():
    profiled, clocked = (next(r for r in rows() if r.id == name) for name in ("ALLENKPR-006", "ALLENK-010"))
    assert profiled.arguments == clocked.arguments
    total, latency = predictions([profiled, clocked])
    assert total.predicted_us - latency.predicted_us == pytest.approx(6.9)


def test_two_launches_add_up():
    both, fused = (next(r for r in rows() if r.id == name) for name in ("ALLENK-032", "ALLENK-033"))
    unfused, one = predictions([both, fused])
    assert unfused.predicted_us > 1.5 * one.predicted_us


def test_a_chip_without_a_number_gives_a_problem_and_no_number(monkeypatch):
    def refuse(*_args, **_kwargs):
        raise MachineError("trn2 has no public number for 'cost.nothing'")

    monkeypatch.setattr(predict, "simulate", refuse)
    (found,) = predictions([next(r for r in rows() if r.id == "ALLENK-033")])
    assert (found.predicted_us, found.held_out_us) == (None, None)
    assert "cost.nothing" in found.problem
    assert found.error is None


# ------------------------------------------------------------------ sums
def test_errors_of_a_family():
    found = [result(100, 110, 120, family="one", id="a"), result(100, 80, 100, family="one", id="b")]
    (summed,) = families(found)
    assert (summed.rows, summed.worst_row) == (2, "b")
    assert (summed.mean, summed.worst) == (pytest.approx(0.15), pytest.approx(0.2))
    assert (summed.held_out_mean, summed.held_out_worst) == (pytest.approx(0.1), pytest.approx(0.2))


def test_rows_without_a_prediction_do_not_count():
    assert families([Result(row(), None, None, "no number")]) == []


def test_rank_correlation():
    assert spearman([1, 2, 3, 4], [10, 20, 30, 40]) == pytest.approx(1)
    assert spearman([1, 2, 3, 4], [40, 30, 20, 10]) == pytest.approx(-1)
    assert spearman([1, 2, 3], [10, 30, 20]) == pytest.approx(0.5)


def test_times_within_one_percent_are_one_rank():
    assert spearman([100, 100.5, 50], [7, 6.99, 3]) == pytest.approx(1)
    assert spearman([100, 102, 50], [6, 7, 3]) == pytest.approx(1)
    assert spearman([5, 5, 5], [1, 1, 1]) == 1
    assert spearman([5, 5, 5], [1, 2, 3]) == 0


def test_versions_are_ranked_from_three_on():
    pair = [result(n, n, versions="kernel", id=str(n)) for n in (1, 2)]
    assert rankings(pair) == []
    (found,) = rankings([*pair, result(3, 2.5, versions="kernel", id="3")])
    assert (found.versions, found.rows, found.correlation) == ("kernel", 3, pytest.approx(1))


# ------------------------------------------------------------------ the page
def test_the_page_is_read_back():
    found = [result(100, 110, family="mlp", id="a"), result(100, 80, 70, family="kmeans", id="b")]
    assert family_errors(page(found)) == {"mlp": 10.0, "kmeans": 20.0}


def test_a_family_may_get_worse_by_two_points_and_no_more():
    before = page([result(100, 110, family="mlp", id="a")])
    assert worse([result(100, 111.9, family="mlp", id="a")], before) == []
    ((found, was),) = worse([result(100, 112.1, family="mlp", id="a")], before)
    assert (found.family, was) == ("mlp", 10.0)
    assert worse([result(100, 200, family="new", id="a")], before) == []


def test_a_text_that_is_no_page():
    with pytest.raises(OpentrnError, match="no table of families"):
        family_errors("# Something else")


def test_json(capsys):
    assert main(["--json", "--family", "instructions-trn1"]) == 0
    found = json.loads(capsys.readouterr().out)["rows"]
    keys = {"id", "kind", "family", "target", "measured_us", "predicted_us", "predicted_us_held_out", "tier", "source"}
    assert all(keys <= set(each) for each in found)
    assert {each["kind"] for each in found} == {"instruction"}


def test_text(capsys):
    assert main(["--family", "instructions-trn1"]) == 0
    out = capsys.readouterr().out
    assert "DOCPG-002" in out
    assert "held out" in out


def test_check(tmp_path, capsys):
    good = tmp_path / "good.md"
    good.write_text(page(list(predictions(select("instructions-trn1")))))
    assert main(["--family", "instructions-trn1", "--check", str(good)]) == 0
    bad = tmp_path / "bad.md"
    mean = family_errors(good.read_text())["instructions-trn1"]
    bad.write_text(good.read_text().replace(f"{mean} % |", "0.0 % |", 1))
    assert main(["--family", "instructions-trn1", "--check", str(bad)]) == 1
    assert "instructions-trn1: mean error" in capsys.readouterr().err


def test_bad_input(capsys, tmp_path):
    with pytest.raises(FileError, match="cannot be read"):
        main(["--check", str(tmp_path / "none.md")])
    with pytest.raises(OpentrnError, match="no published row"):
        main(["--family", "nothing"])
    with pytest.raises(SystemExit) as error:
        main(["--family", "mlp", "--write", str(tmp_path / "page.md")])
    assert error.value.code == 2
    assert "page of all rows" in capsys.readouterr().err
