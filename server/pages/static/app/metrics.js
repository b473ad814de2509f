// Prometheus' text format, as far as the server writes it, and what an operator asks of it.
// https://prometheus.io/docs/instrumenting/exposition_formats/

const SAMPLE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)/;
const LABEL = /(\w+)="((?:[^"\\]|\\.)*)"/g;

/** Return the samples of a page: name → [{labels, value}]. */
export function parseMetrics(text) {
  const samples = new Map();
  for (const line of text.split("\n")) {
    if (!line || line.startsWith("#")) continue;
    const found = SAMPLE.exec(line);
    if (!found) continue;
    const [, name, inside, value] = found;
    const labels = {};
    for (const [, label, text] of (inside ?? "").matchAll(LABEL)) labels[label] = unescape(text);
    if (!samples.has(name)) samples.set(name, []);
    samples.get(name).push({ labels, value: Number(value) });
  }
  return samples;
}

const unescape = (text) => text.replace(/\\(.)/g, (_, one) => (one === "n" ? "\n" : one));

/** Return the sum of a metric's samples; of several processes, too. */
export function sum(samples, name) {
  return (samples.get(name) ?? []).reduce((total, { value }) => total + value, 0);
}

/** Return the sums of a metric's samples by one label, without those that are 0. */
export function sumBy(samples, name, label) {
  const sums = new Map();
  for (const { labels, value } of samples.get(name) ?? []) {
    if (value) sums.set(labels[label], (sums.get(labels[label]) ?? 0) + value);
  }
  return sums;
}

/** Return the q-quantile of a histogram, interpolated as by PromQL's histogram_quantile; or null. */
export function quantile(samples, name, q) {
  const buckets = [...groupBuckets(samples, name)].sort(([a], [b]) => a - b);
  const total = buckets.at(-1)?.[1] ?? 0;
  if (!total) return null;
  let [lowest, below] = [0, 0];
  for (const [bound, count] of buckets) {
    if (count >= q * total) {
      if (bound === Infinity) return lowest;
      return lowest + ((bound - lowest) * (q * total - below)) / (count - below);
    }
    [lowest, below] = [bound, count];
  }
  return lowest;
}

function groupBuckets(samples, name) {
  const counts = new Map();
  for (const { labels, value } of samples.get(`${name}_bucket`) ?? []) {
    const bound = labels.le === "+Inf" ? Infinity : Number(labels.le);
    counts.set(bound, (counts.get(bound) ?? 0) + value);
  }
  return counts;
}
