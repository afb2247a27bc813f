"""A survey and settings so small that all three stages train in seconds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from desa.config import Settings, settings
from desa.models.network import Network
from desa.survey.store import Survey, SurveyWriter
from desa.types import LightCurve, Spectrum

CADENCES = 900


@dataclass
class Trained:
    """All three stages on the tiny survey."""

    survey: Survey
    settings: Settings
    folder: Path
    model: Network


def tiny_settings(**changes: object) -> Settings:
    encoder = {"cnn_widths": [8, 8, 8, 8], "heads": 2, "blocks": 1, "head_hidden": 16, "dropout": 0.0}
    training = {"batch_size": 16, "learning_rate": 3e-3, "validate_every": 20, "schedule": "cosine"}
    small = {
        "preprocess_lightcurve": {"length": 512},
        "preprocess_spectrum": {},
        "lightcurve": {**encoder, "log_axis": 64, "stem": 16, "width": 8, "features": 24},
        "spectrum": {**encoder, "cnn_widths": [4, 8, 8, 8, 8, 8], "feed_forward": 1, "pooling": "mean"},
        "dualformer": {"width": 8, "heads": 2, "blocks": 1, "feed_forward": 16, "groups": 4},
        "train_spectrum": {**training, "steps": 80},
        "train_lightcurve": {**training, "steps": 40},
        "train_align": {**training, "steps": 60},
    }
    for name, values in changes.items():
        small[name] = {**small.get(name, {}), **values} if isinstance(values, dict) else values
    return settings("mini", **small)


def curve(star_id: str, prot: float, seed: int) -> LightCurve:
    rng = np.random.default_rng(seed)
    time = np.arange(CADENCES) * 29.4 / 1440
    flux = 1 + 5e-3 * np.sin(2 * np.pi * (time / prot + rng.random())) + rng.normal(0, 3e-4, CADENCES)
    flux[rng.random(CADENCES) < 0.05] = np.nan
    return LightCurve(
        flux=flux.astype(np.float32),
        flux_err=np.full(CADENCES, 3e-4, np.float32),
        first_cadence=1105,
        start_bkjd=131.5,
        star_id=star_id,
        mission="Kepler",
        quarters=(1,),
        ra=290.0 + seed / 50,
        dec=45.0,
        sources=(f"{star_id}.fits",),
    )


def spectrum(star_id: str, teff: float, snr: float, seed: int, obsid: str = "") -> Spectrum:
    rng = np.random.default_rng([seed, 1])
    wavelength = 10 ** (3.5682 + 1e-4 * np.arange(3909))
    flux = 1e3 * (wavelength / 6000) ** ((teff - 5500) / 500)
    for line in (4102.9, 4341.7, 4862.7, 6564.6):
        flux *= 1 - np.clip((teff - 4000) / 4000, 0, 0.8) * np.exp(-(((wavelength - line) / 8) ** 2))
    noise = flux / snr
    return Spectrum(
        flux=(flux + rng.normal(0, noise)).astype(np.float32),
        ivar=(noise**-2).astype(np.float32),
        log_wavelength_start=3.5682,
        z=0.0,
        star_id=star_id,
        obsid=obsid or f"{seed:06d}",
        release="DR10",
        snr={"g": snr},
        ra=290.0 + seed / 50,
        dec=45.0,
    )


def tiny_survey(path: Path, stars: int = 90, kind: str = "mock", first: int = 2000) -> Survey:
    """Every star has a light curve but the last, a spectrum but each eighth; each fifth has two spectra.

    The stars are numbered from KIC `first` on.
    """
    writer = SurveyWriter(path, kind)
    rng = np.random.default_rng(5)
    ids = [f"KIC {first + n}" for n in range(stars)]
    teff, prot = rng.uniform(4200, 7200, stars), rng.uniform(0.8, 5.0, stars)
    for n, star_id in enumerate(ids):
        if n < stars - 1:
            writer.add_lightcurve(curve(star_id, prot[n], n))
        for extra in range(0 if n % 8 == 0 else 2 if n % 5 == 0 else 1):
            writer.add_spectrum(spectrum(star_id, teff[n], 20 + 30 * extra, n, f"{n:04d}{extra}"))
    labels = {
        "teff": teff,
        "log_g": np.where(rng.random(stars) < 0.3, np.nan, 4.0 + rng.normal(0, 0.3, stars)),
        "prot": np.where(rng.random(stars) < 0.2, np.nan, prot),
        "bp_rp": 2.5 - teff / 4000,
        "ruwe": rng.uniform(0.9, 1.2, stars),
    }
    return writer.finish(pa.table({"star_id": ids, **labels}), {})
