/** What the service tells by itself: how jobs go on. One connection for the page, made when first listened to. @module */

import { address } from "./api.js";

/**
 * @typedef {{ id: string, kind: string, state: "waiting" | "running" | "done" | "failed" | "cancelled", label: string,
 *   done: number, total: number, left_s: number | null, remarks: string[], problem: string | null, result: any,
 *   made_s: number, started_s: number | null, ended_s: number | null }} Job
 */

const AGAIN_MS = 3000;
const target = new EventTarget();
/** @type {Map<string, Job>} */
const jobs = new Map();
/** @type {EventSource | null} */
let source = null;

function connect() {
  if (source) return;
  source = new EventSource(address("/events"));
  source.addEventListener("job", (event) => {
    /** @type {Job} */
    const job = JSON.parse(/** @type {MessageEvent<string>} */ (event).data);
    jobs.set(job.id, job);
    target.dispatchEvent(new CustomEvent("job", { detail: job }));
  });
  source.addEventListener("error", () => {
    if (source?.readyState !== EventSource.CLOSED) return; // it connects again by itself
    source = null;
    setTimeout(connect, AGAIN_MS);
  });
}

/**
 * Call a function with each job that is there, and again whenever one goes on; returns what ends that.
 * @param {(job: Job) => void} act
 */
export function onJob(act) {
  const heard = (/** @type {Event} */ event) => act(/** @type {CustomEvent<Job>} */ (event).detail);
  target.addEventListener("job", heard);
  for (const job of jobs.values()) act(job);
  connect();
  return () => target.removeEventListener("job", heard);
}

/** Whether a job has come to its end. @param {Job} job */
export const isOver = (job) => job.state === "done" || job.state === "failed" || job.state === "cancelled";
