// Lines over the image, in an SVG of the viewer's own size: measurements, boxes, and what is being drawn.

import { measuredLines } from "./words.js";

const SVG = "http://www.w3.org/2000/svg";

function element(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

export class Ink {
  constructor(parent) {
    this.svg = element("svg", { class: "ink", "aria-hidden": "true" });
    parent.append(this.svg);
  }

  // `at` takes pixels of the frame to the screen.
  draw(at, { layers, textBoxes, marks, pending, cursor }) {
    this.at = ([x, y]) => { const p = at(x, y); return [p.x, p.y]; };
    this.svg.replaceChildren();
    for (const box of textBoxes) this.box(box, "#e8b54a", "", "dashed");
    for (const layer of layers) {
      if (layer.box) this.box(layer.box, layer.colour, layer.label);
      else if (layer.points) this.measurement(layer.type, layer.points, layer.colour, measuredLines(layer), layer.lit);
    }
    if (marks) this.marks(marks);
    if (pending) this.measurement(pending.type, pending.points, "#ffffff", []);
    if (cursor) this.cross(cursor);
  }

  path(points, colour, more = {}) {
    const d = points.map((point, i) => `${i ? "L" : "M"}${this.at(point).join(" ")}`).join("");
    for (const shade of ["under", "over"]) // a dark line below, so that it is seen on white
      this.svg.append(element("path", { d: d + (more.closed ? "Z" : ""), class: `${shade} ${more.class ?? ""}`, stroke: shade === "under" ? "#000" : colour }));
  }

  words([x, y], lines, colour) {
    const before = x > this.svg.clientWidth - 120; // there is no room after it
    const at = before ? x - 8 : x + 8;
    const text = element("text", { x: at, y: y - 6, fill: colour, "text-anchor": before ? "end" : "start" });
    lines.forEach((line, i) => {
      const span = element("tspan", { x: at, dy: i ? 16 : 0 });
      span.textContent = line;
      text.append(span);
    });
    this.svg.append(text);
  }

  box([x0, y0, x1, y1], colour, label, kind = "") {
    this.path([[x0, y0], [x1, y0], [x1, y1], [x0, y1]], colour, { closed: true, class: kind });
    if (label) this.words(this.at([x0, y0]).map((n, i) => n - (i ? 0 : 8)), [label], colour);
  }

  measurement(type, points, colour, lines, lit) {
    const more = { class: lit ? "lit" : "" };
    if (type === "ellipse" && points.length === 2) this.path(ellipse(points), colour, { ...more, closed: true });
    else if (type === "box" && points.length === 2) this.box([...points[0], ...points[1]], colour, "");
    else this.path(points, colour, more);
    for (const point of type === "ellipse" || type === "box" ? [] : points) this.dot(point, colour, 3);
    if (lines.length) this.words(this.at(points[type === "angle" ? 1 : points.length - 1]), lines, colour);
  }

  dot(point, colour, r) {
    const [cx, cy] = this.at(point);
    this.svg.append(element("circle", { cx, cy, r, fill: colour, stroke: "#000" }));
  }

  marks({ box, points, lasso }) {
    if (box) this.box(box, "#ffffff", "", "dashed");
    if (lasso.length > 1) this.path(lasso, "#ffffff", { closed: true, class: "dashed" });
    for (const { x, y, add } of points) {
      this.dot([x, y], add ? "#55c2b8" : "#d55e00", 6);
      const [cx, cy] = this.at([x, y]);
      const d = `M${cx - 3} ${cy}h6` + (add ? `M${cx} ${cy - 3}v6` : "");
      this.svg.append(element("path", { d, class: "sign", stroke: "#000" }));
    }
  }

  cross([x, y]) {
    const [cx, cy] = this.at([x, y]);
    const d = `M${cx - 14} ${cy}h10m8 0h10M${cx} ${cy - 14}v10m0 8v10`;
    this.svg.append(element("path", { d, class: "under", stroke: "#000" }), element("path", { d, class: "over", stroke: "#fff" }));
  }
}

function ellipse([[x0, y0], [x1, y1]]) {
  const [cx, cy, rx, ry] = [(x0 + x1) / 2, (y0 + y1) / 2, Math.abs(x1 - x0) / 2, Math.abs(y1 - y0) / 2];
  return Array.from({ length: 64 }, (_, i) => {
    const turn = (i / 32) * Math.PI;
    return [cx + rx * Math.cos(turn), cy + ry * Math.sin(turn)];
  });
}
