// What the pointer does: move, change the window, measure, mark. By keyboard a cross is moved, and Enter sets a point.

import { presets, fullRange } from "./greys.js";
import { refresh, saveMask, saveMeasurement, segment } from "./sending.js";

const GROUPS = {
  move: ["move"],
  window: ["window"],
  measure: ["ruler", "angle", "ellipse"],
  mark: ["box", "add", "remove", "lasso", "brush", "erase"],
};
const POINTS = { ruler: 2, angle: 3, ellipse: 2, box: 2 };
export const TYPES = { ruler: "length", angle: "angle", ellipse: "ellipse", box: "box" };
const CLICK = 4; // CSS pixels that a click may move

const groupOf = (mode) => Object.keys(GROUPS).find((group) => GROUPS[group].includes(mode));

export class Tools {
  constructor(viewer) {
    this.viewer = viewer;
    this.root = viewer.root;
    this.mode = "move";
    this.lastOf = { move: "move", window: "window", measure: "ruler", mark: "brush" };
    this.size = Math.max(4, Math.round(viewer.facts.width / 40));
    this.points = []; // set so far, of a measurement or a box
    this.floating = null; // the one that follows the pointer
    this.cursor = null; // of the keyboard, in pixels of the frame
    this.offer();
    this.listen();
  }

  get pending() {
    if (!this.points.length) return null;
    const points = this.floating ? [...this.points, this.floating] : this.points;
    return points.length > 1 || TYPES[this.mode] === undefined ? { type: TYPES[this.mode] ?? "length", points } : null;
  }

  offer() {
    const { facts } = this.viewer;
    this.presets = presets(facts);
    const select = this.root.querySelector("[name=preset]");
    this.presets.forEach(({ name }, i) => select.append(new Option(name, String(i))));
    select.append(new Option("By hand", "hand", false, false));
    select.addEventListener("change", () => this.preset(Number(select.value)));
    const size = this.root.querySelector("[name=size]");
    size.max = String(Math.max(64, Math.round(facts.width / 4)));
    size.value = String(this.size);
    size.addEventListener("input", () => { this.size = Number(size.value); });
    for (const group of facts.slide ? ["window", "mark"] : []) this.root.querySelector(`[data-group=${group}]`).hidden = true;
    if (facts.slide) this.root.querySelector("[data-mode=ellipse]").hidden = true;
    this.root.querySelector(".viewer-tools").hidden = false;
  }

  listen() {
    const { osd } = this.viewer.stage;
    osd.addHandler("canvas-press", (event) => this.press(this.at(event.position)));
    osd.addHandler("canvas-drag", (event) => {
      if (this.mode === "move") return;
      event.preventDefaultAction = true;
      this.drag(this.at(event.position), event.delta);
    });
    osd.addHandler("canvas-drag-end", (event) => { event.preventDefaultAction ||= this.mode !== "move"; });
    osd.addHandler("canvas-release", (event) => this.release(this.at(event.position)));
    osd.addHandler("canvas-pinch", () => this.left());
    osd.addHandler("canvas-scroll", (event) => this.wheel(event));
    this.root.addEventListener("click", (event) => this.clicked(event));
    const { element } = this.viewer;
    element.addEventListener("pointermove", (event) => this.hover(event));
    element.addEventListener("pointerleave", () => this.viewer.hud.point(null));
    element.addEventListener("contextmenu", (event) => event.preventDefault());
    element.addEventListener("pointerdown", (event) => this.rightDrag(event), { capture: true });
  }

  at({ x, y }) {
    const { facts, stage } = this.viewer;
    const at = stage.toImage(x, y);
    return [Math.min(Math.max(at.x, 0), facts.width), Math.min(Math.max(at.y, 0), facts.height)];
  }

  // Several frames: the wheel goes through them, and zooms with Ctrl; one frame: it zooms.
  wheel(event) {
    if (this.viewer.facts.frames < 2 || event.originalEvent.ctrlKey) return;
    event.preventDefaultAction = true;
    this.viewer.cine.step(event.scroll > 0 ? -1 : 1);
  }

  // The right button changes the window, whatever the left one does.
  rightDrag(event) {
    if (event.button !== 2 || this.viewer.facts.slide) return;
    event.stopPropagation();
    this.viewer.element.setPointerCapture(event.pointerId);
    const move = (moved) => this.viewer.changeWindow(moved.movementX, moved.movementY);
    this.viewer.element.addEventListener("pointermove", move);
    this.viewer.element.addEventListener("pointerup", () => this.viewer.element.removeEventListener("pointermove", move), { once: true });
  }

  hover(event) {
    const box = this.viewer.element.getBoundingClientRect();
    const [x, y] = [event.clientX - box.left, event.clientY - box.top];
    this.viewer.hud.point(this.viewer.stage.toImage(x, y), this.viewer.values);
    if (this.points.length && !event.buttons) this.float(this.at({ x, y }));
  }

  float(point) {
    this.floating = point;
    this.viewer.redraw();
  }

  press(point) {
    this.pressed = point;
    this.cursor = null;
    const marks = this.viewer.marks.get(this.viewer.frame);
    if (this.mode in POINTS) {
      if (this.mode === "box" && marks) marks.box = null;
      this.points.push(point);
    } else if (this.mode === "lasso") this.viewer.marksHere().lasso = [point];
    else if (this.mode === "brush" || this.mode === "erase") this.stroke(point);
    this.viewer.redraw();
  }

  drag(point, { x, y }) {
    if (this.mode === "window") return this.viewer.changeWindow(x, y);
    if (!this.pressed) return undefined;
    if (this.mode in POINTS) this.floating = point;
    else if (this.mode === "lasso") this.viewer.marksHere().lasso.push(point);
    else if (this.mode === "brush" || this.mode === "erase") this.stroke(point);
    return this.viewer.redraw();
  }

  release(point) {
    if (!this.pressed) return;
    const far = Math.hypot(point[0] - this.pressed[0], point[1] - this.pressed[1]) * this.viewer.stage.scale > CLICK;
    this.pressed = null;
    if (this.mode in POINTS) {
      if (far) this.points.push(point);
      this.complete();
    } else if ((this.mode === "add" || this.mode === "remove") && !far) this.point(point);
    this.from = null;
    this.viewer.redraw();
    this.reflect();
  }

  // Enter at the cross: the same as a press there.
  enter() {
    if (!this.cursor) return;
    const marks = () => this.viewer.marksHere();
    if (this.mode in POINTS) {
      this.points.push(this.cursor);
      this.complete();
    } else if (this.mode === "add" || this.mode === "remove") this.point(this.cursor);
    else if (this.mode === "lasso") marks().lasso.push(this.cursor);
    else if (this.from) this.from = null; // the brush is lifted
    else if (this.mode === "brush" || this.mode === "erase") this.stroke(this.cursor);
    this.viewer.redraw();
    this.reflect();
  }

  // The cross by so many pixels of the screen; a brush that is down paints on its way.
  moveCursor(dx, dy) {
    const { facts, stage, element } = this.viewer;
    const middle = this.at({ x: element.clientWidth / 2, y: element.clientHeight / 2 });
    const [x, y] = this.cursor ?? middle.map((n) => Math.floor(n) + 0.5);
    const by = Math.max(1, Math.round(1 / stage.scale));
    this.cursor = [Math.min(Math.max(x + dx * by, 0), facts.width), Math.min(Math.max(y + dy * by, 0), facts.height)];
    this.viewer.hud.point({ x: this.cursor[0], y: this.cursor[1] }, this.viewer.values, true);
    if (this.from) this.stroke(this.cursor);
    if (this.points.length) this.floating = this.cursor;
    this.viewer.redraw();
  }

  stroke(point) {
    const marks = this.viewer.marksHere();
    marks.stroke(this.from ?? point, point, this.size, this.mode === "erase");
    this.from = point;
  }

  point([x, y]) {
    this.viewer.marksHere().points.push({ x, y, add: this.mode === "add" });
  }

  complete() {
    if (this.points.length < POINTS[this.mode]) return;
    const points = this.points.slice(0, POINTS[this.mode]);
    this.points = [];
    this.floating = null;
    if (this.mode !== "box") saveMeasurement(this.viewer, TYPES[this.mode], points);
    else {
      const [[ax, ay], [bx, by]] = points;
      const box = [Math.min(ax, bx), Math.min(ay, by), Math.max(ax, bx), Math.max(ay, by)];
      if (box[2] > box[0] && box[3] > box[1]) this.viewer.marksHere().box = box;
    }
  }

  // What was begun and not finished is let go. True when there was something.
  left() {
    const begun = this.points.length > 0 || Boolean(this.from) || Boolean(this.cursor);
    [this.points, this.floating, this.from, this.pressed, this.cursor] = [[], null, null, null, null];
    return begun;
  }

  set(mode) {
    if (this.root.querySelector(`[data-group=${groupOf(mode)}]`).hidden) return;
    this.left();
    this.mode = mode;
    this.lastOf[groupOf(mode)] = mode;
    this.reflect();
    this.viewer.redraw();
  }

  preset(i) {
    const { viewer } = this;
    const { name, centre, width } = this.presets[i] ?? {};
    if (width) viewer.setWindow({ centre, width });
    else if (name === "Full range") viewer.setWindow(fullRange(viewer.facts));
    else if (name === "Percentiles") viewer.setWindow(viewer.greys.percentiles(viewer.values));
    else if (name) viewer.setWindow(null);
  }

  clicked(event) {
    const button = event.target.closest("button");
    if (!button) return;
    if (button.dataset.group) this.set(this.lastOf[button.dataset.group]);
    else if (button.dataset.mode) this.set(button.dataset.mode);
    else if (button.dataset.do) this.act(button.dataset.do);
  }

  act(what) {
    const { viewer } = this;
    const { stage } = viewer;
    const acts = {
      in: () => stage.zoom(1.4),
      out: () => stage.zoom(1 / 1.4),
      fit: () => stage.fit(),
      one: () => stage.one(),
      rotate: () => stage.rotate(),
      flip: () => stage.flip(),
      invert: () => viewer.invert(),
      reset: () => viewer.reset(),
      segment: () => segment(viewer),
      save: () => saveMask(viewer),
      clear: () => viewer.marks.get(viewer.frame)?.clear(),
    };
    acts[what]?.();
    viewer.redraw();
    this.reflect();
  }

  async correct(id) {
    const { viewer } = this;
    const layer = viewer.layers.get(id);
    if (layer.frame !== null) await viewer.turnTo(layer.frame);
    try {
      await viewer.marksHere().begin(layer, `${layer.overlay}?frame=${viewer.frame}`);
    } catch {
      return this.complain("This mask cannot be loaded. Reload the page.");
    }
    const box = document.querySelector(`[data-layer="${id}"]`);
    if (box?.checked) box.click(); // the paint stands in its place
    this.root.querySelector("[name=label]").value = layer.label;
    this.set("brush");
    return viewer.element.focus();
  }

  complain(line) {
    this.root.querySelector(".error").textContent = line;
  }

  refresh() {
    return refresh(this.viewer);
  }

  reflect() {
    const group = groupOf(this.mode);
    const pressed = (button, on) => button.setAttribute("aria-pressed", String(on));
    for (const button of this.root.querySelectorAll("[data-group]")) pressed(button, button.dataset.group === group);
    for (const button of this.root.querySelectorAll("[data-mode]")) pressed(button, button.dataset.mode === this.mode);
    for (const row of this.root.querySelectorAll("[data-for]")) row.hidden = row.dataset.for !== group;
    this.viewer.element.dataset.mode = this.mode;
    pressed(this.root.querySelector("[data-do=invert]"), this.viewer.inverted);
    const marks = this.viewer.marks.get(this.viewer.frame);
    this.root.querySelector("[data-do=segment]").disabled = !marks?.prompted;
    this.root.querySelector("[data-do=save]").disabled = !marks?.masked;
    this.root.querySelector("[data-do=clear]").disabled = !marks?.prompted && !marks?.masked;
    this.root.querySelector("[name=preset]").value = this.presetNow();
  }

  presetNow() {
    const now = this.viewer.window;
    if (!now) return String(this.presets.findIndex(({ name, width }) => name === "As opened" || this.isOpened(width)));
    const i = this.presets.findIndex(({ centre, width }) => centre === now.centre && width === now.width);
    return i < 0 ? "hand" : String(i);
  }

  isOpened(width) {
    return width !== undefined && width === this.viewer.facts.window?.width;
  }
}
