// Pointer, wheel and keys on the planes. Everything the pointer can do has a key or a field.

const LEFT = 0;
const RIGHT = 2;

export class Input {
  constructor(view) {
    this.view = view;
    this.pointers = new Map();
    const { stage } = view;
    stage.addEventListener("pointerdown", (event) => this.down(event));
    stage.addEventListener("pointermove", (event) => this.move(event));
    for (const name of ["pointerup", "pointercancel"]) stage.addEventListener(name, (event) => this.up(event));
    stage.addEventListener("pointerleave", () => view.read(null));
    stage.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    stage.addEventListener("contextmenu", (event) => event.preventDefault());
    stage.addEventListener("keydown", (event) => this.key(event));
  }

  at(event) {
    const box = this.view.stage.getBoundingClientRect();
    return this.view.at(event.clientX - box.left, event.clientY - box.top);
  }

  down(event) {
    const { view } = this;
    const under = this.at(event);
    this.pointers.set(event.pointerId, event);
    view.stage.setPointerCapture(event.pointerId);
    if (under) view.touch(under.plane);
    this.ruler = null;
    this.plane = under?.plane ?? view.active;
    this.drag = event.button === RIGHT ? "window" : event.button !== LEFT || event.shiftKey ? "pan" : view.state.drag;
    if (this.drag === "crosshair" && under?.mm) view.goTo(under.mm, under.plane);
    if (this.drag === "measure" && under?.mm) this.ruler = view.startRuler(under);
  }

  move(event) {
    const { view } = this;
    const last = this.pointers.get(event.pointerId);
    const under = this.at(event);
    view.read(under?.mm ?? null);
    if (!last) return;
    this.pointers.set(event.pointerId, event);
    const [dx, dy] = [event.clientX - last.clientX, event.clientY - last.clientY];
    const other = [...this.pointers.values()].find((one) => one.pointerId !== event.pointerId);
    if (other) return this.pinch(last, event, other, dx, dy);
    if (this.drag === "crosshair" && under?.mm && under.plane === this.plane) view.goTo(under.mm, under.plane);
    if (this.drag === "window") view.window(-dy, dx);
    if (this.drag === "pan") view.pan(this.plane, dx, dy);
    if (this.ruler && under?.mm && under.plane === this.plane) view.moveRuler(this.ruler, under.mm);
  }

  pinch(last, event, other, dx, dy) {
    const before = Math.hypot(last.clientX - other.clientX, last.clientY - other.clientY);
    const after = Math.hypot(event.clientX - other.clientX, event.clientY - other.clientY);
    this.view.zoom(after / (before || 1));
    this.view.pan(this.plane, dx / 2, dy / 2);
  }

  up(event) {
    this.pointers.delete(event.pointerId);
    if (this.ruler) this.view.endRuler(this.ruler);
    this.ruler = null;
  }

  wheel(event) {
    event.preventDefault();
    const under = this.at(event);
    if (event.ctrlKey) return this.view.zoom(Math.exp(-event.deltaY / 300));
    this.turned = (this.turned ?? 0) + event.deltaY;
    if (Math.abs(this.turned) < 30) return;
    this.view.step(under?.plane ?? this.view.active, Math.sign(this.turned));
    this.turned = 0;
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const done = this.pressed(event.key.length === 1 ? event.key.toLowerCase() : event.key, event.shiftKey);
    if (!done) return;
    event.preventDefault();
    event.stopPropagation(); // the page's own keys are not meant
  }

  pressed(key, shift) {
    const { view } = this;
    const arrow = { ArrowLeft: ["right", -1], ArrowRight: ["right", 1], ArrowUp: ["down", -1], ArrowDown: ["down", 1] }[key];
    if (arrow && shift) view.pan(view.active, arrow[0] === "right" ? 40 * arrow[1] : 0, arrow[0] === "down" ? 40 * arrow[1] : 0);
    else if (arrow && view.state.drag === "window") view.window(arrow[0] === "down" ? -8 * arrow[1] : 0, arrow[0] === "right" ? 8 * arrow[1] : 0);
    else if (arrow) view.walk(view.active, ...arrow);
    else if (["PageUp", "PageDown", ",", "."].includes(key)) view.step(view.active, key === "PageUp" || key === "," ? -1 : 1);
    else if (key === "+" || key === "=") view.zoom(1.25);
    else if (key === "-") view.zoom(1 / 1.25);
    else if (key === "0") view.reset();
    else if (key === "i") view.set({ inverted: !view.state.inverted });
    else if (key === "w") view.nextPreset();
    else if (key === "d") view.rulerByKey();
    else if (key === "p") view.nextPlane();
    else return false;
    return true;
  }
}

