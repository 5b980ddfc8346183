/** Songs one below the other, the same in all views: cover with play button, names, length, menu. @module */

import { clock, h } from "./elements.js";
import { icon } from "./icons.js";
import { menuButton, openSongMenu } from "./menu.js";
import { cover } from "./pictures.js";
import { player, playTracks } from "./player.js";
import { remember } from "./songs-known.js";

/**
 * @typedef {import("./api.js").Track} Track
 * @typedef {{
 *   play?: () => unknown,
 *   before?: import("./elements.js").Child,
 *   note?: import("./elements.js").Child,
 *   columns?: import("./elements.js").Child[],
 *   buttons?: import("./elements.js").Child[],
 * }} Row `play`: what its button does, else the song alone is played. `before`: left of the cover, such as a number;
 *   `note`: below the names, such as why it is listed; `columns`: before the length; `buttons`: before the menu.
 */

/**
 * One song as a row.
 * @param {Track} track
 * @param {Row} [row]
 * @returns {HTMLLIElement}
 */
export function songRow(track, { play = () => playTracks([track]), before, note, columns = [], buttons = [] } = {}) {
  const button = h("button", { class: "row-play", type: "button", "aria-label": `Play ${track.title}` });
  button.append(cover(track, 44), icon("play"));
  button.addEventListener("click", () => (player.track?.id === track.id ? player.toggle() : play()));
  const row = h(
    "li",
    { class: "song-row", data: { song: track.id } },
    before,
    button,
    h("div", { class: "names" }, h("a", { class: "title", href: `#song/${track.id}` }, track.title), byline(track), note),
    ...columns,
    h("span", { class: "length" }, clock(track.duration_s)),
    ...buttons,
    menuButton(track),
  );
  row.addEventListener("dblclick", (event) => event.target instanceof Element && !event.target.closest("a, button") && play());
  row.addEventListener("contextmenu", (event) => {
    event.preventDefault();
    openSongMenu(track, /** @type {HTMLElement} */ (row.querySelector(":scope > .icon-button:last-child")), {
      x: event.clientX,
      y: event.clientY,
    });
  });
  mark(row);
  return row;
}

/**
 * Artist and album, each a link to its songs.
 * @param {Track} track
 */
export function byline(track) {
  const line = h("div", { class: "byline" });
  if (track.artist) line.append(h("a", { href: songsOf("artist", track.artist) }, track.artist));
  if (track.artist && track.album) line.append(" · ");
  if (track.album) line.append(h("a", { href: songsOf("album", track.album) }, track.album));
  if (!track.artist && !track.album) line.append(track.path);
  return line;
}

/**
 * The address of the songs of an artist or album, or with other values of filters.
 * @param {string} name
 * @param {string} value
 */
export const songsOf = (name, value) => `#songs?${new URLSearchParams({ [name]: value })}`;

/**
 * A list of songs, played from the one that is chosen on.
 * @param {Track[]} tracks
 * @param {(track: Track, at: number) => Row} [rowOf]
 */
export function songList(tracks, rowOf = () => ({})) {
  remember(tracks);
  const rows = tracks.map((track, at) => songRow(track, { play: () => playTracks(tracks, at), ...rowOf(track, at) }));
  return h("ol", { class: "song-list" }, ...rows);
}

/** Show in a row whether its song plays. @param {HTMLElement} row */
function mark(row) {
  const current = player.track !== null && row.dataset.song === String(player.track.id);
  row.classList.toggle("current", current);
  row.classList.toggle("sounding", current && !player.paused);
  if (current) row.setAttribute("aria-current", "true");
  else row.removeAttribute("aria-current");
}

function markAll() {
  for (const row of document.querySelectorAll(".song-row")) mark(/** @type {HTMLElement} */ (row));
}
player.addEventListener("playing", markAll);
player.addEventListener("state", markAll);
