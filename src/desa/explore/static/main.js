// The page: what is fetched first, and which part speaks with which.

import { json } from "./data.js";
import { Brush } from "./brush.js";
import { Filters } from "./filters.js";
import { Listing } from "./listing.js";
import { VECTORS } from "./neighbours.js";
import { notice, startNotices } from "./notice.js";
import { Panel } from "./panel.js";
import { startSearch } from "./search.js";
import { StarPanel } from "./star.js";
import { State } from "./state.js";

const byId = (id) => document.getElementById(id);

function sayFacts(about) {
  const kind = byId("kind");
  kind.textContent = { mock: "Mock data", real: "Real data" }[about.kind] || "Data: mock or real unknown";
  kind.classList.add(about.kind);
  const { map } = about;
  const model = document.createElement("code");
  model.textContent = about.model ? about.model.slice(0, 12) : "unknown";
  model.title = about.model;
  const trained = about.trained_on ? ` trained on ${about.trained_on}` : "";
  byId("facts").replaceChildren(
    `${about.file}: ${about.rows} rows, made from ${about.made_of.split(" ").slice(0, 2).join(" ") || "unknown data"}. Model `,
    model,
    `${trained}. Map: ${map.rows} rows by ${VECTORS[map.vector] || map.vector} (${map.width} numbers). ${map.said}`,
  );
  byId("warning").hidden = !about.warning;
  byId("warning").textContent = about.warning;
  byId("version").textContent = `desa ${about.version}`;
  document.title = `${about.file} (${about.kind}) – desa explore`;
}

function startTheme(redraw) {
  const button = byId("theme");
  const system = matchMedia("(prefers-color-scheme: dark)");
  let own = null;
  const apply = () => {
    const dark = own ?? system.matches;
    document.documentElement.dataset.theme = dark ? "dark" : "light";
    button.textContent = dark ? "Light" : "Dark";
    redraw();
  };
  system.addEventListener("change", apply);
  button.addEventListener("click", () => {
    own = !(own ?? system.matches);
    apply();
  });
  apply();
}

function startKeys(state, panels, star, filters) {
  document.addEventListener("keydown", (event) => {
    const typing = event.target.matches("input[type=search], input[type=number], select, textarea");
    if (event.key === "Escape") {
      if (typing) return;
      const gaveUp = panels.map((panel) => panel.scatter?.pointer.cancel()).some(Boolean);
      if (gaveUp) return;
      if (state.selection) state.clearSelection();
      else if (state.star !== null) state.setStar(null);
      return;
    }
    if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
    const actions = {
      "/": () => byId("wanted").focus(),
      n: () => star.neighbours.focus(),
      f: () => filters.open(true),
      t: () => byId("listing").querySelector("summary").click(),
      l: () => document.querySelector("input[name=mode]:not(:checked)").click(),
    };
    if (!actions[event.key]) return;
    event.preventDefault();
    actions[event.key]();
  });
}

async function start() {
  startNotices();
  const about = await json("/api/about");
  const state = new State(about);
  sayFacts(about);
  const panels = [new Panel(byId("left"), state, "map"), new Panel(byId("right"), state, "cmd")];
  const brush = new Brush(state, panels);
  const star = new StarPanel(state);
  startTheme(() => {
    brush.redraw();
    star.redraw();
  });
  startSearch(state);
  const filters = new Filters(state);
  startKeys(state, panels, star, filters);
  await Promise.all([...panels.map((panel) => panel.ready), brush.ready]);
  new Listing(state, () => brush.shownKeys()).fill();
  await star.open();
  document.body.dataset.ready = "yes";
}

start().catch((error) => notice(`The page can't be shown: ${error.message}`, true));
