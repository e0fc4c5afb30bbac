// Colours come from the style sheet, so that light and dark are decided there; here they get the forms a canvas needs.

const ENGINE_COLOURS = ["--tensor", "--vector", "--scalar", "--gpsimd", "--sync", "--dma"];
const DIRECTION_COLOURS = ["--load", "--store", "--copy", "--chip"];
const SHADES = [0, 0.2, -0.2, 0.38, -0.36, 0.1, -0.1, 0.3, -0.28];

function readPalette(run) {
  const style = getComputedStyle(document.documentElement);
  const read = (name) => style.getPropertyValue(name).trim();
  const engines = ENGINE_COLOURS.map((name) => colour(read(name)));
  return {
    engines,
    causes: run.causes.map((cause) => colour(read(`--cause-${cause.name}`))),
    directions: DIRECTION_COLOURS.map((name) => colour(read(name))),
    clocks: [colour(read("--half")), colour(read("--full"))],
    operations: shaded(run, engines),
    of: remembered(read),
  };
}

function remembered(read) {
  const known = {};
  return (name) => (known[name] ??= read(name));
}

function colour(hex) {
  const rgb = [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
  const light = (0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2]) / 255;
  return { css: hex, rgb, ink: light > 0.52 ? "#0d1117" : "#ffffff" };
}

// The operations of an engine in shades of its colour.
function shaded(run, engines) {
  const seen = {};
  const names = {};
  return run.operations.map((operation) => {
    const engine = Math.max(0, run.engines.indexOf(operation.engine));
    const key = `${engine} ${operation.name}`;
    if (!(key in names)) names[key] = seen[engine] = (seen[engine] ?? -1) + 1;
    return colour(mixed(engines[engine].rgb, SHADES[names[key] % SHADES.length]));
  });
}

// Towards white (positive) or black (negative).
function mixed(rgb, amount) {
  const goal = amount > 0 ? 255 : 0;
  const part = (value) => Math.round(value + (goal - value) * Math.abs(amount));
  return "#" + rgb.map((value) => part(value).toString(16).padStart(2, "0")).join("");
}
