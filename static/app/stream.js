// Following a run: the cursor in the URL, and the scroll position, which belongs to the reader.

const scroll = document.getElementById("scroll");
const toEnd = document.getElementById("to-end");
let following = true;
let programmed = 0;

const distance = () => scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight;

function follow() {
  if (!following) {
    toEnd.hidden = distance() < 40 || !document.querySelector(".answer.live");
    return;
  }
  programmed = performance.now();
  scroll.scrollTop = scroll.scrollHeight;
}

scroll.addEventListener("scroll", () => {
  if (performance.now() - programmed < 50 && distance() < 4) return;
  following = distance() < 40;
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

// The end of the page moves whenever something is added to it, by whatever way.
new ResizeObserver(follow).observe(document.getElementById("messages"));
document.getElementById("composer").addEventListener("htmx:afterRequest", (event) => {
  if (event.detail.elt.id !== "composer" || !event.detail.successful) return;
  following = true; // one's own question is always in sight
  follow();
});
follow();
