"""A tiny mock survey, a table of embeddings and one of predictions for the tests of the page."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from astropy.table import Table

from desa.inference.embed import embedding_table, write_embedding
from desa.survey.store import Survey, SurveyWriter
from desa.types import Embedding, LightCurve, Spectrum

PORT = 8642
STARS = 60
LIGHTCURVE_ONLY, SPECTRUM_ONLY = 3, 4


def kic(star: int) -> str:
    return f"KIC {1000 + star}"


def obsid(star: int, number: int = 0) -> str:
    return f"{70000 + 10 * star + number}"


def lightcurve(star: int) -> LightCurve:
    rng = np.random.default_rng([star, 1])
    time = np.arange(1500) * 0.0204
    flux = (1 + 3e-3 * np.sin(2 * np.pi * time / 5.0) + rng.normal(0, 2e-4, 1500)).astype(np.float32)
    flux[200:260] = np.nan
    return LightCurve(
        flux=flux,
        flux_err=np.full(1500, 2e-4, np.float32),
        start_bkjd=131.5,
        star_id=kic(star),
        mission="Kepler",
        quarters=(1, 2, 5),
        ra=290.0 + star / 50,
        dec=45.0,
    )


def spectrum(star: int, number: int = 0) -> Spectrum:
    wavelength = 10 ** (3.5682 + 1e-4 * np.arange(3909))
    flux = 100 * (1 - 0.5 * np.exp(-(((wavelength - 6564.61) / 6) ** 2))).astype(np.float32)
    ivar = np.ones(3909, np.float32)
    ivar[100:110] = 0
    return Spectrum(
        flux=flux.astype(np.float32),
        ivar=ivar,
        log_wavelength_start=3.5682,
        z=1e-4,
        star_id=kic(star),
        obsid=obsid(star, number),
        release="DR10",
        object_class="STAR",
        object_subclass="G2" if star % 2 else "F5",
        snr={"g": 20.0 + star + number},
        ra=290.0 + star / 50,
        dec=45.0,
    )


def make_survey(path: Path) -> Survey:
    """All stars but two have both; star 7 has two spectra, star 5 no colour."""
    writer = SurveyWriter(path, "mock")
    for star in range(STARS):
        if star != SPECTRUM_ONLY:
            writer.add_lightcurve(lightcurve(star))
        if star != LIGHTCURVE_ONLY:
            writer.add_spectrum(spectrum(star))
        if star == 7:
            writer.add_spectrum(spectrum(star, 1))
    steps = np.arange(STARS)
    bp_rp = np.where(steps == 5, np.nan, 0.4 + steps / 40)
    labels = pa.table(
        {
            "star_id": [kic(star) for star in range(STARS)],
            "teff": 7000.0 - 50 * steps,
            "teff_err": np.full(STARS, 80.0),
            "log_g": 4.0 + steps / 100,
            "log_l": 1.0 - steps / 40,
            "bp_rp": pa.array(bp_rp, from_pandas=True),
            "m_g": 2.0 + steps / 10,
            "prot": np.full(STARS, 5.0),
            "cmd_class": ["dwarf" if star % 3 else "giant" for star in range(STARS)],
            "binary": [star % 5 == 0 for star in range(STARS)],
        }
    )
    return writer.finish(labels)


def make_embedding(
    path: Path, identity: str = "", stars: int = STARS, trained_on: str = "mock survey"
) -> Path:
    """Joint vectors on a curve, so that star n's neighbours are n - 1 and n + 1; one star has none."""
    rng = np.random.default_rng(3)
    rows = []
    for star in range(stars):
        turn = star / stars * 3
        joint = np.array([10 * np.cos(turn), 10 * np.sin(turn), 0, 0], np.float32)
        joint[2:] += rng.normal(0, 0.01, 2)
        features = rng.normal(0, 1, 3).astype(np.float32)
        if star == LIGHTCURVE_ONLY:
            rows.append((Embedding(kic(star), "lightcurve", features_lightcurve=features), ""))
        else:
            both = Embedding(kic(star), "joint", features, features, joint=joint)
            rows.append((both, obsid(star, 1 if star == 7 else 0)))
    facts = {"model": "abc123def4567890", "trained_on": trained_on, "data": f"mock survey {identity}"}
    write_embedding(embedding_table(rows, facts), path)
    return path


def with_columns(path: Path, **columns: object) -> Path:
    """The table with more columns."""
    table = pq.read_table(path)
    for name, values in columns.items():
        table = table.append_column(name, pa.array(values))
    pq.write_table(table, path)
    return path


def make_predictions(path: Path) -> Path:
    """As `desa predict` writes them, for the even stars."""
    even = list(range(0, STARS, 2))
    teff = np.array([6900.0 - 50 * star for star in even])
    table = Table(
        {
            "star_id": [kic(star) for star in even],
            "obsid": [obsid(star) for star in even],
            "teff": teff,
            "teff_low68": teff - 100,
            "teff_high68": teff + 110,
            "teff_low90": teff - 200,
            "teff_high90": teff + 210,
            "teff_flag": [2 if star == 2 else 0 for star in even],
            "teff_why": ["S/N in g is 5.0, below 10" if star == 2 else "" for star in even],
            "binary": ["yes" if star % 4 else "no" for star in even],
            "binary_p_no": np.full(len(even), 0.25),
            "binary_p_yes": np.full(len(even), 0.75),
            "binary_flag": [0] * len(even),
            "binary_why": [""] * len(even),
        }
    )
    table.meta["calib"] = "teff: calibrated on mock survey"
    table.write(path, overwrite=True)
    return path
