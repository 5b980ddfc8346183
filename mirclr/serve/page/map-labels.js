/** Names of clusters above the map: as many as have room, finer ones as one comes closer. @module */

import { h } from "./elements.js";

/**
 * @typedef {{ name: string, x: number, y: number, size: number, level: number }} Cluster
 * @typedef {{ name: string, x: number, y: number, width: number, height: number }} Box
 * @typedef {{ label: HTMLElement, cluster: Cluster, width: number, height: number }} Label
 */

const FROM_ZOOM = [0, 1.7, 4]; // of each level
const MOST = 28;
const APART_PX = 12;
const EDGE_PX = 6;
const SAME_PX = 260; // between two of one name

export class Labels {
  constructor() {
    this.element = h("div", { class: "map-labels", "aria-hidden": "true" });
    /** @type {Label[]} */
    this.labels = [];
  }

  /** @param {Cluster[]} clusters */
  set(clusters) {
    this.labels = clusters
      .filter(({ name }) => name)
      .sort((a, b) => a.level - b.level || b.size - a.size)
      .map((cluster) => ({ cluster, label: h("span", { class: `map-label level-${cluster.level}` }, cluster.name), width: 0, height: 0 }));
    this.element.replaceChildren(...this.labels.map(({ label }) => label));
    for (const one of this.labels) {
      one.width = one.label.offsetWidth;
      one.height = one.label.offsetHeight;
      one.label.hidden = true;
    }
  }

  /** @param {import("./map-look.js").Look} look */
  draw(look) {
    /** @type {Box[]} */
    const taken = [];
    for (const { label, cluster, width, height } of this.labels) {
      const box = this.roomFor(cluster, width, height, look, taken);
      if (label.hidden !== (box === null)) label.hidden = box === null;
      if (!box) continue;
      taken.push(box);
      label.style.transform = `translate(${Math.round(box.x)}px, ${Math.round(box.y)}px)`;
    }
  }

  /**
   * Where a name has room; none where others stand.
   * @param {Cluster} cluster
   * @param {number} width
   * @param {number} height
   * @param {import("./map-look.js").Look} look
   * @param {Box[]} taken
   * @returns {Box | null}
   */
  roomFor({ name, x, y, level }, width, height, look, taken) {
    if (taken.length >= MOST || look.zoomed < (FROM_ZOOM[level] ?? Infinity)) return null;
    const [left, top] = look.toPixels(x, y);
    const edge = look.covered.left + EDGE_PX;
    if (left < edge || top < 0 || left > look.width || top > look.height) return null;
    const inside = Math.max(edge, Math.min(look.width - width - EDGE_PX, left - width / 2));
    const box = { name, x: inside, y: Math.max(EDGE_PX, Math.min(look.height - height - EDGE_PX, top - height / 2)), width, height };
    return taken.some((one) => overlap(one, box) || (one.name === name && Math.hypot(one.x - box.x, one.y - box.y) < SAME_PX)) ? null : box;
  }
}

/** @param {Box} a @param {Box} b */
const overlap = (a, b) =>
  a.x - APART_PX < b.x + b.width && b.x - APART_PX < a.x + a.width && a.y - APART_PX / 2 < b.y + b.height && b.y - APART_PX / 2 < a.y + a.height;
