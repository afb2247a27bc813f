// Colour, selection and export: what the bar above the panels does.

import { named } from "./axes.js";
import { drawBar, limits, logarithms, PALETTES, wordColour } from "./colour.js";
import { column, exported } from "./data.js";
import { save } from "./download.js";
import { notice } from "./notice.js";
import { element } from "./tables.js";

const byId = (id) => document.getElementById(id);
const FIRST = ["teff", "teff_predicted", "bp_rp", "log_g", "snr_g"];

export class Brush {
  constructor(state, panels) {
    this.state = state;
    this.panels = panels.filter((panel) => panel.scatter);
    this.fill();
    this.listen();
    this.ready = this.colour();
  }

  fill() {
    const select = byId("colour");
    select.add(new Option("one colour", ""));
    const groups = { predictions: "Predictions", table: "The table", survey: "The survey", map: "The map" };
    for (const [source, label] of Object.entries(groups)) {
      const group = document.createElement("optgroup");
      group.label = label;
      for (const item of this.state.about.columns) {
        if (item.source === source) group.append(new Option(named(item), item.key));
      }
      if (group.children.length) select.append(group);
    }
    select.value = FIRST.find((key) => this.state.byKey.has(key)) ?? "";
    for (const name of PALETTES) byId("palette").add(new Option(name, name));
  }

  listen() {
    const { state } = this;
    byId("count").style.minWidth = `${2 * String(state.rows).length + 13}ch`; // it must not push the buttons
    byId("colour").addEventListener("change", () => this.colour());
    byId("palette").addEventListener("change", () => this.colour());
    byId("log").addEventListener("change", () => this.colour());
    byId("clear").addEventListener("click", () => state.clearSelection());
    for (const format of ["csv", "ecsv"]) byId(format).addEventListener("click", () => this.save(format));
    for (const radio of document.querySelectorAll("input[name=mode]")) {
      radio.addEventListener("change", () => {
        state.mode = radio.value;
        document.body.classList.toggle("lasso", radio.value === "lasso");
      });
    }
    state.on("selection", () => this.saySelection());
    new ResizeObserver(() => this.drawBar()).observe(byId("colourbar"));
  }

  get key() {
    return byId("colour").value;
  }

  async colour() {
    const { key } = this;
    const about = this.state.byKey.get(key);
    let values = about ? await column(key) : null;
    if (key !== this.key) return;
    this.about = about;
    this.log = byId("log").checked && Boolean(about) && !about.categories;
    if (this.log) values = logarithms(values);
    this.range = values ? limits(values) : { low: 0, high: 1, missing: 0 };
    const words = !about || Boolean(about.categories);
    for (const { scatter } of this.panels) scatter.paint(values, words, this.range, byId("palette").value);
    byId("colourbar").hidden = words;
    for (const id of ["palette", "logarithm"]) byId(id).classList.toggle("off", words);
    for (const id of ["palette", "log"]) byId(id).disabled = words;
    byId("nocolour").textContent = this.range.missing ? `${this.range.missing} unknown (grey)` : "";
    this.legend(about, values);
    this.drawBar();
    this.state.tell("colour");
  }

  // Columns that panels and colour show.
  shownKeys() {
    const shown = this.panels.flatMap(({ shape }) => [shape.x, shape.y]);
    return [...new Set([...shown, this.key])].filter(Boolean);
  }

  legend(about, values) {
    const box = byId("words");
    box.replaceChildren();
    if (!about?.categories) return;
    about.categories.forEach((word, code) => {
      const button = element("button");
      button.type = "button";
      const dot = document.createElementNS("http://www.w3.org/2000/svg", "svg");
      dot.setAttribute("viewBox", "0 0 10 10");
      dot.innerHTML = `<circle cx="5" cy="5" r="5" fill="${wordColour(code)}"/>`;
      button.append(dot, word.replaceAll("_", " "));
      button.addEventListener("click", () => {
        const rows = [];
        values.forEach((value, row) => value === code && rows.push(row));
        this.state.select(rows);
      });
      box.append(button);
    });
  }

  drawBar() {
    if (this.about && !this.about.categories) {
      drawBar(byId("colourbar"), this.about, this.range, byId("palette").value, this.log);
    }
  }

  redraw() {
    for (const { scatter } of this.panels) scatter.recolour();
    this.drawBar();
  }

  saySelection() {
    const { selected, visible } = this.state;
    byId("count").textContent = selected ? `${selected} of ${visible} selected` : "0 selected";
    for (const id of ["clear", "csv", "ecsv"]) byId(id).disabled = !selected;
  }

  exportedKeys() {
    if (byId("columns").value === "all") return this.state.about.columns.map((item) => item.key);
    return this.shownKeys();
  }

  async save(format) {
    try {
      const { name, content } = await exported(this.state.selectedRows(), format, this.exportedKeys());
      save(content, name);
      notice(`${this.state.selected} rows saved as ${name}`);
    } catch (error) {
      notice(`The selection can't be exported: ${error.message}`, true);
    }
  }
}
