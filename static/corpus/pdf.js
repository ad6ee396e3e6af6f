// The PDF viewer: one page at a time, the cited one first, the cited words marked. pdf.js draws; this module turns pages.

import { mark } from "./pdf_marks.js";

const viewer = document.getElementById("pdf");
const bar = viewer.querySelector(".pdf-bar");
const status = viewer.querySelector(".pdf-status");
const stage = viewer.querySelector(".pdf-stage");
const sheet = viewer.querySelector(".pdf-page");
const canvas = sheet.querySelector("canvas");
const textLayer = sheet.querySelector(".pdf-text");
const field = document.getElementById("pdf-number");
const button = (name) => bar.querySelector(`[data-do=${name}]`);

const ZOOMS = [0.5, 0.75, 1, 1.25, 1.5, 2, 3];
const MOST_PIXELS = 16_000_000; // of the canvas; beyond it the page is drawn coarser and not at all by some browsers
const quotes = [...document.querySelectorAll("[data-quote]")].map((quote) => quote.textContent);

let pdfjs, file;
let number = Number(viewer.dataset.page);
let zoom = 1; // of the width that fits
let turn = 0; // the drawing that counts; an older one that ends later is forgotten
let drawing = null;
let words = null;

const say = (line) => (status.textContent = line);

async function open() {
  say("Opening the PDF …");
  const library = new URL(viewer.dataset.library, location.href);
  pdfjs = await import(library);
  pdfjs.GlobalWorkerOptions.workerSrc = viewer.dataset.worker;
  file = await pdfjs.getDocument({
    url: viewer.dataset.source,
    isEvalSupported: false,
    enableXfa: false,
    verbosity: pdfjs.VerbosityLevel.ERRORS,
    wasmUrl: new URL("wasm/", library).href,
  }).promise;
  viewer.querySelector(".pdf-count").textContent = `of ${file.numPages}`;
  bar.hidden = stage.hidden = false;
  await show(number, { reveal: true });
}

function failed(error) {
  if (error?.name === "RenderingCancelledException" || error?.name === "AbortException") return;
  const locked = error?.name === "PasswordException";
  say(locked ? "This PDF is protected by a password. Download it to read it." : "This PDF cannot be shown here. Download it to read it.");
}

async function show(wanted, { reveal = false } = {}) {
  number = Math.min(Math.max(wanted, 1), file.numPages);
  const mine = ++turn;
  drawing?.cancel();
  words?.cancel();
  const page = await file.getPage(number);
  if (mine !== turn) return;
  const viewport = fitted(page);
  await Promise.all([draw(page, viewport), write(page, viewport)]);
  if (mine !== turn) return;
  const found = isCited(number) ? mark(textLayer, quotes) : [];
  told(found.length > 0);
  if (reveal) (found[0] ?? stage).scrollIntoView({ block: found.length ? "center" : "nearest", inline: "nearest" });
}

// One CSS pixel is a point at zoom 1 of a stage as wide as the page.
function fitted(page) {
  const plain = page.getViewport({ scale: 1 });
  const room = stage.clientWidth - 2;
  return page.getViewport({ scale: Math.max((room / plain.width) * zoom, 0.1) });
}

async function draw(page, viewport) {
  const fine = Math.min(devicePixelRatio || 1, Math.sqrt(MOST_PIXELS / (viewport.width * viewport.height)));
  const fresh = document.createElement("canvas");
  fresh.width = Math.floor(viewport.width * fine);
  fresh.height = Math.floor(viewport.height * fine);
  drawing = page.render({ canvas: fresh, viewport, transform: [fine, 0, 0, fine, 0, 0] });
  await drawing.promise;
  canvas.width = fresh.width; // drawn aside first, so that nothing flickers
  canvas.height = fresh.height;
  canvas.style.width = `${Math.floor(viewport.width)}px`;
  canvas.style.height = `${Math.floor(viewport.height)}px`;
  canvas.getContext("2d").drawImage(fresh, 0, 0);
}

async function write(page, viewport) {
  textLayer.replaceChildren();
  sheet.style.setProperty("--total-scale-factor", viewport.scale);
  words = new pdfjs.TextLayer({ textContentSource: page.streamTextContent(), container: textLayer, viewport });
  await words.render();
}

// A passage may go on on the next page; elsewhere the same words are not what was cited.
const cited = Number(viewer.dataset.cited);
const isCited = (page) => quotes.length > 0 && (page === cited || page === cited + 1);

function told(marked) {
  field.value = number;
  button("previous").disabled = number <= 1;
  button("next").disabled = number >= file.numPages;
  const found = marked ? ", the cited words are marked" : "; the cited words could not be found on it";
  say(`Page ${number} of ${file.numPages}${marked || number === cited ? found : ""}`);
  const address = new URL(location.href);
  address.searchParams.set("page", number);
  history.replaceState(history.state, "", address);
}

function turnTo(wanted, options) {
  if (!file || !Number.isFinite(wanted)) return;
  if (wanted !== number) stage.scrollTop = 0;
  show(wanted, options).catch(failed);
}

function resize(step) {
  const at = ZOOMS.indexOf(zoom);
  zoom = ZOOMS[Math.min(Math.max(at + step, 0), ZOOMS.length - 1)];
  turnTo(number);
}

const actions = {
  previous: () => number > 1 && turnTo(number - 1),
  next: () => number < file.numPages && turnTo(number + 1),
  cited: () => turnTo(cited, { reveal: true }),
  smaller: () => resize(-1),
  larger: () => resize(1),
  fit: () => ((zoom = 1), turnTo(number)),
};

bar.addEventListener("click", (event) => actions[event.target.closest("[data-do]")?.dataset.do]?.());
bar.querySelector("form").addEventListener("submit", (event) => {
  event.preventDefault();
  turnTo(Number.parseInt(field.value, 10));
});
field.addEventListener("change", () => turnTo(Number.parseInt(field.value, 10)));

const keys = { ArrowLeft: "previous", ArrowRight: "next", "-": "smaller", "+": "larger", "=": "larger", 0: "fit" };
document.addEventListener("keydown", (event) => {
  const action = keys[event.key];
  if (!file || !action || event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  if (event.target.closest("input, textarea, select, dialog")) return;
  if (event.key.startsWith("Arrow") && stage.scrollWidth > stage.clientWidth) return; // they scroll a page that is wider
  event.preventDefault();
  actions[action]();
});

let width = 0;
let later = 0;
new ResizeObserver(() => {
  if (!file || stage.clientWidth === width) return;
  const first = width === 0;
  width = stage.clientWidth;
  clearTimeout(later);
  if (!first) later = setTimeout(() => turnTo(number), 150);
}).observe(stage);

viewer.querySelector(".pdf-unscripted").hidden = true;
open().catch(failed);
