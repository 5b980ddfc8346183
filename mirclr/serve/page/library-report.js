/** The last report on the library: a document of its own that runs nothing. @module */

import { address } from "./api.js";
import { h } from "./elements.js";
import { icon } from "./icons.js";

/** @type {import("./library.js").Part} */
export function reportPart(stats, begin) {
  const made = stats.reported_s;
  const label = made ? "Make it anew" : "Make the report";
  const make = begin && h("button", { type: "button", on: { click: () => begin("report") } }, icon("chart"), label);
  const line = made ? `Made ${new Date(1000 * made).toLocaleString()}.` : "There is no report yet: a page on all that the library holds, and how well it is known.";
  const open = made && h("a", { class: "button", href: address("/report"), target: "_blank", rel: "noopener" }, "Open it alone");
  const frame = made && h("iframe", { class: "report", title: "Report on the library", src: address("/report", { made }), sandbox: "" });
  return h("div", {}, h("div", { class: "part-tools" }, h("p", { class: "muted" }, line), open, make), frame);
}
