/** Build: songs to be like and unlike, filters, settings, and the list that they give, which changes as they do. @module */

import { get, isAbort, Latest, post, Problem } from "./api.js";
import { build } from "./building.js";
import { add, counted, debounced, fill, h, span } from "./elements.js";
import { Filters } from "./filters.js";
import { icon } from "./icons.js";
import { openMenu } from "./menu.js";
import { attempt, say, sayProblem } from "./notices.js";
import { pickSong } from "./picker.js";
import { cover } from "./pictures.js";
import { enqueue, play } from "./player.js";
import { profile } from "./profile.js";
import { radio } from "./radio.js";
import { songRow } from "./rows.js";
import { exportList, playlistPath, saveList } from "./saving.js";
import { Settings } from "./build-settings.js";
import { remember, tracksOf } from "./songs-known.js";
import { dragHandle } from "./sortable.js";
import { Words } from "./words.js";

/**
 * @typedef {import("./api.js").Track} Track
 * @typedef {{ track: Track, match: number | null, note: string, facts?: string[] }} Entry `facts`: tempo and key.
 * @typedef {{ recommendations: { track: Track, match: number | null, reason: string }[], remarks: string[],
 *   understood: import("./words.js").Understood | null }} Answer
 */

const WAIT_MS = 40;
const MORE = 10;
const RADIO_SEEDS = 50; // songs of a list that a radio is to be like

class BuildView extends HTMLElement {
  connectedCallback() {
    if (this.firstChild) return;
    /** @type {Entry[]} */
    this.entries = [];
    this.name = "My list";
    /** Whether a person changed the list since it was asked for. */
    this.byHand = false;
    /** Whether it is kept as what it was asked for by. */
    this.anew = false;
    this.isEmpty = false;
    this.asking = new Latest();
    this.opening = new Latest();
    this.mixing = new Latest();
    this.sources = h("div", { class: "sources" });
    this.words = new Words();
    this.filters = new Filters();
    this.settings = new Settings();
    this.total = h("span", { class: "muted", role: "status" });
    this.filterCount = h("span", { class: "badge" });
    this.heading = h("h2", {}, "The list");
    this.about = h("p", { class: "muted", role: "status" });
    this.tools = h("div", { class: "list-tools" });
    this.head = h("header", { class: "result-head" }, h("div", {}, this.heading, this.about), this.tools);
    this.stale = h(
      "p",
      { class: "stale", hidden: true },
      h("span", {}, "You changed this list by hand, so it stays as it is."),
      button("text", "List anew", () => this.listAnew()),
    );
    this.list = h("ol", { class: "song-list built", "aria-label": "The list" });
    this.remarks = h("ul", { class: "remarks muted" });
    this.end = h("div", { class: "list-end" });
    add(
      this,
      h("header", { class: "build-head" }, h("h1", {}, "Build a list"), button("text", "Begin anew", () => this.begin())),
      h(
        "div",
        { class: "build-body" },
        h(
          "div",
          { class: "wishes" },
          this.words.element,
          this.sources,
          h("details", { class: "panel", open: innerWidth >= 980 }, h("summary", {}, h("h2", {}, "Filters"), this.filterCount, this.total), this.filters.element),
          h("details", { class: "panel" }, h("summary", {}, h("h2", {}, "Fine-tuning")), this.settings.element),
        ),
        h("section", { class: "result", "aria-label": "The list" }, this.head, this.stale, this.list, this.remarks, this.end),
      ),
    );
    this.soon = debounced(WAIT_MS, () => void this.renew());
    build.addEventListener("change", () => {
      this.showWishes();
      this.soon?.();
    });
    profile.addEventListener("listener", () => build.state.profile && build.set({ profile: profile.name }));
    this.showWishes();
    this.showList();
  }

  /** @param {string} _rest @param {URLSearchParams} parameters */
  async show(_rest, parameters) {
    const signal = this.opening?.next();
    const name = parameters.get("playlist");
    if (name && signal) {
      history.replaceState(null, "", "#build");
      await this.openPlaylist(name, parameters.get("kind"), signal);
    }
    await this.renew();
  }

  // what is asked

  showWishes() {
    void attempt(() => this.showSources());
    this.words?.show();
    this.settings?.show();
    if (this.filterCount) {
      this.filterCount.textContent = String(build.filters);
      this.filterCount.hidden = !build.filters;
    }
  }

  async showSources() {
    const { state } = build;
    const { seeds, avoid, to } = state;
    const tracks = new Map((await tracksOf([...seeds, ...avoid, ...(to === null ? [] : [to])])).map((track) => [track.id, track]));
    if (state !== build.state) return;
    if ([...seeds, ...avoid].some((id) => !tracks.has(id)) || (to !== null && !tracks.has(to))) {
      const held = (/** @type {number} */ id) => tracks.has(id); // the others are no longer in the library
      build.set({ seeds: seeds.filter(held), avoid: avoid.filter(held), to: to !== null && held(to) ? to : null });
      return;
    }
    const chips = (/** @type {number[]} */ ids) => ids.flatMap((id) => (tracks.has(id) ? [sourceChip(/** @type {Track} */ (tracks.get(id)))] : []));
    const { isPath } = build;
    const pick = (/** @type {string} */ title, /** @type {(track: Track) => void} */ act) => async () => {
      const track = await pickSong(title);
      if (track) act(remember([track])[0] ?? track);
    };
    if (!this.sources) return;
    fill(
      this.sources,
      group(
        isPath ? "From" : "Sounds like",
        ...chips(seeds),
        !isPath && adder("Add a song", pick("A song to sound like", (track) => build.addSeed(track.id))),
        seeds.length === 1 && !isPath && adder("A path to …", pick("A song for the path to end with", (track) => build.set({ to: track.id })), "path"),
      ),
      isPath && group("To", ...chips([/** @type {number} */ (to)])),
      group("But not like", ...chips(avoid), adder("Add a song", pick("A song to stay away from", (track) => build.addAvoid(track.id)), "minus")),
      !isPath && h("label", { class: "check for-me" }, this.forMe(), h("span", {}, `By what ${profile.name === "me" ? "I like" : `${profile.name} likes`}`)),
    );
  }

  forMe() {
    const box = h("input", { type: "checkbox" });
    box.checked = build.state.profile !== null;
    box.addEventListener("change", () => build.set({ profile: box.checked ? profile.name : null }));
    return box;
  }

  begin() {
    this.opening?.next();
    this.byHand = this.anew = false;
    this.name = "My list";
    build.clear();
  }

  // the list

  /** Ask for the list and the counts of the filters; an answer that comes too late is not taken. */
  async renew() {
    const signal = /** @type {Latest} */ (this.asking).next();
    await Promise.all([this.renewCounts(signal), this.renewList(signal)]);
  }

  /** @param {AbortSignal} signal */
  async renewCounts(signal) {
    try {
      /** @type {import("./filters.js").Counts} */
      const counts = await post("/counts", build.query(), { signal });
      this.filters?.show(counts);
      this.isEmpty = !counts.total && !build.filters;
      if (this.isEmpty) this.showList();
      if (this.total) this.total.textContent = build.filters ? `leave ${counted(counts.total, "song")}` : counted(counts.total, "song");
    } catch (error) {
      if (!signal.aborted) sayProblem(error);
    }
  }

  /** @param {AbortSignal} signal */
  async renewList(signal) {
    if (this.stale) this.stale.hidden = !this.byHand;
    if (this.byHand) return;
    if (!build.asks) return this.put([], []);
    this.list?.setAttribute("aria-busy", "true");
    try {
      /** @type {Answer} */
      const found = await post("/recommend", build.query(), { signal });
      if (signal.aborted || this.byHand) return;
      this.words?.say(found.understood);
      remember(found.recommendations.map((one) => one.track));
      const { isPath } = build;
      this.put(
        found.recommendations.map(({ track, match, reason }) => ({ track, match: isPath ? null : match, note: reason })),
        found.remarks.filter((line) => !line.startsWith("understood: ")).map(inPlainWords),
      );
    } catch (error) {
      if (isAbort(error) || signal.aborted || this.byHand) return;
      const { seeds, profile: listener } = build.state;
      const unknown = listener && !seeds.length && error instanceof Problem && error.status === 404;
      const why = unknown ? "Nothing is known yet of what you like. Like songs, or play some." : error instanceof Error ? inPlainWords(error.message) : String(error);
      this.words?.say(null);
      this.put([], [why]);
    } finally {
      if (!signal.aborted) this.list?.removeAttribute("aria-busy");
    }
  }

  listAnew() {
    this.byHand = false;
    void this.renew();
  }

  /** @param {Entry[]} entries @param {string[]} remarks */
  put(entries, remarks) {
    this.mixing?.next();
    this.entries = entries;
    if (this.remarks) fill(this.remarks, ...remarks.map((line) => h("li", {}, line)));
    this.showList();
  }

  /** A person changes the list. @param {Entry[]} entries */
  change(entries) {
    this.mixing?.next();
    this.byHand = true;
    this.entries = entries;
    this.showList();
    if (this.stale) this.stale.hidden = !build.asks;
  }

  get ids() {
    return this.entries?.map((entry) => entry.track.id) ?? [];
  }

  showList() {
    /** @type {Entry[]} */
    const entries = this.entries ?? [];
    const length_s = entries.reduce((sum, { track }) => sum + track.duration_s, 0);
    if (this.about) this.about.textContent = entries.length ? `${counted(entries.length, "song")}, ${span(length_s)}` : "";
    if (this.heading) this.heading.textContent = this.name ?? "";
    if (this.head) this.head.hidden = !entries.length;
    if (this.list) this.reuse(this.list, entries);
    this.showTools();
    if (this.end) fill(this.end, ...this.foot());
  }

  /** Show songs in a list; rows that are there already stay. @param {HTMLElement} list @param {Entry[]} entries */
  reuse(list, entries) {
    const rows = new Map([...list.children].map((row) => [/** @type {HTMLElement} */ (row).dataset.entry ?? "", row]));
    const times = new Map();
    const wanted = entries.map((entry) => {
      const time = (times.get(entry.track.id) ?? 0) + 1;
      times.set(entry.track.id, time);
      const key = `${entry.track.id} ${time} ${entry.match ?? ""} ${entry.note} ${entry.facts ?? ""}`;
      const row = rows.get(key) ?? this.row(entry);
      /** @type {HTMLElement} */ (row).dataset.entry = key;
      return row;
    });
    const stay = new Set(wanted);
    for (const row of [...list.children]) if (!stay.has(row)) row.remove();
    for (const [at, row] of wanted.entries()) if (list.children[at] !== row) list.insertBefore(row, list.children[at] ?? null);
  }

  /** @param {Entry} entry */
  row(entry) {
    const { track, match, note, facts } = entry;
    const move = dragHandle(track.title, (from, to) => {
      const entries = [...(this.entries ?? [])];
      entries.splice(to, 0, ...entries.splice(from, 1));
      this.change(entries);
    });
    const drop = h("button", { class: "icon-button", type: "button", "aria-label": `Take ${track.title} out`, title: "Take it out" }, icon("close"));
    const row = songRow(track, {
      play: () => play(this.ids, this.ids.indexOf(track.id)),
      before: move,
      note: note ? h("span", { class: "note" }, note) : null,
      columns: [
        ...(facts ?? []).map((fact) => h("span", { class: "column fact" }, fact)),
        match === null ? null : h("span", { class: "match", title: "How alike it sounds, of 100" }, String(match)),
      ],
      buttons: [drop],
    });
    drop.addEventListener("click", () => {
      const at = [...(row.parentElement?.children ?? [])].indexOf(row);
      this.change((this.entries ?? []).filter((_, i) => i !== at));
      const next = this.list?.children[Math.min(at, this.entries ? this.entries.length - 1 : 0)];
      next?.querySelector("button")?.focus();
    });
    return row;
  }

  showTools() {
    const { tools } = this;
    if (tools?.childElementCount) return;
    const more = h("button", { class: "icon-button", type: "button", "aria-label": "More for the list", "aria-haspopup": "menu", "aria-expanded": "false" }, icon("more"));
    more.addEventListener("click", () =>
      openMenu(
        "Actions for the list",
        [
          { icon: "enqueue", label: "Add to queue", act: () => enqueue(this.ids).then(() => say("Added to the queue")) },
          { icon: "radio", label: "Radio like this list", act: () => radio.start({ seeds: this.ids.slice(0, RADIO_SEEDS) }, "like this list") },
          null,
          { icon: "download", label: "File for players (M3U8)", act: () => this.export("m3u8") },
          { icon: "download", label: "File for players (XSPF)", act: () => this.export("xspf") },
          { icon: "download", label: "File for ListenBrainz (JSPF)", act: () => this.export("jspf") },
        ],
        more,
      ),
    );
    add(
      /** @type {HTMLElement} */ (tools),
      button("primary", "Play", () => play(this.ids), "play"),
      button("", "Mix order", () => this.mix(), "build"),
      button("", "Save", () => this.save(), "save"),
      more,
    );
  }

  /** What stands below the list. */
  foot() {
    if (this.entries?.length) {
      const another = !this.byHand && build.state.to === null && button("", "Another list", () => build.set({ seed: (build.state.seed ?? 0) + 1 }), "refresh");
      const longer = !this.byHand && build.state.length_s === null && this.entries.length >= build.state.n && button("", "Longer", () => build.set({ n: Math.min(200, build.state.n + MORE) }), "plus");
      return [longer, another, button("", "Add a song", () => this.addSong(), "enqueue")];
    }
    if (build.asks || this.byHand) return this.remarks?.childElementCount ? [] : [h("p", { class: "empty" }, "No song passes. Take a filter away, or something to stay away from.")];
    if (this.isEmpty) return [h("div", { class: "empty welcome" }, h("h3", {}, "Your library holds no songs yet"), h("a", { class: "primary", href: "#library/folders" }, "Add a folder"))];
    return [
      h(
        "div",
        { class: "empty welcome" },
        h("h3", {}, "What shall it sound like?"),
        h("p", {}, "Say it in words, choose a song or two, or filters. The list follows at once; then put it in your order."),
        h("div", { class: "welcome-buttons" }, button("primary", "Choose a song", () => this.addSeed(), "search"), button("", "Surprise me", () => build.set({ seed: Math.floor(Math.random() * 1e6) }), "refresh")),
      ),
    ];
  }

  async addSeed() {
    const track = await pickSong("A song to sound like");
    if (track) build.addSeed(track.id);
  }

  async addSong() {
    const track = await pickSong("Add a song to the list");
    if (track) this.change([...(this.entries ?? []), { track, match: null, note: "" }]);
  }

  async mix() {
    /** @type {{ songs: { id: number, tempo_bpm: number | null, key: string | null, why: string[] }[], unknown: number }} */
    const { songs, unknown } = await post("/order", { tracks: this.ids, by: "mix" }, { signal: this.mixing?.next() });
    const entries = new Map(this.entries?.map((entry) => [entry.track.id, entry]));
    this.change(
      songs.flatMap(({ id, tempo_bpm, key, why }) => {
        const entry = entries.get(id);
        const facts = [tempo_bpm ? `${Math.round(tempo_bpm)} bpm` : "", key ?? ""];
        return entry ? [{ ...entry, facts, match: null, note: why.join(" · ") }] : [];
      }),
    );
    const most = unknown > songs.length / 2;
    say(most ? "Of most of these songs tempo and key are not known yet; find them out in the library view" : "In mix order: tempo, key and energy go on from song to song", { wrong: most });
  }

  async save() {
    const name = await saveList(this.ids, build.asks && !this.byHand ? build.query() : null, this.name === "My list" ? "" : (this.name ?? ""), this.anew);
    if (!name) return;
    this.name = name;
    if (this.heading) this.heading.textContent = name;
  }

  /** @param {"m3u8" | "xspf" | "jspf"} format */
  async export(format) {
    await exportList(this.ids, this.name ?? "playlist", format);
  }

  /** @param {string} name @param {string | null} kind @param {AbortSignal} signal */
  async openPlaylist(name, kind, signal) {
    /** @type {{ name: string, kind: string, tracks: Track[], query?: { [field: string]: any } | null }} */
    const found = await get(playlistPath(name), kind ? { kind } : {});
    if (signal.aborted) return;
    this.name = found.name;
    remember(found.tracks);
    this.byHand = false;
    this.anew = Boolean(found.query && [undefined, profile.name].includes(found.query.profile) && build.take(found.query));
    if (this.anew) return;
    build.clear();
    this.change(found.tracks.map((track) => ({ track, match: null, note: "" })));
  }
}

/** @param {string} kind @param {string} label @param {() => unknown} act @param {import("./icons.js").IconName} [picture] */
function button(kind, label, act, picture) {
  return h("button", { class: kind || undefined, type: "button", on: { click: () => void attempt(act) } }, picture ? icon(picture) : null, label);
}

/** @param {string} title @param {(HTMLElement | false)[]} chips */
const group = (title, ...chips) => h("div", { class: "source", role: "group", "aria-label": title }, h("h2", {}, title), ...chips);

/** @param {string} label @param {() => Promise<unknown>} act @param {import("./icons.js").IconName} [picture] */
const adder = (label, act, picture = "plus") => h("button", { class: "chip add", type: "button", on: { click: () => void attempt(act) } }, icon(picture), label);

/** @param {Track} track */
function sourceChip(track) {
  const leave = h("button", { class: "icon-button", type: "button", "aria-label": `Without ${track.title}`, on: { click: () => build.drop(track.id) } }, icon("close"));
  return h("span", { class: "chip song" }, cover(track, 24), h("a", { class: "label", href: `#song/${track.id}`, title: [track.title, track.artist].filter(Boolean).join(" – ") }, track.title), leave);
}

/** A line of the command line without what is only done there. @param {string} line */
const inPlainWords = (line) =>
  line
    .replace(/(?:; find them out with)?: mirclr describe .*$/, "; find them out in the library view")
    .replace(/;[^;]*(?:--[a-z]|mirclr )[^;]*$/, "")
    .replace(/: mirclr .*$/, "")
    .replace(/^./, (letter) => letter.toUpperCase());

customElements.define("m-build-view", BuildView);
