// Curves as numbers: read from the server's bytes, smoothed, and thinned to what a screen can show.

/** Split pairs of step (uint32) and value (float32) into two columns. */
export function readCurve(buffer) {
  const words = new Uint32Array(buffer);
  const floats = new Float32Array(buffer);
  const count = words.length >> 1;
  const steps = new Uint32Array(count);
  const values = new Float32Array(count);
  for (let place = 0; place < count; place += 1) {
    steps[place] = words[2 * place];
    values[place] = floats[2 * place + 1];
  }
  return { steps, values };
}

/** Return the running mean of values, each weighing `weight` times the one after it; without a bias to its start. */
export function smoothed(values, weight) {
  const means = new Float32Array(values.length);
  let total = 0;
  let correction = 0;
  for (let place = 0; place < values.length; place += 1) {
    const value = values[place];
    if (value === value) {
      total = weight * total + (1 - weight) * value;
      correction = weight * correction + (1 - weight);
    }
    means[place] = correction ? total / correction : NaN;
  }
  return means;
}

/** Return the first place whose step is `step` or later. */
export function placeOf(steps, step) {
  let [low, high] = [0, steps.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (steps[middle] < step) low = middle + 1;
    else high = middle;
  }
  return low;
}

const shown = (value, logarithmic) => (value === value && !(logarithmic && value <= 0) ? value : null);

/** The columns of runs between two steps, at every step that one of them has. */
function exactly(runs, from, to, logarithmic) {
  const steps = new Set();
  for (const { steps: own } of runs) for (let place = placeOf(own, from); place < own.length && own[place] <= to; place += 1) steps.add(own[place]);
  const table = [[...steps].sort((one, other) => one - other)];
  for (const run of runs) {
    const at = (column) => table[0].map((step) => {
      const place = placeOf(run.steps, step);
      return run.steps[place] === step ? shown(column[place], logarithmic) : null;
    });
    const values = at(run.values);
    table.push(values, values, at(run.means));
  }
  return table;
}

/** The columns of runs between two steps, in `buckets` parts of the same width: lowest, highest, and the running mean. */
function inBuckets(runs, from, to, buckets, logarithmic) {
  const width = (to - from) / buckets || 1;
  const table = [Array.from({ length: buckets }, (_, bucket) => from + (bucket + 0.5) * width)];
  for (const { steps, values, means } of runs) {
    const columns = [0, 1, 2].map(() => new Array(buckets).fill(null));
    let place = placeOf(steps, from);
    for (let bucket = 0; bucket < buckets && place < steps.length; bucket += 1) {
      const end = bucket === buckets - 1 ? to + 1 : from + (bucket + 1) * width;
      let [low, high, mean] = [Infinity, -Infinity, NaN];
      for (; place < steps.length && steps[place] < end; place += 1) {
        const value = values[place];
        if (value !== value || (logarithmic && value <= 0)) continue;
        if (value < low) low = value;
        if (value > high) high = value;
        mean = means[place];
      }
      if (high >= low) [columns[0][bucket], columns[1][bucket], columns[2][bucket]] = [low, high, mean];
    }
    table.push(...columns);
  }
  return table;
}

/**
 * Return what a chart of `runs` (steps, values, means) shows between two steps: its steps, and of each run the lowest
 * and the highest value and the running mean. No column is longer than about `buckets`.
 */
export function thinned(runs, from, to, { buckets = 1200, logarithmic = false } = {}) {
  const inside = runs.reduce((total, { steps }) => total + placeOf(steps, to + 1e-9) - placeOf(steps, from), 0);
  return inside <= 2 * buckets ? exactly(runs, from, to, logarithmic) : inBuckets(runs, from, to, buckets, logarithmic);
}
