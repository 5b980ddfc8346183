/** Recordings that are there more than once, their files side by side. @module */

import { get } from "./api.js";
import { add, clock, h } from "./elements.js";
import { icon } from "./icons.js";
import { menuButton } from "./menu.js";
import { attempt } from "./notices.js";
import { player, playTracks } from "./player.js";

/**
 * @typedef {{ track: import("./api.js").Track, likelihood: number, best: boolean, format: string, folder: string }} Copy
 */

const PAGE = 20;

/** @type {import("./library.js").Part} */
export async function copiesPart(_stats, begin) {
  const list = h("ul", { class: "copies" });
  const more = h("button", { type: "button" }, "Show more");
  const ask = async () => {
    /** @type {{ total: number, looked: boolean, groups: Copy[][] }} */
    const found = await get("/duplicates", { offset: list.childElementCount, limit: PAGE });
    add(list, ...found.groups.map(group));
    more.hidden = list.childElementCount >= found.total || !found.groups.length;
    return found;
  };
  const { total, looked } = await ask();
  const look = begin && h("button", { type: "button", on: { click: () => begin("duplicates") } }, icon("copies"), looked ? "Look again" : "Look for copies");
  const line = looked ? (total ? "Nothing is deleted by mirclr; hear them, and keep which you want." : "No recording is there more than once.") : "Nobody looked for copies yet.";
  more.addEventListener("click", () => void attempt(ask));
  return h("div", {}, h("div", { class: "part-tools" }, h("p", { class: "muted" }, line), look), list, more);
}

/** @param {Copy[]} copies */
function group(copies) {
  const first = copies[0]?.track;
  const ids = copies.map((copy) => copy.track.id);
  const name = [first?.artist, first?.title].filter(Boolean).join(" – ");
  return h("li", { class: "card" }, h("h2", {}, name), h("ul", { class: "side-by-side" }, ...copies.map((copy) => one(copy, ids))));
}

/** @param {Copy} copy @param {number[]} ids Of all that are one recording. */
function one({ track, likelihood, best, format, folder }, ids) {
  /** The other copies go on from where this one is: so they are heard side by side. */
  const listen = async () => {
    if (player.track?.id === track.id) return player.toggle();
    const at_s = player.track && ids.includes(player.track.id) ? player.time_s : 0;
    await playTracks([track]);
    if (at_s) player.seek(at_s);
  };
  const button = h("button", { class: "icon-button", type: "button", "aria-label": `Play the copy ${track.path}` }, icon("play"));
  button.addEventListener("click", () => void attempt(listen));
  return h(
    "li",
    { class: "copy" },
    button,
    h(
      "div",
      { class: "names" },
      h("p", {}, format.toUpperCase(), " · ", clock(track.duration_s), track.album && ` · ${track.album}`, best && h("span", { class: "badge" }, "best")),
      h("p", { class: "muted path" }, `${folder}/${track.path}`),
      likelihood < 1 && h("p", { class: "muted" }, `${Math.round(100 * likelihood)} % sure that it is the same recording`),
    ),
    menuButton(track),
  );
}
