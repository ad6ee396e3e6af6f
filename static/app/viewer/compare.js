// Two images side by side. What is done to the one that was touched last is done to the other, while they are linked.

import { pressed } from "./keys.js";
import { Viewer } from "./viewer.js";

const roots = [...document.querySelectorAll(".compared .viewing")];
const switches = document.querySelector(".links");
const linked = (what) => switches.querySelector(`[name=${what}]`).checked;
let leader = null;

class Linked extends Viewer {
  async turnTo(n) {
    await super.turnTo(n);
    if (leader === this && linked("scroll")) scroll(this, this.other);
  }

  setWindow(window) {
    super.setWindow(window);
    if (leader === this && linked("window") && this.other.facts.unit === this.facts.unit) this.other.setWindow(window);
  }

  invert() {
    super.invert();
    if (leader === this && linked("window") && this.other.inverted !== this.inverted) this.other.invert();
  }

  place(matrix) {
    super.place(matrix);
    if (leader === this && linked("zoom") && this.live && this.other.live) zoom(this, this.other);
  }
}

// From where both stood when they were linked: slices by millimetres where both are placed in a patient, else by number.
function scroll(from, to) {
  const ratio = thickness(from) && thickness(to) ? thickness(from) / thickness(to) : 1;
  to.turnTo(Math.round(to.anchor + (from.frame - from.anchor) * ratio));
}

function thickness({ facts }) {
  if (facts.layout !== "volume" || !facts.affine) return 0;
  return Math.hypot(...facts.affine.slice(0, 3).map((row) => row[2]));
}

// The same middle, as a share of the image; as many millimetres across where both have them, else as much of the image.
function zoom(from, to) {
  const seen = from.stage.viewport.getBoundsNoRotate(true);
  const [a, b] = [from.facts, to.facts];
  const across = a.spacing && b.spacing
    ? (seen.width * a.width * a.spacing.column_mm) / (b.width * b.spacing.column_mm) : seen.width;
  const middle = { x: seen.x + seen.width / 2, y: ((seen.y + seen.height / 2) * a.width * b.height) / (a.height * b.width) };
  const high = (across * to.element.clientHeight) / to.element.clientWidth;
  const bounds = new OpenSeadragon.Rect(middle.x - across / 2, middle.y - high / 2, across, high);
  to.stage.viewport.fitBounds(bounds, true);
}

const viewers = roots.map((root) => new Linked(root));
viewers.forEach((viewer, i) => {
  viewer.other = viewers[1 - i] ?? viewer;
  for (const name of ["pointerdown", "wheel", "keydown", "focusin", "input", "change"])
    viewer.root.addEventListener(name, () => { leader = viewer; }, { capture: true, passive: true });
  viewer.element.addEventListener("keydown", (event) => {
    if (event.target !== viewer.element || !viewer.live || event.ctrlKey || event.metaKey || event.altKey) return;
    if (!pressed(viewer, event)) return;
    event.preventDefault();
    event.stopPropagation();
  });
});

const anchor = () => { for (const viewer of viewers) viewer.anchor = viewer.frame; };
switches.addEventListener("change", (event) => { if (event.target.name === "scroll") anchor(); });
const opened = await Promise.allSettled(viewers.map((viewer) => viewer.open()));
opened.forEach(({ reason }, i) => { if (reason) roots[i].querySelector(".error").textContent = reason.message; });
anchor();
document.documentElement.dataset.compared = "ready";
