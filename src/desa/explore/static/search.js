// Search by KIC number, star name or obsid.

import { json } from "./data.js";
import { element } from "./tables.js";

export function startSearch(state) {
  const byId = (id) => document.getElementById(id);
  const [form, input, box, said] = ["search", "wanted", "found", "search-said"].map(byId);

  const close = () => {
    box.hidden = true;
    box.replaceChildren();
  };
  const open = (row) => {
    close();
    state.setStar(row);
    byId("star").focus({ preventScroll: true });
  };

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const text = input.value.trim();
    if (!text) {
      close();
      return;
    }
    let rows;
    try {
      ({ rows } = await json(`/api/search?${new URLSearchParams({ q: text })}`));
    } catch (error) {
      said.textContent = `Search failed: ${error.message}`;
      return;
    }
    said.textContent = rows.length ? `${rows.length} found` : `Nothing is called ${text}`;
    if (rows.length === 1) {
      open(rows[0].row);
      return;
    }
    const shown = rows.map((item) => {
      const button = element("button");
      button.type = "button";
      button.append(element("span", item.star_id), element("span", item.obsid, "soft"));
      button.addEventListener("click", () => open(item.row));
      return button;
    });
    box.replaceChildren(...(shown.length ? shown : [element("p", `Nothing is called ${text}.`)]));
    box.hidden = false;
  });

  form.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      if (!box.hidden) close();
      else if (input.value) input.value = "";
      else input.blur();
      event.preventDefault();
      event.stopPropagation();
      input.focus();
    } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      const places = [input, ...box.querySelectorAll("button")];
      const next = places.indexOf(document.activeElement) + (event.key === "ArrowDown" ? 1 : -1);
      if (places[next]) {
        event.preventDefault();
        places[next].focus();
      }
    }
  });
  document.addEventListener("click", (event) => {
    if (!form.contains(event.target)) close();
  });
}
