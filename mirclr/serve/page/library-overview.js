/** What the library holds, in numbers and bars that lead to the songs; and what can be found out. @module */

import { h, span } from "./elements.js";
import { KINDS } from "./jobs.js";
import { songsOf } from "./rows.js";

/** How music comes into a library. */
export const howFilled = () => h("p", { class: "muted hint" }, "A folder is added on the machine that has the music, by: ", h("code", {}, "mirclr embed FOLDER"));

/** @typedef {import("./library.js").Bar} Bar */

/** @type {import("./library.js").Part} */
export function overviewPart(stats, begin) {
  const tiles = [
    [stats.songs.toLocaleString("en"), "songs"],
    [stats.artists.toLocaleString("en"), "artists"],
    [stats.albums.toLocaleString("en"), "albums"],
    [hours(stats.hours), "of music"],
    [size(stats.bytes), "on disk"],
  ];
  const numbers = h("dl", { class: "tiles" }, ...tiles.map(([value, name]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
  const charts = [
    chart("Genres", stats.genres, (label) => songsOf("genre", label)),
    chart("Moods", stats.moods, (label) => songsOf("mood", label)),
    chart("Years", stats.decades, (label) => songsOf("year", label)),
    chart("Tempo", stats.tempos, (label) => songsOf("bpm", label.replace("–", "..")), "beats a minute"),
  ];
  if (!stats.songs) return h("div", {}, numbers, howFilled());
  return h("div", {}, numbers, begin && todo(stats, begin), h("div", { class: "charts" }, ...charts));
}

/**
 * What is not known yet, each with what finds it out.
 * @param {import("./library.js").Stats} stats
 * @param {NonNullable<import("./library.js").Begin>} begin
 */
function todo(stats, begin) {
  const open = [
    { kind: "sync", line: "Files that are new, moved or gone since the last time." },
    stats.guessed < stats.songs && { kind: "classify", line: `Genre and mood of ${left(stats.songs - stats.guessed)} are not guessed.` },
    stats.described < stats.songs && { kind: "describe", line: `Tempo, key, beats and chords of ${left(stats.songs - stats.described)} are not known.` },
    stats.fingerprints < stats.songs && { kind: "fingerprint", line: `${left(stats.songs - stats.fingerprints)} cannot be found by a recording.` },
    !stats.looked_for_copies && { kind: "duplicates", line: "Whether songs are there more than once is not known." },
  ];
  const rows = open.flatMap((one) => {
    if (!one) return [];
    const start = () => begin(one.kind);
    return [h("li", {}, h("span", {}, one.line), h("button", { type: "button", on: { click: start } }, KINDS[one.kind]?.todo))];
  });
  return h("ul", { class: "todo card" }, ...rows);
}

/** @param {number} n */
const hours = (n) => (n < 1 ? span(3600 * n) : `${n < 10 ? n.toFixed(1) : Math.round(n).toLocaleString("en")} h`);

/** @param {number} n */
const left = (n) => (n === 1 ? "1 song" : `${n.toLocaleString("en")} songs`);

/**
 * @param {string} title
 * @param {Bar[]} bars
 * @param {(label: string) => string} hrefOf
 * @param {string} [unit]
 */
function chart(title, bars, hrefOf, unit) {
  if (!bars.length) return null;
  const most = Math.max(...bars.map((bar) => bar.songs));
  const rows = bars.map(({ label, songs }) =>
    h(
      "li",
      {},
      h(
        "a",
        { class: "bar-row", href: hrefOf(label) },
        h("span", { class: "bar-label" }, label),
        h("span", { class: "bar", css: { "--share": String(most ? songs / most : 0) } }),
        h("span", { class: "bar-count" }, songs.toLocaleString("en")),
      ),
    ),
  );
  return h("section", { class: "card chart" }, h("h2", {}, title, unit && h("small", { class: "muted" }, ` ${unit}`)), h("ul", {}, ...rows));
}

/** A size of files, as people say it. @param {number} bytes */
export function size(bytes) {
  const units = ["bytes", "kB", "MB", "GB", "TB"];
  let at = 0;
  let n = bytes;
  while (n >= 1000 && at < units.length - 1) {
    n /= 1000;
    at += 1;
  }
  return `${n < 10 && at > 0 ? n.toFixed(1) : Math.round(n)} ${units[at]}`;
}
