"""A mock survey of spectra: the emulator's lines on the continua, noise and masks of a real survey's spectra.

No label of a real star is used. An observed spectrum, drawn at random from the train split, gives its
continuum, its bad pixels, its redshift and its noise; the lines are of a model with labels drawn
independently of it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d, maximum_filter1d

import desa
from desa.errors import SettingsError, SurveyError
from desa.io.lamost import LAMOST_LOG_WAVELENGTH_START, LAMOST_LOG_WAVELENGTH_STEP
from desa.progress import Report
from desa.simulate.broadening import GRID_RESOLUTION, PADDED, cropped, extend, sigma_pixels
from desa.simulate.emulator import load_emulator
from desa.simulate.instrument import BANDS, WAVE
from desa.survey.batches import SpectrumDataset
from desa.survey.shards import json_bytes
from desa.survey.store import Survey, SurveyWriter
from desa.types import Spectrum

Array = NDArray[np.float64]
Pixels = NDArray[np.float32]

RESOLUTION = (1600.0, 2000.0)
"""Range of the instrument's R = wavelength / FWHM."""

VELOCITY_ERROR = 0.07
"""Standard deviation of the error of z, in pixels (69 km/s)."""

MOST_DONORS = 2048
"""Real spectra that are drawn from; more would take memory and add little."""

BATCH = 64
"""Mock spectra made at once; how many there are in all changes none of them."""

LABELS = ("teff", "log_g", "fe_h", "alpha_fe")


@dataclass(frozen=True, eq=False)
class MockSpectra:
    """Mock spectra in the observed frame, with their true labels.

    Parameters
    ----------
    flux, ivar
        (B, P).
    z
        (B,) the redshift a pipeline would give: the true one but for its error.
    labels
        (B, 4) `LABELS`: Teff [K], log g, [Fe/H], [alpha/Fe].
    snr_g
        (B,) S/N in g.
    """

    flux: Pixels
    ivar: Pixels
    z: Array
    labels: Array
    snr_g: Array


def signal_to_noise(flux: Pixels, ivar: Pixels) -> Array:
    """(B,) S/N in g as a file's header has it, from the median of the good pixels; NaN where all are bad."""
    low, high, over_header = BANDS["g"]
    ratio = np.ma.masked_array(flux * np.sqrt(ivar), ivar <= 0)[:, (low < WAVE) & (high > WAVE)]
    median = np.ma.median(ratio, axis=1)  # type: ignore[no-untyped-call]
    return np.asarray(np.ma.filled(median, np.nan) / over_header, dtype=np.float64)


def upper_envelope(flux: NDArray[np.float32], good: NDArray[np.bool_]) -> Array:
    """Smooth curve (N, P) along the top of spectra: a stand-in for their continuum."""
    place = np.arange(flux.shape[1])
    filled = np.stack(
        [np.interp(place, place[ok], row[ok]) for row, ok in zip(flux.astype(float), good, strict=True)]
    )
    top = maximum_filter1d(gaussian_filter1d(filled, 3.0, axis=1), 81, axis=1)
    return np.asarray(gaussian_filter1d(np.maximum(gaussian_filter1d(top, 60.0, axis=1), 0.05), 30.0, axis=1))


def draw_labels(rng: np.random.Generator, count: int) -> Array:
    """Labels (count, 4): half about the Sun's, half all over the emulator's grid (3900-8000 K)."""
    emulator = load_emulator()
    teff = 4000.0 * np.exp(rng.uniform(0.0, np.log(2.0), count))
    teff = np.clip(np.where(rng.random(count) < 0.5, rng.normal(5800.0, 500.0, count), teff), 3900.0, 7990.0)
    low, high = (
        emulator.clip(np.column_stack([teff, np.full(count, edge), np.zeros((count, 2))]))[:, 1]
        for edge in (-10.0, 10.0)
    )
    log_g = np.where(rng.random(count) < 0.6, rng.normal(4.25, 0.25, count), rng.uniform(low, high))
    fe_h = np.where(rng.random(count) < 0.6, rng.normal(-0.2, 0.3, count), rng.uniform(-2.1, 0.5, count))
    trend = np.clip(-0.25 * fe_h + rng.normal(0.0, 0.07, count), -0.05, 0.45)
    alpha_fe = np.where(rng.random(count) < 0.3, rng.uniform(-0.05, 0.45, count), trend)
    return emulator.clip(np.column_stack([teff, log_g, fe_h, alpha_fe]))


class MockMaker:
    """Batches of mock spectra on the continua of given real ones.

    Parameters
    ----------
    flux, ivar
        (N, P) real spectra, each with a good pixel.
    z
        (N,) redshifts, NaN where unknown.
    """

    def __init__(self, flux: Pixels, ivar: Pixels, z: Array) -> None:
        self.good = ivar > 0
        self.z = np.nan_to_num(z)
        level = np.array([np.median(row[ok]) for row, ok in zip(flux, self.good, strict=True)])[:, None]
        level = np.where(level > 0, level, 1.0).astype(np.float32)
        self.continuum = upper_envelope(flux / level, self.good)
        self.noise = self._relative_noise(ivar * level**2)

    def _relative_noise(self, ivar: Pixels) -> Array:
        """(N, P) noise over continuum, smooth over the bad pixels."""
        noise = 1.0 / (np.sqrt(np.where(self.good, ivar, 1.0)) * self.continuum)
        place = np.arange(noise.shape[1])
        return np.stack(
            [np.interp(place, place[ok], row[ok]) for row, ok in zip(noise, self.good, strict=True)]
        )

    def batch(self, seed: int | Sequence[int], size: int) -> MockSpectra:
        """The batch of a seed."""
        rng = np.random.default_rng(seed)
        labels = draw_labels(rng, size)
        donor = rng.integers(0, len(self.z), size)
        lines = self._observed_lines(rng, labels, self.z[donor])
        pixels = lines.shape[1]
        warp = np.polynomial.chebyshev.chebvander(np.linspace(-1.0, 1.0, pixels), 5)
        continuum = self.continuum[donor] * (1.0 + rng.normal(0.0, 0.02, (size, 6)) @ warp.T)
        noise = self.noise[donor] * np.exp(rng.normal(0.0, 0.4, (size, 1)))
        sigma = np.maximum(np.sqrt(np.clip(lines, 0.05, None)) * continuum * noise, 1e-6)
        flux = (lines * continuum + sigma * rng.standard_normal(lines.shape)).astype(np.float32)
        ivar = (self.good[donor] / sigma**2).astype(np.float32)
        return MockSpectra(flux, ivar, self.z[donor], labels, signal_to_noise(flux, ivar))

    def _observed_lines(self, rng: np.random.Generator, labels: Array, z: Array) -> Array:
        """Transmission (B, P): broadened by instrument and rotation, shifted by z and its error."""
        size = len(labels)
        variance = sigma_pixels(rng.uniform(*RESOLUTION, size)) ** 2 - sigma_pixels(GRID_RESOLUTION) ** 2
        hot = np.clip((labels[:, 0] - 6000.0) / 1500.0, 0.0, 1.0)
        rotation = np.abs(rng.standard_normal(size)) * (0.1 + 1.3 * hot)
        rotation += np.where(rng.random(size) < 0.15, rng.uniform(0.0, 0.6, size), 0.0)
        shift = rng.normal(0.0, VELOCITY_ERROR, size) + np.log10(1.0 + z) / LAMOST_LOG_WAVELENGTH_STEP
        frequency = np.fft.rfftfreq(PADDED)
        blur = np.exp(-2.0 * np.pi**2 * frequency**2 * (variance + rotation**2)[:, None])
        transfer = blur * np.exp(-2j * np.pi * frequency * shift[:, None])
        lines = load_emulator().transmission(labels).astype(np.float64)
        moved = np.fft.irfft(np.fft.rfft(extend(lines), axis=1) * transfer, n=PADDED, axis=1)
        return cropped(moved, lines.shape[1])


def donors(real: Survey, seed: int) -> MockMaker:
    """What makes mocks of a real survey: its training spectra, `MOST_DONORS` of them at most.

    Raises
    ------
    SurveyError
        If the survey is no real one, or its train split holds no spectrum.
    """
    if real.kind != "real":
        raise SurveyError(f"{real.path}: a {real.kind} survey; continua and noise are taken from a real one")
    data = SpectrumDataset(real, "train")
    rows = np.sort(np.random.default_rng([seed, 1]).permutation(data.rows)[:MOST_DONORS])
    given = data.fetch(rows)
    flux, ivar, z = given.flux.numpy(), given.ivar.numpy(), given.z.double().numpy()
    good = (ivar > 0).any(axis=1)
    if not good.any():
        raise SurveyError(f"{real.path}: its train split holds no spectrum with a good pixel")
    return MockMaker(flux[good], ivar[good], z[good])


def simulate_on_continua(
    real: Survey | str | Path, n_stars: int, seed: int, out: str | Path, *, progress: Report | None = None
) -> Path:
    """Make a mock survey of one spectrum a star, on the continua and with the noise of a real survey.

    Parameters
    ----------
    real
        A survey of kind ``"real"`` with LAMOST spectra.
    n_stars
        Number of stars; star k is the same in every such survey of this seed.
    seed
        Seed of all randomness.
    out
        Folder to make. What an interrupted run of the same survey finished there is kept.
    progress
        Called with the number of stars made and wanted.

    Returns
    -------
    pathlib.Path
        `out`, a survey of kind ``"mock"`` whose ``report.json`` names the real survey.

    Raises
    ------
    SettingsError
        For less than one star or a negative seed.
    SurveyError
        If the real survey is none.
    """
    if n_stars < 1 or seed < 0:
        raise SettingsError(f"a mock survey needs a star and a seed of 0 or more, not {n_stars} and {seed}")
    real = real if isinstance(real, Survey) else Survey.open(real)
    maker = donors(real, seed)
    made_of = [desa.__version__, "lines on real continua", real.identity, seed]
    writer = SurveyWriter(out, "mock", fingerprint=hashlib.sha256(json_bytes(made_of)).hexdigest())
    labels = [np.zeros((0, len(LABELS)))]
    names = [f"mock {seed}-{number}" for number in range(n_stars)]
    for start in range(0, n_stars, BATCH):
        own = names[start : start + BATCH]
        labels.append(draw_labels(np.random.default_rng([seed, 2, start]), BATCH)[: len(own)])
        if start + len(own) > writer.spectra_done:
            mock = maker.batch([seed, 2, start], BATCH)
            for place in range(max(0, writer.spectra_done - start), len(own)):
                writer.add_spectrum(_spectrum(mock, place, own[place]))
        if progress:
            progress(start + len(own), n_stars)
    columns = dict(zip(LABELS, np.concatenate(labels).T, strict=True))
    report = {
        "made_by": f"desa {desa.__version__} simulate --continua",
        "lines": "model spectra with random labels",
        "continua_noise_and_masks": f"real survey {real.identity}, training stars",
        "seed": seed,
        "stars": n_stars,
        "left_out": [],
    }
    return writer.finish(pa.table({"star_id": names, **columns}), report).path


def _spectrum(mock: MockSpectra, place: int, name: str) -> Spectrum:
    return Spectrum(
        flux=mock.flux[place],
        ivar=mock.ivar[place],
        log_wavelength_start=LAMOST_LOG_WAVELENGTH_START,
        z=float(mock.z[place]),
        star_id=name,
        obsid=name,
        release="mock lines on real continua",
        snr={"g": float(mock.snr_g[place])},
    )
