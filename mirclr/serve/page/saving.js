/** What becomes of a list: kept in the library, or a file for other players. @module */

import { ask as askService, get, put } from "./api.js";
import { openDialog } from "./dialog.js";
import { counted, h } from "./elements.js";
import { attempt, say } from "./notices.js";

/** @param {string} name */
export const playlistPath = (name) => `/playlists/${encodeURIComponent(name)}`;

/**
 * Ask for a name and keep a list: its songs, or what they were asked for by.
 * @param {number[]} ids
 * @param {{ [field: string]: unknown } | null} query None where it cannot be listed anew.
 * @param {string} name
 * @param {boolean} [anew] Whether it is to be listed anew, unless a person chooses otherwise.
 * @returns {Promise<string | null>} The name that was given.
 */
export function saveList(ids, query, name, anew = false) {
  return new Promise((resolve) => {
    /** @type {string | null} */
    let kept = null;
    const input = h("input", { value: name, maxlength: 200, "aria-label": "Name", placeholder: "Name of the list", required: true, autocomplete: "off" });
    const choice = (/** @type {string} */ value, /** @type {string} */ title, /** @type {string} */ about, /** @type {boolean} */ checked) =>
      h("label", { class: "choice" }, h("input", { type: "radio", name: "what", value, checked }), h("span", {}, h("strong", {}, title), h("small", {}, about)));
    const submit = h("button", { class: "primary", type: "submit" }, "Save");
    const warning = h("p", { class: "muted", role: "status" });
    let [asked, sending] = [false, false];
    const ask = (/** @type {boolean} */ whether) => {
      asked = whether;
      submit.textContent = whether ? "Replace" : "Save";
      warning.textContent = whether ? "There is a playlist of this name already." : "";
    };
    const form = h(
      "form",
      { class: "dialog-form", method: "dialog" },
      input,
      query && choice("songs", "These songs", `${counted(ids.length, "song")} in this order.`, !anew),
      query && choice("query", "What I asked for", "Listed anew from your library whenever you open it.", anew),
      warning,
      h("div", { class: "dialog-buttons" }, submit),
    );
    const dialog = openDialog("Save the list", form);
    input.addEventListener("input", () => ask(false));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const asQuery = new FormData(form).get("what") === "query";
      if (sending) return;
      sending = true;
      void attempt(async () => {
        const given = input.value.trim();
        /** @type {{ name: string }[]} */
        const held = await get("/playlists");
        if (!asked && given !== name && held.some((one) => one.name === given)) return ask(true);
        await put(playlistPath(given), asQuery ? { query } : { tracks: ids });
        kept = given;
        dialog.close();
        say(`Saved as ${given}`, { action: { label: "Playlists", act: () => (location.hash = "#you") } });
      }).finally(() => (sending = false));
    });
    dialog.addEventListener("close", () => resolve(kept));
    input.select();
  });
}

/**
 * Let the browser save a file of songs.
 * @param {number[]} ids
 * @param {string} name
 * @param {"m3u8" | "xspf" | "jspf"} format
 */
export async function exportList(ids, name, format) {
  const answer = await askService("POST", "/export", { body: { name, tracks: ids }, query: { format } });
  const link = h("a", { href: URL.createObjectURL(await answer.blob()), download: nameOf(answer, `playlist.${format}`) });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/** The name that the service gives a file. @param {Response} answer @param {string} otherwise */
function nameOf(answer, otherwise) {
  const found = /filename\*=UTF-8''([^;]+)/.exec(answer.headers.get("Content-Disposition") ?? "");
  return found?.[1] ? decodeURIComponent(found[1]) : otherwise;
}
