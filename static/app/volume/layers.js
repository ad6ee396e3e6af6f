// Masks on the planes: fetched when they are shown for the first time, switched in the list beside the image.

const boxOf = (id) => document.querySelector(`[data-layer="${id}"]`);
const STRENGTH = 0.55; // of the slider's 100 %: the tissue under a mask stays readable

export class Layers {
  constructor(view) {
    this.view = view;
    this.own = new Map();
    this.loading = new Map();
    this.take(view.facts.layers);
  }

  take(layers) {
    this.list = layers.filter((layer) => layer.kind === "mask" && layer.nifti);
  }

  shown(layer) {
    return this.own.get(layer.id) ?? boxOf(layer.id)?.checked ?? layer.shown;
  }

  opacity(layer) {
    if (!this.shown(layer)) return 0;
    const slider = Number(document.getElementById("opacity")?.value ?? 80) / 100;
    const strength = this.strength?.get(layer.id) ?? slider * STRENGTH;
    if (this.lit === layer.id) return Math.min(1, strength * 1.5);
    return this.lit ? strength * 0.5 : strength;
  }

  async load() {
    for (const layer of this.list) if (this.shown(layer)) await this.fetch(layer);
    const lit = document.querySelector(".layer.lit [data-layer]");
    if (lit) await this.light(lit.dataset.layer);
  }

  fetch(layer) {
    if (!this.loading.has(layer.id)) {
      const adding = this.view.scene.addMask(layer, this.opacity(layer));
      this.loading.set(layer.id, adding.catch((error) => {
        this.loading.delete(layer.id);
        if (!this.view.closed) this.view.say(`${layer.label}: ${error.message}`);
      }));
    }
    return this.loading.get(layer.id);
  }

  async apply() {
    for (const layer of this.list) if (this.shown(layer)) await this.fetch(layer);
    if (this.view.closed) return;
    this.view.scene.setMasks(new Map(this.list.map((layer) => [layer.id, this.opacity(layer)])));
    this.view.set({});
  }

  set({ id, shown, opacity }) {
    if (shown !== undefined) {
      this.own.set(id, shown);
      const box = boxOf(id);
      if (box) box.checked = shown;
    }
    if (opacity !== undefined) (this.strength ??= new Map()).set(id, opacity);
    return this.apply();
  }

  // The boxes of the list are what counts again.
  follow() {
    this.own.clear();
    return this.apply();
  }

  async light(id) {
    const layer = this.list.find((one) => one.id === id);
    if (!layer) return;
    this.lit = id;
    await this.set({ id, shown: true });
    const middle = this.view.scene.middle(id);
    if (middle) this.view.set({ voxel: middle });
  }
}
