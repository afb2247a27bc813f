// The nearest stars in the embedding as small pictures; arrow keys go through them.

import { number, sized, theme } from "./axes.js";
import { floats, json } from "./data.js";
import { drawCurve } from "./plot.js";
import { element } from "./tables.js";

const HOW_MANY = 12;
export const VECTORS = {
  joint: "joint embedding",
  z_spectrum: "aligned spectrum",
  z_lightcurve: "aligned light curve",
  features_spectrum: "spectrum alone",
  p_spectrum: "spectrum, projected",
  p_lightcurve: "light curve, projected",
  match_spectrum: "match of the spectrum",
  match_lightcurve: "match of the light curve",
  features_lightcurve: "light curve alone",
};

export class Neighbours {
  constructor(state, box, said) {
    this.state = state;
    this.box = box;
    this.said = said;
    this.pictures = [];
    box.addEventListener("keydown", (event) => this.key(event));
  }

  async show(star, options) {
    this.box.replaceChildren();
    this.pictures = [];
    const found = await json(`/api/star/${star.row}/neighbours?k=${HOW_MANY}&vector=${this.state.vector}`, options);
    if (this.state.star !== star.row) return;
    this.said.textContent = found.neighbours.length
      ? `Nearest in the embedding (${VECTORS[found.vector] || found.vector}, Euclidean distance)`
      : "No neighbours: this row has no vector that others have too";
    this.state.neighbours = found.neighbours.map((item) => item.row);
    this.state.tell("neighbours");
    const cards = found.neighbours.map((item, place) => this.card(item, place));
    this.box.append(...cards);
    await Promise.all(found.neighbours.map((item, place) => this.fill(item, cards[place], options)));
  }

  card(item, place) {
    const card = element("button");
    card.type = "button";
    card.tabIndex = place ? -1 : 0;
    card.dataset.row = String(item.row);
    const title = element("span", "", "title");
    title.append(element("strong", item.star_id || `Row ${item.row}`), element("span", number(item.distance, 3), "soft"));
    card.append(title);
    card.setAttribute("aria-label", `Neighbour ${place + 1}: ${item.star_id}, distance ${number(item.distance, 3)}`);
    card.addEventListener("click", () => this.state.setStar(item.row));
    card.addEventListener("focus", () => this.state.setHover(item.row));
    card.addEventListener("blur", () => this.state.setHover(null));
    card.addEventListener("pointerenter", () => this.state.setHover(item.row));
    card.addEventListener("pointerleave", () => this.state.setHover(null));
    return card;
  }

  async fill(item, card, options) {
    const wanted = [];
    if (item.lightcurve) wanted.push(["lightcurve", (values) => this.curve(item, values)]);
    if (item.spectrum) wanted.push(["spectrum", (values) => this.spectrum(item, values)]);
    if (!wanted.length) card.append(element("span", "no data in the survey", "small"));
    for (const [kind, shape] of wanted) {
      const canvas = element("canvas");
      const words = element("span", "", "small");
      card.append(canvas, words);
      const values = await floats(`/api/star/${item.row}/${kind}`, options);
      const what = shape(values);
      words.textContent = what.words;
      this.pictures.push([canvas, what]);
      drawSmall(canvas, what);
    }
  }

  curve(item, flux) {
    const [low, high] = spread(flux, 0.005);
    const { step } = item.lightcurve;
    return {
      x: (index) => index * step,
      y: flux,
      range: [low - 0.1 * (high - low), high + 0.1 * (high - low)],
      words: `${number(flux.length * step, 3)} d; 99 % within ${number(high - low, 3)} ppt`,
    };
  }

  spectrum(item, flux) {
    const { log_start: start, log_step: step } = item.spectrum;
    const low = 10 ** start;
    const high = 10 ** (start + step * flux.length);
    const [bottom, top] = spread(flux, 0.002);
    return {
      x: (index) => 10 ** (start + step * index),
      y: flux,
      range: [Math.min(bottom, 0), top * 1.05],
      words: `${number(low, 4)}–${number(high, 4)} Å; S/N in g ${number(item.spectrum.snr.g ?? NaN, 3)}`,
    };
  }

  redraw() {
    for (const [canvas, what] of this.pictures) drawSmall(canvas, what);
  }

  focus() {
    this.box.querySelector('button[tabindex="0"]')?.focus();
  }

  key(event) {
    const cards = [...this.box.children];
    const here = cards.indexOf(document.activeElement);
    const steps = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };
    let next = null;
    if (event.key in steps) next = here + steps[event.key];
    else if (event.key === "Home") next = 0;
    else if (event.key === "End") next = cards.length - 1;
    if (next === null || here < 0) return;
    event.preventDefault();
    const card = cards[(next + cards.length) % cards.length];
    for (const other of cards) other.tabIndex = other === card ? 0 : -1;
    card.focus();
  }
}

function spread(values, tail) {
  const sorted = values.filter(Number.isFinite).sort();
  if (!sorted.length) return [0, 1];
  return [sorted[Math.floor(tail * (sorted.length - 1))], sorted[Math.ceil((1 - tail) * (sorted.length - 1))]];
}

function drawSmall(canvas, what) {
  const room = sized(canvas);
  if (!room) return;
  const frame = { x: 0, y: 2, width: room.width, height: room.height - 4 };
  const last = what.y.length - 1;
  const view = { left: what.x(0), right: what.x(Math.max(last, 1)), bottom: what.range[0], top: what.range[1] };
  drawCurve(room.context, what, 0, last + 1, frame, view, theme().line);
}
