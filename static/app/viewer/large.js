// The image pane over the whole page, and back to where the reader was.

let opener = null;

const beside = () => document.querySelectorAll(".sidebar, #main > *:not(#pane-image), #pane > *:not(#pane-image), .tabbar, .skip");

export function large() {
  if (!document.getElementById("viewing")) return;
  if (document.body.dataset.large) return small();
  opener = document.activeElement;
  document.body.dataset.large = "1";
  reflect(true);
  document.getElementById("viewer").focus();
}

// True when it was large.
export function small() {
  if (!document.body.dataset.large) return false;
  delete document.body.dataset.large;
  reflect(false);
  opener?.focus({ preventScroll: true });
  opener = null;
  return true;
}

function reflect(on) {
  for (const element of beside()) element.inert = on;
  const button = document.querySelector("[data-enlarge]");
  button?.setAttribute("aria-pressed", String(on));
}

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || document.getElementById("help")?.open || !small()) return;
  event.preventDefault();
  event.stopPropagation();
}, true);
