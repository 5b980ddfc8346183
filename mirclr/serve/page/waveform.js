/** How a song sounds from its beginning to its end: a waveform to seek in, genre and mood below it. @module */

import { ask, get, Problem } from "./api.js";
import { add, clock, h } from "./elements.js";
import { attempt } from "./notices.js";
import { player, playTracks } from "./player.js";

/**
 * @typedef {import("./api.js").Track} Track
 * @typedef {{ starts_s: number[], seconds: number, genre: { [label: string]: number[] }, mood: { [label: string]: number[] } }} OverTime
 */

const SVG = "http://www.w3.org/2000/svg";
const BAR_PX = 3; // width of a bar, and the room between two is one
const MOST_BARS = 2000;
const STEP_S = 5;
const SHOWN = 5; // labels of a picture

/**
 * The waveform of a song; a slider for those who see it and for those who do not.
 * @param {Track} track
 */
export function waveform(track) {
  const canvas = h("canvas");
  const element = h(
    "div",
    {
      class: "wave",
      role: "slider",
      tabindex: 0,
      "aria-label": `Position in ${track.title}`,
      "aria-valuemin": 0,
      "aria-valuemax": Math.round(track.duration_s),
      "aria-valuenow": 0,
    },
    canvas,
  );
  /** @type {Uint8Array} */
  let peaks = new Uint8Array(0);
  const isPlaying = () => player.track?.id === track.id;
  const time_s = () => (isPlaying() ? player.time_s : 0);

  const draw = () => {
    element.setAttribute("aria-valuenow", String(Math.round(time_s())));
    element.setAttribute("aria-valuetext", `${clock(time_s())} of ${clock(track.duration_s)}`);
    element.style.setProperty("--share", String(track.duration_s ? time_s() / track.duration_s : 0));
    paint(canvas, peaks, track.duration_s ? time_s() / track.duration_s : 0);
  };
  /** @param {number} to_s */
  const seek = (to_s) =>
    attempt(async () => {
      if (!isPlaying()) await playTracks([track]);
      player.seek(Math.min(Math.max(0, to_s), track.duration_s));
    });
  element.addEventListener("click", (event) => {
    const { left, width } = element.getBoundingClientRect();
    void seek(((event.clientX - left) / width) * track.duration_s);
  });
  element.addEventListener("keydown", (event) => {
    const to_s = { ArrowRight: time_s() + STEP_S, ArrowLeft: time_s() - STEP_S, ArrowUp: time_s() + STEP_S, ArrowDown: time_s() - STEP_S, Home: 0, End: track.duration_s }[event.key];
    if (to_s === undefined) return;
    event.preventDefault();
    void seek(to_s);
  });
  const live = () => {
    if (element.isConnected) draw();
    else stop();
  };
  const stop = () => {
    for (const event of ["time", "playing", "state"]) player.removeEventListener(event, live);
    document.removeEventListener("theme", live);
    resized.disconnect();
  };
  const resized = new ResizeObserver(() => element.isConnected && draw());
  resized.observe(element);
  for (const event of ["time", "playing", "state"]) player.addEventListener(event, live);
  document.addEventListener("theme", live);
  const n = Math.min(MOST_BARS, Math.max(200, Math.floor(1160 / (BAR_PX + 1))));
  void attempt(async () => {
    const answer = await ask("GET", `/tracks/${track.id}/peaks`, { query: { n } });
    peaks = new Uint8Array(await answer.arrayBuffer());
    element.classList.add("known");
    draw();
  });
  return element;
}

/** @param {HTMLCanvasElement} canvas @param {Uint8Array} peaks @param {number} share Of the song that was played. */
function paint(canvas, peaks, share) {
  const { clientWidth: width, clientHeight: height } = canvas;
  const context = canvas.getContext("2d");
  if (!width || !height || !context) return;
  const scale = window.devicePixelRatio || 1;
  if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
  }
  const style = getComputedStyle(canvas);
  const [played, rest] = [style.getPropertyValue("--accent"), style.getPropertyValue("--wave")];
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, width, height);
  const bars = Math.floor(width / (BAR_PX + 1));
  for (let bar = 0; bar < bars; bar++) {
    const [from, end] = [Math.floor((bar * peaks.length) / bars), Math.ceil(((bar + 1) * peaks.length) / bars)];
    let peak = 0;
    for (let i = from; i < end; i++) peak = Math.max(peak, peaks[i] ?? 0);
    const tall = Math.max(2, (peak / 255) * height);
    context.fillStyle = (bar + 0.5) / bars <= share ? played : rest;
    context.fillRect(bar * (BAR_PX + 1), (height - tall) / 2, BAR_PX, tall);
  }
}

/**
 * Genre and mood over the time of a song; nothing where they are not known.
 * @param {Track} track
 * @param {HTMLElement} place
 */
export async function showOverTime(track, place) {
  /** @type {OverTime} */
  let found;
  try {
    found = await get(`/tracks/${track.id}/over-time`);
  } catch (error) {
    if (error instanceof Problem && error.status === 404) return;
    throw error;
  }
  if (found.starts_s.length < 2) return;
  add(place, picture("Genre", found.genre, true), picture("Mood", found.mood, false));
}

/**
 * Probabilities over time: on each other, where they are parts of one, else each a line.
 * @param {string} title
 * @param {{ [label: string]: number[] }} labels
 * @param {boolean} stacked
 */
function picture(title, labels, stacked) {
  const shown = Object.entries(labels).slice(0, SHOWN);
  if (!shown.length) return null;
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 100 100");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("role", "img");
  const summary = shown.map(([label, row]) => `${label} ${Math.round((100 * row.reduce((a, b) => a + b, 0)) / row.length)} %`);
  svg.setAttribute("aria-label", `${title} over time; on the whole ${summary.join(", ")}`);
  /** @type {number[]} */
  let below = (shown[0]?.[1] ?? []).map(() => 0);
  for (const [at, [, row]] of shown.entries()) {
    const above = stacked ? row.map((p, i) => (below[i] ?? 0) + p) : row;
    const path = document.createElementNS(SVG, "path");
    const there = line(above);
    path.setAttribute("d", stacked ? `${there} L ${line(below, true).slice(2)} Z` : there);
    path.setAttribute("class", stacked ? "area" : "curve");
    path.style.setProperty("--colour", `var(--c${at + 1})`);
    svg.append(path);
    below = above;
  }
  const legend = shown.map(([label], at) => h("li", { css: { "--colour": `var(--c${at + 1})` } }, label));
  return h("figure", { class: "over-time" }, h("figcaption", {}, h("span", {}, title), h("ul", {}, ...legend)), svg);
}

/** @param {number[]} values In [0, 1]. @param {boolean} [backwards] */
function line(values, backwards = false) {
  const last = Math.max(1, values.length - 1);
  const points = values.map((value, i) => `${((100 * i) / last).toFixed(2)} ${(100 - 100 * Math.min(1, value)).toFixed(2)}`);
  return `M ${(backwards ? points.reverse() : points).join(" L ")}`;
}

