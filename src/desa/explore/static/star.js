// The star: light curve, autocorrelation, spectrum, predictions, values, and the way back.

import { number } from "./axes.js";
import { floats, json } from "./data.js";
import { Neighbours } from "./neighbours.js";
import { Plot } from "./plot.js";
import { predictionTable, valueTable } from "./tables.js";

const byId = (id) => document.getElementById(id);

export class StarPanel {
  constructor(state) {
    this.state = state;
    this.past = [];
    this.plots = {};
    for (const name of ["curve", "acf", "spectrum"]) {
      this.plots[name] = new Plot(byId(name), byId(`${name}-said`));
    }
    this.neighbours = new Neighbours(state, byId("neighbours"), byId("neighbours-said"));
    state.on("star", () => this.show(state.star));
    byId("back").addEventListener("click", () => this.back());
    byId("close").addEventListener("click", () => state.setStar(null));
  }

  back() {
    this.past.pop();
    const row = this.past.pop();
    if (row !== undefined) this.state.setStar(row);
  }

  redraw() {
    for (const plot of Object.values(this.plots)) plot.redraw();
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
    history.replaceState(null, "", `#row=${row}`);
    this.asked = new AbortController();
    const options = { signal: this.asked.signal };
    try {
      const star = await json(`/api/star/${row}`, options);
      this.name(star);
      byId("predictions").replaceChildren(predictionTable(star.predictions, this.state.about.predictions));
      byId("values").replaceChildren(valueTable(star.values));
      await Promise.all([
        this.showCurve(star, options),
        this.showAcf(star, options),
        this.showSpectrum(star, options),
        this.neighbours.show(star, options),
      ]);
      byId("onestar").dataset.row = String(row);
    } catch (error) {
      if (error.name !== "AbortError") byId("status").textContent = `Can't show the star: ${error.message}`;
    }
  }

  name(star) {
    byId("starname").textContent = star.star_id || `Row ${star.row}`;
    const facts = [star.obsid && `obsid ${star.obsid}`, `embedded from ${modality(star.modality)}`];
    if (!star.in_survey) facts.push(this.state.about.survey ? "not in this survey" : "no survey given");
    byId("starfacts").textContent = facts.filter(Boolean).join(" · ");
    byId("status").textContent = `Star ${star.star_id}`;
  }

  none(name, words) {
    const canvas = byId(name);
    const said = canvas.parentElement.querySelector(".none");
    canvas.hidden = Boolean(words);
    said.hidden = !words;
    said.textContent = words || "";
    if (words) this.plots[name].show(null);
  }

  missing(kind) {
    return this.state.about.survey ? `The survey has no ${kind} of this star.` : `Give --survey to see the ${kind}.`;
  }

  async showCurve(star, options) {
    const about = star.lightcurve;
    if (!about) {
      this.none("curve", this.missing("light curve"));
      return;
    }
    const flux = await floats(`/api/star/${star.row}/lightcurve`, options);
    this.none("curve");
    const start = about.start ?? 0;
    const axis = about.start === null ? "Time since the first sample [d]" : "Time [BJD − 2454833 d]";
    const quarters = about.quarters.length ? `, quarters ${runs(about.quarters)}` : "";
    this.plots.curve.show({
      x: (index) => start + index * about.step,
      y: flux,
      dots: true,
      labels: { x: `${axis}; ${about.mission}${quarters}`, y: "Relative flux [ppt]" },
      short: ["t", " d", " ppt"],
    });
    describe("curve", `Light curve of ${star.star_id}, ${about.good} good samples`);
  }

  async showAcf(star, options) {
    const about = star.lightcurve;
    if (!about) {
      this.none("acf", this.missing("light curve"));
      return;
    }
    const acf = await floats(`/api/star/${star.row}/acf`, options);
    this.none("acf");
    const known = (rows, key) => rows.find((item) => item.key === key);
    const said = known(star.values, "prot");
    const predicted = known(star.predictions, "prot");
    const marks = [];
    if (said) marks.push({ at: said.value, label: `Prot ${number(said.value, 3)} d (catalogue)` });
    else if (predicted) marks.push({ at: predicted.median, label: `Prot ${number(predicted.median, 3)} d (predicted)` });
    this.plots.acf.show({
      x: (index) => index * about.step,
      y: acf.map((value, index) => (index ? value : NaN)),
      marks,
      labels: { x: "Lag [d] (at lag 0 it is 1)", y: "Autocorrelation" },
      short: ["lag", " d", ""],
    });
    describe("acf", `Autocorrelation of the light curve of ${star.star_id}`);
  }

  async showSpectrum(star, options) {
    const about = star.spectrum;
    if (!about) {
      this.none("spectrum", this.missing("spectrum"));
      return;
    }
    const flux = await floats(`/api/star/${star.row}/spectrum`, options);
    this.none("spectrum");
    const shift = Math.log10(1 + (about.z ?? 0));
    const waves = Float64Array.from(flux, (_, index) => 10 ** (about.log_start - shift + index * about.log_step));
    const frame = about.z === null ? "observed frame: no redshift known" : `rest frame, z = ${number(about.z, 3)}`;
    const snr = about.snr.g === null || about.snr.g === undefined ? "" : `, S/N in g ${number(about.snr.g, 3)}`;
    const facts = [about.release, about.subclass].filter(Boolean).join(" ");
    this.plots.spectrum.show({
      x: (index) => waves[index],
      y: flux,
      lines: this.state.about.lines,
      labels: { x: `Vacuum wavelength [Å], ${frame}; ${facts}${snr}`, y: "Flux / median" },
      short: ["λ", " Å", ""],
    });
    describe("spectrum", `Spectrum of ${star.star_id}, obsid ${about.obsid}`);
  }
}

function describe(id, words) {
  byId(id).setAttribute("aria-label", `${words}. Arrow keys move, plus and minus zoom, 0 shows all.`);
}

function modality(name) {
  return { joint: "light curve and spectrum", lightcurve: "the light curve", spectrum: "the spectrum" }[name] || name;
}

// 1, 2, 3, 7 -> "1–3, 7"
function runs(numbers) {
  const parts = [];
  for (const value of numbers) {
    const last = parts.at(-1);
    if (last && value === last[1] + 1) last[1] = value;
    else parts.push([value, value]);
  }
  return parts.map(([first, last]) => (first === last ? `${first}` : `${first}–${last}`)).join(", ");
}

