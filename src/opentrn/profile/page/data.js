// The data of the page: facts as JSON, columns as typed arrays cut out of one deflated block.

const TYPES = { float64: Float64Array, int32: Int32Array, uint8: Uint8Array };

async function readRun() {
  const run = JSON.parse(document.getElementById("facts").textContent);
  const buffer = await inflate(document.getElementById("columns").textContent.trim());
  for (const [name, type, offset, length] of run.columns) run[name] = new TYPES[type](buffer, offset, length);
  run.count = run.start.length;
  run.span = Math.max(run.total, 1);
  run.transfers = run.dma_first.length;
  run.transfersOf = grouped(run.dma_instruction, run.count);
  run.producersOf = grouped(run.consumer, run.count);
  run.consumersOf = grouped(run.producer, run.count);
  run.criticalWork = new Float64Array(run.count);
  run.critical_row.forEach((row, n) => (run.criticalWork[row] += run.critical_work[n]));
  return run;
}

async function inflate(base64) {
  const stream = new Blob([fromBase64(base64)]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Response(stream).arrayBuffer();
}

function fromBase64(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const letters = atob(text);
  const bytes = new Uint8Array(letters.length);
  for (let n = 0; n < letters.length; n++) bytes[n] = letters.charCodeAt(n);
  return bytes;
}

// Indices 0..keys.length by key: those of group g are item[offset[g]] .. item[offset[g + 1]], in order.
function grouped(keys, groups) {
  const offset = new Int32Array(groups + 1);
  for (let n = 0; n < keys.length; n++) offset[keys[n] + 1]++;
  for (let group = 0; group < groups; group++) offset[group + 1] += offset[group];
  const next = offset.slice();
  const item = new Int32Array(keys.length);
  for (let n = 0; n < keys.length; n++) item[next[keys[n]]++] = n;
  return { of: (group) => item.subarray(offset[group], offset[group + 1]) };
}

// Making a formatter takes far longer than using one.
const FORMATS = {};

function formatted(value, options) {
  return (FORMATS[JSON.stringify(options)] ??= new Intl.NumberFormat("en", options)).format(value);
}

function number(value, decimals = 1) {
  return formatted(value, { maximumFractionDigits: decimals });
}

// A duration, to four digits.
function timeText(ns) {
  const size = Math.abs(ns);
  const [scale, unit] = size < 1e3 ? [1, "ns"] : size < 1e6 ? [1e3, "µs"] : size < 1e9 ? [1e6, "ms"] : [1e9, "s"];
  return `${formatted(ns / scale, { maximumSignificantDigits: 4 })} ${unit}`;
}

// A point in time, to the nanosecond.
function momentText(ns) {
  return `${number(ns / 1e3, 3)} µs`;
}

function bytesText(bytes) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let power = 0;
  while (bytes >= 1024 && power < units.length - 1) [bytes, power] = [bytes / 1024, power + 1];
  return `${number(bytes, power ? 2 : 0)} ${units[power]}`;
}

function percentText(share) {
  return `${number(100 * share, share < 0.0995 ? 1 : 0)} %`;
}

// An element; children are nodes or texts, never HTML, so that nothing from a kernel can become markup.
function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name === "style") for (const [key, text] of Object.entries(value)) made.style.setProperty(key, text);
    else if (value !== undefined && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return made;
}

// Words about one instruction that several panes use.
function nameOf(run, row) {
  return run.operations[run.operation[row]].name;
}

function placeText(run, row) {
  const place = run.places[run.place[row]];
  return `${run.files[place.file].name}:${place.line}`;
}
