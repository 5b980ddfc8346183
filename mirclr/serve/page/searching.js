/** Search as one types: a box with a list of songs, artists and albums below it. @module */

import { get, isAbort, Latest } from "./api.js";
import { counted, debounced, fill, h, uniqueId } from "./elements.js";
import { icon } from "./icons.js";
import { sayProblem } from "./notices.js";
import { cover } from "./pictures.js";
import { remember } from "./songs-known.js";

/**
 * @typedef {import("./api.js").Track} Track
 * @typedef {{ name: string, songs: number }} Artist
 * @typedef {{ name: string, artist: string | null, songs: number, cover_of: number }} Album
 * @typedef {{ songs: Track[], artists: Artist[], albums: Album[] }} Found
 * @typedef {{ song?: Track, artist?: Artist, album?: Album }} Choice
 */

const WAIT_MS = 60;
const NAMES = 3; // artists and albums below the songs

/**
 * Search as one types, as a combobox: arrow keys move in what is found, Enter chooses it.
 * @param {{ label: string, placeholder: string, limit?: number, songsOnly?: boolean,
 *   choose: (choice: Choice) => void, submit?: (text: string) => void }} options `submit`: Enter where nothing is chosen.
 * @returns {{ element: HTMLElement, input: HTMLInputElement }}
 */
export function searchBox({ label, placeholder, limit = 5, songsOnly = false, choose, submit }) {
  const [listId, made] = [uniqueId("found"), []];
  /** @type {{ option: HTMLElement, choice: Choice }[]} */
  let options = made;
  let at = -1;
  const asking = new Latest();

  const input = h("input", {
    type: "search",
    role: "combobox",
    "aria-label": label,
    "aria-autocomplete": "list",
    "aria-expanded": "false",
    "aria-controls": listId,
    autocomplete: "off",
    spellcheck: "false",
    enterkeyhint: "search",
    placeholder,
  });
  const list = h("div", { class: "found", id: listId, role: "listbox", "aria-label": `${label}: what is found`, hidden: true });
  const element = h("div", { class: "search" }, icon("search"), input, list);

  /** @param {boolean} open */
  const show = (open) => {
    list.hidden = !open;
    input.setAttribute("aria-expanded", String(open));
    if (open) return;
    asking.next(); // what is found now is not wanted
    select(-1);
  };
  /** @param {number} to */
  const select = (to) => {
    at = to;
    for (const [i, { option }] of options.entries()) option.setAttribute("aria-selected", String(i === at));
    const chosen = options[at]?.option;
    if (chosen) input.setAttribute("aria-activedescendant", chosen.id);
    else input.removeAttribute("aria-activedescendant");
    chosen?.scrollIntoView({ block: "nearest" });
  };
  /** @param {Choice} choice */
  const chosen = (choice) => {
    show(false);
    input.value = "";
    choose(choice);
  };
  const search = debounced(WAIT_MS, async () => {
    const text = input.value.trim();
    if (!text) return show(false);
    try {
      /** @type {Found} */
      const found = await get("/search", { q: text, limit }, asking.next());
      remember(found.songs);
      options = choicesOf(found, songsOnly).map((choice) => ({ choice, option: optionOf(choice) }));
      for (const { option, choice } of options) {
        option.addEventListener("pointerdown", (event) => event.preventDefault()); // the box keeps the focus
        option.addEventListener("click", () => chosen(choice));
      }
      fill(list, ...grouped(options), options.length === 0 && h("p", { class: "muted", role: "presentation" }, "Nothing is called so"));
      if (document.activeElement === input) show(true);
      select(-1);
    } catch (error) {
      if (!isAbort(error)) sayProblem(error);
    }
  });
  input.addEventListener("input", search);
  input.addEventListener("focus", () => input.value.trim() && search());
  input.addEventListener("blur", () => show(false));
  input.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      if (list.hidden || !options.length) return;
      const step = event.key === "ArrowDown" ? 1 : -1;
      select(((at + step + options.length + 1 + (at < 0 && step < 0 ? 0 : 1)) % (options.length + 1)) - 1);
    } else if (event.key === "Enter") {
      const choice = options[at]?.choice;
      if (choice && !list.hidden) chosen(choice);
      else if (submit && input.value.trim()) {
        show(false);
        submit(input.value.trim());
      }
    } else if (event.key === "Escape" && !list.hidden) {
      show(false);
    } else return;
    event.preventDefault();
    event.stopPropagation();
  });
  return { element, input };
}

/** @param {Found} found @param {boolean} songsOnly @returns {Choice[]} */
function choicesOf(found, songsOnly) {
  const songs = found.songs.map((song) => ({ song }));
  if (songsOnly) return songs;
  const artists = found.artists.slice(0, NAMES).map((artist) => ({ artist }));
  const albums = found.albums.slice(0, NAMES).map((album) => ({ album }));
  return [...songs, ...artists, ...albums];
}

/** @param {{ option: HTMLElement, choice: Choice }[]} options */
function grouped(options) {
  const groups = /** @type {const} */ ([
    ["Songs", "song"],
    ["Artists", "artist"],
    ["Albums", "album"],
  ]);
  return groups.flatMap(([name, kind]) => {
    const some = options.filter(({ choice }) => choice[kind]).map(({ option }) => option);
    if (!some.length) return [];
    const heading = h("div", { class: "group", "aria-hidden": "true" }, name);
    return [h("div", { role: "group", "aria-label": name }, heading, ...some)];
  });
}

/** @param {Choice} choice */
function optionOf({ song, artist, album }) {
  const option = h("div", { role: "option", id: uniqueId("option"), class: "option", "aria-selected": "false" });
  const say = (/** @type {Node} */ picture, /** @type {string} */ name, /** @type {string} */ about) => {
    option.append(picture, h("span", { class: "names" }, h("span", { class: "title" }, name), h("span", { class: "byline" }, about)));
  };
  if (song) say(cover(song, 36), song.title, [song.artist, song.album].filter(Boolean).join(" · "));
  else if (artist) say(h("span", { class: "cover round" }, icon("person")), artist.name, counted(artist.songs, "song"));
  else if (album) {
    const like = { id: album.cover_of, title: album.name, artist: album.artist, album: album.name };
    say(cover(like, 36), album.name, [album.artist, counted(album.songs, "song")].filter(Boolean).join(" · "));
  }
  return option;
}
