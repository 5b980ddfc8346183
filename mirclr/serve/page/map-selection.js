/** The songs that were drawn around on the map: listed, played, kept as a playlist, built from. @module */

import { get, put } from "./api.js";
import { build } from "./building.js";
import { askForText, confirmed } from "./dialog.js";
import { counted, fill, h } from "./elements.js";
import { icon } from "./icons.js";
import { attempt, say } from "./notices.js";
import { enqueue, play } from "./player.js";
import { songRow } from "./rows.js";
import { tracksOf } from "./songs-known.js";

const LISTED = 100;
const PLAYED = 500; // songs of one queue or list
const SEEDS = 20;

/**
 * The panel of chosen songs; `show` with none hides it.
 * @param {() => void} leave
 */
export function selectionPanel(leave) {
  const heading = h("h2", {}, "");
  const hint = h("p", { class: "muted" });
  const list = h("ol", { class: "song-list" });
  /** @type {number[]} */
  let ids = [];
  const act = (/** @type {() => unknown} */ what) => () => void attempt(what);
  const save = async () => {
    const name = await askForText("Save as a playlist", { label: "Name", button: "Save" });
    if (!name) return;
    /** @type {{ name: string }[]} */
    const held = await get("/playlists");
    if (held.some((one) => one.name === name) && !(await confirmed("Replace it?", `There is a playlist ${name}.`, "Replace"))) return;
    await put(`/playlists/${encodeURIComponent(name)}`, { tracks: ids.slice(0, PLAYED) });
    say(`${name}: ${counted(Math.min(PLAYED, ids.length), "song")}`, { action: { label: "Playlists", act: () => (location.hash = "#you") } });
  };
  const more = () => {
    const some = ids.filter((_, i) => i % Math.ceil(ids.length / SEEDS) === 0);
    build.set({ seeds: some, avoid: [], to: null });
    location.hash = "#build";
  };
  const queue = async () => {
    await enqueue(ids.slice(0, PLAYED));
    say(`${counted(Math.min(PLAYED, ids.length), "song")} in the queue`);
  };
  const button = (/** @type {import("./icons.js").IconName} */ name, /** @type {string} */ label, /** @type {() => unknown} */ what, kind = "button") =>
    h("button", { class: kind, type: "button", on: { click: act(what) } }, icon(name), label);
  const element = h(
    "aside",
    { class: "map-selection", "aria-label": "Chosen songs", hidden: true },
    h("header", {}, heading, h("button", { class: "icon-button", type: "button", "aria-label": "Choose none", title: "Choose none", on: { click: leave } }, icon("close"))),
    h(
      "div",
      { class: "map-selection-buttons" },
      button("play", "Play", () => play(ids.slice(0, PLAYED)), "primary"),
      button("enqueue", "Queue", queue),
      button("save", "Save", save),
      button("build", "More like these", more),
    ),
    hint,
    list,
  );
  return {
    element,
    /** @param {number[]} chosen Ids, in the order of playing. */
    async show(chosen) {
      ids = chosen;
      element.hidden = !ids.length;
      if (!ids.length) return fill(list);
      heading.textContent = counted(ids.length, "song");
      hint.textContent = ids.length > PLAYED ? `The first ${PLAYED} are played and kept.` : ids.length > LISTED ? `The first ${LISTED} are listed.` : "";
      hint.hidden = !hint.textContent;
      const tracks = await tracksOf(ids.slice(0, LISTED));
      if (ids !== chosen) return;
      fill(list, ...tracks.map((track, at) => songRow(track, { play: () => play(ids.slice(0, PLAYED), at) })));
    },
  };
}
