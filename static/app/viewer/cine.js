// Through the frames: a slider, a step, and as a film at the file's own pace.

const USUAL = 100; // ms a frame, where the file does not say

export class Cine {
  constructor(viewer) {
    this.viewer = viewer;
    this.bar = viewer.root.querySelector(".cine");
    this.playing = false;
    if (!this.bar) return;
    this.slider = this.bar.querySelector("input");
    this.slider.addEventListener("input", () => {
      this.stop();
      viewer.turnTo(Number(this.slider.value));
    });
    this.bar.querySelector("button").addEventListener("click", () => this.toggle());
    this.bar.hidden = false;
  }

  step(by) {
    this.stop();
    this.viewer.turnTo(this.viewer.frame + by);
  }

  get pace() {
    return this.viewer.facts.frame_ms || USUAL;
  }

  reflect() {
    if (!this.bar) return;
    const { frame, facts } = this.viewer;
    this.slider.value = frame;
    const rate = facts.layout === "volume" ? "" : `, ${Number((1000 / this.pace).toFixed(1))} fps`;
    this.bar.querySelector("output").textContent = `${frame + 1} / ${facts.frames}${rate}`;
    const button = this.bar.querySelector("button");
    button.setAttribute("aria-pressed", String(this.playing));
    button.querySelector(".words").textContent = this.playing ? "Pause" : "Play";
  }

  toggle() {
    if (this.playing) this.stop();
    else this.play();
  }

  stop() {
    if (!this.playing) return;
    this.playing = false;
    this.reflect();
  }

  // A frame is shown when its time has come and its values are here; what comes next is fetched meanwhile.
  async play() {
    const { viewer } = this;
    if (!this.bar) return;
    this.playing = true;
    let due = performance.now();
    while (this.playing && !viewer.closed) {
      const next = (viewer.frame + 1) % viewer.facts.frames;
      for (let ahead = 1; ahead < 4; ahead++) viewer.frames.get((next + ahead) % viewer.facts.frames).catch(() => {});
      await viewer.turnTo(next);
      due = Math.max(due + this.pace, performance.now());
      await new Promise((done) => setTimeout(done, due - performance.now()));
    }
    this.reflect();
  }
}
