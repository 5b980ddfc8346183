/** What could not be read, and what plays with a fault: why, and what to do. @module */

import { get } from "./api.js";
import { add, h } from "./elements.js";
import { icon } from "./icons.js";
import { attempt } from "./notices.js";
import { play } from "./player.js";

/** @typedef {{ file: string, reason: string, what_to_do: string, track: number | null }} Failed */

const PAGE = 100;

/** @type {import("./library.js").Part} */
export async function failuresPart(_stats, begin) {
  const list = h("ul", { class: "failures" });
  const more = h("button", { type: "button" }, "Show more");
  const ask = async () => {
    /** @type {{ total: number, failures: Failed[] }} */
    const found = await get("/failures", { offset: list.childElementCount, limit: PAGE });
    add(list, ...found.failures.map(row));
    more.hidden = list.childElementCount >= found.total || !found.failures.length;
    return found.total;
  };
  if (!(await ask())) return h("p", { class: "empty" }, "Every file was read.");
  more.addEventListener("click", () => void attempt(ask));
  const again = begin && h("button", { type: "button", on: { click: () => begin("embed", { retry: true }) } }, icon("refresh"), "Try them again");
  return h("div", {}, h("div", { class: "part-tools" }, h("p", { class: "muted" }, "These files are not in the library, or play with a fault."), again), list, more);
}

/** @param {Failed} failed */
function row({ file, reason, what_to_do, track }) {
  const name = file.split(/[\\/]/).at(-1) ?? file;
  const listen = track !== null && h("button", { class: "icon-button", type: "button", "aria-label": `Play ${name}`, on: { click: () => play([track]) } }, icon("play"));
  return h(
    "li",
    { class: "failure" },
    icon("warning"),
    h("div", { class: "names" }, h("h2", {}, name), h("p", { class: "muted path" }, file), h("p", {}, reason), h("p", { class: "muted" }, what_to_do)),
    listen,
  );
}
