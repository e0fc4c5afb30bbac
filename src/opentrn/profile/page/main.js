// Puts the page together, and says through `window.opentrn` what it shows.

function chooseTab(name) {
  for (const tab of document.querySelectorAll("[role=tab]")) {
    const chosen = tab.id === `tab-${name}`;
    tab.setAttribute("aria-selected", String(chosen));
    tab.tabIndex = chosen ? 0 : -1;
    document.getElementById(tab.getAttribute("aria-controls")).hidden = !chosen;
  }
}

function listenTabs() {
  const tabs = [...document.querySelectorAll("[role=tab]")];
  tabs.forEach((tab, n) => {
    tab.addEventListener("click", () => chooseTab(tab.id.slice(4)));
    tab.addEventListener("keydown", (event) => {
      const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!by) return;
      const next = tabs[(n + by + tabs.length) % tabs.length];
      chooseTab(next.id.slice(4));
      next.focus();
    });
  });
}

// A bar between two panes; it sets the style property `name` (px), growing towards smaller coordinates.
function listenSplitter(id, name, sideways) {
  const bar = document.getElementById(id);
  const size = () => parseFloat(getComputedStyle(document.documentElement).getPropertyValue(name));
  const set = (px) => {
    const value = Math.round(Math.min(Math.max(px, 90), (sideways ? innerWidth : innerHeight) * 0.75));
    document.documentElement.style.setProperty(name, `${value}px`);
    bar.setAttribute("aria-valuenow", value);
  };
  bar.addEventListener("pointerdown", (event) => {
    const [from, before] = [sideways ? event.clientX : event.clientY, size()];
    bar.setPointerCapture(event.pointerId);
    bar.onpointermove = (move) => set(before + from - (sideways ? move.clientX : move.clientY));
    bar.onpointerup = bar.onpointercancel = () => (bar.onpointermove = null);
  });
  bar.addEventListener("keydown", (event) => {
    const by = { ArrowLeft: 20, ArrowUp: 20, ArrowRight: -20, ArrowDown: -20 }[event.key];
    if (by) (event.preventDefault(), set(size() + by));
  });
  set(sideways ? Math.min(640, innerWidth * 0.37) : size());
}

function listenControls(app) {
  const on = (id, run) => document.getElementById(id).addEventListener("click", run);
  on("zoom-in", () => zoom(app, 1 / 1.6));
  on("zoom-out", () => zoom(app, 1.6));
  on("fit", () => fit(app));
  on("next", () => stepMark(app, 1));
  on("previous", () => stepMark(app, -1));
  on("help-open", () => document.getElementById("help").showModal());
  let later = 0;
  app.search.addEventListener("input", () => {
    clearTimeout(later);
    later = setTimeout(() => search(app, app.search.value), 120);
  });
  app.search.addEventListener("keydown", (event) => {
    if (event.key === "Escape") return (clearMarks(app), app.canvas.focus());
    if (event.key !== "Enter") return;
    clearTimeout(later);
    if (app.marks?.label !== app.search.value) search(app, app.search.value);
    stepMark(app, event.shiftKey ? -1 : 1);
  });
}

function writeHead(run) {
  document.getElementById("latency").textContent = timeText(run.total);
  const cores = run.cores > 1 ? `${run.cores} cores of ` : "";
  document.getElementById("size").textContent =
    `${cores}${run.chip}, ${number(run.count)} instructions, ${number(run.transfers)} transfers`;
}

// For tests and for the console: what is shown, and where a row is on the screen.
function outside(app) {
  const { view, run } = app;
  return {
    view: () => ({
      from: view.from,
      to: view.to,
      span: run.span,
      scroll: view.scroll,
      selected: view.selected,
      transfer: view.transfer,
      marked: app.marks ? app.marks.rows.length : null,
      mark: app.marks?.at ?? -1,
      measure: view.measure,
      frames: { ...app.frames },
      lanes: app.lanes.map(({ kind, name, core, y, height }) => ({ kind, name, core, y, height })),
      loaded: app.loaded,
    }),
    row: (row) => ({
      name: nameOf(run, row),
      place: placeText(run, row),
      start: run.start[row],
      end: run.end[row],
      done: run.done[row],
      wait: run.start[row] - run.ready[row],
      cause: run.causes[run.cause[row]].name,
      blocker: run.blocker[row],
    }),
    where: (row) => {
      const lane = laneOfRow(app, row);
      const box = app.canvas.getBoundingClientRect();
      const { x, y } = point(app, lane, lane.bands.at(-1), (run.start[row] + run.end[row]) / 2);
      return { x: box.left + x, y: box.top + y };
    },
    select: (row) => select(app, row),
    show: (from, to) => show(app, from, to),
    fit: () => fit(app),
    measure: (frames, change) => measureFrames(app, frames, change),
  };
}

// Times between frames (ms) while `change(n)` moves the view: what a person at the screen would see.
async function measureFrames(app, frames, change) {
  const times = [];
  let last = await new Promise(requestAnimationFrame);
  for (let n = 0; n < frames; n++) {
    change(n);
    const now = await new Promise(requestAnimationFrame);
    times.push(now - last);
    last = now;
  }
  return times;
}

async function main() {
  const began = performance.now();
  const run = await readRun();
  const byId = (id) => document.getElementById(id);
  const app = {
    run,
    lanes: makeLanes(run),
    palette: readPalette(run),
    view: makeView(run),
    marks: null,
    strip: new Strip(),
    canvas: byId("canvas"),
    scroller: byId("scroller"),
    spacer: byId("spacer"),
    search: byId("search"),
    frames: { drawn: 0, last: 0, worst: 0 },
    scale: 1,
    waiting: false,
    loaded: null,
  };
  app.context = app.canvas.getContext("2d", { alpha: false });
  writeHead(run);
  makeSource(app);
  makeSummary(app);
  makeRoofline(app);
  makeLegend(app);
  showDetails(app);
  listen(app);
  listenTabs();
  listenControls(app);
  listenSplitter("side-bar", "--side", true);
  listenSplitter("drawer-bar", "--drawer", false);
  resize(app);
  fit(app);
  draw(app);
  app.loaded = performance.now() - began;
  window.opentrn = outside(app);
}

main().catch((error) => {
  document.getElementById("failed").hidden = false;
  document.getElementById("failed").textContent = `This page could not be shown: ${error.message}`;
  throw error;
});
