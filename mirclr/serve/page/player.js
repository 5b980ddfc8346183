/** The player: a queue of songs, played one after the other without a gap. What is shown of it: player-bar.js. @module */

import { address, Latest } from "./api.js";
import { remember, seen, tracksOf } from "./songs-known.js";

/** @typedef {import("./api.js").Track} Track */

const RESTART_S = 4; // "previous" within the first seconds is the song before, later the start of this one
const AHEAD_S = 0.4; // how long before its end the next song is made to start at the right moment
const KEPT = "queue";
const SKIPPED = 3; // songs one after the other that cannot be played, before the player stops

/** What plays one song: an element, and where its sound begins where the service sends it from a time on. */
class Deck {
  constructor() {
    this.audio = new Audio();
    this.audio.preload = "auto";
    /** @type {Track | null} */
    this.track = null;
    this.offset_s = 0;
    /** @type {"mp3" | null} What is asked for: what the service thinks right, or what every browser plays. */
    this.format = null;
  }

  get id() {
    return this.track?.id ?? null;
  }

  /**
   * @param {Track} track
   * @param {{ from_s?: number, format?: "mp3" | null }} [how] `from_s`: the service sends it from there on.
   */
  load(track, { from_s = 0, format = null } = {}) {
    this.track = track;
    this.offset_s = from_s;
    this.format = format;
    this.audio.src = address(`/tracks/${track.id}/audio`, { format, start_s: from_s || null });
  }

  unload() {
    this.track = null;
    this.audio.removeAttribute("src");
    this.audio.load();
  }

  get time_s() {
    return this.offset_s + this.audio.currentTime;
  }

  /** Whether it is made while it is sent, so that it has no end that is known and no ranges. */
  get isStreamed() {
    return this.offset_s > 0 || this.audio.duration === Infinity;
  }

  /** @param {number} time_s */
  seek(time_s) {
    if (!this.track) return;
    if (!this.isStreamed) this.audio.currentTime = time_s;
    else this.load(this.track, { from_s: time_s, format: this.format });
  }
}

/**
 * Fires `playing` (another song), `state` (plays or not), `time`, `queue` (the songs to come), `volume`, `problem`
 * (detail: a line), and `played` when a song is left (detail: `{track, played_s}`).
 */
class Player extends EventTarget {
  constructor() {
    super();
    this.decks = [new Deck(), new Deck()];
    /** @type {number[]} */
    this.queue = [];
    this.at = -1;
    /** What is to play in place of what plays. */
    this.choosing = new Latest();
    /** @type {Track | null} */
    this.track = null;
    this.repeat = false;
    this.heard_s = 0;
    this.last_s = 0;
    this.failures = 0;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.handover = undefined;
    for (const deck of this.decks) this.listen(deck);
  }

  /** @param {Deck} deck */
  listen(deck) {
    const ifCurrent = (/** @type {() => void} */ act) => () => deck === this.deck && act();
    deck.audio.addEventListener("timeupdate", ifCurrent(() => this.onTime()));
    deck.audio.addEventListener("ended", ifCurrent(() => this.onEnded()));
    deck.audio.addEventListener("error", ifCurrent(() => this.onError(deck)));
    for (const event of ["play", "pause", "playing", "waiting"]) {
      deck.audio.addEventListener(event, ifCurrent(() => this.emit("state")));
    }
    deck.audio.addEventListener("volumechange", ifCurrent(() => this.emit("volume")));
  }

  get deck() {
    return /** @type {Deck} */ (this.decks[0]);
  }

  get spare() {
    return /** @type {Deck} */ (this.decks[1]);
  }

  get paused() {
    return this.deck.audio.paused;
  }

  get waiting() {
    const { audio } = this.deck;
    return !audio.paused && audio.readyState < HTMLMediaElement.HAVE_FUTURE_DATA;
  }

  get time_s() {
    return this.track ? this.deck.time_s : 0;
  }

  get duration_s() {
    return this.track?.duration_s ?? 0;
  }

  get volume() {
    return this.deck.audio.volume;
  }

  set volume(volume) {
    for (const { audio } of this.decks) audio.volume = Math.min(1, Math.max(0, volume));
  }

  get muted() {
    return this.deck.audio.muted;
  }

  set muted(muted) {
    for (const { audio } of this.decks) audio.muted = muted;
  }

  /** The songs that come after the present one, by id. */
  get coming() {
    return this.queue.slice(this.at + 1);
  }

  /**
   * @param {string} event
   * @param {unknown} [detail]
   */
  emit(event, detail) {
    this.dispatchEvent(new CustomEvent(event, { detail }));
  }

  /**
   * Play songs that are asked for, unless others are chosen before they are known.
   * @param {(signal: AbortSignal) => Promise<number[]>} ask
   */
  async playLatest(ask) {
    const signal = this.choosing.next();
    const ids = await ask(signal);
    if (!signal.aborted) await this.play(ids);
  }

  /**
   * Play songs in place of what plays, from one of them on.
   * @param {number[]} ids
   * @param {number} [at]
   */
  async play(ids, at = 0) {
    const wanted = ids[at];
    if (wanted === undefined) return;
    this.choosing.next();
    this.queue = [...ids];
    await this.start(at);
  }

  /**
   * Put songs behind all others.
   * @param {number[]} ids
   */
  async enqueue(ids) {
    this.queue.push(...ids);
    await this.begin();
  }

  /**
   * Put songs right behind the one that plays.
   * @param {number[]} ids
   */
  async playNext(ids) {
    this.queue.splice(this.at + 1, 0, ...ids);
    await this.begin();
  }

  async begin() {
    if (this.track) {
      this.prepareNext();
      this.emit("queue");
    } else await this.start(this.at + 1);
  }

  /**
   * Put other songs in place of those to come.
   * @param {number[]} ids
   */
  setComing(ids) {
    this.queue.splice(this.at + 1, Infinity, ...ids);
    this.prepareNext();
    this.emit("queue");
  }

  /**
   * Play the song at a place of the queue.
   * @param {number} at
   * @param {boolean} [begun] Whether the other deck plays it already.
   */
  async start(at, begun = false) {
    const id = this.queue[at];
    if (id === undefined) return;
    clearTimeout(this.handover);
    this.leave();
    this.at = at;
    const track = seen(id) ?? (await tracksOf([id]))[0]; // where it was seen, no other event comes between
    if (this.queue[this.at] !== id) return; // another was chosen meanwhile
    if (!track) return this.skip("a song of the queue is no longer in the library");
    if (this.spare.id === id && !this.spare.audio.error) {
      if (!begun) this.deck.audio.pause();
      this.decks.reverse();
    } else {
      this.deck.load(track);
    }
    this.track = track;
    this.heard_s = this.last_s = 0;
    this.emit("playing", track);
    this.emit("queue");
    await this.resume();
    this.prepareNext();
  }

  /** Keep the queue for this tab. */
  keep() {
    try {
      sessionStorage.setItem(KEPT, JSON.stringify({ queue: this.queue, at: this.at, time_s: this.time_s }));
    } catch {
      // a browser that keeps nothing, or a queue that is too long to be kept
    }
  }

  /** Take up the queue of this tab where it was left; nothing plays yet. */
  async takeUp() {
    /** @type {{ queue: number[], at: number, time_s: number }} */
    const { queue, at, time_s } = JSON.parse(sessionStorage.getItem(KEPT) ?? '{"queue": []}');
    const id = queue[at];
    if (id === undefined || this.track) return;
    const signal = this.choosing.next();
    const [track] = await tracksOf([id]);
    if (!track || this.track || signal.aborted) return;
    this.queue = queue;
    this.at = at;
    this.track = track;
    this.deck.load(track);
    this.emit("playing", track);
    this.deck.audio.addEventListener("loadedmetadata", () => this.seek(time_s), { once: true });
    this.prepareNext();
  }

  /** Say how long the song that is left was heard. */
  leave() {
    if (this.track && this.heard_s > 0) this.emit("played", { track: this.track, played_s: this.heard_s });
    this.heard_s = 0;
  }

  /** @param {string} why */
  skip(why) {
    this.emit("problem", why);
    this.failures += 1;
    if (this.failures < SKIPPED && this.at + 1 < this.queue.length) void this.start(this.at + 1);
    else this.stop();
  }

  /** Load the song after the present one, so that it starts at once. */
  prepareNext() {
    const id = this.queue[this.nextAt()];
    const track = id === undefined ? undefined : seen(id);
    if (id !== undefined && !track) {
      void tracksOf([id]).then((found) => found.length && this.queue[this.nextAt()] === id && this.prepareNext());
    }
    if (track && this.spare.id !== track.id) this.spare.load(track);
    else if (!track && this.spare.id !== null) this.spare.unload();
  }

  nextAt() {
    return this.repeat && this.at + 1 >= this.queue.length ? 0 : this.at + 1;
  }

  async resume() {
    if (!this.track) return this.begin();
    try {
      await this.deck.audio.play();
    } catch (error) {
      if (error instanceof DOMException && error.name === "NotAllowedError") this.emit("state"); // it waits for a click
    }
  }

  pause() {
    clearTimeout(this.handover);
    this.deck.audio.pause();
  }

  toggle() {
    if (this.paused) void this.resume();
    else this.pause();
  }

  next() {
    const at = this.nextAt();
    if (at < this.queue.length) void this.start(at);
    else this.stop();
  }

  previous() {
    if (this.time_s > RESTART_S || this.at <= 0) this.seek(0);
    else void this.start(this.at - 1);
  }

  stop() {
    this.leave();
    this.pause();
    this.deck.seek(0);
    this.emit("state");
  }

  /** @param {number} time_s Within the song. */
  seek(time_s) {
    if (!this.track) return;
    clearTimeout(this.handover);
    const to_s = Math.min(Math.max(0, time_s), Math.max(0, this.duration_s - 0.2));
    const { paused } = this;
    this.deck.seek(to_s);
    if (!paused) void this.resume();
    this.last_s = to_s;
    this.emit("time");
  }

  onTime() {
    const step_s = this.time_s - this.last_s;
    if (step_s > 0 && step_s < 2) this.heard_s += step_s;
    if (step_s > 0) this.failures = 0;
    this.last_s = this.time_s;
    this.emit("time");
    clearTimeout(this.handover);
    const { audio } = this.deck;
    const left_s = audio.duration - audio.currentTime;
    if (left_s > 0 && left_s < AHEAD_S && !audio.paused) {
      this.handover = setTimeout(() => this.handOver(), 1000 * left_s);
    }
  }

  /** Let the next song begin as this one ends. */
  handOver() {
    const at = this.nextAt();
    const id = this.queue[at];
    if (id === undefined || this.spare.id !== id) return; // "ended" does it
    void this.spare.audio.play().catch(() => undefined);
    void this.start(at, true);
  }

  onEnded() {
    if (this.deck.audio.error) return;
    this.next();
  }

  /** @param {Deck} deck */
  onError(deck) {
    if (!this.track || !deck.track) return;
    if (deck.format === null) {
      deck.load(this.track, { from_s: this.last_s, format: "mp3" });
      void this.resume();
    } else this.skip(`${this.track.title} cannot be played`);
  }
}

export const player = new Player();
addEventListener("pagehide", () => player.keep());

/** Play songs in place of what plays. @param {number[]} ids @param {number} [at] */
export const play = (ids, at) => player.play(ids, at);

/** Put songs behind all others of the queue. @param {number[]} ids */
export const enqueue = (ids) => player.enqueue(ids);

/** Put songs right behind the one that plays. @param {number[]} ids */
export const playNext = (ids) => player.playNext(ids);

/** Play songs that an answer held. @param {Track[]} tracks @param {number} [at] */
export const playTracks = (tracks, at) => player.play(remember(tracks).map((track) => track.id), at);

/**
 * Play a song from a place in it on.
 * @param {Track} track
 * @param {number} time_s
 */
export async function playFrom(track, time_s) {
  await playTracks([track]);
  if (player.track?.id === track.id) player.seek(time_s);
}
