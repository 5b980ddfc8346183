/** Map. @module */

import { add, h } from "./elements.js";

class MapView extends HTMLElement {
  connectedCallback() {
    if (!this.firstChild) add(this, h("h1", {}, "Map"));
  }
}

customElements.define("m-map-view", MapView);
