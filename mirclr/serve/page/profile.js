/** Whose page this is: what is liked and played here goes into a profile, which lists are made by. @module */

import { address, get, post } from "./api.js";
import { h } from "./elements.js";
import { icon } from "./icons.js";
import { addItems } from "./menu.js";
import { attempt, sayProblem } from "./notices.js";
import { addToPlayer } from "./player-bar.js";
import { player } from "./player.js";
import { session } from "./session.js";

/** @typedef {import("./api.js").Track} Track @typedef {-1 | 0 | 1} Taste */

const KEY = "listener";
const FIRST = "me";

/** Fires `taste` (detail: an id, or null where all may be others), and `listener` when it is another's page. */
class Profile extends EventTarget {
  constructor() {
    super();
    this.name = FIRST;
    /** @type {Map<number, Taste>} */
    this.tastes = new Map();
    /** Resolves when what was pressed last is kept, or could not be. @type {Promise<unknown>} */
    this.sent = Promise.resolve();
    try {
      this.name = localStorage.getItem(KEY) || FIRST;
    } catch {
      // a browser that keeps nothing is the first listener's
    }
    void this.load();
  }

  /** Below /profiles, and as an address. */
  get path() {
    return `/profiles/${encodeURIComponent(this.name)}`;
  }

  async load() {
    const { name } = this;
    try {
      let sent;
      /** @type {{ liked: number[], disliked: number[] }} */
      let found;
      do {
        sent = this.sent;
        await sent;
        found = await get(`${this.path}/likes`);
        if (name !== this.name) return;
      } while (sent !== this.sent); // else it may be of before
      const { liked, disliked } = found;
      this.tastes = new Map([...liked.map((id) => pair(id, 1)), ...disliked.map((id) => pair(id, -1))]);
      this.dispatchEvent(new CustomEvent("taste", { detail: null }));
    } catch (error) {
      sayProblem(error);
    }
  }

  /** @param {string} name */
  async become(name) {
    this.name = name;
    try {
      localStorage.setItem(KEY, name);
    } catch {
      // see above
    }
    this.tastes = new Map();
    await this.load();
    this.dispatchEvent(new Event("listener"));
  }

  /** @param {number} id @returns {Taste} */
  tasteOf(id) {
    return this.tastes.get(id) ?? 0;
  }

  /** @param {number} id */
  like = (id) => this.setTaste(id, this.tasteOf(id) === 1 ? 0 : 1);

  /** @param {number} id */
  dislike = (id) => this.setTaste(id, this.tasteOf(id) === -1 ? 0 : -1);

  /** One is sent after the other, so that what is pressed last is kept. @param {number} id @param {Taste} taste */
  async setTaste(id, taste) {
    const before = this.tasteOf(id);
    const { path, sent } = this;
    const sending = sent.then(() => post(`${path}/likes`, { track: id, taste }));
    const mine = (this.sent = sending.catch(() => undefined));
    this.keep(id, taste);
    try {
      await sending;
    } catch (error) {
      if (mine === this.sent) this.keep(id, before);
      else void this.load();
      throw error;
    }
  }

  /** @param {number} id @param {Taste} taste */
  keep(id, taste) {
    this.tastes.set(id, taste);
    this.dispatchEvent(new CustomEvent("taste", { detail: id }));
  }

  /** @param {Track} track @param {number} played_s */
  async played(track, played_s) {
    if (session.read_only) return;
    /** @type {{ counted: boolean }} */
    const { counted } = await post(`${this.path}/plays`, { track: track.id, played_s });
    if (counted) this.dispatchEvent(new CustomEvent("play", { detail: track.id }));
  }
}

/** @param {number} id @param {Taste} taste @returns {[number, Taste]} */
const pair = (id, taste) => [id, taste];

export const profile = new Profile();

/**
 * Buttons to like and to dislike a song.
 * @param {Track} track
 */
export function tasteButtons(track) {
  const button = (/** @type {"like" | "dislike"} */ name, /** @type {Taste} */ taste) => {
    const act = () => void attempt(() => profile[name](track.id));
    const label = `${taste > 0 ? "Like" : "Dislike"} ${track.title}`;
    return h(
      "button",
      { class: "icon-button", type: "button", "aria-label": label, "aria-pressed": "false", data: { taste, tasteOf: track.id }, on: { click: act } },
      icon(name),
    );
  };
  const both = h("span", { class: "taste" }, button("like", 1), button("dislike", -1));
  show(both);
  return both;
}

/** @param {ParentNode} place */
function show(place) {
  for (const button of /** @type {NodeListOf<HTMLElement>} */ (place.querySelectorAll("[data-taste-of]"))) {
    const { taste, tasteOf } = button.dataset;
    button.setAttribute("aria-pressed", String(profile.tasteOf(Number(tasteOf)) === Number(taste)));
  }
}

profile.addEventListener("taste", () => show(document));
addItems((track) => {
  const taste = profile.tasteOf(track.id);
  return [
    null,
    { icon: "like", label: taste > 0 ? "Like no more" : "Like", act: () => profile.like(track.id) },
    { icon: "dislike", label: taste < 0 ? "Dislike no more" : "Dislike", act: () => profile.dislike(track.id) },
  ];
});
addToPlayer(tasteButtons);
/** What plays when the page is closed counts too. */
addEventListener("pagehide", () => {
  if (!player.track || player.heard_s <= 0 || session.read_only) return;
  const body = JSON.stringify({ track: player.track.id, played_s: player.heard_s });
  player.heard_s = 0;
  navigator.sendBeacon(address(`${profile.path}/plays`), new Blob([body], { type: "application/json" }));
});
player.addEventListener("played", (event) => {
  const { track, played_s } = /** @type {CustomEvent<{ track: Track, played_s: number }>} */ (event).detail;
  void profile.played(track, played_s).catch(() => undefined); // what plays is not disturbed by it
});
