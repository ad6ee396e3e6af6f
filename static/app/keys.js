// The keyboard, one key each; never while something is being typed.

const help = document.getElementById("help");
const emit = (name, detail) => document.dispatchEvent(new CustomEvent(name, { detail }));
const typing = (element) => element.closest?.("input:not([type=checkbox], [type=range]), textarea, select, [contenteditable]");

function move(step) {
  const turns = [...document.querySelectorAll(".turn")];
  if (!turns.length) return;
  const at = turns.findIndex((turn) => turn.contains(document.activeElement));
  const next = at < 0 ? (step > 0 ? 0 : turns.length - 1) : Math.min(Math.max(at + step, 0), turns.length - 1);
  turns[next].focus();
}

function source(rel) {
  const link = document.querySelector(`#evidence [rel=${rel}]`) ?? (document.getElementById("evidence") ? null : document.querySelector(".source"));
  link?.click();
}

function escape() {
  if (document.querySelector(".chat-menu[open]")) document.querySelector(".chat-menu[open]").open = false;
  else if (document.body.dataset.view === "chats") emit("lightbox:show", "chat");
  else if (document.activeElement?.id === "text") document.activeElement.blur();
  else emit("lightbox:back");
}

function searchChats() {
  if (matchMedia("(max-width: 1099px)").matches) emit("lightbox:show", "chats");
  const field = document.getElementById("q-chats");
  field?.focus();
  field?.select();
}

const keys = {
  "/": () => document.getElementById("text")?.focus(),
  j: () => move(1),
  k: () => move(-1),
  "[": () => source("prev"),
  "]": () => source("next"),
  m: () => emit("lightbox:masks"),
  "?": () => help?.showModal(),
};

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || help?.open) return;
  if (event.key === "Escape") return escape();
  if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
    event.preventDefault();
    return searchChats();
  }
  if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
  const action = keys[event.key] ?? keys[event.key.toLowerCase()];
  if (!action) return;
  event.preventDefault();
  action();
});
