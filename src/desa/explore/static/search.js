// Search by KIC number, star name or obsid, or by a place in the sky.

import { number } from "./axes.js";
import { json } from "./data.js";
import { notice } from "./notice.js";
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
    let place;
    let rows;
    try {
      ({ place, rows } = await json(`/api/search?${new URLSearchParams({ q: text })}`));
    } catch (error) {
      notice(`Search failed: ${error.message}`, true);
      return;
    }
    const nothing = place ? `No star within 0.5° of ${number(place.ra, 8)} ${number(place.dec, 8)}` : `Nothing is called ${text}`;
    said.textContent = rows.length ? `${rows.length} found` : nothing;
    if (rows.length === 1 && !place) {
      open(rows[0].row);
      return;
    }
    const shown = rows.map((item) => {
      const button = element("button");
      button.type = "button";
      button.append(element("span", item.star_id), element("span", place ? apart(item.arcsec) : item.obsid, "soft"));
      button.addEventListener("click", () => open(item.row));
      return button;
    });
    box.replaceChildren(...(shown.length ? shown : [element("p", `${nothing}.`)]));
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

function apart(arcsec) {
  return arcsec < 60 ? `${number(arcsec, 3)}″` : `${number(arcsec / 60, 3)}′`;
}
