/** Rows that are put in another order: dragged by a handle, or moved by the arrow keys on it. @module */

import { h } from "./elements.js";
import { icon } from "./icons.js";

const EDGE_PX = 60; // of what scrolls, near which a row that is dragged scrolls it
const STEP_PX = 12;

/** @type {HTMLElement | null} */
let status = null;

/** Say to screen readers where a row is now. @param {string} text */
function announce(text) {
  if (!status) {
    status = h("div", { class: "visually-hidden", role: "status", "aria-live": "assertive" });
    document.body.append(status);
  }
  status.textContent = text;
}

/**
 * The handle by which a row of a list is moved.
 * @param {string} name Of the row, for people.
 * @param {(from: number, to: number) => void} moved Called with places among the rows, when one is put elsewhere; it is
 *   there already.
 */
export function dragHandle(name, moved) {
  const handle = h("button", {
    class: "icon-button drag",
    type: "button",
    "aria-label": `Move ${name}: arrow keys, or drag`,
    title: "Drag, or arrow keys",
    data: { ownKeys: "" },
  });
  handle.append(icon("drag"));
  handle.addEventListener("keydown", (event) => {
    const row = rowOf(handle);
    const rows = rowsOf(row);
    const from = rows.indexOf(row);
    const to = { ArrowUp: from - 1, ArrowDown: from + 1, Home: 0, End: rows.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    if (to < 0 || to >= rows.length || to === from) return;
    put(row, to);
    handle.focus();
    announce(`${name}: place ${to + 1} of ${rows.length}`);
    moved(from, to);
  });
  handle.addEventListener("pointerdown", (event) => {
    if (event.button === 0) drag(handle, event, moved);
  });
  return handle;
}

/** @param {HTMLElement} handle @returns {HTMLElement} */
const rowOf = (handle) => /** @type {HTMLElement} */ (handle.closest("li"));

/** @param {HTMLElement} row */
const rowsOf = (row) => /** @type {HTMLElement[]} */ ([...(row.parentElement?.children ?? [])]);

/** @param {HTMLElement} row @param {number} to */
function put(row, to) {
  const others = rowsOf(row).filter((one) => one !== row);
  row.parentElement?.insertBefore(row, others[to] ?? null);
}

/**
 * @param {HTMLElement} handle
 * @param {PointerEvent} start
 * @param {(from: number, to: number) => void} moved
 */
function drag(handle, start, moved) {
  const row = rowOf(handle);
  const rows = rowsOf(row);
  const from = rows.indexOf(row);
  const scroller = scrollerOf(row);
  const tops = rows.map((one) => one.offsetTop);
  const height = row.offsetHeight;
  const begun_px = start.clientY + scroller.scrollTop;
  let to = from;
  let y = start.clientY;
  /** @type {number | undefined} */
  let frame;

  const show = () => {
    const by_px = y + scroller.scrollTop - begun_px;
    const middle = (tops[from] ?? 0) + by_px + height / 2;
    to = 0;
    for (const [i, one] of rows.entries()) {
      if (i !== from && (tops[i] ?? 0) + one.offsetHeight / 2 < middle) to += 1;
    }
    row.style.transform = `translateY(${by_px}px)`;
    for (const [i, one] of rows.entries()) {
      if (i === from) continue;
      const shift = from < i && i <= to ? -height : to <= i && i < from ? height : 0;
      one.style.transform = shift ? `translateY(${shift}px)` : "";
    }
  };
  const scroll = () => {
    const { top, bottom } = scroller.getBoundingClientRect();
    const step = y < top + EDGE_PX ? -STEP_PX : y > bottom - EDGE_PX ? STEP_PX : 0;
    if (step) {
      scroller.scrollTop += step;
      show();
    }
    frame = requestAnimationFrame(scroll);
  };
  const move = (/** @type {PointerEvent} */ event) => {
    y = event.clientY;
    show();
  };
  const end = (/** @type {boolean} */ drop) => {
    if (frame !== undefined) cancelAnimationFrame(frame);
    for (const event of ["pointermove", "pointerup", "pointercancel", "keydown"]) handle.removeEventListener(event, listeners[event]);
    for (const one of rows) one.style.transform = "";
    row.classList.remove("dragged");
    row.parentElement?.classList.remove("sorting");
    if (!drop || to === from) return;
    put(row, to);
    moved(from, to);
  };
  /** @type {{ [event: string]: any }} */
  const listeners = {
    pointermove: move,
    pointerup: () => end(true),
    pointercancel: () => end(false),
    keydown: (/** @type {KeyboardEvent} */ event) => event.key === "Escape" && end(false),
  };
  for (const [event, act] of Object.entries(listeners)) handle.addEventListener(event, act);
  handle.setPointerCapture(start.pointerId);
  row.classList.add("dragged");
  row.parentElement?.classList.add("sorting");
  frame = requestAnimationFrame(scroll);
}

/** What scrolls a row. @param {HTMLElement} row @returns {HTMLElement} */
function scrollerOf(row) {
  for (let one = row.parentElement; one; one = one.parentElement) {
    if (/auto|scroll/.test(getComputedStyle(one).overflowY)) return one;
  }
  return document.documentElement;
}
