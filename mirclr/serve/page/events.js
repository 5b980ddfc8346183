/** What the service tells by itself: how jobs go on. One connection for the page, while somebody listens or a job runs. @module */

import { address } from "./api.js";

/**
 * @typedef {{ id: number, kind: string, state: "waiting" | "running" | "done" | "failed" | "cancelled", label: string,
 *   done: number, total: number | null, left_s: number | null, note: string, remarks: string[], problem: string | null,
 *   result: { [name: string]: any } | null, changes: number, made_s: number, started_s: number | null, ended_s: number | null }} Job
 */

const AGAIN_MS = 3000;
/** @type {Map<number, Job>} */
const jobs = new Map();
/** @type {Set<(job: Job, before: Job | undefined) => void>} */
const listeners = new Set();
/** @type {EventSource | null} */
let source = null;

/** Whether a job has come to its end. @param {Job} job */
export const isOver = (job) => job.state === "done" || job.state === "failed" || job.state === "cancelled";

const isWanted = () => listeners.size > 0 || [...jobs.values()].some((job) => !isOver(job));

function connect() {
  if (source || !isWanted()) return;
  source = new EventSource(address("/events"));
  source.addEventListener("job", (event) => take(JSON.parse(/** @type {MessageEvent<string>} */ (event).data)));
  source.addEventListener("error", () => {
    if (source?.readyState !== EventSource.CLOSED) return; // it connects again by itself
    source = null;
    setTimeout(connect, AGAIN_MS);
  });
}

function disconnect() {
  if (isWanted()) return;
  source?.close();
  source = null;
}

/**
 * Take note of a job, such as one that was just begun; its end is waited for. An answer may come after an event that
 * is later than it; then nothing changes.
 * @param {Job} job
 */
export function take(job) {
  const before = jobs.get(job.id);
  if (before?.made_s === job.made_s && before.changes > job.changes) return;
  jobs.set(job.id, job);
  for (const act of [...listeners, ...always]) act(job, before);
  if (isOver(job)) disconnect();
  else connect();
}

/** @type {Set<(job: Job, before: Job | undefined) => void>} */
const always = new Set();

/**
 * Call a function with each job that is known, and again whenever one goes on; returns what ends that.
 * @param {(job: Job, before: Job | undefined) => void} act
 */
export function onJob(act) {
  listeners.add(act);
  for (const job of jobs.values()) act(job, job);
  connect();
  return () => {
    listeners.delete(act);
    disconnect();
  };
}

/**
 * Call a function with each job that goes on, as long as others listen or it runs.
 * @param {(job: Job, before: Job | undefined) => void} act
 */
export function whenHeard(act) {
  always.add(act);
}
