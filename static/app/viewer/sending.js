// What is drawn goes to the server: measurements, masks, prompts; and what comes back is shown.

import { post } from "./post.js";

const addressOf = (viewer, name) => viewer.root.dataset[name];
const rounded = (points) => points.map(([x, y]) => [Math.round(x * 100) / 100, Math.round(y * 100) / 100]);

async function attempt(viewer, work) {
  viewer.tools.complain("");
  try {
    await work();
  } catch (error) {
    viewer.tools.complain(error.message);
  }
  viewer.tools.reflect();
  viewer.redraw();
}

// The pane again, with its list of layers; the image itself stays as it is (main.js).
export async function refresh(viewer) {
  await htmx.ajax("GET", addressOf(viewer, "pane"), { target: "#pane-image", swap: "outerHTML" });
}

export function saveMeasurement(viewer, type, points) {
  const body = { type, points: rounded(points), frame: viewer.frame, label: "" };
  return attempt(viewer, async () => {
    viewer.layers.list.push(await post(addressOf(viewer, "measure"), body));
    viewer.redraw();
    await refresh(viewer);
  });
}

export function saveMask(viewer) {
  const marks = viewer.marksHere();
  const layer = marks.corrects;
  return attempt(viewer, async () => {
    const body = new FormData();
    body.set("label", viewer.root.querySelector("[name=label]").value.trim() || "region");
    body.set("frame", String(viewer.frame));
    body.set("png", await marks.png(), "mask.png");
    body.set("corrects", layer && layer.author !== "tool" ? layer.id : "");
    body.set("corrects_artifact", layer?.author === "tool" ? layer.id : "");
    body.set("chat", viewer.root.dataset.chat);
    await post(addressOf(viewer, "mask"), body);
    marks.clear();
    await refresh(viewer);
  });
}

export function segment(viewer) {
  const marks = viewer.marksHere();
  const prompts = marks.prompts();
  const label = viewer.root.querySelector("[name=label]").value.trim();
  const body = {
    image: viewer.id,
    frame: viewer.frame,
    box: prompts.box && rounded([prompts.box.slice(0, 2), prompts.box.slice(2)]).flat(),
    points: prompts.points,
    lasso: prompts.lasso && rounded(prompts.lasso),
    label,
  };
  return attempt(viewer, async () => {
    const { location: url } = await post(addressOf(viewer, "segment"), body);
    marks.clear();
    await newTurns(url);
  });
}

// The turns of the chat's page that this page has not got, as after a question that was sent here.
async function newTurns(url) {
  const messages = document.getElementById("messages");
  if (!messages) return location.assign(url);
  const page = new DOMParser().parseFromString(await (await fetch(url)).text(), "text/html");
  for (const turn of page.querySelectorAll("#messages > *")) {
    if (turn.id && document.getElementById(turn.id)) continue;
    messages.append(document.importNode(turn, true));
    htmx.process(messages.lastElementChild);
  }
  const action = page.getElementById("composer-action");
  document.getElementById("composer-action")?.replaceWith(document.importNode(action, true));
  htmx.process(document.getElementById("composer-action"));
  return document.dispatchEvent(new CustomEvent("lightbox:asked"));
}

export async function remove(viewer, url) {
  await attempt(viewer, async () => {
    await post(url);
    await refresh(viewer);
  });
}
