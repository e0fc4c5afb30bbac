// One frame of the timeline: overview, ruler, lanes, and what is selected. Nothing here changes the view.

const GUTTER = 156;
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

// A band as single bars where they can be seen apart, else as a strip of averages.
function paintBand(app, band, y) {
  const { marks } = app;
  const faint = marks ? 0.22 : 1;
  paintLayer(app, band, band.layer, y, band.alpha * faint);
  if (marks && band.pick && !band.wait) {
    const found = marks.layers.get(band);
    if (found?.length) paintLayer(app, band, found, y, 1);
  }
}

function paintLayer(app, band, layer, y, alpha) {
  const { view } = app;
  const first = layer.after(view.from);
  const last = layer.after(view.to, first);
  if (first >= layer.length) return;
  app.context.globalAlpha = alpha;
  if (last - first > plotWidth(view) / 3) paintStrip(app, band, layer, y);
  else paintBars(app, band, layer, y, first, last, alpha);
  app.context.globalAlpha = 1;
}

function paintBars(app, band, layer, y, first, last, alpha) {
  const { context, view } = app;
  const colours = app.palette[band.palette];
  for (let n = first; n <= last && n < layer.length && layer.start[n] < view.to; n++) {
    const left = Math.max(GUTTER - 4, xOf(view, layer.start[n]));
    const width = Math.max(1, Math.min(view.width + 4, xOf(view, layer.end[n])) - left);
    const { css, ink } = colours[layer.category[n]];
    context.fillStyle = css;
    context.fillRect(left, y, width > 4 && !band.wait ? width - 1 : width, band.height);
    if (band.text && width > 30 && alpha > 0.5) barLabel(context, band.text(layer.item[n]), Math.max(left, GUTTER), left + width, y + band.height / 2, ink);
    if (band.wait && !app.marks) waitLabel(app, layer.category[n], Math.max(left, GUTTER), Math.min(left + width, view.width), y + band.height / 2 - 1);
  }
}

function barLabel(context, [name, more], left, right, middle, ink) {
  const letters = Math.floor((right - left - 9) / LETTER);
  if (letters < 3) return;
  const text = name.length + more.length + 1 <= letters ? `${name} ${more}` : name.length <= letters ? name : `${name.slice(0, letters - 1)}…`;
  context.fillStyle = ink;
  context.fillText(text, left + 4, middle + 0.5);
}

function waitLabel(app, cause, left, right, middle) {
  const text = `waits: ${app.run.causes[cause].name}`;
  if (right - left < (text.length + 3) * LETTER) return;
  const { context } = app;
  const alpha = context.globalAlpha;
  context.globalAlpha = 1;
  context.textAlign = "center";
  label(app, text, (left + right) / 2, middle, "--muted");
  context.textAlign = "left";
  context.globalAlpha = alpha;
}

// One pixel column after another: the share of it that is covered becomes its opacity, the longest interval its colour.
// Columns sit on a grid that pans with the data, so that nothing flickers. A band with a `profile` also gets the share
// as a height, in the colour of that name.
function paintStrip(app, band, layer, y) {
  const { view, context } = app;
  const columns = Math.ceil(plotWidth(view) * app.scale);
  const step = (view.to - view.from) / columns;
  const origin = Math.floor(view.from / step) * step;
  const left = GUTTER + (origin - view.from) / step / app.scale;
  const pixels = app.strip.pixels(columns + 1);
  const shares = sharesOf(layer, origin, step, columns + 1, (column, share, first, last) => {
    const { rgb } = app.palette[band.palette][layer.longest(first, last)];
    const alpha = band.profile ? 0.1 + 0.4 * share : 0.12 + 0.88 * share;
    pixels.set([rgb[0], rgb[1], rgb[2], 255 * alpha], 4 * column);
  });
  app.strip.paint(context, left, y, (columns + 1) / app.scale, band.height);
  if (!band.profile) return;
  context.fillStyle = app.palette.of(band.profile);
  context.beginPath();
  context.moveTo(left, y + band.height);
  shares.forEach((share, column) => {
    const top = y + band.height * (1 - share);
    context.lineTo(left + column / app.scale, top);
    context.lineTo(left + (column + 1) / app.scale, top);
  });
  context.lineTo(left + shares.length / app.scale, y + band.height);
  context.fill();
}

// The covered share of each of `many` columns from `origin` on; `visit` hears of those that are not empty.
function sharesOf(layer, origin, step, many, visit) {
  const shares = new Float32Array(many);
  let index = layer.after(origin);
  let covered = layer.covered(origin, index);
  for (let column = 0; column < many; column++) {
    const time = origin + (column + 1) * step;
    const next = layer.after(time, index);
    const sum = layer.covered(time, next);
    shares[column] = Math.min(1, Math.max(0, (sum - covered) / step));
    if (sum > covered) visit(column, shares[column], index, next);
    [index, covered] = [next, sum];
  }
  return shares;
}

// A canvas of one row, stretched to the height of a band.
class Strip {
  constructor() {
    this.canvas = document.createElement("canvas");
    this.canvas.height = 1;
    this.image = null;
  }

  pixels(width) {
    if (this.image?.width !== width) {
      this.canvas.width = width;
      this.context = this.canvas.getContext("2d");
      this.image = this.context.createImageData(width, 1);
    }
    return this.image.data.fill(0);
  }

  paint(context, x, y, width, height) {
    this.context.putImageData(this.image, 0, 0);
    context.drawImage(this.canvas, x, y, width, height);
  }
}

function paintArea(app, lane, top, height) {
  const { context, view, palette } = app;
  const { time, value, first, last } = lane.steps.visible(view.from, view.to, 2 * plotWidth(view));
  if (!time.length) return;
  const y = (bytes) => top + height * (1 - Math.min(1, bytes / lane.capacity));
  context.save();
  clipPlot(app, top - 1, height + 1);
  context.beginPath();
  context.moveTo(xOf(view, time[first]), top + height);
  for (let n = first; n <= last; n++) {
    context.lineTo(xOf(view, time[n]), y(value[n]));
    context.lineTo(xOf(view, n < time.length - 1 ? time[n + 1] : app.run.span), y(value[n]));
  }
  context.lineTo(xOf(view, last < time.length - 1 ? time[last + 1] : app.run.span), top + height);
  context.closePath();
  context.fillStyle = context.strokeStyle = palette.of(`--${lane.memory}`);
  context.globalAlpha = 0.28;
  context.fill();
  context.globalAlpha = 1;
  context.stroke();
  context.restore();
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
    found.push({ x: xOf(view, tick), text: `${(tick / size).toLocaleString("en", format)} ${unit}` });
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
  engines.forEach((lane, n) => paintLayer(whole, { palette: "operations", height: height - 0.5 }, lane.load, 3 + n * height, 1));
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

// The selected instruction, the transfers it started, and arrows along its semaphores.
function drawSelection(app) {
  const { run, view, palette } = app;
  const row = view.selected;
  if (row < 0) return;
  const blocker = run.blocker[row];
  for (const n of run.producersOf.of(row)) arrow(app, outOf(app, run.producer[n]), into(app, row), palette.of("--arrow-in"), run.producer[n] === blocker ? 2.5 : 1.25);
  if (blocker >= 0 && !run.producersOf.of(row).some((n) => run.producer[n] === blocker)) {
    arrow(app, outOf(app, blocker, run.start[row]), into(app, row), palette.causes[run.cause[row]].css, 2.5);
  }
  for (const n of run.consumersOf.of(row)) arrow(app, outOf(app, row), into(app, run.consumer[n]), palette.of("--arrow-out"), 1.25);
  for (const transfer of run.transfersOf.of(row)) {
    const found = laneOfTransfer(app, transfer);
    if (found) frame(app, found.lane, found.band, run.dma_first[transfer], run.dma_last[transfer], transfer === view.transfer ? 2 : 1.25);
  }
  const lane = laneOfRow(app, row);
  frame(app, lane, lane.bands.at(-1), run.start[row], run.end[row], 2);
}

function frame(app, lane, band, from, to, width) {
  const { context, view } = app;
  const left = Math.max(GUTTER - 5, xOf(view, from));
  const right = Math.min(view.width + 5, xOf(view, to));
  context.strokeStyle = app.palette.of("--select");
  context.lineWidth = width;
  context.strokeRect(left - 1, HEAD + lane.y - view.scroll + band.top - 1.5, Math.max(3, right - left + 1), band.height + 3);
  context.lineWidth = 1;
}

// Where a result appears: at the end of the row's last transfer, or when the row is done (or at `latest`, if that is sooner).
function outOf(app, row, latest = Infinity) {
  const transfers = app.run.transfersOf.of(row);
  if (transfers.length) {
    const transfer = transfers.reduce((late, n) => (app.run.dma_last[n] > app.run.dma_last[late] ? n : late));
    const found = laneOfTransfer(app, transfer);
    if (found) return point(app, found.lane, found.band, Math.min(latest, app.run.dma_last[transfer]));
  }
  const lane = laneOfRow(app, row);
  return point(app, lane, lane.bands.at(-1), Math.min(latest, app.run.done[row]));
}

function into(app, row) {
  const lane = laneOfRow(app, row);
  return point(app, lane, lane.bands.at(-1), app.run.start[row]);
}

function point(app, lane, band, time) {
  return { x: xOf(app.view, time), y: HEAD + lane.y - app.view.scroll + band.top + band.height / 2 };
}

function arrow(app, from, to, ink, width) {
  const { context } = app;
  const bend = Math.min(60, Math.max(6, Math.abs(to.x - from.x) / 2));
  context.strokeStyle = context.fillStyle = ink;
  context.lineWidth = width;
  context.beginPath();
  context.moveTo(from.x, from.y);
  context.bezierCurveTo(from.x + bend, from.y, to.x - bend, to.y, to.x - 5, to.y);
  context.stroke();
  context.beginPath();
  context.moveTo(to.x, to.y);
  context.lineTo(to.x - 7, to.y - 4);
  context.lineTo(to.x - 7, to.y + 4);
  context.fill();
  context.lineWidth = 1;
}
