/** Dialogs: the browser's own, with a heading and a way out. @module */

import { add, h, uniqueId } from "./elements.js";
import { icon } from "./icons.js";

/**
 * Open a dialog; it is gone once it is closed.
 * @param {string} title
 * @param {...import("./elements.js").Child} children
 * @returns {HTMLDialogElement}
 */
export function openDialog(title, ...children) {
  const heading = uniqueId("dialog");
  const dialog = h("dialog", { "aria-labelledby": heading });
  const leave = h("button", { class: "icon-button", type: "button", "aria-label": "Close" }, icon("close"));
  leave.addEventListener("click", () => dialog.close());
  add(dialog, h("header", {}, h("h2", { id: heading }, title), leave), h("div", { class: "dialog-body" }, ...children));
  dialog.addEventListener("close", () => dialog.remove());
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  document.body.append(dialog);
  dialog.showModal();
  return dialog;
}

/**
 * Ask whether something is really to be done.
 * @param {string} title
 * @param {string} text
 * @param {string} label Of the button that does it.
 * @returns {Promise<boolean>}
 */
export function confirmed(title, text, label) {
  return new Promise((resolve) => {
    let answer = false;
    const yes = h("button", { class: "primary", type: "button" }, label);
    const no = h("button", { type: "button" }, "Cancel");
    const dialog = openDialog(title, h("p", {}, text), h("div", { class: "dialog-buttons" }, no, yes));
    yes.addEventListener("click", () => {
      answer = true;
      dialog.close();
    });
    no.addEventListener("click", () => dialog.close());
    dialog.addEventListener("close", () => resolve(answer));
    yes.focus();
  });
}

/**
 * Ask for a name.
 * @param {string} title
 * @param {{ label: string, value?: string, button: string, secret?: boolean, hint?: string }} options
 * @returns {Promise<string | null>} None where it was left.
 */
export function askForText(title, { label, value = "", button, secret = false, hint }) {
  return new Promise((resolve) => {
    /** @type {string | null} */
    let given = null;
    const id = uniqueId("text");
    const type = secret ? "password" : "text";
    const about = uniqueId("hint");
    const described = hint ? { "aria-describedby": about } : {};
    const input = h("input", { id, type, value, required: true, autocomplete: secret ? "current-password" : "off", ...described });
    const form = h(
      "form",
      { class: "dialog-form" },
      h("label", { for: id }, label),
      input,
      hint && h("p", { class: "muted", id: about }, hint),
      h("div", { class: "dialog-buttons" }, h("button", { class: "primary" }, button)),
    );
    const dialog = openDialog(title, form);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      given = input.value.trim();
      if (given) dialog.close();
    });
    dialog.addEventListener("close", () => resolve(given || null));
    input.select();
  });
}
