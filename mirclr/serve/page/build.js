/** Build. @module */

import { add, h } from "./elements.js";

class BuildView extends HTMLElement {
  connectedCallback() {
    if (!this.firstChild) add(this, h("h1", {}, "Build"));
  }
}

customElements.define("m-build-view", BuildView);
