/** Where on the map one looks, and how closely. @module */

/** @typedef {{ left: number, top: number, right: number, bottom: number }} Box */

const FILLED = 0.92; // of the free room, where all is seen
const [LEAST, MOST] = [0.6, 400]; // times as large as where all is seen
const CLOSEST = 6; // where one song is looked for

export class Look {
  constructor() {
    this.x = 0;
    this.y = 0;
    this.scale = 1;
    this.width = 1;
    this.height = 1;
    /** What stands on the map at its edges, in pixels. @type {Box} */
    this.covered = { left: 0, top: 0, right: 0, bottom: 0 };
    this.isFitted = true;
  }

  /** The scale where all is seen. */
  get whole() {
    const { left, top, right, bottom } = this.covered;
    return (FILLED * Math.max(80, Math.min(this.width - left - right, this.height - top - bottom))) / 2;
  }

  /** 1 where all is seen. */
  get zoomed() {
    return this.scale / this.whole;
  }

  /** What is seen, and as much around it as a part of that. @param {number} around @returns {Box} */
  box(around) {
    const [wide, high] = [(this.width / this.scale) * (0.5 + around), (this.height / this.scale) * (0.5 + around)];
    return { left: this.x - wide, right: this.x + wide, bottom: this.y - high, top: this.y + high };
  }

  /** @param {number} width @param {number} height @param {Box} covered */
  resize(width, height, covered) {
    const zoomed = this.zoomed;
    Object.assign(this, { width: Math.max(1, width), height: Math.max(1, height), covered });
    if (this.isFitted) this.fit();
    else this.scale = zoomed * this.whole;
  }

  /** @param {number} x @param {number} y @returns {[number, number]} */
  toPixels(x, y) {
    return [(x - this.x) * this.scale + this.width / 2, this.height / 2 - (y - this.y) * this.scale];
  }

  /** @param {number} x @param {number} y @returns {[number, number]} */
  toMap(x, y) {
    return [(x - this.width / 2) / this.scale + this.x, (this.height / 2 - y) / this.scale + this.y];
  }

  /** @param {number} x @param {number} y */
  isSeen(x, y) {
    const [left, top] = this.toPixels(x, y);
    return left >= 0 && top >= 0 && left <= this.width && top <= this.height;
  }

  fit() {
    this.scale = this.whole;
    this.centre(0, 0);
    this.isFitted = true;
  }

  /** Look at a place, in the middle of what nothing stands on. @param {number} x @param {number} y */
  centre(x, y) {
    const { left, top, right, bottom } = this.covered;
    this.x = x - (left - right) / 2 / this.scale;
    this.y = y + (top - bottom) / 2 / this.scale;
    this.isFitted = false;
  }

  /** @param {number} dx @param {number} dy Pixels. */
  move(dx, dy) {
    this.x = Math.max(-1.2, Math.min(1.2, this.x - dx / this.scale));
    this.y = Math.max(-1.2, Math.min(1.2, this.y + dy / this.scale));
    this.isFitted = false;
  }

  /** @param {number} factor @param {number} x @param {number} y What stays where it is, in pixels. */
  zoom(factor, x, y) {
    const before = this.toMap(x, y);
    this.scale = Math.max(LEAST * this.whole, Math.min(MOST * this.whole, this.scale * factor));
    const after = this.toMap(x, y);
    this.x += before[0] - after[0];
    this.y += before[1] - after[1];
    this.move(0, 0);
  }

  /** See all of a part of the map. @param {Box} box In its coordinates. */
  show({ left, top, right, bottom }) {
    const { covered } = this;
    const free = [this.width - covered.left - covered.right, this.height - covered.top - covered.bottom];
    const [wide, high] = free.map((pixels) => 0.8 * Math.max(80, pixels));
    const scale = Math.min(CLOSEST * this.whole, (wide ?? 1) / Math.max(1e-6, right - left), (high ?? 1) / Math.max(1e-6, top - bottom));
    this.scale = Math.max(LEAST * this.whole, scale);
    this.centre((left + right) / 2, (top + bottom) / 2);
  }
}
