/** How the map is made: asked for where there is none, waited for, and new songs placed on it. @module */

import { get, post } from "./api.js";
import { counted, fill, h } from "./elements.js";
import { isOver } from "./events.js";
import { attempt } from "./notices.js";
import { session } from "./session.js";

/**
 * @typedef {{ songs: number, placed: number, unplaced: number, together: number, version: string }} State
 * @typedef {import("./events.js").Job} Job
 */

const SMALL = 20_000; // songs whose map is made without being asked for: it takes a minute
const SONGS_A_MINUTE = 20_000;

/** Whether it is made already, such as by another window. */
async function isBegun() {
  /** @type {Job[]} */
  const jobs = await get("/jobs");
  return jobs.some((job) => job.kind === "map" && !isOver(job));
}

export class Making {
  constructor() {
    this.element = h("div", { class: "map-empty", hidden: true });
    this.isRunning = false;
    /** How many songs had no place when it was last begun by itself. */
    this.asked = 0;
  }

  /** Have the map made anew, or new songs placed. @param {boolean} [again] */
  async begin(again = false) {
    await post("/jobs", { kind: "map", again });
  }

  /** Say what there is to be done, and place songs that came later. @param {State} state */
  async show(state) {
    this.element.hidden = state.placed > 0;
    if (this.isRunning || !state.unplaced) {
      if (!state.songs) fill(this.element, h("p", {}, "No song is in this library yet."), h("a", { class: "primary", href: "#library/folders" }, "Add a folder"));
      return;
    }
    const isNew = this.asked !== state.unplaced;
    const { read_only } = session;
    if (!read_only && isNew && (state.placed || state.songs <= SMALL)) {
      this.asked = state.unplaced;
      if (!(await isBegun())) await this.begin();
    } else if (!state.placed) this.offer(state.songs, read_only);
  }

  /** @param {number} songs @param {boolean} isReadOnly */
  offer(songs, isReadOnly) {
    if (isReadOnly) {
      return fill(this.element, h("p", {}, "This library has no map yet. Whoever may write to it makes one:"), h("code", {}, "mirclr map"));
    }
    const minutes = counted(Math.ceil(songs / SONGS_A_MINUTE), "minute");
    const text = `The map of ${counted(songs, "song")} is not drawn yet. It takes about ${minutes}, once.`;
    fill(this.element, h("p", {}, text), this.button("Draw the map"));
  }

  /** @param {string} label */
  button(label) {
    return h("button", { class: "primary", type: "button", on: { click: () => void attempt(() => this.begin()) } }, label);
  }

  /** @param {Job} job */
  follow(job) {
    this.isRunning = !isOver(job);
    if (this.element.hidden) return;
    if (job.problem) fill(this.element, h("p", {}, job.problem), this.button("Try again"));
    else if (job.state === "cancelled") fill(this.element, h("p", {}, "The map was not drawn to its end."), this.button("Draw the map"));
    else if (this.isRunning) {
      const total = job.state === "running" ? job.total : null;
      const bar = h("progress", { "aria-label": "How far the map is", max: total || 1, value: total ? job.done : null });
      const waits = job.state === "waiting";
      fill(this.element, h("p", {}, waits ? "The map is drawn once other work is done." : "Songs that sound alike come together …"), bar);
    }
  }
}
