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


LAYER = "Layer.gather(Int32Array.from(start.keys()), start, end, (n) => n % 7)"


@pytest.mark.parametrize("seed", range(3))
def test_after_finds_the_first_that_ends_later(evaluate, seed):
    start, end = intervals(seed)
    times = np.concatenate((start, end, (start + end) / 2, end + 0.5, [-5, end[-1] + 5]))
    lows = np.random.default_rng(seed).integers(0, 40, len(times))
    got = evaluate(
        f"(() => {{ const layer = {LAYER}; return [...times].map((t) => layer.after(t)); }})()",
        start=start,
        end=end,
        times=times,
    )
    want = np.searchsorted(end, times, side="right")
    np.testing.assert_array_equal(got, want)
    lows = np.minimum(lows, want)
    got = evaluate(f"(() => {{ const layer = {LAYER}; return [...times].map((t, n) => layer.after(t, lows[n])); }})()",
                   start=start, end=end, times=times, lows=lows.astype(float))  # fmt: skip
    np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("seed", range(3))
def test_the_share_of_a_window_is_exact(evaluate, seed):
    start, end = intervals(seed)
    first = np.random.default_rng(seed).uniform(-20, end[-1], 200)
    last = first + np.random.default_rng(seed + 50).uniform(0.1, 400, 200)
    got = evaluate(f"(() => {{ const layer = {LAYER}; return [...first].map((t, n) => layer.share(t, last[n])); }})()",
                   start=start, end=end, first=first, last=last)  # fmt: skip
    inside = np.clip(np.minimum(end, last[:, None]) - np.maximum(start, first[:, None]), 0, None).sum(1)
    np.testing.assert_allclose(got, inside / (last - first), atol=1e-9)


def test_at_prefers_what_is_there_and_then_what_is_near(evaluate):
    layer = "new Layer(start, end, new Uint16Array(3), Int32Array.of(7, 8, 9))"
    times = [5.0, 10.0, 10.4, 19.7, 20.0, 35.0, 46.0, 52.0]
    got = evaluate(
        f"[...times].map((t) => {layer}.at(t, 1))", start=[0.0, 20.0, 40.0], end=[10.0, 30.0, 50.0], times=times
    )
    assert got == [0, 0, 0, 1, 1, -1, 2, -1]


def test_gather_sorts_and_leaves_out_what_takes_no_time(evaluate):
    got = evaluate("(({start, end, item, category}) => [start, end, item, category].map((c) => [...c]))(Layer.gather(Int32Array.of(0, 1, 2, 3), from, to, kind))",
                   **{"from": [30.0, 5.0, 0.0, 12.0], "to": [40.0, 5.0, 4.0, 20.0], "kind": [1, 2, 3, 4]})  # fmt: skip
    assert got == [[0, 12, 30], [4, 20, 40], [2, 3, 0], [3, 4, 1]]


@pytest.mark.parametrize("most", [4, 100])
def test_overlapping_transfers_are_dealt_out(evaluate, most):
    rng = np.random.default_rng(5)
    start = rng.uniform(0, 1000, 200)
    end = start + rng.uniform(1, 40, 200)
    got = evaluate(
        f"dealt(Int32Array.from(start.keys()), start, end, start, {most}).map((layer) => [...layer.item])",
        start=start,
        end=end,
    )
    assert sorted(n for row in got for n in row) == list(range(200)) and len(got) <= most
    if most == 100:  # as few as the largest number that is under way at once, and none overlaps another
        assert len(got) == max(int(((start <= t) & (end > t)).sum()) for t in start)
        assert all((start[row[1:]] >= end[row[:-1]]).all() for row in got)


def test_steps_keep_their_peaks_when_they_get_coarse(evaluate):
    rng = np.random.default_rng(1)
    time, value = np.arange(20_000.0), rng.integers(0, 1000, 20_000).astype(float)
    value[12_345] = 5000
    steps = "new Steps(time, value)"
    got = evaluate(f"(({{value, first, last}}) => [last - first, Math.max(...value.subarray(first, last + 1))])({steps}.visible(0, 20000, 500))",
                   time=time, value=value)  # fmt: skip
    assert got[0] <= 4096 and got[1] == 5000
    got = evaluate(f"(({{time, value, first, last}}) => [time[first], time[last], value[first]])({steps}.visible(100.5, 200, 500))",
                   time=time, value=value)  # fmt: skip
    assert got == [100, 200, value[100]]
    assert evaluate(f"[{steps}.peak, {steps}.at(7.5), {steps}.at(-1)]", time=time, value=value) == [
        5000,
        value[7],
        value[0],
    ]
    assert evaluate("[new Steps(time, value).peak, new Steps(time, value).at(3)]", time=[], value=[]) == [0, 0]
