// A volume slice by slice as pictures of the server, for a browser without WebGL 2 and for volumes in colour.

const CUTS = ["sagittal", "coronal", ""]; // by the voxel axis that is cut across: the server's name of the plane
const OPPOSITE = { L: "R", R: "L", A: "P", P: "A", H: "F", F: "H" };

export class Flat {
  constructor(figure, place, facts, address) {
    this.figure = figure;
    this.picture = figure.querySelector("img");
    this.place = place;
    this.facts = facts;
    this.address = address;
  }

  draw({ voxel, plane, centre, width, inverted, time, zoom }) {
    const axis = this.place ? this.place.cut(plane) : 2;
    const query = new URLSearchParams({ t: time, c: centre, w: width });
    if (CUTS[axis]) query.set("plane", CUTS[axis]);
    const number = voxel[axis];
    const source = `${this.address.replace(/0\.png$/, `${number}.png`)}?${query}`;
    if (this.picture.getAttribute("src") !== source) this.picture.src = source;
    this.picture.alt = `${this.place ? plane : "Slice"}, ${number + 1} of ${this.facts.frames}`;
    this.picture.style.filter = inverted ? "invert(1)" : "";
    this.picture.style.scale = zoom;
    this.write(axis);
  }

  write(axis) {
    for (const side of this.figure.querySelectorAll(".side")) side.remove();
    const letters = this.letters(axis);
    for (const [edge, letter] of Object.entries(letters ?? {})) {
      const side = document.createElement("span");
      side.className = `side ${edge}`;
      side.textContent = letter;
      this.figure.append(side);
    }
  }

  // As the server turns its pictures: cut through all slices, the head is up.
  letters(axis) {
    const { edges, affine } = this.facts;
    if (axis === 2 || !edges || !affine) return edges;
    const column = affine.map((row) => row[2]);
    const nearest = [0, 1, 2].reduce((a, b) => (Math.abs(column[b]) > Math.abs(column[a]) ? b : a));
    const grows = [["R", "L"], ["A", "P"], ["H", "F"]][nearest][column[nearest] < 0 ? 1 : 0];
    const top = affine[2][2] >= 0 ? grows : OPPOSITE[grows];
    const [left, right] = axis === 1 ? [edges.left, edges.right] : [edges.top, edges.bottom];
    return { left, right, top, bottom: OPPOSITE[top] };
  }
}

