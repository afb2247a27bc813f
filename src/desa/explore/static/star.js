// The star: its name and links, light curve, spectrum, predictions, values, and the way back.

import { number } from "./axes.js";
import { floats, json } from "./data.js";
import { plainName, savePicture } from "./download.js";
import { Neighbours } from "./neighbours.js";
import { announce, notice } from "./notice.js";
import { Plot } from "./plot.js";
import { element, predictionTable, valueTable } from "./tables.js";
import { describe, TimeSeries } from "./timeseries.js";

const byId = (id) => document.getElementById(id);

export class StarPanel {
  constructor(state) {
    this.state = state;
    this.past = [];
    this.series = new TimeSeries();
    this.spectrum = new Plot(byId("spectrum"), byId("spectrum-said"));
    this.neighbours = new Neighbours(state, byId("neighbours"), byId("neighbours-said"));
    state.on("star", () => this.show(state.star));
    byId("back").addEventListener("click", () => this.back());
    byId("close").addEventListener("click", () => state.setStar(null));
    for (const button of document.querySelectorAll("button[data-picture]")) {
      button.addEventListener("click", () => this.savePicture(button.dataset.picture));
    }
    window.addEventListener("hashchange", () => this.open());
  }

  // The star that the address names: #star=KIC+8462852&obsid=..., which lasts, or #row=12.
  async open() {
    const wanted = new URLSearchParams(location.hash.slice(1));
    if (wanted.has("row")) {
      const row = Number(wanted.get("row"));
      if (row >= 0 && row < this.state.rows && row !== this.state.star) this.state.setStar(row);
    } else if (wanted.has("star")) {
      try {
        const { row } = await json(`/api/row?${wanted}`);
        if (row !== this.state.star) this.state.setStar(row);
      } catch {
        notice(`${wanted.get("star")} is not in this table.`, true);
      }
    }
  }

  back() {
    this.past.pop();
    const row = this.past.pop();
    if (row !== undefined) this.state.setStar(row);
  }

  redraw() {
    this.series.redraw();
    this.spectrum.redraw();
    this.neighbours.redraw();
  }

  async show(row) {
    this.asked?.abort();
    byId("nostar").hidden = row !== null;
    byId("onestar").hidden = row === null;
    if (row === null) {
      this.past = [];
      history.replaceState(null, "", location.pathname);
      return;
    }
    if (this.past.at(-1) !== row) this.past.push(row);
    byId("back").disabled = this.past.length < 2;
    this.asked = new AbortController();
    const options = { signal: this.asked.signal };
    try {
      const star = await json(`/api/star/${row}`, options);
      this.name(star);
      byId("predictions").replaceChildren(predictionTable(star.predictions, this.state.about.predictions));
      byId("values").replaceChildren(valueTable(star.values));
      this.series.none(star.lightcurve ? "" : this.missing("light curve"));
      await Promise.all([
        this.series.show(star, options),
        this.showSpectrum(star, options),
        this.neighbours.show(star, options),
      ]);
      byId("onestar").dataset.row = String(row);
    } catch (error) {
      if (error.name !== "AbortError") notice(`The star can't be shown: ${error.message}`, true);
    }
  }

  name(star) {
    this.star = star;
    const name = star.star_id || `Row ${star.row}`;
    const address = { ...(star.star_id ? { star: star.star_id } : { row: star.row }), ...(star.obsid && { obsid: star.obsid }) };
    history.replaceState(null, "", `#${new URLSearchParams(address)}`);
    byId("starname").textContent = name;
    const facts = [star.obsid && `obsid ${star.obsid}`, `embedded from ${modality(star.modality)}`];
    if (star.ra !== null && star.dec !== null) facts.push(`RA ${number(star.ra, 8)}°, Dec ${number(star.dec, 8)}°`);
    if (!star.in_survey) facts.push(this.state.about.survey ? "not in this survey" : "no survey given");
    byId("starfacts").textContent = facts.filter(Boolean).join(" · ");
    this.links(star);
    for (const [id, kind] of [["curve-file", "lightcurve"], ["spectrum-file", "spectrum"]]) {
      byId(id).hidden = !star[kind];
      byId(id).href = `/api/star/${star.row}/download/${kind}`;
    }
    announce(`Star ${name}`);
  }

  // Pages of the archives; nothing is fetched until somebody follows one.
  links(star) {
    const links = star.links.map(({ label, what, url }) => {
      const link = element("a", label);
      [link.href, link.title] = [url, `${label}: ${what} (leaves this page)`];
      [link.target, link.rel] = ["_blank", "noopener noreferrer"];
      return link;
    });
    const nothing = this.state.about.kind === "mock" ? "a mock star: no archive has it" : "no archive is known to have it";
    byId("links").replaceChildren(
      element("span", "Elsewhere:", "soft"),
      ...(links.length ? links : [element("span", nothing, "soft")]),
    );
  }

  missing(kind) {
    return this.state.about.survey ? `The survey has no ${kind} of this star.` : `Give --survey to see the ${kind}.`;
  }

  savePicture(name) {
    const { star_id: star, row } = this.star;
    const { kind } = this.state.about;
    const data = { mock: "mock data", real: "real data" }[kind] ?? "data of unknown kind";
    const caption = byId(name).parentElement.querySelector(".title").textContent;
    const file = `${plainName(star || `row ${row}`, name, kind)}.png`;
    savePicture([byId(name)], `${star || `Row ${row}`} (${data}): ${caption}`, file);
  }

  async showSpectrum(star, options) {
    const about = star.spectrum;
    const [canvas, said] = [byId("spectrum"), byId("spectrum").parentElement.querySelector(".none")];
    canvas.hidden = !about;
    said.hidden = Boolean(about);
    said.textContent = about ? "" : this.missing("spectrum");
    if (!about) {
      this.spectrum.show(null);
      return;
    }
    const flux = await floats(`/api/star/${star.row}/spectrum`, options);
    const shift = Math.log10(1 + (about.z ?? 0));
    const waves = Float64Array.from(flux, (_, index) => 10 ** (about.log_start - shift + index * about.log_step));
    const frame = about.z === null ? "observed frame: no redshift known" : `rest frame, z = ${number(about.z, 3)}`;
    const snr = about.snr.g === null || about.snr.g === undefined ? "" : `, S/N in g ${number(about.snr.g, 3)}`;
    const facts = [about.release, about.subclass].filter(Boolean).join(" ");
    this.spectrum.show({
      x: (index) => waves[index],
      y: flux,
      lines: this.state.about.lines,
      labels: { x: `Vacuum wavelength [Å], ${frame}; ${facts}${snr}`, y: "Flux / median" },
      short: ["λ", " Å", ""],
    });
    describe("spectrum", `Spectrum of ${star.star_id}, obsid ${about.obsid}`);
  }
}

function modality(name) {
  return { joint: "light curve and spectrum", lightcurve: "the light curve", spectrum: "the spectrum" }[name] || name;
}
