// A panel's head: which columns it shows, zoom buttons, and the name of the point under the pointer.

import { json } from "./data.js";
import { Scatter, VIEWS } from "./scatter.js";

export class Panel {
  constructor(section, state, first) {
    this.state = state;
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
    const numbers = about.columns.filter((column) => !column.categories);
    const own = numbers.filter((column) => column.source !== "map");
    ["across", "along"].forEach((name, place) => {
      for (const column of numbers) this.part(name).add(new Option(column.label, column.key));
      const wanted = byKey.get(["teff", "prot"][place]) ?? own[place] ?? numbers[place];
      this.part(name).value = wanted.key;
    });
    const possible = [...view.options].filter((option) => !option.disabled).map((option) => option.value);
    const fallen = first === "map" || own.length < 2 ? ["map"] : ["hr", "kiel", "predicted", "custom"];
    view.value = [first, ...fallen].find((name) => possible.includes(name));
  }

  listen() {
    for (const name of ["view", "across", "along"]) this.part(name).addEventListener("change", () => this.show());
    this.part("in").addEventListener("click", () => this.scatter.zoom(1 / 1.5));
    this.part("out").addEventListener("click", () => this.scatter.zoom(1.5));
    this.part("all").addEventListener("click", () => this.scatter.reset());
    this.part("choose").addEventListener("click", () => this.state.select(this.scatter.inView()));
  }

  async show() {
    this.part("custom").hidden = this.part("view").value !== "custom";
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
