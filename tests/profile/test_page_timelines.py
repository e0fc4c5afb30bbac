"""The HTML page with other timelines in a real browser: empty ones, two cores, hostile text, 200,000 instructions."""

from dataclasses import replace

import numpy as np
import pytest
from tests.profile.browser import CHROMIUM, GUTTER, MISSING, canvas, click_on, search, text, view
from tests.profile.timelines import only_transfers
from tests.timing.synthetic import synthetic_timeline

from opentrn.profile.html import write_html
from opentrn.timing.timeline import Place

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason=MISSING)

LOAD_MS, FRAME_MS = 3000, 50


def open_other(browser, path, timeline, summary=None):
    write_html(path, timeline, summary)
    browser.events.clear()
    browser.open(path)
    browser.frame()
    assert browser.problems() == [] and browser.requests() == [path.as_uri()]


@pytest.mark.parametrize(
    "timeline", [synthetic_timeline(0), only_transfers(), synthetic_timeline(1, cores=2)], ids=["empty", "DMA", "one"]
)
def test_a_timeline_with_almost_nothing_opens(browser, tmp_path, timeline):
    open_other(browser, tmp_path / "page.html", timeline)
    assert f"{len(timeline)} instructions" in text(browser, "#size")
    left, top, width, height = canvas(browser)
    for share in (0.2, 0.5, 0.9):
        browser.click(left + GUTTER + share * (width - GUTTER), top + share * height)
    for key in "wsad0fbnN":
        browser.key(key)
    search(browser, "dma_copy")
    assert view(browser)["marked"] == sum(
        op.name == "dma_copy" for op in (timeline.operations[n] for n in timeline.operation)
    )
    for tab in ("summary", "roofline"):
        click_on(browser, f"#tab-{tab}")
        assert text(browser, f"#{tab}")
    assert browser.problems() == []


def test_a_run_of_no_time_and_no_places_opens(browser, tmp_path):
    empty = synthetic_timeline(0)
    nothing = dict.fromkeys(("total_ns", "prologue_ns", "epilogue_ns"), 0.0)
    lists = {name: [] for name in ("places", "operations", "tensors", "queues", "clock")}
    bare = replace(empty, **nothing, **lists, occupancy={})
    open_other(browser, tmp_path / "page.html", bare)
    assert text(browser, "h1") == "empty timeline" and "no instructions" in text(browser, "#lines")


def test_text_of_a_kernel_is_shown_and_never_run(browser, tmp_path):
    nasty = "</script><script>window.hacked = 1</script><img src=x onerror='window.hacked = 2'>"
    kernel = tmp_path / "<b>kernel&amp;.py"
    kernel.write_text(f"x = '''{nasty}\n'''  # {nasty}\n")
    timeline = synthetic_timeline(40)
    words = f"dst (1, 1) float32 psum, data (1, 1) float32 {nasty}"
    operations = [replace(op, name=nasty, operands=words, tiers=(nasty,)) for op in timeline.operations]
    odd = replace(
        timeline,
        operations=operations,
        places=[Place(str(kernel), 1, nasty)] * len(timeline.places),
        queues=[nasty] * 3,
    )
    open_other(browser, tmp_path / "page.html", odd, {"kernel": nasty, nasty: [nasty, {nasty: nasty}]})
    browser.run("opentrn.select(3)")
    where = browser.run("opentrn.where(3)")
    browser.click(where["x"], where["y"])
    for tab in ("summary", "roofline", "source"):
        click_on(browser, f"#tab-{tab}")
    assert browser.run("typeof window.hacked") == "undefined" and browser.problems() == []
    assert text(browser, "h1") == nasty and nasty in text(browser, "#details") and nasty in text(browser, "#lines")
    assert browser.run("document.querySelectorAll('img').length") == 0


def test_cores_have_lanes_of_their_own(browser, tmp_path):
    timeline = synthetic_timeline(600, cores=2)
    open_other(browser, tmp_path / "page.html", timeline)
    browser.run("document.documentElement.style.setProperty('--drawer', '400px')")  # too little room for all lanes
    browser.frame()
    names = [(lane["name"], lane["core"]) for lane in view(browser)["lanes"]]
    assert [n for n in names if n[0] == "TensorE"] == [("TensorE", 0), ("TensorE", 1)]
    assert ("DMA sync load", 1) in names and ("PSUM", 0) in names
    browser.run("opentrn.select(400)")
    browser.key("f")
    state = view(browser)
    top, height = canvas(browser)[1::2]
    assert top < browser.run("opentrn.where(400).y") < top + height and state["scroll"] > 0


@pytest.mark.slow
def test_200_000_instructions_load_and_move_smoothly(browser, tmp_path):
    open_other(browser, tmp_path / "page.html", synthetic_timeline(200_000))
    assert view(browser)["loaded"] < LOAD_MS
    moves = {
        "pan at full width": "(n) => opentrn.show(span * 0.001 * n, span * (0.8 + 0.001 * n))",
        "zoom in": "(n) => opentrn.show(span * (0.4 - 0.4 * 0.85 ** n), span * (0.4 + 0.6 * 0.85 ** n))",
        "pan close": "(n) => opentrn.show(span * 0.4 + 200 * n, span * 0.4 + 200 * n + 40000)",
    }
    for what, move in moves.items():
        times = browser.run(f"(() => {{ const span = opentrn.view().span; return opentrn.measure(40, {move}); }})()")
        assert np.median(times) < FRAME_MS, f"{what}: {np.round(times, 1)}"
    search(browser, "nc_matmul")
    times = browser.run(
        f"(() => {{ const span = opentrn.view().span; return opentrn.measure(40, {moves['zoom in']}); }})()"
    )
    assert np.median(times) < FRAME_MS, f"zoom with marks: {np.round(times, 1)}"
