"""Small files in the archives' layouts, written with astropy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from astropy.io import fits

DAYS = 0.02043359821692
PIXELS = 3909


def light(n: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return 1e4 * (1 + 0.01 * np.sin(np.arange(n) / 30)) + rng.normal(0, 3, n)


def write_quarter(
    path: Path,
    *,
    kic: int = 8462852,
    quarter: int = 2,
    first: int = 3000,
    n: int = 300,
    days: float = DAYS,
    tess: bool = False,
    checksum: bool = True,
    columns: dict[str, np.ndarray] | None = None,
    extra: dict[str, np.ndarray] | None = None,
) -> dict[str, np.ndarray]:
    """A quarter in the mission's layout; returns its columns."""
    cadence = np.arange(first, first + n)
    zero = 2457000 if tess else 2454833
    data: dict[str, np.ndarray] = {
        "TIME": 1325.0 + days * np.arange(n) if tess else 108.933 + days * cadence,
        "TIMECORR": np.zeros(n, "f4"),
        "CADENCENO": cadence.astype("i4"),
        "SAP_FLUX": light(n, 1).astype("f4"),
        "SAP_FLUX_ERR": np.full(n, 3, "f4"),
        "PDCSAP_FLUX": light(n, 2).astype("f4"),
        "PDCSAP_FLUX_ERR": np.full(n, 3, "f4"),
        "QUALITY" if tess else "SAP_QUALITY": np.zeros(n, "i4"),
    } | (columns or {})
    primary = fits.PrimaryHDU()
    header: dict[str, Any] = {"TELESCOP": "TESS" if tess else "Kepler", "RA_OBJ": 301.5, "DEC_OBJ": 44.4}
    header |= {"TICID": kic, "SECTOR": quarter, "TESSMAG": 11.0} if tess else {}
    header |= {} if tess else {"KEPLERID": kic, "QUARTER": quarter, "KEPMAG": 11.9, "TEFF": 6584}
    primary.header.update(header)
    table = fits.BinTableHDU.from_columns(
        [
            fits.Column(name, {"f": "E", "i": "J"}[a.dtype.kind] if a.itemsize == 4 else "D", array=a)
            for name, a in (data | (extra or {})).items()
        ],
        name="LIGHTCURVE",
    )
    table.header.update({"TIMEDEL": days, "BJDREFI": zero, "BJDREFF": 0.0, "FITTYPE1": "robust"})
    aperture = fits.ImageHDU(np.ones((5, 5), "i4"), name="APERTURE")
    fits.HDUList([primary, table, aperture]).writeto(path, overwrite=True, checksum=checksum)
    return data


def write_spectrum(
    path: Path, layout: str = "DR10", *, n: int = PIXELS, header: dict[str, Any] | None = None
) -> dict[str, np.ndarray]:
    """A LAMOST spectrum in the layout of ``"DR1"``, ``"DR5"`` or ``"DR10"``; returns its arrays."""
    wavelength = 10 ** (3.5682 + 1e-4 * np.arange(n))
    arrays = {
        "FLUX": light(n, 3),
        "IVAR": np.full(n, 0.01),
        "WAVELENGTH": wavelength,
        "ANDMASK": np.zeros(n),
        "ORMASK": np.zeros(n),
    }
    arrays["IVAR"][:20] = 0
    arrays["IVAR"][20] = -1
    arrays["FLUX"][21] = np.nan
    arrays["ANDMASK"][22] = 8
    arrays["ORMASK"][30:40] = 64
    arrays = {name: values.astype("f4") for name, values in arrays.items()}
    cards: dict[str, Any] = {"TELESCOP": "LAMOST", "COEFF0": 3.5682, "COEFF1": 1e-4, "CLASS": "STAR"}
    cards |= {"SUBCLASS": "G2", "Z": 1e-4, "RA": 10.0, "DEC": 20.0, "DESIG": "LAMOST J004000.00+200000.0"}
    cards |= {f"{'SN_' if layout == 'DR1' else 'SNR'}{band}": 50.0 for band in "UGRIZ"}
    cards |= {} if layout == "DR1" else {"OBSID": 123456789, "DATA_V": f"LAMOST {layout}"}
    cards |= header or {}
    if layout == "DR10":
        columns = [fits.Column(name, f"{n}E", array=a[None]) for name, a in arrays.items()]
        hdus = [fits.PrimaryHDU(), fits.BinTableHDU.from_columns(columns, name="COADD")]
    else:
        third = np.ones(n, "f4") if layout == "DR1" else arrays["WAVELENGTH"]
        rows = [arrays["FLUX"], arrays["IVAR"], third, arrays["ANDMASK"], arrays["ORMASK"]]
        hdus = [fits.PrimaryHDU(np.stack(rows))]
    hdus[0].header.update(cards)
    fits.HDUList(hdus).writeto(path, overwrite=True)
    return arrays


def write_table(path: Path, columns: dict[str, Any]) -> None:
    """A Parquet file."""
    pq.write_table(pa.table(columns), path)


def pipeline_table(*kics: int, n: int = 300, first: int = 3000) -> dict[str, np.ndarray]:
    """Columns of a table of pipeline light curves, stars in the given order, rows mixed."""
    cadence = np.tile(np.arange(first, first + n), len(kics))
    columns = {
        "KIC": np.repeat(kics, n).astype("i4"),
        "CADENCENO": cadence.astype("i4"),
        "TIME": 108.933 + DAYS * cadence,
        "SAP_FLUX": np.concatenate([light(n, kic) for kic in kics]).astype("f4"),
        "PDCSAP_FLUX": np.concatenate([light(n, kic + 1) for kic in kics]).astype("f4"),
        "PDCSAP_FLUX_ERR": np.full(n * len(kics), 3, "f4"),
        "SAP_QUALITY": np.zeros(n * len(kics), "i4"),
    }
    order = np.random.default_rng(0).permutation(n * len(kics))
    return {name: values[order] for name, values in columns.items()}


def write_archive(path: Path, *obsids: int, n: int = PIXELS) -> np.ndarray:
    """A compact archive of LAMOST spectra, and the table of their headers; returns the flux (N, n)."""
    flux = np.stack([light(n, obsid) / 1e4 for obsid in obsids]).astype("f2")
    good = np.ones(flux.shape, bool)
    good[:, :20] = False
    loglam = 3.5682 + 1e-4 * np.arange(n)
    with path.open("wb") as stream:
        np.savez(
            stream,
            obsid=np.array(obsids),
            flux_over_median_f16=flux,
            good_packed=np.packbits(good, axis=1),
            loglam=loglam,
        )
    lines = ["obsid,ra,dec,tsource,tcomment,objname,subclass,z,snru,snrg,snrr,snri,snrz,teff,logg,feh,KIC"]
    lines += [f"{obsid},{obsid / 10},20.0,LEGUE,,,G2,1e-4,10,50,60,70,40,5700,4.4,0.1," for obsid in obsids]
    path.with_name(f"{path.stem.removesuffix('_compact')}_labels.csv").write_text("\n".join(lines))
    return flux
