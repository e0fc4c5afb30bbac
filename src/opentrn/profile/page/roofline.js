// The roofline plot, and the numbers behind it.

function shapeOf(tag, attributes, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

const PLOT = { width: 480, height: 300, left: 56, right: 14, top: 14, bottom: 40 };

function makeRoofline(app) {
  const { roofline } = app.run;
  const [peaks, bandwidths] = ["TFLOP/s", "GB/s"].map((unit) => roofline.roofs.filter((roof) => roof.unit === unit));
  const point =
    roofline.flops && roofline.hbm_bytes ? { intensity: roofline.intensity, reached: roofline.achieved_tflops } : null;
  document
    .getElementById("roofline")
    .append(rooflinePlot({ peaks, bandwidths }, point), ...rooflineNotes(app.run, point));
}

function rooflinePlot({ peaks, bandwidths }, point) {
  const ridges = peaks.flatMap((peak) => bandwidths.map((band) => (peak.value * 1e3) / band.value));
  const xs = decades([...ridges, ...(point ? [point.intensity] : [])], 0.5);
  const ys = decades([...peaks.map((peak) => peak.value), ...(point ? [point.reached] : [])], 0.1);
  const x = (value) =>
    PLOT.left + ((Math.log10(value) - xs[0]) / (xs[1] - xs[0])) * (PLOT.width - PLOT.left - PLOT.right);
  const y = (value) =>
    PLOT.height -
    PLOT.bottom -
    ((Math.log10(value) - ys[0]) / (ys[1] - ys[0])) * (PLOT.height - PLOT.top - PLOT.bottom);
  const text = (words_, at) => shapeOf("text", at, words_);
  const svg = shapeOf("svg", {
    viewBox: `0 0 ${PLOT.width} ${PLOT.height}`,
    role: "img",
    "aria-label": "Roofline plot",
  });
  const bottom = PLOT.height - PLOT.bottom;
  for (let power = xs[0]; power <= xs[1]; power++) {
    svg.append(
      shapeOf("line", { class: "hair", x1: x(10 ** power), x2: x(10 ** power), y1: PLOT.top, y2: bottom }),
      text(number(10 ** power, 3), { x: x(10 ** power), y: bottom + 15, "text-anchor": "middle" }),
    );
  }
  for (let power = ys[0]; power <= ys[1]; power++) {
    svg.append(
      shapeOf("line", {
        class: "hair",
        x1: PLOT.left,
        x2: PLOT.width - PLOT.right,
        y1: y(10 ** power),
        y2: y(10 ** power),
      }),
      text(number(10 ** power, 4), { x: PLOT.left - 6, y: y(10 ** power) + 3.5, "text-anchor": "end" }),
    );
  }
  svg.append(
    text("FLOP per byte of HBM", { x: (PLOT.left + PLOT.width) / 2, y: PLOT.height - 6, "text-anchor": "middle" }),
    text("TFLOP/s", { x: PLOT.left + 6, y: PLOT.top + 10 }),
  );
  const best = Math.max(...peaks.map((peak) => peak.value));
  bandwidths.forEach((band, n) => {
    const [low, ridge] = [Math.max(10 ** xs[0], (10 ** ys[0] * 1e3) / band.value), (best * 1e3) / band.value];
    svg.append(
      shapeOf("line", {
        class: `roof band${n}`,
        x1: x(low),
        y1: y((low * band.value) / 1e3),
        x2: x(ridge),
        y2: y(best),
      }),
    );
    const at = low * 1.25;
    const tilt = (Math.atan2(y((low * band.value) / 1e3) - y(best), x(ridge) - x(low)) * -180) / Math.PI;
    svg.append(
      text(`${band.name} ${number(band.value, 0)} GB/s`, {
        transform: `translate(${x(at)} ${y((at * band.value) / 1e3) + (n ? 13 : -5)}) rotate(${tilt})`,
      }),
    );
  });
  const widest = Math.max(...bandwidths.map((band) => band.value));
  for (const peak of peaks) {
    svg.append(
      shapeOf("line", {
        class: "roof",
        x1: x((peak.value * 1e3) / widest),
        x2: PLOT.width - PLOT.right,
        y1: y(peak.value),
        y2: y(peak.value),
      }),
    );
    svg.append(
      text(`${peak.name} ${number(peak.value)}`, {
        x: PLOT.width - PLOT.right - 2,
        y: y(peak.value) - 4,
        "text-anchor": "end",
      }),
    );
  }
  if (point) {
    svg.append(
      shapeOf("line", {
        class: "drop",
        x1: x(point.intensity),
        x2: x(point.intensity),
        y1: y(point.reached),
        y2: bottom,
      }),
    );
    svg.append(shapeOf("circle", { class: "kernel", cx: x(point.intensity), cy: y(point.reached), r: 5.5 }));
    const right = x(point.intensity) < PLOT.width - 120;
    svg.append(
      text("this kernel", {
        class: "kernel",
        x: x(point.intensity) + (right ? 10 : -10),
        y: y(point.reached) + 4,
        "text-anchor": right ? "start" : "end",
      }),
    );
  }
  return svg;
}

// Whole powers of ten around some values, with room below by the factor `room`.
function decades(values, room) {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  return [Math.floor(Math.log10(low * room)), Math.ceil(Math.log10(high * 1.3))];
}

function rooflineNotes({ roofline, total }, point) {
  const rows = [
    ["TensorE work", `${number(roofline.flops / 1e9, 3)} GFLOP`],
    ["HBM traffic", bytesText(roofline.hbm_bytes)],
    ["latency", timeText(total)],
  ];
  if (point) rows.push(["intensity", `${number(point.intensity, 2)} FLOP/byte`]);
  rows.push([
    "reached",
    `${number(roofline.achieved_tflops, 2)} TFLOP/s, ${total ? number(roofline.hbm_bytes / total, 1) : 0} GB/s`,
  ]);
  if (point)
    rows.push([
      "roof for its dtypes",
      `${number(roofline.attainable_tflops, 2)} TFLOP/s; ${percentText(point.reached / roofline.attainable_tflops)} of it reached`,
    ]);
  const missing = roofline.flops
    ? "No bytes cross HBM: the kernel has no place on the horizontal axis."
    : "No work on TensorE: the kernel has no place in the plot.";
  const pairs = rows.map(([name, value]) =>
    element("tr", {}, element("th", { scope: "row" }, name), element("td", { class: "figure" }, value)),
  );
  const roofs = roofline.roofs.map((each) =>
    element(
      "tr",
      {},
      element("th", { scope: "row" }, each.name),
      element("td", { class: "figure" }, `${number(each.value, 1)} ${each.unit}`),
      element(
        "td",
        {},
        element("span", { class: "badge" }, each.tier),
        element("div", { class: "origin" }, each.source),
      ),
    ),
  );
  return [
    ...(point ? [] : [element("p", { class: "hint" }, missing)]),
    element("h2", {}, "The kernel"),
    element("table", { class: "pairs" }, element("tbody", {}, ...pairs)),
    element("h2", {}, "The roofs"),
    element("table", {}, element("tbody", {}, ...roofs)),
  ];
}
