// Windows to choose from: the file's, the usual ones of CT, and percentiles of the values.

// In Hounsfield units: name, centre, width.
const HOUNSFIELD = [["Lung", -600, 1500], ["Bone", 480, 2500], ["Brain", 40, 80], ["Soft tissue", 40, 400]];
const SAMPLED = 200_000;

export function presets(facts, values) {
  const found = [];
  if (facts.window) found.push(["As opened", facts.window.centre, facts.window.width]);
  for (const { name, centre, width } of facts.windows) found.push([name || "File", centre, width]);
  if (facts.unit === "HU") found.push(...HOUNSFIELD);
  if (values)
    for (const [low, high] of [[1, 99], [5, 95]]) {
      const [a, b] = percentiles(values, low, high);
      found.push([`${low} to ${high} %`, (a + b) / 2, Math.max(b - a, 1e-6)]);
    }
  found.push(["All values", (facts.low + facts.high) / 2, Math.max(facts.high - facts.low, 1e-6)]);
  return found.map(([name, centre, width]) => ({ name, centre, width }));
}

function percentiles(values, low, high) {
  const step = Math.max(1, Math.floor(values.length / SAMPLED));
  const sample = [];
  for (let i = 0; i < values.length; i += step) if (!Number.isNaN(Number(values[i]))) sample.push(Number(values[i]));
  const sorted = Float64Array.from(sample).sort();
  const at = (percent) => sorted[Math.round(((sorted.length - 1) * percent) / 100)] ?? 0;
  return [at(low), at(high)];
}

export const first = (facts) =>
  facts.window ?? { centre: (facts.low + facts.high) / 2, width: Math.max(facts.high - facts.low, 1e-6) };
