/** Which song a recording is of: a dialog to choose or drop a file, and its answer. @module */

import { post } from "./api.js";
import { openDialog } from "./dialog.js";
import { clock, fill, h, uniqueId } from "./elements.js";
import { icon } from "./icons.js";
import { cover } from "./pictures.js";
import { playFrom } from "./player.js";
import { byline } from "./rows.js";
import { remember } from "./songs-known.js";

/**
 * @typedef {{ song: import("./api.js").Track | null, at_s: number | null, speed: number | null,
 *   pitch: number | null }} Identified
 */

const AS_IT_IS = 0.008; // by which a speed or a pitch that is measured may be off

/** Open the dialog. */
export function openIdentify() {
  const id = uniqueId("recording");
  const input = h("input", { id, type: "file", accept: "audio/*,video/*" });
  const answer = h("div", { class: "identified", role: "status", "aria-live": "polite" });
  const place = h(
    "div",
    { class: "drop" },
    h("label", { for: id }, "A recording of some seconds, also a noisy one; choose it or drop it here"),
    input,
  );
  const asking = new AbortController();
  let turn = 0;

  /** @param {Blob | undefined} file */
  const find = async (file) => {
    if (!file) return;
    const mine = (turn += 1);
    fill(answer, h("p", { class: "muted" }, "Listening …"));
    let shown;
    try {
      shown = answered(await post("/identify", file, { signal: asking.signal }));
    } catch (error) {
      shown = [h("p", { class: "wrong" }, icon("warning"), ` ${error instanceof Error ? error.message : String(error)}`)];
    }
    if (mine === turn) fill(answer, ...shown);
  };
  input.addEventListener("change", () => void find(input.files?.[0]));
  place.addEventListener("dragover", (event) => {
    event.preventDefault();
    place.classList.add("over");
  });
  place.addEventListener("dragleave", () => place.classList.remove("over"));
  place.addEventListener("drop", (event) => {
    event.preventDefault();
    place.classList.remove("over");
    void find(event.dataTransfer?.files[0]);
  });
  const dialog = openDialog("Which song is this?", place, answer);
  dialog.addEventListener("close", () => asking.abort());
  answer.addEventListener("click", (event) => event.target instanceof Element && event.target.closest("a") && dialog.close());
  input.focus();
}

/** @param {Identified} found */
function answered({ song, at_s, speed, pitch }) {
  if (!song) return [h("p", {}, "None of your songs.")];
  remember([song]);
  const from_s = at_s ?? 0;
  const play = () => void playFrom(song, from_s);
  const line = [`from ${clock(from_s)}`, changed(speed, "faster", "slower"), changed(pitch, "higher", "lower")];
  const note = h("span", { class: "note" }, line.filter(Boolean).join(" · "));
  const names = h("div", { class: "names" }, h("a", { class: "title", href: `#song/${song.id}` }, song.title), byline(song), note);
  const button = h("button", { class: "primary", type: "button", on: { click: play } }, icon("play"), `Play from ${clock(from_s)}`);
  return [cover(song, 72), names, button];
}

/** @param {number | null} factor @param {string} more @param {string} less */
function changed(factor, more, less) {
  if (factor === null || Math.abs(factor - 1) <= AS_IT_IS) return "";
  return `${Math.round(100 * Math.abs(factor - 1))} % ${factor > 1 ? more : less}`;
}
