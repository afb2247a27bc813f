"""Labelled real LAMOST spectra from their compact file, and folds of them by star."""

from __future__ import annotations

import csv
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import uniform_filter1d
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from desa.errors import DamagedFile, UnsupportedFile
from desa.io.lamost import LAMOST_LOG_WAVELENGTH_START, LAMOST_LOG_WAVELENGTH_STEP

Array = NDArray[np.float64]

LABELS = ("teff", "log_g", "fe_h")
UNITS = ("K", "dex", "dex")
LABEL_COLUMNS = ("teff", "logg", "feh")

MAX_TEFF = 8000.0
"""Stars with hotter labels are left out: beyond it there are neither models nor good labels."""

BANDS = ("snru", "snrg", "snrr", "snri", "snrz")
BAND_CENTRES = (3543.0, 4770.0, 6231.0, 7625.0, 9134.0)
"""Mean wavelengths [Angstrom] of the SDSS bands that LAMOST's S/N is given in."""

SAME_STAR_ARCSEC = 3.0


@dataclass(frozen=True, eq=False)
class LabelledSpectra:
    """N real spectra with the survey pipeline's labels.

    Parameters
    ----------
    obsid
        (N,) int64.
    flux, ivar
        (N, 3909) float32; the flux over its median, ivar 0 where the pixel is bad or absent.
    z
        (N,) redshift of the star.
    snr_g
        (N,) S/N in g.
    labels
        (N, 3): Teff [K], log g, [Fe/H].
    ra, dec
        (N,) degrees.
    gaia
        (N,) int64 Gaia DR2 identifier, 0 where the table gives none.
    """

    obsid: NDArray[np.int64]
    flux: NDArray[np.float32]
    ivar: NDArray[np.float32]
    z: Array
    snr_g: Array
    labels: Array
    ra: Array
    dec: Array
    gaia: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.obsid)

    def select(self, rows: NDArray[Any]) -> LabelledSpectra:
        """Some of them, by index or mask."""
        return replace(self, **{field.name: getattr(self, field.name)[rows] for field in fields(self)})


def number(text: str) -> float:
    """A table's field as a number, NaN if it is none."""
    try:
        return float(text)
    except ValueError:
        return float("nan")


def lamost_folder(directory: str | Path) -> Path:
    """The folder that holds ``dr10_compact.npz``: the given one or its ``lamost``.

    Raises
    ------
    UnsupportedFile
        If it is in neither.
    """
    for folder in (Path(directory), Path(directory) / "lamost"):
        if (folder / "dr10_compact.npz").is_file():
            return folder
    raise UnsupportedFile(
        directory, "holds no dr10_compact.npz", "give the folder of the real data, or its folder lamost"
    )


def read_table(path: Path) -> dict[str, list[str]]:
    """A CSV file's columns as text."""
    with path.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    if not rows:
        raise DamagedFile(path, "the table has no row")
    return {name: [row[name] or "" for row in rows] for name in rows[0]}


def ivar_from_snr(
    flux: NDArray[np.float32], good: NDArray[np.bool_], snr: Array, window: int = 101
) -> NDArray[np.float32]:
    """Inverse variance (N, P) from the S/N of the five bands, for files that hold only which pixels are good.

    S/N is interpolated in wavelength between the bands' centres; the noise is the flux, smoothed over
    `window` pixels, over it.

    Parameters
    ----------
    flux, good
        (N, P).
    snr
        (N, 5) in u, g, r, i, z; where one is absent (not positive), that of g.
    """
    known = np.where(np.isfinite(snr) & (snr > 0), snr, np.nan)
    known = np.where(np.isfinite(known), known, known[:, 1:2])
    known = np.clip(np.nan_to_num(known, nan=1.0), 1.0, 500.0)
    exponents = LAMOST_LOG_WAVELENGTH_START + LAMOST_LOG_WAVELENGTH_STEP * np.arange(flux.shape[1])
    wave = np.power(10.0, exponents)
    ratio = np.stack([np.interp(wave, BAND_CENTRES, row) for row in known])
    total = uniform_filter1d(np.where(good, flux, 0.0), window, axis=1)
    count = uniform_filter1d(good.astype(np.float64), window, axis=1)
    level = np.maximum(total / np.maximum(count, 1.0 / window), 0.02)
    return np.asarray(np.where(good, (ratio / level) ** 2, 0.0), dtype=np.float32)


def read_spectra(directory: str | Path, max_teff: float = MAX_TEFF) -> LabelledSpectra:
    """Read the labelled spectra of a folder with ``dr10_compact.npz`` and ``dr10_labels.csv``.

    Parameters
    ----------
    directory
        The folder, or the one above its ``lamost``.
    max_teff
        Stars with hotter labels [K] are left out, as are those without all three labels.

    Raises
    ------
    UnsupportedFile
        If there is no such file.
    DamagedFile
        If the two files disagree or can't be read.
    """
    folder = lamost_folder(directory)
    compact = folder / "dr10_compact.npz"
    table = read_table(folder / "dr10_labels.csv")
    try:
        with compact.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
            obsid = arrays["obsid"].astype(np.int64)
            flux = arrays["flux_over_median_f16"].astype(np.float32)
            good = np.unpackbits(arrays["good_packed"], axis=1)[:, : flux.shape[1]].astype(bool)
    except (OSError, ValueError, KeyError, BadZipFile) as error:
        raise DamagedFile(compact, f"can't be read ({error})") from None
    row_of = {int(name): row for row, name in enumerate(table["obsid"])}
    missing = [name for name in obsid.tolist() if name not in row_of]
    if missing:
        raise DamagedFile(
            compact, f"{len(missing)} spectra have no row in dr10_labels.csv ({missing[0]} ...)"
        )
    rows = [row_of[name] for name in obsid.tolist()]

    def column(name: str) -> Array:
        return np.array([number(table[name][row]) for row in rows])

    good &= np.isfinite(flux)
    flux = np.where(good, flux, 0.0).astype(np.float32)
    snr = np.column_stack([column(name) for name in BANDS])
    gaia = [table["tcomment"][row] if table["tsource"][row] == "Kepler" else "" for row in rows]
    spectra = LabelledSpectra(
        obsid=obsid,
        flux=flux,
        ivar=ivar_from_snr(flux, good, snr),
        z=column("z"),
        snr_g=column("snrg"),
        labels=np.column_stack([column(name) for name in LABEL_COLUMNS]),
        ra=column("ra"),
        dec=column("dec"),
        gaia=np.array([int(text) if text.isdigit() else 0 for text in gaia], dtype=np.int64),
    )
    kept = np.isfinite(spectra.labels).all(axis=1) & (spectra.labels[:, 0] < max_teff) & good.any(axis=1)
    return spectra.select(kept)


def stars(ra: ArrayLike, dec: ArrayLike, gaia: ArrayLike) -> NDArray[np.int64]:
    """Number the stars: rows within `SAME_STAR_ARCSEC` or with one Gaia identifier are the same star."""
    alpha, delta = np.radians(np.asarray(ra, dtype=float)), np.radians(np.asarray(dec, dtype=float))
    place = np.column_stack([np.cos(delta) * np.cos(alpha), np.cos(delta) * np.sin(alpha), np.sin(delta)])
    pairs = cKDTree(place).query_pairs(np.radians(SAME_STAR_ARCSEC / 3600.0), output_type="ndarray")
    names = np.asarray(gaia)
    order = np.argsort(names, kind="stable")
    same = np.flatnonzero((names[order][1:] == names[order][:-1]) & (names[order][1:] != 0))
    pairs = np.concatenate([pairs.reshape(-1, 2), np.column_stack([order[same], order[same + 1]])])
    links = coo_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(len(names), len(names)))
    return np.asarray(connected_components(links, directed=False)[1], dtype=np.int64)
