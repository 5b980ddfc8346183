/** A radio: music that goes on, like some songs or for a listener; no song comes twice. @module */

import { post } from "./api.js";
import { h } from "./elements.js";
import { icon } from "./icons.js";
import { addItems } from "./menu.js";
import { attempt, say, sayProblem } from "./notices.js";
import { addToPlayer } from "./player-bar.js";
import { player } from "./player.js";
import { remember } from "./songs-known.js";

/**
 * @typedef {import("./api.js").Track} Track
 * @typedef {{ seeds?: number[], profile?: string, [field: string]: unknown }} Wish What the service takes a radio by.
 */

const AT_ONCE = 6;
const LEFT = 3; // songs to come below which more are asked for
const REMEMBERED = 10_000;

class Radio {
  constructor() {
    /** @type {Wish | null} */
    this.wish = null;
    this.label = "";
    /** Songs that were on or are to come, the last one last. @type {Set<number>} */
    this.given = new Set();
    this.asking = false;
  }

  get on() {
    return this.wish !== null;
  }

  /**
   * Play such music in place of what plays.
   * @param {Wish} wish
   * @param {string} label What it is called: "Like Song", "For anna".
   * @param {Track} [first]
   */
  async start(wish, label, first) {
    this.wish = null;
    this.given = new Set(first ? [first.id] : []);
    const signal = player.choosing.next();
    const tracks = await this.ask(wish);
    if (signal.aborted) return;
    if (first) tracks.unshift(first);
    if (!tracks.length) return say("There is no song to begin with", { wrong: true });
    this.wish = wish;
    this.label = label;
    await player.play(tracks.map((track) => track.id));
    say(`Radio: ${label}`);
  }

  /** What plays goes on to the last song that was given. */
  stop() {
    this.wish = null;
    if (player.track) player.emit("playing", player.track);
  }

  /** @param {Wish} wish @returns {Promise<Track[]>} */
  async ask(wish) {
    const played = [...this.given].slice(-REMEMBERED);
    /** @type {{ recommendations: { track: Track }[] }} */
    const found = await post("/radio", { ...wish, n: AT_ONCE, played });
    const tracks = remember(found.recommendations.map((one) => one.track));
    for (const track of tracks) this.given.add(track.id);
    return tracks;
  }

  /** Ask for more where little is left; where other songs are played, the radio is off. */
  async goOn() {
    if (!this.wish || this.asking || !player.track) return;
    if (!this.given.has(player.track.id)) return this.stop();
    if (player.coming.length >= LEFT) return;
    const { wish } = this;
    this.asking = true;
    try {
      const tracks = await this.ask(wish);
      if (this.wish !== wish) return;
      if (tracks.length) await player.enqueue(tracks.map((track) => track.id));
      else {
        say("The radio has played every song there is for it");
        this.stop();
      }
    } catch (error) {
      sayProblem(error);
    } finally {
      this.asking = false;
    }
  }
}

export const radio = new Radio();

player.addEventListener("playing", () => void radio.goOn());
player.addEventListener("queue", () => void radio.goOn());
addItems((track) => [
  { icon: "radio", label: "Radio from here", act: () => radio.start({ seeds: [track.id] }, `like ${track.title}`, track) },
]);
addToPlayer(() => {
  const stop = () => void attempt(() => radio.stop());
  const label = `Radio: ${radio.label}. Stop it after these songs`;
  const button = h("button", { class: "icon-button", type: "button", "aria-pressed": "true", "aria-label": label, title: label, on: { click: stop } }, icon("radio"));
  button.hidden = !radio.on;
  return button;
});
