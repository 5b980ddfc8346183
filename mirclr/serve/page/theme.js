// The colours that were chosen here before, or the system's, before anything is painted. No module: those wait.
"use strict";
(() => {
  const root = document.documentElement;
  const light = matchMedia("(prefers-color-scheme: light)");

  function show() {
    let chosen = null;
    try {
      chosen = localStorage.getItem("theme");
    } catch {
      // a browser that keeps nothing shows the colours of the system
    }
    const theme = chosen === "dark" || chosen === "light" ? chosen : null;
    root.dataset.chosen = theme ?? "system";
    root.dataset.theme = theme ?? (light.matches ? "light" : "dark");
    document.dispatchEvent(new Event("theme"));
  }

  show();
  light.addEventListener("change", show);
  addEventListener("storage", show);
  document.addEventListener("theme-chosen", show);
})();
