/** The token, where the service demands one: asked for once, kept by the browser as a cookie. @module */

import { get, letThrough, post, Problem } from "./api.js";
import { askForText } from "./dialog.js";
import { sayProblem } from "./notices.js";

/** @typedef {{ needed: boolean, open: boolean, read_only: boolean, version: string }} Session */

/** What may be done here. @type {Session} */
export let session = { needed: false, open: true, read_only: false, version: "" };

/** @type {Promise<boolean> | null} */
let asking = null;
/** Why the last token was not taken; the dialog that asks again says it, as nothing else is heard beside one. */
let problem = "";

/** Ask for the token until it is right, or the dialog is left. */
async function askForToken() {
  for (;;) {
    const token = await askForText("This library is locked", {
      label: "Token",
      button: "Open",
      secret: true,
      hint: problem || "mirclr serve showed it when it began.",
    });
    if (token === null) return false;
    if (await isLetIn(token)) return true;
  }
}

/** @param {string} token */
async function isLetIn(token) {
  try {
    session = await post("/session", { token });
  } catch (error) {
    if (!(error instanceof Problem)) throw error;
    problem = error.status === 401 ? "That was another one; mirclr serve showed the token when it began." : error.message;
  }
  return session.open;
}

/** The token that the address ends in, as mirclr serve prints it; it is taken out of the address. */
function tokenOfAddress() {
  const found = /^#token=(.+)$/.exec(location.hash)?.[1];
  if (found) history.replaceState(null, "", location.pathname + location.search);
  return found && decodeURIComponent(found);
}

/** Ask once, whoever needs it. */
function askOnce() {
  asking ??= askForToken().finally(() => (asking = null));
  return asking;
}

/** Find out whether a token is needed, and give it; what is asked meanwhile waits. */
export async function begin() {
  const token = tokenOfAddress();
  try {
    session = await get("/session");
    if (!session.open && !(token && (await isLetIn(token)))) await askOnce();
  } catch (error) {
    sayProblem(error);
  }
  letThrough(askOnce);
}
