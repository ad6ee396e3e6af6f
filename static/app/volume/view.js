// One volume on the page: what the reader has set, and what draws it (three planes by WebGL, or flat pictures).

import { Controls } from "./controls.js";
import { Flat } from "./flat.js";
import { NAMES, PLANES, Place, inWords } from "./geometry.js";
import { Input } from "./input.js";
import { Layers } from "./layers.js";
import { hasWebGL } from "./library.js";
import { Marks, length } from "./marks.js";
import { Scene } from "./scene.js";
import { first, presets } from "./windows.js";

const remembered = new Map(); // by image: what the reader set, for when it is opened again
const NO_WEBGL = "This browser has no WebGL 2, so the volume is shown slice by slice.";
const COLOUR = "Volumes in colour are shown slice by slice.";
const NO_PLACE = "The file does not say how its slices lie in the patient, so they are shown one by one.";
const TOO_LARGE = "This volume is too large for three planes at once, so it is shown slice by slice.";
const MOST = 512 * 1024 * 1024; // bytes that a page may hold of one time point
const SMALLEST = 1e-6;

export class View {
  constructor(root) {
    this.root = root;
    this.stage = root.querySelector(".planes");
    this.figure = root.querySelector(".flat");
    this.said = root.querySelector(".volume-said");
    this.reading = root.querySelector(".reading");
    this.changed = new Set();
  }

  async open() {
    const response = await fetch(this.root.dataset.describe, { credentials: "same-origin" });
    if (!response.ok) throw new Error("This volume is not here any more. Load the page again.");
    this.facts = await response.json();
    this.place = this.facts.affine ? new Place(this.facts) : null;
    this.active = this.place?.stored ?? "axial";
    const { width, height, frames } = this.facts;
    this.state = remembered.get(this.facts.id) ?? {
      voxel: [width >> 1, height >> 1, frames >> 1],
      ...first(this.facts), plane: "all", inverted: false, zoom: 1, pan: [0, 0, 0], time: 0, drag: "crosshair",
    };
    const reason = this.declined();
    if (reason) this.openFlat(reason);
    else await this.openPlanes().catch((error) => {
      if (!this.closed) this.openFlat(`${error.message} Slices are shown instead.`);
    });
  }

  declined() {
    const { facts } = this;
    if (facts.channels > 1) return COLOUR;
    if (!this.place) return NO_PLACE;
    if (!hasWebGL()) return NO_WEBGL;
    const bytes = facts.width * facts.height * facts.frames * (facts.dtype.match(/\d+/)[0] / 8);
    return bytes > MOST ? TOO_LARGE : "";
  }

  openFlat(reason) {
    this.scene?.close();
    this.scene = null;
    this.say(reason);
    this.root.classList.add("is-flat");
    this.figure.hidden = false;
    this.stage.hidden = true;
    if (this.state.plane === "all") this.state.plane = this.active;
    this.flat = new Flat(this.figure, this.place, this.facts, this.root.dataset.frame);
    this.controls = new Controls(this, presets(this.facts, null));
    this.ready();
  }

  async openPlanes() {
    this.say("Loading the volume …");
    this.scene = new Scene(this.stage.querySelector("canvas"), this.place, this.facts);
    const progress = (share) => this.say(`Loading the volume … ${Math.round(share * 100)} %`);
    await this.scene.open(this.root.dataset.library, this.volumeAt(this.state.time), this.state, progress);
    if (this.closed) return;
    this.say("");
    this.scene.setLayout(this.state.plane);
    if (this.state.inverted) this.scene.setWindow(this.state, true);
    this.marks = new Marks(this.root);
    this.controls = new Controls(this, presets(this.facts, this.scene.values));
    this.input = new Input(this);
    this.sizes = new ResizeObserver(() => this.set({}));
    this.sizes.observe(this.stage);
    this.ready();
    this.layers = new Layers(this);
    await this.layers.load();
  }

  ready() {
    this.set({ voxel: this.state.voxel });
    this.root.dataset.ready = "1";
  }

  volumeAt(time) {
    return `${this.root.dataset.volume}?t=${time}&v=${this.facts.version ?? ""}`;
  }

  say(text) {
    this.said.textContent = text;
    this.said.hidden = !text;
  }

  // Change what is set, and draw once before the next frame however often it changes.
  set(changes) {
    Object.assign(this.state, changes);
    for (const name of Object.keys(changes)) this.changed.add(name);
    this.waiting ??= requestAnimationFrame(() => {
      this.waiting = null;
      if (!this.closed) this.draw();
    });
  }

  draw() {
    const { state, changed } = this;
    this.changed = new Set();
    remembered.set(this.facts.id, state);
    if (this.flat) this.flat.draw({ ...state, plane: this.active });
    else if (this.stage.clientWidth) {
      if (changed.has("plane") || !changed.size) this.scene.setLayout(state.plane);
      if (["centre", "width", "inverted"].some((name) => changed.has(name))) this.scene.setWindow(state, state.inverted);
      this.scene.draw(state);
      this.marks.draw(this.scene, state.voxel);
      if (changed.has("voxel") || changed.has("time")) this.read(null);
    }
    this.controls.reflect();
    this.root.dispatchEvent(new CustomEvent("lightbox:viewed", { bubbles: true, detail: { view: this, changed } }));
  }

  at(x, y) {
    return this.scene.at(x, y);
  }

  touch(plane) {
    if (this.active === plane) return;
    this.active = plane;
    this.set({ touched: plane });
  }

  // The value and the place under the pointer, or of the crosshair.
  read(mm) {
    const voxel = mm ? this.place.voxel(mm) : this.state.voxel;
    if (mm && !this.place.inside(voxel)) return;
    const rounded = this.place.clamp(voxel);
    const value = this.scene.value(rounded);
    const number = Number.isInteger(value) ? String(value) : value.toPrecision(6).replace(/\.?0+$/, "");
    const unit = this.facts.unit ? ` ${this.facts.unit}` : "";
    const where = inWords(this.place.mm(rounded));
    this.reading.textContent = `${number}${unit} · ${where} mm · voxel ${rounded.join(", ")}`;
  }

  // The crosshair to the voxel there; what a plane is cut across stays, so that a click never changes its slice.
  goTo(mm, plane = null) {
    const voxel = this.place.clamp(this.place.voxel(mm));
    if (plane) voxel[this.place.cut(plane)] = this.state.voxel[this.place.cut(plane)];
    this.set({ voxel });
  }

  move(axis, step) {
    const voxel = [...this.state.voxel];
    const end = [this.facts.width, this.facts.height, this.facts.frames][axis] - 1;
    voxel[axis] = Math.min(Math.max(voxel[axis] + step, 0), end);
    this.set({ voxel });
  }

  step(plane, by) {
    this.active = plane;
    this.move(this.cut(plane), by);
  }

  cut(plane) {
    return this.place ? this.place.cut(plane) : 2;
  }

  walk(plane, edge, by) {
    const [axis, step] = this.place.towards(plane, edge);
    this.move(axis, step * by);
  }

  // By so many pixels: across the picture from the lowest to the highest value in about 500.
  window(up, right) {
    const unit = Math.max((this.facts.high - this.facts.low) / 2000, SMALLEST);
    const width = Math.max(this.state.width + right * unit, SMALLEST);
    this.set({ centre: this.state.centre - up * unit, width });
  }

  zoom(by) {
    const zoom = Math.min(Math.max(this.state.zoom * by, 0.5), 30);
    const mm = this.scene?.shownAt(this.state.voxel) ?? [0, 0, 0];
    const pan = this.state.pan.map((value, axis) => value + (this.state.zoom - zoom) * mm[axis]); // the crosshair stays
    this.set({ zoom, pan });
  }

  pan(plane, dx, dy) {
    if (!this.scene) return;
    const scale = this.scene.scale(plane) / this.state.zoom;
    const pan = [...this.state.pan];
    for (const [edge, pixels] of [["right", dx], ["down", dy]]) {
      const [axis, way] = PLANES[plane][edge];
      pan[axis] += (way * pixels) / scale;
    }
    this.set({ pan });
  }

  reset() {
    if (this.marks) this.marks.rulers = [];
    this.set({ ...first(this.facts), inverted: false, zoom: 1, pan: [0, 0, 0] });
  }

  nextPreset() {
    this.controls.nextPreset();
  }

  nextPlane() {
    const all = [...(this.flat ? [] : ["all"]), ...NAMES];
    this.showPlane(all[(all.indexOf(this.state.plane) + 1) % all.length]);
  }

  showPlane(plane) {
    if (plane !== "all") this.active = plane;
    this.set({ plane });
  }

  async setTime(time) {
    this.set({ time });
    if (!this.scene) return;
    this.wanted = time;
    if (this.fetching) return;
    this.fetching = true;
    try {
      while (this.shownTime !== this.wanted) {
        const next = this.wanted;
        await this.scene.setTime(this.volumeAt(next), this.state);
        this.shownTime = next;
      }
      this.say("");
    } catch (error) {
      this.say(error.message);
    } finally {
      this.fetching = false;
      this.set({ time: this.state.time });
    }
  }

  startRuler({ plane, mm }) {
    const ruler = { plane, a: mm, b: mm };
    this.marks.rulers.push(ruler);
    return ruler;
  }

  moveRuler(ruler, mm) {
    ruler.b = mm;
    this.set({});
  }

  endRuler(ruler) {
    if (length(ruler) === 0) this.marks.rulers = this.marks.rulers.filter((one) => one !== ruler);
    else this.say(`${length(ruler).toFixed(1)} mm`);
    this.set({});
  }

  // D at the one end and D at the other: from crosshair to crosshair.
  rulerByKey() {
    const mm = this.place.mm(this.state.voxel);
    if (this.begun?.plane === this.active) {
      this.begun.b = mm;
      this.endRuler(this.begun);
      this.begun = null;
    } else {
      this.begun = this.startRuler({ plane: this.active, mm });
      this.say("The length begins here. Move the crosshair and press D again.");
      this.set({});
    }
  }

  // The pane was sent anew, perhaps with other layers.
  async refresh() {
    const response = await fetch(this.root.dataset.describe, { credentials: "same-origin" });
    if (!response.ok || this.closed || !this.scene) return;
    this.facts.layers = (await response.json()).layers;
    this.layers?.take(this.facts.layers);
    await this.layers?.load();
    await this.layers?.apply();
  }

  close() {
    this.closed = true;
    this.sizes?.disconnect();
    this.scene?.close();
  }
}
