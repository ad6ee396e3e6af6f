// The image: fit, 1:1, wheel and drag; masks as layers. What the reader set stays when the pane is sent anew.

const views = new Map(); // by image: scale and offset
const hidden = new Map(); // by mask: switched on or off by hand
let opacity = 80;

const viewer = () => document.getElementById("viewer");
const stage = () => viewer()?.querySelector(".stage");

function view() {
  const id = viewer().dataset.image;
  if (!views.has(id)) views.set(id, { scale: 1, x: 0, y: 0 });
  return views.get(id);
}

function apply() {
  const { scale, x, y } = view();
  stage().style.transform = `translate(${x}px, ${y}px) scale(${scale})`;
}

function zoomTo(scale, px, py) {
  const now = view();
  const next = Math.min(Math.max(scale, 0.5), 40);
  now.x = px - ((px - now.x) / now.scale) * next;
  now.y = py - ((py - now.y) / now.scale) * next;
  now.scale = next;
  apply();
}

function zoom(how) {
  const box = viewer().getBoundingClientRect();
  const base = viewer().querySelector(".base");
  const fitted = Math.min(box.width / base.getAttribute("width"), box.height / base.getAttribute("height"));
  if (how === "fit") views.set(viewer().dataset.image, { scale: 1, x: 0, y: 0 });
  else if (how === "one") zoomTo(1 / fitted / devicePixelRatio, box.width / 2, box.height / 2);
  else zoomTo(view().scale * (how === "in" ? 1.4 : 1 / 1.4), box.width / 2, box.height / 2);
  apply();
}

function setLayer(id, on) {
  const overlay = document.getElementById(`overlay-${id}`);
  if (overlay) overlay.hidden = !on;
  const box = document.querySelector(`[data-layer="${id}"]`);
  if (box) box.checked = on;
}

function setOpacity() {
  document.querySelector(".stage")?.style.setProperty("--mask-opacity", opacity / 100);
}

function start() {
  if (!viewer() || viewer().dataset.ready) return;
  viewer().dataset.ready = "1";
  const base = viewer().querySelector(".base");
  const full = new Image();
  full.addEventListener("load", () => { base.src = full.src; }); // low resolution first, no jump
  if (!base.src.endsWith(base.dataset.full)) full.src = base.dataset.full;
  for (const [id, on] of hidden) if (!document.querySelector(`.layer.lit [data-layer="${id}"]`)) setLayer(id, on);
  const slider = document.getElementById("opacity");
  if (slider) slider.value = opacity;
  setOpacity();
  apply();
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-zoom]");
  if (button) zoom(button.dataset.zoom);
});
document.addEventListener("change", (event) => {
  const box = event.target.closest("[data-layer]");
  if (!box) return;
  hidden.set(box.dataset.layer, box.checked);
  setLayer(box.dataset.layer, box.checked);
});
document.addEventListener("input", (event) => {
  if (event.target.id !== "opacity") return;
  opacity = Number(event.target.value);
  setOpacity();
});
document.addEventListener("wheel", (event) => {
  if (!event.target.closest?.("#viewer")) return;
  event.preventDefault();
  const box = viewer().getBoundingClientRect();
  zoomTo(view().scale * Math.exp(-event.deltaY / 400), event.clientX - box.left, event.clientY - box.top);
}, { passive: false });

const touches = new Map();
document.addEventListener("pointerdown", (event) => {
  if (!event.target.closest?.("#viewer")) return;
  touches.set(event.pointerId, event);
  viewer().setPointerCapture(event.pointerId);
});
document.addEventListener("pointermove", (event) => {
  const last = touches.get(event.pointerId);
  if (!last || !viewer()) return;
  const box = viewer().getBoundingClientRect();
  const other = [...touches.values()].find((touch) => touch.pointerId !== event.pointerId);
  if (other) {
    const before = Math.hypot(last.clientX - other.clientX, last.clientY - other.clientY);
    const after = Math.hypot(event.clientX - other.clientX, event.clientY - other.clientY);
    zoomTo(view().scale * (after / (before || 1)), other.clientX - box.left, other.clientY - box.top);
  } else {
    view().x += event.clientX - last.clientX;
    view().y += event.clientY - last.clientY;
    apply();
  }
  touches.set(event.pointerId, event);
});
for (const name of ["pointerup", "pointercancel"])
  document.addEventListener(name, (event) => touches.delete(event.pointerId));
document.addEventListener("keydown", (event) => {
  if (event.target !== viewer()) return;
  const step = { ArrowLeft: [40, 0], ArrowRight: [-40, 0], ArrowUp: [0, 40], ArrowDown: [0, -40] }[event.key];
  if (step) {
    view().x += step[0];
    view().y += step[1];
    apply();
    event.preventDefault();
  } else if (event.key === "+" || event.key === "-") zoom(event.key === "+" ? "in" : "out");
  else if (event.key === "0") zoom("fit");
});

// M: all masks off, or back on.
document.addEventListener("lightbox:masks", () => {
  const boxes = [...document.querySelectorAll("[data-layer]")];
  const on = !boxes.some((box) => box.checked);
  for (const box of boxes) {
    hidden.set(box.dataset.layer, on);
    setLayer(box.dataset.layer, on);
  }
});
// The pane is often sent anew with the same image and other masks: then the picture itself is kept, and nothing blinks.
let kept = null;
const keep = () => { kept = viewer()?.querySelector(".base") ?? null; };
function putBack() {
  const base = viewer()?.querySelector(".base");
  if (kept && base && base !== kept && kept.dataset.full === base.dataset.full) base.replaceWith(kept);
  kept = null;
}
for (const [before, after] of [["htmx:beforeSwap", "htmx:afterSwap"], ["htmx:oobBeforeSwap", "htmx:oobAfterSwap"]]) {
  document.addEventListener(before, (event) => { if (event.detail.target?.id === "pane-image") keep(); });
  document.addEventListener(after, (event) => { if (event.detail.target?.id === "pane-image") putBack(); });
}
document.addEventListener("htmx:afterSettle", start);
document.addEventListener("htmx:oobAfterSwap", () => queueMicrotask(start));
start();
