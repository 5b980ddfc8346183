/** One song: cover, what is known of it, and what is like it. @module */

import { get, post } from "./api.js";
import { add, clock, fill, h } from "./elements.js";
import { icon } from "./icons.js";
import { menuButton, pathFrom } from "./menu.js";
import { build } from "./building.js";
import { attempt, say, sayProblem } from "./notices.js";
import { cover } from "./pictures.js";
import { enqueue, player, playTracks } from "./player.js";
import { tasteButtons } from "./profile.js";
import { byline, songList, songsOf } from "./rows.js";
import { remember, tracksOf } from "./songs-known.js";
import { showOverTime, waveform } from "./waveform.js";
import { matchButton } from "./why.js";

/**
 * @typedef {{ [label: string]: number }} Labels
 * @typedef {import("./api.js").ListedTrack & { loudness_lufs: number | null, key_strength: number | null,
 *   genres: Labels, moods: Labels, voice: Labels, sound: Labels, instruments: Labels, album_artist: string | null,
 *   track_number: number | null, disc_number: number | null, added_s: number | null, remark: string | null }} WholeTrack
 * @typedef {{ track: import("./api.js").Track, match: number | null, reason: string }} Recommended
 */

const NEAR = 12;
const SHOWN = 6; // labels

class SongView extends HTMLElement {
  /** @type {number | null} */
  shown = null;
  named = "Song – mirclr";

  /** @param {string} rest */
  async show(rest) {
    const id = /^[0-9]+$/.test(rest) ? Number(rest) : 0;
    if (this.shown === id) {
      document.title = this.named;
      return;
    }
    this.shown = id;
    this.named = "Song – mirclr";
    const track = await this.ask(id);
    if (this.shown !== id || !track) return;
    remember([track]);
    this.name(`${track.title} – mirclr`);
    const near = h("section", { class: "near", "aria-label": "Sounds like this" }, h("h2", {}, "Sounds like this"));
    const sound = h("section", { class: "sound", "aria-label": "From beginning to end" }, waveform(track));
    fill(this, this.head(track), sound, h("div", { class: "song-body" }, near, this.about(track)));
    await Promise.all([this.showNear(track, near), attempt(() => showOverTime(track, sound))]);
  }

  /** What the page is called, while this view is seen. @param {string} title */
  name(title) {
    this.named = title;
    if (this.isConnected) document.title = title;
  }

  /** The song; where it is not to be had the page says so, and nothing is left of another one. @param {number} id @returns {Promise<WholeTrack | null>} */
  async ask(id) {
    try {
      const isHere = Number.isSafeInteger(id) && id > 0 && (await tracksOf([id])).length > 0;
      if (isHere) return await get(`/tracks/${id}`);
      this.instead(id, "This song is not in the library", "It may have been taken out since, or the address is not whole.");
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error);
      this.instead(id, "This song cannot be shown now", text);
    }
    return null;
  }

  /** @param {number} id @param {string} title @param {string} text */
  instead(id, title, text) {
    if (this.shown !== id) return;
    this.shown = null; // so that it is asked for again
    this.name("Song – mirclr");
    fill(this, h("div", { class: "empty" }, h("h1", {}, title), h("p", {}, text), h("a", { class: "button", href: "#songs" }, icon("songs"), "All songs")));
  }

  /** @param {WholeTrack} track */
  head(track) {
    const buttons = h(
      "div",
      { class: "song-buttons" },
      playButton(track),
      h("button", { class: "icon-button", type: "button", "aria-label": "Add to queue", title: "Add to queue", on: { click: () => enqueue([track.id]).then(() => say("Added to the queue")) } }, icon("enqueue")),
      h("button", { type: "button", on: { click: () => go(() => build.addSeed(track.id)) } }, icon("plus"), "More like this"),
      h("button", { type: "button", on: { click: () => go(() => build.addAvoid(track.id)) } }, icon("minus"), "Less like this"),
      h("button", { type: "button", on: { click: () => void attempt(() => pathFrom(track)) } }, icon("path"), "Path to …"),
      tasteButtons(track),
      menuButton(track),
    );
    const facts = [
      track.year,
      clock(track.duration_s),
      track.tempo_bpm && `${Math.round(track.tempo_bpm)} bpm`,
      track.key,
      track.loudness_lufs !== null && `${track.loudness_lufs.toFixed(1).replace("-", "−")} LUFS`,
    ];
    const line = facts.filter(Boolean).map((fact) => h("li", {}, String(fact)));
    return h(
      "header",
      { class: "song-head" },
      cover(track, 220),
      h("div", { class: "song-names" }, h("h1", {}, track.title), byline(track), h("ul", { class: "facts" }, ...line), buttons),
    );
  }

  /** @param {WholeTrack} track */
  about(track) {
    const part = (/** @type {string} */ title, /** @type {string | null} */ name, /** @type {Labels} */ labels) => {
      const best = Object.entries(labels).slice(0, SHOWN);
      if (!best.length) return null;
      const rows = best.map(([label, p]) =>
        h(
          "li",
          { class: "likely" },
          name ? h("a", { href: songsOf(name, label) }, label) : h("span", {}, label),
          h("span", { class: "bar", css: { "--share": String(p) } }),
          h("span", { class: "percent" }, `${Math.round(100 * p)} %`),
        ),
      );
      return h("section", { class: "card" }, h("h2", {}, title), h("ul", {}, ...rows));
    };
    const file = h("section", { class: "card" }, h("h2", {}, "File"), h("p", { class: "muted path" }, track.path), track.remark && h("p", {}, icon("warning"), ` ${track.remark}`));
    const sounds = [part("Voice", null, track.voice), part("Sound", null, track.sound), part("Instruments", null, track.instruments)];
    return h("div", { class: "about" }, part("Genre", "genre", track.genres), part("Mood", "mood", track.moods), ...sounds, file);
  }

  /** @param {WholeTrack} track @param {HTMLElement} place */
  async showNear(track, place) {
    try {
      /** @type {{ recommendations: Recommended[] }} */
      const found = await post("/recommend", { seeds: [track.id], n: NEAR });
      const tracks = found.recommendations.map((one) => one.track);
      add(place, songList(tracks, (_, at) => noteOf(track, found.recommendations[at])));
    } catch (error) {
      sayProblem(error);
    }
  }
}

/** Plays the song, or pauses it while it plays. @param {WholeTrack} track */
function playButton(track) {
  const isCurrent = () => player.track?.id === track.id;
  const button = h("button", { class: "primary", type: "button" });
  button.addEventListener("click", () => (isCurrent() ? player.toggle() : playTracks([track])));
  const show = () => {
    const plays = isCurrent() && !player.paused;
    fill(button, icon(plays ? "pause" : "play"), plays ? "Pause" : "Play");
  };
  const heard = () => {
    if (button.isConnected) return show();
    for (const event of ["playing", "state"]) player.removeEventListener(event, heard);
  };
  for (const event of ["playing", "state"]) player.addEventListener(event, heard);
  show();
  return button;
}

/** @param {WholeTrack} seed @param {Recommended | undefined} one */
function noteOf(seed, one) {
  if (!one) return {};
  const match = one.match === null ? null : matchButton(seed, one.track, one.match);
  return { note: one.reason ? h("span", { class: "note" }, one.reason) : null, columns: [match] };
}

/** @param {() => void} change */
function go(change) {
  change();
  location.hash = "#build";
}

customElements.define("m-song-view", SongView);
