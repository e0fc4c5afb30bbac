// The summary, whatever it holds, as tables; and the roofline.

const UNITS = [["_ns", (value) => timeText(value)], ["_us", (value) => timeText(value * 1e3)], ["_bytes", (value) => bytesText(value)], ["utilisation", percentText], ["share", percentText], ["fraction", percentText]];

function makeSummary(app) {
  document.getElementById("summary").append(...rendered(app.run.summary, "", 2));
}

function isPlain(value) {
  return value === null || typeof value !== "object" || (Array.isArray(value) && value.length <= 4 && value.every((each) => typeof each === "number"));
}

// A value under a name as nodes: plain ones of a mapping become a table of two columns, the others get a heading.
function rendered(value, name, depth) {
  if (isPlain(value)) return [element("p", {}, plainText(name, value))];
  const entries = Object.entries(value);
  if (!entries.length) return [element("p", { class: "muted" }, "none")];
  const isList = Array.isArray(value);
  if (entries.every(([, each]) => !isPlain(each) && !Array.isArray(each) && Object.values(each).every(isPlain))) return [grid(entries, isList)];
  if (isList) return [element("ul", {}, ...value.map((each) => element("li", {}, ...rendered(each, name, depth + 1))))];
  const plain = entries.filter(([, each]) => isPlain(each));
  const rest = entries.filter(([, each]) => !isPlain(each));
  const table = element("table", { class: "pairs" }, element("tbody", {}, ...plain.map(([key, each]) =>
    element("tr", {}, element("th", { scope: "row" }, words(key)), cell(key, each)))));
  return [...(plain.length ? [table] : []), ...rest.flatMap(([key, each]) => [element(`h${Math.min(depth, 5)}`, {}, words(key)), ...rendered(each, key, depth + 1)])];
}

// Mappings of plain values under one another: a column for each name that any of them has.
function grid(entries, isList) {
  const names = [...new Set(entries.flatMap(([, each]) => Object.keys(each)))];
  const head = element("tr", {}, ...(isList ? [] : [element("td")]), ...names.map((name) => element("th", { scope: "col" }, words(name))));
  const body = entries.map(([key, each]) => element("tr", {}, ...(isList ? [] : [element("th", { scope: "row" }, words(key))]), ...names.map((name) => cell(name, each[name]))));
  return element("div", { class: "wide" }, element("table", {}, element("thead", {}, head), element("tbody", {}, ...body)));
}

function cell(name, value) {
  const isNumber = typeof value === "number" || Array.isArray(value);
  return element("td", { class: isNumber ? "figure" : undefined }, value === undefined ? "" : plainText(name, value));
}

function words(name) {
  return name.replace(/_(ns|us|bytes)$/, "").replace(/_/g, " ");
}

function plainText(name, value) {
  if (Array.isArray(value)) return value.map((each) => plainText(name, each)).join(" to ");
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (value === null) return "–";
  if (typeof value !== "number") return String(value);
  const unit = UNITS.find(([ending]) => name.endsWith(ending));
  return unit ? unit[1](value) : number(value, Math.abs(value) < 1 ? 4 : 2);
}

function shapeOf(tag, attributes, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

const PLOT = { width: 480, height: 300, left: 56, right: 14, top: 14, bottom: 40 };

function makeRoofline(app) {
  const { roofline, total } = app.run;
  const pane = document.getElementById("roofline");
  const intensity = roofline.bytes ? roofline.flops / roofline.bytes : NaN;
  const reached = total ? roofline.flops / total / 1e3 : 0; // FLOP/ns are GFLOP/s
  const point = roofline.flops && roofline.bytes ? { intensity, reached } : null;
  pane.append(rooflinePlot(roofline, point), ...rooflineNotes(roofline, total, point, reached));
}

function rooflinePlot({ peaks, bandwidths }, point) {
  const ridges = peaks.flatMap((peak) => bandwidths.map((band) => (peak.value * 1e3) / band.value));
  const xs = decades([...ridges, ...(point ? [point.intensity] : [])], 0.5);
  const ys = decades([...peaks.map((peak) => peak.value), ...(point ? [point.reached] : [])], 0.1);
  const x = (value) => PLOT.left + ((Math.log10(value) - xs[0]) / (xs[1] - xs[0])) * (PLOT.width - PLOT.left - PLOT.right);
  const y = (value) => PLOT.height - PLOT.bottom - ((Math.log10(value) - ys[0]) / (ys[1] - ys[0])) * (PLOT.height - PLOT.top - PLOT.bottom);
  const text = (words_, at) => shapeOf("text", at, words_);
  const svg = shapeOf("svg", { viewBox: `0 0 ${PLOT.width} ${PLOT.height}`, role: "img", "aria-label": "Roofline plot" });
  const bottom = PLOT.height - PLOT.bottom;
  for (let power = xs[0]; power <= xs[1]; power++) {
    svg.append(shapeOf("line", { class: "hair", x1: x(10 ** power), x2: x(10 ** power), y1: PLOT.top, y2: bottom }), text(number(10 ** power, 3), { x: x(10 ** power), y: bottom + 15, "text-anchor": "middle" }));
  }
  for (let power = ys[0]; power <= ys[1]; power++) {
    svg.append(shapeOf("line", { class: "hair", x1: PLOT.left, x2: PLOT.width - PLOT.right, y1: y(10 ** power), y2: y(10 ** power) }), text(number(10 ** power, 4), { x: PLOT.left - 6, y: y(10 ** power) + 3.5, "text-anchor": "end" }));
  }
  svg.append(text("FLOP per byte of HBM", { x: (PLOT.left + PLOT.width) / 2, y: PLOT.height - 6, "text-anchor": "middle" }), text("TFLOP/s", { x: PLOT.left + 6, y: PLOT.top + 10 }));
  const best = Math.max(...peaks.map((peak) => peak.value));
  bandwidths.forEach((band, n) => {
    const [low, ridge] = [Math.max(10 ** xs[0], (10 ** ys[0] * 1e3) / band.value), (best * 1e3) / band.value];
    svg.append(shapeOf("line", { class: `roof band${n}`, x1: x(low), y1: y((low * band.value) / 1e3), x2: x(ridge), y2: y(best) }));
    const at = low * 1.25;
    const tilt = (Math.atan2(y((low * band.value) / 1e3) - y(best), x(ridge) - x(low)) * -180) / Math.PI;
    svg.append(text(`${band.name} ${number(band.value, 0)} GB/s`, { transform: `translate(${x(at)} ${y((at * band.value) / 1e3) + (n ? 13 : -5)}) rotate(${tilt})` }));
  });
  const widest = Math.max(...bandwidths.map((band) => band.value));
  for (const peak of peaks) {
    svg.append(shapeOf("line", { class: "roof", x1: x((peak.value * 1e3) / widest), x2: PLOT.width - PLOT.right, y1: y(peak.value), y2: y(peak.value) }));
    svg.append(text(`${peak.name} ${number(peak.value)}`, { x: PLOT.width - PLOT.right - 2, y: y(peak.value) - 4, "text-anchor": "end" }));
  }
  if (point) {
    svg.append(shapeOf("line", { class: "drop", x1: x(point.intensity), x2: x(point.intensity), y1: y(point.reached), y2: bottom }));
    svg.append(shapeOf("circle", { class: "kernel", cx: x(point.intensity), cy: y(point.reached), r: 5.5 }));
    const right = x(point.intensity) < PLOT.width - 120;
    svg.append(text("this kernel", { class: "kernel", x: x(point.intensity) + (right ? 10 : -10), y: y(point.reached) + 4, "text-anchor": right ? "start" : "end" }));
  }
  return svg;
}

// Whole powers of ten around some values, with room below by the factor `room`.
function decades(values, room) {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  return [Math.floor(Math.log10(low * room)), Math.ceil(Math.log10(high * 1.3))];
}

function rooflineNotes({ flops, bytes, peaks, bandwidths }, total, point, reached) {
  const rows = [["TensorE work", `${number(flops / 1e9, 3)} GFLOP`], ["HBM traffic", bytesText(bytes)], ["latency", timeText(total)]];
  if (point) rows.push(["intensity", `${number(point.intensity, 2)} FLOP/byte`]);
  rows.push(["reached", `${number(reached, 2)} TFLOP/s, ${total ? number(bytes / total, 1) : 0} GB/s`]);
  const missing = flops ? (bytes ? null : "No bytes cross HBM: the kernel has no place on the horizontal axis.") : "No work on TensorE: the kernel has no place in the plot.";
  const table = (entries, ...more) => element("table", more[0] ?? { class: "pairs" }, element("tbody", {}, ...entries));
  const limits = [...peaks.map((each) => [each, "TFLOP/s"]), ...bandwidths.map((each) => [each, "GB/s"])].map(([each, unit]) =>
    element("tr", {}, element("th", { scope: "row" }, each.name), element("td", { class: "figure" }, `${number(each.value, 1)} ${unit}`), element("td", {}, element("span", { class: "badge" }, each.tier), element("div", { class: "origin" }, each.source))));
  const share = (peak, band) => percentText(reached / Math.min(peak.value, (point.intensity * band.value) / 1e3));
  const roofs = Object.fromEntries(point ? peaks.map((peak) => [peak.name, Object.fromEntries(bandwidths.map((band) => [`with ${band.name}`, share(peak, band)]))]) : []);
  return [
    ...(missing ? [element("p", { class: "hint" }, missing)] : []),
    element("h2", {}, "The kernel"), table([...rows.map(([name, value]) => element("tr", {}, element("th", { scope: "row" }, name), element("td", { class: "figure" }, value)))]),
    ...(point ? [element("h2", {}, "Reached of what the roofs allow"), ...rendered(roofs, "", 3)] : []),
    element("h2", {}, "The roofs"), element("div", { class: "wide" }, table(limits, {})),
  ];
}
