// What is drawn from top to bottom. A lane of bars has bands: a layer with its place in the lane, palette and opacity.
// `base` is a height, or [top, height] in the lane, before `layout` stretches them to the window.

const MOST_DMA_ROWS = 4;
const DMA_CATEGORY = 5; // after the five engines, on the critical path

function makeLanes(run) {
  const lanes = [criticalLane(run)];
  const engineOf = run.engine.map((engine, row) => run.core[row] * run.engines.length + engine);
  const rowsOf = grouped(engineOf, run.cores * run.engines.length);
  const transfersOf = grouped(run.dma_queue, run.queues.length);
  for (let core = 0; core < run.cores; core++) {
    if (run.cores > 1) lanes.push({ kind: "head", name: `Core ${core}`, core, base: 26 });
    if (core < run.clocks) lanes.push(clockLane(run, core));
    run.engines.forEach((_, n) => lanes.push(engineLane(run, core, n, rowsOf.of(core * run.engines.length + n))));
    run.queues.forEach((name, queue) => {
      const items = transfersOf.of(queue);
      if (items.length && run.core[run.dma_instruction[items[0]]] === core)
        lanes.push(queueLane(run, core, name, items));
    });
    for (const each of run.occupancy) if (each.core === core) lanes.push(areaLane(run, each));
  }
  return lanes;
}

const MOST_STRETCH = 2;

// Give the lanes the room there is; they scroll where there is too little. Gives back their height together.
function layout(lanes, room) {
  const needed = lanes.reduce((sum, lane) => sum + lane.base, 0);
  const stretch = Math.min(Math.max(room / needed, 1), MOST_STRETCH);
  let y = 4;
  for (const lane of lanes) {
    lane.height = lane.base * (lane.kind === "head" ? 1 : stretch);
    for (const band of lane.bands ?? []) [band.top, band.height] = band.base.map((size) => size * stretch);
    [lane.y, y] = [y, y + lane.height];
  }
  return y;
}

const ENGINE_NAMES = { tensor: "TensorE", vector: "VectorE", scalar: "ScalarE", gpsimd: "GpSimd", sync: "SyncE" };

function engineLane(run, core, engine, rows) {
  const busy = Layer.gather(rows, run.start, run.end, run.operation);
  const waits = Layer.gather(rows, run.ready, run.start, run.cause);
  const bands = [
    { layer: waits, base: [4, 18], palette: "causes", alpha: 0.2, pick: true, wait: true },
    { layer: waits, base: [4, 2.5], palette: "causes", alpha: 0.85 },
    {
      layer: busy,
      base: [4, 18],
      palette: "operations",
      profile: ENGINE_COLOURS[engine],
      alpha: 1,
      pick: true,
      text: (row) => barText(run, row),
    },
  ];
  return {
    kind: "bars",
    name: ENGINE_NAMES[run.engines[engine]] ?? run.engines[engine],
    core,
    engine,
    bands,
    load: busy,
    base: 26,
  };
}

function barText(run, row) {
  return [nameOf(run, row), `:${run.places[run.place[row]].line}`];
}

function queueLane(run, core, name, items) {
  const layers = dealt(items, run.dma_first, run.dma_last, run.dma_direction, MOST_DMA_ROWS);
  const text = (n) => [
    run.tensors[run.dma_tensor[n]] ?? run.directions[run.dma_direction[n]],
    bytesText(run.dma_nbytes[n]),
  ];
  const bands = layers.map((layer, n) => ({
    layer,
    base: [3 + 13 * n, 12],
    palette: "directions",
    alpha: 1,
    pick: true,
    transfer: true,
    text,
  }));
  const short = run.cores > 1 ? name.replace(/^core\d+ /, "") : name.replace(/^core0 /, "");
  return { kind: "bars", name: `DMA ${short}`, core, bands, load: layers[0], base: 5 + 13 * layers.length };
}

// One after another by construction: what worked, and in the gaps nothing.
function criticalLane(run) {
  const rows = Int32Array.from(run.critical_row.keys());
  const start = Float64Array.from(rows, (n) => run.start[run.critical_row[n]]);
  const end = start.map((time, n) => time + run.critical_work[n]);
  const moves = (n) => run.transfersOf.of(run.critical_row[n]).length > 0;
  const layer = Layer.gather(rows, start, end, (n) => (moves(n) ? DMA_CATEGORY : run.engine[run.critical_row[n]]));
  layer.item = layer.item.map((n) => run.critical_row[n]);
  const band = { layer, base: [4, 15], palette: "engines", alpha: 1, pick: true, text: (row) => barText(run, row) };
  return { kind: "bars", name: "Critical path", core: -1, bands: [band], load: null, base: 24, strong: true };
}

function clockLane(run, core) {
  const [start, end, full] = ["start", "end", "full"].map((part) => run[`clock${core}_${part}`]);
  const layer = Layer.gather(Int32Array.from(start.keys()), start, end, full);
  const half = layer.subset((n) => !full[n]);
  const band = { layer, base: [4, 7], palette: "clocks", alpha: 1 };
  return { kind: "bars", name: "TensorE clock", core, bands: [band], load: half, loadText: "half", base: 15 };
}

function areaLane(run, { core, memory, capacity }) {
  const steps = new Steps(run[`${memory}${core}_time`], run[`${memory}${core}_value`]);
  return { kind: "area", name: memory.toUpperCase(), memory, core, steps, capacity, base: 40 };
}

// Where a row is drawn: its engine's lane; a transfer: its queue's.
function laneOfRow(app, row) {
  return app.lanes.find((lane) => lane.core === app.run.core[row] && lane.engine === app.run.engine[row]);
}

function laneOfTransfer(app, transfer) {
  for (const lane of app.lanes) {
    for (const band of lane.bands ?? []) {
      if (!band.transfer) continue;
      const n = band.layer.at((app.run.dma_first[transfer] + app.run.dma_last[transfer]) / 2, 0);
      if (n >= 0 && band.layer.item[n] === transfer) return { lane, band };
    }
  }
  return null;
}
