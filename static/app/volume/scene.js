// A volume drawn by NiiVue. It draws, and says what lies under a place of the canvas; all that is pressed and dragged is
// read elsewhere (input.js), since its own keys and wheel are not ours.

import { NAMES } from "./geometry.js";
import { fetched, inflated, niivue, voxelsOf } from "./library.js";

const CROSS = [0.33, 0.76, 0.72, 0.9];
const ROOMY = 560; // CSS pixels: narrower, the planes stand one below the other

export class Scene {
  constructor(canvas, place, description) {
    this.canvas = canvas;
    this.place = place;
    this.description = description;
    this.masks = new Map(); // by layer: NiiVue's image, and its voxels
    this.layout = "";
    this.gone = new AbortController();
  }

  async open(library, address, window_, progress) {
    const api = await niivue(library);
    const buffer = await fetched(address, this.gone.signal, progress);
    this.api = api;
    this.nv = new api.Niivue({
      interactive: false,
      dragAndDropEnabled: false,
      isRadiologicalConvention: true,
      sagittalNoseLeft: true,
      isOrientationTextVisible: false,
      multiplanarShowRender: 0,
      crosshairColor: CROSS,
      crosshairWidth: 0,
      loadingText: "",
      logLevel: "error",
      backColor: [0, 0, 0, 1],
    });
    await this.nv.attachToCanvas(this.canvas, false);
    await this.show(buffer, window_);
  }

  // NiiVue looks for the range of values itself, unless it is told a window.
  async show(buffer, { centre, width }) {
    this.values = voxelsOf(buffer, this.description.dtype);
    const image = await this.api.NVImage.new(buffer, "volume.nii", "gray", 1, null, centre - width / 2, centre + width / 2);
    const before = this.nv.volumes[0];
    if (!before) return this.nv.addVolume(image);
    before.img = image.img;
    this.nv.refreshLayers(before, 0);
    this.nv.drawScene();
  }

  async setTime(address, window_) {
    await this.show(await fetched(address, this.gone.signal), window_);
  }

  setWindow({ centre, width }, inverted) {
    const image = this.nv.volumes[0];
    image.cal_min = centre - width / 2;
    image.cal_max = centre + width / 2;
    image.colormapInvert = inverted;
    this.nv.refreshLayers(image, 0);
    this.nv.drawScene();
  }

  // One plane, or all three: the first one large where there is room, else one below the other.
  setLayout(plane) {
    const wide = this.canvas.clientWidth >= ROOMY;
    const key = `${plane} ${wide}`;
    if (key === this.layout) return;
    this.layout = key;
    const cells = wide
      ? [[0, 0, 0.62, 1], [0.625, 0, 0.375, 0.495], [0.625, 0.505, 0.375, 0.495]]
      : [[0, 0, 1, 0.56], [0, 0.565, 0.495, 0.435], [0.505, 0.565, 0.495, 0.435]];
    const first = this.place.stored;
    const order = [first, ...NAMES.filter((name) => name !== first)];
    this.nv.setCustomLayout(
      plane === "all"
        ? order.map((name, i) => ({ sliceType: NAMES.indexOf(name), position: cells[i] }))
        : [{ sliceType: NAMES.indexOf(plane), position: [0, 0, 1, 1] }],
    );
  }

  draw({ voxel, zoom, pan }) {
    this.nv.scene.crosshairPos = this.nv.mm2frac(this.place.mm(voxel), 0, true);
    this.nv.scene.pan2Dxyzmm = [...pan, zoom];
    this.nv.drawScene();
  }

  // The planes on the canvas, in CSS pixels.
  tiles() {
    const { dpr } = this.nv.uiData;
    return this.nv.screenSlices.map(({ axCorSag, leftTopWidthHeight }) => {
      const [left, top, width, height] = leftTopWidthHeight.map((value) => value / dpr);
      return { plane: NAMES[axCorSag], left: Math.min(left, left + width), top, width: Math.abs(width), height };
    });
  }

  // What lies under (x, y) in CSS pixels: the plane, and millimetres in the patient; null beside the volume.
  at(x, y) {
    const { dpr } = this.nv.uiData;
    const tile = this.tiles().find((one) => x >= one.left && x < one.left + one.width && y >= one.top && y < one.top + one.height);
    if (!tile) return null;
    const frac = this.nv.canvasPos2frac([x * dpr, y * dpr]);
    if (frac[0] < 0) return { plane: tile.plane, mm: null };
    return { plane: tile.plane, mm: [...this.nv.frac2mm(frac, 0, true)].slice(0, 3) };
  }

  // Where a place in the patient is on the picture of a plane, in CSS pixels; null when it is not on it.
  where(mm, plane) {
    const found = this.nv.frac2canvasPosWithTile(this.nv.mm2frac(mm, 0, true), NAMES.indexOf(plane));
    return found && found.pos.map((value) => value / this.nv.uiData.dpr);
  }

  // Millimetres as NiiVue draws them: in an oblique volume along the axes of its voxels.
  shownAt(voxel) {
    return [...this.nv.frac2mm(this.nv.mm2frac(this.place.mm(voxel), 0, true), 0, false)].slice(0, 3);
  }

  // CSS pixels of one millimetre.
  scale(plane) {
    const slice = this.nv.screenSlices.find((one) => NAMES[one.axCorSag] === plane);
    return slice ? Math.abs(slice.leftTopWidthHeight[2] / slice.fovMM[0]) / this.nv.uiData.dpr : 1;
  }

  async addMask(layer, opacity) {
    const buffer = await inflated(await fetched(layer.nifti, this.gone.signal));
    const colours = [1, 3, 5].map((at) => parseInt(layer.colour.slice(at, at + 2), 16));
    const name = `mask${layer.colour}`;
    const [R, G, B] = colours.map((value) => [value, value]);
    this.nv.addColormap(name, { R, G, B, A: [0, 255], I: [0, 255] });
    const image = await this.api.NVImage.new(buffer, `${layer.id}.nii`, name, opacity, null, 0, 1);
    image.colorbarVisible = false;
    this.masks.set(layer.id, { image, voxels: new Uint8Array(buffer, 352) });
    this.nv.addVolume(image);
  }

  setMasks(opacities) {
    for (const [id, { image }] of this.masks) image.opacity = opacities.get(id) ?? 0;
    this.nv.updateGLVolume();
  }

  // The middle of a mask, as a voxel that is in it; null when it is empty.
  middle(id) {
    const voxels = this.masks.get(id)?.voxels;
    if (!voxels) return null;
    const [columns, rows, slices] = this.place.size;
    const sum = [0, 0, 0];
    let count = 0;
    for (let s = 0, at = 0; s < slices; s++)
      for (let r = 0; r < rows; r++)
        for (let c = 0; c < columns; c++, at++)
          if (voxels[at]) {
            sum[0] += c;
            sum[1] += r;
            sum[2] += s;
            count++;
          }
    return count ? this.place.clamp(sum.map((value) => value / count)) : null;
  }

  value(voxel) {
    return Number(this.values[this.place.offset(voxel)]);
  }

  close() {
    this.gone.abort();
    this.nv?.cleanup?.();
    this.nv?.gl?.getExtension("WEBGL_lose_context")?.loseContext();
  }
}
