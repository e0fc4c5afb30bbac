"""The HTML page in a real browser: real clicks, wheel and keys, checked against what the timeline says.

Needs Chromium (no driver, no package): `apt-get install --no-install-recommends chromium`. Skipped without it.
"""

import re
from functools import cache

import numpy as np
import pytest
from tests.profile.browser import CHROMIUM, GUTTER, MISSING, canvas, click_on, search, text, view
from tests.timing.synthetic import KERNEL, synthetic_timeline

from opentrn.profile.html import write_html
from opentrn.profile.report import profile_report
from opentrn.timing.timeline import CAUSES

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason=MISSING)

TIMELINE = synthetic_timeline(2000, seed=1)


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "attention.html"
    write_html(path, TIMELINE, profile_report(TIMELINE, "attention").to_dict())
    return path


@pytest.fixture
def page(browser, file):
    """The page, freshly opened; whatever a test does, it may neither ask for anything nor throw."""
    browser.events.clear()
    browser.prefer("light")
    browser.open(file)
    yield browser
    browser.run("1")  # so that every event has arrived
    assert browser.requests() == [file.as_uri()]
    assert browser.problems() == []


def look_at(page, row):
    """Zoom in on a row; gives where it is on the screen."""
    start = TIMELINE.start[row]
    page.run(f"opentrn.show({start - 4000}, {start + 4000})")
    page.frame()
    where = page.run(f"opentrn.where({row})")
    return where["x"], where["y"]


def short(value, decimals=2):
    """A number as the page writes it: no zeros at its end."""
    return f"{value:,.{decimals}f}".rstrip("0").rstrip(".")


def rows_where(keep):
    """Rows of the timeline in the order of their start."""
    rows = np.flatnonzero(keep)
    return rows[np.argsort(TIMELINE.start[rows], kind="stable")]


def name(row):
    return TIMELINE.operations[TIMELINE.operation[row]].name


def test_it_opens_with_everything_in_view(page):
    state = view(page)
    assert state["from"] <= 0 and state["to"] >= TIMELINE.total_ns and state["selected"] == -1
    names = [lane["name"] for lane in state["lanes"]]
    assert names[:7] == ["Critical path", "TensorE clock", "TensorE", "VectorE", "ScalarE", "GpSimd", "SyncE"]
    assert names[7:] == ["DMA sync load", "DMA gpsimd", "DMA sync store", "SBUF", "PSUM"]
    assert text(page, "h1") == "attention" and "2,000 instructions" in text(page, "#size")


@pytest.mark.parametrize("row", [4, 1000, 1999])
def test_a_click_selects_an_instruction_and_says_what_it_is(page, row):
    page.click(*look_at(page, row))
    assert view(page)["selected"] == row
    details = text(page, "#details")
    operation, place = TIMELINE.operations[TIMELINE.operation[row]], TIMELINE.places[TIMELINE.place[row]]
    assert operation.name in details and operation.operands.split(", ")[0] in details
    assert f"attention.py:{place.line} in {place.function}" in details
    assert CAUSES[TIMELINE.cause[row]] in details and operation.tiers[0] in details
    assert f"{short(TIMELINE.start[row] / 1e3, 3)} µs" in details
    assert name(TIMELINE.blocker[row]) in details
    assert text(page, ".line.here .number") == str(place.line)


def test_bars_are_painted_in_the_colour_of_their_engine(page):
    row = int(rows_where(TIMELINE.engine == 3)[5])
    x, y = look_at(page, row)
    left, top, *_ = canvas(page)
    pixel = page.run(
        f"[...document.getElementById('canvas').getContext('2d').getImageData({x - left}, {y - top + 6}, 1, 1).data]"
    )
    red, green, blue, _ = pixel
    assert blue > green + 40 and red > green  # GpSimd is purple


def test_a_click_on_a_wait_selects_who_waits(page):
    row = int(np.flatnonzero((TIMELINE.wait > 1500) & (TIMELINE.engine == 1))[3])
    middle = (TIMELINE.ready[row] + TIMELINE.start[row]) / 2
    page.run(f"opentrn.show({middle - 1000}, {middle + 1000})")
    page.frame()
    left, _, width, _ = canvas(page)
    _, y = page.run(f"(({{x, y}}) => [x, y])(opentrn.where({row}))")
    page.click(left + (width + GUTTER) / 2, y)
    assert view(page)["selected"] == row


def test_a_click_on_a_transfer_selects_it_and_its_instruction(page):
    transfer = int(np.flatnonzero(TIMELINE.dma.direction == 0)[20])
    first, last = TIMELINE.dma.first[transfer], TIMELINE.dma.last[transfer]
    page.run(f"opentrn.show({first - 500}, {last + 500})")
    page.frame()
    state = view(page)
    lane = next(
        lane for lane in state["lanes"] if TIMELINE.queues[TIMELINE.dma.queue[transfer]].endswith(lane["name"][4:])
    )
    left, top, width, _ = canvas(page)
    page.click(left + (width + GUTTER) / 2, top + 60 + lane["y"] + lane["height"] / 2)
    state = view(page)
    assert (state["transfer"], state["selected"]) == (transfer, TIMELINE.dma.instruction[transfer])
    assert "Transfer (selected)".upper() in text(page, "#details").upper() and "32 KiB HBM to SBUF" in text(
        page, "#details"
    )


def test_the_blocker_is_one_key_or_one_click_away(page):
    row = 1006
    page.run(f"opentrn.select({row})")
    page.key("b")
    blocker = int(TIMELINE.blocker[row])
    assert view(page)["selected"] == blocker
    click_on(page, "#details header button:last-child")
    assert view(page)["selected"] == int(TIMELINE.blocker[blocker])
    x = page.run(f"opentrn.where({int(TIMELINE.blocker[blocker])}).x")
    left, _, width, _ = canvas(page)
    assert left < x < left + width  # it was brought into sight


def test_arrow_keys_walk_along_an_engine(page):
    rows = np.flatnonzero(TIMELINE.engine == 0)
    page.run(f"opentrn.select({rows[10]})")
    page.key("ArrowRight")
    assert view(page)["selected"] == rows[11]
    page.key("ArrowLeft")
    page.key("ArrowLeft")
    assert view(page)["selected"] == rows[9]
    page.key("Escape")
    assert view(page)["selected"] == -1 and "Click an instruction" in text(page, "#details")


def test_the_wheel_zooms_at_the_cursor_and_a_double_click_shows_all(page):
    left, top, width, _ = canvas(page)
    x, y = left + 600, top + 200
    before = view(page)

    def under(state):
        return state["from"] + (state["to"] - state["from"]) * (x - left - GUTTER) / (width - GUTTER)

    for _ in range(6):
        page.mouse("mouseWheel", x, y, deltaX=0, deltaY=-200)
    page.frame()
    after = view(page)
    assert after["to"] - after["from"] < 0.2 * (before["to"] - before["from"])
    assert under(after) == pytest.approx(under(before), rel=1e-6)
    page.mouse("mouseWheel", x, y, deltaX=0, deltaY=200)
    page.frame()
    assert view(page)["to"] - view(page)["from"] > after["to"] - after["from"]
    page.click(x, y, times=2)
    whole = view(page)
    assert (whole["from"], whole["to"]) == (before["from"], before["to"])


def test_dragging_and_keys_move_and_zoom(page):
    page.run("opentrn.show(100000, 110000)")
    left, top, width, _ = canvas(page)
    page.drag((left + 700, top + 200), (left + 600, top + 200))
    state = view(page)
    assert state["from"] == pytest.approx(100000 + 10000 * 100 / (width - GUTTER)) and state["selected"] == -1
    page.key("d")
    assert view(page)["from"] == pytest.approx(state["from"] + 2000)
    page.key("a")
    assert view(page)["from"] == pytest.approx(state["from"])
    page.key("w")
    assert view(page)["to"] - view(page)["from"] == pytest.approx(10000 / 1.4)
    page.key("s")
    assert view(page)["to"] - view(page)["from"] == pytest.approx(10000)
    page.key("0")
    assert view(page)["to"] > TIMELINE.total_ns


def test_the_overview_moves_the_window_and_shift_measures(page):
    left, top, width, _ = canvas(page)
    page.run("opentrn.show(0, 20000)")
    page.click(left + GUTTER + (width - GUTTER) / 2, top + 15)
    state = view(page)
    assert (state["from"] + state["to"]) / 2 == pytest.approx(TIMELINE.total_ns / 2, rel=1e-3)
    page.drag((left + 400, top + 200), (left + 500, top + 200), shift=True)
    measured = view(page)["measure"]
    assert measured[1] - measured[0] == pytest.approx(20000 * 100 / (width - GUTTER))


def test_no_zoom_leaves_the_run(page):
    for script in (
        "opentrn.show(-1e12, -1e11)",
        "opentrn.show(1e12, 2e12)",
        "opentrn.show(5, 5)",
        "opentrn.show(-1e9, 1e9)",
    ):
        page.run(script)
        state = view(page)
        assert 20 <= state["to"] - state["from"] <= 1.1 * TIMELINE.total_ns
        assert state["from"] < TIMELINE.total_ns and state["to"] > 0


def test_search_by_name_goes_through_the_matches_in_time(page):
    found = rows_where([name(row) == "dma_copy" for row in range(len(TIMELINE))])
    assert (np.diff(found) < 0).any()  # their order in time is not that of the program
    search(page, "dma_copy")
    state = view(page)
    assert (state["marked"], state["selected"]) == (len(found), found[0])
    assert text(page, "#found") == f"1 of {len(found)}"
    click_on(page, "#next")
    assert view(page)["selected"] == found[1]
    for row in found[2:8]:
        click_on(page, "#next")
        assert view(page)["selected"] == row
    for _ in range(8):
        click_on(page, "#previous")
    assert view(page)["selected"] == found[-1]
    page.run("document.getElementById('canvas').focus()")
    page.key("n")
    assert view(page)["selected"] == found[0]
    page.key("N", shift=True)
    assert view(page)["selected"] == found[-1]
    page.key("Escape")
    assert view(page)["marked"] is None and text(page, "#found") == ""


def test_search_by_line_and_by_tensor(page):
    line = TIMELINE.places[5].line
    search(page, str(line))
    at_line = np.array([place.line == line for place in TIMELINE.places])[TIMELINE.place]
    assert view(page)["marked"] == at_line.sum() > 0
    search(page, "v")
    assert view(page)["marked"] == sum(map(names_v, range(len(TIMELINE))))
    search(page, "k_t")  # a word of the source line
    assert view(page)["marked"] == sum("k_t" in line for line in source_lines())
    search(page, "no such thing")
    assert view(page)["marked"] == 0 and page.run("document.getElementById('next').disabled")


def names_v(row):
    """Is v a word of its source line or its operands, or the tensor that it moves?"""
    words = source_lines()[row] + " " + TIMELINE.operations[TIMELINE.operation[row]].operands
    moved = TIMELINE.dma.tensor[TIMELINE.dma.instruction == row]
    return re.search(r"\bv\b", words) is not None or 2 in moved


@cache
def source_lines():
    """The source line of every instruction."""
    lines = KERNEL.read_text().splitlines()
    return [lines[TIMELINE.places[place].line - 1] for place in TIMELINE.place]


def test_a_source_line_marks_its_instructions_and_goes_to_the_first(page):
    place = 7
    line, rows = TIMELINE.places[place].line, rows_where(TIMELINE.place == 7)
    page.run(
        f"[...document.querySelectorAll('.line.live')].find((e) => e.innerText.includes('{line}\\n')).id = 'wanted'"
    )
    click_on(page, "#wanted")
    state = view(page)
    assert (state["marked"], state["selected"]) == (len(rows), rows[0])
    assert page.run("document.getElementById('wanted').getAttribute('aria-pressed')") == "true"
    left, _, width, _ = canvas(page)
    assert left + GUTTER < page.run(f"opentrn.where({rows[0]}).x") < left + width
    click_on(page, "#wanted")
    assert view(page)["marked"] is None


def test_a_line_shows_its_time_and_its_share_of_the_critical_path(page):
    costs = {line.place.line: line for line in profile_report(TIMELINE).lines}
    for row in page.run(
        "[...document.querySelectorAll('.line.live')].map((e) => [...e.children].map((c) => c.innerText))"
    ):
        busy, share, line, _ = row
        cost = costs.pop(int(line))
        assert float(busy.split()[0].replace(",", "")) == pytest.approx(cost.busy_us, rel=1e-3)
        assert float(share.replace("–", "0").split()[0]) == pytest.approx(100 * cost.critical_share, abs=0.51)
    assert costs == {}


def test_a_cause_in_the_legend_marks_who_waited_for_it(page):
    cause = CAUSES.index("dma")
    click_on(page, f"[data-mark='cause {cause}']")
    waited = (TIMELINE.cause == cause) & (TIMELINE.wait > 0)
    assert view(page)["marked"] == waited.sum() > 0
    click_on(page, f"[data-mark='cause {cause}']")
    assert view(page)["marked"] is None


def test_the_summary_is_tables_and_its_places_lead_to_the_source(page):
    click_on(page, "#tab-summary")
    report = profile_report(TIMELINE, "attention")
    shown = text(page, "#summary")
    assert report.verdict in shown and f"{report.latency_us:.1f} µs" in shown
    rows = page.run(
        "[...document.querySelectorAll('#summary tbody tr')].map((e) => [...e.cells].map((c) => c.innerText))"
    )
    tensor = report.engines["tensor"]
    assert any(row[0] == "tensor" and str(tensor.instructions) in row for row in rows)
    click_on(page, "#summary button.link")
    assert (
        not page.run("document.getElementById('source').hidden")
        and page.run("document.querySelectorAll('.line.here').length") == 1
    )


def test_the_roofline_has_the_roofs_and_the_kernel(page):
    click_on(page, "#tab-roofline")
    shown, roofline = text(page, "#roofline"), profile_report(TIMELINE).roofline
    assert f"{short(roofline.intensity)} FLOP/byte" in shown and f"{short(roofline.achieved_tflops)} TFLOP/s" in shown
    assert f"{TIMELINE.chip.engines.tensor.tflops_bf16} TFLOP/s" in shown and "documented" in shown
    box, at = (
        page.run(f"(({{x, y}}) => [x, y])(document.querySelector('#roofline {what}').getBoundingClientRect())")
        for what in ("svg", "circle")
    )
    assert at[0] > box[0] and at[1] > box[1]


def test_tabs_and_panes_obey_the_keyboard(page):
    page.run("document.getElementById('tab-source').focus()")
    page.key("ArrowRight")
    assert page.run("document.activeElement.id") == "tab-summary" and not page.run(
        "document.getElementById('summary').hidden"
    )
    assert view(page)["selected"] == -1
    before = canvas(page)[2]
    page.run("document.getElementById('side-bar').focus()")
    page.key("ArrowLeft")
    assert canvas(page)[2] == before - 20
    page.run("document.activeElement.blur()")
    page.key("?")
    assert page.run("document.getElementById('help').open")
    page.run("document.getElementById('help').close()")


def test_dark_and_light_follow_the_system(page):
    colour = "getComputedStyle(document.body).backgroundColor"
    corner = "[...document.getElementById('canvas').getContext('2d').getImageData(400, 70, 1, 1).data].slice(0, 3)"
    light, bright = page.run(colour), page.run(corner)
    page.prefer("dark")
    assert page.run(colour) != light
    assert sum(page.run(corner)) < 200 < sum(bright)


def test_every_control_has_a_name(page):
    nodes = page.call("Accessibility.getFullAXTree")["nodes"]
    roles = {
        "button",
        "searchbox",
        "tab",
        "tabpanel",
        "combobox",
        "application",
        "splitter",
        "separator",
        "dialog",
        "region",
    }
    found = [(n["role"]["value"], n.get("name", {}).get("value", "")) for n in nodes if not n["ignored"]]
    controls = [(role, label) for role, label in found if role in roles]
    assert len(controls) > 20
    assert [pair for pair in controls if sum(letter.isalpha() for letter in pair[1]) < 2] == []


def test_a_narrow_window_still_shows_both_panes(page):
    page.call("Emulation.setDeviceMetricsOverride", width=640, height=900, deviceScaleFactor=2, mobile=False)
    page.frame()
    sizes = page.run(
        "['left', 'side'].map((id) => document.getElementById(id).getBoundingClientRect()).map((b) => [b.width, b.height])"
    )
    page.call("Emulation.setDeviceMetricsOverride", width=1500, height=950, deviceScaleFactor=1, mobile=False)
    assert all(width == 640 and height > 200 for width, height in sizes)
