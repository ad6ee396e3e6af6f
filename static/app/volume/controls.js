// The buttons and fields below a volume.

export class Controls {
  constructor(view, presets) {
    this.view = view;
    this.presets = presets;
    this.box = view.root.querySelector(".volume-tools");
    this.preset = this.field("preset");
    this.preset.replaceChildren(...presets.map(({ name }, i) => new Option(name, i)), new Option("Other", ""));
    this.field("time")?.setAttribute("value", view.state.time + 1);
    this.box.onclick = (event) => this.click(event.target.closest("button"));
    this.box.oninput = (event) => this.input(event.target);
  }

  field(name) {
    return this.box.querySelector(`[name=${name}]`);
  }

  click(button) {
    if (!button) return;
    const { view } = this;
    const { plane, drag, act } = button.dataset;
    if (plane) view.showPlane(plane);
    if (drag) view.set({ drag });
    if (act === "in" || act === "out") view.zoom(act === "in" ? 1.25 : 1 / 1.25);
    if (act === "reset") view.reset();
    if (act === "invert") view.set({ inverted: !view.state.inverted });
    if (act === "draw") view.root.dispatchEvent(new CustomEvent("lightbox:draw", { bubbles: true, detail: { view } }));
  }

  input(field) {
    const { view } = this;
    const value = Number(field.value);
    if (field.name === "slice") this.slide(value - 1);
    if (field.name === "time") view.setTime(value - 1);
    if (field.name === "preset" && field.value !== "") this.choose(value);
    if (field.name === "centre" && field.value !== "") view.set({ centre: value });
    if (field.name === "width" && value > 0) view.set({ width: value });
  }

  slide(number) {
    const voxel = [...this.view.state.voxel];
    voxel[this.view.cut(this.view.active)] = number;
    this.view.set({ voxel });
  }

  choose(number) {
    const { centre, width } = this.presets[number];
    this.view.set({ centre, width });
  }

  nextPreset() {
    this.choose((this.at() + 1) % this.presets.length);
  }

  at() {
    const { centre, width } = this.view.state;
    return this.presets.findIndex((one) => one.centre === centre && one.width === width);
  }

  reflect() {
    const { state, active, facts } = this.view;
    const axis = this.view.cut(active);
    const count = [facts.width, facts.height, facts.frames][axis];
    const slider = this.field("slice");
    slider.max = count;
    slider.value = state.voxel[axis] + 1;
    this.box.querySelector(".slice-name").textContent = this.view.place ? `${active[0].toUpperCase()}${active.slice(1)}` : "Slice";
    this.box.querySelector(".slice-number").textContent = `${state.voxel[axis] + 1} / ${count}`;
    const time = this.box.querySelector(".time-number");
    if (time) time.textContent = `${state.time + 1} / ${facts.volumes}`;
    if (time) this.field("time").value = state.time + 1;
    this.preset.value = this.at() < 0 ? "" : this.at();
    for (const name of ["centre", "width"]) this.number(name, state[name]);
    for (const [key, value] of [["plane", state.plane], ["drag", state.drag]])
      for (const button of this.box.querySelectorAll(`[data-${key}]`))
        button.setAttribute("aria-pressed", String(button.dataset[key] === value));
    this.box.querySelector("[data-act=invert]").setAttribute("aria-pressed", String(state.inverted));
  }

  // Not while it is being typed into.
  number(name, value) {
    const field = this.field(name);
    if (field !== document.activeElement) field.value = Number(value.toPrecision(6));
  }
}
