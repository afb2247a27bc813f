// A light curve in four pictures: as it is, its periodogram, its autocorrelation, folded at a period.

import { number } from "./axes.js";
import { floats } from "./data.js";
import { announce, notice } from "./notice.js";
import { folded, range } from "./fold.js";
import { Plot } from "./plot.js";

const byId = (id) => document.getElementById(id);
const NAMES = ["curve", "periodogram", "acf", "folded"];
const TRENDS = { none: "as it is", quarters: "less a line per quarter", median: "less a running median" };

export class TimeSeries {
  constructor() {
    this.star = null;
    this.plots = Object.fromEntries(NAMES.map((name) => [name, new Plot(byId(name), byId(`${name}-said`))]));
    byId("trend").addEventListener("change", () => this.again());
    byId("window").addEventListener("change", () => this.again());
    byId("period-axis").addEventListener("change", () => this.showPeriodogram(this.power));
    byId("fold").addEventListener("submit", (event) => event.preventDefault());
    byId("period").addEventListener("input", () => this.setPeriod(Number(byId("period").value), "typed"));
    for (const [id, factor] of [["half", 0.5], ["twice", 2]]) {
      byId(id).addEventListener("click", () => this.setPeriod(this.period * factor, `${factor} times`));
    }
    byId("peak").addEventListener("click", () => this.setPeriod(this.best, "highest peak"));
  }

  redraw() {
    for (const plot of Object.values(this.plots)) plot.redraw();
  }

  // none: why there is no light curve to show, in words.
  none(words) {
    for (const name of NAMES) {
      byId(name).hidden = Boolean(words);
      if (words) this.plots[name].show(null);
    }
    const said = byId("curve").parentElement.querySelector(".none");
    said.hidden = !words;
    said.textContent = words;
    byId("onestar").classList.toggle("nocurve", Boolean(words));
  }

  async again() {
    const { star } = this;
    byId("window-box").classList.toggle("off", byId("trend").value !== "median");
    byId("window").disabled = byId("trend").value !== "median";
    if (!star?.lightcurve) return;
    this.asked?.abort();
    this.asked = new AbortController();
    try {
      await this.load(star, { signal: this.asked.signal });
    } catch (error) {
      if (error.name !== "AbortError") notice(`The light curve can't be shown: ${error.message}`, true);
    }
  }

  async show(star, options) {
    this.asked?.abort();
    this.star = star;
    this.period = NaN;
    if (star.lightcurve) await this.load(star, options);
  }

  // How the curve is shown, and how it goes into the rest: jumps between quarters hide a period.
  get trends() {
    const chosen = byId("trend").value;
    if (chosen !== "auto") return [chosen, chosen];
    return ["none", this.star.lightcurve.starts.length > 1 ? "quarters" : "none"];
  }

  async load(star, options) {
    const [shown, used] = this.trends;
    const ask = (kind, detrend) => {
      const query = new URLSearchParams({ detrend, window: byId("window").value || "10" });
      return floats(`/api/star/${star.row}/${kind}?${query}`, options);
    };
    // Each is shown when it is there: the periodogram of four years takes a second.
    const then = (show) => (values) => this.star === star && show(values);
    this.none("");
    for (const name of ["periodogram", "acf", "folded"]) byId(`${name}-trend`).textContent = TRENDS[used];
    await Promise.all([
      ask("lightcurve", shown).then(then((values) => this.showCurve(values, shown))),
      ask("acf", used).then(then((values) => this.showAcf(values))),
      ask("periodogram", used).then(then((values) => this.showPeriodogram(values))),
      ask("lightcurve", used).then(then((values) => {
        this.flux = values;
      })),
    ]);
    if (this.star !== star) return;
    if (Number.isFinite(this.period)) this.setPeriod(this.period, this.why);
    else this.firstPeriod();
  }

  showCurve(flux, trend) {
    const { star } = this;
    const about = star.lightcurve;
    const start = about.start ?? 0;
    const axis = about.start === null ? "Time since the first sample [d]" : "Time [BJD − 2454833 d]";
    const quarters = about.quarters.length ? `, quarters ${runs(about.quarters)}` : "";
    byId("curve-trend").textContent = TRENDS[trend];
    this.plots.curve.show({
      x: (index) => start + index * about.step,
      y: flux,
      dots: true,
      breaks: about.starts.slice(1).map((index) => start + index * about.step),
      labels: { x: `${axis}; ${about.mission}${quarters}`, y: "Relative flux [ppt]" },
      short: ["t", " d", " ppt"],
    });
    describe("curve", `Light curve of ${star.star_id}, ${about.good} good samples`);
  }

  showPeriodogram(power) {
    if (!power) return;
    this.power = power;
    const { start, step } = this.star.lightcurve.frequencies;
    const last = power.length - 1;
    const frequency = (index) => start + index * step;
    const peak = power.reduce((best, value, index) => (value > power[best] ? index : best), 0);
    this.best = 1 / frequency(peak);
    const byPeriod = byId("period-axis").value === "period";
    this.plots.periodogram.show({
      x: byPeriod ? (index) => -Math.log10(frequency(last - index)) : frequency,
      y: byPeriod ? power.slice().reverse() : power,
      labels: { x: byPeriod ? "Period [d]" : "Frequency [1/d]", y: "Lomb-Scargle power", logX: byPeriod },
      short: byPeriod ? ["P", " d", ""] : ["f", " /d", ""],
      pick: (value) => this.setPeriod(byPeriod ? 10 ** value : 1 / value, "clicked"),
    });
    this.mark();
    describe("periodogram", `Lomb-Scargle periodogram of ${this.star.star_id}, highest at ${number(this.best)} days`);
  }

  showAcf(acf) {
    const { star } = this;
    this.plots.acf.show({
      x: (index) => index * star.lightcurve.step,
      y: acf.map((value, index) => (index ? value : NaN)),
      labels: { x: "Lag [d] (at lag 0 it is 1)", y: "Autocorrelation" },
      short: ["lag", " d", ""],
      pick: (value) => this.setPeriod(value, "clicked"),
    });
    this.mark();
    describe("acf", `Autocorrelation of the light curve of ${star.star_id}`);
  }

  firstPeriod() {
    const known = (rows) => rows.find((item) => item.key === "prot");
    const said = known(this.star.values);
    const predicted = known(this.star.predictions);
    if (said && said.value > 0) this.setPeriod(said.value, "Prot, catalogue");
    else if (predicted && predicted.median > 0) this.setPeriod(predicted.median, "Prot, predicted");
    else this.setPeriod(this.best, "highest peak");
  }

  setPeriod(days, why) {
    if (!(days > 0) || !Number.isFinite(days) || !this.star?.lightcurve) return;
    [this.period, this.why] = [days, why];
    if (why !== "typed") byId("period").value = String(Number(days.toPrecision(6)));
    byId("period-why").textContent = why === "typed" ? "" : why;
    this.mark();
    this.fold();
  }

  mark() {
    if (!(this.period > 0)) return;
    const label = `${number(this.period, 4)} d`;
    const byPeriod = byId("period-axis").value === "period";
    this.plots.periodogram.mark([{ at: byPeriod ? Math.log10(this.period) : 1 / this.period, label }]);
    this.plots.acf.mark([{ at: this.period, label }]);
  }

  fold() {
    const { star, flux, period } = this;
    const { x, y, means } = folded(flux, star.lightcurve.step, period);
    this.plots.folded.show({
      x: (index) => x[index],
      y,
      cloud: true,
      over: { x: (index) => means.x[index], y: means.y },
      range: range(y),
      labels: { x: `Phase, from the first sample; period ${number(period, 5)} d`, y: "Relative flux [ppt]" },
      short: ["phase", "", " ppt"],
    });
    describe("folded", `Light curve of ${star.star_id} folded at ${number(period, 5)} days; the line is the mean`);
    announce(`Folded at ${number(period, 5)} days`);
  }
}

export function describe(id, words) {
  byId(id).setAttribute("aria-label", `${words}. Arrow keys move, plus and minus zoom, 0 shows all.`);
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
