// Marks: the instructions that a search, a source line or a cause picks out. The rest of the timeline is faded.

function setMarks(app, label, keep, source) {
  const { run } = app;
  const mask = new Uint8Array(run.count);
  const rows = [];
  for (let row = 0; row < run.count; row++) {
    if (!keep(row)) continue;
    mask[row] = 1;
    rows.push(row);
  }
  const order = Int32Array.from(rows).sort((a, b) => run.start[a] - run.start[b]);
  const layers = new Map();
  for (const lane of app.lanes) {
    for (const band of lane.bands ?? []) {
      if (!band.pick || band.wait) continue;
      const row = band.transfer ? (item) => run.dma_instruction[item] : (item) => item;
      layers.set(
        band,
        band.layer.subset((item) => mask[row(item)]),
      );
    }
  }
  app.marks = { label, rows: order, mask, layers, at: -1, source };
  showMarks(app);
}

function clearMarks(app) {
  app.marks = null;
  app.search.value = "";
  showMarks(app);
}

// Go to the next (by = 1) or the previous (-1) marked instruction.
function stepMark(app, by) {
  const { marks } = app;
  if (!marks?.rows.length) return;
  const many = marks.rows.length;
  marks.at = marks.at < 0 ? (by > 0 ? 0 : many - 1) : (marks.at + by + many) % many;
  go(app, marks.rows[marks.at]);
  showMarks(app);
}

function showMarks(app) {
  const { marks } = app;
  const many = marks?.rows.length ?? 0;
  const position = marks?.at >= 0 ? `${number(marks.at + 1)} of ` : "";
  document.getElementById("found").textContent = marks
    ? `${position}${number(many)}${marks.at < 0 ? " found" : ""}`
    : "";
  for (const id of ["next", "previous"]) document.getElementById(id).disabled = !many;
  for (const pressed of document.querySelectorAll("[data-mark]")) {
    pressed.setAttribute("aria-pressed", String(pressed.dataset.mark === marks?.source));
  }
  showMarkedLines(app);
  requestDraw(app);
}

// A number is a line; anything else is looked for in instruction names, operands, places, the words of source lines
// and the tensors of DMAs. Operations and places are looked through once each, not once per execution.
function search(app, query) {
  const text = query.trim().toLowerCase();
  if (!text) return clearMarks(app);
  const { run } = app;
  const line = /^:?\d+$/.test(text) ? Number(text.replace(":", "")) : -1;
  setMarks(app, query, line >= 0 ? (row) => run.places[run.place[row]].line === line : textFilter(run, text), "search");
}

function textFilter(run, text) {
  const word = new RegExp(`(?<!\\w)${text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")}(?!\\w)`, "i");
  // One or two letters are the name of a variable, not a part of every other word.
  const holds = text.length > 2 ? (words) => words.toLowerCase().includes(text) : (words) => word.test(words);
  const operations = run.operations.map(({ name, operands }) => holds(`${name} ${operands}`));
  const places = run.places.map(({ file, line, function: caller }) => {
    const { name, lines } = run.files[file];
    return holds(`${name}:${line} ${caller}`) || word.test(lines?.[line - 1] ?? "");
  });
  const isMoved = (transfer) => run.tensors[run.dma_tensor[transfer]]?.toLowerCase() === text;
  return (row) => operations[run.operation[row]] || places[run.place[row]] || run.transfersOf.of(row).some(isMoved);
}

function markCause(app, cause) {
  const source = `cause ${cause}`;
  if (app.marks?.source === source) return clearMarks(app);
  const { run } = app;
  app.search.value = "";
  setMarks(app, run.causes[cause].name, (row) => run.cause[row] === cause && run.start[row] > run.ready[row], source);
}

function makeLegend(app) {
  const { run } = app;
  const waits = new Float64Array(run.causes.length);
  for (let row = 0; row < run.count; row++) waits[run.cause[row]] += run.start[row] - run.ready[row];
  const swatch = (name) => element("i", { class: "swatch", style: { background: `var(${name})` } });
  const entry = (name, text) => element("span", { class: "key" }, swatch(name), text);
  const cause = (n) =>
    element(
      "button",
      {
        class: "key wait",
        type: "button",
        "data-mark": `cause ${n}`,
        "aria-pressed": "false",
        title: `${run.causes[n].words} ${timeText(waits[n])} in all. Click to mark these instructions.`,
        onclick: () => markCause(app, n),
      },
      swatch(`--cause-${run.causes[n].name}`),
      `${run.causes[n].name} `,
      element("small", {}, timeText(waits[n])),
    );
  const used = [...run.causes.keys()].filter((n) => waits[n] > 0).sort((a, b) => waits[b] - waits[a]);
  const directions = [...new Set(run.dma_direction)].sort();
  const clocks = run.clocks ? [entry("--full", "full clock"), entry("--half", "half clock")] : [];
  document
    .getElementById("legend")
    .append(
      ...run.engines.map((engine, n) => entry(ENGINE_COLOURS[n], ENGINE_NAMES[engine] ?? engine)),
      ...directions.map((n) => entry(DIRECTION_COLOURS[n], run.directions[n])),
      ...clocks,
      element("span", { class: "break" }),
      element("span", { class: "key title" }, used.length ? "Waits:" : "No waits"),
      ...used.map(cause),
    );
}
