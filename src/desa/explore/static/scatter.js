// One scatter panel: axes, points, zoom and pan, lasso, the star and its neighbours as rings.

import { drawAxes, named, sized, theme } from "./axes.js";
import { table } from "./colour.js";
import { column } from "./data.js";
import { Points } from "./gl.js";
import { Pointer } from "./pointer.js";
import { inOnePiece, turned } from "./sky.js";

export const VIEWS = {
  map: { name: "Embedding map", x: "map_x", y: "map_y", bare: true },
  cmd: { name: "CMD", x: "bp_rp", y: "m_g", downY: true },
  hr: { name: "HR diagram", x: "teff", y: "log_l", downX: true },
  kiel: { name: "Kiel diagram", x: "teff", y: "log_g", downX: true, downY: true },
  sky: { name: "Sky", x: "ra", y: "dec", downX: true, sky: true },
  predicted: { name: "Kiel, predicted", x: "teff_predicted", y: "log_g_predicted", downX: true, downY: true },
};

const MARGIN = { left: 52, right: 10, top: 8, bottom: 38 };
const REACH = 9;
const FRAME = 25; // milliseconds that painting may take while things move
const REST = 250; // milliseconds without a change after which all points are painted
const LEAST = 20000; // points painted at least

export class Scatter {
  constructor(section, state) {
    this.state = state;
    this.section = section;
    this.under = section.querySelector(".axes");
    this.over = section.querySelector(".marks");
    this.canvas = section.querySelector(".points");
    this.said = section.querySelector(".shown");
    this.points = new Points(this.canvas, state.order);
    this.share = 1; // of the points, painted at once
    this.look = { range: { low: 0, high: 1 }, words: false };
    this.x = this.y = null;
    this.pointer = new Pointer(this);
    for (const name of ["selection", "star", "hover", "neighbours"]) state.on(name, () => this.told(name));
    new ResizeObserver(() => this.redraw()).observe(this.over);
  }

  told(name) {
    if (name === "selection") {
      this.points.setChosen(this.state.selection, this.state.hidden);
      this.sayShown();
      this.redraw();
    } else {
      this.drawMarks();
    }
  }

  // shape: {x, y, downX, downY, bare}
  async show(shape) {
    this.shape = shape;
    const asked = [column(shape.x), column(shape.y)];
    const [given, y] = await Promise.all(asked);
    if (this.shape !== shape) return;
    const x = shape.sky ? inOnePiece(given) : given;
    [this.x, this.y] = [x, y];
    this.home = home(x, y, shape, this.frame);
    this.view = { ...this.home };
    this.points.setPlaces(x, y, this.home);
    const about = this.state.byKey;
    const across = shape.words ? `${named(about.get(shape.x))}: ${shape.words}` : named(about.get(shape.x));
    this.labels = { x: across, y: named(about.get(shape.y)), bareX: shape.bare, bareY: shape.bare, turn: shape.sky && turned };
    this.sayShown();
    this.redraw();
  }

  // How many rows have both coordinates, of those that the filter leaves.
  sayShown() {
    const { x, y, state } = this;
    if (!x) return;
    let shown = 0;
    for (let row = 0; row < x.length; row += 1) {
      if (Number.isFinite(x[row]) && Number.isFinite(y[row]) && !state.hidden?.[row]) shown += 1;
    }
    const every = state.visible;
    this.said.textContent = shown === every ? `${shown} rows` : `${shown} of ${every} have both`;
    this.over.setAttribute(
      "aria-label",
      `Scatter of ${this.labels.y} against ${this.labels.x}, ${shown} rows. Arrow keys move, plus and minus zoom, ` +
        "0 shows all, Enter opens the star nearest the centre.",
    );
  }

  // All points and marks, painted in this moment: a WebGL canvas can only then be copied.
  picture() {
    this.draw(1);
    return [this.under, this.canvas, this.over];
  }

  paint(values, words, range, palette) {
    this.points.setValues(values);
    this.look = { words, range };
    this.palette = palette;
    this.recolour();
  }

  recolour() {
    const { dark } = theme();
    this.points.setPalette(table(this.palette || "viridis", this.look.words, dark));
    this.redraw();
  }

  get frame() {
    const box = this.over.getBoundingClientRect();
    return {
      x: MARGIN.left,
      y: MARGIN.top,
      width: Math.max(10, box.width - MARGIN.left - MARGIN.right),
      height: Math.max(10, box.height - MARGIN.top - MARGIN.bottom),
    };
  }

  toPixel(x, y) {
    const { view, frame } = this;
    return [
      frame.x + ((x - view.left) / (view.right - view.left)) * frame.width,
      frame.y + ((view.top - y) / (view.top - view.bottom)) * frame.height,
    ];
  }

  toData(px, py) {
    const { view, frame } = this;
    return [
      view.left + ((px - frame.x) / frame.width) * (view.right - view.left),
      view.top - ((py - frame.y) / frame.height) * (view.top - view.bottom),
    ];
  }

  redraw() {
    if (this.waiting || !this.view || !this.palette) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      this.draw(this.share);
      if (this.share < 1) this.restSoon();
    });
  }

  // Where all the points take long, a random part of them is painted at once and all when nothing changes.
  restSoon() {
    clearTimeout(this.rest);
    this.rest = setTimeout(() => requestAnimationFrame(() => this.draw(1)), REST);
  }

  learn(share, milliseconds) {
    const least = Math.min(1, LEAST / this.state.rows);
    const possible = Math.max(least, Math.min(1, (share * FRAME) / Math.max(milliseconds, 0.1)));
    this.share = possible < 0.8 ? possible : 1;
  }

  draw(share) {
    const colours = theme();
    const room = sized(this.under);
    if (!room) return;
    drawAxes(room.context, this.frame, this.view, this.labels, colours);
    const ratio = window.devicePixelRatio || 1;
    const { frame } = this;
    const [width, height] = [Math.round(frame.width * ratio), Math.round(frame.height * ratio)];
    if (this.canvas.width !== width || this.canvas.height !== height) {
      this.canvas.width = width;
      this.canvas.height = height;
    }
    const style = this.canvas.style;
    style.left = `${frame.x}px`;
    style.top = `${frame.y}px`;
    style.width = `${frame.width}px`;
    style.height = `${frame.height}px`;
    const zoom = Math.abs((this.home.right - this.home.left) / (this.view.right - this.view.left));
    const size = pointSize(this.state.rows) * Math.min(Math.max(zoom, 0.6) ** 0.35, 3);
    this.canvas.dataset.drawn = String(Math.ceil(this.state.rows * share));
    const took = this.points.draw({
      ...this.look,
      view: this.view,
      size: Math.min(size, 9) * ratio,
      alpha: Math.min(0.85, (0.25 + 150 / Math.sqrt(this.state.rows)) * Math.max(1, zoom) ** 0.25),
      missing: channels(colours.missing),
      selecting: Boolean(this.state.selection),
      share,
    });
    this.learn(share, took);
    this.drawMarks();
  }

  drawMarks() {
    if (!this.view) return;
    const room = sized(this.over);
    if (!room) return;
    const { context } = room;
    const colours = theme();
    const { frame, state } = this;
    context.save();
    context.beginPath();
    context.rect(frame.x, frame.y, frame.width, frame.height);
    context.clip();
    for (const row of state.neighbours) this.ring(context, row, 5, colours.ink, 1);
    if (state.star !== null) {
      this.ring(context, state.star, 8, colours.plot, 4.5);
      this.ring(context, state.star, 8, colours.mark, 2.2);
      this.ring(context, state.star, 1.5, colours.mark, 2);
    }
    if (state.hover !== null) this.ring(context, state.hover, 6, colours.accent, 2);
    context.restore();
    this.pointer.draw(context, colours);
  }

  ring(context, row, radius, colour, width) {
    const [x, y] = [this.x[row], this.y[row]];
    if (!Number.isFinite(x) || !Number.isFinite(y)) return;
    const [px, py] = this.toPixel(x, y);
    context.beginPath();
    context.arc(px, py, radius, 0, 2 * Math.PI);
    context.strokeStyle = colour;
    context.lineWidth = width;
    context.stroke();
  }

  // The row nearest a place in the panel, or null if none is within reach (CSS pixels).
  nearest(px, py, reach = REACH) {
    if (!this.x) return null;
    const { view, frame } = this;
    const [x, y] = this.toData(px, py);
    const perX = frame.width / (view.right - view.left);
    const perY = frame.height / (view.top - view.bottom);
    let best = reach * reach;
    let found = null;
    const { hidden } = this.state;
    for (let row = 0; row < this.x.length; row += 1) {
      if (hidden?.[row]) continue;
      const across = (this.x[row] - x) * perX;
      const along = (this.y[row] - y) * perY;
      const apart = across * across + along * along;
      if (apart < best) {
        best = apart;
        found = row;
      }
    }
    return found;
  }

  // Rows inside a polygon of CSS pixels.
  inside(polygon) {
    const corners = polygon.map(([px, py]) => this.toData(px, py));
    const [xs, ys] = [corners.map((corner) => corner[0]), corners.map((corner) => corner[1])];
    const [left, right] = [Math.min(...xs), Math.max(...xs)];
    const [low, high] = [Math.min(...ys), Math.max(...ys)];
    const rows = [];
    for (let row = 0; row < this.x.length; row += 1) {
      const [x, y] = [this.x[row], this.y[row]];
      if (!(x >= left && x <= right && y >= low && y <= high)) continue;
      let within = false;
      for (let here = 0, before = xs.length - 1; here < xs.length; before = here, here += 1) {
        if (ys[here] > y !== ys[before] > y) {
          const cut = xs[here] + ((y - ys[here]) * (xs[before] - xs[here])) / (ys[before] - ys[here]);
          if (x < cut) within = !within;
        }
      }
      if (within) rows.push(row);
    }
    return rows;
  }

  inView() {
    const { x, y, width, height } = this.frame;
    return this.inside([[x, y], [x + width, y], [x + width, y + height], [x, y + height]]);
  }

  zoom(factor, px = null, py = null) {
    const { frame } = this;
    const [x, y] = this.toData(px ?? frame.x + frame.width / 2, py ?? frame.y + frame.height / 2);
    const { view, home: whole } = this;
    const size = Math.abs((view.right - view.left) / (whole.right - whole.left)) * factor;
    if (size > 20 || size < 1e-5) return;
    this.view = {
      left: x + (view.left - x) * factor,
      right: x + (view.right - x) * factor,
      bottom: y + (view.bottom - y) * factor,
      top: y + (view.top - y) * factor,
    };
    this.redraw();
  }

  pan(dx, dy) {
    const { view, frame } = this;
    const across = (-dx / frame.width) * (view.right - view.left);
    const along = (dy / frame.height) * (view.top - view.bottom);
    this.view = {
      left: view.left + across,
      right: view.right + across,
      bottom: view.bottom + along,
      top: view.top + along,
    };
    this.redraw();
  }

  reset() {
    this.view = { ...this.home };
    this.redraw();
  }
}

function pointSize(rows) {
  if (rows <= 3000) return 5.5;
  return Math.max(1.5, 5.5 - 1.6 * Math.log10(rows / 3000));
}

function channels(hex) {
  return [1, 3, 5].map((place) => parseInt(hex.slice(place, place + 2), 16) / 255);
}

// The view that shows nearly all of it: from the 0.05th to the 99.95th percentile, with some air.
function home(x, y, shape, frame) {
  let [low, high] = wide(x);
  let [down, up] = wide(y);
  if (shape.sky) [low, high, down, up] = evenSky(low, high, down, up, frame);
  return {
    left: shape.downX ? high : low,
    right: shape.downX ? low : high,
    bottom: shape.downY ? up : down,
    top: shape.downY ? down : up,
  };
}

// A degree is as long across as along, at the middle of the field; nothing is shown beyond a pole.
function evenSky(low, high, down, up, frame) {
  const middle = (down + up) / 2;
  const shrunk = Math.max(Math.cos((middle * Math.PI) / 180), 0.05);
  const perDegree = Math.min(frame.width / ((high - low) * shrunk), frame.height / (up - down));
  const [across, along] = [frame.width / (perDegree * shrunk) / 2, frame.height / perDegree / 2];
  const centre = (low + high) / 2;
  return [centre - across, centre + across, middle - along, middle + along];
}

function wide(values) {
  const step = Math.max(1, Math.floor(values.length / 200000));
  const sample = [];
  for (let row = 0; row < values.length; row += step) if (Number.isFinite(values[row])) sample.push(values[row]);
  if (!sample.length) return [0, 1];
  const sorted = Float32Array.from(sample).sort();
  const low = sorted[Math.floor(0.0005 * (sorted.length - 1))];
  const high = sorted[Math.ceil(0.9995 * (sorted.length - 1))];
  const air = 0.05 * (high - low) || 0.5;
  return [low - air, high + air];
}
