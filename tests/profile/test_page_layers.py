"""The arithmetic of the page (`page/layer.js`) against numpy: what is where, how much of a pixel is covered."""

import json

import numpy as np
import pytest
from tests.profile.browser import CHROMIUM, MISSING
from tests.profile.test_html import PAGE

from opentrn.profile import html

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason=MISSING)


@pytest.fixture(scope="module")
def evaluate(browser):
    """Runs a JavaScript expression that sees what layer.js declares, and the given arrays."""
    assert "layer" in html.SCRIPTS
    source = (PAGE / "layer.js").read_text()

    def run(expression, **arrays):
        given = "".join(f"const {name} = Float64Array.from({json.dumps(list(a))});\n" for name, a in arrays.items())
        return browser.run(f"(() => {{ {source}\n{given} return {expression}; }})()")

    return run


def intervals(seed, many=300):
    """Sorted intervals that do not overlap, some of them touching."""
    rng = np.random.default_rng(seed)
    edges = np.cumsum(rng.integers(0, 5, 2 * many) + rng.integers(0, 2, 2 * many) * 20.0)
    start, end = edges[::2], edges[1::2]
    return start[end > start], end[end > start]


LAYER = "const layer = Layer.gather(Int32Array.from(start.keys()), start, end, (n) => n % 7);"


@pytest.mark.parametrize("seed", range(3))
def test_after_finds_the_first_that_ends_later(evaluate, seed):
    start, end = intervals(seed)
    times = np.concatenate((start, end, (start + end) / 2, end + 0.5, [-5, end[-1] + 5]))
    want = np.searchsorted(end, times, side="right")
    lows = np.minimum(np.random.default_rng(seed).integers(0, 40, len(times)), want).astype(float)
    for call in ("layer.after(t)", "layer.after(t, lows[n])"):
        script = f"(() => {{ {LAYER} return [...times].map((t, n) => {call}); }})()"
        np.testing.assert_array_equal(evaluate(script, start=start, end=end, times=times, lows=lows), want)


@pytest.mark.parametrize("seed", range(3))
def test_the_share_of_a_window_is_exact(evaluate, seed):
    start, end = intervals(seed)
    first = np.random.default_rng(seed).uniform(-20, end[-1], 200)
    last = first + np.random.default_rng(seed + 50).uniform(0.1, 400, 200)
    script = f"(() => {{ {LAYER} return [...first].map((t, n) => layer.share(t, last[n])); }})()"
    got = evaluate(script, start=start, end=end, first=first, last=last)
    inside = np.clip(np.minimum(end, last[:, None]) - np.maximum(start, first[:, None]), 0, None).sum(1)
    np.testing.assert_allclose(got, inside / (last - first), atol=1e-9)


def test_at_prefers_what_is_there_and_then_what_is_near(evaluate):
    layer = "new Layer(start, end, new Uint16Array(3), Int32Array.of(7, 8, 9))"
    times = [5.0, 10.0, 10.4, 19.7, 20.0, 35.0, 46.0, 52.0]
    arrays = {"start": [0.0, 20.0, 40.0], "end": [10.0, 30.0, 50.0], "times": times}
    assert evaluate(f"[...times].map((t) => {layer}.at(t, 1))", **arrays) == [0, 0, 0, 1, 1, -1, 2, -1]


def test_gather_sorts_and_leaves_out_what_takes_no_time(evaluate):
    layer = "Layer.gather(Int32Array.of(0, 1, 2, 3), from, to, kind)"
    arrays = {"from": [30.0, 5.0, 0.0, 12.0], "to": [40.0, 5.0, 4.0, 20.0], "kind": [1, 2, 3, 4]}
    got = evaluate(f"['start', 'end', 'item', 'category'].map((name) => [...{layer}[name]])", **arrays)
    assert got == [[0, 12, 30], [4, 20, 40], [2, 3, 0], [3, 4, 1]]


@pytest.mark.parametrize("most", [4, 100])
def test_overlapping_transfers_are_dealt_out(evaluate, most):
    rng = np.random.default_rng(5)
    start = rng.uniform(0, 1000, 200)
    end = start + rng.uniform(1, 40, 200)
    layers = f"dealt(Int32Array.from(start.keys()), start, end, start, {most})"
    got = evaluate(f"{layers}.map((layer) => [...layer.item])", start=start, end=end)
    assert sorted(n for row in got for n in row) == list(range(200)) and len(got) <= most
    if most == 100:  # as few as the largest number that is under way at once, and none overlaps another
        assert len(got) == max(int(((start <= t) & (end > t)).sum()) for t in start)
        assert all((start[row[1:]] >= end[row[:-1]]).all() for row in got)


def test_steps_keep_their_peaks_when_they_get_coarse(evaluate):
    rng = np.random.default_rng(1)
    time, value = np.arange(20_000.0), rng.integers(0, 1000, 20_000).astype(float)
    value[12_345] = 5000

    def seen(expression, at):
        script = f"(({{time, value, first, last}}) => {expression})(new Steps(time, value).visible({at}, 500))"
        return evaluate(script, time=time, value=value)

    many, peak = seen("[last - first, Math.max(...value.subarray(first, last + 1))]", "0, 20000")
    assert many <= 4096 and peak == 5000
    assert seen("[time[first], time[last], value[first]]", "100.5, 200") == [100, 200, value[100]]


def test_steps_hold_their_value_until_the_next(evaluate):
    script = "((steps) => [steps.peak, steps.at(-1), steps.at(4.9), steps.at(5), steps.at(99)])(new Steps(time, value))"
    assert evaluate(script, time=[0.0, 5.0, 7.0], value=[1.0, 3.0, 2.0]) == [3, 1, 1, 3, 2]
    assert evaluate(script, time=[], value=[]) == [0, 0, 0, 0, 0]
