/** Long work on the library: begun, shown as it goes on, ended; told of wherever one is when it is over. @module */

import { del, post } from "./api.js";
import { counted, fill, h, span } from "./elements.js";
import { isOver, take, whenHeard } from "./events.js";
import { icon } from "./icons.js";
import { attempt, say } from "./notices.js";

/** @typedef {import("./events.js").Job} Job */

/** What each kind is called, while it runs and as something to do; and what it is for. */
export const KINDS = /** @type {{ [kind: string]: { name: string, todo: string, why: string } }} */ ({
  sync: { name: "Bringing the library up to date", todo: "Bring up to date", why: "New, moved, changed and deleted files of its folders." },
  embed: { name: "Listening to songs", todo: "Listen to new songs", why: "Songs that are not in the library yet." },
  classify: { name: "Guessing genre and mood", todo: "Guess genre and mood", why: "Of all songs, from how they sound." },
  describe: { name: "Finding tempo, key, beats and chords", todo: "Find tempo and chords", why: "And key and loudness; about a second a song." },
  duplicates: { name: "Looking for copies", todo: "Look for copies", why: "Recordings that are there more than once." },
  fingerprint: { name: "Making fingerprints", todo: "Make fingerprints", why: "By which a song is found from a recording; each is read as a whole." },
  report: { name: "Making the report", todo: "Make the report", why: "A page on all that the library holds." },
  map: { name: "Drawing the map", todo: "Draw the map", why: "Each song a point, near to what sounds like it." },
});

/** @param {string} kind */
const nameOf = (kind) => KINDS[kind]?.name ?? kind;

/**
 * Begin long work.
 * @param {string} kind
 * @param {{ [option: string]: unknown }} [options]
 */
export async function beginJob(kind, options = {}) {
  take(await post("/jobs", { kind, ...options }));
}

/** What came of a job, in a line. @param {Job} job */
export function outcome(job) {
  if (job.state === "failed") return job.problem ?? "it failed";
  if (job.state === "cancelled") return "ended before it was done; what was done is kept";
  const result = job.result ?? {};
  const parts = Object.entries(result).flatMap(([name, n]) => (typeof n === "number" && n > 0 ? [`${n.toLocaleString("en")} ${WORDS[name] ?? name.replaceAll("_", " ")}`] : []));
  return parts.join(", ") || "nothing to do";
}

const WORDS = /** @type {{ [name: string]: string }} */ ({
  embedded: "new",
  added: "new",
  updated: "changed",
  retagged: "with other tags",
  copied: "copies",
  failed: "could not be read",
  songs: "songs",
  found: "found",
  known: "known",
  made: "made",
  laid_out: "laid out",
});

/** How far a job is, in a line. @param {Job} job */
function progress({ kind, state, label, done, total, left_s, note }) {
  if (state === "waiting") return "waits until what was begun before is over";
  const far = total ? `${done.toLocaleString("en")} of ${total.toLocaleString("en")}` : "";
  return [label === nameOf(kind) ? "" : label, far, left_s === null ? "" : `about ${span(left_s)} left`, note].filter(Boolean).join(" · ");
}

/** A job, shown as it goes on. What can be pressed stays the same element, however often it is told of. */
export class JobCard {
  /**
   * @param {Job} job
   * @param {boolean} mayEnd
   */
  constructor(job, mayEnd) {
    const name = nameOf(job.kind);
    this.line = h("p", { class: "muted" });
    this.bar = h("progress", { "aria-label": name, max: 1 });
    this.sign = h("span", { class: "job-sign" });
    const end = () => void attempt(async () => take(await del(`/jobs/${job.id}`)));
    this.end = h("button", { class: "text", type: "button", hidden: !mayEnd, on: { click: end } }, "End it");
    this.summary = h("summary");
    this.remarks = h("ul");
    this.more = h("details", { hidden: true }, this.summary, this.remarks);
    this.element = h("li", {}, h("div", { class: "job-head" }, this.sign, h("h3", {}, name), this.end), this.line, this.bar, this.more);
    this.update(job);
  }

  /** @param {Job} job */
  update(job) {
    this.element.className = `job ${job.state}`;
    this.line.textContent = isOver(job) ? outcome(job) : progress(job);
    if (isOver(job)) {
      fill(this.sign, icon(job.state === "done" ? "check" : "warning"));
      this.end.remove();
      this.bar.remove();
    } else if (job.total) this.bar.value = job.done / job.total;
    else this.bar.removeAttribute("value");
    this.more.hidden = job.remarks.length === 0;
    if (this.remarks.childElementCount === job.remarks.length) return;
    this.summary.textContent = counted(job.remarks.length, "remark");
    fill(this.remarks, ...job.remarks.map((line) => h("li", {}, line)));
  }
}

whenHeard((job, before) => {
  if (!before || isOver(before) || !isOver(job)) return;
  const wrong = job.state === "failed";
  const here = location.hash.startsWith("#library");
  const action = here ? undefined : { label: "Library", act: () => (location.hash = "#library") };
  say(`${nameOf(job.kind)}: ${outcome(job)}`, { wrong, ...(action ? { action } : {}) });
});
