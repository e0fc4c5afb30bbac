// The summary, whatever it holds, as tables.

const UNITS = [
  [/_ns$/, timeText],
  [/(^|_)us$|^waits$|^overheads$/, (value) => timeText(value * 1e3)],
  [/bytes$|^directions$/, bytesText],
  [/gbps$/, (value) => `${number(value)} GB/s`],
  [/tflops$/, (value) => `${number(value, 2)} TFLOP/s`],
  [/(^|_)(share|utilisation|fraction)(_|$)|^provenance$/, percentText],
];
const MOST_ROWS = 12;

function makeSummary(app) {
  document.getElementById("summary").append(...rendered(app, app.run.summary, "", 2));
}

function isPlain(value) {
  return (
    value === null ||
    typeof value !== "object" ||
    (Array.isArray(value) && value.length > 0 && value.length <= 4 && value.every((each) => typeof each === "number"))
  );
}

function isPlace(value) {
  return value !== null && typeof value === "object" && "file" in value && "line" in value;
}

// What fits into one cell: a plain value, a place, nothing at all, or a mapping of plain values.
function isShort(value) {
  return (
    isPlain(value) ||
    isPlace(value) ||
    !Object.keys(value).length ||
    (!Array.isArray(value) && Object.values(value).every(isPlain))
  );
}

function isRows(values) {
  return (
    values.length > 0 &&
    values.every(
      (each) =>
        !isPlain(each) &&
        !isPlace(each) &&
        !Array.isArray(each) &&
        Object.keys(each).length &&
        Object.values(each).every(isShort),
    )
  );
}

// A value under a name as nodes. Mappings under one another become a table with a column for each of their names; of
// any other mapping what is short becomes a table of pairs, and the rest gets headings.
function rendered(app, value, name, depth) {
  const entries = value !== null && typeof value === "object" ? Object.entries(value) : [];
  if (isRows(entries.map(([, each]) => each))) return [grid(app, entries, Array.isArray(value))];
  if (isPlain(value) || isPlace(value) || !entries.length) return [element("p", {}, shortValue(app, name, value))];
  if (Array.isArray(value) && value.every(isShort))
    return [element("ul", {}, ...value.map((each) => element("li", {}, shortValue(app, name, each))))];
  const isPair = ([, each]) => isPlain(each) || isPlace(each) || !Object.keys(each).length;
  const pairs = entries
    .filter(isPair)
    .map(([key, each]) =>
      element(
        "tr",
        {},
        element("th", { scope: "row" }, words(key)),
        element("td", { class: "figure" }, shortValue(app, unitOf(key) ? key : name, each)),
      ),
    );
  const table = element("table", { class: "pairs" }, element("tbody", {}, ...pairs));
  const rest = entries.filter((each) => !isPair(each));
  return [
    ...(pairs.length ? [table] : []),
    ...rest.flatMap(([key, each]) => [
      element(`h${Math.min(depth, 5)}`, {}, Array.isArray(value) ? `${words(name)} ${key}` : words(key)),
      ...rendered(app, each, key, depth + 1),
    ]),
  ];
}

function grid(app, entries, isList) {
  const isNamed = !isList && entries.every(([key, each]) => each.name === undefined || each.name === key);
  const names = [...new Set(entries.flatMap(([, each]) => Object.keys(each)))].filter(
    (name) =>
      !(isNamed && name === "name") && entries.some(([, each]) => each[name] !== null && each[name] !== undefined),
  );
  const head = element(
    "tr",
    {},
    ...(isList ? [] : [element("td")]),
    ...names.map((name) => element("th", { scope: "col" }, words(name))),
  );
  const body = entries.map(([key, each], n) =>
    element(
      "tr",
      { hidden: n >= MOST_ROWS },
      ...(isList ? [] : [element("th", { scope: "row" }, words(key))]),
      ...names.map((name) =>
        element(
          "td",
          { class: typeof each[name] === "number" ? "figure" : undefined },
          each[name] === undefined ? "" : shortValue(app, name, each[name]),
        ),
      ),
    ),
  );
  const rest = body.slice(MOST_ROWS);
  const more = element(
    "button",
    { type: "button", onclick: () => (rest.forEach((row) => (row.hidden = false)), more.remove()) },
    `show ${rest.length} more`,
  );
  return element(
    "div",
    { class: "wide" },
    element("table", {}, element("thead", {}, head), element("tbody", {}, ...body)),
    ...(rest.length ? [more] : []),
  );
}

// What isShort as a node or a text.
function shortValue(app, name, value) {
  if (isPlain(value)) return plainText(name, value);
  if (isPlace(value)) return placeLink(app, value);
  const entries = Object.entries(value);
  if (!entries.length) return "none";
  return element(
    "ul",
    { class: "short" },
    ...entries.map(([key, each]) => element("li", {}, `${words(key)} ${plainText(unitOf(key) ? key : name, each)}`)),
  );
}

function placeLink(app, { file, line, function: caller }) {
  const text = `${String(file).split("/").at(-1)}:${line}${caller ? ` in ${caller}` : ""}`;
  const place = app.run.places.findIndex((each) => app.run.files[each.file].path === file && each.line === line);
  return place < 0 ? text : link(app, text, () => openPlace(app, place));
}

function unitOf(name) {
  return UNITS.find(([pattern]) => pattern.test(name))?.[1];
}

function words(name) {
  if (name === "us" || name === "ns") return "time";
  return name
    .replace(/_(ns|us|bytes|gbps|tflops)$/, "")
    .replace(/^nbytes$/, "bytes")
    .replace(/_/g, " ");
}

function plainText(name, value) {
  if (Array.isArray(value)) return value.map((each) => plainText(name, each)).join(" to ");
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (value === null) return "–";
  if (typeof value !== "number") return String(value);
  const unit = unitOf(name);
  return unit ? unit(value) : number(value, Math.abs(value) < 1 ? 4 : 2);
}
