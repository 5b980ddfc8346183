/** The library: what it holds, its folders, long work, what could not be read, what is there twice, the report. @module */

import { get } from "./api.js";
import { add, fill, h } from "./elements.js";
import { isOver, onJob } from "./events.js";
import { copiesPart } from "./library-copies.js";
import { failuresPart } from "./library-failures.js";
import { foldersPart } from "./library-folders.js";
import { overviewPart } from "./library-overview.js";
import { reportPart } from "./library-report.js";
import { beginJob, JobCard } from "./jobs.js";
import { attempt, sayProblem } from "./notices.js";
import { session } from "./session.js";

/**
 * @typedef {{ label: string, songs: number }} Bar
 * @typedef {{ songs: number, artists: number, albums: number, hours: number, bytes: number, failures: number,
 *   remarks: number, without_year: number, without_genre: number, described: number, guessed: number,
 *   fingerprints: number, copied: number,
 *   looked_for_copies: boolean, reported_s: number | null, encoder: string | null, decades: Bar[], genres: Bar[],
 *   moods: Bar[], tempos: Bar[] }} Stats
 * @typedef {(stats: Stats, begin: Begin) => Node | Promise<Node>} Part
 * @typedef {((kind: string, options?: { [option: string]: unknown }) => void) | null} Begin None where nothing may be
 *   written.
 */

/** @type {{ [name: string]: { title: string, count?: (stats: Stats) => number, make: Part } }} */
const PARTS = {
  "": { title: "Overview", make: overviewPart },
  folders: { title: "Folders", make: foldersPart },
  failures: { title: "Not read", count: (stats) => stats.failures + stats.remarks, make: failuresPart },
  copies: { title: "Copies", count: (stats) => stats.copied, make: copiesPart },
  report: { title: "Report", make: reportPart },
};

const OVER = 3; // jobs that are over and still shown

class LibraryView extends HTMLElement {
  chosen = "";
  turn = 0;
  /** @type {Map<number, JobCard>} */
  cards = new Map();
  /** @type {(() => void) | null} */
  unheard = null;

  connectedCallback() {
    if (this.firstChild) return;
    this.tabs = h("nav", { class: "tabs", "aria-label": "Parts of the library" });
    this.jobs = h("ul", { class: "jobs", "aria-label": "Long work" });
    this.place = h("div", { class: "library-part" }, h("p", { class: "muted" }, "Counting your songs …"));
    add(this, h("h1", {}, "Library"), this.tabs, this.jobs, this.place);
  }

  /** @param {string} rest */
  async show(rest) {
    this.chosen = rest in PARTS ? rest : "";
    this.unheard ??= onJob((job, before) => this.heard(job, before));
    await this.renew();
  }

  leave() {
    this.unheard?.();
    this.unheard = null;
  }

  async renew() {
    this.turn += 1;
    const mine = this.turn;
    try {
      /** @type {Stats} */
      const stats = await get("/stats");
      const begin = session.read_only ? null : (/** @type {string} */ kind, /** @type {any} */ options) => void attempt(() => beginJob(kind, options));
      const made = await PARTS[this.chosen]?.make(stats, begin);
      if (mine !== this.turn || !made || !this.place) return;
      this.showTabs(stats);
      fill(this.place, made);
    } catch (error) {
      sayProblem(error);
    }
  }

  /** @param {Stats} stats */
  showTabs(stats) {
    const links = Object.entries(PARTS).map(([name, { title, count }]) => {
      const n = count?.(stats) ?? 0;
      return h(
        "a",
        { href: `#library${name && `/${name}`}`, "aria-current": name === this.chosen ? "page" : null },
        title,
        n > 0 && h("span", { class: "badge" }, n.toLocaleString("en")),
      );
    });
    if (!this.tabs) return;
    fill(this.tabs, ...links);
    this.tabs.querySelector("[aria-current=page]")?.scrollIntoView({ block: "nearest", inline: "nearest" }); // on a phone
  }

  /** Of what is over, show the last. */
  forgetOld() {
    const over = [...this.cards].filter(([, card]) => /done|failed|cancelled/.test(card.element.className));
    for (const [id, card] of over.slice(0, -OVER)) {
      card.element.remove();
      this.cards.delete(id);
    }
  }

  /** @param {import("./events.js").Job} job @param {import("./events.js").Job | undefined} before */
  heard(job, before) {
    const held = this.cards.get(job.id);
    if (held) held.update(job);
    else {
      const card = new JobCard(job, !session.read_only);
      this.cards.set(job.id, card);
      this.jobs?.prepend(card.element);
      this.forgetOld();
    }
    if (isOver(job) && before && !isOver(before)) void this.renew();
  }
}

customElements.define("m-library-view", LibraryView);
