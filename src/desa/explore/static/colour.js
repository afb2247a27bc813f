// Colour of points: perceptual maps for numbers, distinct colours for words; the bar that says what they mean.

import { named, number, powers, sized, theme, ticks, written } from "./axes.js";

const STOPS = {
  viridis:
    "440154 48186a 472d7b 424086 3b528b 33638d 2c728e 26828e 21918c 1fa088 28ae80 3fbc73 5ec962 84d44b addc30 d8e219 fde725",
  cividis:
    "00224e 002e6a 1a386f 32436d 434e6c 535a6d 61656f 6f7073 7d7c78 8c8878 9b9476 aba072 bcae6c cdbb63 dec958 f0d846 fee838",
  magma:
    "000004 0a0822 1d1147 36106b 51127c 6a1c81 832681 9c2e7f b73779 d0416f e75263 f56b5c fc8961 fea772 fec488 fde2a3 fcfdbf",
};

const WORDS = ["0072b2", "e69f00", "009e73", "d55e00", "cc79a7", "56b4e9", "b8a800", "7a6ff0"];
const OTHERS = "8a8a8a";

export const PALETTES = Object.keys(STOPS);

const channels = (hex) => [0, 2, 4].map((place) => parseInt(hex.slice(place, place + 2), 16));

// 256 RGBA colours. The end that is nearest the background is left out.
export function table(palette, words, dark) {
  const bytes = new Uint8Array(1024);
  const stops = STOPS[palette].split(" ").map(channels);
  for (let place = 0; place < 256; place += 1) {
    let colour;
    if (words) {
      colour = channels(place < WORDS.length ? WORDS[place] : OTHERS);
    } else {
      const share = dark ? 0.14 + (0.86 * place) / 255 : (0.94 * place) / 255;
      const at = share * (stops.length - 1);
      const left = Math.min(Math.floor(at), stops.length - 2);
      colour = stops[left].map((value, index) => value + (at - left) * (stops[left + 1][index] - value));
    }
    bytes.set([...colour.map(Math.round), 255], 4 * place);
  }
  return bytes;
}

// 2nd and 98th percentile of what is finite (from a sample of large columns), and how many are missing.
export function limits(values) {
  let missing = 0;
  const step = Math.max(1, Math.floor(values.length / 200000));
  const sample = [];
  for (let row = 0; row < values.length; row += 1) {
    if (!Number.isFinite(values[row])) missing += 1;
    else if (row % step === 0) sample.push(values[row]);
  }
  if (!sample.length) return { low: 0, high: 1, missing };
  const sorted = Float32Array.from(sample).sort();
  const at = (share) => sorted[Math.round(share * (sorted.length - 1))];
  let [low, high] = [at(0.02), at(0.98)];
  if (!(high > low)) [low, high] = [sorted[0] - 0.5, sorted[sorted.length - 1] + 0.5];
  return { low, high, missing };
}

// log10 of what is positive; the rest counts as missing.
export function logarithms(values) {
  return values.map((value) => (value > 0 ? Math.log10(value) : NaN));
}

// Where the bar is marked, as [place from low to high, words]. A logarithmic range holds exponents.
function marks(range, log, wanted) {
  if (!log) {
    const { step, at } = ticks(range.low, range.high, wanted);
    return at.map((value) => [value, written(value, step)]);
  }
  return powers(range.low, range.high);
}

export function drawBar(canvas, column, range, palette, log) {
  const colours = theme();
  const room = sized(canvas);
  if (!room) return;
  const { context, width } = room;
  const [x, w, h] = [14, width - 28, 11];
  const bytes = table(palette, false, colours.dark);
  for (let pixel = 0; pixel < w; pixel += 1) {
    const place = 4 * Math.round((255 * pixel) / Math.max(w - 1, 1));
    context.fillStyle = `rgb(${bytes[place]},${bytes[place + 1]},${bytes[place + 2]})`;
    context.fillRect(x + pixel, 2, 1.5, h);
  }
  context.font = colours.font;
  context.fillStyle = colours.ink;
  context.textBaseline = "top";
  context.textAlign = "center";
  for (const [value, words] of marks(range, log, w / 45)) {
    const place = x + ((value - range.low) / (range.high - range.low)) * w;
    context.fillRect(Math.round(place), h + 2, 1, 3);
    context.fillText(words, place, h + 6);
  }
  const [low, high] = [range.low, range.high].map((end) => number(log ? 10 ** end : end));
  canvas.setAttribute(
    "aria-label",
    `Colour bar: ${named(column)} from ${low} to ${high}; 2 % beyond each end`,
  );
}

export function wordColour(place) {
  return `#${place < WORDS.length ? WORDS[place] : OTHERS}`;
}
