/** What mouse, fingers and pen do on the map: move it, zoom, point at a song, draw around songs. @module */

/**
 * Places are pixels of the page from the canvas's upper left corner.
 *
 * @typedef {{
 *   move: (dx: number, dy: number) => void,
 *   zoom: (factor: number, x: number, y: number) => void,
 *   point: (x: number, y: number) => void,
 *   leave: () => void,
 *   tap: (x: number, y: number, isTouch: boolean) => void,
 *   menu: (x: number, y: number) => void,
 *   draws: () => boolean,
 *   draw: (line: [number, number][], isOver: boolean) => void,
 * }} Gestures `draws`: whether a drag draws around songs rather than moves the map.
 */

const STILL_PX = 6; // what a hand moves that means to stay where it is
const HELD_MS = 500;
const NOTCH = 0.0016; // of a wheel

/** @param {HTMLElement} canvas @param {Gestures} gestures */
export function installGestures(canvas, gestures) {
  /** Pointers that are down, and where. @type {Map<number, [number, number]>} */
  const down = new Map();
  /** @type {[number, number] | null} */
  let begun = null; // null once it is no tap any more
  /** @type {[number, number][] | null} */
  let line = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let held;
  const placeOf = (/** @type {MouseEvent} */ event) => {
    const box = canvas.getBoundingClientRect();
    return /** @type {[number, number]} */ ([event.clientX - box.left, event.clientY - box.top]);
  };

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    const place = placeOf(event);
    canvas.setPointerCapture(event.pointerId);
    down.set(event.pointerId, place);
    clearTimeout(held);
    if (down.size > 1) {
      begun = line = null;
      gestures.draw([], true);
      return;
    }
    begun = place;
    if (gestures.draws() || event.shiftKey) line = [place];
    else if (event.pointerType !== "mouse") {
      held = setTimeout(() => {
        if (!begun) return;
        gestures.menu(...begun);
        begun = null;
      }, HELD_MS);
    }
  });

  canvas.addEventListener("pointermove", (event) => {
    const place = placeOf(event);
    const before = down.get(event.pointerId);
    if (!before) {
      if (event.pointerType !== "touch") gestures.point(...place);
      return;
    }
    if (begun && Math.hypot(place[0] - begun[0], place[1] - begun[1]) < STILL_PX) return;
    if (begun) {
      begun = null;
      clearTimeout(held);
      gestures.leave();
    }
    if (down.size === 2) {
      const [other] = [...down].filter(([id]) => id !== event.pointerId).map(([, at]) => at);
      if (other) {
        const was = Math.hypot(before[0] - other[0], before[1] - other[1]);
        const is = Math.hypot(place[0] - other[0], place[1] - other[1]);
        gestures.move((place[0] - before[0]) / 2, (place[1] - before[1]) / 2);
        if (was > 0 && is > 0) gestures.zoom(is / was, (place[0] + other[0]) / 2, (place[1] + other[1]) / 2);
      }
    } else if (line) {
      line.push(place);
      gestures.draw(line, false);
    } else if (down.size === 1) gestures.move(place[0] - before[0], place[1] - before[1]);
    down.set(event.pointerId, place);
  });

  const ended = (/** @type {PointerEvent} */ event) => {
    if (!down.delete(event.pointerId)) return;
    clearTimeout(held);
    if (line && !begun) gestures.draw(line, true);
    else if (begun && event.type === "pointerup") gestures.tap(...begun, event.pointerType === "touch");
    begun = line = null;
  };
  canvas.addEventListener("pointerup", ended);
  canvas.addEventListener("pointercancel", (event) => {
    line = null;
    gestures.draw([], true);
    ended(event);
  });
  canvas.addEventListener("pointerleave", () => down.size || gestures.leave());
  canvas.addEventListener("contextmenu", (event) => {
    event.preventDefault();
    if (event.button === 2) gestures.menu(...placeOf(event));
  });
  canvas.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      const pixels = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? event.deltaY * 20 : event.deltaY;
      const steps = Math.max(-400, Math.min(400, event.ctrlKey ? pixels * 5 : pixels));
      gestures.zoom(Math.exp(-steps * NOTCH), ...placeOf(event));
    },
    { passive: false },
  );
}
