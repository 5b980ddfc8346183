/** Covers of songs, and what stands where there is none: two colours that the album's name gives. @module */

import { address } from "./api.js";
import { h } from "./elements.js";
import { icon } from "./icons.js";

/** @typedef {import("./api.js").Track} Track */

/** The albums' songs that have no cover. @type {Set<number>} */
const without = new Set();

/**
 * The cover of a song, as a decoration: beside it stands what it is called.
 * @param {Pick<Track, "id" | "title" | "artist" | "album">} track
 * @param {number} [size] Pixels of the page.
 */
export function cover(track, size = 48) {
  const name = `${track.artist ?? ""}\n${track.album ?? track.title}`;
  const hue = hash(name) % 360;
  const place = h("span", { class: "cover", "aria-hidden": "true", css: { "--hue": String(hue) } }, icon("songs"));
  if (without.has(track.id)) return place;
  const pixels = Math.ceil(size * Math.min(2, window.devicePixelRatio || 1));
  const image = h("img", { alt: "", loading: "lazy", decoding: "async", draggable: "false" });
  image.addEventListener("load", () => place.classList.add("loaded"));
  image.addEventListener("error", () => {
    without.add(track.id);
    image.remove();
  });
  image.src = address(`/tracks/${track.id}/cover`, { size: pixels, none: "empty" });
  place.append(image);
  return place;
}

/** @param {string} text */
export function hash(text) {
  let value = 2166136261;
  for (let i = 0; i < text.length; i++) value = Math.imul(value ^ text.charCodeAt(i), 16777619) >>> 0;
  return value;
}
