/** For you. @module */

import { add, h } from "./elements.js";

class YouView extends HTMLElement {
  connectedCallback() {
    if (!this.firstChild) add(this, h("h1", {}, "For you"));
  }
}

customElements.define("m-you-view", YouView);
