// A lane's content: bars, strips of averages, areas.

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
    if (band.text && width > 30 && alpha > 0.5)
      barLabel(context, band.text(layer.item[n]), Math.max(left, GUTTER), left + width, y + band.height / 2, ink);
    if (band.wait && !app.marks)
      waitLabel(
        app,
        layer.category[n],
        Math.max(left, GUTTER),
        Math.min(left + width, view.width),
        y + band.height / 2 - 1,
      );
  }
}

function barLabel(context, [name, more], left, right, middle, ink) {
  const letters = Math.floor((right - left - 9) / LETTER);
  if (letters < 3) return;
  const text =
    name.length + more.length + 1 <= letters
      ? `${name} ${more}`
      : name.length <= letters
        ? name
        : `${name.slice(0, letters - 1)}…`;
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

// The memory in use; the top of the lane is the capacity, or a half, a quarter ... of it where that holds the peak.
function paintArea(app, lane, top, height) {
  const { context, view, palette } = app;
  const { time, value, first, last } = lane.steps.visible(view.from, view.to, 2 * plotWidth(view));
  if (!time.length) return;
  const scale = scaleOf(lane);
  const y = (bytes) => top + height * (1 - Math.min(1, bytes / (scale * lane.capacity)));
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
  const text = `${percentText(scale)} of ${bytesText(lane.capacity)}`;
  context.fillStyle = palette.of("--page");
  context.globalAlpha = 0.75;
  context.fillRect(view.width - text.length * LETTER - 8, top, text.length * LETTER + 8, 13);
  context.globalAlpha = 1;
  context.textAlign = "right";
  label(app, text, view.width - 6, top + 6, "--muted");
  context.textAlign = "left";
  context.restore();
}

function scaleOf({ steps, capacity }) {
  let scale = 1;
  while (scale > 1 / 16 && steps.peak <= (scale / 2) * capacity) scale /= 2;
  return scale;
}
