// The evidence pane: tabs, chips that light and open, and the way back to the same line.

const pane = document.getElementById("pane");
let opener = null;
let openerTop = 0;

function select(tab) {
  pane.dataset.tab = tab;
  for (const button of pane.querySelectorAll("[role=tab]"))
    button.setAttribute("aria-selected", String(button.dataset.tab === tab));
}

const roomForBoth = () =>
  matchMedia("(min-width: 1100px) and (min-height: 780px)").matches && document.getElementById("viewer") !== null;

// With room for both, a source opens under the image instead of in its place.
function open(what) {
  const beside = what === "sources" && pane.dataset.tab === "image" && roomForBoth();
  if (beside) pane.dataset.split = "1";
  else select(what);
}

const narrow = () => matchMedia("(max-width: 759px)").matches;

document.addEventListener("lightbox:tab", (event) => select(event.detail));
pane.querySelector(".tabs").addEventListener("click", (event) => {
  const tab = event.target.closest("[role=tab]");
  if (tab) select(tab.dataset.tab);
});
pane.querySelector(".tabs").addEventListener("keydown", (event) => {
  if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
  const other = pane.querySelector("[role=tab][aria-selected=false]");
  select(other.dataset.tab);
  other.focus();
});

const targetOf = (link) => (link.getAttribute("hx-target") === "#pane-image" ? "image" : "sources");

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[hx-target='#pane-image'], a[hx-target='#pane-sources']");
  if (!link) return;
  if (link.closest("#messages")) {
    opener = link;
    openerTop = document.getElementById("scroll").scrollTop;
    for (const chip of document.querySelectorAll("#messages [aria-current]")) chip.removeAttribute("aria-current");
    link.setAttribute("aria-current", "true");
  }
  if (targetOf(link) === "image") chosen = true;
  open(targetOf(link));
  if (narrow()) document.dispatchEvent(new CustomEvent("lightbox:show", { detail: targetOf(link) }));
});

document.addEventListener("htmx:afterSettle", (event) => {
  if (event.detail.target?.id !== "pane-sources") return;
  const panel = document.getElementById("pane-sources");
  panel.scrollTop = 0;
  panel.querySelector("mark")?.scrollIntoView({ block: "nearest" });
});

// What an answer sends for the pane never takes away what the reader has opened, nor draws the same again.
let chosen = false; // an image or mask picked by hand since the last question
const layersOf = (root) => [...root.querySelectorAll("[data-layer]")].map((box) => box.dataset.layer).join();
document.addEventListener("htmx:oobBeforeSwap", (event) => {
  const { target, fragment } = event.detail;
  if (target.id === "pane-sources" && document.getElementById("evidence")) event.detail.shouldSwap = false;
  if (target.id !== "pane-image") return;
  const image = (root) => root.querySelector("#viewer")?.dataset.image;
  const same = image(target) === image(fragment) && layersOf(target) === layersOf(fragment);
  if (same || (chosen && image(target) !== image(fragment))) event.detail.shouldSwap = false;
  else if (!same && pane.dataset.tab === "sources" && !document.getElementById("evidence")) select("image");
});
document.getElementById("composer").addEventListener("htmx:beforeRequest", () => {
  chosen = false;
});

function light(event, on) {
  const link = event.target.closest?.("[data-artifact]:not(.overlay)");
  if (!link) return;
  document.getElementById(`overlay-${link.dataset.artifact}`)?.classList.toggle("hot", on);
}
for (const [name, on] of [["mouseover", true], ["mouseout", false], ["focusin", true], ["focusout", false]])
  document.addEventListener(name, (event) => light(event, on));

// Esc: back to the line the evidence was opened from.
document.addEventListener("lightbox:back", () => {
  if (narrow()) document.dispatchEvent(new CustomEvent("lightbox:show", { detail: "chat" }));
  delete pane.dataset.split;
  for (const lit of document.querySelectorAll("#pane-image .lit")) lit.classList.remove("lit");
  if (!opener) return;
  opener.removeAttribute("aria-current");
  const still = opener.isConnected ? opener : document.querySelector(`#messages a[href='${opener.getAttribute("href")}']`);
  document.getElementById("scroll").scrollTop = openerTop;
  still?.focus({ preventScroll: true });
  opener = null;
});

// A swipe down or to the right puts the pane away on small screens.
let startX = 0;
let startY = 0;
pane.addEventListener("touchstart", (event) => {
  [startX, startY] = [event.touches[0].clientX, event.touches[0].clientY];
}, { passive: true });
pane.addEventListener("touchend", (event) => {
  if (!narrow() || event.target.closest(".viewer")) return;
  const across = event.changedTouches[0].clientX - startX;
  const down = event.changedTouches[0].clientY - startY;
  const atTop = (document.getElementById("pane-sources")?.scrollTop ?? 0) === 0;
  if (across > 80 || (down > 100 && atTop)) document.dispatchEvent(new CustomEvent("lightbox:back"));
}, { passive: true });
