/** How a list is made: sliders and switches. @module */

import { build } from "./building.js";
import { counted, h, span } from "./elements.js";

/** @typedef {import("./building.js").Building} Building @typedef {"n" | "length_s" | "diversity" | "timbre" | "harmony" | "rhythm" | "artist_cap" | "artist_gap"} Numbered */

const AT_FIRST_S = 2700;
const part = (/** @type {number} */ value) => (value ? `${Math.round(100 * value)} %` : "none");

/** @type {{ name: Numbered, label: string, min: number, max: number, step: number, words: (value: number) => string, help: string }[]} */
const SLIDERS = [
  { name: "n", label: "Songs", min: 5, max: 200, step: 5, words: (n) => String(n), help: "How many songs the list has" },
  { name: "length_s", label: "Plays for", min: 600, max: 18000, step: 300, words: span, help: "How long the list plays" },
  { name: "diversity", label: "Variety", min: 0, max: 1, step: 0.05, words: part, help: "How different the songs are from each other" },
  { name: "timbre", label: "Alike in timbre", min: 0, max: 1, step: 0.05, words: part, help: "How much it counts that songs sound alike" },
  { name: "harmony", label: "Alike in harmony", min: 0, max: 1, step: 0.05, words: part, help: "How much it counts that chords follow each other alike, in any key and tempo, as in covers" },
  { name: "rhythm", label: "Alike in rhythm", min: 0, max: 1, step: 0.05, words: part, help: "How much it counts that drums follow each other alike" },
  { name: "artist_cap", label: "Of one artist", min: 0, max: 10, step: 1, words: (n) => (n ? `at most ${n}` : "any number"), help: "How many songs of one artist may come" },
  { name: "artist_gap", label: "Artists apart", min: 0, max: 10, step: 1, words: (n) => (n ? counted(n, "other song") : "not at all"), help: "How many others come between two songs of one artist" },
];

/** @type {{ name: "same_album" | "versions" | "fill", label: string }[]} */
const SWITCHES = [
  { name: "same_album", label: "Songs of the same album too" },
  { name: "versions", label: "Several versions of a song (live, remix)" },
  { name: "fill", label: "Fill up with what is less alike" },
];

export class Settings {
  constructor() {
    /** @type {(() => void)[]} */
    this.shows = [];
    this.element = h("div", { class: "settings" }, ...SLIDERS.map((one) => this.slider(one)), this.timed(), ...SWITCHES.map((one) => this.switch(one)));
  }

  /** @param {typeof SLIDERS[number]} slider */
  slider({ name, label, min, max, step, words, help }) {
    const input = h("input", { type: "range", min, max, step, "aria-label": label });
    const output = h("output", { class: "muted" });
    const whole = h("label", { class: "slider", title: help }, h("span", {}, label, output), input);
    const show = () => {
      const value = build.state[name] ?? AT_FIRST_S;
      const timed = build.state.length_s !== null;
      whole.hidden = name === "n" ? timed : name === "length_s" && !timed;
      if (Number(input.value) !== value) input.value = String(value);
      input.style.setProperty("--share", String(Math.min(1, (value - min) / (max - min))));
      input.setAttribute("aria-valuetext", words(value));
      if (name === "diversity") input.disabled = build.isPath; // which has an order of its own
      if (name === "timbre" || name === "harmony" || name === "rhythm") input.disabled = !build.weighs;
      output.textContent = words(value);
    };
    input.addEventListener("input", () => build.set({ [name]: Number(input.value) }));
    this.shows.push(show);
    return whole;
  }

  /** Whether the list is as long as songs are many, or as a time. */
  timed() {
    const box = h("input", { type: "checkbox" });
    box.addEventListener("change", () => build.set({ length_s: box.checked ? AT_FIRST_S : null }));
    this.shows.push(() => (box.checked = build.state.length_s !== null));
    return h("label", { class: "check" }, box, "Fill a time, whatever the number of songs");
  }

  /** @param {typeof SWITCHES[number]} one */
  switch({ name, label }) {
    const box = h("input", { type: "checkbox" });
    box.addEventListener("change", () => build.set({ [name]: box.checked }));
    this.shows.push(() => (box.checked = build.state[name]));
    return h("label", { class: "check" }, box, label);
  }

  show() {
    for (const show of this.shows) show();
  }
}
