// Folding a light curve at a period.

const BINS = 60; // means a turn
const MOST = 60000; // samples that are drawn, of each turn

// Two turns, the second a repetition: phases x (rising) and fluxes y of the good samples, and means of bins.
export function folded(flux, step, period) {
  const good = [];
  for (let index = 0; index < flux.length; index += 1) if (Number.isFinite(flux[index])) good.push(index);
  const phases = Float64Array.from(good, (index) => ((index * step) / period) % 1);
  const order = Uint32Array.from(phases, (_, place) => place).sort((one, other) => phases[one] - phases[other]);
  const every = Math.ceil(order.length / MOST) || 1;
  const shown = order.filter((_, place) => place % every === 0);
  const x = new Float64Array(2 * shown.length);
  const y = new Float32Array(2 * shown.length);
  shown.forEach((place, at) => {
    x[at] = phases[place];
    x[at + shown.length] = phases[place] + 1;
    y[at] = y[at + shown.length] = flux[good[place]];
  });
  return { x, y, means: means(phases, good, flux) };
}

function means(phases, good, flux) {
  const sums = new Float64Array(BINS);
  const counts = new Uint32Array(BINS);
  phases.forEach((phase, place) => {
    const bin = Math.min(Math.floor(phase * BINS), BINS - 1);
    sums[bin] += flux[good[place]];
    counts[bin] += 1;
  });
  const x = Float64Array.from({ length: 2 * BINS }, (_, bin) => (bin + 0.5) / BINS);
  const y = Float32Array.from({ length: 2 * BINS }, (_, bin) => sums[bin % BINS] / counts[bin % BINS]);
  return { x, y };
}

// From the 0.2th to the 99.8th percentile, with some air: a few outliers must not flatten the rest.
export function range(values) {
  const sorted = values.filter(Number.isFinite).sort();
  if (!sorted.length) return [0, 1];
  const low = sorted[Math.floor(0.002 * (sorted.length - 1))];
  const high = sorted[Math.ceil(0.998 * (sorted.length - 1))];
  const air = 0.15 * (high - low) || 1;
  return [low - air, high + air];
}
