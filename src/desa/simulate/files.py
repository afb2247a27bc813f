"""A mock survey as archive files: Kepler's and LAMOST's FITS, and catalogues in the public tables' columns.

::

    folder/
      lightcurves/020000007/kplr020000007-2009166043257_llc.fits   one a quarter
      spectra/MOCK57012/spec-57012-MOCK57012_sp08-008_900000028.fits
      labels.csv       what catalogues say, by KIC, for `desa ingest --labels`
      truth.parquet    the same with the true parameters
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.csv as pa_csv

from desa.files import written_whole
from desa.parquet import write_parquet
from desa.simulate import observe
from desa.simulate.fits_kepler import file_name, write_kepler_quarter
from desa.simulate.fits_lamost import file_name as lamost_name
from desa.simulate.fits_lamost import write_lamost
from desa.simulate.labels import observed_labels, true_labels
from desa.simulate.lightcurves import lightcurve_of
from desa.simulate.lightcurves import observe as observe_kepler
from desa.simulate.plan import PARTS_FOLDER, MockPlan, write_part
from desa.simulate.population import draw_star, stream

CATALOGUE: Final = {
    "kic": "KIC",
    "ra": "RA_deg",
    "dec": "Dec_deg",
    "magnitude": "Kpmag",
    "teff": "Teff",
    "log_g": "logg",
    "fe_h": "FeH",
    "alpha_fe": "AlphaFe",
    "mass": "Mstar",
    "radius": "Rstar",
    "log_l": "logL",
    "age": "Age",
    "prot": "Prot",
    "sph": "Sph",
    "numax": "numax",
    "dnu": "dnu",
    "bp_rp": "bp_rp",
    "m_g": "M_G",
    "ruwe": "ruwe",
    "cmd_class": "cmd_class",
    "binary": "binary",
    "binary_kind": "binary_kind",
}
"""Our names and those of public catalogues (Santos, Huber, Mathur, Yu, Gaia); errors are ``e_`` + name."""


PLACES: Final = ("lightcurves", "lightcurves/*", "spectra", "spectra/*", PARTS_FOLDER)
"""Folders that are written to."""

PATTERNS: Final = (
    *("lightcurves/*/kplr*.fits", "spectra/*/spec-*.fits", f"{PARTS_FOLDER}/*.parquet"),
    *("labels.csv", "truth.parquet"),
)
"""Files that are written."""


def lightcurve_folder(path: Path, kic: int) -> Path:
    """Where a star's quarters are."""
    return path / "lightcurves" / f"{kic:09d}"


def make_star(plan: MockPlan, path: Path, index: int) -> observe.MockStar:
    """Simulate star `index` and write its files."""
    star = draw_star(plan.seed, index)
    observation = observe_kepler(star, stream(plan.seed, index, 1), plan.quarters)
    curve = lightcurve_of(star, observation)
    for quarter in curve.quarters:
        target = lightcurve_folder(path, star.kic) / file_name(star.kic, quarter)
        write_kepler_quarter(star, observation, quarter, target)
    spectra = observe.simulate_spectra(star, stream(plan.seed, index, 2), plan.repeats)
    for spectrum in spectra:
        name = lamost_name(spectrum.meta).replace(".fits", f"_{spectrum.obsid}.fits")
        write_lamost(spectrum, path / "spectra" / spectrum.meta["planid"] / name, spectrum.meta)
    snr = max((s.snr["g"] for s in spectra), default=float("nan"))
    labels = observed_labels(star, curve, snr, stream(plan.seed, index, 3)) | true_labels(star)
    return observe.MockStar(star, curve, spectra, labels)


def make_shard(plan: MockPlan, path: Path, shard: int) -> int:
    """Write the files of one shard's stars; returns the shard's number."""
    write_part(plan, path, shard, [make_star(plan, path, index) for index in plan.stars_of(shard)])
    return shard


def catalogue_of(stars: pa.Table) -> pa.Table:
    """Labels under the public catalogues' column names."""
    columns = {}
    for name, public in CATALOGUE.items():
        columns[public] = stars.column(name)
        if f"{name}_err" in stars.column_names:
            columns[f"e_{public}"] = stars.column(f"{name}_err")
    return pa.table(columns)


def finish(path: Path, stars: pa.Table) -> None:
    """Write the label tables."""
    with written_whole(path / "labels.csv") as scratch:
        pa_csv.write_csv(catalogue_of(stars), scratch)
    with written_whole(path / "truth.parquet") as scratch:
        write_parquet(stars, scratch, compression="zstd")
