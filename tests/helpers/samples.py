"""Small light curves, spectra and surveys for the tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from astropy.io import fits

from desa.survey.store import Survey, SurveyWriter
from desa.types import LightCurve, Spectrum


def curve(star_id: str, length: int = 400, seed: int = 0, gaps: float = 0.1) -> LightCurve:
    rng = np.random.default_rng([seed, length])
    flux = rng.normal(1, 1e-3, length).astype(np.float32)
    flux[1:-1][rng.random(length - 2) < gaps] = np.nan
    return LightCurve(
        flux=flux,
        flux_err=np.where(np.isfinite(flux), 2e-4, np.nan).astype(np.float32),
        first_cadence=1105 + seed,
        start_bkjd=131.5,
        star_id=star_id,
        mission="Kepler",
        quarters=(1, 2, 5),
        ra=290.0 + seed / 100,
        dec=45.0,
        magnitude=12.5,
        sources=(f"{star_id}.fits",),
    )


def spectrum(star_id: str, pixels: int = 3909, seed: int = 0) -> Spectrum:
    rng = np.random.default_rng([seed, pixels])
    ivar = rng.uniform(0.5, 2, pixels).astype(np.float32)
    ivar[rng.random(pixels) < 0.02] = 0
    return Spectrum(
        flux=rng.normal(100, 1, pixels).astype(np.float32),
        ivar=ivar,
        log_wavelength_start=3.5682,
        z=-1e-4,
        star_id=star_id,
        obsid=f"{seed:06d}",
        release="DR10",
        object_class="STAR",
        object_subclass="G2",
        snr={"u": 5.0, "g": 20.0 + seed, "r": 40.0, "i": 41.0, "z": 30.0},
        ra=290.0 + seed / 100,
        dec=45.0,
    )


def small_survey(path: Path, stars: int = 40, shard_size: int = 7) -> Survey:
    """Every star has a light curve; all but each fourth have spectra, each third star two."""
    writer = SurveyWriter(path, "mock", shard_size=shard_size)
    ids = [f"KIC {1000 + n}" for n in range(stars)]
    for number, star_id in enumerate(ids):
        writer.add_lightcurve(curve(star_id, 300 + 10 * number, number))
        for _ in range(0 if number % 4 == 0 else 2 if number % 3 == 0 else 1):
            writer.add_spectrum(spectrum(star_id, 3909 - number % 5, number))
    labels = {
        "teff": [5000.0 + 10 * n for n in range(stars)],
        "prot": [float(n) or np.nan for n in range(stars)],
    }
    return writer.finish(pa.table({"star_id": ids, **labels}), {"note": "for tests"})


def write_quarter(
    path: Path, kic: int, quarter: int, ra: float = 290.0, dec: float = 45.0, **cards: Any
) -> Path:
    """A small long-cadence Kepler file."""
    rng = np.random.default_rng([kic, quarter])
    cadence = 1105 + 100 * quarter + np.arange(60)
    flux = rng.normal(1000 * (1 + quarter), 1, 60).astype(np.float32)
    flux[5:8] = np.nan
    columns = [
        fits.Column("TIME", "D", array=131.5 + 0.020433598 * (cadence - 1105)),
        fits.Column("CADENCENO", "J", array=cadence),
        *(fits.Column(name, "E", array=flux) for name in ("SAP_FLUX", "PDCSAP_FLUX")),
        *(fits.Column(f"{name}_ERR", "E", array=flux * 1e-4) for name in ("SAP_FLUX", "PDCSAP_FLUX")),
        fits.Column("SAP_QUALITY", "J", array=np.zeros(60, int)),
    ]
    primary = fits.PrimaryHDU()
    primary.header.update(TELESCOP="Kepler", KEPLERID=kic, OBJECT=f"KIC {kic}", QUARTER=quarter)
    primary.header.update(RA_OBJ=ra, DEC_OBJ=45.0, KEPMAG=12.0)
    primary.header.update(cards)
    path.parent.mkdir(parents=True, exist_ok=True)
    fits.HDUList([primary, fits.BinTableHDU.from_columns(columns, name="LIGHTCURVE")]).writeto(path)
    return path


def write_spectrum(path: Path, obsid: int, ra: float = 290.0, **cards: Any) -> Path:
    """A LAMOST file in the layout of DR2 to DR8."""
    rng = np.random.default_rng(obsid)
    rows = np.zeros((5, 3100), dtype=np.float32)
    rows[0], rows[1] = rng.normal(100, 1, 3100), 1
    rows[2] = 10 ** (3.5682 + 1e-4 * np.arange(3100))
    primary = fits.PrimaryHDU(rows)
    primary.header.update(TELESCOP="LAMOST", OBSID=obsid, RA=ra, DEC=45.0, Z=1e-5, SNRG=30.0)
    primary.header.update({"CLASS": "STAR", "SUBCLASS": "G2", "DESIG": f"LAMOST J{obsid}"})
    primary.header.update({"DATA_V": "LAMOST DR5", **cards})
    path.parent.mkdir(parents=True, exist_ok=True)
    primary.writeto(path)
    return path
