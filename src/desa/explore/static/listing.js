// The selected stars as a table that sorts; without a selection all that the filter leaves.

import { named, number } from "./axes.js";
import { column, json } from "./data.js";
import { element } from "./tables.js";

const byId = (id) => document.getElementById(id);
const PAGE = 25;

export class Listing {
  // shownKeys: gives the columns that the panels and the colour show.
  constructor(state, shownKeys) {
    this.state = state;
    this.shownKeys = shownKeys;
    this.added = [];
    this.sort = { key: "", down: false };
    this.page = 0;
    this.box = byId("listing");
    this.box.addEventListener("toggle", () => this.fill());
    for (const what of ["selection", "axes", "colour"]) {
      state.on(what, () => {
        if (what === "selection") this.page = 0;
        this.fill();
      });
    }
    state.on("star", () => this.mark());
    byId("listing-before").addEventListener("click", () => this.turn(-1));
    byId("listing-after").addEventListener("click", () => this.turn(1));
    const more = byId("listing-add");
    more.add(new Option("Add a column …", ""));
    for (const item of state.about.columns) if (item.source !== "map") more.add(new Option(named(item), item.key));
    more.addEventListener("change", () => {
      if (more.value && !this.added.includes(more.value)) this.added.push(more.value);
      more.value = "";
      this.fill();
    });
  }

  get keys() {
    return [...new Set([...this.shownKeys().filter((key) => !/^map_[xy]/.test(key)), ...this.added])];
  }

  turn(pages) {
    this.page += pages;
    this.fill();
  }

  sortBy(key) {
    this.sort = { key, down: this.sort.key === key ? !this.sort.down : false };
    this.page = 0;
    this.fill(key);
  }

  // Rows in the order that is asked for; those without a value last.
  async sorted() {
    const rows = this.state.tableRows();
    const { key, down } = this.sort;
    if (!key) return rows;
    const values = await column(key);
    const sign = down ? -1 : 1;
    return rows.sort((one, other) => {
      const [a, b] = [values[one], values[other]];
      if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(a) - Number.isNaN(b) || one - other;
      return sign * (a - b) || one - other;
    });
  }

  // focused: the key of the head that was pressed, and is to keep the focus.
  async fill(focused = null) {
    const { state } = this;
    const count = state.selection ? state.selected : state.visible;
    byId("listing-said").textContent = state.selection
      ? `Table of the ${count} selected`
      : `Table of ${state.hidden ? "the" : "all"} ${count}${state.hidden ? " that pass the filter" : ""}`;
    if (!this.box.open) return;
    const asked = {};
    this.asked = asked;
    const { keys } = this;
    const rows = await this.sorted();
    const pages = Math.max(1, Math.ceil(rows.length / PAGE));
    this.page = Math.min(Math.max(this.page, 0), pages - 1);
    const shown = [...rows.subarray(this.page * PAGE, (this.page + 1) * PAGE)];
    const names = shown.length ? await json(`/api/names?rows=${shown.join(",")}`) : [];
    const values = await Promise.all(keys.map(column));
    if (this.asked !== asked) return;
    byId("listing-page").textContent = `Page ${this.page + 1} of ${pages}`;
    byId("listing-before").disabled = this.page === 0;
    byId("listing-after").disabled = this.page === pages - 1;
    const table = element("table");
    table.append(this.head(keys), this.body(names, keys, values));
    byId("listing-rows").replaceChildren(table);
    this.mark();
    if (focused !== null) table.querySelector(`button[data-key="${CSS.escape(focused)}"]`)?.focus();
  }

  head(keys) {
    const line = element("tr");
    const columns = [["star_id", "Star"], ...keys.map((key) => [key, named(this.state.byKey.get(key))])];
    for (const [key, label] of columns) {
      const cell = element("th");
      cell.scope = "col";
      const sorted = this.sort.key === key;
      cell.setAttribute("aria-sort", sorted ? (this.sort.down ? "descending" : "ascending") : "none");
      const button = element("button", label + (sorted ? (this.sort.down ? " ▼" : " ▲") : ""));
      button.type = "button";
      button.dataset.key = key;
      button.addEventListener("click", () => this.sortBy(key));
      cell.append(button);
      line.append(cell);
    }
    const head = element("thead");
    head.append(line);
    return head;
  }

  body(names, keys, values) {
    const body = element("tbody");
    for (const { row, star_id: star, obsid } of names) {
      const line = element("tr");
      line.dataset.row = String(row);
      const open = element("button", star || `Row ${row}`);
      open.type = "button";
      open.title = obsid && `obsid ${obsid}`;
      open.addEventListener("click", () => this.state.setStar(row));
      const name = element("th");
      name.scope = "row";
      name.append(open);
      line.append(name);
      keys.forEach((key, place) => {
        const about = this.state.byKey.get(key);
        const value = values[place][row];
        const text = about.categories && Number.isFinite(value) ? about.categories[value] : number(value, 5);
        line.append(element("td", text.replaceAll("_", " ")));
      });
      line.addEventListener("pointerenter", () => this.state.setHover(row));
      line.addEventListener("pointerleave", () => this.state.setHover(null));
      body.append(line);
    }
    return body;
  }

  mark() {
    for (const line of byId("listing-rows").querySelectorAll("tr[data-row]")) {
      line.classList.toggle("open", Number(line.dataset.row) === this.state.star);
    }
  }
}
