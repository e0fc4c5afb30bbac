// The kernel's source with what each line costs, linked with the timeline both ways.

const WORDS =
  "and|as|assert|break|class|continue|def|del|elif|else|except|finally|for|from|global|if|import|in|is|lambda|not|or|pass|raise|return|try|while|with|yield|None|True|False";
const TOKEN = new RegExp(
  String.raw`("""[\s\S]*?(?:"""|$)|'''[\s\S]*?(?:'''|$)|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')|(#[^\n]*)|\b(${WORDS})\b|(@[\w.]+)|\b(\d[\w.]*)`,
  "g",
);
const TOKEN_CLASSES = ["string", "comment", "word", "mark", "figure"];

function makeSource(app) {
  const { run } = app;
  const choice = document.getElementById("file");
  run.files.forEach((file, n) => choice.append(element("option", { value: n, title: file.path }, file.name)));
  choice.hidden = run.files.length < 2;
  choice.addEventListener("change", () => showFile(app, Number(choice.value)));
  for (const file of run.files) file.lines = file.text === null ? null : file.text.split(/\r\n|\r|\n/);
  app.source = { file: -1, rows: new Map(), costs: lineCosts(run) };
  showFile(app, run.lines[0]?.place.file ?? (run.files.length ? 0 : -1));
}

// Per file: line -> what its instructions cost (ns) and the numbers of its places.
function lineCosts(run) {
  const costs = run.files.map(() => new Map());
  for (const { place, ...spent } of run.lines) {
    const cost = costs[place.file].get(place.line) ?? {
      busy: 0,
      wait: 0,
      critical: 0,
      count: 0,
      nbytes: 0,
      places: new Set(),
    };
    cost.busy += spent.busy_us * 1e3;
    cost.wait += spent.wait_us * 1e3;
    cost.critical += spent.critical_us * 1e3;
    cost.count += spent.instructions;
    cost.nbytes += spent.dma_bytes;
    costs[place.file].set(place.line, cost);
  }
  run.places.forEach((place, n) => costs[place.file].get(place.line)?.places.add(n));
  return costs;
}

function showFile(app, file) {
  const { run, source } = app;
  const list = document.getElementById("lines");
  source.file = file;
  source.rows.clear();
  list.replaceChildren();
  if (file < 0)
    return list.append(element("p", { class: "hint" }, "No source lines: the timeline has no instructions."));
  document.getElementById("file").value = String(file);
  const { lines, path } = run.files[file];
  if (!lines)
    list.append(
      element(
        "p",
        { class: "hint" },
        `The text of ${path} was not found when this page was written; its lines are named only.`,
      ),
    );
  const costs = source.costs[file];
  const numbers = lines ? lines.map((_, n) => n + 1) : [...costs.keys()].sort((a, b) => a - b);
  const most = Math.max(1e-9, ...[...costs.values()].map((cost) => cost.critical));
  const pieces = lines ? coloured(lines.join("\n")) : [];
  for (const line of numbers) {
    const row = lineRow(app, line, costs.get(line), most, pieces[line - 1] ?? []);
    source.rows.set(line, row);
    list.append(row);
  }
  showMarkedLines(app);
  const first = run.lines.find(({ place }) => place.file === file); // that with most of the critical path
  if (first) scrollTo(source.rows.get(first.place.line));
}

function lineRow(app, line, cost, most, pieces) {
  const code = element("code", {}, ...pieces);
  if (!cost)
    return element(
      "div",
      { class: "line" },
      element("b"),
      element("b"),
      element("span", { class: "number" }, line),
      code,
    );
  const moved = cost.nbytes ? `, ${bytesText(cost.nbytes)} by DMA` : "";
  const share = cost.critical / app.run.span;
  return element(
    "div",
    {
      class: "line live",
      role: "button",
      tabindex: 0,
      "aria-pressed": "false",
      style: { "--heat": `${Math.round(100 * (cost.critical / most))}%` },
      title: `Line ${line}: ${number(cost.count)} instructions, ${timeText(cost.busy)} busy, ${timeText(cost.wait)} waiting${moved}, ${timeText(cost.critical)} on the critical path`,
      onclick: () => markLine(app, line),
      onkeydown: (event) => ["Enter", " "].includes(event.key) && (event.preventDefault(), markLine(app, line)),
    },
    element("b", {}, timeText(cost.busy)),
    element("b", { class: "share" }, share >= 0.0005 ? percentText(share) : "–"),
    element("span", { class: "number" }, line),
    code,
  );
}

// Python text as rows of nodes, one row a line.
function coloured(text) {
  const rows = [[]];
  const put = (piece, kind) =>
    piece.split("\n").forEach((part, n) => {
      if (n) rows.push([]);
      if (part) rows.at(-1).push(kind ? element("span", { class: kind }, part) : part);
    });
  let last = 0;
  for (const found of text.matchAll(TOKEN)) {
    put(text.slice(last, found.index));
    put(found[0], TOKEN_CLASSES[found.slice(1).findIndex((group) => group !== undefined)]);
    last = found.index + found[0].length;
  }
  put(text.slice(last));
  return rows;
}

// Mark the instructions of a line and go to the first; a second click takes the marks away.
function markLine(app, line) {
  const { run, source } = app;
  const name = `line ${source.file}:${line}`;
  if (app.marks?.source === name) return clearMarks(app);
  const { places } = source.costs[source.file].get(line);
  app.search.value = "";
  setMarks(app, name, (row) => places.has(run.place[row]), name);
  stepMark(app, 1);
}

function showMarkedLines(app) {
  const { marks, source } = app;
  for (const [line, row] of source.rows) {
    if (!row.classList.contains("live")) continue;
    const marked = marks?.source === `line ${source.file}:${line}`;
    row.classList.toggle("marked", marked);
    row.setAttribute("aria-pressed", String(marked));
  }
}

function showPlace(app, place) {
  const { file, line } = app.run.places[place];
  if (app.source.file !== file) showFile(app, file);
  for (const row of app.source.rows.values()) row.classList.remove("here");
  const row = app.source.rows.get(line);
  if (!row) return;
  row.classList.add("here");
  scrollTo(row);
}

function scrollTo({ offsetTop: top, offsetHeight: height }) {
  const list = document.getElementById("lines");
  if (top < list.scrollTop + 20 || top + height > list.scrollTop + list.clientHeight - 20)
    list.scrollTop = top - list.clientHeight / 2;
}

function openPlace(app, place) {
  chooseTab("source");
  showPlace(app, place);
}
