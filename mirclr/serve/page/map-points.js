/** The points of the map: which lie near a place, which inside a line; by a grid of as many cells as there are points. @module */

/** Points in [-1, 1], their ids, and a grid that finds them. */
export class Points {
  /**
   * @param {Float32Array} xy x and y of each point.
   * @param {Uint32Array} ids Ascending.
   */
  constructor(xy, ids) {
    this.xy = xy;
    this.ids = ids;
    this.count = ids.length;
    this.side = Math.max(1, Math.min(512, Math.round(Math.sqrt(this.count))));
    const cells = new Uint32Array(this.count);
    this.starts = new Uint32Array(this.side * this.side + 1);
    for (let i = 0; i < this.count; i++) {
      const cell = this.cell(this.x(i)) + this.side * this.cell(this.y(i));
      cells[i] = cell;
      this.starts[cell + 1] = /** @type {number} */ (this.starts[cell + 1]) + 1;
    }
    for (let cell = 0; cell < this.side * this.side; cell++) {
      this.starts[cell + 1] = /** @type {number} */ (this.starts[cell + 1]) + /** @type {number} */ (this.starts[cell]);
    }
    this.inOrder = new Uint32Array(this.count);
    const next = this.starts.slice();
    for (let i = 0; i < this.count; i++) {
      const cell = /** @type {number} */ (cells[i]);
      const at = /** @type {number} */ (next[cell]);
      this.inOrder[at] = i;
      next[cell] = at + 1;
    }
  }

  /** @param {number} i */
  x(i) {
    return /** @type {number} */ (this.xy[2 * i]);
  }

  /** @param {number} i */
  y(i) {
    return /** @type {number} */ (this.xy[2 * i + 1]);
  }

  /** @param {number} i */
  id(i) {
    return /** @type {number} */ (this.ids[i]);
  }

  /** The number of an id's point; -1 where it has none. @param {number} id */
  indexOf(id) {
    let [low, high] = [0, this.count];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.id(middle) < id) low = middle + 1;
      else high = middle;
    }
    return low < this.count && this.id(low) === id ? low : -1;
  }

  /** The column or row of a coordinate. @param {number} value */
  cell(value) {
    return Math.max(0, Math.min(this.side - 1, Math.floor(((value + 1) / 2) * this.side)));
  }

  /**
   * The points of the cells that a rectangle touches.
   * @param {number} left
   * @param {number} bottom
   * @param {number} right
   * @param {number} top
   * @param {(i: number) => void} act
   */
  around(left, bottom, right, top, act) {
    const [first, last] = [this.cell(left), this.cell(right)];
    for (let row = this.cell(bottom); row <= this.cell(top); row++) {
      const end = /** @type {number} */ (this.starts[row * this.side + last + 1]);
      for (let at = /** @type {number} */ (this.starts[row * this.side + first]); at < end; at++) {
        act(/** @type {number} */ (this.inOrder[at]));
      }
    }
  }

  /**
   * The points of a rectangle, of those that lie in one small square the first alone: the others would be hidden by it.
   * @param {import("./map-look.js").Box} box
   * @param {number} square Its side.
   * @param {Uint8Array | null} counts Whether each point counts; all do unless given.
   * @returns {Uint32Array}
   */
  apart({ left, bottom, right, top }, square, counts) {
    const { xy, starts, inOrder, side } = this;
    const wide = Math.ceil((right - left) / square) + 1;
    const taken = new Uint8Array(wide * (Math.ceil((top - bottom) / square) + 1));
    const found = new Uint32Array(this.count);
    let many = 0;
    const [first, last] = [this.cell(left), this.cell(right)];
    for (let row = this.cell(bottom); row <= this.cell(top); row++) {
      const end = /** @type {number} */ (starts[row * side + last + 1]);
      for (let at = /** @type {number} */ (starts[row * side + first]); at < end; at++) {
        const i = /** @type {number} */ (inOrder[at]);
        if (counts !== null && counts[i] === 0) continue;
        const x = /** @type {number} */ (xy[2 * i]);
        const y = /** @type {number} */ (xy[2 * i + 1]);
        if (x < left || x > right || y < bottom || y > top) continue;
        const place = Math.floor((y - bottom) / square) * wide + Math.floor((x - left) / square);
        if (taken[place] === 1) continue;
        taken[place] = 1;
        found[many++] = i;
      }
    }
    return found.subarray(0, many);
  }

  /**
   * The point that is nearest to a place, no farther than a distance; -1 where there is none.
   * @param {number} x
   * @param {number} y
   * @param {number} most
   * @param {(i: number) => boolean} [wanted]
   */
  nearest(x, y, most, wanted = () => true) {
    let [found, least] = [-1, most * most];
    this.around(x - most, y - most, x + most, y + most, (i) => {
      const apart = (this.x(i) - x) ** 2 + (this.y(i) - y) ** 2;
      if (apart <= least && wanted(i)) [found, least] = [i, apart];
    });
    return found;
  }

  /**
   * The points inside a closed line.
   * @param {[number, number][]} line
   * @returns {number[]}
   */
  inside(line) {
    const [xs, ys] = [line.map(([x]) => x), line.map(([, y]) => y)];
    /** @type {number[]} */
    const found = [];
    this.around(Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys), (i) => {
      if (isInside(this.x(i), this.y(i), line)) found.push(i);
    });
    return found;
  }

  /**
   * The nearest point that lies in a direction from another, and rather there than beside it; -1 where there is none.
   * @param {number} from
   * @param {number} dx
   * @param {number} dy
   * @param {(i: number) => boolean} wanted
   */
  beside(from, dx, dy, wanted) {
    const [x, y] = [this.x(from), this.y(from)];
    for (let reach = 4 / this.side; reach < 8; reach *= 2) {
      let [found, least] = [-1, reach];
      this.around(x - reach, y - reach, x + reach, y + reach, (i) => {
        const along = (this.x(i) - x) * dx + (this.y(i) - y) * dy;
        const across = Math.abs((this.x(i) - x) * dy - (this.y(i) - y) * dx);
        const cost = along + 2 * across;
        if (i !== from && along > 0 && across <= along * 1.5 && cost < least && wanted(i)) [found, least] = [i, cost];
      });
      if (found >= 0) return found;
    }
    return -1;
  }

  /**
   * Points in an order in which each is near the one before.
   * @param {number[]} some
   * @returns {number[]}
   */
  walk(some) {
    const rest = new Set(some);
    const order = [];
    let at = some[0];
    while (at !== undefined) {
      order.push(at);
      rest.delete(at);
      const [x, y] = [this.x(at), this.y(at)];
      let least = Infinity;
      at = undefined;
      for (const i of rest) {
        const apart = (this.x(i) - x) ** 2 + (this.y(i) - y) ** 2;
        if (apart < least) [at, least] = [i, apart];
      }
    }
    return order;
  }
}

/** @param {number} x @param {number} y @param {[number, number][]} line */
function isInside(x, y, line) {
  let inside = false;
  for (const [i, [x1, y1]] of line.entries()) {
    const [x2, y2] = /** @type {[number, number]} */ (line[i ? i - 1 : line.length - 1]);
    if (y1 > y !== y2 > y && x < ((x2 - x1) * (y - y1)) / (y2 - y1) + x1) inside = !inside;
  }
  return inside;
}
