// Tables of predictions (with their intervals drawn) and of values.

import { number } from "./axes.js";

const SVG = "http://www.w3.org/2000/svg";

export function element(name, text = "", className = "") {
  const made = document.createElement(name);
  made.textContent = text;
  if (className) made.className = className;
  return made;
}

function svg(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

export function predictionTable(predictions, origin) {
  if (!predictions.length && origin) return element("p", `None of this star in ${origin.split(":")[0]}.`, "soft");
  if (!predictions.length) {
    return element("p", "None given: desa predict makes them, --predictions shows them.", "soft");
  }
  const table = element("table");
  const addLine = (text, className) => {
    const line = element("tr");
    const cell = element("td", text, className);
    cell.colSpan = 3;
    line.append(cell);
    table.append(line);
  };
  for (const item of predictions) {
    const row = element("tr");
    const name = element("th", item.label);
    name.scope = "row";
    if (item.class !== null) {
      const chances = Object.entries(item.chances).map(([kind, share]) => `${kind} ${number(share ?? NaN, 2)}`);
      row.append(name, element("td", item.class), element("td"));
      table.append(row);
      if (chances.length) addLine(`Probabilities: ${chances.join(", ")}`, "soft");
    } else {
      const ranges = Object.entries(item.intervals)
        .map(([share, ends]) => [Number(share), ends])
        .filter(([, ends]) => ends.every((end) => end !== null));
      const width = ranges.length ? (ranges[0][1][1] - ranges[0][1][0]) / 2 : 0;
      const said = (value) => toError(value, width);
      const words = ranges.map(([share, ends]) => `${share} %: ${said(ends[0])} to ${said(ends[1])}`);
      const drawn = element("td");
      if (ranges.length) drawn.append(intervals(item, ranges, words));
      row.append(name, element("td", `${said(item.median)} ${item.unit}`), drawn);
      table.append(row);
      if (words.length) addLine(words.join("; "), "ends");
    }
    if (item.flag) addLine(`⚑ ${item.why || `flag ${item.flag}`}`, "flag");
  }
  const drawn = predictions.some((item) => item.class === null);
  if (drawn) addLine("Dot: median; thick 68 %, thin 90 %; diamond: catalogue.", "ends");
  if (origin) addLine(`${origin}.`, "ends");
  return table;
}

// Thick: 68 %; thin: 90 %; dot: median; red diamond: what the catalogue says.
function intervals(item, ranges, words) {
  const all = [item.median, item.catalogue, ...ranges.flatMap(([, ends]) => ends)].filter((x) => x !== null);
  const low = Math.min(...all);
  const high = Math.max(...all);
  const at = (value) => 6 + (108 * (value - low)) / (high - low || 1);
  const said = item.catalogue === null ? "" : `; catalogue ${number(item.catalogue)}`;
  const picture = svg("svg", { viewBox: "0 0 120 16", class: "ranges", role: "img" });
  picture.setAttribute("aria-label", `Median ${number(item.median)}; ${words.join("; ")}${said}`);
  for (const [share, ends] of [...ranges].reverse()) {
    const name = share === 68 ? "narrow" : "wide";
    picture.append(svg("line", { x1: at(ends[0]), x2: at(ends[1]), y1: 8, y2: 8, class: name }));
  }
  picture.append(svg("circle", { cx: at(item.median), cy: 8, r: 2.2, class: "middle" }));
  if (item.catalogue !== null) {
    const x = at(item.catalogue);
    picture.append(svg("path", { d: `M${x - 4} 8L${x} 3L${x + 4} 8L${x} 13Z`, class: "said" }));
  }
  return picture;
}

// A value to the digits that its error leaves sense in: to the error's second one.
function toError(value, error) {
  if (!(error > 0)) return number(value, 5);
  const decimals = Math.min(Math.max(1 - Math.floor(Math.log10(error)), 0), 8);
  const text = value.toFixed(decimals);
  return Number(text) === 0 ? text.replace("-", "") : text.replace("-", "−");
}

function measured({ value, error, unit }) {
  if (typeof value !== "number") return value.replaceAll("_", " ");
  return `${toError(value, error)}${error ? ` ± ${toError(error, error)}` : ""} ${unit}`;
}

const UNSAID = new Set(["modality", "n_lightcurves", "n_spectra", "eep"]);

export function valueTable(values) {
  if (!values.length) return element("p", "Nothing is known of this row but its embedding.", "soft");
  const list = element("dl");
  for (const item of values) {
    if (UNSAID.has(item.key)) continue;
    const line = element("div");
    line.append(element("dt", item.label), element("dd", measured(item)));
    list.append(line);
  }
  return list;
}
