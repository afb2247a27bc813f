"""One file of every layout that desa reads: written here, and real ones where they are beside the project."""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from astropy.io import fits

from desa.files import GZIP_MAGIC
from desa.io import compact
from desa.io.cadences import BKJD_ZERO, KEPLER_CADENCE_ZERO_BKJD
from desa.io.registry import glances, split_source
from helpers.archive_files import DAYS, write_archive, write_quarter, write_spectrum, write_table
from helpers.real_files import KINDS
from helpers.sdss_files import write_sdss

REAL_TABLES = {
    "Q9 stars": "kepler/q9/kepler_q9_77stars.parquet",
    "eclipsing binary": "kepler/fullmission_eb/eb03.parquet",
    "delta Scuti": "kepler/fullmission_dsct/kic005709664.parquet",
    "rotator": "kepler/fullmission_rotators/kic004660971_starspot.parquet",
    "Q17 stars": "kepler/small/enosair_q17.parquet",
}
NAME = "kic 7.dat"
"""Tables of one star have its name in their own."""


@dataclass(frozen=True)
class Layout:
    """A good file.

    Parameters
    ----------
    name
        Of the layout, for people.
    raw
        Its content, unpacked.
    member
        The star that is read of it, empty where it holds one.
    beside
        Content of the file that it needs beside it, if it does.
    """

    name: str
    raw: bytes
    member: str = ""
    beside: bytes = b""

    @property
    def is_fits(self) -> bool:
        return self.raw.startswith(b"SIMPLE")

    @property
    def has_checksum(self) -> bool:
        """Whether anything in the file tells of damage to its numbers."""
        if self.is_fits:
            # astropy's own test: files that tools have edited have a checksum that no longer holds.
            with fits.open(io.BytesIO(self.raw), memmap=False) as hdus:
                return all("CHECKSUM" in hdu.header and hdu.verify_checksum() == 1 for hdu in hdus[:2])
        return self.raw.startswith(b"PK")

    def write(self, folder: Path, raw: bytes) -> str:
        """Write other bytes as such a file; the source to read."""
        (folder / NAME).write_bytes(raw)
        if self.beside:
            (folder / f"{Path(NAME).stem}_labels.csv").write_bytes(self.beside)
        return f"{folder / NAME}::{self.member}" if self.member else str(folder / NAME)


def table_columns(layout: compact.Layout, kics: tuple[int, ...] = (7, 300), n: int = 400) -> dict:
    """Columns of a table in one of desa's layouts: every star with a wave of 1 %."""
    tess = layout.mission == "TESS"
    number = 10_000 + np.arange(n)
    time = 1700.0 + number / 48 if tess else KEPLER_CADENCE_ZERO_BKJD + DAYS * number
    rng = np.random.default_rng(5)
    wave = 1 + 0.01 * np.sin(np.arange(n) / 30) + rng.normal(0, 3e-4, n)
    stored = {
        compact.COUNTS: 1e4 * wave,
        compact.NORMALISED: wave,
        compact.RELATIVE: wave - 1,
        compact.MAGNITUDES: 9 - 2.5 * np.log10(wave),
        compact.SHIFTED: 1e4 * (wave - 1),
    }[layout.unit]
    one = {
        layout.time: time if tess else time + BKJD_ZERO - layout.zero,
        layout.flux: stored,
        layout.raw: stored,
        layout.error: np.full(n, 3e-4 * (1e4 if layout.unit == compact.COUNTS else 1)),
        layout.quality: np.zeros(n, "i4"),
        layout.cadence: number.astype("i4"),
        layout.part: np.full(n, 9),
        **{name: np.full(n, 7) for name in layout.more},
    }
    stars = kics if layout.star else kics[:1]
    columns = {name: np.concatenate([values] * len(stars)) for name, values in one.items() if name}
    return ({layout.star: np.repeat(stars, n)} if layout.star else {}) | columns


def write_image(path: Path, time_zero: float = 2_400_000.0, n: int = 400, *, flags: bool = True) -> Path:
    """A KEPSEISMIC file."""
    time = KEPLER_CADENCE_ZERO_BKJD + DAYS * (10_000 + np.arange(n)) + BKJD_ZERO - time_zero
    flux = np.random.default_rng(0).normal(0, 100, n)
    parts = [fits.PrimaryHDU(np.stack([time, flux], axis=1)), fits.ImageHDU(np.full(n, 1, np.int16))]
    parts[0].header.update(TELESCOP="Kepler", KEPLERID=7)
    fits.HDUList(parts[: 2 if flags else 1]).writeto(path, overwrite=True, checksum=flags)
    return path


def write_k2(path: Path, columns: dict[str, str], tables: tuple[str, ...], n: int = 400) -> Path:
    """A file of K2 light curves, of columns in FITS's own types; the flux is 1000."""
    number = 95_000 + np.arange(n)
    flux = np.random.default_rng(0).normal(1000, 1, n)
    values = {
        **dict.fromkeys(("TIME", "T"), KEPLER_CADENCE_ZERO_BKJD + DAYS * number),
        **dict.fromkeys(("CADENCE", "CADENCENO"), number),
        **dict.fromkeys(("FLUX", "FRAW", "FCOR", "APTFLUX", "DETFLUX", "TRTIME"), flux),
        **dict.fromkeys(("ERROR", "APTFLUX_ERR", "DETFLUX_ERR"), flux / 1000),
    }
    made = [fits.Column(name, kind, array=values.get(name, 0 * number)) for name, kind in columns.items()]
    primary = fits.PrimaryHDU()
    primary.header.update(TELESCOP="Kepler", MISSION="K2", KEPLERID=211117077, OBJECT="EPIC 211117077")
    parts = [fits.BinTableHDU.from_columns(made, name=name) for name in tables]
    fits.HDUList([primary, *parts]).writeto(path, overwrite=True)
    return path


K2SC = {"CADENCE": "J", "TIME": "D", "FLUX": "D", "ERROR": "D", "TRTIME": "D", "QUALITY": "J"}
K2SC_PROGRAM = {**K2SC, "TRPOSI": "D"}
K2SFF = {"T": "D", "FRAW": "D", "FCOR": "D", "ARCLENGTH": "D", "MOVING": "J", "CADENCENO": "J"}
K2VARCAT = {"TIME": "D", **dict.fromkeys(("APTFLUX", "APTFLUX_ERR", "DETFLUX", "DETFLUX_ERR"), "D")}

WRITTEN: dict[str, Callable[[Path], object]] = {
    "Kepler": lambda path: write_quarter(path, n=400),
    "Kepler without checksums": lambda path: write_quarter(path, n=400, checksum=False),
    "Kepler short cadence": lambda path: write_quarter(path, n=1800, first=78_460, days=DAYS / 30),
    "TESS": lambda path: write_quarter(path, n=1200, tess=True, first=6000, days=2 / 1440),
    "K2SC": lambda path: write_k2(path, K2SC, ("PDC", "SAP")),
    "K2SC of the program": lambda path: write_k2(path, K2SC_PROGRAM, ("K2SC",)),
    "K2SFF": lambda path: write_k2(path, K2SFF, ("BESTAPER", "CIRC_APER1")),
    "K2VARCAT": lambda path: write_k2(path, K2VARCAT, ("LIGHTCURVE",)),
    "KEPSEISMIC": write_image,
    "LAMOST DR1": lambda path: write_spectrum(path, "DR1"),
    "LAMOST DR5": lambda path: write_spectrum(path, "DR5"),
    "LAMOST DR10": lambda path: write_spectrum(path, "DR10"),
    "SDSS": write_sdss,
    "LAMOST archive": lambda path: write_archive(path, 7, 8),
    **{
        f"table {number}, {layout.name}": lambda path, layout=layout: write_table(path, table_columns(layout))
        for number, layout in enumerate(compact.LAYOUTS)
    },
}


def written(folder: Path) -> list[Layout]:
    """A file of every layout, written here."""
    found = []
    for name, write in WRITTEN.items():
        write(folder / NAME)
        beside = folder / f"{Path(NAME).stem}_labels.csv"
        number = name.split(",")[0].removeprefix("table ")
        many = number.isdigit() and compact.LAYOUTS[int(number)].star
        member = "7" if name == "LAMOST archive" else "KIC 7" if many else ""
        raw = (folder / NAME).read_bytes()
        found.append(Layout(name, raw, member, beside.read_bytes() if member == "7" else b""))
    return found


def real(shared: Path) -> list[Layout]:
    """A real file of every layout of which there is one."""
    found = []
    for name, place in (KINDS | REAL_TABLES).items():
        path = shared / "data" / place
        raw = path.read_bytes()
        raw = gzip.decompress(raw) if raw[:2] == GZIP_MAGIC else raw
        found.append(Layout(f"real {name}", raw, split_source(glances(path)[0][0])[1]))
    return found
