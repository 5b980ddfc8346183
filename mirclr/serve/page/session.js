/** The token, where the service demands one: asked for once, kept by the browser as a cookie. @module */

import { get, onTokenNeeded, post, Problem } from "./api.js";
import { askForText } from "./dialog.js";
import { say } from "./notices.js";

/** @type {Promise<boolean> | null} */
let asking = null;

async function ask() {
  for (;;) {
    const token = await askForText("This library is locked", {
      label: "Token",
      button: "Open",
      secret: true,
      hint: "mirclr serve prints it when it starts.",
    });
    if (token === null) return false;
    try {
      await post("/session", { token });
      return true;
    } catch (error) {
      if (!(error instanceof Problem)) throw error;
      say(error.message, { wrong: true });
    }
  }
}

/** Ask for the token where one is needed; every question that needs it waits for the same dialog. */
export function installSession() {
  onTokenNeeded(() => {
    asking ??= ask().finally(() => (asking = null));
    return asking;
  });
}

/** What may be done here: whether anything may be written. @returns {Promise<{ read_only: boolean }>} */
export const session = () => get("/session");
