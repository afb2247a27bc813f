"""Light curves, spectra and surveys in memory: the stars that tests are made of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from desa.survey.store import Survey, SurveyWriter
from desa.types import KEPLER_CADENCE_DAYS, LightCurve, Spectrum

BALMER = (4102.9, 4341.7, 4862.7, 6564.6)
PIXELS = 3909
WAVELENGTH = 10 ** (3.5682 + 1e-4 * np.arange(PIXELS))


def curve(
    star_id: str = "",
    flux: NDArray[Any] | None = None,
    *,
    first: int = 1105,
    quarter: int = 1,
    length: int = 300,
    noise: float = 1e-3,
    gaps: float = 0.0,
    seed: int = 0,
    **fields: Any,
) -> LightCurve:
    """A Kepler light curve: noise about 1 if no flux is given, a share of the inner samples missing."""
    rng = np.random.default_rng([seed, length])
    values = rng.normal(1, noise, length) if flux is None else np.array(flux)
    values = values.astype(np.float32)
    values[1:-1][rng.random(len(values) - 2) < gaps] = np.nan
    told: dict[str, Any] = {
        "flux_err": np.where(np.isfinite(values), noise, np.nan).astype(np.float32),
        "first_cadence": first,
        "start_bkjd": 131.5 + (first - 1105) * KEPLER_CADENCE_DAYS,
        "mission": "Kepler",
        "quarters": (quarter,),
        "ra": 290.0,
        "dec": 45.0,
        "magnitude": 12.5,
        "sources": (f"{star_id}-{quarter}.fits",),
    }
    return LightCurve(values, star_id=star_id, **{**told, **fields})


def spectrum(
    star_id: str = "",
    flux: NDArray[Any] | None = None,
    *,
    snr: float = 20.0,
    pixels: int = PIXELS,
    bad: float = 0.0,
    seed: int = 0,
    **fields: Any,
) -> Spectrum:
    """A LAMOST spectrum of the given S/N: noise about 100 if no flux is given, a share of the pixels bad."""
    rng = np.random.default_rng([seed, pixels])
    clean = np.full(pixels, 100.0) if flux is None else np.array(flux, dtype=np.float64)
    error = np.abs(clean) / snr
    ivar = (error**-2).astype(np.float32)
    ivar[rng.random(len(clean)) < bad] = 0
    told: dict[str, Any] = {
        "log_wavelength_start": 3.5682,
        "z": 1e-4,
        "obsid": f"{seed:06d}",
        "release": "DR10",
        "object_class": "STAR",
        "object_subclass": "G2",
        "snr": {"u": snr / 4, "g": snr, "r": 2 * snr, "i": 2 * snr, "z": 1.5 * snr},
        "ra": 290.0,
        "dec": 45.0,
    }
    values = (clean + rng.normal(0, error)).astype(np.float32)
    return Spectrum(values, ivar, star_id=star_id, **{**told, **fields})


def dwarf(teff: float, wavelength: NDArray[np.float64] = WAVELENGTH) -> NDArray[np.float64]:
    """Flux whose slope and Balmer lines tell the temperature [K]."""
    flux = 1e3 * (wavelength / 6000) ** ((teff - 5500) / 500)
    for line in BALMER:
        flux *= 1 - np.clip((teff - 4000) / 4000, 0, 0.8) * np.exp(-(((wavelength - line) / 8) ** 2))
    return flux


def rotator(prot: float, length: int = 900, seed: int = 0) -> NDArray[np.float64]:
    """Relative flux of a star that rotates in `prot` days."""
    rng = np.random.default_rng([seed, 2])
    time = np.arange(length) * KEPLER_CADENCE_DAYS
    return 1 + 5e-3 * np.sin(2 * np.pi * (time / prot + rng.random())) + rng.normal(0, 3e-4, length)


def small_survey(path: Path, stars: int = 40, shard_size: int = 7) -> Survey:
    """Every star has a light curve; all but each fourth have spectra, each third star two."""
    writer = SurveyWriter(path, "mock", shard_size=shard_size)
    ids = [f"KIC {1000 + n}" for n in range(stars)]
    for n, star_id in enumerate(ids):
        place = {"ra": 290.0 + n / 100}
        writer.add_lightcurve(curve(star_id, length=300 + 10 * n, gaps=0.1, seed=n, **place))
        for _ in range(0 if n % 4 == 0 else 2 if n % 3 == 0 else 1):
            writer.add_spectrum(
                spectrum(star_id, pixels=PIXELS - n % 5, bad=0.02, snr=20.0 + n, seed=n, **place)
            )
    labels = {
        "teff": [5000.0 + 10 * n for n in range(stars)],
        "prot": [float(n) or np.nan for n in range(stars)],
    }
    return writer.finish(pa.table({"star_id": ids, **labels}), {"note": "for tests"})


def tiny_survey(path: Path, stars: int = 90, kind: str = "mock", first: int = 2000) -> Survey:
    """Every star has a light curve but the last, a spectrum but each eighth; each fifth has two spectra.

    The stars are numbered from KIC `first` on.
    """
    writer = SurveyWriter(path, kind)
    rng = np.random.default_rng(5)
    ids = [f"KIC {first + n}" for n in range(stars)]
    teff, prot = rng.uniform(4200, 7200, stars), rng.uniform(0.8, 5.0, stars)
    for n, star_id in enumerate(ids):
        place = {"ra": 290.0 + n / 50}
        if n < stars - 1:
            writer.add_lightcurve(curve(star_id, rotator(prot[n], seed=n), gaps=0.05, seed=n, **place))
        for extra in range(0 if n % 8 == 0 else 2 if n % 5 == 0 else 1):
            given = {"obsid": f"{n:04d}{extra}", "snr": 20.0 + 30 * extra, "z": 0.0}
            writer.add_spectrum(spectrum(star_id, dwarf(teff[n]), seed=n, **given, **place))
    labels = {
        "teff": teff,
        "log_g": np.where(rng.random(stars) < 0.3, np.nan, 4.0 + rng.normal(0, 0.3, stars)),
        "prot": np.where(rng.random(stars) < 0.2, np.nan, prot),
        "bp_rp": 2.5 - teff / 4000,
        "ruwe": rng.uniform(0.9, 1.2, stars),
    }
    return writer.finish(pa.table({"star_id": ids, **labels}), {})
