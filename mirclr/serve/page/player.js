/** The player: a queue of songs, played one after the other without a gap. What is shown of it: player-bar.js. @module */

import { address } from "./api.js";
import { remember, seen, tracksOf } from "./songs-known.js";

/** @typedef {import("./api.js").Track} Track */

const RESTART_S = 4; // "previous" within the first seconds is the song before, later the start of this one
const AHEAD_S = 0.4; // how long before its end the next song is made to start at the right moment
const WHOLE = "mp3 m4a mp4 aac flac ogg oga opus wav webm"; // what browsers may play as it is; others are sent transcoded

/** What plays one song: an element, and where its sound begins where the service sends it from a time on. */
class Deck {
  constructor() {
    this.audio = new Audio();
    this.audio.preload = "auto";
    /** @type {number | null} */
    this.id = null;
    this.offset_s = 0;
    this.transcoded = false;
  }

  /**
   * @param {Track} track
   * @param {{ at_s?: number, transcoded?: boolean }} [how]
   */
  load(track, { at_s = 0, transcoded = !playsAsItIs(track) } = {}) {
    this.id = track.id;
    this.transcoded = transcoded;
    this.offset_s = transcoded ? at_s : 0;
    const format = transcoded ? transcodedFormat(this.audio) : null;
    this.audio.src = address(`/tracks/${track.id}/audio`, { format, start_s: this.offset_s || null });
    if (!transcoded && at_s) this.audio.currentTime = at_s;
  }

  unload() {
    this.id = null;
    this.audio.removeAttribute("src");
    this.audio.load();
  }

  get time_s() {
    return this.offset_s + this.audio.currentTime;
  }
}

/** @param {Track} track */
function playsAsItIs(track) {
  const suffix = /\.(\w+)$/.exec(track.path)?.[1]?.toLowerCase();
  return suffix !== undefined && WHOLE.split(" ").includes(suffix);
}

/** @param {HTMLAudioElement} audio */
const transcodedFormat = (audio) => (audio.canPlayType('audio/ogg; codecs="opus"') ? "opus" : "mp3");

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
    /** @type {Track | null} */
    this.track = null;
    this.repeat = false;
    this.heard_s = 0;
    this.last_s = 0;
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
      deck.audio.addEventListener(event, ifCurrent(() => this.tell("state")));
    }
    deck.audio.addEventListener("volumechange", ifCurrent(() => this.tell("volume")));
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
  tell(event, detail) {
    this.dispatchEvent(new CustomEvent(event, { detail }));
  }

  /**
   * Play songs in place of what plays, from one of them on.
   * @param {number[]} ids
   * @param {number} [at]
   */
  async play(ids, at = 0) {
    const wanted = ids[at];
    if (wanted === undefined) return;
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
      this.tell("queue");
    } else await this.start(this.at + 1);
  }

  /**
   * Put other songs in place of those to come.
   * @param {number[]} ids
   */
  setComing(ids) {
    this.queue.splice(this.at + 1, Infinity, ...ids);
    this.prepareNext();
    this.tell("queue");
  }

  /**
   * Play the song at a place of the queue.
   * @param {number} at
   * @param {boolean} [prepared] Whether the other deck has begun it already.
   */
  async start(at, prepared = false) {
    const id = this.queue[at];
    if (id === undefined) return;
    clearTimeout(this.handover);
    this.leave();
    this.at = at;
    const [track] = await tracksOf([id]);
    if (this.queue[this.at] !== id) return; // another was chosen meanwhile
    if (!track) return this.skip("a song of the queue is no longer in the library");
    if (this.spare.id === id) {
      const before = this.deck;
      this.decks.reverse();
      if (prepared) setTimeout(() => before !== this.deck && before.audio.pause(), 1000 * AHEAD_S);
      else before.audio.pause();
    } else {
      this.deck.load(track);
    }
    this.track = track;
    this.heard_s = this.last_s = 0;
    this.tell("playing", track);
    this.tell("queue");
    await this.resume();
    this.prepareNext();
  }

  /** Say how long the song that is left was heard. */
  leave() {
    if (this.track && this.heard_s > 0) this.tell("played", { track: this.track, played_s: this.heard_s });
    this.heard_s = 0;
  }

  /** @param {string} why */
  skip(why) {
    this.tell("problem", why);
    if (this.at + 1 < this.queue.length) void this.start(this.at + 1);
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
      if (error instanceof DOMException && error.name === "NotAllowedError") this.tell("state"); // it waits for a click
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
    this.seek(0);
    this.tell("state");
  }

  /** @param {number} time_s Within the song. */
  seek(time_s) {
    if (!this.track) return;
    clearTimeout(this.handover);
    const { deck } = this;
    const to = Math.min(Math.max(0, time_s), Math.max(0, this.duration_s - 0.2));
    const { paused } = this;
    if (deck.transcoded && !this.holds(to - deck.offset_s)) {
      deck.load(this.track, { at_s: to, transcoded: true });
      if (!paused) void this.resume();
    } else deck.audio.currentTime = to - deck.offset_s;
    this.last_s = to;
    this.tell("time");
  }

  /** Whether a time of a deck's element is there to be played. @param {number} time_s */
  holds(time_s) {
    const { seekable } = this.deck.audio;
    for (let i = 0; i < seekable.length; i++) {
      if (seekable.start(i) <= time_s && time_s <= seekable.end(i)) return true;
    }
    return false;
  }

  onTime() {
    const step_s = this.time_s - this.last_s;
    if (step_s > 0 && step_s < 2) this.heard_s += step_s;
    this.last_s = this.time_s;
    this.tell("time");
    const { audio } = this.deck;
    const left_s = (Number.isFinite(audio.duration) ? audio.duration : this.duration_s - this.deck.offset_s) - audio.currentTime;
    clearTimeout(this.handover);
    if (left_s < AHEAD_S && left_s > 0 && !audio.paused && Number.isFinite(audio.duration)) {
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
    if (!this.track || deck.id === null) return;
    if (!deck.transcoded) {
      deck.load(this.track, { at_s: this.last_s, transcoded: true });
      void this.resume();
    } else this.skip(`${this.track.title} cannot be played`);
  }
}

export const player = new Player();

/** Play songs in place of what plays. @param {number[]} ids @param {number} [at] */
export const play = (ids, at) => player.play(ids, at);

/** Put songs behind all others of the queue. @param {number[]} ids */
export const enqueue = (ids) => player.enqueue(ids);

/** Put songs right behind the one that plays. @param {number[]} ids */
export const playNext = (ids) => player.playNext(ids);

/** Play songs that an answer held. @param {Track[]} tracks @param {number} [at] */
export const playTracks = (tracks, at) => player.play(remember(tracks).map((track) => track.id), at);
