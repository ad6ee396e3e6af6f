// Volumes: takes the viewer over when the image is one, and gives it back for its slices to be drawn on.

import { View } from "./volume/view.js";

let view = null;
let kept = null;
let untouched = null; // the viewer as it was sent, to be put back when the reader goes between planes and slices
const slices = new Set(); // images whose slices were asked for instead
const rootOf = (viewing) => viewing.querySelector(".volume");
const viewing = () => document.getElementById("viewing");

// The viewer of slices asks before it opens (static/app/viewer/main.js): preventing the default keeps it out.
document.addEventListener("lightbox:volume", (event) => {
  const around = event.detail;
  const root = rootOf(around);
  if (!root || (view && view.root === root)) return event.preventDefault();
  close();
  untouched = around.cloneNode(true);
  if (slices.has(root.dataset.image)) {
    around.querySelector(".to-planes").hidden = false;
    return undefined;
  }
  event.preventDefault();
  for (const element of around.children) if (element !== root && element.tagName !== "NOSCRIPT") element.classList.add("out");
  root.hidden = false;
  view = new View(root);
  const opening = view;
  return opening.open().catch((error) => opening.say(error.message));
});

function close() {
  view?.close();
  view = null;
}

function startAgain(image, frame = null) {
  const around = viewing();
  const fresh = untouched.cloneNode(true);
  if (frame !== null) fresh.dataset.frame = frame;
  close();
  around.replaceWith(fresh);
  document.dispatchEvent(new CustomEvent("lightbox:viewing"));
  (slices.has(image) ? fresh.querySelector(".viewer") : fresh.querySelector(".planes")).focus();
}

document.addEventListener("lightbox:draw", (event) => {
  const { root, state } = event.detail.view;
  slices.add(root.dataset.image);
  startAgain(root.dataset.image, state.voxel[2]);
});
document.addEventListener("click", (event) => {
  if (!event.target.closest(".to-planes")) return;
  const { image } = rootOf(viewing()).dataset;
  slices.delete(image);
  startAgain(image);
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
  if (!view || !old || old === fresh) return undefined;
  const same = fresh && rootOf(fresh)?.dataset.image === view.root.dataset.image && old.dataset.version === fresh.dataset.version;
  if (!same) return close();
  fresh.replaceWith(old);
  return view.refresh().catch((error) => view?.say(error.message));
}
