/** The page: its views, chosen by the part of the address after "#", and what stands around them. @module */

import { NO_ANSWER, Problem } from "./api.js";
import { add, fill, find, h } from "./elements.js";
import { icon } from "./icons.js";
import { openIdentify } from "./identifying.js";
import { sayProblem } from "./notices.js";
import { player } from "./player.js";
import "./player-bar.js";
import "./profile.js";
import "./radio.js";
import { songsOf } from "./rows.js";
import { searchBox } from "./searching.js";
import { begin } from "./session.js";
import { installShortcuts, onKey, showShortcuts } from "./shortcuts.js";

/**
 * A view is a custom element `m-NAME-view` of NAME.js, styled by NAME.css, made when it is first shown and then kept.
 *
 * @typedef {HTMLElement & {
 *   show?: (rest: string, parameters: URLSearchParams) => unknown,
 *   leave?: () => void,
 * }} View `show` is called whenever the address leads to it: "#song/12?x=1" gives "12" and x; `leave` when it leads away.
 * @typedef {{ name: string, title: string, icon: import("./icons.js").IconName | null, full?: boolean }} Route `full`: it
 *   takes all the room there is.
 */

/** @type {Route[]} */
const ROUTES = [
  { name: "map", title: "Map", icon: "map", full: true },
  { name: "songs", title: "Songs", icon: "songs" },
  { name: "build", title: "Build", icon: "build" },
  { name: "you", title: "For you", icon: "you" },
  { name: "library", title: "Library", icon: "library" },
  { name: "song", title: "Song", icon: null },
];
const FIRST = "songs";
const IDENTIFY = "Which song is this?";

const place = find(document, "#view", HTMLElement);
/** @type {Map<string, Promise<View>>} */
const views = new Map();
/** @type {View | null} */
let shown = null;
let turn = 0;

/** @param {Route} route @returns {Promise<View>} */
async function made(route) {
  const style = h("link", { rel: "stylesheet", href: new URL(`./${route.name}.css`, import.meta.url).href });
  const styled = new Promise((resolve) => {
    style.addEventListener("load", resolve);
    style.addEventListener("error", resolve);
  });
  document.head.append(style);
  const script = import(`./${route.name}.js`).catch((error) => {
    if (error instanceof TypeError) throw new Problem(0, NO_ANSWER); // it could not be loaded
    throw error;
  });
  await Promise.all([script, styled]);
  return document.createElement(`m-${route.name}-view`);
}

async function follow() {
  const [, name = "", rest = "", query = ""] = /^#?([^/?]*)\/?([^?]*)\??(.*)$/.exec(location.hash) ?? [];
  if (name === "view") return; // the link that skips the navigation
  const route = ROUTES.find((one) => one.name === name) ?? /** @type {Route} */ (ROUTES.find((one) => one.name === FIRST));
  turn += 1;
  const mine = turn;
  for (const link of document.querySelectorAll("#nav a")) {
    if (link.getAttribute("href") === `#${route.name}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  let making = views.get(route.name);
  if (!making) views.set(route.name, (making = made(route)));
  try {
    const view = await making;
    if (mine !== turn) return;
    const other = shown !== view;
    if (other) {
      shown?.leave?.();
      place.classList.toggle("full", route.full ?? false);
      fill(place, view);
      shown = view;
      document.title = `${route.title} – mirclr`;
    }
    await view.show?.(decoded(rest), new URLSearchParams(query));
    if (other && mine > 1 && mine === turn && !holdsFocus()) place.focus({ preventScroll: true });
  } catch (error) {
    views.delete(route.name);
    sayProblem(error);
  }
}

/** A part of an address in plain letters; as it is where it was cut off. @param {string} text */
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

const holdsFocus = () => document.activeElement !== null && !["A", "BODY", "MAIN"].includes(document.activeElement.tagName);

/** Dark, light, or as the system has it; theme.js makes it so, and fires `theme` at the document. */
function themeButton() {
  const order = /** @type {const} */ (["system", "dark", "light"]);
  const icons = /** @type {const} */ ({ system: "system", dark: "moon", light: "sun" });
  const button = h("button", { class: "icon-button", type: "button" });
  const chosen = () => order.find((one) => one === document.documentElement.dataset["chosen"]) ?? "system";
  const show = () => {
    const label = `Colours: ${chosen() === "system" ? "as the system" : chosen()}`;
    fill(button, icon(icons[chosen()]));
    button.setAttribute("aria-label", label);
    button.title = label;
  };
  button.addEventListener("click", () => {
    localStorage.setItem("theme", order[(order.indexOf(chosen()) + 1) % order.length] ?? "system");
    document.dispatchEvent(new Event("theme-chosen"));
  });
  document.addEventListener("theme", show);
  show();
  return button;
}

function frame() {
  const links = ROUTES.flatMap(({ name, title, icon: picture }) =>
    picture ? [h("a", { href: `#${name}` }, icon(picture), h("span", {}, title))] : [],
  );
  add(find(document, "#nav", HTMLElement), h("a", { class: "brand", href: "#map", "aria-label": "mirclr" }, h("span", { class: "mark" }), h("span", {}, "mirclr")), ...links);
  const { element, input } = searchBox({
    label: "Search",
    placeholder: "Search songs, artists, albums",
    choose: ({ song, artist, album }) => {
      input.blur();
      if (song) location.hash = `#song/${song.id}`;
      else if (artist) location.hash = songsOf("artist", artist.name);
      else if (album) location.hash = songsOf("album", album.name);
    },
    submit: (text) => {
      input.blur();
      location.hash = songsOf("q", text);
    },
  });
  const keys = h("button", { class: "icon-button wide-only", type: "button", "aria-label": "Keys", title: "Keys (?)", on: { click: showShortcuts } }, icon("keyboard"));
  const identify = h("button", { class: "icon-button", type: "button", "aria-label": IDENTIFY, title: `${IDENTIFY} (i)`, on: { click: openIdentify } }, icon("ear"));
  add(find(document, "#top", HTMLElement), element, h("div", { class: "top-buttons" }, identify, keys, themeButton()));
  installShortcuts();
  onKey("/", "Search", () => input.focus());
  onKey("i", IDENTIFY, openIdentify);
  for (const [i, { name, title, icon: picture }] of ROUTES.entries()) {
    if (picture) onKey(String(i + 1), title, () => (location.hash = `#${name}`));
  }
}

frame();
await begin();
addEventListener("hashchange", () => void follow());
void follow();
void player.takeUp();
