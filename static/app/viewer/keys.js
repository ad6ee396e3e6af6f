// The keyboard while the image has the focus. Everything the pointer can do has a key (templates/assistant/help.html).

const MODES = { v: "move", w: "window", d: "ruler", a: "angle", e: "ellipse", b: "box", p: "add", n: "remove", l: "lasso", g: "brush", x: "erase" };
const ACTS = { "+": "in", "=": "in", "-": "out", 0: "fit", 1: "one", r: "rotate", h: "flip", i: "invert", Backspace: "clear" };
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

// True when the key was ours.
export function pressed(viewer, event) {
  const { tools, cine } = viewer;
  const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (ARROWS[key]) return arrow(viewer, ARROWS[key], event.shiftKey);
  const several = viewer.facts.frames > 1;
  const jumps = { PageUp: -1, PageDown: 1, ",": -1, ".": 1, Home: -Infinity, End: Infinity };
  if (several && key in jumps) cine.step(jumps[key]);
  else if (several && key === " ") cine.toggle();
  else if (key === "Enter" && tools.cursor) tools.enter();
  else if (key === "Escape") return tools.left() && (viewer.redraw(), true);
  else if (MODES[key]) tools.set(MODES[key]);
  else if (ACTS[key]) tools.act(ACTS[key]);
  else if (key === "o") viewer.reset();
  else return false;
  return true;
}

function arrow(viewer, [dx, dy], far) {
  const { tools } = viewer;
  if (tools.mode === "move") viewer.stage.pan(40 * dx * (far ? 4 : 1), 40 * dy * (far ? 4 : 1));
  else if (tools.mode === "window") viewer.changeWindow(8 * dx, 8 * dy);
  else tools.moveCursor(dx * (far ? 10 : 1), dy * (far ? 10 : 1));
  return true;
}
