// The image pane's script: opens the viewer, keeps it while the pane is sent anew, and hands it what is pressed.

import { pressed } from "./keys.js";
import { large } from "./large.js";
import { listen } from "./layers.js";
import { remove } from "./sending.js";
import { Viewer } from "./viewer.js";

let viewer = null;
const root = () => document.getElementById("viewing");

function start() {
  if (viewer && viewer.root === root()) return;
  viewer?.close();
  viewer = null;
  if (!root() || root().dataset.layout === "volume" && !document.dispatchEvent(volume())) return; // volume.js has it
  viewer = new Viewer(root());
  const opening = viewer;
  opening.open().catch((error) => {
    opening.root.querySelector(".error").textContent = error.message;
  });
}

// Whoever shows volumes in three planes prevents the default: their slices, one by one.
const volume = () => new CustomEvent("lightbox:volume", { cancelable: true, detail: root() });

listen(() => {
  if (!viewer?.live) return;
  viewer.layers.show(viewer.frame);
  viewer.redraw();
});

document.addEventListener("keydown", (event) => {
  if (!viewer?.live || event.target !== viewer.element || event.ctrlKey || event.metaKey || event.altKey) return;
  if (!pressed(viewer, event)) return;
  event.preventDefault();
  event.stopPropagation(); // the page's own keys are not meant
}, true);

document.addEventListener("click", (event) => {
  if (event.target.closest("[data-enlarge]")) return large();
  const button = event.target.closest("#pane-image [data-correct], #pane-image [data-delete]");
  if (!button || !viewer?.live) return undefined;
  return button.dataset.correct ? viewer.tools.correct(button.dataset.correct) : remove(viewer, button.dataset.delete);
});

// The pane is often sent anew with the same image and other layers: then the viewer itself is kept, and nothing blinks.
let kept = null;
function putBack() {
  const [fresh, old] = [root(), kept];
  kept = null;
  if (!old || !fresh || old === fresh || !viewer || old !== viewer.root) return;
  if (old.querySelector(".viewer").dataset.image !== fresh.querySelector(".viewer").dataset.image) return;
  if (old.dataset.version !== fresh.dataset.version) return; // its pixels are others now
  fresh.replaceWith(old);
  if (viewer.followed && !document.querySelector("#layers .layer.lit")) viewer.followed = null;
  viewer.refresh(fresh.querySelector(".stage"));
}
for (const [before, after] of [["htmx:beforeSwap", "htmx:afterSwap"], ["htmx:oobBeforeSwap", "htmx:oobAfterSwap"]]) {
  document.addEventListener(before, (event) => { if (event.detail.target?.id === "pane-image") kept = root(); });
  document.addEventListener(after, (event) => { if (event.detail.target?.id === "pane-image") putBack(); });
}
document.addEventListener("htmx:afterSettle", start);
document.addEventListener("htmx:oobAfterSwap", () => queueMicrotask(start));
start();
