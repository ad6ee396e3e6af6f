// Where the image lies on the screen: OpenSeadragon moves it, and everything drawn on it follows.

const still = matchMedia("(prefers-reduced-motion: reduce)");

// A style element of OpenSeadragon's own would be inline, which the page's policy forbids: one of its mark that is no CSS
// keeps it from adding that. (It only hides a focus outline that our canvas never has.)
const mark = document.createElement("style");
mark.type = "text/plain";
mark.dataset.openseadragonMobileCss = "true";
document.head.append(mark);

const gestures = { clickToZoom: false, dblClickToZoom: false, dblClickDragToZoom: false, flickEnabled: false };

export class Stage {
  constructor(element, facts, changed) {
    const place = document.createElement("div");
    place.className = "osd";
    element.prepend(place);
    this.element = element;
    this.facts = facts;
    this.changed = changed;
    this.osd = OpenSeadragon({
      element: place,
      tileSources: facts.slide ? pyramid(facts) : empty(facts),
      drawer: "canvas",
      showNavigationControl: false,
      tabIndex: "",
      animationTime: still.matches ? 0 : 0.2,
      springStiffness: 10,
      visibilityRatio: 0.2,
      minZoomImageRatio: 0.5,
      maxZoomPixelRatio: facts.slide ? 8 : 40,
      gestureSettingsMouse: gestures,
      gestureSettingsTouch: { ...gestures, pinchToZoom: true },
      gestureSettingsPen: gestures,
      minScrollDeltaTime: 20,
    });
    this.ready = new Promise((done) => this.osd.addOnceHandler("open", () => done(this)));
    for (const name of ["viewport-change", "rotate", "flip", "resize", "open"]) this.osd.addHandler(name, () => this.apply());
  }

  get viewport() {
    return this.osd.viewport;
  }

  // From pixels of the frame to CSS pixels of the viewer, and back.
  toScreen(x, y) {
    const at = this.viewport.pixelFromPoint(new OpenSeadragon.Point(x / this.facts.width, y / this.facts.width), true);
    return { x: this.viewport.flipped ? this.element.clientWidth - at.x : at.x, y: at.y };
  }

  toImage(x, y) {
    const across = this.viewport.flipped ? this.element.clientWidth - x : x;
    const at = this.viewport.pointFromPixel(new OpenSeadragon.Point(across, y), true);
    return { x: at.x * this.facts.width, y: at.y * this.facts.width };
  }

  // [a, b, c, d, e, f] of CSS and canvas: screen x = a x + c y + e, screen y = b x + d y + f.
  matrix() {
    const [o, u, v] = [this.toScreen(0, 0), this.toScreen(this.facts.width, 0), this.toScreen(0, this.facts.height)];
    const { width, height } = this.facts;
    return [(u.x - o.x) / width, (u.y - o.y) / width, (v.x - o.x) / height, (v.y - o.y) / height, o.x, o.y];
  }

  get scale() {
    const [a, b] = this.matrix();
    return Math.hypot(a, b);
  }

  apply() {
    if (this.osd.isOpen() && this.element.clientWidth) this.changed(this.matrix());
  }

  fit() {
    this.viewport.goHome(false);
  }

  one() {
    this.viewport.zoomBy(1 / devicePixelRatio / this.scale).applyConstraints();
  }

  zoom(factor) {
    this.viewport.zoomBy(factor).applyConstraints();
  }

  pan(dx, dy) {
    const sign = this.viewport.flipped ? -1 : 1;
    this.viewport.panBy(this.viewport.deltaPointsFromPixels(new OpenSeadragon.Point(sign * dx, dy))).applyConstraints();
  }

  rotate() {
    this.viewport.setRotation((this.viewport.getRotation() + (this.viewport.flipped ? 270 : 90)) % 360, true);
    this.apply();
  }

  flip() {
    this.viewport.setFlip(!this.viewport.getFlip());
    this.apply();
  }

  upright() {
    this.viewport.setFlip(false);
    this.viewport.setRotation(0, true);
    this.viewport.goHome(true);
    this.apply();
  }

  // Bring a box (pixels of the frame) to the middle, with a margin of half its size around it.
  show([x0, y0, x1, y1]) {
    const least = 16 * Math.max(this.facts.width, this.facts.height) / 512;
    const [wide, high] = [Math.max(2 * (x1 - x0), least), Math.max(2 * (y1 - y0), least)];
    const [x, y] = [(x0 + x1 - wide) / 2, (y0 + y1 - high) / 2];
    const w = this.facts.width;
    this.viewport.fitBounds(new OpenSeadragon.Rect(x / w, y / w, wide / w, high / w)).applyConstraints();
  }

  get view() {
    return {
      bounds: this.viewport.getBoundsNoRotate(true),
      fitted: Math.abs(this.viewport.getZoom() / this.viewport.getHomeZoom() - 1) < 0.01,
      rotation: this.viewport.getRotation(),
      flipped: this.viewport.getFlip(),
    };
  }

  set view({ bounds, fitted, rotation, flipped }) {
    this.viewport.setFlip(flipped);
    this.viewport.setRotation(rotation, true);
    if (!fitted) this.viewport.fitBounds(bounds, true);
    this.apply();
  }

  close() {
    this.osd.destroy();
  }
}

// OpenSeadragon needs the size only: the frame is painted by us.
function empty({ width, height }) {
  return { width, height, tileSize: Math.max(width, height), minLevel: 0, maxLevel: 0, tileExists: () => false, getTileUrl: () => "" };
}

function pyramid({ id, width, height, slide, version }) {
  return {
    width,
    height,
    tileSize: slide.tile,
    tileOverlap: slide.overlap,
    minLevel: 0,
    maxLevel: slide.levels - 1,
    getTileUrl: (level, x, y) => `/images/${id}/tiles/${level}/${x}_${y}.jpg?v=${version}`,
  };
}
