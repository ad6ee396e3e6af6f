// Volumes: takes the viewer over when the image is one, and gives it back for its slices to be drawn on.

import { View } from "./volume/view.js";

let view = null;
let kept = null;
const slices = new Set(); // images whose slices were asked for instead
const rootOf = (viewing) => viewing.querySelector(".volume");
const viewing = () => document.getElementById("viewing");

// The viewer of slices asks before it opens (static/app/viewer/main.js): preventing the default keeps it out.
document.addEventListener("lightbox:volume", (event) => {
  const root = rootOf(event.detail);
  if (!root || slices.has(root.dataset.image)) return;
  event.preventDefault();
  if (view?.root === root) return;
  view?.close();
  show(event.detail, true);
  view = new View(root);
  view.open().catch((error) => view.say(error.message));
});

function show(around, volume) {
  for (const element of around.children)
    if (element.tagName !== "NOSCRIPT") element.classList.toggle("out", element.matches(".volume") !== volume);
  rootOf(around).hidden = !volume;
}

document.addEventListener("lightbox:draw", (event) => {
  const { root, state } = event.detail.view;
  const around = root.closest("#viewing");
  slices.add(root.dataset.image);
  view?.close();
  view = null;
  show(around, false);
  document.dispatchEvent(new CustomEvent("lightbox:slice", { detail: { frame: state.voxel[2] } }));
});

// From the list beside the image, from evidence, from other scripts.
document.addEventListener("change", (event) => { if (event.target.closest("[data-layer]")) view?.layers?.follow(); });
document.addEventListener("input", (event) => { if (event.target.id === "opacity") view?.layers?.apply(); });
document.addEventListener("lightbox:masks", () => queueMicrotask(() => view?.layers?.follow()));
document.addEventListener("lightbox:window", (event) => view?.controls && view.set({ centre: event.detail.centre, width: event.detail.width }));
document.addEventListener("lightbox:layer", (event) => view?.layers?.set(event.detail));
document.addEventListener("lightbox:light", (event) => view?.layers?.light(event.detail.id));
document.addEventListener("lightbox:reset", () => view?.controls && view.reset());

// The pane is often sent anew with the same image: then the volume is not loaded again.
for (const [before, after] of [["htmx:beforeSwap", "htmx:afterSwap"], ["htmx:oobBeforeSwap", "htmx:oobAfterSwap"]]) {
  document.addEventListener(before, (event) => { if (event.detail.target?.id === "pane-image") kept = view && viewing(); });
  document.addEventListener(after, (event) => { if (event.detail.target?.id === "pane-image") putBack(); });
}
function putBack() {
  const [old, fresh] = [kept, viewing()];
  kept = null;
  if (!view || !old || old === fresh) return;
  const same = fresh && rootOf(fresh)?.dataset.image === view.root.dataset.image && old.dataset.version === fresh.dataset.version;
  if (!same) {
    view.close();
    view = null;
    return;
  }
  fresh.replaceWith(old);
  view.refresh().catch((error) => view?.say(error.message));
}
