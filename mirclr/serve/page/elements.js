/** Small builders of elements: texts are texts, never HTML. @module */

/**
 * @typedef {Node | string | number | null | undefined | false} Child
 * @typedef {string | number | boolean | null | undefined} AttributeValue
 * @typedef {{ class?: string, on?: { [event: string]: (event: any) => void }, data?: { [name: string]: string | number },
 *   css?: { [property: string]: string } } & { [attribute: string]: any }} Props
 */

/**
 * Make an element: `h("button", {class: "quiet", on: {click: f}, "aria-label": "Play"}, icon("play"))`.
 *
 * Attributes that are true stand without a value; those that are false, null or undefined are left out. `css` holds
 * custom properties and styles, `data` what goes into the dataset.
 *
 * @type {{
 *   <K extends keyof HTMLElementTagNameMap>(tag: K, props?: Props | null, ...children: Child[]): HTMLElementTagNameMap[K],
 *   (tag: string, props?: Props | null, ...children: Child[]): HTMLElement,
 * }}
 */
export const h = (/** @type {string} */ tag, /** @type {Props | null} */ props = null, /** @type {Child[]} */ ...children) => {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props ?? {})) {
    if (name === "on") for (const [event, act] of Object.entries(value)) element.addEventListener(event, act);
    else if (name === "data") for (const [key, text] of Object.entries(value)) element.dataset[key] = String(text);
    else if (name === "css") for (const [key, text] of Object.entries(value)) element.style.setProperty(key, String(text));
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, String(value));
  }
  add(element, ...children);
  return /** @type {any} */ (element);
};

/**
 * Append what is there of some children.
 * @param {Element | DocumentFragment} parent
 * @param {...Child} children
 */
export function add(parent, ...children) {
  for (const child of children) {
    if (child === null || child === undefined || child === false) continue;
    parent.append(child instanceof Node ? child : String(child));
  }
}

/**
 * Put other children in place of an element's own.
 * @param {Element} parent
 * @param {...Child} children
 */
export function fill(parent, ...children) {
  parent.replaceChildren();
  add(parent, ...children);
}

/**
 * The first element below one that a selector means; it must be there.
 * @template {Element} T
 * @param {ParentNode} parent
 * @param {string} selector
 * @param {new (...args: any[]) => T} kind
 * @returns {T}
 */
export function find(parent, selector, kind) {
  const found = parent.querySelector(selector);
  if (!(found instanceof kind)) throw new Error(`no ${selector}`);
  return found;
}

/**
 * Call a function once calls of it have ceased for a while.
 * @template {any[]} A
 * @param {number} wait_ms
 * @param {(...args: A) => void} act
 * @returns {(...args: A) => void}
 */
export function debounced(wait_ms, act) {
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let timer;
  return (...args) => {
    clearTimeout(timer);
    timer = setTimeout(() => act(...args), wait_ms);
  };
}

/**
 * A length of a song, as 3:07 or 1:02:03.
 * @param {number} seconds
 */
export function clock(seconds) {
  const whole = Math.max(0, Math.floor(Number.isFinite(seconds) ? seconds : 0));
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const tail = `${hours ? String(minutes).padStart(2, "0") : minutes}:${String(rest).padStart(2, "0")}`;
  return hours ? `${hours}:${tail}` : tail;
}

/**
 * A length for people: 45 s, 12 min, 3 h 20 min.
 * @param {number} seconds
 */
export function span(seconds) {
  if (seconds < 60) return `${Math.max(0, Math.round(seconds))} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  return minutes % 60 && hours < 24 ? `${hours} h ${minutes % 60} min` : `${hours.toLocaleString("en")} h`;
}

/**
 * `1 song`, `2,000 songs`.
 * @param {number} n
 * @param {string} one
 * @param {string} [many]
 */
export function counted(n, one, many = `${one}s`) {
  return `${n.toLocaleString("en")} ${n === 1 ? one : many}`;
}

let made = 0;

/**
 * An id that no other element of the page has.
 * @param {string} name
 */
export function uniqueId(name) {
  made += 1;
  return `${name}-${made}`;
}
