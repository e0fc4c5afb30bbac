// What is shown, and how mouse, touch and keys change it.

const LEAST_SPAN = 20; // ns

function makeView(run) {
  return {
    from: 0,
    to: run.span,
    scroll: 0,
    width: 0,
    height: 0,
    selected: -1,
    transfer: -1,
    hover: null,
    measure: null,
  };
}

function requestDraw(app) {
  if (app.waiting) return;
  app.waiting = true;
  requestAnimationFrame(() => {
    app.waiting = false;
    draw(app);
  });
}

function resize(app) {
  const { scroller, canvas, view } = app;
  app.scale = window.devicePixelRatio || 1;
  [view.width, view.height] = [scroller.clientWidth, scroller.clientHeight];
  [canvas.width, canvas.height] = [Math.round(view.width * app.scale), Math.round(view.height * app.scale)];
  Object.assign(canvas.style, { width: `${view.width}px`, height: `${view.height}px` });
  const bottom = HEAD + 8 + layout(app.lanes, view.height - HEAD - 12);
  app.spacer.style.height = `${Math.max(0, bottom - view.height)}px`;
  requestDraw(app);
}

// Show from .. to, kept inside the run and not closer than LEAST_SPAN.
function show(app, from, to) {
  const { view, run } = app;
  const margin = 0.02;
  const span = Math.min(Math.max(to - from, LEAST_SPAN), run.span * (1 + 2 * margin));
  const middle = (from + to) / 2;
  const slack = Math.max(0.1 * span, margin * span);
  const start = Math.min(Math.max(middle - span / 2, -slack), run.span + slack - span);
  showTip(app, null);
  [view.from, view.to] =
    span > run.span ? [-(span - run.span) / 2, run.span + (span - run.span) / 2] : [start, start + span];
  requestDraw(app);
}

function fit(app) {
  show(app, -0.01 * app.run.span, 1.01 * app.run.span);
}

function zoom(app, factor, at = (app.view.from + app.view.to) / 2) {
  const { from, to } = app.view;
  const room = Math.max(LEAST_SPAN / (to - from), factor);
  show(app, at - (at - from) * room, at + (to - at) * room);
}

function pan(app, share) {
  const by = share * (app.view.to - app.view.from);
  show(app, app.view.from + by, app.view.to + by);
}

// Bring a row into sight: keep the zoom where the row is wide enough to see and fits, else give it room on both sides.
function reveal(app, row, wide = false) {
  const { run, view } = app;
  const [from, to] = [Math.min(run.ready[row], run.start[row]), Math.max(run.done[row], run.end[row])];
  const span = view.to - view.from;
  const length = Math.max(run.end[row] - run.start[row], 1);
  const visible = (length / span) * plotWidth(view) >= 6 && run.end[row] - run.start[row] <= span;
  if (wide || !visible) show(app, run.start[row] - 12 * length, run.start[row] + 20 * length);
  else if (from < view.from || to > view.to) show(app, run.start[row] - 0.3 * span, run.start[row] + 0.7 * span);
  const lane = laneOfRow(app, row);
  const room = view.height - HEAD;
  if (lane.y < view.scroll || lane.y + lane.height > view.scroll + room) app.scroller.scrollTop = lane.y - room / 2;
  requestDraw(app);
}

// What is under a point of the canvas: {row, transfer} or null.
function hit(app, x, y) {
  const { view, lanes, run } = app;
  if (x < GUTTER || y < HEAD) return null;
  const lane = lanes.find((each) => y - HEAD + view.scroll >= each.y && y - HEAD + view.scroll < each.y + each.height);
  if (!lane?.bands) return null;
  const inside = y - HEAD + view.scroll - lane.y;
  const time = timeAt(view, x);
  const reach = (3 / plotWidth(view)) * (view.to - view.from);
  const found = [];
  for (const band of lane.bands) {
    if (!band.pick || (band.transfer && (inside < band.top - 1 || inside > band.top + band.height + 1))) continue;
    const n = band.layer.at(time, reach);
    if (n < 0) continue;
    const away = Math.max(band.layer.start[n] - time, time - band.layer.end[n], 0);
    const item = band.layer.item[n];
    found.push({
      away,
      row: band.transfer ? run.dma_instruction[item] : item,
      transfer: band.transfer ? item : -1,
      wait: Boolean(band.wait),
    });
  }
  return found.sort((a, b) => a.away - b.away)[0] ?? null;
}

function listen(app) {
  const { canvas, scroller, view } = app;
  scroller.addEventListener("scroll", () => ((view.scroll = scroller.scrollTop), requestDraw(app)));
  new ResizeObserver(() => resize(app)).observe(scroller);
  canvas.addEventListener("wheel", (event) => onWheel(app, event), { passive: false });
  canvas.addEventListener("pointerdown", (event) => onDown(app, event));
  canvas.addEventListener("pointermove", (event) => onHover(app, event));
  canvas.addEventListener("pointerleave", () => ((view.hover = null), showTip(app, null), requestDraw(app)));
  canvas.addEventListener("dblclick", () => fit(app));
  document.addEventListener("keydown", (event) => onKey(app, event));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => repaint(app));
}

function repaint(app) {
  app.palette = readPalette(app.run);
  requestDraw(app);
}

function onWheel(app, event) {
  const sideways = event.shiftKey
    ? event.deltaX || event.deltaY
    : Math.abs(event.deltaX) > Math.abs(event.deltaY)
      ? event.deltaX
      : 0;
  const { x } = inCanvas(app, event);
  if (!sideways && x < GUTTER && !event.ctrlKey) return; // over the names the wheel scrolls the lanes
  event.preventDefault();
  if (sideways) pan(app, sideways / plotWidth(app.view));
  else
    zoom(
      app,
      Math.exp(Math.max(-400, Math.min(400, event.deltaY * (event.deltaMode ? 30 : 1))) * 0.0022),
      timeAt(app.view, Math.max(GUTTER, x)),
    );
}

function inCanvas(app, event) {
  const box = app.canvas.getBoundingClientRect();
  return { x: event.clientX - box.left, y: event.clientY - box.top };
}

// A press on the overview moves the window; elsewhere it pans (with shift: measures), or selects if the mouse stays.
function onDown(app, event) {
  if (event.button) return;
  const { canvas, view, scroller } = app;
  const from = inCanvas(app, event);
  const before = { from: view.from, to: view.to, scroll: scroller.scrollTop };
  const drag =
    from.y < OVERVIEW ? overviewDrag(app) : event.shiftKey ? measureDrag(app, from) : panDrag(app, from, before);
  canvas.setPointerCapture(event.pointerId);
  let moved = from.y < OVERVIEW;
  if (moved) drag(from);
  else view.measure = null;
  const onMove = (move) => {
    const to = inCanvas(app, move);
    moved ||= Math.hypot(to.x - from.x, to.y - from.y) > 4;
    if (moved) drag(to);
  };
  canvas.addEventListener("pointermove", onMove);
  const stop = (end) => {
    canvas.removeEventListener("pointermove", onMove);
    canvas.removeEventListener("pointerup", stop);
    canvas.removeEventListener("pointercancel", stop);
    if (!moved && end.type === "pointerup") pick(app, hit(app, from.x, from.y));
  };
  canvas.addEventListener("pointerup", stop);
  canvas.addEventListener("pointercancel", stop);
}

function overviewDrag(app) {
  const half = (app.view.to - app.view.from) / 2;
  return ({ x }) => {
    const time = ((x - GUTTER) / plotWidth(app.view)) * app.run.span;
    show(app, time - half, time + half);
  };
}

function measureDrag(app, from) {
  const start = timeAt(app.view, from.x);
  return ({ x }) => {
    app.view.measure = [start, timeAt(app.view, x)];
    requestDraw(app);
  };
}

function panDrag(app, from, before) {
  return ({ x, y }) => {
    const by = ((from.x - x) / plotWidth(app.view)) * (before.to - before.from);
    app.scroller.scrollTop = before.scroll + from.y - y;
    show(app, before.from + by, before.to + by);
  };
}

function onHover(app, event) {
  const { x, y } = inCanvas(app, event);
  const { view, run } = app;
  const time = timeAt(view, x);
  view.hover = x >= GUTTER && y >= HEAD && time >= 0 && time <= run.span ? { x } : null;
  const found = event.buttons ? null : hit(app, x, y);
  app.canvas.style.cursor = found ? "pointer" : "default";
  showTip(app, found, event);
  requestDraw(app);
}

function pick(app, found) {
  select(app, found ? found.row : -1, found ? found.transfer : -1);
}

function select(app, row, transfer = -1) {
  Object.assign(app.view, { selected: row, transfer });
  showDetails(app);
  if (row >= 0) showPlace(app, app.run.place[row]);
  requestDraw(app);
}

function go(app, row) {
  select(app, row);
  reveal(app, row);
}

// The instruction before or after on the same engine.
function step(app, by) {
  const lane = app.view.selected < 0 ? null : laneOfRow(app, app.view.selected);
  if (!lane) return;
  const { layer } = lane.bands.at(-1);
  const next = layer.item[layer.item.indexOf(app.view.selected) + by];
  if (next !== undefined) go(app, next);
}

const KEYS = {
  w: (app) => zoom(app, 1 / 1.4, hoverTime(app.view)),
  s: (app) => zoom(app, 1.4, hoverTime(app.view)),
  a: (app) => pan(app, -0.2),
  d: (app) => pan(app, 0.2),
  0: fit,
  f: (app) => app.view.selected >= 0 && reveal(app, app.view.selected, true),
  b: (app) =>
    app.view.selected >= 0 && app.run.blocker[app.view.selected] >= 0 && go(app, app.run.blocker[app.view.selected]),
  n: (app) => stepMark(app, 1),
  N: (app) => stepMark(app, -1),
  "/": (app) => app.search.focus(),
  "?": () => document.getElementById("help").showModal(),
  Escape: (app) => (app.marks ? clearMarks(app) : select(app, -1)),
  ArrowLeft: (app) => step(app, -1),
  ArrowRight: (app) => step(app, 1),
  ArrowUp: (app) => (app.scroller.scrollTop -= 40),
  ArrowDown: (app) => (app.scroller.scrollTop += 40),
};

function onKey(app, event) {
  const typing = event.target.closest?.("input, textarea, select, dialog, [role=separator], [role=tablist]");
  const scrolls = event.key.startsWith("Arrow") && event.target.closest?.("#side, #details");
  if (typing || scrolls || event.ctrlKey || event.metaKey || event.altKey || !Object.hasOwn(KEYS, event.key)) return;
  event.preventDefault();
  KEYS[event.key](app);
}
