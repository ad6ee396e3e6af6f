// Words over the image: the value under the pointer, the window, the patient's sides, a scale.

import { atTheDetector, number, under } from "./words.js";

const NAMES = { L: "left", R: "right", A: "front", P: "back", H: "head", F: "feet" };
const STEPS = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200];

function line(element, name) {
  const made = document.createElement("span");
  made.className = `hud ${name}`;
  element.append(made);
  return made;
}

export class Hud {
  constructor(element, facts) {
    this.element = element;
    this.facts = facts;
    this.value = line(element, "hud-value");
    this.window = line(element, "hud-window");
    this.scale = line(element, "hud-scale");
    this.status = line(element, "visually-hidden");
    this.status.setAttribute("role", "status");
    this.sides = Object.fromEntries(
      ["left", "right", "top", "bottom"].map((edge) => [edge, element.querySelector(`.side.${edge}`)]),
    );
  }

  // `aloud` when the place was chosen by keyboard.
  point(at, values, aloud) {
    const found = at && under(this.facts, values, at);
    this.value.replaceChildren(...(found ?? []).filter(Boolean).map((words, i) => {
      const row = document.createElement(i === 0 && found[0] ? "strong" : "span");
      row.textContent = words;
      return row;
    }));
    if (aloud) this.status.textContent = found ? found.filter(Boolean).join(", ") : "outside the image";
  }

  say(words) {
    this.status.textContent = words;
  }

  show(window, scale, matrix) {
    const zoom = `${number(100 * scale * devicePixelRatio, 0)} %`;
    this.window.textContent = window ? `C ${number(window.centre)}  W ${number(window.width)}  ${zoom}` : zoom;
    this.letters(matrix);
    this.bar(scale);
  }

  // The letters follow the edges of the image when it is turned or mirrored.
  letters([a, b, c, d]) {
    if (!this.facts.edges) return;
    const towards = { right: [a, b], left: [-a, -b], bottom: [c, d], top: [-c, -d] };
    for (const [edge, [x, y]] of Object.entries(towards)) {
      const screen = Math.abs(x) > Math.abs(y) ? (x > 0 ? "right" : "left") : y > 0 ? "bottom" : "top";
      const letter = this.facts.edges[edge];
      this.sides[screen].textContent = letter;
      this.sides[screen].title = `The ${screen} of the screen is the patient's ${NAMES[letter]}`;
    }
  }

  // The longest round length that takes less than a quarter of the viewer.
  bar(scale) {
    const { spacing } = this.facts;
    const perMm = spacing && scale / spacing.column_mm; // CSS pixels
    const length = perMm && STEPS.filter((step) => step * perMm < this.element.clientWidth / 4).at(-1);
    this.scale.hidden = !length;
    if (!length) return;
    this.scale.style.setProperty("--length", `${length * perMm}px`);
    this.scale.textContent = `${length < 0.1 ? `${number(length * 1000)} µm` : `${number(length)} mm`}${atTheDetector(this.facts)}`;
  }
}
