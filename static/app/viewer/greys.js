// From values to greys: window and level by a table (DICOM PS3.3 C.11.2.1), as assistant/greys.py does on the server.

const CT = [
  { name: "Lung", centre: -600, width: 1500 },
  { name: "Soft tissue", centre: 40, width: 400 },
  { name: "Bone", centre: 400, width: 1800 },
  { name: "Brain", centre: 40, width: 80 },
];
const MOST = 36e6; // pixels that are painted one by one; a larger frame is painted at half resolution
const SIXTEEN = 65536;

// 0 to 255 of one value.
export function grey(value, { centre, width }, how) {
  let shade;
  if (how === "SIGMOID") shade = 255 / (1 + Math.exp((-4 * (value - centre)) / width));
  else if (how === "LINEAR" && width > 1) shade = ((value - (centre - 0.5)) / (width - 1) + 0.5) * 255;
  else if (how === "LINEAR") shade = value > centre - 0.5 ? 255 : 0;
  else shade = ((value - centre) / Math.max(width, 1e-9) + 0.5) * 255;
  return Math.round(Math.min(Math.max(shade, 0), 255));
}

// Values as places in a table: the bits of 8 and 16 bit numbers themselves, else steps between the least and the greatest.
function indexed(values, facts) {
  const { buffer, byteOffset, length } = values;
  if (values.BYTES_PER_ELEMENT === 1) return new Uint8Array(buffer, byteOffset, length);
  if (values.BYTES_PER_ELEMENT === 2) return new Uint16Array(buffer, byteOffset, length);
  const steps = new Uint16Array(length);
  const factor = (SIXTEEN - 1) / Math.max(facts.high - facts.low, 1e-9);
  for (let i = 0; i < length; i++) steps[i] = Math.min(Math.max((values[i] - facts.low) * factor, 0), SIXTEEN - 1);
  return steps;
}

// The value that stands at a place of the table.
function valueAt(place, facts) {
  if (facts.dtype === "uint8" || facts.dtype === "uint16") return place;
  if (facts.dtype === "int8") return place < 128 ? place : place - 256;
  if (facts.dtype === "int16") return place < SIXTEEN / 2 ? place : place - SIXTEEN;
  return facts.low + (place / (SIXTEEN - 1)) * (facts.high - facts.low);
}

export class Greys {
  constructor(facts) {
    this.facts = facts;
    this.step = facts.width * facts.height > MOST ? 2 : 1;
    this.canvas = document.createElement("canvas");
    this.canvas.width = Math.ceil(facts.width / this.step);
    this.canvas.height = Math.ceil(facts.height / this.step);
    this.context = this.canvas.getContext("2d", { alpha: false });
    this.picture = this.context.createImageData(this.canvas.width, this.canvas.height);
    this.places = new WeakMap(); // by the values of a frame
  }

  placesOf(values) {
    if (!this.places.has(values)) this.places.set(values, indexed(values, this.facts));
    return this.places.get(values);
  }

  paint(values, window, inverted) {
    const places = this.placesOf(values);
    const table = this.table(places.BYTES_PER_ELEMENT === 1 ? 256 : SIXTEEN, window, inverted);
    const out = new Uint32Array(this.picture.data.buffer);
    if (this.facts.channels === 3) this.colours(places, table, out);
    else if (this.step === 1) for (let i = 0; i < out.length; i++) out[i] = table[places[i]];
    else this.everyOther(places, table, out);
    this.context.putImageData(this.picture, 0, 0);
  }

  // Grey as a whole pixel, red in the lowest byte.
  table(size, window, inverted) {
    const table = new Uint32Array(size);
    for (let place = 0; place < size; place++) {
      const shade = grey(valueAt(place, this.facts), window, this.facts.function);
      const shown = inverted ? 255 - shade : shade;
      table[place] = (0xff000000 | (shown << 16) | (shown << 8) | shown) >>> 0;
    }
    return table;
  }

  colours(places, table, out) {
    const { width } = this.facts;
    for (let i = 0; i < out.length; i++) {
      const at = 3 * (this.step === 1 ? i : this.step * (Math.floor(i / this.canvas.width) * width + (i % this.canvas.width)));
      out[i] = (table[places[at]] & 0xff0000ff) | (table[places[at + 1]] & 0xff00) | (table[places[at + 2]] & 0xff0000);
    }
  }

  everyOther(places, table, out) {
    const { width, height } = this.canvas;
    for (let y = 0, i = 0; y < height; y++) {
      for (let x = 0; x < width; x++, i++) out[i] = table[places[this.step * (y * this.facts.width + x)]];
    }
  }

  // The window from the 0.5th to the 99.5th percentile of a frame.
  percentiles(values) {
    const places = this.placesOf(values);
    const counts = new Uint32Array(places.BYTES_PER_ELEMENT === 1 ? 256 : SIXTEEN);
    for (let i = 0; i < places.length; i++) counts[places[i]] += 1;
    const order = [...counts.keys()].map((place) => [valueAt(place, this.facts), counts[place]]);
    if (this.facts.dtype.startsWith("int")) order.sort((a, b) => a[0] - b[0]);
    const end = (share) => {
      let seen = 0;
      for (const [value, count] of order) {
        seen += count;
        if (count && seen >= share * places.length) return value;
      }
      return this.facts.high;
    };
    return between(end(0.005), end(0.995));
  }
}

export const between = (low, high) => ({ centre: (low + high) / 2, width: Math.max(high - low, 1e-6) });
export const fullRange = (facts) => (facts.dtype === "uint8" ? between(0, 255) : between(facts.low, facts.high));

// What the list of windows offers: those of the file, those of CT, and two that every image has.
export function presets(facts) {
  const ofFile = facts.windows.map((window, i) => ({ ...window, name: `File: ${window.name === "file" ? i + 1 : window.name}` }));
  const [opened, named] = [facts.window, ofFile[0]];
  const first = named && named.centre === opened?.centre && named.width === opened?.width ? [] : [{ name: "As opened" }];
  return [...first, ...ofFile, ...(facts.unit === "HU" ? CT : []), { name: "Full range" }, { name: "Percentiles" }];
}
