/** A filter with two ends, above it how many songs there are along it. @module */

import { fill, h } from "./elements.js";

/**
 * @typedef {[number | null, number | null]} Bounds
 * @typedef {{ low: number | null, high: number | null, songs: number }} Bin
 */

/** A row of bars, and two handles below it. */
export class RangeFilter {
  /**
   * @param {{ label: string, ends: [string, string], words: (low: number | null, high: number | null) => string,
   *   change: (bounds: Bounds | null) => void }} options `ends`: names of the handles; `words`: bounds for people;
   *   `change`: called with null where all may come.
   */
  constructor(options) {
    this.options = options;
    /** @type {Bin[]} */
    this.bins = [];
    this.bars = h("div", { class: "bars", "aria-hidden": "true" });
    this.output = h("output", { class: "muted" });
    this.low = this.handle(options.ends[0]);
    this.high = this.handle(options.ends[1]);
    this.element = h(
      "fieldset",
      { class: "range-filter" },
      h("legend", {}, h("span", {}, options.label), this.output),
      this.bars,
      h("div", { class: "two-handles" }, this.low, this.high),
    );
  }

  /** @param {string} name */
  handle(name) {
    const handle = h("input", { type: "range", min: 0, max: 1, step: 1, "aria-label": `${this.options.label}: ${name}` });
    handle.addEventListener("input", () => this.moved(handle));
    return handle;
  }

  /**
   * Show how many songs there are, and which bounds are set.
   * @param {Bin[]} bins In order.
   * @param {Bounds | null} bounds
   */
  show(bins, bounds) {
    this.bins = bins;
    this.element.hidden = bins.length < 2;
    const most = Math.max(1, ...bins.map((bin) => bin.songs));
    if (this.bars.childElementCount !== bins.length) fill(this.bars, ...bins.map(() => h("span")));
    for (const [i, bin] of bins.entries()) {
      const bar = /** @type {HTMLElement} */ (this.bars.children[i]);
      bar.style.setProperty("--share", String(bin.songs ? Math.max(0.04, Math.sqrt(bin.songs / most)) : 0));
    }
    for (const handle of [this.low, this.high]) handle.max = String(bins.length);
    if (document.activeElement !== this.low && document.activeElement !== this.high) {
      const [low, high] = bounds ?? [null, null];
      const first = low === null ? 0 : bins.findIndex((bin) => (bin.high ?? Infinity) > low);
      const after = high === null ? bins.length : bins.findLastIndex((bin) => (bin.low ?? -Infinity) < high) + 1;
      this.low.value = String(Math.max(0, first));
      this.high.value = String(Math.max(Number(this.low.value) + 1, after));
    }
    this.update();
  }

  /** @param {HTMLInputElement} handle The handles keep apart. */
  moved(handle) {
    const [low, high] = [Number(this.low.value), Number(this.high.value)];
    if (low >= high) {
      if (handle === this.low) this.low.value = String(high - 1);
      else this.high.value = String(low + 1);
    }
    this.update();
    const bounds = this.bounds();
    this.options.change(bounds[0] === null && bounds[1] === null ? null : bounds);
  }

  /** @returns {Bounds} */
  bounds() {
    const [first, after] = [Number(this.low.value), Number(this.high.value)];
    const low = first > 0 ? this.bins[first]?.low : null;
    const high = after < this.bins.length ? this.bins[after - 1]?.high : null;
    return [low ?? null, high ?? null];
  }

  update() {
    const [first, after] = [Number(this.low.value), Number(this.high.value)];
    const [low, high] = this.bounds();
    this.output.textContent = low === null && high === null ? "any" : this.options.words(low, high);
    this.low.setAttribute("aria-valuetext", low === null ? "no limit" : this.options.words(low, null));
    this.high.setAttribute("aria-valuetext", high === null ? "no limit" : this.options.words(null, high));
    for (const [i, bar] of [...this.bars.children].entries()) bar.classList.toggle("within", first <= i && i < after);
    const all = Math.max(1, this.bins.length);
    this.element.style.setProperty("--from", String(first / all));
    this.element.style.setProperty("--to", String(after / all));
  }
}
