/** The folders of the library, and what can be done with each. @module */

import { get } from "./api.js";
import { counted, h } from "./elements.js";
import { icon } from "./icons.js";
import { howFilled } from "./library-overview.js";

/** @typedef {{ number: number, path: string, songs: number, absence: string | null, excluded: string[] }} Folder */

/** @type {import("./library.js").Part} */
export async function foldersPart(_stats, begin) {
  /** @type {Folder[]} */
  const folders = await get("/folders");
  const rows = folders.map((folder) => row(folder, begin));
  return h(
    "div",
    {},
    rows.length ? h("ul", { class: "folders" }, ...rows) : h("p", { class: "empty" }, "This library has no folder yet."),
    howFilled(),
  );
}

/** @param {Folder} folder @param {import("./library.js").Begin} begin */
function row({ number, path, songs, absence, excluded }, begin) {
  const act = (/** @type {string} */ kind) => () => begin?.(kind, { folder: number });
  return h(
    "li",
    { class: "card folder" },
    icon("folder"),
    h(
      "div",
      { class: "names" },
      h("h2", { class: "path" }, path),
      h("p", { class: "muted" }, counted(songs, "song"), excluded.length > 0 && `; left out: ${excluded.join(", ")}`),
      absence && h("p", { class: "wrong" }, icon("warning"), ` It ${absence}; its songs are kept, and nothing is done with it until it is back.`),
    ),
    begin && !absence && h("div", { class: "folder-buttons" }, h("button", { type: "button", on: { click: act("sync") } }, icon("refresh"), "Bring up to date")),
  );
}
