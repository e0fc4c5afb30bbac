// Sorted intervals that do not overlap: one row of pixels. `category` picks the colour, `item` is what a click selects.
// Running sums of the covered time give the exact share of any pixel in two binary searches, at every zoom.

class Layer {
  constructor(start, end, category, item) {
    Object.assign(this, { start, end, category, item, length: start.length });
    this.sum = new Float64Array(this.length + 1);
    for (let n = 0; n < this.length; n++) this.sum[n + 1] = this.sum[n] + end[n] - start[n];
  }

  // From rows of columns; rows of no length are left out. `category` is a column, or a function of the row.
  // Loops, not Array.from with a function: that is ten times slower, and this is most of the time to load.
  static gather(items, start, end, category) {
    const kept = items.filter((n) => end[n] > start[n]);
    if (!isSorted(kept, start)) kept.sort((a, b) => start[a] - start[b]);
    const many = kept.length;
    const [from, to, kind] = [new Float64Array(many), new Float64Array(many), new Uint16Array(many)];
    const isColumn = typeof category !== "function";
    for (let n = 0; n < many; n++) {
      const item = kept[n];
      from[n] = start[item];
      to[n] = end[item];
      kind[n] = isColumn ? category[item] : category(item);
    }
    return new Layer(from, to, kind, kept);
  }

  subset(keep) {
    const kept = new Int32Array(this.length);
    let many = 0;
    for (let n = 0; n < this.length; n++) if (keep(this.item[n])) kept[many++] = n;
    const pick = (column) => {
      const made = new column.constructor(many);
      for (let n = 0; n < many; n++) made[n] = column[kept[n]];
      return made;
    };
    return new Layer(pick(this.start), pick(this.end), pick(this.category), pick(this.item));
  }

  // The first interval that ends after `time`, looked for from `low` on: steps that double, then halves.
  after(time, low = 0) {
    let step = 1;
    let high = low;
    while (high < this.length && this.end[high] <= time) {
      low = high + 1;
      high += step;
      step *= 2;
    }
    high = Math.min(high, this.length);
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.end[middle] > time) high = middle;
      else low = middle + 1;
    }
    return low;
  }

  // Time covered before `time`; `index` is after(time).
  covered(time, index = this.after(time)) {
    return this.sum[index] + (index < this.length ? Math.max(0, time - this.start[index]) : 0);
  }

  share(from, to) {
    return to > from ? (this.covered(to) - this.covered(from)) / (to - from) : 0;
  }

  // The category of the longest of a few intervals spread evenly over first .. last.
  longest(first, last) {
    const stride = Math.max(1, (last - first) / 11);
    let best = first;
    for (let at = first; at <= last && at < this.length; at += stride) {
      const n = at | 0;
      if (this.end[n] - this.start[n] > this.end[best] - this.start[best]) best = n;
    }
    return this.category[Math.min(best, this.length - 1)];
  }

  // The interval at `time`, or else the nearest one within `reach`; -1 if there is none.
  at(time, reach) {
    const right = this.after(time);
    if (right < this.length && this.start[right] <= time) return right;
    const far = right < this.length ? this.start[right] - time : Infinity;
    const back = right > 0 ? time - this.end[right - 1] : Infinity;
    return Math.min(far, back) > reach ? -1 : far < back ? right : right - 1;
  }
}

function isSorted(items, keys) {
  for (let n = 1; n < items.length; n++) if (keys[items[n]] < keys[items[n - 1]]) return false;
  return true;
}

// Intervals that may overlap, dealt out to as few layers as keep each free of overlaps (at most `most`).
function dealt(items, start, end, category, most) {
  const order = items.slice();
  if (!isSorted(order, start)) order.sort((a, b) => start[a] - start[b]);
  const rows = [];
  for (const n of order) {
    let row = rows.findIndex((each) => each.until <= start[n]);
    if (row < 0 && rows.length < most) row = rows.push({ until: 0, items: [] }) - 1;
    if (row < 0) row = rows.reduce((best, each, index) => (each.until < rows[best].until ? index : best), 0);
    rows[row].items.push(n);
    rows[row].until = Math.max(rows[row].until, end[n]);
  }
  return rows.map((row) => Layer.gather(Int32Array.from(row.items), start, end, category));
}

// A step function with coarser copies of itself; a copy keeps the maximum of each pair.
class Steps {
  constructor(time, value) {
    this.levels = [{ time, value }];
    while (this.levels.at(-1).time.length > 4096) this.levels.push(Steps.halved(this.levels.at(-1)));
    this.peak = value.reduce((most, each) => Math.max(most, each), 0);
  }

  static halved({ time, value }) {
    const half = Math.ceil(time.length / 2);
    const larger = (n) => Math.max(value[2 * n], value[Math.min(2 * n + 1, value.length - 1)]);
    return {
      time: Float64Array.from({ length: half }, (_, n) => time[2 * n]),
      value: Float64Array.from({ length: half }, (_, n) => larger(n)),
    };
  }

  // The last index whose time is not after `time` (0 at least).
  static before(times, time) {
    let [low, high] = [0, times.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (times[middle] <= time) low = middle + 1;
      else high = middle;
    }
    return Math.max(0, low - 1);
  }

  // The finest copy with at most `most` steps between two times, and the range of indices.
  visible(from, to, most) {
    for (const level of this.levels) {
      const [first, last] = [Steps.before(level.time, from), Steps.before(level.time, to)];
      if (last - first <= most || level === this.levels.at(-1)) return { ...level, first, last };
    }
  }

  at(time) {
    const { time: times, value } = this.levels[0];
    return times.length ? value[Steps.before(times, time)] : 0;
  }
}
