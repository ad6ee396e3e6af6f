// Where voxels lie. A voxel is [column, row, slice] of pixels.npy, counted from 0 at its centre; millimetres are in the
// patient, R-A-S+. The affine is inverted here and not in NiiVue, whose voxels are those of a grid turned to R-A-S.

// Each plane: the patient's axis it is cut across, and those that its picture's right and bottom edge lie along, with
// the direction. Radiological convention: from the feet, from the front, from the patient's left.
export const PLANES = {
  axial: { across: 2, right: [0, -1], down: [1, -1], letters: { left: "R", right: "L", top: "A", bottom: "P" } },
  coronal: { across: 1, right: [0, -1], down: [2, -1], letters: { left: "R", right: "L", top: "H", bottom: "F" } },
  sagittal: { across: 0, right: [1, -1], down: [2, -1], letters: { left: "A", right: "P", top: "H", bottom: "F" } },
};
export const NAMES = Object.keys(PLANES);
const ORDERS = [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]];

export class Place {
  constructor({ affine, width, height, frames }) {
    this.affine = affine;
    this.size = [width, height, frames];
    this.inverse = invert(affine);
    this.axes = nearestAxes(affine);
  }

  mm([c, r, s]) {
    return [0, 1, 2].map((i) => this.affine[i][0] * c + this.affine[i][1] * r + this.affine[i][2] * s + this.affine[i][3]);
  }

  // Not rounded: 3.5 is the border between the voxels 3 and 4.
  voxel(mm) {
    const [x, y, z] = mm.map((value, i) => value - this.affine[i][3]);
    return this.inverse.map((row) => row[0] * x + row[1] * y + row[2] * z);
  }

  inside(voxel) {
    return voxel.every((value, axis) => Math.round(value) >= 0 && Math.round(value) < this.size[axis]);
  }

  clamp(voxel) {
    return voxel.map((value, axis) => Math.min(Math.max(Math.round(value), 0), this.size[axis] - 1));
  }

  // Index of a voxel in pixels.npy, laid out flat.
  offset([c, r, s]) {
    return (s * this.size[1] + r) * this.size[0] + c;
  }

  // The voxel axis that a plane is cut across: 0 columns, 1 rows, 2 slices.
  cut(plane) {
    return this.axes[PLANES[plane].across].axis;
  }

  // [voxel axis, step] that goes to the right or down in a plane's picture.
  towards(plane, edge) {
    const [patient, way] = PLANES[plane][edge];
    const { axis, sign } = this.axes[patient];
    return [axis, sign * way];
  }

  // The plane that the slices of the file are: what is cut across voxel axis 2.
  get stored() {
    return NAMES.find((name) => this.cut(name) === 2);
  }

  get spacing() {
    return [0, 1, 2].map((axis) => Math.hypot(...[0, 1, 2].map((i) => this.affine[i][axis])));
  }
}

// For each axis of the patient the voxel axis nearest to it, and whether they grow the same way.
function nearestAxes(affine) {
  const lengths = [0, 1, 2].map((axis) => Math.hypot(...[0, 1, 2].map((i) => affine[i][axis])) || 1);
  const cosine = (patient, axis) => affine[patient][axis] / lengths[axis];
  const sum = (order) => order.reduce((total, axis, patient) => total + Math.abs(cosine(patient, axis)), 0);
  const best = ORDERS.reduce((a, b) => (sum(b) > sum(a) ? b : a));
  return best.map((axis, patient) => ({ axis, sign: cosine(patient, axis) < 0 ? -1 : 1 }));
}

function invert(m) {
  const minor = (i, j) => {
    const [a, b] = [0, 1, 2].filter((n) => n !== i);
    const [c, d] = [0, 1, 2].filter((n) => n !== j);
    return (m[a][c] * m[b][d] - m[a][d] * m[b][c]) * ((i + j) % 2 ? -1 : 1);
  };
  const determinant = [0, 1, 2].reduce((total, j) => total + m[0][j] * minor(0, j), 0);
  return [0, 1, 2].map((i) => [0, 1, 2].map((j) => minor(j, i) / determinant));
}

// "L 12.5 P 4.0 H 20.0": which side of the origin, as radiologists write it.
export function inWords(mm) {
  const letters = [["R", "L"], ["A", "P"], ["H", "F"]];
  return mm.map((value, axis) => `${letters[axis][value < 0 ? 1 : 0]} ${Math.abs(value).toFixed(1)}`).join("  ");
}
