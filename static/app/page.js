// What every page does: errors of htmx in place, the sidebar on small screens.

function errorPlace(element) {
  const form = element.closest("form, section, [data-errors]");
  return form?.querySelector(".error") ?? document.getElementById("composer-error") ?? document.querySelector(".error");
}

function lineOf(xhr) {
  if ((xhr.getResponseHeader("Content-Type") || "").includes("json")) {
    try {
      return JSON.parse(xhr.responseText).detail;
    } catch {
      return "";
    }
  }
  if (xhr.status === 403) return "You have been signed out, or the page is too old. Reload it; what you wrote is kept.";
  const text = xhr.responseText.trim();
  return text && !text.startsWith("<") ? text : `The server answered ${xhr.status}. Try again in a moment.`;
}

function say(element, line) {
  const place = errorPlace(element);
  if (place) place.textContent = line;
}

document.addEventListener("htmx:beforeRequest", (event) => say(event.detail.elt, ""));
document.addEventListener("htmx:beforeSwap", (event) => {
  const { xhr } = event.detail;
  const { elt } = event.detail.requestConfig; // who asked; the event itself is about where the answer would go
  if (new URL(xhr.responseURL || location.href).pathname.startsWith("/sign-in/")) {
    event.detail.shouldSwap = false;
    location.reload(); // the session has ended; the login page belongs in the window, not in the chat
  } else if (xhr.status >= 400) {
    event.detail.shouldSwap = false;
    say(elt, lineOf(xhr));
  }
});
const AWAY = "The server cannot be reached. What you wrote is kept; try again in a moment.";
document.addEventListener("htmx:sendError", (event) => say(event.detail.elt, AWAY));
function back() {
  for (const place of document.querySelectorAll(".error")) if (place.textContent === AWAY) place.textContent = "";
}
document.addEventListener("htmx:sseOpen", back);
document.addEventListener("htmx:afterOnLoad", back);

// Views on small screens: chats, chat, image, sources.
export function show(view) {
  document.body.dataset.view = view;
  for (const link of document.querySelectorAll(".tabbar a")) {
    if (link.dataset.show === view) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
  }
  const menu = document.querySelector(".menu-link");
  menu?.setAttribute("aria-expanded", String(view === "chats"));
}

document.addEventListener("lightbox:show", (event) => show(event.detail));
document.addEventListener("click", (event) => {
  const menu = event.target.closest("[data-toggle-sidebar]");
  if (menu) {
    event.preventDefault();
    show(document.body.dataset.view === "chats" ? "chat" : "chats");
    if (document.body.dataset.view === "chats") document.querySelector(".sidebar a")?.focus();
    return;
  }
  const tab = event.target.closest(".tabbar a");
  if (tab) {
    event.preventDefault();
    show(tab.dataset.show);
    if (tab.dataset.show === "image" || tab.dataset.show === "sources")
      document.dispatchEvent(new CustomEvent("lightbox:tab", { detail: tab.dataset.show }));
    return;
  }
  if (document.body.dataset.view === "chats" && !event.target.closest(".sidebar")) show("chat");
  for (const open of document.querySelectorAll(".chat-menu[open]"))
    if (!open.contains(event.target)) open.open = false;
});
