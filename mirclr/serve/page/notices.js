/** Short lines at the edge of the page: what was done, or what went wrong. Read aloud by screen readers. @module */

import { isAbort } from "./api.js";
import { h } from "./elements.js";
import { icon } from "./icons.js";

const SHOWN_MS = 5000;

/** @type {HTMLElement | null} */
let place = null;

function region() {
  if (!place) {
    place = h("div", { class: "notices", role: "status", "aria-live": "polite" });
    document.body.append(place);
  }
  return place;
}

/**
 * Say what happened.
 * @param {string} text
 * @param {{ wrong?: boolean, action?: { label: string, act: () => void } }} [options]
 */
export function say(text, { wrong = false, action } = {}) {
  const line = h("div", { class: wrong ? "notice wrong" : "notice" }, icon(wrong ? "warning" : "check"), h("span", {}, text));
  const leave = () => line.remove();
  if (action) {
    const act = () => {
      leave();
      action.act();
    };
    line.append(h("button", { class: "text", type: "button", on: { click: act } }, action.label));
  }
  line.append(h("button", { class: "icon-button", type: "button", "aria-label": "Dismiss", on: { click: leave } }, icon("close")));
  const lines = region();
  while (lines.childElementCount > 2) lines.firstElementChild?.remove();
  lines.append(line);
  setTimeout(leave, wrong ? 2 * SHOWN_MS : SHOWN_MS);
}

/**
 * Say what went wrong, unless the question was withdrawn.
 * @param {unknown} error
 */
export function sayProblem(error) {
  if (!isAbort(error)) say(error instanceof Error ? error.message : String(error), { wrong: true });
}

/**
 * Do something that may go wrong, and say so where it does.
 * @param {() => Promise<unknown> | unknown} act
 */
export async function attempt(act) {
  try {
    await act();
  } catch (error) {
    sayProblem(error);
  }
}
