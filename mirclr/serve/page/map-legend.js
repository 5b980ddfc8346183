/** What the colours of the map mean; what is chosen there stands out from the rest. @module */

import { fill, h } from "./elements.js";
import { icon } from "./icons.js";
import { OTHER, paletteOf, UNKNOWN } from "./map-colours.js";

/** @typedef {import("./map-colours.js").MapColours} MapColours */

const KINDS = /** @type {const} */ ({ genre: "Genre", mood: "Mood", year: "Year", tempo: "Tempo", album: "Album" });
const WIDE_PX = 640;

export class Legend {
  /** @param {{ by: (by: string) => void, keep: () => void }} options `keep`: called when other colours are to stand out. */
  constructor({ by, keep }) {
    this.keep = keep;
    /** Codes that stand out; all where there is none. @type {Set<number>} */
    this.kept = new Set();
    /** @type {MapColours | null} */
    this.colours = null;
    const options = Object.entries(KINDS).map(([value, name]) => h("option", { value }, name));
    this.select = h("select", { "aria-label": "Colour by" }, ...options);
    this.select.addEventListener("change", () => by(this.select.value));
    this.keys = h("div", { class: "map-legend", role: "group", "aria-label": "What colours mean" });
    const body = h("div", { class: "map-colours-body" }, this.select, this.keys);
    this.element = h("details", { class: "map-colours", open: innerWidth >= WIDE_PX }, h("summary", {}, "Colours", icon("down")), body);
  }

  get by() {
    return this.select.value;
  }

  /** @param {MapColours} colours */
  set(colours) {
    this.colours = colours;
    this.select.value = colours.by;
    this.kept.clear();
    this.draw();
  }

  draw() {
    const { colours } = this;
    if (!colours) return;
    const focused = document.activeElement instanceof HTMLElement && this.keys.contains(document.activeElement) ? document.activeElement.dataset["code"] : null;
    const rows = colours.scale === "shared" ? [] : colours.legend.map(({ label, songs }, code) => ({ label, songs, code }));
    if (colours.other) rows.push({ label: "other", songs: colours.other, code: OTHER });
    if (colours.unknown) rows.push({ label: "not known", songs: colours.unknown, code: UNKNOWN });
    const palette = paletteOf(colours);
    const shared = colours.scale === "shared" && h("p", { class: "muted" }, "The songs of an album have one colour.");
    const unknown = colours.unknown > 0 && !colours.legend.length && colours.scale !== "shared" && h("p", { class: "muted" }, this.hint());
    fill(this.keys, shared, unknown, ...rows.map((row) => this.key(row, palette(row.code))));
    if (focused) this.keyOf(focused)?.focus();
  }

  /** What to do where nothing is known. */
  hint() {
    const what = { genre: "Guess genres", mood: "Guess moods", tempo: "Find tempos" }[this.by];
    return what ? `${what} in the library to see them here.` : "";
  }

  /** @param {string} code @returns {HTMLElement | null} */
  keyOf(code) {
    return this.keys.querySelector(`[data-code="${code}"]`);
  }

  /** @param {{ label: string, songs: number, code: number }} row @param {[number, number, number]} colour */
  key({ label, songs, code }, colour) {
    const toggle = () => {
      if (!this.kept.delete(code)) this.kept.add(code);
      this.draw();
      this.keep();
    };
    return h(
      "button",
      { class: "map-key", type: "button", "aria-pressed": String(this.kept.has(code)), data: { code }, on: { click: toggle } },
      h("span", { class: "map-dot", css: { "--dot": `rgb(${colour.join(" ")})` } }),
      h("span", { class: "map-key-name" }, label),
      h("span", { class: "map-key-count" }, songs.toLocaleString("en")),
    );
  }

  /** What a code means. @param {number | undefined} code */
  labelOf(code) {
    return code === undefined ? "" : (this.colours?.legend[code]?.label ?? "");
  }
}
