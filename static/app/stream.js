// Following a run: the cursor in the URL, and the scroll position, which belongs to the reader.

const scroll = document.getElementById("scroll");
const toEnd = document.getElementById("to-end");
let following = true;
let top = 0; // where the reader was last

const distance = () => scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight;

function follow() {
  if (!following) {
    toEnd.hidden = distance() < 40 || !document.querySelector(".answer.live");
    return;
  }
  scroll.scrollTop = scroll.scrollHeight;
  top = scroll.scrollTop;
}

scroll.addEventListener("scroll", () => {
  // Only going up ends it: text that grew between a scroll and its event has moved nobody.
  if (scroll.scrollTop < top) following = distance() < 4; // at the very end: what stood below has gone
  else if (distance() < 40) following = true;
  top = scroll.scrollTop;
  if (following) toEnd.hidden = true;
});
toEnd.addEventListener("click", () => {
  following = true;
  toEnd.hidden = true;
  follow();
});

// A re-created EventSource forgets Last-Event-ID, so the address to connect to always names the last event applied.
document.addEventListener("htmx:sseMessage", (event) => {
  const run = event.target.closest("[sse-connect]");
  const seq = Number(event.detail.lastEventId);
  if (run && seq) {
    const url = new URL(run.getAttribute("sse-connect"), location.href);
    url.searchParams.set("after", String(Math.max(seq, Number(url.searchParams.get("after")))));
    run.setAttribute("sse-connect", url.pathname + url.search);
  }
});
document.addEventListener("htmx:sseBeforeMessage", (event) => {
  const run = event.target.closest("[sse-connect]");
  if (!run) return;
  const applied = Number(new URL(run.getAttribute("sse-connect"), location.href).searchParams.get("after"));
  const last = event.detail.data.includes(`id="${run.id}"`);
  if (Number(event.detail.lastEventId) <= applied && !last) event.preventDefault(); // heard before
});
document.addEventListener("htmx:sseError", (event) => event.target.classList?.add("lost"));
document.addEventListener("htmx:sseOpen", (event) => event.target.classList?.remove("lost"));

// The end of the page moves whenever something is added to it, by whatever way, or the composer grows.
const sizes = new ResizeObserver(follow);
sizes.observe(document.getElementById("messages"));
sizes.observe(scroll);

// The finished answer takes the place of the live one: what the reader has opened in it stays open.
document.addEventListener("htmx:oobBeforeSwap", (event) => {
  const { target, fragment } = event.detail;
  if (!target.classList.contains("live")) return;
  for (const step of target.querySelectorAll("details.step[open]")) {
    const same = fragment.querySelector(`#${step.id}`);
    if (!same) continue;
    same.open = true;
    same.querySelector(".step-body").dataset.state = step.querySelector(".step-body").dataset.state ?? "";
    same.querySelector(".step-body").replaceChildren(...step.querySelector(".step-body").childNodes);
  }
});

// An open step tells what its call has come to, not what it was when it was opened.
document.addEventListener("htmx:oobAfterSwap", () => {
  const answer = [...document.querySelectorAll("#messages .answer")].at(-1);
  for (const step of answer?.querySelectorAll("details.step[open]") ?? []) {
    const body = step.querySelector(".step-body");
    const state = step.querySelector(".step-line").className;
    if (body.dataset.state === state) continue;
    body.dataset.state = state;
    htmx.ajax("GET", body.getAttribute("hx-get"), { target: body, swap: "innerHTML" });
  }
});
document.getElementById("composer").addEventListener("htmx:afterRequest", (event) => {
  if (event.detail.elt.id !== "composer" || !event.detail.successful) return;
  asked();
});
document.addEventListener("lightbox:asked", asked);
function asked() {
  following = true; // one's own question is always in sight
  follow();
}
follow();
