/** Why two songs are alike: in words, by what is known of both, and to be heard. @module */

import { get } from "./api.js";
import { openDialog } from "./dialog.js";
import { h } from "./elements.js";
import { icon } from "./icons.js";
import { attempt } from "./notices.js";
import { player, playTracks } from "./player.js";

/**
 * @typedef {import("./api.js").Track} Track
 * @typedef {{ first: Track, second: Track, match: number | null, words: string[], same: string[], relations: string[],
 *   labels: { [task: string]: { [label: string]: [number, number] } }, tempo_bpm: [number, number] | null,
 *   key: [string, string] | null, starts_s: [number, number] | null }} Why
 */

const SHOWN = 5;

/**
 * How alike a song is, of 100; it tells why when it is pressed.
 * @param {Track} seed
 * @param {Track} track
 * @param {number} match
 */
export function matchButton(seed, track, match) {
  const button = h("button", { class: "match", type: "button", title: "Why?", "aria-label": `Why ${track.title} is alike, ${match} of 100` }, String(match));
  button.addEventListener("click", () => void attempt(() => showWhy(seed.id, track.id)));
  return button;
}

/**
 * Tell in a dialog why two songs are alike.
 * @param {number} a
 * @param {number} b
 */
export async function showWhy(a, b) {
  /** @type {Why} */
  const why = await get("/explain", { a, b });
  const { first, second, starts_s } = why;
  const words = [...why.words, ...why.relations, ...why.same.map((what) => `the same ${what}`)];
  const listenTo = (/** @type {Track} */ track, /** @type {number} */ at) => {
    const listen = async () => {
      await playTracks([track]);
      player.seek(starts_s?.[at] ?? 0);
    };
    return h("button", { type: "button", on: { click: () => void attempt(listen) } }, icon("play"), h("span", { class: "cut" }, track.title));
  };
  openDialog(
    "Why they are alike",
    h("p", {}, h("strong", { class: "first" }, first.title), " and ", h("strong", { class: "second" }, second.title), why.match === null ? "" : ` sound alike: ${why.match} of 100.`),
    words.length > 0 && h("ul", { class: "chips why-words" }, ...[...new Set(words)].map((word) => h("li", { class: "chip" }, word))),
    both("Tempo", why.tempo_bpm?.map((bpm) => `${Math.round(bpm)} bpm`)),
    both("Key", why.key),
    ...Object.entries(why.labels).map(([task, labels]) => compared(task, labels)),
    starts_s && h("p", { class: "muted" }, "Where they sound most alike:"),
    h("div", { class: "chips" }, listenTo(first, 0), listenTo(second, 1)),
  );
}

/** @param {string} name @param {string[] | null | undefined} values */
function both(name, values) {
  return values ? h("p", { class: "why-both" }, h("span", { class: "muted" }, name), ` ${values.join(" and ")}`) : null;
}

/** @param {string} task @param {{ [label: string]: [number, number] }} labels */
function compared(task, labels) {
  const rows = Object.entries(labels)
    .slice(0, SHOWN)
    .map(([label, [p, q]]) =>
      h(
        "li",
        { class: "compared" },
        h("span", { class: "bar-label" }, label),
        h("span", { class: "two-bars" }, h("span", { class: "bar", css: { "--share": String(p) } }), h("span", { class: "bar second", css: { "--share": String(q) } })),
        h("span", { class: "visually-hidden" }, `${Math.round(100 * p)} % and ${Math.round(100 * q)} %`),
      ),
    );
  return rows.length ? h("section", {}, h("h3", {}, task === "genre" ? "Genre" : "Mood"), h("ul", {}, ...rows)) : null;
}
