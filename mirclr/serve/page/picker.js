/** A dialog in which one song is looked for. @module */

import { openDialog } from "./dialog.js";
import { searchBox } from "./searching.js";

/** @typedef {import("./api.js").Track} Track */

/**
 * Let a song be chosen.
 * @param {string} title Of the dialog.
 * @returns {Promise<Track | null>} None where it was left.
 */
export function pickSong(title) {
  return new Promise((resolve) => {
    /** @type {Track | null} */
    let picked = null;
    const { element, input } = searchBox({
      label: "Search a song",
      placeholder: "Title, artist or album",
      limit: 8,
      songsOnly: true,
      choose: ({ song }) => {
        picked = song ?? null;
        dialog.close();
      },
    });
    const dialog = openDialog(title, element);
    dialog.classList.add("picker");
    dialog.addEventListener("close", () => resolve(picked));
    input.focus();
  });
}
