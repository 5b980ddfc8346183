/** The map: every song a point, those that sound alike near each other. @module */

import { ask, get, isAbort, Latest } from "./api.js";
import { add, counted, debounced, h, uniqueId } from "./elements.js";
import { onJob } from "./events.js";
import { icon } from "./icons.js";
import { Card } from "./map-card.js";
import { codesOf, painted, paletteOf, themeColour, UNKNOWN } from "./map-colours.js";
import { drawingOf } from "./map-drawing.js";
import { installGestures } from "./map-gestures.js";
import { Labels } from "./map-labels.js";
import { Legend } from "./map-legend.js";
import { Look } from "./map-look.js";
import { Making } from "./map-making.js";
import { Points } from "./map-points.js";
import { selectionPanel } from "./map-selection.js";
import { openMenu, openSongMenu } from "./menu.js";
import { attempt, sayProblem } from "./notices.js";
import { player, playTracks } from "./player.js";
import { listKeys } from "./shortcuts.js";
import { seen, tracksOf } from "./songs-known.js";

const SVG = "http://www.w3.org/2000/svg";
const NEAR_PX = 14; // how near to a song one points at it
const FINGER_PX = 26;
const PASSED_MS = 60; // of songs that are only passed nothing is asked
const WALKED = 2000; // chosen songs that are put into an order of small steps
const STEP_PX = 80;
const NEARER = 1.6;
const AROUND = 0.25; // of what is seen, at each side: so far the map is moved before other points are chosen
const HIDDEN_PX = 1.5; // the least point is of two
/** @type {[string, string][]} */
const KEY_ROWS = [
  ["← ↑ ↓ →", "Next song that way"],
  ["Shift + ←", "Move the map"],
  ["Enter", "Play the song"],
  ["m", "Menu of the song"],
  ["+ −", "Nearer, farther"],
  ["0", "All songs"],
  ["s", "Choose all songs that are seen"],
];
const KEYS = "Arrow keys go to the next song that way, Enter plays it, M opens its menu. Plus and minus zoom, 0 shows all songs, S chooses all songs that are seen.";

/** @param {import("./icons.js").IconName} name @param {string} label @param {(event: MouseEvent) => void} act */
const button = (name, label, act) => h("button", { class: "icon-button", type: "button", "aria-label": label, title: label, on: { click: act } }, icon(name));

class MapView extends HTMLElement {
  constructor() {
    super();
    this.points = new Points(new Float32Array(), new Uint32Array());
    this.version = ""; // of the points that are here
    this.look = new Look();
    this.cursor = -1; // the point that the keyboard is at
    this.pointed = -1; // the point that is pointed at
    this.isTouched = false;
    /** Points that are chosen. @type {Set<number>} */
    this.chosen = new Set();
    /** Points that words mean; none where no words are given. @type {Set<number> | null} */
    this.meant = null;
    /** What each point's colour means. @type {Uint8Array | null} */
    this.codes = null;
    /** @type {import("./map-colours.js").Rgb} */
    this.background = [0, 0, 0];
    /** Whether each point stands out; none where all are alike. @type {Uint8Array | null} */
    this.standOut = null;
    /** The part of the map whose points are drawn. @type {{ box: import("./map-look.js").Box, scale: number } | null} */
    this.cut = null;
    this.isShown = this.isDue = this.isLasso = false;
    this.finding = new Latest();
    this.colouring = new Latest();

    const hint = uniqueId("map-keys");
    this.canvas = h("canvas", { class: "map-canvas", tabindex: 0, role: "application", "aria-label": "Map of songs", "aria-describedby": hint });
    this.hint = h("p", { class: "visually-hidden", id: hint }, KEYS);
    this.line = document.createElementNS(SVG, "polygon");
    this.labels = new Labels();
    this.marks = { playing: h("span", { class: "map-mark playing", hidden: true }), pointed: h("span", { class: "map-mark", hidden: true }) };
    this.card = new Card();
    this.search = h("input", { type: "search", "aria-label": "Find on the map", placeholder: "Find on the map", autocomplete: "off", spellcheck: "false" });
    this.found = h("span", { class: "muted map-found", role: "status" });
    this.legend = new Legend({ by: (by) => void attempt(() => this.colourBy(by)), keep: () => this.paint() });
    this.status = h("p", { class: "visually-hidden", role: "status" });
    this.making = new Making();
    this.panel = selectionPanel(() => this.choose([]));
    this.lasso = button("lasso", "Draw around songs to choose them", () => this.setLasso(!this.isLasso));
    this.lasso.setAttribute("aria-pressed", "false");
    this.tools = h("div", { class: "map-tools" }, h("div", { class: "map-find" }, icon("search"), this.search, this.found), this.legend.element);
    this.drawing = drawingOf(this.canvas, () => this.send());
  }

  connectedCallback() {
    if (this.firstChild) return;
    const svg = document.createElementNS(SVG, "svg");
    svg.classList.add("map-line");
    svg.setAttribute("aria-hidden", "true");
    svg.append(this.line);
    const buttons = h(
      "div",
      { class: "map-buttons", role: "group", "aria-label": "Map" },
      button("plus", "Nearer", () => this.zoom(NEARER)),
      button("minus", "Farther", () => this.zoom(1 / NEARER)),
      button("map", "All songs", () => this.fit()),
      this.lasso,
      button("more", "More", (event) => this.openMore(event)),
    );
    const heading = h("h1", { class: "visually-hidden" }, "Map");
    const { playing, pointed } = this.marks;
    add(this, heading, this.canvas, svg, this.labels.element, playing, pointed, this.tools, buttons, this.card.element, this.panel.element, this.making.element, this.status, this.hint);
    this.listen();
    listKeys("On the map", KEY_ROWS, () => this.isShown);
  }

  listen() {
    new ResizeObserver(() => this.resize()).observe(this.canvas);
    this.legend.element.addEventListener("toggle", () => this.resize());
    document.addEventListener("theme", () => {
      this.legend.draw();
      this.paint();
    });
    player.addEventListener("playing", () => this.soon());
    const find = () => void attempt(() => this.find(this.search.value.trim()));
    this.search.addEventListener("input", debounced(120, find));
    this.search.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && this.meant?.size) this.showPoints([...this.meant]);
      if (event.key !== "Escape" || !this.search.value) return;
      this.search.value = "";
      find();
      event.stopPropagation();
    });
    this.canvas.addEventListener("keydown", (event) => this.onKey(event));
    this.canvas.addEventListener("blur", () => this.hover(-1));
    installGestures(this.canvas, {
      move: (dx, dy) => this.look.move(dx, dy) ?? this.soon(),
      zoom: (factor, x, y) => this.zoom(factor, x, y),
      point: (x, y) => this.hover(this.at(x, y)),
      leave: () => this.hover(-1),
      tap: (x, y, isTouch) => this.tap(this.at(x, y, isTouch ? FINGER_PX : NEAR_PX), isTouch),
      menu: (x, y) => void attempt(() => this.menu(this.at(x, y, FINGER_PX), x, y)),
      draws: () => this.isLasso,
      draw: (line, isOver) => this.drawLine(line, isOver),
    });
    onJob((job) => {
      if (job.kind !== "map") return;
      this.making.follow(job);
      if (job.state === "done") void attempt(() => this.load());
    });
  }

  /** @param {string} _rest @param {URLSearchParams} parameters `song`: one to look at; `q`: words to find. */
  async show(_rest, parameters) {
    this.isShown = true;
    await this.load();
    const words = parameters.get("q");
    if (words !== null) {
      this.search.value = words;
      await this.find(words);
    }
    const at = this.points.indexOf(Number(parameters.get("song") ?? -1));
    if (at >= 0) {
      this.cursor = at;
      this.showPoints([at]);
      await this.pointAt(at);
    }
    this.soon();
  }

  leave() {
    this.isShown = false;
    void this.pointAt(-1);
  }

  // what is on the map

  /** Take the map as it is now; what is here already is not sent again. */
  async load() {
    const [points, ids, state] = await Promise.all([ask("GET", "/map/points"), ask("GET", "/map/ids"), get("/map")]);
    const version = points.headers.get("ETag") ?? "";
    if (version !== this.version && version === ids.headers.get("ETag")) {
      this.version = version;
      this.setPoints(new Float32Array(await points.arrayBuffer()), new Uint32Array(await ids.arrayBuffer()));
      void attempt(() => this.colourBy(this.legend.by));
      void attempt(async () => this.setClusters(await get("/map/clusters")));
    }
    await this.making.show(state);
  }

  /** @param {Float32Array} xy @param {Uint32Array} ids */
  setPoints(xy, ids) {
    this.choose([]);
    this.points = new Points(xy, ids);
    [this.cursor, this.pointed, this.codes, this.meant] = [-1, -1, null, null];
    this.canvas.setAttribute("aria-label", `Map of ${counted(ids.length, "song")}`);
    this.send();
    if (this.search.value) void attempt(() => this.find(this.search.value.trim()));
  }

  /** @param {string} by */
  async colourBy(by) {
    const signal = this.colouring.next();
    /** @type {import("./map-colours.js").MapColours} */
    const colours = await get("/map/colours", { by });
    if (signal.aborted) return;
    const codes = codesOf(colours);
    if (codes.length !== this.points.count) return this.load(); // it changed meanwhile
    this.codes = codes;
    this.legend.set(colours);
    this.resize();
    this.paint();
  }

  /** @param {{ clusters: import("./map-labels.js").Cluster[] }} found */
  setClusters({ clusters }) {
    this.labels.set(clusters);
    this.soon();
  }

  /** Which points count; none where all do. */
  counting() {
    const { meant, codes, chosen } = this;
    const { kept } = this.legend;
    if (!meant && !kept.size && !chosen.size) return null;
    return (/** @type {number} */ i) =>
      (!meant || meant.has(i)) && (!kept.size || kept.has(codes?.[i] ?? UNKNOWN)) && (!chosen.size || chosen.has(i));
  }

  /** Give all points their colours. */
  paint() {
    const counts = this.counting();
    this.background = themeColour("--bg");
    this.drawing.setColours(painted(this.points.count, this.codes, paletteOf(this.codes ? this.legend.colours : null), counts));
    this.standOut = counts && Uint8Array.from(this.points.ids.keys(), (i) => Number(counts(i)));
    this.cut = null;
    this.soon();
  }

  send() {
    this.drawing.setPoints(this.points.xy);
    this.paint();
  }

  // where one looks

  resize() {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const ratio = Math.min(2, devicePixelRatio || 1);
    const [wide, high] = [Math.round(width * ratio), Math.round(height * ratio)];
    if (this.canvas.width !== wide) this.canvas.width = wide;
    if (this.canvas.height !== high) this.canvas.height = high;
    const isNarrow = width < 640;
    const tools = this.tools.getBoundingClientRect();
    const box = this.canvas.getBoundingClientRect();
    const left = isNarrow ? 0 : tools.left - box.left + tools.width;
    this.look.resize(width, height, { left, top: isNarrow ? 56 : 0, right: isNarrow ? 0 : 60, bottom: 0 });
    if (this.isShown) this.draw();
  }

  fit() {
    this.look.fit();
    this.soon();
  }

  /** @param {number} factor @param {number} [x] @param {number} [y] What stays where it is, in pixels. */
  zoom(factor, x = this.look.width / 2, y = this.look.height / 2) {
    this.look.zoom(factor, x, y);
    this.soon();
  }

  /** See some points, all of them. @param {number[]} some */
  showPoints(some) {
    const box = { left: Infinity, right: -Infinity, bottom: Infinity, top: -Infinity };
    for (const i of some) {
      box.left = Math.min(box.left, this.points.x(i));
      box.right = Math.max(box.right, this.points.x(i));
      box.bottom = Math.min(box.bottom, this.points.y(i));
      box.top = Math.max(box.top, this.points.y(i));
    }
    this.look.show(box);
    this.soon();
  }

  soon() {
    if (this.isDue || !this.isShown) return;
    this.isDue = true;
    requestAnimationFrame(() => {
      this.isDue = false;
      this.draw();
    });
  }

  /** Choose the points that are drawn: those around what is seen, and none that others hide. @param {number} ratio */
  choosePoints(ratio) {
    const { look, cut } = this;
    const seen = look.box(0);
    const isInside = cut && seen.left >= cut.box.left && seen.right <= cut.box.right && seen.bottom >= cut.box.bottom && seen.top <= cut.box.top;
    if (isInside && look.scale < cut.scale * 1.3 && look.scale > cut.scale / 1.3) return;
    const box = look.box(AROUND);
    const square = HIDDEN_PX / look.scale / ratio;
    const raised = this.standOut ? this.points.apart(box, square, this.standOut) : new Uint32Array();
    this.drawing.setShown(this.points.apart(box, square, null), raised);
    this.cut = { box, scale: look.scale };
  }

  draw() {
    const { look, canvas } = this;
    const ratio = canvas.width / look.width;
    this.choosePoints(ratio);
    this.drawing.draw({ x: look.x, y: look.y, scale: look.scale * ratio, size: this.size() * ratio }, this.background);
    this.labels.draw(look);
    this.mark(this.marks.playing, player.track ? this.points.indexOf(player.track.id) : -1);
    this.mark(this.marks.pointed, this.pointed);
    if (this.pointed >= 0) this.card.place(...this.placeOf(this.pointed), look);
  }

  /** Pixels of a point: so many that all fill a part of the room that they have, and more as one comes closer. */
  size() {
    const apart = (2 * this.look.whole) / Math.sqrt(Math.max(1, this.points.count));
    return Math.max(2, Math.min(11, 0.5 * apart * Math.sqrt(this.look.zoomed)));
  }

  /** @param {number} at */
  placeOf(at) {
    return this.look.toPixels(this.points.x(at), this.points.y(at));
  }

  /** @param {HTMLElement} mark @param {number} at */
  mark(mark, at) {
    mark.hidden = at < 0;
    if (at < 0) return;
    const [x, y] = this.placeOf(at);
    const size = this.size() + 9;
    mark.style.width = mark.style.height = `${size}px`;
    mark.style.transform = `translate(${x - size / 2}px, ${y - size / 2}px)`;
  }

  // one song

  /** The point at a place of the canvas, in pixels; -1 where there is none. @param {number} x @param {number} y */
  at(x, y, near_px = NEAR_PX) {
    return this.points.nearest(...this.look.toMap(x, y), near_px / this.look.scale, this.counting() ?? undefined);
  }

  /** @param {number} at */
  hover(at) {
    if (this.isTouched && at < 0) return; // the card stays until something else is touched
    this.isTouched = false;
    void this.pointAt(at);
  }

  /** Show which song a point is. @param {number} at */
  async pointAt(at) {
    if (at === this.pointed) return;
    this.pointed = at;
    this.canvas.classList.toggle("points", at >= 0);
    this.soon();
    if (at < 0) return this.card.hide();
    try {
      const id = this.points.id(at);
      if (!seen(id)) await new Promise((resolve) => setTimeout(resolve, PASSED_MS));
      if (this.pointed !== at) return;
      const [track] = await tracksOf([id]);
      if (this.pointed !== at || !track) return;
      const facts = [this.legend.labelOf(this.codes?.[at]), track.year].filter(Boolean).join(" · ");
      this.card.show(track, facts, this.isTouched);
      this.card.place(...this.placeOf(at), this.look);
      if (document.activeElement === this.canvas) this.status.textContent = [track.title, track.artist, facts].filter(Boolean).join(", ");
    } catch (error) {
      if (!isAbort(error)) sayProblem(error);
    }
  }

  /** @param {number} at @param {boolean} isTouch */
  tap(at, isTouch) {
    this.isTouched = isTouch;
    if (at >= 0) this.cursor = at;
    if (at < 0 || isTouch) {
      if (at < 0) this.choose([]);
      this.pointed = -2; // so that it is shown anew, with buttons
      void this.pointAt(at);
    } else void attempt(() => this.play(at));
  }

  /** @param {number} at */
  async play(at) {
    const tracks = await tracksOf([this.points.id(at)]);
    if (tracks.length) await playTracks(tracks);
  }

  /** @param {number} at @param {number} x @param {number} y */
  async menu(at, x, y) {
    const [track] = at < 0 ? [] : await tracksOf([this.points.id(at)]);
    const { left, top } = this.canvas.getBoundingClientRect();
    if (track) openSongMenu(track, this.canvas, { x: left + x, y: top + y });
  }

  /** @param {KeyboardEvent} event */
  onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { cursor } = this;
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
    const key = event.key.toLowerCase();
    if (way && event.shiftKey) this.look.move(-STEP_PX * (way[0] ?? 0), STEP_PX * (way[1] ?? 0));
    else if (way) this.step(way[0] ?? 0, way[1] ?? 0);
    else if (key === "+" || key === "=") this.zoom(NEARER);
    else if (key === "-") this.zoom(1 / NEARER);
    else if (key === "0" || key === "home") this.fit();
    else if (key === "enter" && cursor >= 0) void attempt(() => this.play(cursor));
    else if (key === "m" && cursor >= 0) void attempt(() => this.menu(cursor, ...this.placeOf(cursor)));
    else if (key === "s") this.chooseSeen();
    else if (key === "escape" && this.isLasso) this.setLasso(false);
    else if (key === "escape" && this.chosen.size) this.choose([]);
    else return;
    this.soon();
    event.preventDefault();
    event.stopPropagation();
  }

  /** Go to the next song that way. @param {number} dx @param {number} dy */
  step(dx, dy) {
    const { points, look, cursor } = this;
    const counts = this.counting() ?? (() => true);
    const isHere = cursor >= 0 && look.isSeen(points.x(cursor), points.y(cursor)) && counts(cursor);
    const at = isHere ? points.beside(cursor, dx, dy, counts) : points.nearest(...look.toMap(look.width / 2, look.height / 2), 4, counts);
    if (at < 0) return;
    this.cursor = at;
    this.isTouched = false;
    if (!look.isSeen(points.x(at), points.y(at))) look.centre(points.x(at), points.y(at));
    void this.pointAt(at);
  }

  // several songs

  /** @param {boolean} on */
  setLasso(on) {
    this.isLasso = on;
    this.lasso.setAttribute("aria-pressed", String(on));
    this.canvas.classList.toggle("lasso", on);
  }

  /** @param {[number, number][]} line @param {boolean} isOver */
  drawLine(line, isOver) {
    this.line.setAttribute("points", isOver ? "" : line.map((place) => place.join(",")).join(" "));
    if (!isOver || line.length < 3) return;
    this.setLasso(false);
    this.chosen.clear();
    const found = this.points.inside(line.map(([x, y]) => this.look.toMap(x, y)));
    this.choose(found.filter(this.counting() ?? (() => true)));
  }

  chooseSeen() {
    const { width, height } = this.look;
    this.drawLine([[0, 0], [width, 0], [width, height], [0, height]], true);
  }

  /** @param {number[]} some Points. */
  choose(some) {
    if (!some.length && !this.chosen.size && this.panel.element.hidden) return;
    this.chosen = new Set(some);
    const order = some.length <= WALKED ? this.points.walk(some) : some;
    this.status.textContent = `${counted(some.length, "song")} chosen`;
    void attempt(() => this.panel.show(order.map((i) => this.points.id(i))));
    this.paint();
  }

  /** Let the songs stand out that words mean. @param {string} text */
  async find(text) {
    const signal = this.finding.next();
    this.meant = null;
    if (text) {
      const answer = await ask("GET", "/map/matches", { query: { q: text }, signal });
      const ids = new Uint32Array(await answer.arrayBuffer());
      this.meant = new Set(Array.from(ids, (id) => this.points.indexOf(id)).filter((at) => at >= 0));
    }
    this.found.textContent = this.meant ? this.meant.size.toLocaleString("en") : "";
    this.paint();
  }

  /** @param {MouseEvent} event */
  openMore(event) {
    const from = /** @type {HTMLElement} */ (event.currentTarget);
    const chooses = { icon: /** @type {const} */ ("lasso"), label: "Choose the songs that are seen", act: () => this.chooseSeen() };
    const again = { icon: /** @type {const} */ ("refresh"), label: "Draw the map again", act: () => this.making.begin(true) };
    openMenu("More of the map", [chooses, again], from);
  }
}

customElements.define("m-map-view", MapView);
