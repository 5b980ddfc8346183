/** Colours of points: those of the page's theme, for codes that the service gives. @module */

/**
 * @typedef {{ by: string, scale: "labels" | "ordered" | "shared", legend: { label: string, songs: number }[], other: number,
 *   unknown: number, codes: string, version: string }} MapColours
 * @typedef {[number, number, number]} Rgb
 */

export const [OTHER, UNKNOWN] = [254, 255];
const LABELS = ["--c1", "--c2", "--c3", "--c4", "--c5", "--c6", "--c7", "--c8", "--c9", "--c10"];
const RAMP = ["--c6", "--c2", "--c7", "--c4", "--c3", "--c1", "--c8"]; // from cool to warm
const FAINT = 38; // of 255: what others stand out from
const STRONG = 222;

/** A colour of the theme. @param {string} name @returns {Rgb} */
export function themeColour(name) {
  const text = getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const long = /^#([0-9a-f]{2})([0-9a-f]{2})([0-9a-f]{2})/i.exec(text);
  if (long) return /** @type {Rgb} */ (long.slice(1, 4).map((part) => parseInt(part, 16)));
  return [128, 128, 128];
}

/** The codes of points. @param {MapColours} colours */
export function codesOf({ codes }) {
  const text = atob(codes);
  return Uint8Array.from({ length: text.length }, (_, i) => text.charCodeAt(i));
}

/**
 * The colour of each code.
 * @param {MapColours | null} colours
 * @returns {(code: number) => Rgb}
 */
export function paletteOf(colours) {
  const muted = themeColour("--muted");
  const background = themeColour("--bg");
  const mixed = (/** @type {Rgb} */ a, /** @type {Rgb} */ b, /** @type {number} */ part) =>
    /** @type {Rgb} */ (a.map((value, i) => Math.round(value + (/** @type {number} */ (b[i]) - value) * part)));
  const labels = LABELS.map(themeColour);
  const ramp = RAMP.map(themeColour);
  const steps = Math.max(1, (colours?.legend.length ?? 0) - 1);
  const ordered = (/** @type {number} */ code) => {
    const at = Math.min(1, code / steps) * (ramp.length - 1);
    const [low, high] = [/** @type {Rgb} */ (ramp[Math.floor(at)]), /** @type {Rgb} */ (ramp[Math.ceil(at)])];
    return mixed(low, high, at - Math.floor(at));
  };
  return (code) => {
    if (!colours || code === UNKNOWN) return mixed(muted, background, colours ? 0.62 : 0.3);
    if (code === OTHER) return mixed(muted, background, 0.3);
    if (colours.scale === "ordered") return ordered(code);
    return /** @type {Rgb} */ (labels[code % labels.length]);
  };
}

/**
 * A colour of four bytes for each point; those that do not count are faint.
 * @param {number} count
 * @param {Uint8Array | null} codes
 * @param {(code: number) => Rgb} palette
 * @param {((i: number) => boolean) | null} counts
 */
export function painted(count, codes, palette, counts) {
  const colours = Array.from({ length: 256 }, (_, code) => palette(code));
  const rgba = new Uint8Array(4 * count);
  for (let i = 0; i < count; i++) {
    const [red, green, blue] = /** @type {Rgb} */ (colours[codes ? /** @type {number} */ (codes[i]) : UNKNOWN]);
    rgba[4 * i] = red;
    rgba[4 * i + 1] = green;
    rgba[4 * i + 2] = blue;
    rgba[4 * i + 3] = counts && !counts(i) ? FAINT : STRONG;
  }
  return rgba;
}
