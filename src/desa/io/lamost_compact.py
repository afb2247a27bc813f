"""Many LAMOST spectra in one NumPy archive, with the table of their headers beside it."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from desa.errors import DamagedFile, UnsupportedFile
from desa.files import read_bytes
from desa.io.fits import number
from desa.io.lamost import LAMOST_LOG_WAVELENGTH_STEP, log_start, star_name
from desa.io.registry import Choices, Front, Glance, Reader, reader
from desa.io.spectra import usable_pixels
from desa.io.tables import MAX_BYTES, StoredTable, open_table
from desa.types import Spectrum

Array = NDArray[np.float64]

COLUMNS = frozenset({"OBSID", "FLUX_OVER_MEDIAN_F16", "GOOD_PACKED", "LOGLAM"})
BANDS = {"u": 3543.0, "g": 4770.0, "r": 6231.0, "i": 7625.0, "z": 9134.0}
"""Mean wavelengths [Angstrom] of the SDSS bands that LAMOST's S/N is given in."""

LEAST_FLUX = 0.02
"""Share of the median flux that the smoothed flux counts as at least, lest its noise become nothing."""


@reader
class LamostArchive(Reader[StoredTable]):
    """``NAME_compact.npz`` with ``NAME_labels.csv``.

    The archive holds the flux over its median and which pixels are good. Position, redshift, S/N and class
    are the table's; the inverse variance is made of the S/N (`ivar_from_snr`), and ``meta`` says so.
    """

    kind = "spectrum"
    one = "an archive of LAMOST spectra"
    product = "compact archives of LAMOST spectra"
    in_tables = True

    def claims(self, file: Front) -> bool:
        """Whether it holds these arrays."""
        return file.columns == COLUMNS

    def members(self, file: Front) -> Sequence[str]:
        """The observations' numbers."""
        return open_table(file.path).names("OBSID")

    def glance(self, file: Front, member: str) -> Glance:
        """What the table says of the observation."""
        header = _headers(file.path).get(member)
        if header is None:
            return Glance(self.kind, obsid=member)
        return Glance(self.kind, star_name(header), member, number(header, "RA"), number(header, "DEC"))

    def read(self, file: StoredTable, member: str, choices: Choices) -> Spectrum:
        """One observation."""
        path = f"{file.path}::{member}"
        header = _headers(file.path).get(member)
        if header is None:
            raise UnsupportedFile(
                path, f"no row in {_table_beside(file.path).name}, so without S/N and redshift"
            )
        row = int(file.rows_of("OBSID")[int(member)][0])
        flux = file.column("FLUX_OVER_MEDIAN_F16")[row].astype(np.float32)
        good = np.unpackbits(file.column("GOOD_PACKED")[row])[: len(flux)].astype(bool) & np.isfinite(flux)
        grid = file.column("LOGLAM").astype(np.float64)
        if len(grid) != len(flux) or not good.any():
            raise DamagedFile(path, "no good pixel, or wavelengths for other pixels")
        snr = {band: number(header, f"SNR{band.upper()}") for band in BANDS}
        flux = np.where(good, flux, np.float32(0))
        start = log_start(path, np.power(10.0, grid), {})
        ivar = ivar_from_snr(flux, good, np.power(10.0, grid), snr)
        flux, ivar = usable_pixels(path, flux, ivar, ~good)
        return Spectrum(
            flux=flux,
            ivar=ivar,
            log_wavelength_start=start,
            log_wavelength_step=LAMOST_LOG_WAVELENGTH_STEP,
            z=number(header, "Z"),
            star_id=star_name(header),
            obsid=member,
            release="compact",
            object_subclass=str(header.get("SUBCLASS", "")),
            snr=snr,
            ra=number(header, "RA"),
            dec=number(header, "DEC"),
            sources=(path,),
            meta={"survey": "LAMOST", "is_star": True, "ivar": "from the S/N of five bands"},
        )


def _table_beside(path: str | Path) -> Path:
    path = Path(path)
    return path.with_name(f"{path.stem.removesuffix('_compact')}_labels.csv")


def _headers(path: str | Path) -> Mapping[str, Mapping[str, str]]:
    """Observation -> its row of the table beside an archive, under upper-case names."""
    table = _table_beside(path)
    try:
        state = table.stat()
    except OSError:
        reason = f"needs the table of its headers, {table.name}, beside it"
        raise UnsupportedFile(path, reason, "put it there") from None
    return _read_headers(str(table), state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=2)
def _read_headers(path: str, size: int, mtime_ns: int) -> Mapping[str, Mapping[str, str]]:
    try:
        content = io.StringIO(read_bytes(path, MAX_BYTES).decode(), newline="")
        rows = [
            {name.upper(): value or "" for name, value in row.items() if name}
            for row in csv.DictReader(content)
        ]
        return {row["OBSID"]: row for row in rows}
    except (OSError, ValueError, KeyError, csv.Error) as error:
        raise DamagedFile(path, f"not a table of observations that can be read ({error})") from None


def ivar_from_snr(
    flux: NDArray[np.float32],
    good: NDArray[np.bool_],
    wavelength: Array,
    snr: Mapping[str, float],
    window: int = 101,
) -> NDArray[np.float32]:
    """Inverse variance (N,) from the S/N of the five bands, for files that hold only which pixels are good.

    S/N is interpolated in wavelength between the bands' centres; the noise is the flux, smoothed over
    `window` pixels, over it.

    Parameters
    ----------
    flux, good, wavelength
        (N,); wavelengths in Angstrom.
    snr
        By band; where one is absent (not positive), that of g.
    """
    given = np.array([snr[band] for band in BANDS])
    known = np.where(np.isfinite(given) & (given > 0), given, snr["g"] if snr["g"] > 0 else 1.0)
    ratio = np.interp(wavelength, list(BANDS.values()), np.clip(known, 1.0, 500.0))
    total, count = (np.convolve(values, np.ones(window), "same") for values in (flux * good, good))
    smooth = np.maximum(total / np.maximum(count, 1.0), LEAST_FLUX)
    return np.asarray(np.where(good, (ratio / smooth) ** 2, 0.0), dtype=np.float32)
