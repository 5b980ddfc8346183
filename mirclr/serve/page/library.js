/** The library: folders, what is done with them, what could not be read, what is there twice. @module */

import { add, h } from "./elements.js";

class LibraryView extends HTMLElement {
  connectedCallback() {
    if (!this.firstChild) add(this, h("h1", {}, "Library"));
  }
}

customElements.define("m-library-view", LibraryView);
