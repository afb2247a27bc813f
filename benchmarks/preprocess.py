"""Time of preprocessing on one core, beside the published steps written plainly, one star at a time.

    python benchmarks/preprocess.py [--repeats 21]

Both are timed in turn in the same run, on made-up data of the real sizes; medians are printed.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.signal import medfilt, savgol_filter

from desa.config import LightCurvePreprocessing, SpectrumPreprocessing
from desa.preprocess.lightcurve import LightCurvePreprocessor
from desa.preprocess.published import PublishedLightCurve, PublishedSpectrum
from desa.preprocess.spectrum import SpectrumPreprocessor

BATCH, LENGTH, PIXELS = 32, 34560, 3909
LOG_START = 3.5682
Array = NDArray[np.float64]


def standardised(values: Array) -> Array:
    return (values - values.mean()) / values.std()


def plain_lightcurve(flux: Array) -> Array:
    """The published steps, one star, NumPy and SciPy."""
    good = np.isfinite(flux)
    place = np.arange(len(flux))
    smooth = savgol_filter(np.interp(place, place[good], flux[good]), 13, 1, mode="mirror")
    centred = smooth - smooth.mean()
    transform = np.fft.rfft(centred, 2 * len(flux))
    products = np.fft.irfft(transform * transform.conj())[: len(flux)]
    logs = np.log1p(np.abs(np.fft.rfft(smooth)))
    stretched = np.interp(np.linspace(0, len(logs) - 1, len(flux)), np.arange(len(logs)), logs)
    return np.stack([smooth, standardised(smooth), standardised(products / products[0]), stretched])


def plain_spectrum(flux: Array, z: float) -> Array:
    """The published steps, one star, NumPy and SciPy."""
    wavelength = 10 ** (LOG_START + 1e-4 * np.arange(len(flux))) * (1 + z)
    pixels = []
    for low, size in ((3841.0, 1790), (5800.0, 1810)):
        grid = 10 ** (np.log10(low) + 1e-4 * np.arange(size))
        level = medfilt(np.interp(grid, wavelength, flux), 3)
        place = np.arange(size)
        scaled = standardised(level / np.polynomial.Polynomial.fit(place, level, 5)(place))
        scaled[np.abs(scaled) > 3] = 0
        pixels.append(scaled)
    return np.concatenate(pixels)


def lightcurves(rng: np.random.Generator) -> Array:
    """(B, L) spotted stars with a tenth of the samples missing."""
    time_days = 0.0204 * np.arange(LENGTH)
    periods = rng.uniform(1, 40, (BATCH, 1))
    flux = 1 + 5e-3 * np.sin(2 * np.pi * time_days / periods) + 2e-4 * rng.standard_normal((BATCH, LENGTH))
    flux[rng.random(flux.shape) < 0.1] = np.nan
    return flux


def spectra(rng: np.random.Generator) -> Array:
    """(B, N) sloping continua with lines and noise."""
    place = np.linspace(-1, 1, PIXELS)
    lines = 1 - 0.1 * rng.random((BATCH, PIXELS)) ** 4
    return 100 * (1.2 - 0.5 * place) * lines + rng.standard_normal((BATCH, PIXELS))


def medians(jobs: dict[str, Callable[[], Any]], repeats: int) -> dict[str, float]:
    """Median milliseconds a star of each job, the jobs taking turns."""
    seconds: dict[str, list[float]] = {name: [] for name in jobs}
    for turn in range(repeats + 2):
        for name, job in jobs.items():
            start = time.perf_counter()
            job()
            if turn > 1:
                seconds[name].append(time.perf_counter() - start)
    return {name: 1e3 * statistics.median(values) / BATCH for name, values in seconds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=21)
    repeats = parser.parse_args().repeats
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    flux, level = lightcurves(rng), spectra(rng)
    z = rng.normal(0, 1e-4, BATCH)
    curve = torch.tensor(flux, dtype=torch.float32)
    spectrum = (
        torch.tensor(level, dtype=torch.float32),
        torch.ones(BATCH, PIXELS),
        torch.tensor(z),
        torch.full((BATCH,), LOG_START, dtype=torch.float64),
    )
    ours, theirs = (
        LightCurvePreprocessor(LightCurvePreprocessing()),
        PublishedLightCurve(LightCurvePreprocessing()),
    )
    own, published = SpectrumPreprocessor(SpectrumPreprocessing()), PublishedSpectrum(SpectrumPreprocessing())
    table = {
        f"light curve, {LENGTH} cadences": medians(
            {
                "desa": lambda: ours(curve),
                "published mode": lambda: theirs(curve),
                "plain published": lambda: [plain_lightcurve(row) for row in flux],
            },
            max(3, repeats // 3),
        ),
        f"spectrum, {PIXELS} pixels": medians(
            {
                "desa": lambda: own(*spectrum),
                "published mode": lambda: published(*spectrum),
                "plain published": lambda: [plain_spectrum(row, v) for row, v in zip(level, z, strict=True)],
            },
            repeats,
        ),
    }
    print(f"one core, batch {BATCH}, median milliseconds a star")
    for what, row in table.items():
        for name, value in row.items():
            gain = row["plain published"] / value
            print(f"{what:28s} {name:16s} {value:8.3f} ms   {gain:5.1f} x the plain one's speed")


if __name__ == "__main__":
    main()
