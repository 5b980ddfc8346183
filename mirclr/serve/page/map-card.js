/** The song that is pointed at on the map. @module */

import { fill, h } from "./elements.js";
import { icon } from "./icons.js";
import { openSongMenu } from "./menu.js";
import { cover } from "./pictures.js";
import { playTracks } from "./player.js";

/** @typedef {import("./api.js").Track} Track */

const AWAY_PX = 16;
const EDGE_PX = 8;

export class Card {
  constructor() {
    this.element = h("div", { class: "map-card", hidden: true });
    /** @type {[number, number]} */
    this.size = [0, 0];
  }

  /** @param {Track} track @param {string} facts @param {boolean} withButtons For fingers, which do not hover. */
  show(track, facts, withButtons) {
    const about = [track.artist, track.album].filter(Boolean).join(" · ") || track.path;
    const note = facts && h("span", { class: "note" }, facts);
    fill(this.element, cover(track, 56), h("div", { class: "names" }, h("span", { class: "title" }, track.title), h("span", { class: "byline" }, about), note));
    if (withButtons) this.element.append(...buttonsOf(track));
    this.element.classList.toggle("touched", withButtons);
    this.element.hidden = false;
    this.size = [this.element.offsetWidth, this.element.offsetHeight];
  }

  hide() {
    this.element.hidden = true;
  }

  /** @param {number} x @param {number} y @param {{ width: number, height: number }} room */
  place(x, y, { width, height }) {
    const [wide, high] = this.size;
    const left = Math.max(EDGE_PX, Math.min(x + AWAY_PX, width - wide - EDGE_PX));
    const top = y + AWAY_PX + high > height - EDGE_PX ? y - high - AWAY_PX : y + AWAY_PX;
    this.element.style.transform = `translate(${Math.round(left)}px, ${Math.round(Math.max(EDGE_PX, top))}px)`;
  }
}

/** @param {Track} track */
function buttonsOf(track) {
  const play = h("button", { class: "icon-button", type: "button", "aria-label": `Play ${track.title}`, on: { click: () => void playTracks([track]) } }, icon("play"));
  const more = h("button", { class: "icon-button", type: "button", "aria-label": `More for ${track.title}`, "aria-haspopup": "menu" }, icon("more"));
  more.addEventListener("click", () => openSongMenu(track, more));
  return [play, more];
}
