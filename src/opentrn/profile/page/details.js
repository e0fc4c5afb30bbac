// The pane of the selected instruction, and the tip under the mouse.

function showDetails(app) {
  const pane = document.getElementById("details");
  const row = app.view.selected;
  pane.replaceChildren(
    ...(row < 0 ? [nothingSelected()] : [headOf(app, row), element("div", { class: "facts" }, ...factsOf(app, row))]),
  );
  document.getElementById("said").textContent = row < 0 ? "Nothing selected" : spoken(app.run, row);
}

function nothingSelected() {
  return element(
    "p",
    { class: "hint" },
    "Click an instruction or a transfer to see what it is, when it ran and what it waited for. Wheel or w/s zooms, dragging or a/d moves, double click shows everything, ? lists all keys.",
  );
}

function spoken(run, row) {
  const took = timeText(run.end[row] - run.start[row]);
  return `${nameOf(run, row)} on ${run.engines[run.engine[row]]}, starts at ${momentText(run.start[row])}, takes ${took}, line ${placeText(run, row)}`;
}

function headOf(app, row) {
  const { run } = app;
  const button = (text, title, run_, enabled = true) =>
    element("button", { type: "button", title, disabled: !enabled, onclick: run_ }, text);
  return element(
    "header",
    {},
    element("i", { class: "swatch", style: { background: `var(${ENGINE_COLOURS[run.engine[row]]})` } }),
    element("h2", {}, nameOf(run, row)),
    element(
      "span",
      { class: "muted" },
      `${ENGINE_NAMES[run.engines[run.engine[row]]]}${run.cores > 1 ? `, core ${run.core[row]}` : ""}, instruction ${number(row)}`,
    ),
    run.criticalWork[row] > 0 ? element("span", { class: "badge strong" }, "critical path") : null,
    element("span", { class: "push" }),
    button("‹ before", "The instruction before on this engine (arrow left)", () => step(app, -1)),
    button("after ›", "The instruction after on this engine (arrow right)", () => step(app, 1)),
    button("zoom", "Zoom to it (f)", () => reveal(app, row, true)),
    button("blocker", "Go to what it waited for (b)", () => go(app, run.blocker[row]), run.blocker[row] >= 0),
  );
}

function factsOf(app, row) {
  const { run } = app;
  const operation = run.operations[run.operation[row]];
  return [
    group("When", [
      ["start", momentText(run.start[row])],
      ["engine free", momentText(run.end[row])],
      ["result usable", momentText(run.done[row])],
      ["busy", timeText(run.end[row] - run.start[row])],
      ["engine waited", timeText(run.start[row] - run.ready[row])],
      run.criticalWork[row] > 0 ? ["on critical path", timeText(run.criticalWork[row])] : null,
    ]),
    why(app, row),
    group("What", [
      ["operands", element("span", { class: "code" }, ...operandLines(operation.operands))],
      [
        "source",
        link(app, `${placeText(run, row)} in ${run.places[run.place[row]].function}`, () =>
          openPlace(app, run.place[row]),
        ),
      ],
      operation.flops ? ["rate", rateText(run, row, operation)] : null,
      [
        "cost from",
        element("span", {}, ...[...new Set(operation.tiers)].map((tier) => element("span", { class: "badge" }, tier))),
      ],
      ["undisturbed", `${timeText(operation.busy_ns)} busy, ${timeText(operation.latency_ns)} until usable`],
    ]),
    ...transfers(app, row),
  ];
}

function operandLines(operands) {
  const parts = operands.split(/, (?=[\w[\].]+ \()/);
  return parts.flatMap((part, n) => (n ? [element("br"), part] : [part]));
}

function rateText(run, row, operation) {
  const took = run.end[row] - run.start[row];
  return `${number(operation.flops / 1e6, 2)} MFLOP${took ? `, ${number(operation.flops / took / 1e3, 1)} TFLOP/s` : ""}`;
}

function why(app, row) {
  const { run } = app;
  const cause = run.causes[run.cause[row]];
  const blocker = run.blocker[row];
  const partners = (numbers, column) => {
    const rows = [...new Set(Array.from(numbers.slice(0, 60), (n) => run[column][n]))];
    const shown = rows
      .slice(0, 6)
      .map((other) => link(app, `${nameOf(run, other)} #${number(other)}`, () => go(app, other)));
    const spaced = shown.flatMap((each, n) => (n ? [", ", each] : [each]));
    return rows.length
      ? element("span", {}, ...spaced, rows.length > 6 ? ` and ${numbers.length - 6} more` : "")
      : "nothing";
  };
  return group("Why not earlier", [
    [
      "cause",
      element(
        "span",
        {},
        element("i", { class: "swatch", style: { background: `var(--cause-${cause.name})` } }),
        ` ${cause.name}: ${cause.words}`,
      ),
    ],
    blocker >= 0
      ? [
          "blocker",
          link(app, `${nameOf(run, blocker)} #${number(blocker)} (${placeText(run, blocker)})`, () => go(app, blocker)),
        ]
      : null,
    ["waited for", partners(run.producersOf.of(row), "producer")],
    ["waited on by", partners(run.consumersOf.of(row), "consumer")],
  ]);
}

function transfers(app, row) {
  const { run, view } = app;
  return Array.from(run.transfersOf.of(row).slice(0, 8), (n) => {
    const took = run.dma_last[n] - run.dma_first[n];
    const tensor = run.tensors[run.dma_tensor[n]];
    return group(n === view.transfer ? "Transfer (selected)" : "Transfer", [
      ["queue", run.queues[run.dma_queue[n]]],
      ["moves", `${bytesText(run.dma_nbytes[n])} ${run.directions[run.dma_direction[n]]}`],
      [
        "descriptors",
        `${number(run.dma_descriptors[n])} on ${run.dma_engines[n]} engines, ${bytesText(run.dma_nbytes[n] / Math.max(1, run.dma_descriptors[n]))} each`,
      ],
      ["first to last", `${momentText(run.dma_first[n])} to ${momentText(run.dma_last[n])}`],
      ["rate", took ? `${number(run.dma_nbytes[n] / took, 1)} GB/s` : "at once"],
      tensor ? ["tensor", `${tensor}, bytes ${number(run.dma_low[n])} to ${number(run.dma_high[n])}`] : null,
    ]);
  });
}

function group(title, rows) {
  const lines = rows.filter(Boolean).flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]);
  return element("section", {}, element("h3", {}, title), element("dl", {}, ...lines));
}

function link(app, text, onclick) {
  return element("button", { type: "button", class: "link", onclick }, text);
}

function showTip(app, found, event) {
  const tip = document.getElementById("tip");
  tip.hidden = !found;
  if (!found) return;
  const { run } = app;
  const { row, transfer, wait } = found;
  const waited = run.start[row] - run.ready[row];
  const lines =
    transfer >= 0
      ? [
          `${bytesText(run.dma_nbytes[transfer])} ${run.directions[run.dma_direction[transfer]]} in ${timeText(run.dma_last[transfer] - run.dma_first[transfer])}`,
        ]
      : [
          wait
            ? `waited ${timeText(waited)}: ${run.causes[run.cause[row]].name}`
            : `${timeText(run.end[row] - run.start[row])} busy${waited > 0 ? `, after ${timeText(waited)} waiting` : ""}`,
        ];
  tip.replaceChildren(
    element("strong", {}, nameOf(run, row)),
    ...lines.map((line) => element("div", {}, line)),
    element("div", { class: "muted" }, placeText(run, row)),
  );
  const box = tip.getBoundingClientRect();
  tip.style.left = `${Math.min(event.clientX + 14, innerWidth - box.width - 8)}px`;
  tip.style.top = `${event.clientY + 18 + box.height > innerHeight ? event.clientY - box.height - 10 : event.clientY + 18}px`;
}
