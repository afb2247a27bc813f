"""Real labelled LAMOST spectra, and a mock twin of each: same Teff, log g, [Fe/H], S/N_g and Z."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray

from desa.config import SpectrumPreprocessing
from desa.io.lamost import LAMOST_LOG_WAVELENGTH_START, LAMOST_PIXELS
from desa.preprocess.grids import rest_wavelength
from desa.preprocess.spectrum import SpectrumPreprocessor
from desa.simulate.lamost_effects import redshift_error
from desa.simulate.residuals import SpectralResiduals
from desa.simulate.spectra import simulate_spectrum
from desa.types import SPEED_OF_LIGHT, Spectrum

FloatArray = NDArray[np.float64]
BANDS: Final = "ugriz"


@dataclass(frozen=True, eq=False)
class SpectrumSample:
    """Spectra as stacked arrays.

    Parameters
    ----------
    flux
        (N, 3909) float32 over the median; 0 beyond a file's last pixel.
    good
        (N, 3909) False where bad or absent.
    z
        (N,) the pipeline's redshift.
    teff, log_g, fe_h
        (N,) labels.
    snr
        (N, 5) signal to noise in u g r i z, NaN where unknown.
    """

    flux: NDArray[np.float32]
    good: NDArray[np.bool_]
    z: FloatArray
    teff: FloatArray
    log_g: FloatArray
    fe_h: FloatArray
    snr: FloatArray

    def __len__(self) -> int:
        return len(self.flux)


def read_real(folder: str | Path, limits: tuple[float, float] = (3500.0, 8000.0)) -> SpectrumSample:
    """The labelled DR10 spectra in a folder with ``dr10_compact.npz`` and ``dr10_labels.csv``,
    by Teff limits [K].
    """
    with (Path(folder) / "dr10_labels.csv").open() as file:
        rows = list(csv.DictReader(file))
    columns = {
        name: np.array([float(row[name] or "nan") for row in rows])
        for name in ("z", "teff", "logg", "feh", "npix", *(f"snr{b}" for b in BANDS))
    }
    with np.load(Path(folder) / "dr10_compact.npz", allow_pickle=False) as data:
        flux = data["flux_over_median_f16"].astype(np.float32)
        good = np.unpackbits(data["good_packed"], axis=1)[:, :LAMOST_PIXELS].astype(bool)
    snr = np.stack([columns[f"snr{b}"] for b in BANDS], axis=1)
    keep = (columns["teff"] > limits[0]) & (columns["teff"] < limits[1]) & (snr[:, 1] > 0)
    return SpectrumSample(
        flux[keep],
        good[keep],
        columns["z"][keep],
        columns["teff"][keep],
        columns["logg"][keep],
        columns["feh"][keep],
        np.where(snr > 0, snr, np.nan)[keep],
    )


def typical_vsini(teff: float, rng: np.random.Generator) -> float:
    """Projected rotation in km/s of a field star: slow below the Kraft break (6200 K),
    some 100 km/s above 7000 K.
    """
    hot = float(np.clip((teff - 6000.0) / 1200.0, 0.0, 1.0))
    return float((2.0 + rng.exponential(2.0)) * (1 - hot) + hot * abs(rng.normal(80.0, 50.0)))


def subset(sample: SpectrumSample, keep: NDArray[np.bool_]) -> SpectrumSample:
    """The spectra where `keep`, (N,), is True."""
    return SpectrumSample(**{f.name: getattr(sample, f.name)[keep] for f in fields(sample)})


def twin(
    sample: SpectrumSample, i: int, seed: int = 0, residuals: SpectralResiduals | None = None
) -> Spectrum:
    """The mock spectrum with the labels, Z and S/N_g of spectrum `i`; what the labels don't say is drawn."""
    rng = np.random.default_rng([seed, i])
    teff, snr_g = float(sample.teff[i]), float(sample.snr[i, 1])
    fe_h = float(sample.fe_h[i])
    error = redshift_error(snr_g, teff) * SPEED_OF_LIGHT * rng.standard_normal()
    return simulate_spectrum(
        teff=teff,
        log_g=float(sample.log_g[i]),
        fe_h=fe_h,
        alpha_fe=float(np.clip(-0.2 * fe_h + 0.07 * rng.standard_normal(), -0.05, 0.4)),
        vsini=typical_vsini(teff, rng),
        rv=float(sample.z[i]) * SPEED_OF_LIGHT + error,
        activity=float(rng.normal(-4.95, 0.2)) if teff < 6500 else float("nan"),
        av=float(rng.exponential(0.2)),
        snr_g=snr_g,
        rng=rng,
        residuals=residuals,
    )


def twins(
    sample: SpectrumSample, seed: int = 0, make: Callable[[SpectrumSample, int, int], Spectrum] = twin
) -> SpectrumSample:
    """A mock twin of every spectrum, with the pipeline's Z of its real one,
    rounded as the real fluxes are stored.
    """
    flux = np.zeros_like(sample.flux)
    good = np.zeros_like(sample.good)
    snr = np.zeros_like(sample.snr)
    for i in range(len(sample)):
        spectrum = make(sample, i, seed)
        n = len(spectrum)
        flux[i, :n] = (spectrum.flux / np.median(spectrum.flux)).astype(np.float16)
        good[i, :n] = spectrum.valid
        snr[i] = [spectrum.snr[b] for b in BANDS]
    return SpectrumSample(flux, good, sample.z, sample.teff, sample.log_g, sample.fe_h, snr)


def local_noise(sample: SpectrumSample, block: int = 128) -> NDArray[np.float32]:
    """Noise a pixel, (N, 3909), from differences of pixels two apart in blocks:
    the same for real and mock.
    """
    difference = np.full(sample.flux.shape, np.nan, dtype=np.float32)
    difference[:, 1:-1] = (sample.flux[:, 2:] - sample.flux[:, :-2]) / np.sqrt(2.0)
    difference[:, 1:-1][~(sample.good[:, 2:] & sample.good[:, :-2])] = np.nan
    starts = range(0, LAMOST_PIXELS - block // 2, block)
    blocks = [np.abs(np.nan_to_num(difference[:, s : s + block])) for s in starts]
    levels = np.maximum(1.4826 * np.stack([np.median(b, axis=1) for b in blocks], axis=1), 1e-4)
    which = np.minimum(np.arange(LAMOST_PIXELS) // block, len(blocks) - 1)
    return np.asarray(levels[:, which], dtype=np.float32)


def preprocessed(sample: SpectrumSample) -> NDArray[np.float32]:
    """Continuum-normalised rest-frame pixels (N, P), as the spectrum encoder gets them."""
    settings = SpectrumPreprocessing()
    module = SpectrumPreprocessor(settings)
    ivar = np.where(sample.good, local_noise(sample) ** -2.0, 0.0).astype(np.float32)
    start = torch.full((len(sample),), LAMOST_LOG_WAVELENGTH_START, dtype=torch.float64)
    result = module(
        torch.from_numpy(sample.flux), torch.from_numpy(ivar), torch.from_numpy(sample.z).float(), start
    )
    return np.asarray(result.pixels[:, : len(rest_wavelength(settings))].numpy())
