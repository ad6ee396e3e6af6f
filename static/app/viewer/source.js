// What the server says of an image, and the values of its frames.

const TYPES = {
  uint8: Uint8Array, int8: Int8Array, uint16: Uint16Array, int16: Int16Array,
  uint32: Uint32Array, int32: Int32Array, float32: Float32Array, float64: Float64Array,
};
const KEPT = 256e6; // bytes of frames

export async function describe(url) {
  const response = await fetch(url, { headers: { Accept: "application/json" } });
  if (!response.ok) throw new Error(`The image cannot be described (${response.status}). Reload the page.`);
  return response.json();
}

export class Frames {
  constructor(facts) {
    this.facts = facts;
    this.asked = new Map(); // by number, the one used last at the end
    this.here = new Map();
  }

  url(n) {
    return `/images/${this.facts.id}/frames/${n}.raw?v=${this.facts.version}`;
  }

  // The values of a frame, row by row: a promise.
  get(n) {
    const known = this.asked.get(n);
    this.asked.delete(n);
    this.asked.set(n, known ?? this.fetch(n));
    return this.asked.get(n);
  }

  peek(n) {
    return this.here.get(n);
  }

  async fetch(n) {
    try {
      const response = await fetch(this.url(n));
      if (!response.ok) throw new Error(`Frame ${n + 1} cannot be read (${response.status}). Reload the page.`);
      const values = new TYPES[this.facts.dtype](await response.arrayBuffer());
      this.here.set(n, values);
      this.forget(values.byteLength);
      return values;
    } catch (error) {
      this.asked.delete(n); // asked again when wanted again
      throw error;
    }
  }

  forget(each) {
    for (const n of [...this.asked.keys()].slice(0, -4)) {
      if (this.here.size * each <= KEPT) return;
      if (this.here.delete(n)) this.asked.delete(n);
    }
  }
}
