"""Every real Kepler light curve of a folder, whatever its form, with what catalogues say of its star."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from desa.errors import FileRefused, UnsupportedFile
from desa.io.cadences import Samples, cadences_from_time, on_grid
from desa.io.quality import bitmask
from desa.io.registry import read_lightcurve_file
from desa.io.stitching import stitch
from desa.real.data import number, read_table
from desa.types import KEPLER_CADENCE_DAYS, LightCurve

Array = NDArray[np.float64]
Refused = list[tuple[str, str]]

BJD_OF_BKJD = 2454833.0

GIANT_LOG_G = 3.5
"""Stars below this surface gravity count as giants."""

PERIODS = ("Prot_santos", "Prot_mcquillan", "Prot_reinhold2015")


@dataclass(frozen=True, eq=False)
class KeplerStar:
    """A real light curve.

    Parameters
    ----------
    curve
        All that the folder has of the star.
    form
        ``"fits"``, ``"single quarter"``, ``"delta Scuti"`` or ``"eclipsing binary"``: where it comes from.
    labels
        Numbers of the star's row in ``star_labels.csv``; NaN where there is none.
    """

    curve: LightCurve
    form: str
    labels: dict[str, float]

    def known(self, name: str) -> float:
        """A label, NaN if missing."""
        return self.labels.get(name, float("nan"))

    @property
    def eclipsing(self) -> bool:
        """In the catalogue of eclipsing binaries (Kirk et al. 2016), or from a set of such."""
        return self.form == "eclipsing binary" or np.isfinite(self.known("EB_period_kirk"))

    @property
    def period(self) -> float:
        """Rotation period in days: Santos, McQuillan, Reinhold in that order; NaN for eclipsing binaries."""
        found = [self.known(name) for name in PERIODS if np.isfinite(self.known(name))]
        return found[0] if found and not self.eclipsing else float("nan")

    @property
    def giant(self) -> bool:
        """Oscillates as a giant (Yu et al. 2018) or has log g below `GIANT_LOG_G` (Huber et al. 2014)."""
        return bool(np.isfinite(self.known("numax_yu")) or self.known("logg_huber2014") < GIANT_LOG_G)


def _samples(cadence: NDArray[Any], time: Array, flux: Array, error: Array, quality: Array) -> Samples:
    return Samples(
        time=time,
        cadence=cadence.astype(np.int64),
        flux=flux,
        flux_err=error,
        quality=quality.astype(np.int64),
        cadence_days=KEPLER_CADENCE_DAYS,
    )


def _curve(path: Path, star: str, samples: Samples) -> LightCurve:
    grid = on_grid(path, samples, bitmask("default", "Kepler"))
    return LightCurve(
        flux=grid.flux,
        flux_err=grid.flux_err,
        first_cadence=grid.first_cadence,
        start_bkjd=grid.start_bkjd,
        cadence_days=grid.cadence_days,
        star_id=star,
        mission="Kepler",
        sources=(str(path),),
    )


def _column(table: pa.Table, name: str) -> Array:
    return np.asarray(table[name].to_numpy(), dtype=np.float64)


def read_compact(path: Path, refused: Refused) -> list[LightCurve]:
    """Stars of ``singlequarter_compact.parquet``, one quarter each."""
    table = pq.read_table(path)
    kic = table["KIC"].to_numpy()
    names = ("CADENCENO", "TIME", "PDCSAP_FLUX", "PDCSAP_FLUX_ERR", "SAP_QUALITY")
    columns = [_column(table, name) for name in names]
    curves = []
    for star in np.unique(kic):
        rows = kic == star
        try:
            curves.append(_curve(path, f"KIC {star}", _samples(*(column[rows] for column in columns))))
        except FileRefused as error:
            refused.append((f"{path} (KIC {star})", error.reason))
    return curves


def read_full_mission(path: Path) -> LightCurve:
    """A star of ``fullmission_dsct`` (magnitudes) or ``fullmission_eb`` (flux), all quarters."""
    table = pq.read_table(path)
    if "DELTA_MAG" in table.column_names:
        time = _column(table, "TIME_BJD_2400000") + 2400000.0 - BJD_OF_BKJD
        flux = 10.0 ** (-0.4 * _column(table, "DELTA_MAG"))
        error = np.full(len(flux), np.nan)
        star = f"KIC {int(path.stem.removeprefix('kic'))}"
    else:
        time, flux, error = (_column(table, name) for name in ("TIME_BKJD", "FLUX", "FLUX_ERR"))
        star = f"eclipsing binary {path.stem.removeprefix('eb')}"
    cadence = cadences_from_time(time, KEPLER_CADENCE_DAYS)
    kept = np.flatnonzero(np.diff(cadence, prepend=cadence[0] - 1) > 0)
    quality = np.zeros(len(kept))
    return _curve(path, star, _samples(cadence[kept], time[kept], flux[kept], error[kept], quality))


def read_fits(folder: Path, refused: Refused) -> list[LightCurve]:
    """Every star with a 30-minute Kepler or KEPSEISMIC file under a folder, its quarters stitched."""
    parts: dict[str, list[LightCurve]] = defaultdict(list)
    for path in sorted([*folder.rglob("*.fits"), *folder.rglob("*.fits.gz")]):
        try:
            curve = read_lightcurve_file(path)
        except FileRefused as error:
            refused.append((str(path), error.reason))
            continue
        same = abs(curve.cadence_days / KEPLER_CADENCE_DAYS - 1.0) < 1e-2
        if curve.mission in ("Kepler", "KEPSEISMIC") and same:
            parts[curve.star_id or path.name].append(curve)
        else:
            refused.append(
                (str(path), f"{curve.mission or 'no'} mission, {curve.cadence_days * 1440:.1f} min")
            )
    curves = []
    for star, several in parts.items():
        try:
            curves.append(stitch(several))
        except ValueError as error:
            refused.append((star, str(error)))
    return curves


def kepler_folder(directory: str | Path) -> Path:
    """The folder that holds ``star_labels.csv``: the given one or its ``kepler``.

    Raises
    ------
    UnsupportedFile
        If it is in neither.
    """
    for folder in (Path(directory), Path(directory) / "kepler"):
        if (folder / "star_labels.csv").is_file():
            return folder
    raise UnsupportedFile(directory, "holds no star_labels.csv", "give the folder of the real data")


def read_kepler(directory: str | Path) -> tuple[list[KeplerStar], Refused]:
    """Every Kepler star of a folder, each once, and what could not be used and why."""
    folder = kepler_folder(directory)
    refused: Refused = []
    found: dict[str, tuple[LightCurve, str]] = {}

    def add(curves: list[LightCurve], form: str) -> None:
        for curve in curves:
            found.setdefault(curve.star_id, (curve, form))

    add(read_fits(folder, refused), "fits")
    add(read_compact(folder / "singlequarter_compact.parquet", refused), "single quarter")
    for name, form in (("fullmission_dsct", "delta Scuti"), ("fullmission_eb", "eclipsing binary")):
        for path in sorted((folder / name).glob("*.parquet")):
            try:
                add([read_full_mission(path)], form)
            except FileRefused as error:
                refused.append((str(path), error.reason))
    table = read_table(folder / "star_labels.csv")
    rows = {f"KIC {kic}": row for row, kic in enumerate(table["KIC"])}
    names = [name for name in table if name not in ("KIC", "where")]
    stars = []
    for star, (curve, form) in found.items():
        row = rows.get(star)
        labels = {} if row is None else {name: number(table[name][row]) for name in names}
        stars.append(KeplerStar(curve, form, labels))
    return stars, refused
