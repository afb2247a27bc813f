// A million points by WebGL 2: positions, a value that picks the colour, and whether each is selected.

const VERTEX = `#version 300 es
precision highp float;
precision highp sampler2D;
in vec2 place;
in float value;
in float chosen;
uniform vec2 scale;
uniform vec2 shift;
uniform vec2 range;
uniform float size;
uniform float alpha;
uniform float wanted;
uniform float words;
uniform float dim;
uniform vec3 missing;
uniform sampler2D palette;
out vec4 colour;
void main() {
  bool out_of_it = abs(place.x) > 1e6 || chosen > 1.5 || (wanted >= 0.0 && abs(chosen - wanted) > 0.5);
  if (out_of_it) {
    gl_Position = vec4(2.0, 2.0, 2.0, 1.0);
    gl_PointSize = 1.0;
    colour = vec4(0.0);
    return;
  }
  gl_Position = vec4(place * scale + shift, 0.0, 1.0);
  gl_PointSize = size;
  vec3 paint = missing;
  float cover = alpha;
  if (value > -1e30) {
    float at = words > 0.5 ? value : 255.0 * (value - range.x) / (range.y - range.x);
    paint = texelFetch(palette, ivec2(int(clamp(at + 0.5, 0.0, 255.0)), 0), 0).rgb;
  } else {
    cover *= 0.5;
  }
  paint = mix(paint, missing, dim * 0.75);
  cover *= 1.0 - 0.6 * dim;
  colour = vec4(paint * cover, cover);
}`;

const FRAGMENT = `#version 300 es
precision highp float;
in vec4 colour;
uniform float size;
out vec4 painted;
void main() {
  if (size > 2.6) {
    vec2 apart = gl_PointCoord - 0.5;
    float edge = 1.0 - smoothstep(0.5 - 1.0 / size, 0.5, length(apart));
    if (edge <= 0.0) discard;
    painted = colour * edge;
  } else {
    painted = colour;
  }
}`;

const NOWHERE = 1e9;
const MISSING = -3e38;

function compiled(gl, kind, source) {
  const shader = gl.createShader(kind);
  gl.shaderSource(shader, source);
  gl.compileShader(shader);
  if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS)) throw new Error(gl.getShaderInfoLog(shader));
  return shader;
}

export class Points {
  // order: rows in the order they are painted.
  constructor(canvas, order) {
    this.canvas = canvas;
    this.order = order;
    const gl = canvas.getContext("webgl2", { antialias: false, alpha: true, premultipliedAlpha: true });
    if (!gl) throw new Error("This browser gives no WebGL 2; turn on hardware acceleration or try another.");
    this.gl = gl;
    this.centre = [0, 0];
    this.span = [1, 1];
    this.build();
    canvas.addEventListener("webglcontextlost", (event) => event.preventDefault());
  }

  build() {
    const { gl } = this;
    const program = gl.createProgram();
    gl.attachShader(program, compiled(gl, gl.VERTEX_SHADER, VERTEX));
    gl.attachShader(program, compiled(gl, gl.FRAGMENT_SHADER, FRAGMENT));
    gl.linkProgram(program);
    if (!gl.getProgramParameter(program, gl.LINK_STATUS)) throw new Error(gl.getProgramInfoLog(program));
    gl.useProgram(program);
    this.uniform = {};
    for (const name of [
      ...["scale", "shift", "range", "size", "alpha", "wanted"],
      ...["words", "dim", "missing", "palette"],
    ]) {
      this.uniform[name] = gl.getUniformLocation(program, name);
    }
    this.buffers = {};
    for (const [name, parts, kind] of [
      ["place", 2, gl.FLOAT],
      ["value", 1, gl.FLOAT],
      ["chosen", 1, gl.UNSIGNED_BYTE],
    ]) {
      const at = gl.getAttribLocation(program, name);
      this.buffers[name] = gl.createBuffer();
      gl.bindBuffer(gl.ARRAY_BUFFER, this.buffers[name]);
      const bytes = this.order.length * parts * (kind === gl.FLOAT ? 4 : 1);
      gl.bufferData(gl.ARRAY_BUFFER, bytes, gl.DYNAMIC_DRAW);
      gl.enableVertexAttribArray(at);
      gl.vertexAttribPointer(at, parts, kind, false, 0, 0);
    }
    gl.bindTexture(gl.TEXTURE_2D, gl.createTexture());
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.NEAREST);
    gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MAG_FILTER, gl.NEAREST);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
  }

  fill(name, array) {
    this.gl.bindBuffer(this.gl.ARRAY_BUFFER, this.buffers[name]);
    this.gl.bufferSubData(this.gl.ARRAY_BUFFER, 0, array);
  }

  // Positions relative to a centre and a span, so that float32 keeps its digits however far one zooms.
  setPlaces(x, y, home) {
    this.centre = [(home.left + home.right) / 2, (home.bottom + home.top) / 2];
    this.span = [Math.abs(home.right - home.left) || 1, Math.abs(home.top - home.bottom) || 1];
    const places = new Float32Array(2 * this.order.length);
    for (let place = 0; place < this.order.length; place += 1) {
      const row = this.order[place];
      const known = Number.isFinite(x[row]) && Number.isFinite(y[row]);
      places[2 * place] = known ? (x[row] - this.centre[0]) / this.span[0] : NOWHERE;
      places[2 * place + 1] = known ? (y[row] - this.centre[1]) / this.span[1] : NOWHERE;
    }
    this.fill("place", places);
  }

  setValues(values) {
    const sent = new Float32Array(this.order.length);
    for (let place = 0; place < sent.length; place += 1) {
      const value = values ? values[this.order[place]] : 0;
      sent[place] = Number.isFinite(value) ? value : MISSING;
    }
    this.fill("value", sent);
  }

  // 1 where selected, 2 where the filter leaves a row out.
  setChosen(selection, hidden) {
    const sent = new Uint8Array(this.order.length);
    for (let place = 0; place < sent.length; place += 1) {
      const row = this.order[place];
      if (hidden?.[row]) sent[place] = 2;
      else if (selection?.[row]) sent[place] = 1;
    }
    this.fill("chosen", sent);
  }

  setPalette(bytes) {
    const { gl } = this;
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.RGBA, 256, 1, 0, gl.RGBA, gl.UNSIGNED_BYTE, bytes);
  }

  // look: {view, range, words, size, alpha, missing, selecting, share}. Gives the milliseconds it took.
  draw(look) {
    const start = performance.now();
    const { gl, uniform } = this;
    const { view } = look;
    gl.viewport(0, 0, this.canvas.width, this.canvas.height);
    gl.clearColor(0, 0, 0, 0);
    gl.clear(gl.COLOR_BUFFER_BIT);
    const wide = view.right - view.left;
    const high = view.top - view.bottom;
    gl.uniform2f(uniform.scale, (2 * this.span[0]) / wide, (2 * this.span[1]) / high);
    gl.uniform2f(
      uniform.shift,
      (2 * (this.centre[0] - view.left)) / wide - 1,
      (2 * (this.centre[1] - view.bottom)) / high - 1,
    );
    gl.uniform2f(uniform.range, look.range.low, look.range.high);
    gl.uniform1f(uniform.words, look.words ? 1 : 0);
    gl.uniform1f(uniform.size, look.size);
    gl.uniform3fv(uniform.missing, look.missing);
    const count = Math.ceil(this.order.length * look.share);
    for (const [wanted, dim] of look.selecting ? [[0, 1], [1, 0]] : [[-1, 0]]) {
      gl.uniform1f(uniform.wanted, wanted);
      gl.uniform1f(uniform.dim, dim);
      gl.uniform1f(uniform.alpha, wanted === 1 ? Math.max(look.alpha, 0.8) : look.alpha);
      gl.drawArrays(gl.POINTS, 0, count);
    }
    gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, new Uint8Array(4)); // waits until it is painted
    return performance.now() - start;
  }
}
