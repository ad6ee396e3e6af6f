// One image on the page: its frame painted through its window, what lies on it, and what the reader has set.

import { Cine } from "./cine.js";
import { Greys, fullRange } from "./greys.js";
import { Hud } from "./hud.js";
import { Ink } from "./ink.js";
import { Layers } from "./layers.js";
import { Marks } from "./marks.js";
import { Frames, describe } from "./source.js";
import { Stage } from "./stage.js";
import { Tools } from "./tools.js";

const remembered = new Map(); // by image: what the reader set, for when it is opened again
const COARSE = 4; // CSS pixels of a pixel from which on each is shown as the square it is

export class Viewer {
  constructor(root) {
    this.root = root;
    this.element = root.querySelector(".viewer");
    this.id = this.element.dataset.image;
    this.stageElement = this.element.querySelector(".stage");
    this.base = this.element.querySelector(".base");
    this.closed = false;
  }

  async open() {
    this.facts = await describe(this.element.dataset.describe);
    if (this.closed) return;
    const { facts } = this;
    this.shown = document.createElement("canvas");
    this.shown.className = "shown";
    this.stageElement.before(this.shown);
    this.context = this.shown.getContext("2d");
    this.frames = facts.slide ? null : new Frames(facts);
    this.greys = facts.slide ? null : new Greys(facts);
    const kept = remembered.get(this.id);
    this.frame = kept?.frame ?? (facts.layout === "volume" ? facts.frames >> 1 : 0);
    this.window = kept?.window ?? null; // null: as it was opened
    this.inverted = kept?.inverted ?? false;
    this.painted = null; // what the canvas holds: [values, window, inverted]
    this.marks = new Map();
    await this.visible();
    if (this.closed) return;
    this.stage = new Stage(this.element, facts, (matrix) => this.place(matrix));
    this.layers = new Layers(this.stageElement, facts);
    this.ink = new Ink(this.element);
    this.hud = new Hud(this.element, facts);
    this.tools = new Tools(this);
    this.cine = new Cine(this);
    await this.stage.ready;
    this.live = true;
    Object.assign(this.stageElement.style, { width: `${facts.width}px`, height: `${facts.height}px` });
    this.element.classList.add("live");
    if (facts.slide) this.base.hidden = true;
    if (kept) this.stage.view = kept.view;
    this.stage.apply();
    this.tools.reflect();
    await this.turnTo(this.frame);
    await this.follow();
  }

  // OpenSeadragon has to know a size, and a pane that is behind a tab has none.
  visible() {
    return new Promise((done) => {
      const sizes = new ResizeObserver(() => {
        if (!this.element.clientWidth) return;
        sizes.disconnect();
        done();
      });
      sizes.observe(this.element);
    });
  }

  // The layers after the pane was sent anew: `fresh` is its stage.
  async refresh(fresh) {
    if (!this.live) return;
    this.layers.adopt(fresh);
    this.layers.take(await describe(this.element.dataset.describe));
    this.layers.show(this.frame);
    this.redraw();
    await this.follow();
  }

  // To the layer whose claim was opened: on, on its frame, in the middle.
  async follow() {
    const lit = document.querySelector("#layers .layer.lit [data-layer]")?.dataset.layer;
    const layer = lit && this.layers.get(lit);
    if (!layer || layer.id === this.followed) return;
    this.followed = layer.id;
    this.layers.light(layer.id);
    await this.turnTo(layer.frame ?? this.frame);
    const box = await this.layers.place(layer).catch(() => null);
    if (box) this.stage.show(box);
  }

  async turnTo(n) {
    this.frame = Math.min(Math.max(n, 0), this.facts.frames - 1);
    this.tools.left();
    this.cine.reflect();
    this.layers.show(this.frame);
    if (!this.frames) return this.redraw();
    const wanted = this.frame;
    try {
      const values = await this.frames.get(wanted);
      if (this.closed || wanted !== this.frame) return undefined;
      this.values = values;
      this.repaint();
    } catch (error) {
      this.tools.complain(error.message);
    }
    return undefined;
  }

  // What the frame is seen through now: (centre, width), or null for the greys of the file's own table.
  get through() {
    if (this.window) return this.window;
    if (this.facts.window) return this.facts.window;
    if (this.facts.as_file && this.frame > 0) return this.greys.percentiles(this.values);
    return this.facts.as_file && !this.inverted ? null : fullRange(this.facts);
  }

  setWindow(window) {
    if (window) this.window = { centre: window.centre, width: Math.max(window.width, this.finest) };
    else this.window = null;
    this.repaint();
  }

  get finest() {
    return this.facts.dtype.startsWith("float") ? (this.facts.high - this.facts.low) / 1000 || 1e-6 : 1;
  }

  // By so many CSS pixels: to the right wider, down darker.
  changeWindow(dx, dy) {
    if (!this.values) return;
    const now = this.through ?? this.greys.percentiles(this.values);
    const step = Math.max(now.width, (this.facts.high - this.facts.low) / 50) / 250;
    this.setWindow({ centre: now.centre + dy * step, width: now.width + dx * step });
  }

  invert() {
    this.inverted = !this.inverted;
    this.repaint();
  }

  reset() {
    this.window = null;
    this.inverted = false;
    this.stage.upright();
    this.repaint();
    this.tools.reflect();
  }

  // With the next picture of the screen, however often it was asked for.
  repaint() {
    this.asked ??= requestAnimationFrame(() => {
      this.asked = null;
      if (this.closed || !this.values) return;
      const begun = performance.now();
      this.paint();
      this.redraw();
      performance.clearMeasures("viewer: window");
      performance.measure("viewer: window", { start: begun }); // bench/viewer.py reads it
    });
  }

  paint() {
    const window = this.through;
    const whole = !window && this.base.dataset.full;
    if (whole && !this.base.src.endsWith(whole)) this.base.src = whole; // the greys of the file's table: its preview
    this.base.hidden = Boolean(window);
    if (window) this.greys.paint(this.values, window, this.inverted);
    this.painted = window;
    this.tools.reflect();
  }

  redraw() {
    if (this.live) this.stage.apply();
  }

  // Everything where the image now is.
  place(matrix) {
    if (!this.live) return;
    this.stageElement.style.transform = `matrix(${matrix})`;
    const scale = Math.hypot(matrix[0], matrix[1]);
    this.element.classList.toggle("coarse", scale >= COARSE);
    this.compose(matrix, scale);
    this.ink.draw((x, y) => this.stage.toScreen(x, y), {
      layers: this.layers.list.filter((layer) => !layer.overlay && this.layers.seen(layer)),
      textBoxes: this.facts.text_boxes,
      marks: this.marks.get(this.frame),
      pending: this.tools.pending,
      cursor: this.tools.cursor,
    });
    this.hud.show(this.frames && this.through, scale, matrix);
  }

  compose([a, b, c, d, e, f], scale) {
    const [width, height] = [this.element.clientWidth, this.element.clientHeight].map((n) => Math.round(n * devicePixelRatio));
    if (this.shown.width !== width) this.shown.width = width;
    if (this.shown.height !== height) this.shown.height = height;
    const { context } = this;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, width, height);
    if (!this.painted) return;
    const [by, step] = [devicePixelRatio, this.greys.step];
    context.setTransform(a * by * step, b * by * step, c * by * step, d * by * step, e * by, f * by);
    context.imageSmoothingEnabled = scale < COARSE;
    context.imageSmoothingQuality = "medium";
    context.drawImage(this.greys.canvas, 0, 0);
  }

  // What is being drawn on this frame.
  marksHere() {
    if (!this.marks.has(this.frame)) this.marks.set(this.frame, new Marks(this.facts, this.stageElement));
    return this.marks.get(this.frame);
  }

  close() {
    this.closed = true;
    this.cine?.stop();
    if (!this.live) return;
    const { frame, window, inverted } = this;
    remembered.set(this.id, { frame, window, inverted, view: this.stage.view });
    this.stage.close();
  }
}
