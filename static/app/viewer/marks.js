// What is drawn for the segment tool or as a mask: a box, points, a lasso, and paint. One set for each frame.

import { greyPng } from "./png.js";

export class Marks {
  constructor(facts, parent) {
    this.width = facts.width;
    this.height = facts.height;
    this.parent = parent;
    this.clear();
  }

  clear() {
    this.box = null;
    this.points = [];
    this.lasso = [];
    this.corrects = null; // the layer that this paint began from
    this.canvas?.remove();
    this.canvas = null;
    this.painted = false;
  }

  get prompted() {
    return Boolean(this.box || this.points.length || this.lasso.length > 2);
  }

  get masked() {
    return this.painted || this.lasso.length > 2;
  }

  paint() {
    if (this.canvas) return this.canvas.getContext("2d");
    this.canvas = document.createElement("canvas");
    this.canvas.className = "paint";
    this.canvas.width = this.width;
    this.canvas.height = this.height;
    this.parent.append(this.canvas);
    const context = this.canvas.getContext("2d", { willReadFrequently: true });
    context.lineCap = context.lineJoin = "round";
    context.strokeStyle = context.fillStyle = "#f1f1f1";
    return context;
  }

  // From one place to the next with a round brush, `size` pixels of the frame across.
  stroke([x0, y0], [x1, y1], size, erase) {
    if (erase && !this.canvas) return;
    const context = this.paint();
    context.globalCompositeOperation = erase ? "destination-out" : "source-over";
    context.lineWidth = size;
    context.beginPath();
    context.moveTo(x0, y0);
    context.lineTo(x1 + (x0 === x1 && y0 === y1 ? 0.01 : 0), y1);
    context.stroke();
    context.globalCompositeOperation = "source-over";
    this.painted = true;
  }

  // Begin from a mask that is there: its colour is somebody's, its shape is what counts.
  async begin(layer, url) {
    const picture = new Image();
    picture.src = url;
    await picture.decode();
    this.clear();
    const context = this.paint();
    context.drawImage(picture, 0, 0);
    const pixels = context.getImageData(0, 0, this.width, this.height);
    const words = new Uint32Array(pixels.data.buffer);
    for (let i = 0; i < words.length; i++) words[i] = words[i] >>> 24 ? 0xfff1f1f1 : 0;
    context.putImageData(pixels, 0, 0);
    this.corrects = layer;
    this.painted = true;
  }

  // 0 or 255 of every pixel: the paint, and the inside of the lasso.
  inside() {
    const context = this.paint();
    if (this.lasso.length > 2) {
      context.beginPath();
      for (const [x, y] of this.lasso) context.lineTo(x, y);
      context.fill();
    }
    const { data } = context.getImageData(0, 0, this.width, this.height);
    const inside = new Uint8Array(this.width * this.height);
    for (let i = 0; i < inside.length; i++) inside[i] = data[4 * i + 3] > 127 ? 255 : 0;
    return inside;
  }

  png() {
    return greyPng(this.inside(), this.width, this.height);
  }

  prompts() {
    return { box: this.box, points: this.points, lasso: this.lasso.length > 2 ? this.lasso : null };
  }
}
