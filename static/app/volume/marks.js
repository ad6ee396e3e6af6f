// What stands over the planes: letters at their edges, the crosshair, and lengths that were measured.

import { PLANES } from "./geometry.js";

const SVG = "http://www.w3.org/2000/svg";

export class Marks {
  constructor(root) {
    this.over = root.querySelector(".plane-marks");
    this.lines = root.querySelector(".rulers");
    this.tiles = new Map();
    this.rulers = []; // {plane, a, b}: ends in millimetres
  }

  draw(scene, voxel) {
    const tiles = scene.tiles();
    for (const [plane, element] of this.tiles) element.hidden = !tiles.some((tile) => tile.plane === plane);
    const here = scene.place.mm(voxel);
    for (const tile of tiles) {
      const element = this.tile(tile.plane);
      for (const edge of ["left", "top", "width", "height"]) element.style[edge] = `${tile[edge]}px`;
      const at = scene.where(here, tile.plane);
      element.style.setProperty("--x", `${at ? at[0] - tile.left : -9}px`);
      element.style.setProperty("--y", `${at ? at[1] - tile.top : -9}px`);
    }
    this.measure(scene, voxel);
  }

  tile(plane) {
    if (!this.tiles.has(plane)) {
      const element = document.createElement("div");
      element.className = "tile";
      element.dataset.plane = plane;
      for (const [edge, letter] of Object.entries(PLANES[plane].letters)) {
        const side = document.createElement("span");
        side.className = `side ${edge}`;
        side.textContent = letter;
        element.append(side);
      }
      for (const name of ["across", "down"]) element.append(Object.assign(document.createElement("i"), { className: name }));
      this.over.append(element);
      this.tiles.set(plane, element);
    }
    return this.tiles.get(plane);
  }

  // A length is seen on the slice it was measured on.
  measure(scene, voxel) {
    const seen = this.rulers.filter(({ plane, a }) => {
      const axis = scene.place.cut(plane);
      return Math.round(scene.place.voxel(a)[axis]) === voxel[axis];
    });
    this.lines.replaceChildren(...seen.flatMap((ruler) => drawn(scene, ruler)));
  }
}

export const length = ({ a, b }) => Math.hypot(...a.map((value, i) => value - b[i]));

function drawn(scene, ruler) {
  const [from, to] = [scene.where(ruler.a, ruler.plane), scene.where(ruler.b, ruler.plane)];
  if (!from || !to) return [];
  const [x1, y1, x2, y2] = [...from, ...to];
  const text = made("text", { x: x2 + 6, y: y2 - 6 });
  text.textContent = `${length(ruler).toFixed(1)} mm`;
  return [made("line", { x1, y1, x2, y2, class: "under" }), made("line", { x1, y1, x2, y2 }), text];
}

function made(name, attributes) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  return element;
}
