"""Sweeps: every combination once, refusals kept as points, a table and a plot."""

import sys

import pytest
from tests.profile.small import Row, timeline

from opentrn.errors import CapacityError, InstallError, LaunchError
from opentrn.profile.report import profile_report
from opentrn.profile.sweep import parse_axis, plot, sweep, sweep_table


def run(tile, buffers=1):
    if tile == 512:
        raise CapacityError("the tile is too large\n  got: 512")
    return profile_report(timeline([Row("vector", 0, tile * 10.0 / buffers)]))


def test_every_combination_once_and_in_order():
    seen = []
    found = sweep(run, {"tile": [128, 256], "buffers": [1, 2]}, "kernel", lambda *step: seen.append(step[:2]))
    assert [p.arguments for p in found.points] == [{"tile": t, "buffers": b} for t in (128, 256) for b in (1, 2)]
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert found.best.arguments == {"tile": 128, "buffers": 2}
    assert found.best.latency_us == pytest.approx(0.64)


def test_what_opentrn_refuses_is_a_point_and_the_sweep_goes_on():
    found = sweep(run, {"tile": [512, 128]})
    assert (found.points[0].latency_us, found.points[0].error) == (None, "the tile is too large")
    text = sweep_table(found)
    assert "the tile is too large" in text and "<- quickest" in text.splitlines()[-1]


def test_all_refused_has_no_best():
    found = sweep(run, {"tile": [512]})
    assert found.best is None and "512" in sweep_table(found)


def test_another_exception_ends_it():
    with pytest.raises(TypeError):
        sweep(run, {"til": [1]})


@pytest.mark.parametrize("axes", [{}, {"tile": []}])
def test_nothing_to_sweep_over(axes):
    with pytest.raises(LaunchError):
        sweep(run, axes)


@pytest.mark.parametrize(
    ("text", "axis"),
    [("tile=128,256", ("tile", [128, 256])), ("x = a, 1.5 ,true,none", ("x", ["a", 1.5, True, None]))],
)
def test_axes_in_words(text, axis):
    assert parse_axis(text) == axis


@pytest.mark.parametrize("text", ["tile", "tile=", "=1,2", "a b=1"])
def test_axes_that_say_nothing(text):
    with pytest.raises(LaunchError):
        parse_axis(text)


@pytest.mark.parametrize("form", ["svg", "png"])
def test_a_plot_is_written(tmp_path, form):
    pytest.importorskip("matplotlib")
    found = sweep(run, {"tile": [128, 512, 256], "buffers": [1, 2]}, "add")
    path = tmp_path / f"sweep.{form}"
    plot(found, path)
    start = path.read_bytes()[:200]
    assert start.startswith(b"\x89PNG") if form == "png" else b"<?xml" in start
    assert list(tmp_path.iterdir()) == [path]


def test_a_plot_of_another_form_is_refused(tmp_path):
    with pytest.raises(LaunchError, match="plot"):
        plot(sweep(run, {"tile": [1]}), tmp_path / "sweep.bmp")


def test_a_plot_without_matplotlib_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(InstallError, match="matplotlib"):
        plot(sweep(run, {"tile": [1]}), tmp_path / "sweep.svg")
    assert not list(tmp_path.iterdir())
