// A panel's head: which columns it shows, zoom buttons, and the name of the point under the pointer.

import { json } from "./data.js";
import { plainName, savePicture } from "./download.js";
import { VECTORS } from "./neighbours.js";
import { notice } from "./notice.js";
import { Scatter, VIEWS } from "./scatter.js";

const ONLY = {
  "": "All stars",
  joint: "Stars of both kinds",
  spectrum: "Stars of a spectrum only",
  lightcurve: "Stars of a light curve only",
};

export class Panel {
  constructor(section, state, first) {
    this.state = state;
    this.map = state.about.map;
    section.append(document.getElementById("panel").content.cloneNode(true));
    this.part = (name) => section.querySelector(`.${name}`);
    try {
      this.scatter = new Scatter(section, state);
    } catch (error) {
      const failed = this.part("failed");
      failed.hidden = false;
      failed.textContent = error.message;
      this.ready = Promise.resolve();
      return;
    }
    this.fill(first);
    this.listen();
    state.on("hover", () => this.sayHover());
    this.ready = this.show();
  }

  get shape() {
    const name = this.part("view").value;
    if (name === "map") {
      const [x, y] = this.map.columns.map((column) => column.key);
      const of = this.map.modality ? `, ${ONLY[this.map.modality].toLowerCase()}` : "";
      return { ...VIEWS.map, x, y, words: `${VECTORS[this.map.vector] || this.map.vector}${of}` };
    }
    if (name !== "custom") return VIEWS[name];
    const [x, y] = [this.part("across").value, this.part("along").value];
    return { x, y, downX: turned(x), downY: turned(y) };
  }

  fill(first) {
    const { byKey, about } = this.state;
    const view = this.part("view");
    for (const [name, shape] of Object.entries(VIEWS)) {
      const missing = [shape.x, shape.y].filter((key) => !byKey.has(key));
      if (missing.length && name === "predicted") continue;
      const option = new Option(shape.name + (missing.length ? ` (no ${missing.join(", ")})` : ""), name);
      option.disabled = missing.length > 0;
      view.add(option);
    }
    view.add(new Option("Two columns …", "custom"));
    this.fillMaps();
    const numbers = about.columns.filter((column) => !column.categories);
    const own = numbers.filter((column) => column.source !== "map");
    ["across", "along"].forEach((name, place) => {
      for (const column of numbers) this.part(name).add(new Option(column.label, column.key));
      const wanted = byKey.get(["teff", "prot"][place]) ?? own[place] ?? numbers[place];
      this.part(name).value = wanted.key;
    });
    const possible = [...view.options].filter((option) => !option.disabled).map((option) => option.value);
    const fallen = first === "map" || own.length < 2 ? ["map"] : ["hr", "kiel", "predicted", "sky", "custom"];
    view.value = [first, ...fallen].find((name) => possible.includes(name));
  }

  // Each kind of vector of all stars, and of the stars of each modality where there are several.
  fillMaps() {
    const { vectors, modalities } = this.state.about;
    const kinds = Object.keys(modalities);
    for (const modality of ["", ...(kinds.length > 1 ? kinds : [])]) {
      const group = document.createElement("optgroup");
      group.label = ONLY[modality] ?? modality;
      if (modality) group.label += ` (${modalities[modality]})`;
      for (const vector of vectors) group.append(new Option(VECTORS[vector] || vector, `${vector} ${modality}`));
      this.part("which").append(group);
    }
    this.part("which").value = `${this.map.vector} ${this.map.modality}`;
  }

  async chooseMap() {
    const which = this.part("which");
    const [vector, modality] = which.value.split(" ");
    which.disabled = true;
    try {
      const made = await json(`/api/map/${vector}?${new URLSearchParams({ modality })}`);
      this.map = made;
      this.state.addMap(made);
      which.title = made.said;
      await this.show();
    } catch (error) {
      notice(`No such map: ${error.message}`, true);
      which.value = `${this.map.vector} ${this.map.modality}`;
    }
    which.disabled = false;
  }

  savePicture() {
    const view = this.part("view");
    const { x, y } = this.scatter.labels;
    const { file, kind } = this.state.about;
    const data = { mock: "mock data", real: "real data" }[kind] ?? "data of unknown kind";
    const title = `${file} (${data}): ${y} against ${x}; ${this.scatter.said.textContent}`;
    savePicture(this.scatter.picture(), title, `${plainName(file, view.value, kind)}.png`);
  }

  listen() {
    this.part("which").addEventListener("change", () => this.chooseMap());
    this.part("png").addEventListener("click", () => this.savePicture());
    for (const name of ["view", "across", "along"]) this.part(name).addEventListener("change", () => this.show());
    this.part("in").addEventListener("click", () => this.scatter.zoom(1 / 1.5));
    this.part("out").addEventListener("click", () => this.scatter.zoom(1.5));
    this.part("all").addEventListener("click", () => this.scatter.reset());
    this.part("choose").addEventListener("click", () => this.state.select(this.scatter.inView()));
  }

  async show() {
    this.part("custom").hidden = this.part("view").value !== "custom";
    this.part("which").hidden = this.part("view").value !== "map";
    await this.scatter.show(this.shape);
    this.state.tell("axes");
  }

  async sayHover() {
    const tip = this.part("tip");
    const row = this.state.hover;
    tip.hidden = true;
    if (row === null) return;
    const [named] = await json(`/api/names?rows=${row}`);
    if (this.state.hover !== row) return;
    tip.textContent = [named.star_id, named.obsid].filter(Boolean).join(" · ");
    tip.hidden = false;
  }
}

// Magnitudes grow downwards, and temperature and gravity as in an HR or Kiel diagram.
function turned(key) {
  return /^(m_g|g|magnitude|teff|log_g)(_true|_catalogue|_predicted)?$/.test(key);
}
