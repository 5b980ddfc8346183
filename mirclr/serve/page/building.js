/** What a list is being built from: songs to be like, songs to be unlike, a path; for this tab. @module */

/** @typedef {{ seeds: number[], avoid: number[], to: number | null }} Building */

const KEY = "building";

/** Fires `change` whenever the songs change. */
class Build extends EventTarget {
  constructor() {
    super();
    /** @type {Building} */
    this.state = { seeds: [], avoid: [], to: null };
    try {
      Object.assign(this.state, JSON.parse(sessionStorage.getItem(KEY) ?? "{}"));
    } catch {
      // a browser that keeps nothing begins anew
    }
  }

  /**
   * Make the list more like a song.
   * @param {number} id
   */
  addSeed(id) {
    const { seeds, avoid, to } = this.state;
    this.set({ seeds: [...seeds.filter((one) => one !== id), id], avoid: avoid.filter((one) => one !== id), to });
  }

  /**
   * Make the list less like a song.
   * @param {number} id
   */
  addAvoid(id) {
    const { seeds, avoid, to } = this.state;
    this.set({ seeds: seeds.filter((one) => one !== id), avoid: [...avoid.filter((one) => one !== id), id], to });
  }

  /**
   * Make the list a path from one song to another.
   * @param {number} a
   * @param {number} b
   */
  setPath(a, b) {
    this.set({ seeds: [a], avoid: [], to: b });
  }

  /**
   * @param {Building} state
   */
  set(state) {
    this.state = state;
    try {
      sessionStorage.setItem(KEY, JSON.stringify(state));
    } catch {
      // see above
    }
    this.dispatchEvent(new Event("change"));
  }
}

export const build = new Build();
