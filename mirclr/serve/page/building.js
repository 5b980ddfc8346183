/** What a list is being built from: songs to be like and unlike, a path, filters, settings; for this tab. @module */

/**
 * @typedef {[number | null, number | null]} Bounds
 * @typedef {{ seeds: number[], avoid: number[], to: number | null, genre: string[], mood: string[], vocal: boolean | null, key: string | null,
 *   compatible: boolean, bpm: Bounds | null, year: Bounds | null, duration_s: Bounds | null, n: number,
 *   length_s: number | null, diversity: number, artist_cap: number, artist_gap: number, same_album: boolean, versions: boolean, fill: boolean,
 *   profile: string | null, seed: number | null, text: string | null, timbre: number, harmony: number, rhythm: number }} Building
 *   `compatible`: also keys that mix with `key`; `length_s`: how long the list plays, in place of `n`; `seed`: of a shuffled list;
 *   `timbre`, `harmony`, `rhythm`: how much each counts of what songs are to be alike in, 0 to 1.
 */

const KEY = "building";
const ASPECTS = /** @type {const} */ (["timbre", "harmony", "rhythm"]);
const COUNT = 20; // songs of a query that says no number

/** @returns {Building} */
const nothing = () => ({
  ...{ seeds: [], avoid: [], to: null, genre: [], mood: [], vocal: null, key: null, compatible: true },
  ...{ bpm: null, year: null, duration_s: null, n: 30, length_s: null, diversity: 0, artist_cap: 2, artist_gap: 3 },
  ...{ same_album: false, versions: false, fill: false, profile: null, seed: null, text: null },
  ...{ timbre: 1, harmony: 0, rhythm: 0 },
});

/** Fires `change` whenever anything of it changes. */
class Build extends EventTarget {
  constructor() {
    super();
    this.state = nothing();
    try {
      Object.assign(this.state, JSON.parse(sessionStorage.getItem(KEY) ?? "{}"));
    } catch {
      // a browser that keeps nothing begins anew
    }
  }

  /**
   * Make the list more like a song; a path becomes a list that is like its start.
   * @param {number} id
   */
  addSeed(id) {
    const { seeds, avoid } = this.state;
    this.set({ seeds: [...without(seeds, id), id], avoid: without(avoid, id), to: null });
  }

  /**
   * Make the list less like a song.
   * @param {number} id
   */
  addAvoid(id) {
    const { seeds, avoid, to } = this.state;
    this.set({ seeds: without(seeds, id), avoid: [...without(avoid, id), id], to: to === id ? null : to });
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
   * Take a song out of what the list is built from.
   * @param {number} id
   */
  drop(id) {
    const { seeds, avoid, to } = this.state;
    const left = without(seeds, id);
    this.set({ seeds: left, avoid: without(avoid, id), to: to === id || !left.length ? null : to });
  }

  /** Begin anew. */
  clear() {
    this.set(nothing());
  }

  /**
   * Something stays that songs are to be alike in.
   * @param {Partial<Building>} changes
   */
  set(changes) {
    const state = { ...this.state, ...changes };
    if (ASPECTS.some((name) => state[name] > 0)) this.state = state;
    try {
      sessionStorage.setItem(KEY, JSON.stringify(this.state));
    } catch {
      // see above
    }
    this.dispatchEvent(new Event("change"));
  }

  /** Whether anything says which songs are wanted. */
  get asks() {
    return Boolean(this.state.seeds.length || this.state.profile || this.state.seed !== null || this.state.text || this.filters);
  }

  /** Whether the list leads from one song to another. */
  get isPath() {
    return this.state.to !== null && this.state.seeds.length === 1;
  }

  /** Whether it can be said what songs are to be alike in: there are songs that they are to be like. */
  get weighs() {
    return this.state.seeds.length > 0 && !this.isPath;
  }

  /** How many filters there are. */
  get filters() {
    const { genre, mood, vocal, key, bpm, year, duration_s } = this.state;
    return [genre.length, mood.length, vocal !== null, key, bpm, year, duration_s].filter(Boolean).length;
  }

  /**
   * What is asked, as the service takes it.
   * @returns {{ [name: string]: unknown }}
   */
  query() {
    const { key, compatible, to, seed, diversity, seeds, profile, n, length_s, text, timbre, harmony, rhythm, ...rest } = this.state;
    const { isPath } = this;
    const like = Object.entries({ timbre, harmony, rhythm }).flatMap(([name, weight]) => (weight ? [weight === 1 ? name : `${name}=${weight}`] : []));
    return {
      ...rest,
      seeds,
      ...(length_s === null ? { n: isPath ? Math.max(2, n) : n } : { length_s }),
      key: key && compatible ? `${key},compatible` : key,
      ...(isPath ? { to } : { seed, diversity, profile, text, ...(this.weighs && (harmony || rhythm) ? { like } : {}) }),
    };
  }

  /**
   * Build from what is kept.
   * @param {{ [field: string]: any }} query As the service gives it: what is not at its default.
   * @returns {boolean} Whether all that it asks can be set here; nothing changes where it cannot, as with a rule.
   */
  take({ seeds = [], avoid = [], to = null, n = COUNT, key = null, like = [], ...rest }) {
    const state = nothing();
    const ids = (/** @type {string[]} */ texts) => texts.map((text) => Number(/^id:(\d+)$/.exec(text)?.[1] ?? NaN));
    const [exactKey = null, compatible] = key?.split(",") ?? [];
    if (like.length) state.timbre = 0;
    for (const [name, weight = "1"] of like.map((/** @type {string} */ text) => text.split("="))) Object.assign(state, { [name]: Number(weight) });
    Object.assign(state, rest, { seeds: ids(seeds), avoid: ids(avoid), to: to && ids([to])[0], n, key: exactKey, compatible: !key || compatible === "compatible" });
    const known = Object.keys(state).every((name) => name in nothing());
    const isListed = !key || /^[A-G][#b]?m?$/.test(exactKey);
    if (!known || !isListed || ![...state.seeds, ...state.avoid, state.to ?? 0].every(Number.isFinite)) return false;
    this.set(state);
    return true;
  }
}

/** @param {number[]} ids @param {number} id */
const without = (ids, id) => ids.filter((one) => one !== id);

export const build = new Build();
