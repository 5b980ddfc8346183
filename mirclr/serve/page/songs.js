/** All songs, or those that pass filters, in an order. @module */

import { get } from "./api.js";
import { add, counted, fill, find, h } from "./elements.js";
import { EndlessList } from "./endless.js";
import { icon } from "./icons.js";
import { attempt } from "./notices.js";
import { player } from "./player.js";
import { songRow } from "./rows.js";
import { remember } from "./songs-known.js";

/** @typedef {import("./api.js").ListedTrack} ListedTrack */

const SORTS = /** @type {const} */ ({
  artist: "Artist",
  title: "Title",
  album: "Album",
  year: "Year",
  duration: "Length",
  tempo: "Tempo",
  added: "Added",
});
const NAMES = /** @type {{ [filter: string]: string }} */ ({
  q: "With",
  artist: "Artist",
  album: "Album",
  genre: "Genre",
  mood: "Mood",
  vocal: "Vocals",
  bpm: "Tempo",
  key: "Key",
  year: "Year",
  duration_s: "Length",
});
const PLAYED = 500; // songs that are queued at once

class SongsView extends HTMLElement {
  connectedCallback() {
    if (this.firstChild) return;
    /** @type {URLSearchParams} */
    this.asked = new URLSearchParams();
    this.heading = h("h1", {}, "Songs");
    this.count = h("p", { class: "muted", role: "status" });
    this.filters = h("div", { class: "chips" });
    const options = Object.entries(SORTS).map(([value, name]) => h("option", { value }, name));
    this.sort = h("select", { "aria-label": "Sort by" }, ...options);
    this.direction = h("button", { class: "icon-button", type: "button" });
    const act = (/** @type {"play" | "shuffle"} */ how) => () => void attempt(() => this.playAll(how));
    add(
      this,
      h(
        "header",
        { class: "songs-head" },
        h("div", {}, this.heading, this.count),
        (this.tools = h(
          "div",
          { class: "songs-tools" },
          h("button", { class: "primary", type: "button", on: { click: act("play") } }, icon("play"), "Play"),
          h("button", { type: "button", on: { click: act("shuffle") } }, icon("shuffle"), "Shuffle"),
          this.sort,
          this.direction,
        )),
      ),
      this.filters,
      (this.empty = h("p", { class: "empty", hidden: true })),
    );
    this.list = new EndlessList({
      scroller: find(document, "#view", HTMLElement),
      row_px: 56,
      label: "Songs",
      ask: (offset, limit, signal) => this.ask(offset, limit, signal),
      make: (/** @type {ListedTrack} */ track, at) => this.row(track, at),
      counted: (total) => this.showCount(total),
    });
    this.append(this.list.element);
    this.sort.addEventListener("change", () => this.go({ sort: this.sort?.value ?? "artist", desc: "" }));
    this.direction.addEventListener("click", () => this.go({ desc: this.asked?.get("desc") ? "" : "1" }));
  }

  /**
   * @param {string} _rest
   * @param {URLSearchParams} parameters
   */
  async show(_rest, parameters) {
    const same = this.list?.total && parameters.toString() === this.asked?.toString();
    this.asked = parameters;
    if (same) return this.list?.draw();
    const sort = parameters.get("sort") ?? "artist";
    if (this.sort) this.sort.value = sort;
    const down = Boolean(parameters.get("desc"));
    if (this.direction) {
      fill(this.direction, icon(down ? "down" : "up"));
      this.direction.setAttribute("aria-label", down ? "In reverse order" : "In order");
      this.direction.title = down ? "In reverse order" : "In order";
    }
    this.showFilters();
    find(document, "#view", HTMLElement).scrollTop = 0;
    await this.list?.renew();
  }

  /** Go to the same songs with other parameters. @param {{ [name: string]: string }} changes */
  go(changes) {
    const next = new URLSearchParams(this.asked);
    for (const [name, value] of Object.entries(changes)) {
      if (value) next.set(name, value);
      else next.delete(name);
    }
    location.hash = `#songs${next.size ? `?${next}` : ""}`;
  }

  showFilters() {
    const chips = [...(this.asked ?? [])].flatMap(([name, value]) => {
      const label = NAMES[name];
      if (!label) return [];
      const leave = () => {
        const next = new URLSearchParams([...(this.asked ?? [])].filter(([n, v]) => n !== name || v !== value));
        location.hash = `#songs${next.size ? `?${next}` : ""}`;
      };
      const without = h("button", { class: "chip chosen", type: "button", "aria-label": `Without ${label}: ${value}`, on: { click: leave } });
      without.append(`${label}: ${value}`, icon("close"));
      return [without];
    });
    if (this.filters) fill(this.filters, ...chips);
    const named = this.asked?.get("album") ?? this.asked?.get("artist");
    if (this.heading) this.heading.textContent = named ?? "Songs";
  }

  /** @param {number} total */
  showCount(total) {
    const { count, empty, tools } = this;
    if (!count || !empty || !tools) return;
    const filtered = [...(this.asked ?? [])].some(([name]) => name in NAMES);
    count.textContent = total || filtered ? counted(total, "song") : "";
    tools.hidden = total === 0;
    empty.hidden = total > 0;
    if (filtered) fill(empty, "No song is like that. Take a filter away, or write less.");
    else fill(empty, "This library is empty. Fill it on the machine that has the music: ", h("code", {}, "mirclr embed FOLDER"));
  }

  /** @returns {{ [name: string]: any }} */
  query() {
    const asked = this.asked ?? new URLSearchParams();
    const [album, artist] = [asked.get("album"), asked.get("artist")];
    return { sort: album && !artist ? "album" : undefined, ...Object.fromEntries(asked), desc: asked.get("desc") ? true : undefined };
  }

  /**
   * @param {number} offset
   * @param {number} limit
   * @param {AbortSignal} [signal]
   */
  async ask(offset, limit, signal) {
    /** @type {{ total: number, tracks: ListedTrack[] }} */
    const found = await get("/tracks", { ...this.query(), offset, limit }, signal);
    return { total: found.total, rows: remember(found.tracks) };
  }

  /** @param {ListedTrack} track @param {number} at */
  row(track, at) {
    const about = [track.genre ?? "", track.year ?? "", track.key ?? "", track.tempo_bpm ? `${Math.round(track.tempo_bpm)} bpm` : ""];
    const columns = about.map((text, i) => h("span", { class: `column c${i}` }, text));
    return songRow(track, { columns, play: () => void attempt(() => this.playFrom(at)) });
  }

  /** Play the songs of the list from one on. @param {number} at */
  async playFrom(at) {
    await player.playLatest(async (signal) => (await this.ask(at, PLAYED, signal)).rows.map((track) => track.id));
  }

  /** @param {"play" | "shuffle"} how */
  async playAll(how) {
    const total = this.list?.total ?? 0;
    const offset = how === "shuffle" ? Math.floor(Math.random() * Math.max(1, total - PLAYED)) : 0;
    const ask = async (/** @type {AbortSignal} */ signal) => {
      const ids = (await this.ask(offset, PLAYED, signal)).rows.map((track) => track.id);
      if (how === "shuffle") shuffle(ids);
      return ids;
    };
    await player.playLatest(ask);
  }
}

/** @param {number[]} ids */
function shuffle(ids) {
  for (let i = ids.length - 1; i > 0; i--) {
    const j = Math.floor(Math.random() * (i + 1));
    [ids[i], ids[j]] = [/** @type {number} */ (ids[j]), /** @type {number} */ (ids[i])];
  }
}

customElements.define("m-songs-view", SongsView);
