// What every part of the page shares: the columns, the filter, the selection, the star, the point under the
// pointer.

export class State extends EventTarget {
  constructor(about) {
    super();
    this.about = about;
    this.rows = about.rows;
    this.byKey = new Map(about.columns.map((item) => [item.key, item]));
    this.order = shuffled(this.rows);
    this.vector = about.map.vector; // by which neighbours are found
    this.hidden = null; // Uint8Array, 1 where the filter leaves a row out, or null
    this.visible = this.rows;
    this.selection = null; // Uint8Array of 0 and 1, or null
    this.selected = 0;
    this.star = null;
    this.hover = null;
    this.neighbours = [];
    this.mode = "pan";
  }

  tell(what) {
    this.dispatchEvent(new Event(what));
  }

  on(what, call) {
    this.addEventListener(what, call);
  }

  // A map of other vectors: its columns join the others.
  addMap(map) {
    for (const item of map.columns) this.byKey.set(item.key, item);
    this.vector = map.vector;
  }

  // how: "replace", "add" or "remove". Rows that the filter leaves out are never selected.
  select(rows, how = "replace") {
    const chosen = how === "replace" || !this.selection ? new Uint8Array(this.rows) : this.selection;
    const value = how === "remove" ? 0 : 1;
    for (const row of rows) if (!this.hidden?.[row]) chosen[row] = value;
    this.setSelection(chosen);
  }

  setSelection(chosen) {
    this.selected = chosen.reduce((sum, one) => sum + one, 0);
    this.selection = this.selected ? chosen : null;
    this.tell("selection");
  }

  clearSelection() {
    this.selection = null;
    this.selected = 0;
    this.tell("selection");
  }

  setHidden(hidden) {
    this.hidden = hidden;
    this.visible = this.rows - (hidden ? hidden.reduce((sum, one) => sum + one, 0) : 0);
    this.tell("filter");
    if (this.selection && hidden) this.setSelection(this.selection.map((one, row) => (hidden[row] ? 0 : one)));
    else this.tell("selection");
  }

  selectedRows() {
    const rows = [];
    if (this.selection) this.selection.forEach((chosen, row) => chosen && rows.push(row));
    return rows;
  }

  // The selected rows, or all that the filter leaves where none is selected.
  tableRows() {
    if (this.selection) return Uint32Array.from(this.selectedRows());
    const rows = new Uint32Array(this.visible);
    let place = 0;
    for (let row = 0; row < this.rows; row += 1) {
      if (!this.hidden?.[row]) {
        rows[place] = row;
        place += 1;
      }
    }
    return rows;
  }

  setStar(row) {
    this.star = row;
    this.neighbours = [];
    this.tell("star");
  }

  setHover(row) {
    if (row !== this.hover) {
      this.hover = row;
      this.tell("hover");
    }
  }
}

// Rows in random order, the same each time: the first of them stand for all, and no group is painted last.
function shuffled(count) {
  const order = new Uint32Array(count);
  for (let place = 0; place < count; place += 1) order[place] = place;
  let seed = 12345;
  for (let place = count - 1; place > 0; place -= 1) {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    const other = Math.floor((seed / 4294967296) * (place + 1));
    [order[place], order[other]] = [order[other], order[place]];
  }
  return order;
}
