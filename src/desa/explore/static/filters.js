// Ranges of columns that stars must lie in to be shown. A range without limits leaves nobody out; one with a
// limit leaves out stars without a value too.

import { named, number } from "./axes.js";
import { column } from "./data.js";
import { notice } from "./notice.js";
import { element } from "./tables.js";

const byId = (id) => document.getElementById(id);

export class Filters {
  constructor(state) {
    this.state = state;
    this.lines = [];
    this.numbers = 0;
    byId("filter").addEventListener("click", () => this.open(byId("filters").hidden));
    byId("filter-add").addEventListener("click", () => this.add());
    byId("filter-none").addEventListener("click", () => this.clear());
  }

  open(shown) {
    byId("filters").hidden = !shown;
    byId("filter").setAttribute("aria-expanded", String(shown));
    if (shown && !this.lines.length) this.add();
  }

  async add() {
    const columns = this.state.about.columns.filter((item) => item.source !== "map");
    if (!columns.length) {
      notice("The table has no columns to filter by.", true);
      return;
    }
    this.numbers += 1;
    const box = element("div", "", "filter");
    const which = element("select");
    which.setAttribute("aria-label", `Column of filter ${this.numbers}`);
    for (const item of columns) which.add(new Option(named(item), item.key));
    const used = this.lines.map((line) => line.which.value);
    const free = columns.filter((item) => !used.includes(item.key));
    which.value = (free.find((item) => item.key === byId("colour").value) ?? free.find((item) => !item.categories) ?? free[0] ?? columns[0]).key;
    const limits = element("span", "", "limits");
    const gone = element("button", "Remove");
    gone.type = "button";
    box.append(which, limits, gone);
    const line = { box, which, limits, keep: () => true };
    this.lines.push(line);
    byId("filter-lines").append(box);
    which.addEventListener("change", () => this.shape(line));
    gone.addEventListener("click", () => {
      this.lines = this.lines.filter((other) => other !== line);
      box.remove();
      this.apply();
      byId("filter-add").focus();
    });
    await this.shape(line);
    which.focus();
  }

  // A word to choose for words; a lowest and a highest value for numbers.
  async shape(line) {
    const key = line.which.value;
    const about = this.state.byKey.get(key);
    line.values = await column(key);
    if (line.which.value !== key) return;
    if (about.categories) {
      const word = element("select");
      word.setAttribute("aria-label", `${about.label} is`);
      word.add(new Option("any known", ""));
      about.categories.forEach((text, code) => word.add(new Option(text.replaceAll("_", " "), code)));
      word.addEventListener("change", () => this.apply());
      line.keep = (value) => (word.value === "" ? Number.isFinite(value) : value === Number(word.value));
      line.limits.replaceChildren(word);
    } else {
      const [low, high] = ends(line.values);
      const [from, to] = [box("from", low, about), box("to", high, about)];
      for (const input of [from, to]) input.addEventListener("input", () => this.apply());
      line.keep = (value) => {
        if (from.value === "" && to.value === "") return true;
        return (
          value >= (from.value === "" ? -Infinity : Number(from.value)) &&
          value <= (to.value === "" ? Infinity : Number(to.value))
        );
      };
      line.limits.replaceChildren(from, element("span", "to", "soft"), to, element("span", about.unit, "soft"));
    }
    this.apply();
  }

  clear() {
    for (const line of this.lines) line.box.remove();
    this.lines = [];
    this.apply();
  }

  apply() {
    const { state, lines } = this;
    let hidden = null;
    if (lines.length) {
      hidden = new Uint8Array(state.rows);
      for (const { values, keep } of lines) {
        for (let row = 0; row < state.rows; row += 1) if (!keep(values[row])) hidden[row] = 1;
      }
    }
    state.setHidden(hidden);
    byId("filter").textContent = lines.length ? `Filter (${lines.length})` : "Filter";
    byId("filter-said").textContent = lines.length ? `${state.visible} of ${state.rows} rows pass` : "No filter";
  }
}

function box(name, value, about) {
  const input = element("input");
  input.type = "number";
  input.step = "any";
  input.placeholder = number(value, 4).replace("−", "-");
  input.setAttribute("aria-label", `${about.label} ${name}`);
  return input;
}

function ends(values) {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return [low, high];
}
