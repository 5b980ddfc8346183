/** What is shown of the player: the bar at the foot of the page, and the songs to come. @module */

import { Latest } from "./api.js";
import { clock, counted, fill, h, span } from "./elements.js";
import { icon } from "./icons.js";
import { menuButton } from "./menu.js";
import { say } from "./notices.js";
import { cover } from "./pictures.js";
import { player } from "./player.js";
import { byline, songRow } from "./rows.js";
import { onKey } from "./shortcuts.js";
import { tracksOf } from "./songs-known.js";

const SHOWN = 200; // songs to come that are listed
const SEEK_S = 10;

/** @type {((track: import("./api.js").Track) => HTMLElement)[]} */
const beside = [];

/**
 * Put something of one's own beside the song that plays, such as buttons to like it; made anew for each song.
 * @param {(track: import("./api.js").Track) => HTMLElement} make
 */
export function addToPlayer(make) {
  beside.push(make);
  if (player.track) player.emit("playing", player.track);
}

/**
 * @param {import("./icons.js").IconName} name
 * @param {string} label
 * @param {() => void} act
 * @param {string} [kind]
 */
function button(name, label, act, kind = "") {
  return h("button", { class: `icon-button ${kind}`, type: "button", "aria-label": label, title: label, on: { click: act } }, icon(name));
}

class PlayerBar extends HTMLElement {
  dragged = false;
  listing = new Latest();

  connectedCallback() {
    if (this.firstChild) return;
    this.song = h("div", { class: "now" });
    this.toggle = button("play", "Play", () => player.toggle(), "round");
    this.elapsed = h("span", { class: "time" }, "0:00");
    this.total = h("span", { class: "time" }, "0:00");
    this.bar = h("input", { type: "range", class: "seek", min: 0, max: 1000, value: 0, "aria-label": "Position" });
    this.mute = button("volume", "Mute", () => (player.muted = !player.muted));
    this.volume = h("input", { type: "range", class: "volume", min: 0, max: 100, value: 100, "aria-label": "Volume" });
    this.repeat = button("repeat", "Repeat the queue", () => this.setRepeat(!player.repeat));
    this.repeat.setAttribute("aria-pressed", "false");
    this.open = button("queue", "Songs to come", () => this.showQueue(this.queue?.hidden ?? true));
    this.open.setAttribute("aria-expanded", "false");
    this.queue = h("aside", { class: "queue", "aria-label": "Songs to come", hidden: true });
    this.append(
      this.song,
      h(
        "div",
        { class: "controls", role: "group", "aria-label": "Player" },
        button("previous", "Previous song", () => player.previous()),
        this.toggle,
        button("next", "Next song", () => player.next()),
      ),
      h("div", { class: "line" }, this.elapsed, this.bar, this.total),
      h("div", { class: "extras" }, this.repeat, h("span", { class: "loudness" }, this.mute, this.volume), this.open),
      this.queue,
    );
    this.listen();
    this.showVolume();
    this.setAttribute("role", "region");
    this.setAttribute("aria-label", "Player");
    this.hidden = true;
  }

  listen() {
    player.addEventListener("playing", () => this.showSong());
    player.addEventListener("state", () => this.showState());
    player.addEventListener("time", () => this.dragged || this.showTime());
    player.addEventListener("queue", () => void this.listQueue());
    player.addEventListener("volume", () => this.showVolume());
    player.addEventListener("problem", (event) => say(/** @type {CustomEvent} */ (event).detail, { wrong: true }));
    this.bar?.addEventListener("input", () => this.showTime(this.barTime()));
    this.bar?.addEventListener("change", () => {
      this.dragged = false;
      player.seek(this.barTime());
    });
    this.bar?.addEventListener("pointerdown", () => (this.dragged = true));
    this.volume?.addEventListener("input", () => {
      player.muted = false;
      player.volume = Number(this.volume?.value) / 100;
      localStorage.setItem("volume", String(player.volume));
    });
    const kept = Number(localStorage.getItem("volume") ?? 1);
    player.volume = Number.isFinite(kept) ? kept : 1;
    onKey(" ", "Play or pause", () => player.toggle());
    onKey("ArrowLeft", `${SEEK_S} seconds back`, () => player.seek(player.time_s - SEEK_S));
    onKey("ArrowRight", `${SEEK_S} seconds on`, () => player.seek(player.time_s + SEEK_S));
    onKey("n", "Next song", () => player.next());
    onKey("p", "Previous song", () => player.previous());
    onKey("m", "Mute", () => (player.muted = !player.muted));
    onKey("q", "Songs to come", () => this.showQueue(this.queue?.hidden ?? true));
    this.addEventListener("keydown", (event) => event.key === "Escape" && this.showQueue(false));
  }

  /** @param {boolean} on */
  setRepeat(on) {
    player.repeat = on;
    this.repeat?.setAttribute("aria-pressed", String(on));
    player.prepareNext();
  }

  showSong() {
    const { track } = player;
    if (!track || !this.song) return;
    this.hidden = false;
    document.body.classList.add("with-player");
    fill(
      this.song,
      h("a", { class: "now-cover", href: `#song/${track.id}`, tabindex: -1, "aria-hidden": "true" }, cover(track, 56)),
      h("div", { class: "names" }, h("a", { class: "title", href: `#song/${track.id}` }, track.title), byline(track)),
      ...beside.map((make) => make(track)),
      menuButton(track),
    );
    if (this.total) this.total.textContent = clock(track.duration_s);
    this.bar?.setAttribute("aria-label", `Position in ${track.title}`);
    this.showTime();
    this.showState();
    tellSystem(track);
  }

  showState() {
    if (!this.toggle) return;
    const label = player.paused ? "Play" : "Pause";
    this.toggle.setAttribute("aria-label", label);
    this.toggle.title = label;
    fill(this.toggle, icon(player.paused ? "play" : "pause"));
    this.classList.toggle("waiting", player.waiting);
    if ("mediaSession" in navigator) navigator.mediaSession.playbackState = player.paused ? "paused" : "playing";
  }

  barTime() {
    return (Number(this.bar?.value) / 1000) * player.duration_s;
  }

  showTime(time_s = player.time_s) {
    if (!this.bar || !this.elapsed) return;
    const share = player.duration_s ? Math.min(1, time_s / player.duration_s) : 0;
    this.bar.value = String(Math.round(1000 * share));
    this.bar.style.setProperty("--share", String(share));
    this.style.setProperty("--share", String(share));
    this.bar.setAttribute("aria-valuetext", `${clock(time_s)} of ${clock(player.duration_s)}`);
    this.elapsed.textContent = clock(time_s);
  }

  showVolume() {
    if (!this.volume || !this.mute) return;
    const loud = player.muted ? 0 : player.volume;
    this.volume.value = String(Math.round(100 * loud));
    this.volume.style.setProperty("--share", String(loud));
    fill(this.mute, icon(loud ? "volume" : "muted"));
    this.mute.setAttribute("aria-label", player.muted ? "Unmute" : "Mute");
  }

  /** @param {boolean} shown */
  showQueue(shown) {
    if (!this.queue) return;
    this.queue.hidden = !shown;
    this.open?.setAttribute("aria-expanded", String(shown));
    void this.listQueue();
  }

  async listQueue() {
    const { queue } = this;
    if (!queue || queue.hidden) return;
    const coming = player.coming;
    const signal = this.listing.next();
    const tracks = await tracksOf(coming.slice(0, SHOWN));
    if (signal.aborted) return;
    const length_s = tracks.reduce((sum, track) => sum + track.duration_s, 0);
    const about = coming.length > SHOWN ? counted(coming.length, "song") : `${counted(coming.length, "song")}, ${span(length_s)}`;
    const clear = h("button", { class: "text", type: "button", on: { click: () => player.setComing([]) } }, "Clear");
    const rows = tracks.map((track, i) => {
      const play = () => player.start(player.at + 1 + i);
      const without = () => player.setComing(player.coming.filter((_, at) => at !== i));
      return songRow(track, { play, buttons: [button("close", `Take ${track.title} out of the queue`, without)] });
    });
    fill(
      queue,
      h("header", {}, h("h2", {}, "Songs to come"), h("span", { class: "muted" }, coming.length ? about : ""), coming.length ? clear : null, button("close", "Close", () => this.showQueue(false))),
      rows.length ? h("ol", { class: "song-list" }, ...rows) : h("p", { class: "empty" }, "After this song it is quiet. Add songs from their menus."),
    );
  }
}

/** Let the keys and the lock screen of the system know what plays. @param {import("./api.js").Track} track */
function tellSystem(track) {
  if (!("mediaSession" in navigator)) return;
  const { mediaSession } = navigator;
  mediaSession.metadata = new MediaMetadata({ title: track.title, artist: track.artist ?? "", album: track.album ?? "" });
  mediaSession.setActionHandler("play", () => void player.resume());
  mediaSession.setActionHandler("pause", () => player.pause());
  mediaSession.setActionHandler("nexttrack", () => player.next());
  mediaSession.setActionHandler("previoustrack", () => player.previous());
  mediaSession.setActionHandler("seekto", ({ seekTime }) => player.seek(seekTime ?? 0));
}

customElements.define("m-player", PlayerBar);
