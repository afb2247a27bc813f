"""Make `src/desa/simulate/data/spectral_residuals.npz`: what real spectra have that the model lacks.

    python scripts/build_spectral_residuals.py ../shared/data/lamost

Takes two minutes. With --half, every second real spectrum is left out and the numbers go to --out, so that
the left-out half can tell how good the correction is (`desa.simulate.check.spectra`).
"""

from __future__ import annotations

import argparse
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from desa.files import written_whole
from desa.simulate import lamost_effects as effects
from desa.simulate.broadening import broaden, degrade, displaced
from desa.simulate.check.spectrum_sample import SpectrumSample, read_real, subset, twin, twins
from desa.simulate.emulator import load_emulator
from desa.simulate.instrument import WAVE
from desa.simulate.residuals import SpectralResiduals, label_terms
from desa.types import SPEED_OF_LIGHT, Spectrum

OUT = Path(__file__).parents[1] / "src" / "desa" / "simulate" / "data" / "spectral_residuals.npz"
ARMS = (slice(25, int(np.searchsorted(WAVE, 5800))), slice(int(np.searchsorted(WAVE, 5800)), 3890))
DEGREE = 4
DIRECTIONS = 120
SKY_DIRECTIONS = 15
SKY = ((5570, 5590), (6270, 6325), (6855, 6965), (7150, 7400), (7580, 8460), (8700, 9090))
"""Angstrom; scatter in these windows is told in the observer's frame first: sky lines and tellurics."""
DONOR_SNR = 20.0
SNR_CENTRES = (28.0, 60.0, 150.0)
TRIMMED_NORMAL_VARIANCE = 0.623

Array = NDArray[np.float64]


def model_spectra(sample: SpectrumSample) -> Array:
    """Emulated spectra (N, 3909) at the catalogue's labels, with the mean resolution and wavelength error."""
    alpha = np.clip(-0.2 * sample.fe_h, 0.0, 0.3)
    surface = load_emulator().flux(np.column_stack([sample.teff, sample.log_g, sample.fe_h, alpha]))
    resolution, error = effects.resolution(), effects.wavelength_error()
    rows = []
    for flux, z, teff in zip(surface.astype(np.float64), sample.z, sample.teff, strict=True):
        vsini = 4.0 + 60.0 * float(np.clip((teff - 6000.0) / 1200.0, 0.0, 1.0))
        moved = broaden(flux / np.median(flux), vsini=vsini, velocity=z * SPEED_OF_LIGHT)
        rows.append(displaced(degrade(moved, resolution), error))
    return np.array(rows)


def log_ratio(sample: SpectrumSample, models: Array) -> Array:
    """log(real / model) (N, 3909) less a polynomial in each arm; NaN where there is none."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.log(sample.flux / models)
    usable = sample.good & np.isfinite(ratio) & (sample.flux > 0.02)
    result = np.full(ratio.shape, np.nan)
    for arm in ARMS:
        terms = np.polynomial.legendre.legvander(np.linspace(-1, 1, arm.stop - arm.start), DEGREE)
        for i, (values, good) in enumerate(zip(ratio[:, arm], usable[:, arm], strict=True)):
            keep = good
            for _ in range(5):
                fit = np.linalg.lstsq(terms[keep], values[keep], rcond=None)[0]
                left = values - terms @ fit
                sigma = 1.4826 * np.median(np.abs(left[good]))
                keep = good & (np.abs(left) < 3 * sigma)
            result[i, arm] = np.where(good, left, np.nan)
    return np.clip(result, -1.0, 1.0)


def to_frame(ratio: Array, z: Array) -> Array:
    """Rows moved to the rest frame (or back, with -z) by interpolation; NaN spreads to neighbours."""
    pixel = np.arange(ratio.shape[1])
    shift = np.log10(1 + z) / 1e-4
    return np.array([np.interp(pixel + s, pixel, row) for row, s in zip(ratio, shift, strict=True)])


def weighted_fit(terms: Array, values: Array, weight: Array) -> Array:
    """Per-pixel weighted regression (K, 3909), twice, outliers beyond 4 sigma left out the second time."""
    w = weight[:, None] * np.isfinite(values)
    values = np.nan_to_num(values)
    for _ in range(3):
        normal = np.einsum("nk,nl,np->pkl", terms, terms, w, optimize=True)
        normal += 1e-3 * weight.sum() * np.eye(terms.shape[1])
        right = np.einsum("nk,np->pk", terms, w * values, optimize=True)
        fit = np.linalg.solve(normal, right[..., None])[..., 0].T
        left = values - terms @ fit
        sigma = 1.4826 * np.median(np.abs(left), axis=0)
        w = weight[:, None] * (w > 0) * (np.abs(left) < 4 * sigma)
    return fit


def means(sample: SpectrumSample, ratio: Array) -> tuple[Array, Array]:
    """Rest-frame regression (10, 3909) and observed-frame mean (3909,), fitted in turns."""
    terms = label_terms(sample.teff, sample.log_g, sample.fe_h)
    weight = 1.0 / (0.02**2 + (1.0 / sample.snr[:, 1]) ** 2)
    weight /= weight.mean()
    observed = np.zeros(ratio.shape[1])
    for _ in range(4):
        rest = weighted_fit(terms, to_frame(ratio - observed, sample.z), weight)
        left = ratio - to_frame(terms @ rest, -sample.z)
        observed = weighted_fit(np.ones((len(terms), 1)), left, weight)[0]
    return rest, observed


def leftover(sample: SpectrumSample, ratio: Array, rest: Array, observed: Array) -> Array:
    """Observed-frame log ratio (N, 3909) after the means, 0 where unknown."""
    terms = label_terms(sample.teff, sample.log_g, sample.fe_h)
    return np.nan_to_num(ratio - observed - to_frame(terms @ rest, -sample.z))


def principal(values: Array, weight: Array, count: int) -> Array:
    """Leading directions (K, 3909) of rows clipped at 0.4."""
    _, _, directions = np.linalg.svd(np.clip(values, -0.4, 0.4) * weight[:, None], full_matrices=False)
    return directions[:count]


def robust_variance(values: Array) -> Array:
    """Variance of columns, from the middle 90 % (so that neither tails nor a sharp core count alone)."""
    low, high = np.percentile(values, [5, 95], axis=0)
    inside = np.where((values >= low) & (values <= high), values, np.nan)
    return np.nanvar(inside, axis=0) / TRIMMED_NORMAL_VARIANCE


def scatter(real: Array, mock: Array, z: Array, snr: Array) -> dict[str, Array]:
    """Directions, and coefficients (donors, K) shrunk to the variance that mock spectra lack."""
    weight = np.clip(snr, 20, 150) / 150.0
    in_sky = np.any([(low < WAVE) & (high > WAVE) for low, high in SKY], axis=0)
    sky = principal(real * in_sky, weight, SKY_DIRECTIONS)
    of_sky = [x @ sky.T for x in (real, mock)]
    left = [to_frame(x - c @ sky, z) for x, c in zip((real, mock), of_sky, strict=True)]
    rest = principal(left[0], weight, DIRECTIONS)
    coefficients, mocked = (np.hstack([x @ rest.T, c]) for x, c in zip(left, of_sky, strict=True))
    edges = [0.0, *np.sqrt(np.multiply(SNR_CENTRES[1:], SNR_CENTRES[:-1])), np.inf]
    shares, limits = [], []
    for low, high in pairwise(edges):
        near = (snr >= low) & (snr < high)
        variance = robust_variance(coefficients[near])
        lacking = 1.0 - robust_variance(mocked[near]) / variance
        shares.append(np.sqrt(np.clip(lacking, 0.0, 1.0)))
        limits.append(5.0 * np.sqrt(variance))
        print(f"S/N {low:.0f}-{high:.0f}: {near.sum()} spectra; share of the scatter that mock spectra lack:")
        print(np.round(shares[-1], 2))
    place = np.log(SNR_CENTRES)
    share = np.array([np.interp(np.log(snr), place, s) for s in np.array(shares).T]).T
    limit = np.array([np.interp(np.log(snr), place, s) for s in np.array(limits).T]).T
    scores = np.clip(coefficients, -limit, limit) * share
    return {"directions": rest, "sky_directions": sky, "scores": scores}


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("lamost", type=Path)
    parser.add_argument("--half", action="store_true")
    parser.add_argument("--out", type=Path, default=OUT)
    options = parser.parse_args()
    sample = read_real(options.lamost)
    keep = (sample.snr[:, 1] > 15) & (sample.good.mean(1) > 0.85)
    if options.half:
        keep &= np.arange(len(sample)) % 2 == 0
    sample = subset(sample, keep)
    models = model_spectra(sample)
    ratio = log_ratio(sample, models)
    rest, observed = means(sample, ratio)
    corrected = SpectralResiduals.of_means(rest, observed)

    def make(real: SpectrumSample, i: int, seed: int) -> Spectrum:
        return twin(real, i, seed, residuals=corrected)

    donors = sample.snr[:, 1] > DONOR_SNR
    mock = twins(sample, make=make)
    left_real = leftover(sample, ratio, rest, observed)[donors]
    left_mock = leftover(sample, log_ratio(mock, models), rest, observed)[donors]
    arrays = scatter(left_real, left_mock, sample.z[donors], sample.snr[donors, 1])
    arrays |= {"rest": rest, "observed": observed}
    arrays["score_teff"], arrays["score_snr"] = sample.teff[donors], sample.snr[donors, 1]
    arrays = {name: value.astype(np.float16) for name, value in arrays.items()}
    with written_whole(options.out) as scratch, scratch.open("wb") as file:
        np.savez_compressed(file, **arrays)
    print(f"{len(sample)} spectra; {options.out}: {options.out.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
