// What is drawn over the lanes for the selected instruction.

// The selected instruction, the transfers it started, and arrows along its semaphores.
function drawSelection(app) {
  const { run, view, palette } = app;
  const row = view.selected;
  if (row < 0) return;
  const blocker = run.blocker[row];
  for (const n of run.producersOf.of(row))
    arrow(
      app,
      outOf(app, run.producer[n]),
      into(app, row),
      palette.of("--arrow-in"),
      run.producer[n] === blocker ? 2.5 : 1.25,
    );
  if (blocker >= 0 && !run.producersOf.of(row).some((n) => run.producer[n] === blocker)) {
    arrow(app, outOf(app, blocker, run.start[row]), into(app, row), palette.causes[run.cause[row]].css, 2.5);
  }
  for (const n of run.consumersOf.of(row))
    arrow(app, outOf(app, row), into(app, run.consumer[n]), palette.of("--arrow-out"), 1.25);
  for (const transfer of run.transfersOf.of(row)) {
    const found = laneOfTransfer(app, transfer);
    if (found)
      frame(
        app,
        found.lane,
        found.band,
        run.dma_first[transfer],
        run.dma_last[transfer],
        transfer === view.transfer ? 2 : 1.25,
      );
  }
  const lane = laneOfRow(app, row);
  frame(app, lane, lane.bands.at(-1), run.start[row], run.end[row], 2);
}

function frame(app, lane, band, from, to, width) {
  const { context, view } = app;
  const left = Math.max(GUTTER - 5, xOf(view, from));
  const right = Math.min(view.width + 5, xOf(view, to));
  context.strokeStyle = app.palette.of("--select");
  context.lineWidth = width;
  context.strokeRect(
    left - 1,
    HEAD + lane.y - view.scroll + band.top - 1.5,
    Math.max(3, right - left + 1),
    band.height + 3,
  );
  context.lineWidth = 1;
}

// Where a result appears: at the end of the row's last transfer, or when the row is done (or at `latest`, if that is sooner).
function outOf(app, row, latest = Infinity) {
  const transfers = app.run.transfersOf.of(row);
  if (transfers.length) {
    const transfer = transfers.reduce((late, n) => (app.run.dma_last[n] > app.run.dma_last[late] ? n : late));
    const found = laneOfTransfer(app, transfer);
    if (found) return point(app, found.lane, found.band, Math.min(latest, app.run.dma_last[transfer]));
  }
  const lane = laneOfRow(app, row);
  return point(app, lane, lane.bands.at(-1), Math.min(latest, app.run.done[row]));
}

function into(app, row) {
  const lane = laneOfRow(app, row);
  return point(app, lane, lane.bands.at(-1), app.run.start[row]);
}

function point(app, lane, band, time) {
  return { x: xOf(app.view, time), y: HEAD + lane.y - app.view.scroll + band.top + band.height / 2 };
}

function arrow(app, from, to, ink, width) {
  const { context } = app;
  const bend = Math.min(60, Math.max(6, Math.abs(to.x - from.x) / 2));
  context.strokeStyle = context.fillStyle = ink;
  context.lineWidth = width;
  context.beginPath();
  context.moveTo(from.x, from.y);
  context.bezierCurveTo(from.x + bend, from.y, to.x - bend, to.y, to.x - 5, to.y);
  context.stroke();
  context.beginPath();
  context.moveTo(to.x, to.y);
  context.lineTo(to.x - 7, to.y - 4);
  context.lineTo(to.x - 7, to.y + 4);
  context.fill();
  context.lineWidth = 1;
}
