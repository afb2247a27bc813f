// A curve with axes: zoom, pan, reset, by mouse, finger and keys. A million samples draw as the lowest and
// highest of each column of pixels.

import { drawAxes, number, sized, theme } from "./axes.js";

const STILL = 4; // pixels that a click may move
const MARGIN = { left: 52, right: 10, top: 8, bottom: 38 };

export class Plot {
  // what: {x: index -> value (rising), y: Float32Array with NaN in gaps, labels, lines, marks, dots, range,
  // cloud: each sample is a faint dot, over: {x, y} a second curve, breaks: values of x, pick: called with the x
  // that is clicked}
  constructor(canvas, readout) {
    this.canvas = canvas;
    this.readout = readout;
    this.what = null;
    this.held = new Map();
    this.still = false; // whether the pointer has not moved since it was pressed
    this.listen();
    new ResizeObserver(() => this.redraw()).observe(canvas);
  }

  show(what) {
    this.what = what;
    this.place = null;
    if (what) {
      const last = Math.max(what.y.length - 1, 1);
      this.home = [what.x(0), what.x(last)];
      this.range = [...this.home];
    }
    this.redraw();
  }

  // Other marks on the same curve; what is in view stays.
  mark(marks) {
    if (!this.what) return;
    this.what.marks = marks;
    this.redraw();
  }

  get frame() {
    const box = this.canvas.getBoundingClientRect();
    const top = MARGIN.top + (this.what?.lines ? 24 : 0);
    return {
      x: MARGIN.left,
      y: top,
      width: Math.max(10, box.width - MARGIN.left - MARGIN.right),
      height: Math.max(10, box.height - top - MARGIN.bottom),
    };
  }

  listen() {
    const { canvas } = this;
    canvas.addEventListener(
      "wheel",
      (event) => {
        if (!this.what) return;
        event.preventDefault();
        this.zoom(Math.exp(Math.max(-1, Math.min(1, event.deltaY / 300))), this.share(event.offsetX));
      },
      { passive: false },
    );
    canvas.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      canvas.setPointerCapture(event.pointerId);
      this.held.set(event.pointerId, event.offsetX);
      this.still = this.held.size === 1;
      this.pressed = [event.offsetX, event.offsetY];
    });
    canvas.addEventListener("pointermove", (event) => {
      this.place = event.offsetX;
      const before = this.held.get(event.pointerId);
      if (before === undefined) {
        this.redraw();
        return;
      }
      this.held.set(event.pointerId, event.offsetX);
      if (Math.hypot(event.offsetX - this.pressed[0], event.offsetY - this.pressed[1]) > STILL) this.still = false;
      if (this.still) return;
      if (this.held.size === 2) {
        const [other] = [...this.held].filter(([id]) => id !== event.pointerId).map(([, place]) => place);
        const ratio = Math.abs(before - other) / Math.max(Math.abs(event.offsetX - other), 1);
        this.zoom(ratio, this.share((event.offsetX + other) / 2));
      } else {
        this.pan((before - event.offsetX) / this.frame.width);
      }
    });
    canvas.addEventListener("pointerup", (event) => {
      if (this.held.delete(event.pointerId) && this.still) this.picked(event.offsetX);
    });
    canvas.addEventListener("pointercancel", (event) => this.held.delete(event.pointerId));
    canvas.addEventListener("pointerleave", () => {
      this.place = null;
      this.redraw();
    });
    canvas.addEventListener("dblclick", () => this.reset());
    canvas.addEventListener("keydown", (event) => this.key(event));
  }

  key(event) {
    if (!this.what || event.ctrlKey || event.metaKey || event.altKey) return;
    const actions = {
      ArrowLeft: () => this.pan(-0.1),
      ArrowRight: () => this.pan(0.1),
      "+": () => this.zoom(1 / 1.5),
      "=": () => this.zoom(1 / 1.5),
      "-": () => this.zoom(1.5),
      0: () => this.reset(),
    };
    if (!actions[event.key]) return;
    event.preventDefault();
    event.stopPropagation();
    actions[event.key]();
  }

  picked(pixel) {
    const share = this.share(pixel);
    if (!this.what?.pick || share < 0 || share > 1) return;
    this.what.pick(this.range[0] + share * (this.range[1] - this.range[0]));
  }

  share(pixel) {
    return (pixel - this.frame.x) / this.frame.width;
  }

  zoom(factor, share = 0.5) {
    const [low, high] = this.range;
    const [first, last] = this.home;
    const centre = low + share * (high - low);
    const width = Math.min((high - low) * factor, last - first);
    if (width < ((last - first) / this.what.y.length) * 5) return;
    this.move(centre - share * width, width);
  }

  pan(share) {
    const [low, high] = this.range;
    this.move(low + share * (high - low), high - low);
  }

  move(low, width) {
    const start = Math.min(Math.max(low, this.home[0]), this.home[1] - width);
    this.range = [start, start + width];
    this.redraw();
  }

  reset() {
    if (!this.what) return;
    this.range = [...this.home];
    this.redraw();
  }

  redraw() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      this.draw();
    });
  }

  draw() {
    const room = sized(this.canvas);
    if (!room || !this.what) return;
    const { context } = room;
    const colours = theme();
    const { frame, what, range } = this;
    const [first, last] = [indexAt(what, range[0]), indexAt(what, range[1]) + 1];
    const [low, high] = heights(what, first, last);
    const view = { left: range[0], right: range[1], bottom: low, top: high };
    drawAxes(context, frame, view, what.labels, colours);
    context.save();
    context.beginPath();
    context.rect(frame.x, frame.y, frame.width, frame.height);
    context.clip();
    if (what.breaks) drawBreaks(context, what.breaks, frame, view, colours);
    drawCurve(context, what, first, last, frame, view, colours.line);
    if (what.over) {
      const over = { ...what.over, bold: true };
      drawCurve(context, over, 0, over.y.length, frame, view, colours.mark);
    }
    this.drawMarks(context, view, colours);
    context.restore();
    if (what.lines) drawLines(context, what.lines, frame, view, colours);
    this.drawReadout(context, view, colours);
  }

  drawMarks(context, view, colours) {
    const { frame } = this;
    context.font = colours.font;
    context.textBaseline = "top";
    context.textAlign = "left";
    for (const { at, label } of this.what.marks || []) {
      const x = frame.x + ((at - view.left) / (view.right - view.left)) * frame.width;
      if (!(x >= frame.x && x <= frame.x + frame.width)) continue;
      context.strokeStyle = colours.mark;
      context.setLineDash([4, 3]);
      context.beginPath();
      context.moveTo(x, frame.y);
      context.lineTo(x, frame.y + frame.height);
      context.stroke();
      context.setLineDash([]);
      const wide = context.measureText(label).width;
      const left = x + wide + 6 > frame.x + frame.width ? x - wide - 6 : x + 4;
      context.fillStyle = colours.plot;
      context.fillRect(left - 2, frame.y + 2, wide + 4, 13);
      context.fillStyle = colours.mark;
      context.fillText(label, left, frame.y + 3);
    }
  }

  drawReadout(context, view, colours) {
    if (!this.readout) return;
    const { frame, what, place } = this;
    if (place === null || place < frame.x || place > frame.x + frame.width) {
      this.readout.textContent = "";
      return;
    }
    const index = indexAt(what, view.left + this.share(place) * (view.right - view.left));
    const [x, y] = [what.labels.logX ? 10 ** what.x(index) : what.x(index), what.y[index]];
    this.readout.textContent = `${what.short[0]} ${number(x, 6)}${what.short[1]}, ${number(y)}${what.short[2]}`;
    context.strokeStyle = colours.soft;
    context.beginPath();
    context.moveTo(Math.round(place) + 0.5, frame.y);
    context.lineTo(Math.round(place) + 0.5, frame.y + frame.height);
    context.stroke();
  }
}

// The sample nearest a value of x, by bisection.
function indexAt(what, value) {
  let [low, high] = [0, what.y.length - 1];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (what.x(middle) <= value) low = middle;
    else high = middle;
  }
  return Math.abs(what.x(low) - value) <= Math.abs(what.x(high) - value) ? low : high;
}

function heights(what, first, last) {
  if (what.range) return what.range;
  let [low, high] = [Infinity, -Infinity];
  for (let index = first; index < last; index += 1) {
    const value = what.y[index];
    if (value < low) low = value;
    if (value > high) high = value;
  }
  if (!(high >= low)) return [0, 1];
  const air = 0.06 * (high - low) || Math.abs(high) * 0.01 || 1;
  return [low - air, high + air];
}

// Lines where samples are neighbours, broken at gaps; the span of each pixel's samples where there are many.
export function drawCurve(context, what, first, last, frame, view, colour) {
  const perX = frame.width / (view.right - view.left);
  const perY = frame.height / (view.top - view.bottom);
  const toX = (index) => frame.x + (what.x(index) - view.left) * perX;
  const toY = (value) => frame.y + (view.top - value) * perY;
  const dense = last - first > 2 * frame.width;
  context.strokeStyle = colour;
  context.fillStyle = colour;
  context.lineWidth = what.bold ? 2 : dense ? 1.1 : 1.2;
  if (what.cloud) {
    context.globalAlpha = Math.max(0.12, Math.min(0.8, 900 / (last - first)));
    for (let index = first; index < last; index += 1) {
      if (Number.isFinite(what.y[index])) context.fillRect(toX(index) - 0.9, toY(what.y[index]) - 0.9, 1.8, 1.8);
    }
    context.globalAlpha = 1;
    return;
  }
  if (what.dots && !dense) {
    const radius = last - first > frame.width / 2 ? 1.1 : 1.9;
    for (let index = first; index < last; index += 1) {
      if (!Number.isFinite(what.y[index])) continue;
      context.fillRect(toX(index) - radius, toY(what.y[index]) - radius, 2 * radius, 2 * radius);
    }
    return;
  }
  context.beginPath();
  let pen = false;
  let [pixel, low, high] = [null, Infinity, -Infinity];
  const flush = () => {
    if (!(low <= high)) return;
    context.moveTo(pixel + 0.5, toY(low) + 0.5);
    context.lineTo(pixel + 0.5, toY(high) - 0.5);
  };
  for (let index = first; index < last; index += 1) {
    const value = what.y[index];
    if (dense) {
      const here = Math.floor(toX(index));
      if (here !== pixel) {
        flush();
        const joined = what.dots || index === first ? NaN : what.y[index - 1];
        const apart = here > pixel + 1; // on a logarithmic axis samples may be many here and few there
        if (apart && Number.isFinite(joined) && Number.isFinite(value)) {
          context.moveTo(toX(index - 1), toY(joined));
          context.lineTo(toX(index), toY(value));
        }
        [pixel, low, high] = [here, joined, joined];
        if (apart || !Number.isFinite(joined)) [low, high] = [Infinity, -Infinity];
      }
      if (value < low) low = value;
      if (value > high) high = value;
    } else if (Number.isFinite(value)) {
      if (pen) context.lineTo(toX(index), toY(value));
      else context.moveTo(toX(index), toY(value));
      pen = true;
    } else {
      pen = false;
    }
  }
  if (dense) flush();
  context.stroke();
}

// Where a quarter (sector, campaign) begins.
function drawBreaks(context, breaks, frame, view, colours) {
  context.strokeStyle = colours.soft;
  context.globalAlpha = 0.6;
  context.setLineDash([2, 3]);
  context.lineWidth = 1;
  context.beginPath();
  for (const at of breaks) {
    const x = Math.round(frame.x + ((at - view.left) / (view.right - view.left)) * frame.width) + 0.5;
    context.moveTo(x, frame.y);
    context.lineTo(x, frame.y + frame.height);
  }
  context.stroke();
  context.setLineDash([]);
  context.globalAlpha = 1;
}

// Names of spectral lines over the frame, in two rows; one that finds no room keeps its tick only.
function drawLines(context, lines, frame, view, colours) {
  context.font = colours.font;
  context.textBaseline = "bottom";
  context.textAlign = "center";
  const ends = [-Infinity, -Infinity];
  let before = null;
  for (const [name, at] of lines) {
    const x = frame.x + ((at - view.left) / (view.right - view.left)) * frame.width;
    if (x < frame.x || x > frame.x + frame.width) continue;
    context.strokeStyle = colours.mark;
    context.globalAlpha = 0.55;
    context.lineWidth = 1;
    context.beginPath();
    context.moveTo(Math.round(x) + 0.5, frame.y);
    context.lineTo(Math.round(x) + 0.5, frame.y + 9);
    context.moveTo(Math.round(x) + 0.5, frame.y + frame.height - 5);
    context.lineTo(Math.round(x) + 0.5, frame.y + frame.height);
    context.stroke();
    context.globalAlpha = 1;
    const half = context.measureText(name).width / 2 + 3;
    const row = ends.findIndex((end) => x - half > end);
    if (row >= 0 && !(before && before.name === name && x - before.x < 60)) {
      context.fillStyle = colours.ink;
      context.fillText(name, x, frame.y - 2 - 11 * row);
      ends[row] = x + half;
      before = { name, x };
    }
  }
}
