// Masks, boxes and measurements on the image: which are on, how strong, and where they lie.

const switched = new Map(); // by layer: on or off by hand; kept while the page is open
let opacity = 80;

const boxes = () => [...document.querySelectorAll("[data-layer]")];
const overlayOf = (id) => document.getElementById(`overlay-${id}`);

export class Layers {
  constructor(stage, facts) {
    this.stage = stage; // the element that holds the overlays
    this.frame = null;
    this.take(facts);
  }

  take(facts) {
    this.facts = facts;
    this.list = facts.layers;
  }

  get(id) {
    return this.list.find((layer) => layer.id === id);
  }

  // Whether a layer is seen on the frame that is shown.
  seen(layer) {
    const on = switched.get(layer.id) ?? document.querySelector(`[data-layer="${layer.id}"]`)?.checked ?? layer.shown;
    return on && (layer.frame === null || layer.frame === this.frame || this.facts.frames === 1);
  }

  // Take the overlays of a pane that was sent anew; those that are here already stay as they are.
  adopt(fresh) {
    const wanted = [...fresh.querySelectorAll(".overlay")];
    for (const old of this.stage.querySelectorAll(".overlay"))
      if (!wanted.some((overlay) => overlay.id === old.id)) old.remove();
    for (const overlay of wanted) {
      const here = this.stage.querySelector(`#${overlay.id}`);
      if (here) here.classList.toggle("lit", overlay.classList.contains("lit"));
      else this.stage.append(overlay);
    }
  }

  show(frame) {
    this.frame = frame;
    document.getElementById("viewing")?.style.setProperty("--mask-opacity", opacity / 100);
    const slider = document.getElementById("opacity");
    if (slider) slider.value = opacity;
    for (const layer of this.list) {
      const box = document.querySelector(`[data-layer="${layer.id}"]`);
      if (box && switched.has(layer.id)) box.checked = switched.get(layer.id);
      const overlay = overlayOf(layer.id);
      if (overlay) this.put(overlay, layer);
    }
  }

  put(overlay, layer) {
    overlay.hidden = !this.seen(layer);
    if (overlay.hidden || layer.frame !== null || this.facts.frames === 1) return;
    const url = `${layer.overlay}?frame=${this.frame}`;
    if (overlay.getAttribute("src") === url) return;
    overlay.classList.add("late"); // never the mask of another frame over this one
    overlay.onload = () => { if (overlay.getAttribute("src") === url) overlay.classList.remove("late"); };
    overlay.src = url;
  }

  // A layer that was opened by its claim: on, whatever was set by hand before.
  light(id) {
    switched.delete(id);
    const box = document.querySelector(`[data-layer="${id}"]`);
    if (box) box.checked = true;
  }

  // [x0, y0, x1, y1] in pixels of the frame: a promise; null for a mask that is empty here.
  async place(layer) {
    if (layer.box) return layer.box;
    if (layer.points) return around(layer.points);
    const overlay = overlayOf(layer.id);
    if (!overlay) return null;
    await overlay.decode();
    return inked(overlay, this.facts);
  }
}

const around = (points) => {
  const [xs, ys] = [points.map(([x]) => x), points.map(([, y]) => y)];
  return [Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys)];
};

// Where a mask is, found on a small copy of it.
function inked(overlay, { width, height }) {
  const by = Math.min(1, 512 / Math.max(width, height));
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(width * by));
  canvas.height = Math.max(1, Math.round(height * by));
  const context = canvas.getContext("2d");
  context.drawImage(overlay, 0, 0, canvas.width, canvas.height);
  const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
  const points = [];
  for (let i = 3; i < data.length; i += 4)
    if (data[i]) points.push([(i >> 2) % canvas.width, Math.floor((i >> 2) / canvas.width)]);
  if (!points.length) return null;
  let [x0, y0, x1, y1] = [canvas.width, canvas.height, 0, 0];
  for (const [x, y] of points) {
    [x0, y0, x1, y1] = [Math.min(x0, x), Math.min(y0, y), Math.max(x1, x + 1), Math.max(y1, y + 1)];
  }
  return [x0 / by, y0 / by, x1 / by, y1 / by];
}

// What people set by hand; `changed` draws.
export function listen(changed) {
  document.addEventListener("change", (event) => {
    const box = event.target.closest("[data-layer]");
    if (!box) return;
    switched.set(box.dataset.layer, box.checked);
    changed();
  });
  document.addEventListener("input", (event) => {
    if (event.target.id !== "opacity") return;
    opacity = Number(event.target.value);
    changed();
  });
  document.addEventListener("lightbox:masks", () => { // M: all off, or back on
    const on = !boxes().some((box) => box.checked);
    for (const box of boxes()) {
      box.checked = on;
      switched.set(box.dataset.layer, on);
    }
    changed();
  });
}
