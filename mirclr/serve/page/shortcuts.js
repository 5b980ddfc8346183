/** Keys of the whole page, and the dialog that lists them. @module */

import { h } from "./elements.js";
import { openDialog } from "./dialog.js";

/** @type {{ keys: string, label: string, act: () => void }[]} */
const shortcuts = [];

/**
 * Give a key of the keyboard something to do, wherever no text is written.
 * @param {string} key As `KeyboardEvent.key` has it.
 * @param {string} label
 * @param {() => void} act
 */
export function onKey(key, label, act) {
  shortcuts.push({ keys: key, label, act });
}

/** Lines of the dialog on keys that only a part of the page has. @type {{ part: string, rows: [string, string][], isShown: () => boolean }[]} */
const parts = [];

/**
 * List keys that a part of the page hears by itself, while it is shown.
 * @param {string} part
 * @param {[string, string][]} rows Keys, and what they do.
 * @param {() => boolean} isShown
 */
export function listKeys(part, rows, isShown) {
  parts.push({ part, rows, isShown });
}

const NAMES = /** @type {{ [key: string]: string }} */ ({ " ": "Space", ArrowLeft: "←", ArrowRight: "→" });

export function showShortcuts() {
  const list = (/** @type {[string, string][]} */ rows) =>
    h("dl", { class: "keys" }, ...rows.flatMap(([keys, label]) => [h("dt", {}, h("kbd", {}, keys)), h("dd", {}, label)]));
  const shown = parts.filter(({ isShown }) => isShown()).flatMap(({ part, rows }) => [h("h3", {}, part), list(rows)]);
  openDialog("Keys", list(shortcuts.map(({ keys, label }) => [NAMES[keys] ?? keys, label])), ...shown);
}

/** Whether a key that is pressed at an element is the element's own. @param {EventTarget | null} target @param {string} key */
function isTaken(target, key) {
  if (!(target instanceof HTMLElement)) return false;
  if (target.isContentEditable || target.closest("dialog")) return true;
  if (target.matches("input[type=range], [role=slider]")) return /^(Arrow|Page|Home|End)/.test(key);
  if (target.matches("input:not([type=checkbox], [type=radio]), textarea, select")) return true;
  if (target.closest("[role=menu], [role=listbox], [data-own-keys]")) return true;
  return key === " " && target.closest("button, a, summary, input, [role=button], [tabindex='0']") !== null;
}

export function installShortcuts() {
  onKey("?", "Show these keys", showShortcuts);
  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || isTaken(event.target, event.key)) return;
    const found = shortcuts.find(({ keys }) => keys === event.key);
    if (!found) return;
    event.preventDefault();
    found.act();
  });
}
