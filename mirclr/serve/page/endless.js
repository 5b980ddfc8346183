/** A list of any length of which only what is seen is made and asked for. @module */

import { add, fill, h } from "./elements.js";
import { isAbort } from "./api.js";
import { sayProblem } from "./notices.js";

const CHUNK = 100; // rows of one question
const BEYOND = 8; // rows made above and below what is seen
const MOST_PX = 8_000_000; // browsers lay out no more; of longer lists the scroll bar is a scale

/**
 * @template T
 * @typedef {{ total: number, rows: T[] }} Chunk
 */

/** @template T */
export class EndlessList {
  /**
   * @param {{ scroller: HTMLElement, row_px: number, label: string,
   *   ask: (offset: number, limit: number, signal: AbortSignal) => Promise<Chunk<T>>,
   *   make: (row: T, at: number) => HTMLElement, counted?: (total: number) => void }} options
   *   `scroller`: what scrolls; `make`: the element of a row.
   */
  constructor(options) {
    this.options = options;
    this.list = h("ol", { class: "song-list endless", "aria-label": options.label });
    this.element = h("div", { class: "endless-room" }, this.list);
    this.total = 0;
    /** @type {Map<number, T[] | Promise<void>>} */
    this.chunks = new Map();
    /** @type {Map<number, HTMLElement>} */
    this.made = new Map();
    this.stop = new AbortController();
    this.drawn = false;
    const draw = () => this.soon();
    options.scroller.addEventListener("scroll", draw, { passive: true });
    new ResizeObserver(draw).observe(options.scroller);
  }

  /** Forget all rows and ask anew. */
  async renew() {
    this.stop.abort();
    this.stop = new AbortController();
    this.chunks.clear();
    this.made.clear();
    this.total = 0;
    this.list.setAttribute("aria-busy", "true");
    await this.load(0);
    this.list.removeAttribute("aria-busy");
  }

  /** Ask for the rows of a chunk, unless they are there or asked for. @param {number} chunk */
  load(chunk) {
    const held = this.chunks.get(chunk);
    if (held) return held instanceof Promise ? held : Promise.resolve();
    const { signal } = this.stop;
    const asking = this.options
      .ask(chunk * CHUNK, CHUNK, signal)
      .then(({ total, rows }) => {
        if (signal.aborted) return;
        this.chunks.set(chunk, rows);
        if (total !== this.total || chunk === 0) {
          this.total = total;
          this.options.counted?.(total);
        }
        this.draw();
      })
      .catch((error) => {
        if (isAbort(error) || signal.aborted) return;
        this.chunks.delete(chunk);
        sayProblem(error);
      });
    this.chunks.set(chunk, asking);
    return asking;
  }

  /** The row at a place, where it is there. @param {number} at @returns {T | undefined} */
  at(at) {
    const chunk = this.chunks.get(Math.floor(at / CHUNK));
    return Array.isArray(chunk) ? chunk[at % CHUNK] : undefined;
  }

  soon() {
    if (this.drawn) return;
    this.drawn = true;
    requestAnimationFrame(() => {
      this.drawn = false;
      this.draw();
    });
  }

  draw() {
    const { scroller, row_px, make } = this.options;
    if (!this.element.isConnected || !scroller.clientHeight) return;
    const full_px = this.total * row_px;
    const room_px = Math.min(full_px, MOST_PX);
    this.element.style.height = `${room_px}px`;
    const above_px = this.element.getBoundingClientRect().top - scroller.getBoundingClientRect().top;
    const seen_px = Math.max(0, -above_px);
    const way_px = Math.max(1, room_px - scroller.clientHeight);
    const scale = room_px < full_px ? (full_px - scroller.clientHeight) / way_px : 1;
    const from_px = Math.min(seen_px * scale, full_px);
    const first = Math.max(0, Math.floor(from_px / row_px) - BEYOND);
    const end = Math.min(this.total, Math.ceil((from_px + scroller.clientHeight) / row_px) + BEYOND);
    for (let chunk = Math.floor(first / CHUNK); chunk * CHUNK < end; chunk++) void this.load(chunk);
    const shown = [];
    const kept = new Map();
    for (let at = first; at < end; at++) {
      const row = this.at(at);
      const element = this.made.get(at) ?? (row === undefined ? h("li", { class: "song-row waiting" }) : make(row, at));
      element.setAttribute("aria-setsize", String(this.total));
      element.setAttribute("aria-posinset", String(at + 1));
      if (row !== undefined) kept.set(at, element);
      shown.push(element);
    }
    this.made = kept;
    this.list.style.transform = `translateY(${Math.round(seen_px + first * row_px - from_px)}px)`;
    const focused = document.activeElement;
    const held = focused instanceof HTMLElement && this.list.contains(focused) ? focused : null;
    if (!sameChildren(this.list, shown)) {
      if (held) swap(this.list, shown);
      else fill(this.list, ...shown);
    }
  }
}

/** @param {Element} parent @param {Element[]} wanted */
const sameChildren = (parent, wanted) =>
  parent.childElementCount === wanted.length && wanted.every((element, i) => parent.children[i] === element);

/** Put children in place of others without moving those that stay: one of them holds the focus. @param {Element} parent @param {Element[]} wanted */
function swap(parent, wanted) {
  const stay = new Set(wanted);
  for (const child of [...parent.children]) if (!stay.has(child)) child.remove();
  const first = wanted.findIndex((element) => element.parentNode === parent);
  if (first < 0) return add(parent, ...wanted);
  const before = /** @type {Element} */ (wanted[first]);
  for (const element of wanted.slice(0, first)) parent.insertBefore(element, before);
  for (const element of wanted.slice(first)) if (element.parentNode !== parent) parent.append(element);
}
