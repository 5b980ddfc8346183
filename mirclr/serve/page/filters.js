/** The filters of a list: genre, mood, vocals, tempo, key, years and length, each with how many songs it leaves. @module */

import { build } from "./building.js";
import { clock, fill, h } from "./elements.js";
import { RangeFilter } from "./range-filter.js";

/**
 * @typedef {{ value: string, songs: number }} ValueCount
 * @typedef {{ total: number, genre: ValueCount[], mood: ValueCount[], vocal: ValueCount[], key: ValueCount[], year: ValueCount[],
 *   bpm: ValueCount[], duration_s: ValueCount[] }} Counts
 */

const FEW = 10; // labels that are shown before all are
const MOST = 200;

/** Labels of which some are wanted, the most frequent first. */
class Labels {
  /** @param {"genre" | "mood"} name @param {string} label */
  constructor(name, label) {
    this.name = name;
    this.all = false;
    /** @type {ValueCount[]} */
    this.values = [];
    this.chips = h("div", { class: "chips", role: "group", "aria-label": label });
    this.element = h("div", { class: "labels" }, h("h3", {}, label), this.chips);
  }

  /** @param {ValueCount[]} values */
  show(values) {
    this.values = values;
    const chosen = build.state[this.name];
    this.element.hidden = !values.length;
    const order = [...values].sort((a, b) => Number(chosen.includes(b.value)) - Number(chosen.includes(a.value)) || b.songs - a.songs);
    const some = order.filter(({ value, songs }) => songs || chosen.includes(value)).slice(0, this.all ? MOST : Math.max(FEW, chosen.length));
    const focused = this.chips.contains(document.activeElement) ? /** @type {HTMLElement} */ (document.activeElement).dataset.value : undefined;
    const more = !this.all && values.length > some.length;
    fill(
      this.chips,
      ...some.map((one) => this.chip(one, chosen.includes(one.value))),
      (more || (this.all && values.length > FEW)) && h("button", { class: "text", type: "button", data: { value: "\n" }, on: { click: () => this.toggleAll() } }, more ? "More …" : "Fewer"),
    );
    if (focused !== undefined) this.focus(focused);
  }

  /** @param {string} value */
  focus(value) {
    const found = [...this.chips.children].find((chip) => /** @type {HTMLElement} */ (chip).dataset.value === value);
    if (found instanceof HTMLElement) found.focus();
  }

  toggleAll() {
    this.all = !this.all;
    this.show(this.values);
  }

  /** @param {ValueCount} one @param {boolean} pressed */
  chip({ value, songs }, pressed) {
    const act = () => {
      const chosen = build.state[this.name];
      build.set({ [this.name]: pressed ? chosen.filter((name) => name !== value) : [...chosen, value] });
    };
    return h(
      "button",
      { class: "chip", type: "button", "aria-pressed": String(pressed), data: { value }, on: { click: act } },
      h("span", { class: "label" }, value.replaceAll("_", " ")),
      h("span", { class: "count" }, songs.toLocaleString("en")),
    );
  }
}

/** Whether songs are to have a voice or none; pressed again, either may come. */
class Voices {
  constructor() {
    this.chips = h("div", { class: "chips", role: "group", "aria-label": "Vocals" });
    this.element = h("div", { class: "labels" }, h("h3", {}, "Vocals"), this.chips);
  }

  /** @param {ValueCount[]} values */
  show(values) {
    const focused = this.chips.contains(document.activeElement) ? /** @type {HTMLElement} */ (document.activeElement).dataset.value : undefined;
    this.element.hidden = !values.length;
    fill(this.chips, ...values.map((one) => this.chip(one)));
    if (focused !== undefined) /** @type {HTMLElement | null} */ (this.chips.querySelector(`[data-value="${focused}"]`))?.focus();
  }

  /** @param {ValueCount} one */
  chip({ value, songs }) {
    const wanted = value === "yes";
    const pressed = build.state.vocal === wanted;
    return h(
      "button",
      { class: "chip", type: "button", "aria-pressed": String(pressed), data: { value }, on: { click: () => build.set({ vocal: pressed ? null : wanted }) } },
      h("span", { class: "label" }, wanted ? "with a voice" : "instrumental"),
      h("span", { class: "count" }, songs.toLocaleString("en")),
    );
  }
}

/** @param {string} unit */
const plain = (unit) => (/** @type {number | null} */ low, /** @type {number | null} */ high) => {
  if (low !== null && high !== null) return `${low} to ${high}${unit}`;
  return low !== null ? `from ${low}${unit}` : `up to ${high}${unit}`;
};

/** @param {number | null} low @param {number | null} high */
function lengths(low, high) {
  if (low !== null && high !== null) return `${clock(low)} to ${clock(high)}`;
  return low !== null ? `over ${clock(low)}` : `under ${clock(high ?? 0)}`;
}

/** Of "120..130", "1990s", "under 2m", "2m..3m", "over 10m" the bounds. @param {ValueCount} one */
function bin({ value, songs }) {
  const [low, high] = (value.match(/\d+(?:\.\d+)?/g) ?? []).map((text) => Number(text) * (value.includes("m") ? 60 : 1));
  if (value.endsWith("0s") && low !== undefined) return { low, high: low + 9, songs };
  if (value.startsWith("under")) return { low: null, high: low ?? null, songs };
  if (value.startsWith("over")) return { low: low ?? null, high: null, songs };
  return { low: low ?? null, high: high ?? null, songs };
}

export class Filters {
  constructor() {
    this.genre = new Labels("genre", "Genre");
    this.mood = new Labels("mood", "Mood");
    this.vocal = new Voices();
    this.bpm = new RangeFilter({ label: "Tempo", ends: ["slowest", "fastest"], words: plain(" bpm"), change: (bpm) => build.set({ bpm }) });
    this.year = new RangeFilter({ label: "Year", ends: ["first", "last"], words: plain(""), change: (year) => build.set({ year }) });
    this.length = new RangeFilter({ label: "Length", ends: ["shortest", "longest"], words: lengths, change: (duration_s) => build.set({ duration_s }) });
    this.key = h("select", { "aria-label": "Key" });
    this.key.addEventListener("change", () => build.set({ key: this.key.value || null }));
    this.mixing = h("input", { type: "checkbox" });
    this.mixing.addEventListener("change", () => build.set({ compatible: this.mixing.checked }));
    this.mixes = h("label", { class: "check" }, this.mixing, "and keys that mix with it");
    this.keys = h("div", { class: "keys-filter" }, h("h3", {}, "Key"), this.key, this.mixes);
    this.unknown = h("p", { class: "muted small" }, "Genres, moods, tempos and keys are found out in the library view; then songs can be chosen by them too.");
    this.element = h("div", { class: "filters" }, this.genre.element, this.mood.element, this.vocal.element, this.bpm.element, this.year.element, this.length.element, this.keys, this.unknown);
  }

  /** @param {Counts} counts */
  show(counts) {
    const { bpm, year, duration_s, key, compatible } = build.state;
    this.genre.show(counts.genre);
    this.mood.show(counts.mood);
    this.vocal.show(counts.vocal);
    this.bpm.show(counts.bpm.map(bin), bpm);
    this.year.show(counts.year.map(bin), year);
    this.length.show(counts.duration_s.map(bin), duration_s);
    const keys = counts.key.map(({ value, songs }) => h("option", { value }, `${value} (${songs.toLocaleString("en")})`));
    if (document.activeElement !== this.key) {
      fill(this.key, h("option", { value: "" }, "any"), ...keys);
      this.key.value = key ?? "";
    }
    this.mixing.checked = compatible;
    this.mixes.hidden = !key;
    this.keys.hidden = !keys.length;
    this.unknown.hidden = Boolean(counts.bpm.length && counts.mood.length && counts.genre.length);
  }
}
