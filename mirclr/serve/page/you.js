/** For you: songs by what one likes, a radio, what that is, playlists, and what is never listed. @module */

import { del, get, Latest, post, put } from "./api.js";
import { askForText } from "./dialog.js";
import { add, counted, fill, h, span } from "./elements.js";
import { icon } from "./icons.js";
import { openMenu } from "./menu.js";
import { attempt, say } from "./notices.js";
import { player, playTracks } from "./player.js";
import { profile, tasteButtons } from "./profile.js";
import { radio } from "./radio.js";
import { songList } from "./rows.js";
import { exportList, playlistPath } from "./saving.js";
import { remember } from "./songs-known.js";

/**
 * @typedef {import("./api.js").Track} Track
 * @typedef {{ name: string, kind: "songs" | "query", words: string, songs: number | null, duration_s: number | null }} Playlist
 * @typedef {{ name: string, songs: number, plays: number, liked: number, disliked: number,
 *   groups: { weight: number, songs: Track[] }[] }} Listener
 * @typedef {{ rule: string, kind: string, text: string }} Block
 */

const FOR_YOU = 12;
const KINDS = /** @type {{ [kind: string]: string }} */ ({ artist: "Artist", album: "Album", track: "Song", genre: "Genre", path: "Folder or file" });
const OTHER = "\n";

class YouView extends HTMLElement {
  asking = { listener: new Latest(), playlists: new Latest(), blocks: new Latest() };

  connectedCallback() {
    if (this.firstChild) return;
    this.listener = h("select", { "aria-label": "Listener" });
    this.listener.addEventListener("change", () => void attempt(() => this.become(this.listener?.value ?? "")));
    this.known = h("p", { class: "muted", role: "status" });
    this.suggested = section("Songs for you");
    this.liked = section("What you like");
    this.playlists = section("Playlists");
    this.blocks = section("Never listed");
    this.others = section("Other players");
    add(
      this,
      h("header", { class: "you-head" }, h("div", {}, h("h1", {}, "For you"), this.known), h("label", { class: "listener" }, h("span", { class: "visually-hidden" }, "Listener"), icon("you"), this.listener)),
      this.suggested,
      this.liked,
      this.playlists,
      h("div", { class: "you-last" }, this.blocks, this.others),
    );
    profile.addEventListener("listener", () => this.isConnected && void this.show());
  }

  async show() {
    this.showOthers();
    await Promise.all([this.showListener(), this.showPlaylists(), this.showBlocks()].map((part) => attempt(() => part)));
  }

  // whose page it is

  async showListener() {
    const signal = this.asking.listener.next();
    /** @type {{ name: string, songs: number }[]} */
    const held = await get("/profiles");
    if (signal.aborted) return;
    const names = new Set(["me", profile.name, ...held.map((one) => one.name)]);
    await this.showTaste(held.some((one) => one.name === profile.name && one.songs > 0), signal);
    if (!this.listener || signal.aborted) return;
    fill(this.listener, ...[...names].map((name) => h("option", { value: name }, name === "me" ? "Me" : name)), h("option", { value: OTHER }, "Another listener …"));
    this.listener.value = profile.name;
  }

  /** @param {string} name */
  async become(name) {
    if (name !== OTHER) return profile.become(name);
    const given = await askForText("A new listener", { label: "Name", button: "Begin" });
    if (given) await put(`/profiles/${encodeURIComponent(given)}`, undefined);
    if (given) await profile.become(given);
    else if (this.listener) this.listener.value = profile.name;
  }

  // what is liked

  /** @param {boolean} isKnown Whether anything is known of the listener. @param {AbortSignal} signal */
  async showTaste(isKnown, signal) {
    /** @type {Listener | null} */
    const listener = isKnown ? await get(profile.path) : null;
    if (signal.aborted) return;
    const knows = Boolean(listener?.groups.length);
    if (this.known) {
      this.known.textContent = listener?.songs ? `${counted(listener.liked, "like")}, ${counted(listener.plays, "play")} of ${counted(listener.songs, "song")}` : "";
    }
    this.showGroups(listener?.groups ?? []);
    await this.showSuggested(knows, signal);
  }

  /** @param {boolean} knows @param {AbortSignal} signal */
  async showSuggested(knows, signal) {
    const place = this.suggested;
    if (!place) return;
    const start = (/** @type {string} */ kind) => action(kind, "Radio for you", () => radio.start({ profile: profile.name }, `for ${profile.name === "me" ? "you" : profile.name}`), "radio");
    if (!knows) {
      content(
        place,
        h(
          "div",
          { class: "card hint" },
          h("p", {}, "Like songs, or play them: this page then finds more that you may like."),
          h("p", { class: "muted" }, "A thumb stands beside the song that plays, and in the menu of each song."),
          h("div", {}, start("primary")),
        ),
      );
      return;
    }
    /** @type {{ recommendations: { track: Track, match: number | null, reason: string }[] }} */
    const found = await post("/recommend", { profile: profile.name, n: FOR_YOU });
    if (signal.aborted) return;
    const tracks = found.recommendations.map((one) => one.track);
    const list = songList(tracks, (track, at) => ({ note: note(found.recommendations[at]?.reason), buttons: [tasteButtons(track)] }));
    content(
      place,
      h("div", { class: "section-tools" }, tracks.length ? action("primary", "Play", () => playTracks(tracks), "play") : null, start("")),
      tracks.length ? list : h("p", { class: "empty" }, "You know every song here that you would like. The radio plays on all the same."),
    );
  }

  /** @param {Listener["groups"]} groups */
  showGroups(groups) {
    if (!this.liked) return;
    this.liked.hidden = !groups.length;
    const cards = groups.map(({ weight, songs }, i) => {
      remember(songs);
      const tools = h(
        "div",
        { class: "group-tools" },
        action("", "Play", () => playTracks(songs), "play"),
        action("", "Radio", () => radio.start({ seeds: songs.map((track) => track.id) }, `like ${songs[0]?.title ?? ""}`), "radio"),
      );
      const names = songs.map((track) => h("li", {}, h("a", { href: `#song/${track.id}` }, track.title), track.artist ? h("span", { class: "muted" }, ` ${track.artist}`) : null));
      return h("li", { class: "card taste-group", css: { "--colour": `var(--c${(i % 10) + 1})` } }, h("p", { class: "weight" }, `${Math.round(100 * weight)} %`, h("span", { class: "muted" }, "of your listening")), h("ul", {}, ...names), tools);
    });
    content(this.liked, h("ul", { class: "taste-groups" }, ...cards));
  }

  // what is kept

  async showPlaylists() {
    const signal = this.asking.playlists.next();
    /** @type {Playlist[]} */
    const held = await get("/playlists");
    if (!this.playlists || signal.aborted) return;
    const build = h("a", { class: "button", href: "#build" }, icon("plus"), "Build a list");
    if (!held.length) {
      content(this.playlists, h("div", { class: "card hint" }, h("p", {}, "No playlist is kept yet."), h("div", {}, build)));
      return;
    }
    content(this.playlists, h("div", { class: "section-tools" }, build), h("ul", { class: "playlists" }, ...held.map((one) => this.playlist(one))));
  }

  /** @param {Playlist} one */
  playlist(one) {
    const { name, kind, words, songs, duration_s } = one;
    const about = kind === "songs" ? [counted(songs ?? 0, "song"), span(duration_s ?? 0), words].filter(Boolean).join(", ") : words;
    const address = `#build?${new URLSearchParams({ playlist: name, kind })}`;
    const starts = h("button", { class: "icon-button", type: "button", "aria-label": `Play ${name}`, on: { click: () => void attempt(() => player.playLatest(() => idsOf(one))) } }, icon("play"));
    const more = h("button", { class: "icon-button", type: "button", "aria-label": `More for ${name}`, "aria-haspopup": "menu", "aria-expanded": "false" }, icon("more"));
    more.addEventListener("click", () =>
      openMenu(
        `Actions for ${name}`,
        [
          { icon: "build", label: "Open", act: () => (location.hash = address) },
          { icon: "download", label: "File for players (M3U8)", act: async () => exportList(await idsOf(one), name, "m3u8") },
          ...(kind === "songs" ? [/** @type {import("./menu.js").Item} */ ({ icon: "save", label: "Rename", act: () => this.rename(one) })] : []),
          null,
          { icon: "trash", label: "Delete", act: () => this.deletePlaylist(one) },
        ],
        more,
      ),
    );
    return h("li", { class: "playlist" }, starts, h("div", { class: "names" }, h("a", { class: "title", href: address }, name), h("span", { class: "byline" }, kind === "query" ? h("span", { class: "tag" }, "listed anew") : null, about)), more);
  }

  /** @param {Playlist} one */
  async rename({ name }) {
    const given = await askForText("Rename the playlist", { label: "Name", value: name, button: "Rename" });
    if (!given || given === name) return;
    await put(playlistPath(name), { rename: given });
    await this.showPlaylists();
  }

  /** @param {Playlist} one */
  async deletePlaylist({ name, kind }) {
    /** @type {{ tracks: Track[] }} */
    const { tracks } = await get(playlistPath(name), { kind });
    await del(`${playlistPath(name)}?kind=${kind}`);
    await this.showPlaylists();
    const back = async () => {
      await put(playlistPath(name), { tracks: tracks.map((track) => track.id) });
      await this.showPlaylists();
    };
    say(`Deleted ${name}`, kind === "songs" ? { action: { label: "Bring it back", act: () => void attempt(back) } } : {});
  }

  async showBlocks() {
    const signal = this.asking.blocks.next();
    /** @type {Block[]} */
    const held = await get("/blocks");
    if (!this.blocks || signal.aborted) return;
    const rows = held.map(({ rule, kind, text }) => {
      const allow = async () => {
        await del(`/blocks?${new URLSearchParams({ rule })}`);
        await this.showBlocks();
        say(`${text} may be listed again`);
      };
      return h("li", { class: "block" }, h("span", { class: "tag" }, KINDS[kind] ?? kind), h("span", { class: "block-text" }, text), h("button", { class: "icon-button", type: "button", "aria-label": `List ${text} again`, on: { click: () => void attempt(allow) } }, icon("close")));
    });
    const kind = h("select", { "aria-label": "What is never listed" }, ...Object.entries(KINDS).map(([value, label]) => h("option", { value }, label)));
    const text = h("input", { "aria-label": "Its name", placeholder: "Name", required: true, maxlength: 500, autocomplete: "off" });
    const form = h("form", { class: "block-form" }, kind, text, h("button", { type: "submit" }, "Add"));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      void attempt(async () => {
        /** @type {{ effect: string }} */
        const { effect } = await post("/blocks", { rule: `${kind.value}:${text.value.trim()}` });
        await this.showBlocks();
        say(effect);
      });
    });
    content(this.blocks, rows.length ? h("ul", { class: "blocks" }, ...rows) : h("p", { class: "muted" }, "Everything may be listed. What you name here, or block in the menu of a song, comes into no list and no radio."), form);
  }

  showOthers() {
    if (!this.others) return;
    content(
      this.others,
      h("p", { class: "muted" }, "Players that send listens to ListenBrainz can send them here; they count for your page. In such a player, set:"),
      h("dl", { class: "others" }, h("dt", {}, "Address"), h("dd", {}, h("code", {}, location.origin)), h("dt", {}, "Token"), h("dd", {}, h("code", {}, `${profile.name}:TOKEN`), h("small", { class: "muted" }, " with the token of mirclr serve; where it has none, your name alone"))),
    );
  }
}

/** @param {Playlist} one */
async function idsOf({ name, kind }) {
  /** @type {{ tracks: Track[] }} */
  const { tracks } = await get(playlistPath(name), { kind });
  return remember(tracks).map((track) => track.id);
}

/** @param {string} title */
function section(title) {
  return h("section", { class: "you-section", "aria-label": title }, h("h2", {}, title), h("div"));
}

/** @param {HTMLElement} place @param {import("./elements.js").Child[]} children */
const content = (place, ...children) => fill(/** @type {HTMLElement} */ (place.lastElementChild), ...children);

/** @param {string | undefined} reason */
const note = (reason) => (reason ? h("span", { class: "note" }, reason) : null);

/** @param {string} kind @param {string} label @param {() => unknown} act @param {import("./icons.js").IconName} picture */
const action = (kind, label, act, picture) => h("button", { class: kind || undefined, type: "button", on: { click: () => void attempt(act) } }, icon(picture), label);

customElements.define("m-you-view", YouView);
