/** What a list is to be like, in words; and what of them was understood. @module */

import { build } from "./building.js";
import { debounced, fill, h } from "./elements.js";

/**
 * @typedef {{ tags: { [tag: string]: number }, without: string[], filters: { [name: string]: string },
 *   taken_as: { [word: string]: string }, not_understood: string[] }} Understood
 */

const WAIT_MS = 500; // after a key; a list for half a word is noise
const MOST = 1000; // characters

export class Words {
  constructor() {
    this.field = h("input", { type: "text", id: "build-words", maxlength: String(MOST), autocomplete: "off", "aria-describedby": "build-words-understood" });
    this.field.placeholder = "calm piano, no vocals, before 1990";
    this.summary = h("p", { class: "muted small", id: "build-words-understood", role: "status" });
    const soon = debounced(WAIT_MS, () => this.take());
    this.field.addEventListener("input", soon);
    this.field.addEventListener("change", () => this.take());
    this.element = h("div", { class: "words" }, h("label", { for: "build-words" }, "In words"), this.field, this.summary);
  }

  take() {
    const text = this.field.value.trim() || null;
    if (text !== build.state.text) build.set({ text });
  }

  show() {
    const { text, to } = build.state;
    this.element.hidden = to !== null; // a path has no words
    if (document.activeElement !== this.field) this.field.value = text ?? "";
    if (!text) this.say(null);
  }

  /** @param {Understood | null | undefined} read */
  say(read) {
    if (!read) {
      fill(this.summary);
      return;
    }
    const likes = Object.entries(read.tags).map(([tag, weight]) => (weight < 0 ? `not ${tag}` : tag));
    const parts = [likes.join(", "), ...read.without.map((one) => `not ${one}`), ...Object.values(read.filters)];
    const taken = Object.entries(read.taken_as).map(([word, other]) => `${word} taken as ${other}`);
    const missed = read.not_understood.length ? [`not understood: ${read.not_understood.join(", ")}`] : [];
    fill(this.summary, [...parts, ...taken, ...missed].filter(Boolean).join("; "));
  }
}
