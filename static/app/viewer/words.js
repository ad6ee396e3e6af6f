// Numbers as the viewer writes them.

const UNITS = { px: " px", px2: " px²", mm: " mm", mm2: " mm²", deg: "°", HU: " HU" };

export const number = (value, digits = 1) => value.toLocaleString("en-GB", { maximumFractionDigits: digits, useGrouping: false }).replace("-", "−");

// A measured value with its unit; areas of more than a square centimetre in square centimetres.
function measured({ value, unit }) {
  if (unit === "mm2" && value >= 100) return `${number(value / 100)} cm²`;
  return `${number(value, value < 10 ? 2 : 1)}${UNITS[unit] ?? (unit && ` ${unit}`)}`;
}

// {"length_mm": 12.3}, or [{name, value, unit}, ...]: the same numbers in two shapes.
export function valuesOf(values) {
  if (Array.isArray(values)) return values;
  return Object.entries(values ?? {}).map(([key, value]) => {
    const [name, unit = ""] = key.split("_");
    return { name, value, unit };
  });
}

export function measuredLines(layer) {
  const values = valuesOf(layer.values);
  const main = values.filter(({ name }) => ["length", "angle", "area"].includes(name)).map(measured);
  const rest = values.filter(({ name }) => ["mean", "sd", "min", "max"].includes(name));
  const more = rest.length ? [rest.map((one) => `${one.name} ${measured(one)}`).join(", ")] : [];
  return [...main, ...more];
}

export const atTheDetector = (facts) => (facts.spacing?.source === "ImagerPixelSpacing" ? " at the detector" : "");

// What stands under the pointer: [value, place], or null outside the image.
export function under(facts, values, { x, y }) {
  const [column, row] = [Math.floor(x), Math.floor(y)];
  if (column < 0 || row < 0 || column >= facts.width || row >= facts.height) return null;
  const place = `x ${column}, y ${row}`;
  const mm = facts.spacing
    ? `, ${number(x * facts.spacing.column_mm)} × ${number(y * facts.spacing.row_mm)} mm${atTheDetector(facts)}`
    : "";
  if (!values) return ["", place + mm];
  const at = (row * facts.width + column) * facts.channels;
  const shown = [...values.subarray(at, at + facts.channels)].map((value) => number(value, 3)).join(", ");
  const unit = facts.channels > 1 ? " (red, green, blue)" : facts.unit && ` ${facts.unit}`;
  return [`${shown}${unit}${facts.inverted ? " (mirrored)" : ""}`, place + mm];
}
