"""Small files in the layout of SDSS and BOSS spectra."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

from helpers.archive_files import light

START, PIXELS = 3.5527, 4600


def write_sdss(path: Path, **found: Any) -> dict[str, np.ndarray]:
    """A file in the layout of the data model; returns the columns of COADD."""
    grid = START + 1e-4 * np.arange(PIXELS)
    flux = light(PIXELS) * (1 - 0.5 * np.exp(-(((10**grid - 6564.6) / 5) ** 2)))
    columns = {
        "flux": flux.astype("f4"),
        "loglam": grid.astype("f4"),
        "ivar": np.full(PIXELS, 0.01, "f4"),
        "and_mask": np.zeros(PIXELS, "i4"),
        "or_mask": np.zeros(PIXELS, "i4"),
        **{name: np.ones(PIXELS, "f4") for name in ("wdisp", "sky", "model")},
    }
    columns["ivar"][:10] = 0
    columns["and_mask"][[10, 11]] = 1 << 23, 1 << 19  # BRIGHTSKY, PARTIALREJECT
    forms = {"f": "E", "i": "J"}
    coadd = [fits.Column(name, forms[a.dtype.kind], array=a) for name, a in columns.items()]
    values: dict[str, Any] = {"CLASS": "STAR", "SUBCLASS": "G2", "Z": 2e-4, "SN_MEDIAN": [5, 20, 30, 31, 20]}
    forms = {"CLASS": "6A", "SUBCLASS": "21A", "Z": "E", "SN_MEDIAN": "5E"}
    row = [fits.Column(name, forms[name], array=[value]) for name, value in (values | found).items()]
    row.append(fits.Column("PLUG_RA", "D", array=[10.0]))
    primary = fits.PrimaryHDU()
    header = {"TELESCOP": "SDSS 2.5-M", "PLATEID": 266, "MJD": 51630, "FIBERID": 7, "RUN2D": "26"}
    primary.header.update({**header, "PLUG_RA": 10.0, "PLUG_DEC": 20.0, "RA": 11.0, "DEC": 21.0})
    tables = [
        fits.BinTableHDU.from_columns(part, name=name) for part, name in ((coadd, "COADD"), (row, "SPALL"))
    ]
    fits.HDUList([primary, *tables]).writeto(path, overwrite=True)
    return columns
