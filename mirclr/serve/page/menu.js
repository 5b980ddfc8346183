/** The menu of a song, the same in all views: play, queue, more and less like this, path to …, block. @module */

import { post } from "./api.js";
import { build } from "./building.js";
import { h } from "./elements.js";
import { icon } from "./icons.js";
import { attempt, say } from "./notices.js";
import { pickSong } from "./picker.js";
import { enqueue, playNext, playTracks } from "./player.js";
import { remember } from "./songs-known.js";

/**
 * @typedef {import("./api.js").Track} Track
 * @typedef {{ icon: import("./icons.js").IconName, label: string, act: () => unknown } | null} Item None is a line
 *   between others.
 */

/** @type {((track: Track) => Item[])[]} */
const more = [];

/**
 * Give all songs' menus more items, above those that block.
 * @param {(track: Track) => Item[]} items
 */
export function addItems(items) {
  more.push(items);
}

/**
 * @param {Track} track
 * @returns {Item[]}
 */
function itemsOf(track) {
  const { id, artist, album } = track;
  const go = (/** @type {string} */ hash) => () => (location.hash = hash);
  return [
    { icon: "play", label: "Play", act: () => playTracks([track]) },
    { icon: "next", label: "Play next", act: () => then(playNext([id]), "Plays next") },
    { icon: "enqueue", label: "Add to queue", act: () => then(enqueue([id]), "Added to the queue") },
    null,
    { icon: "plus", label: "More like this", act: () => added(() => build.addSeed(id), `More like ${track.title}`) },
    { icon: "minus", label: "Less like this", act: () => added(() => build.addAvoid(id), `Less like ${track.title}`) },
    { icon: "path", label: "Path to …", act: () => pathFrom(track) },
    { icon: "songs", label: "About this song", act: go(`#song/${id}`) },
    { icon: "map", label: "Show on the map", act: go(`#map?song=${id}`) },
    ...more.flatMap((items) => items(track)),
    null,
    { icon: "block", label: "Never list this song", act: () => blocked({ track: id }, track.title) },
    ...(artist ? [blocking(`Never list ${artist}`, { artist: id }, artist)] : []),
    ...(album ? [blocking("Never list this album", { album: id }, album)] : []),
  ];
}

/**
 * @param {string} label
 * @param {{ [what: string]: number }} what
 * @param {string} name
 * @returns {Item}
 */
const blocking = (label, what, name) => ({ icon: "block", label, act: () => blocked(what, name) });

/** @param {Promise<unknown>} done @param {string} text */
async function then(done, text) {
  await done;
  say(text);
}

/** @param {() => void} change @param {string} text */
function added(change, text) {
  change();
  if (location.hash.startsWith("#build")) return;
  say(text, { action: { label: "Show the list", act: () => (location.hash = "#build") } });
}

/** @param {Track} track */
export async function pathFrom(track) {
  const end = await pickSong(`A path from ${track.title} to …`);
  if (!end) return;
  build.setPath(track.id, end.id);
  location.hash = "#build";
}

/** @param {{ [what: string]: number }} what @param {string} name */
async function blocked(what, name) {
  await post("/blocks", what);
  say(`${name} is listed no more`, { action: { label: "Blocks", act: () => (location.hash = "#you") } });
}

/** @type {HTMLElement | null} */
let open = null;

/**
 * Open the menu of a song beside an element, or at a point.
 * @param {Track} track
 * @param {HTMLElement} from It gets the focus back.
 * @param {{ x: number, y: number }} [at]
 */
export function openSongMenu(track, from, at) {
  remember([track]);
  openMenu(`Actions for ${track.title}`, itemsOf(track), from, at);
}

/**
 * Open a menu: arrow keys, Home, End and the first letters move in it; Escape and a click beside it close it.
 * @param {string} label
 * @param {Item[]} items
 * @param {HTMLElement} from
 * @param {{ x: number, y: number }} [at]
 */
export function openMenu(label, items, from, at) {
  open?.hidePopover();
  const menu = h("div", { class: "menu", role: "menu", "aria-label": label, popover: "auto" });
  for (const item of items) {
    if (!item) {
      menu.append(h("div", { role: "separator" }));
      continue;
    }
    const act = () => {
      menu.hidePopover();
      void attempt(item.act);
    };
    const button = h("button", { role: "menuitem", type: "button", tabindex: -1, on: { click: act } });
    button.append(icon(item.icon), h("span", {}, item.label));
    menu.append(button);
  }
  menu.addEventListener("keydown", (event) => move(menu, event));
  menu.addEventListener("toggle", (event) => {
    if (/** @type {ToggleEvent} */ (event).newState !== "closed") return;
    const had = menu.contains(document.activeElement) || document.activeElement === document.body;
    menu.remove();
    if (open === menu) open = null;
    from.setAttribute("aria-expanded", "false");
    if (had && from.isConnected) from.focus();
  });
  document.body.append(menu);
  menu.showPopover();
  open = menu;
  from.setAttribute("aria-expanded", "true");
  place(menu, from.getBoundingClientRect(), at);
  menu.querySelector("button")?.focus();
}

/**
 * @param {HTMLElement} menu
 * @param {DOMRect} beside
 * @param {{ x: number, y: number }} [at]
 */
function place(menu, beside, at) {
  const { width, height } = menu.getBoundingClientRect();
  const x = at ? at.x : beside.right - width;
  let y = at ? at.y : beside.bottom + 4;
  if (y + height > innerHeight - 8) y = at ? innerHeight - height - 8 : beside.top - height - 4;
  menu.style.left = `${Math.max(8, Math.min(x, innerWidth - width - 8))}px`;
  menu.style.top = `${Math.max(8, Math.min(y, innerHeight - height - 8))}px`;
}

/** @param {HTMLElement} menu @param {KeyboardEvent} event */
function move(menu, event) {
  const buttons = [...menu.querySelectorAll("button")];
  const at = buttons.indexOf(/** @type {HTMLButtonElement} */ (document.activeElement));
  const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: -1 }[event.key];
  if (to !== undefined) buttons.at(to % buttons.length)?.focus();
  else if (event.key === "Tab") menu.hidePopover();
  else if (event.key.length === 1 && event.key !== " ") {
    const letter = event.key.toLowerCase();
    const order = [...buttons.slice(at + 1), ...buttons.slice(0, at + 1)];
    order.find((button) => button.textContent?.toLowerCase().startsWith(letter))?.focus();
  } else return;
  if (event.key !== "Tab") event.preventDefault();
}

/**
 * The button that opens a song's menu.
 * @param {Track} track
 */
export function menuButton(track) {
  const button = h("button", {
    class: "icon-button",
    type: "button",
    "aria-label": `More for ${track.title}`,
    "aria-haspopup": "menu",
    "aria-expanded": "false",
  });
  button.append(icon("more"));
  button.addEventListener("click", (event) => {
    event.stopPropagation();
    openSongMenu(track, button);
  });
  return button;
}
