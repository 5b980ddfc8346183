/** The service, asked: JSON there and back, errors as `Problem`. @module */

/**
 * @typedef {{ id: number, title: string, artist: string | null, album: string | null, genre: string | null,
 *   year: number | null, duration_s: number, path: string }} Track
 * @typedef {Track & { tempo_bpm: number | null, key: string | null }} ListedTrack
 */

/** An answer that is no success, with the line that the command line would print. */
export class Problem extends Error {
  /**
   * @param {number} status 0 where there was no answer.
   * @param {string} detail
   */
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

/** What is said where there is no answer. */
export const NO_ANSWER = "mirclr does not answer; is mirclr serve still running?";

/** @type {(() => Promise<boolean>) | null} */
let askForToken = null;
/** @type {() => void} */
let open = () => undefined;
/** Whatever is asked waits for this: whether a token is needed, and that it was given. */
const opened = new Promise((resolve) => (open = () => resolve(undefined)));

/**
 * Let questions through, which wait until then.
 * @param {() => Promise<boolean>} ask What is done where a token is needed later; says whether one was given.
 */
export function letThrough(ask) {
  askForToken = ask;
  open();
}

/**
 * The address of something of the service, for elements that load by themselves.
 * @param {string} path Below /api/v1, such as `/tracks/12/audio`.
 * @param {{ [name: string]: string | number | boolean | null | undefined }} [query]
 */
export function address(path, query = {}) {
  const given = Object.entries(query).filter(([, value]) => value !== null && value !== undefined && value !== "");
  const text = new URLSearchParams(given.map(([name, value]) => [name, String(value)])).toString();
  return `api/v1${path}${text ? `?${text}` : ""}`;
}

/**
 * @param {string} method
 * @param {string} path
 * @param {{ body?: unknown, query?: { [name: string]: any }, signal?: AbortSignal }} [options] A body that is a Blob is
 *   sent as it is, else as JSON.
 * @returns {Promise<Response>}
 */
export async function ask(method, path, { body, query, signal } = {}) {
  if (path !== "/session") await opened;
  /** @type {{ [name: string]: string }} */
  const headers = { Accept: "application/json" };
  /** @type {BodyInit | undefined} */
  let sent;
  if (body instanceof Blob) sent = body;
  else if (body !== undefined) {
    sent = JSON.stringify(body);
    headers["Content-Type"] = "application/json";
  }
  let answer;
  try {
    answer = await fetch(address(path, query), { method, headers, body: sent, signal, credentials: "same-origin" });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new Problem(0, NO_ANSWER);
  }
  if (answer.ok) return answer;
  if (answer.status === 401 && askForToken && path !== "/session" && (await askForToken())) {
    return ask(method, path, { body, query, signal });
  }
  throw new Problem(answer.status, await line(answer));
}

/** @param {Response} answer */
async function line(answer) {
  try {
    const document = await answer.json();
    if (typeof document.detail === "string") return document.detail;
  } catch {
    // no problem document: another server's page, such as a proxy's
  }
  return `${answer.status} ${answer.statusText}`.trim();
}

/** @typedef {{ query?: { [name: string]: any }, signal?: AbortSignal }} Options */

/**
 * @param {string} path
 * @param {{ [name: string]: any }} [query]
 * @param {AbortSignal} [signal]
 * @returns {Promise<any>}
 */
export const get = async (path, query, signal) => (await ask("GET", path, { query, signal })).json();

/**
 * @param {string} path
 * @param {unknown} [body]
 * @param {Options} [options]
 * @returns {Promise<any>} None where the answer has no body.
 */
export const post = async (path, body, options) => content(await ask("POST", path, { ...options, body }));

/**
 * @param {string} path
 * @param {unknown} body
 * @returns {Promise<any>}
 */
export const put = async (path, body) => content(await ask("PUT", path, { body }));

/**
 * @param {string} path
 * @returns {Promise<any>}
 */
export const del = async (path) => content(await ask("DELETE", path));

/** @param {Response} answer */
async function content(answer) {
  const text = await answer.text();
  return text ? JSON.parse(text) : undefined;
}

/** Questions of which only the last one counts: answers may come in another order than they were asked in. */
export class Latest {
  asking = new AbortController();

  /**
   * Withdraw what was asked before.
   * @returns {AbortSignal} Of the next question; it is aborted once another one follows.
   */
  next() {
    this.asking.abort();
    this.asking = new AbortController();
    return this.asking.signal;
  }
}

/**
 * Whether an error is only that a question was withdrawn.
 * @param {unknown} error
 */
export const isAbort = (error) => error instanceof DOMException && error.name === "AbortError";
