// One frame of the timeline: overview, ruler, lanes, and what is selected. Nothing here changes the view.

const GUTTER = 164;
const OVERVIEW = 34;
const HEAD = 60; // overview and ruler
const FONT = '11px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif';
const LETTER = 6.1; // px, the average width of a letter in FONT

function draw(app) {
  const began = performance.now();
  const { context, view, palette } = app;
  context.setTransform(app.scale, 0, 0, app.scale, 0, 0);
  context.imageSmoothingEnabled = false;
  context.font = FONT;
  context.textBaseline = "middle";
  context.fillStyle = palette.of("--page");
  context.fillRect(0, 0, view.width, view.height);
  drawLanes(app);
  drawRuler(app);
  drawOverview(app);
  drawCursor(app);
  const took = performance.now() - began;
  Object.assign(app.frames, { drawn: app.frames.drawn + 1, last: took, worst: Math.max(app.frames.worst, took) });
}

function plotWidth(view) {
  return Math.max(1, view.width - GUTTER);
}

function xOf(view, time) {
  return GUTTER + ((time - view.from) / (view.to - view.from)) * plotWidth(view);
}

function timeAt(view, x) {
  return view.from + ((x - GUTTER) / plotWidth(view)) * (view.to - view.from);
}

function hoverTime(view) {
  return view.hover ? timeAt(view, view.hover.x) : undefined;
}

function drawLanes(app) {
  const { context, view, lanes } = app;
  context.save();
  context.beginPath();
  context.rect(0, HEAD, view.width, view.height - HEAD);
  context.clip();
  drawEdges(app);
  for (const { x } of ticks(app)) {
    context.fillStyle = app.palette.of("--hair");
    context.fillRect(Math.round(x), HEAD, 1, view.height);
  }
  for (const lane of lanes) {
    const y = HEAD + lane.y - view.scroll;
    if (y > view.height || y + lane.height < HEAD) continue;
    LANE_PAINTERS[lane.kind](app, lane, y);
  }
  context.save();
  context.beginPath();
  context.rect(GUTTER, HEAD, view.width - GUTTER, view.height - HEAD);
  context.clip();
  drawSelection(app);
  context.restore();
  context.restore();
}

const LANE_PAINTERS = {
  head(app, lane, y) {
    label(app, lane.name, 10, y + lane.height / 2 + 2, "--text", "600 12px system-ui, sans-serif");
    rule(app, y);
  },
  bars(app, lane, y) {
    app.context.save();
    clipPlot(app, y, lane.height);
    for (const band of lane.bands) paintBand(app, band, y + band.top);
    app.context.restore();
    laneLabel(app, lane, y, lane.load ? loadText(app, lane) : "");
    rule(app, y + lane.height);
  },
  area(app, lane, y) {
    paintArea(app, lane, y + 4, lane.height - 8);
    const at = hoverTime(app.view);
    const bytes = at === undefined ? lane.steps.peak : lane.steps.at(at);
    laneLabel(app, lane, y, percentText(bytes / lane.capacity), at === undefined ? "peak" : "at cursor");
    rule(app, y + lane.height);
  },
};

function clipPlot(app, y, height) {
  app.context.beginPath();
  app.context.rect(GUTTER, y, plotWidth(app.view), height);
  app.context.clip();
}

function loadText(app, lane) {
  const [from, to] = [Math.max(app.view.from, 0), Math.min(app.view.to, app.run.span)];
  return `${lane.loadText ? lane.loadText + " " : ""}${percentText(lane.load.share(from, to))}`;
}

function laneLabel(app, lane, y, right, under = "") {
  const middle = y + (under ? 14 : lane.height / 2);
  label(app, lane.name, 10, middle, "--text", lane.strong ? `600 ${FONT}` : FONT);
  app.context.textAlign = "right";
  label(app, right, GUTTER - 10, middle, "--muted");
  if (under) label(app, under, GUTTER - 10, middle + 15, "--muted");
  app.context.textAlign = "left";
}

function label(app, text, x, y, ink, font = FONT) {
  app.context.font = font;
  app.context.fillStyle = app.palette.of(ink);
  app.context.fillText(text, x, y);
  app.context.font = FONT;
}

function rule(app, y) {
  app.context.fillStyle = app.palette.of("--hair");
  app.context.fillRect(0, Math.round(y) - 0.5, app.view.width, 1);
}

// Prologue, epilogue, and what lies outside the run.
function drawEdges(app) {
  const { context, view, run, palette } = app;
  const shade = (from, to, ink) => {
    const [left, right] = [Math.max(GUTTER, xOf(view, from)), Math.min(view.width, xOf(view, to))];
    if (right <= left) return;
    context.fillStyle = palette.of(ink);
    context.fillRect(left, HEAD, right - left, view.height);
  };
  shade(-Infinity, 0, "--outside");
  shade(run.span, Infinity, "--outside");
  shade(0, run.prologue, "--edge");
  shade(run.total - run.epilogue, run.total, "--edge");
}

function drawRuler(app) {
  const { context, view, palette } = app;
  context.fillStyle = palette.of("--panel");
  context.fillRect(0, OVERVIEW, view.width, HEAD - OVERVIEW);
  for (const { x, text } of ticks(app)) {
    context.fillStyle = palette.of("--line");
    context.fillRect(Math.round(x), HEAD - 6, 1, 6);
    label(app, text, x + 4, HEAD - 12, "--muted");
  }
  label(app, `${timeText(view.to - view.from)} shown`, 10, HEAD - 12, "--muted");
  context.fillStyle = palette.of("--line");
  context.fillRect(0, HEAD - 1, view.width, 1);
}

// Round times that are at least 90 px apart: {x, text} of each.
function ticks({ view, run }) {
  const step = niceStep(((view.to - view.from) * 90) / plotWidth(view));
  const [size, unit] = step >= 1e6 ? [1e6, "ms"] : step >= 1e3 || view.from > 1e6 ? [1e3, "µs"] : [1, "ns"];
  const decimals = Math.max(0, -Math.floor(Math.log10(step / size) + 1e-9));
  const format = { minimumFractionDigits: decimals, maximumFractionDigits: decimals };
  const found = [];
  for (let tick = Math.ceil(Math.max(0, view.from) / step) * step; tick <= Math.min(view.to, run.span); tick += step) {
    found.push({ x: xOf(view, tick), text: `${formatted(tick / size, format)} ${unit}` });
  }
  return found;
}

function niceStep(least) {
  const power = 10 ** Math.floor(Math.log10(least));
  return [1, 2, 5, 10].map((n) => n * power).find((step) => step >= least * 0.999);
}

// The whole run, one line per engine, with a window around what is shown.
function drawOverview(app) {
  const { context, view, run, palette } = app;
  context.fillStyle = palette.of("--panel");
  context.fillRect(0, 0, view.width, OVERVIEW);
  const engines = app.lanes.filter((lane) => lane.engine !== undefined);
  const height = Math.min(5, (OVERVIEW - 6) / Math.max(1, engines.length));
  const whole = { ...app, view: { ...view, from: 0, to: run.span } };
  engines.forEach((lane, n) =>
    paintLayer(whole, { palette: "operations", height: height - 0.5 }, lane.load, 3 + n * height, 1),
  );
  const x = (time) => GUTTER + (time / run.span) * plotWidth(view);
  const [left, right] = [Math.max(GUTTER, x(view.from)), Math.min(view.width, x(view.to))];
  context.fillStyle = palette.of("--shade");
  context.fillRect(GUTTER, 0, left - GUTTER, OVERVIEW);
  context.fillRect(right, 0, view.width - right, OVERVIEW);
  context.strokeStyle = palette.of("--accent");
  context.lineWidth = 1.5;
  context.strokeRect(left + 0.75, 1, Math.max(3, right - left - 1.5), OVERVIEW - 2);
  if (view.selected >= 0) {
    context.fillStyle = palette.of("--select");
    context.fillRect(x(run.start[view.selected]) - 1, 0, 2, OVERVIEW);
  }
  label(app, "Overview", 10, OVERVIEW / 2, "--muted");
}

function drawCursor(app) {
  const { context, view, palette } = app;
  if (view.measure) drawMeasure(app);
  if (!view.hover) return;
  const { x } = view.hover;
  context.fillStyle = palette.of("--accent");
  context.globalAlpha = 0.5;
  context.fillRect(x, HEAD, 1, view.height);
  context.globalAlpha = 1;
  const text = momentText(hoverTime(view));
  const width = text.length * LETTER + 10;
  const left = Math.min(x - width / 2, view.width - width);
  context.fillRect(left, HEAD - 22, width, 18);
  label(app, text, left + 5, HEAD - 12.5, "--on-accent");
}

function drawMeasure(app) {
  const { context, view, palette } = app;
  const [from, to] = [Math.min(...view.measure), Math.max(...view.measure)];
  const [left, right] = [xOf(view, from), xOf(view, to)];
  context.globalAlpha = 0.16;
  context.fillStyle = palette.of("--accent");
  context.fillRect(left, HEAD, right - left, view.height);
  context.globalAlpha = 1;
  context.fillRect(left, HEAD, 1, view.height);
  context.fillRect(right, HEAD, 1, view.height);
  const text = timeText(to - from);
  const width = text.length * 7 + 16;
  context.fillRect((left + right - width) / 2, view.height - 30, width, 20);
  context.textAlign = "center";
  label(app, text, (left + right) / 2, view.height - 19.5, "--on-accent", `600 ${FONT}`);
  context.textAlign = "left";
}
