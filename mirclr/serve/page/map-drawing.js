/** Points onto a canvas: by WebGL2, from one buffer; where a browser has none, dot by dot into its pixels. @module */

/**
 * What is seen of the map: its middle, pixels of the screen a unit, and the size of points in pixels.
 * @typedef {{ x: number, y: number, scale: number, size: number }} Look
 * @typedef {{
 *   setPoints: (xy: Float32Array) => void,
 *   setColours: (rgba: Uint8Array) => void,
 *   setShown: (points: Uint32Array, raised: Uint32Array) => void,
 *   draw: (look: Look, background: [number, number, number]) => void,
 * }} Drawing `setShown`: the points that are drawn, and those that are drawn larger above them.
 */

const RAISED = 1.4; // times as large
const RAISED_PX = 6; // at least

/** @param {Look} look */
const raisedSize = ({ size }) => Math.max(RAISED_PX, size * RAISED);

const VERTEX = `#version 300 es
layout(location = 0) in vec2 place;
layout(location = 1) in vec4 colour;
uniform vec4 look; // middle, and the two scales
uniform float size;
out vec4 tint;
void main() {
  tint = colour;
  gl_Position = vec4((place - look.xy) * look.zw, 0.0, 1.0);
  gl_PointSize = size;
}`;

const FRAGMENT = `#version 300 es
precision highp float;
in vec4 tint;
uniform float size;
out vec4 pixel;
void main() {
  float edge = size * (0.5 - distance(gl_PointCoord, vec2(0.5)));
  pixel = vec4(tint.rgb, tint.a * clamp(edge + 0.5, 0.0, 1.0));
}`;

// points of a few pixels are squares: nobody sees the difference, and it takes half the time
const FRAGMENT_SMALL = `#version 300 es
precision highp float;
in vec4 tint;
out vec4 pixel;
void main() {
  pixel = tint;
}`;
const SMALL = 3.5;

/**
 * The drawing of a canvas.
 * @param {HTMLCanvasElement} canvas
 * @param {() => void} again Called when all has to be set and drawn anew.
 * @returns {Drawing}
 */
export function drawingOf(canvas, again) {
  const gl = canvas.getContext("webgl2", { alpha: false, antialias: false, depth: false, powerPreference: "low-power" });
  return gl ? byWebGL(canvas, gl, again) : byPixels(canvas);
}

/**
 * @param {HTMLCanvasElement} canvas
 * @param {WebGL2RenderingContext} gl
 * @param {() => void} again
 * @returns {Drawing}
 */
function byWebGL(canvas, gl, again) {
  /** @type {ReturnType<typeof prepared> | null} */
  let ready = prepared(gl);
  let [count, raised] = [0, 0];
  canvas.addEventListener("webglcontextlost", (event) => {
    event.preventDefault();
    ready = null;
  });
  canvas.addEventListener("webglcontextrestored", () => {
    ready = prepared(gl);
    again();
  });
  return {
    setPoints(xy) {
      if (!ready) return;
      gl.bindBuffer(gl.ARRAY_BUFFER, ready.places);
      gl.bufferData(gl.ARRAY_BUFFER, xy, gl.STATIC_DRAW);
    },
    setColours(rgba) {
      if (!ready) return;
      gl.bindBuffer(gl.ARRAY_BUFFER, ready.colours);
      gl.bufferData(gl.ARRAY_BUFFER, rgba, gl.DYNAMIC_DRAW);
    },
    setShown(points, above) {
      if (!ready) return;
      [count, raised] = [points.length, above.length];
      const both = new Uint32Array(count + raised);
      both.set(points);
      both.set(above, count);
      gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, both, gl.DYNAMIC_DRAW);
    },
    draw(look, [red, green, blue]) {
      if (!ready) return;
      gl.viewport(0, 0, canvas.width, canvas.height);
      gl.clearColor(red / 255, green / 255, blue / 255, 1);
      gl.clear(gl.COLOR_BUFFER_BIT);
      const scales = [(2 * look.scale) / canvas.width, (2 * look.scale) / canvas.height];
      const draw = (/** @type {number} */ size, /** @type {number} */ many, /** @type {number} */ after) => {
        const program = size < SMALL ? ready?.small : ready?.round;
        if (!program || !many) return;
        gl.useProgram(program.program);
        gl.uniform4f(program.look, look.x, look.y, scales[0] ?? 0, scales[1] ?? 0);
        gl.uniform1f(program.size, size);
        gl.drawElements(gl.POINTS, many, gl.UNSIGNED_INT, 4 * after);
      };
      draw(look.size, count, 0);
      draw(raisedSize(look), raised, count);
    },
  };
}

/** @param {WebGL2RenderingContext} gl */
function prepared(gl) {
  const [places, colours] = [gl.createBuffer(), gl.createBuffer()];
  gl.bindVertexArray(gl.createVertexArray());
  gl.bindBuffer(gl.ARRAY_BUFFER, places);
  gl.enableVertexAttribArray(0);
  gl.vertexAttribPointer(0, 2, gl.FLOAT, false, 0, 0);
  gl.bindBuffer(gl.ARRAY_BUFFER, colours);
  gl.enableVertexAttribArray(1);
  gl.vertexAttribPointer(1, 4, gl.UNSIGNED_BYTE, true, 0, 0);
  gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, gl.createBuffer());
  gl.enable(gl.BLEND);
  gl.blendFuncSeparate(gl.SRC_ALPHA, gl.ONE_MINUS_SRC_ALPHA, gl.ONE, gl.ONE);
  return { places, colours, round: linked(gl, FRAGMENT), small: linked(gl, FRAGMENT_SMALL) };
}

/** @param {WebGL2RenderingContext} gl @param {string} fragment */
function linked(gl, fragment) {
  const program = gl.createProgram();
  for (const [kind, source] of /** @type {const} */ ([
    [gl.VERTEX_SHADER, VERTEX],
    [gl.FRAGMENT_SHADER, fragment],
  ])) {
    const shader = /** @type {WebGLShader} */ (gl.createShader(kind));
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
  }
  gl.linkProgram(program);
  return { program, look: gl.getUniformLocation(program, "look"), size: gl.getUniformLocation(program, "size") };
}

/**
 * @param {HTMLCanvasElement} canvas
 * @returns {Drawing}
 */
function byPixels(canvas) {
  const context = canvas.getContext("2d", { alpha: false });
  /** @type {Float32Array} */
  let xy = new Float32Array();
  /** @type {Uint8Array} */
  let rgba = new Uint8Array();
  /** @type {Uint32Array} */
  let shown = new Uint32Array();
  /** @type {Uint32Array} */
  let raised = shown;
  return {
    setPoints: (points) => (xy = points),
    setColours: (colours) => (rgba = colours),
    setShown(points, above) {
      shown = points;
      raised = above;
    },
    draw(look, background) {
      if (!context || !canvas.width || !canvas.height) return;
      const { width, height } = canvas;
      const image = context.createImageData(width, height);
      const pixels = new Uint32Array(image.data.buffer);
      const shades = new Uint8Array(4 * (rgba.length / 4));
      for (let i = 0; i < rgba.length; i += 4) {
        const alpha = /** @type {number} */ (rgba[i + 3]) / 255;
        for (let c = 0; c < 3; c++) {
          shades[i + c] = /** @type {number} */ (rgba[i + c]) * alpha + /** @type {number} */ (background[c]) * (1 - alpha);
        }
        shades[i + 3] = 255;
      }
      const colours = new Uint32Array(shades.buffer);
      pixels.fill(/** @type {number} */ (new Uint32Array(new Uint8Array([...background, 255]).buffer)[0]));
      const dot = (/** @type {number} */ i, /** @type {number} */ size) => {
        const half = size / 2;
        const x = Math.round((/** @type {number} */ (xy[2 * i]) - look.x) * look.scale + width / 2 - half);
        const y = Math.round(height / 2 - (/** @type {number} */ (xy[2 * i + 1]) - look.y) * look.scale - half);
        const side = Math.max(1, Math.round(size));
        if (x + side < 0 || y + side < 0 || x > width || y > height) return;
        for (let row = Math.max(0, y); row < Math.min(height, y + side); row++) {
          const from = row * width + Math.max(0, x);
          pixels.fill(/** @type {number} */ (colours[i]), from, Math.max(from, row * width + Math.min(width, x + side)));
        }
      };
      for (const i of shown) dot(i, look.size);
      for (const i of raised) dot(i, raisedSize(look));
      context.putImageData(image, 0, 0);
    },
  };
}
