"""Mock spectra as files in the layout of LAMOST DR10's low-resolution spectra."""

from __future__ import annotations

import gzip
import io
import re
import warnings
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray

from desa.files import written_whole
from desa.types import Spectrum

_Card = tuple[str, Any, str]

BLANK: Final = -9999.0
"""What the survey writes where a number is unknown."""


def normalised_flux(spectrum: Spectrum) -> NDArray[np.float32]:
    """Flux over a running pseudo-continuum, (N,), like NORMALIZATION: 1 in the first 100 pixels."""
    flux = np.where(spectrum.ivar > 0, spectrum.flux, np.nan).astype(np.float64)
    edges = np.append(np.arange(0, len(flux) - 100, 100), len(flux))
    centres, levels = [], []
    for low, high in pairwise(edges):
        good = flux[low:high][np.isfinite(flux[low:high])]
        if len(good):
            centres.append((low + high) / 2)
            levels.append(float(np.percentile(good, 85)))
    continuum = np.interp(np.arange(len(flux)), centres, levels) if centres else np.ones(len(flux))
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = spectrum.flux / continuum
    ratio = np.where(np.isfinite(ratio), np.clip(ratio, -2.0, 2.0), 1.0)
    ratio[:100] = 1.0
    return ratio.astype(np.float32)


def _number(value: float, decimals: int) -> float:
    return round(float(value), decimals) if np.isfinite(value) else BLANK


def _target(star_id: str) -> tuple[str, str]:
    """TSOURCE and TCOMMENT: the input catalogue and the name in it."""
    gaia = re.fullmatch(r"Gaia DR\d (\d{15,19})", star_id)
    if gaia:
        return "Kepler", gaia.group(1)
    return ("Kepler" if star_id.startswith("KIC ") else "mock"), star_id


def _designation(ra: float, dec: float) -> str:
    """``LAMOST Jhhmmss.ss+ddmmss.s``, truncated as the survey does; empty without a position."""
    if not (np.isfinite(ra) and np.isfinite(dec)):
        return ""
    seconds = int(ra / 15 * 360_000) % 8_640_000
    tenths = int(abs(dec) * 36_000)
    hours = f"{seconds // 360_000:02d}{seconds // 6000 % 60:02d}{seconds % 6000 / 100:05.2f}"
    degrees = f"{tenths // 36_000:02d}{tenths // 600 % 60:02d}{tenths % 600 / 10:04.1f}"
    return f"LAMOST J{hours}{'-' if dec < 0 else '+'}{degrees}"


def _cards(spectrum: Spectrum, name: str, labels: Mapping[str, Any]) -> Iterator[_Card | str]:
    source, comment = _target(spectrum.star_id)
    obsid = int(spectrum.obsid) if spectrum.obsid.isdigit() else 0
    yield "FILE INFORMATION"
    yield "FILENAME", name, ""
    yield "OBSID", obsid, "Unique number ID of this spectrum"
    yield "AUTHOR", "desa simulate", "Who compiled the information"
    yield "DATA_V", f"LAMOST {spectrum.release or 'DR10'}", "Data release version"
    yield "N_EXTEN", 2, "The amount of extension"
    yield "NORM", 1, "1 if there exists a normalized spectrum"
    yield "ORIGIN", "desa mock survey", "Organization responsible for creating this file"
    yield "MOCK", True, "Simulated, not observed"
    yield "TELESCOPE PARAMETERS"
    yield "TELESCOP", "LAMOST", "GuoShouJing Telescope"
    yield "OBSERVATION PARAMETERS"
    yield "LMJD", int(labels.get("lmjd", 56_000)), "Local Modified Julian Day"
    yield "MJD", int(labels.get("lmjd", 56_000)) - 1, "Modified Julian Day"
    yield "PLANID", str(labels.get("planid", "MOCK")), "Plan ID in use"
    for key, value in (("RA", spectrum.ra), ("DEC", spectrum.dec), ("RA_OBS", spectrum.ra)):
        yield key, _number(value, 6), "[deg]"
    yield "DEC_OBS", _number(spectrum.dec, 6), "[deg]"
    yield "DESIG", _designation(spectrum.ra, spectrum.dec), "Designation of LAMOST target"
    yield "FIBERID", int(labels.get("fiberid", 1)), "Fiber ID of Object"
    yield "OBJNAME", spectrum.star_id, "Name of object"
    yield "OBJTYPE", "star", "Object type from input catalog"
    yield "TSOURCE", source, "Name of input catalog"
    yield "TCOMMENT", comment, "Target information"
    yield "FIB_MASK", 0, "Bitmask of warning values, 0 means good"
    yield "OBS_TYPE", "OBJ", "The type of target (OBJ, FLAT, ARC or BIAS)"
    yield "RADECSYS", "FK5", "Equatorial coordinate system"
    yield "EQUINOX", 2000.0, "Equinox in years"
    yield "SPECTROGRAPH PARAMETERS"
    yield "SPID", int(labels.get("spid", 1)), "Spectrograph ID"
    yield "DATA REDUCTION PARAMETERS"
    yield "HELIO", True, "Heliocentric correction"
    yield "VACUUM", True, "Wavelengths are in vacuum"
    yield "NWORDER", 2, "Number of linear-log10 coefficients"
    yield "WFITTYPE", "LOG-LINEAR", "Linear-log10 dispersion"
    for key, value in (("COEFF0", spectrum.log_wavelength_start), ("COEFF1", spectrum.log_wavelength_step)):
        yield key, value, "log10 wavelength of the first pixel, and step"
    yield "SPECTRA ANALYSIS RESULTS"
    yield "VERSPIPE", "desa mock", "Version of Pipeline"
    yield "CLASS", spectrum.object_class or "STAR", "Class of object"
    yield "SUBCLASS", spectrum.object_subclass, "Subclass of object"
    yield "Z", _number(spectrum.z, 8), "Redshift of object"
    yield "Z_ERR", _number(float(spectrum.meta.get("z_err", np.nan)), 8), "Redshift error of object"
    yield "ZFLAG", "LASP", "Which method computes the redshift"
    for band in "ugriz":
        value = _number(spectrum.snr.get(band, np.nan), 2)
        yield f"SNR{band.upper()}", min(value, 999.0), f"SNR of {band} filter"


def _header(spectrum: Spectrum, name: str, labels: Mapping[str, Any]) -> fits.Header:
    header = fits.Header()
    for card in _cards(spectrum, name, labels):
        if isinstance(card, str):
            header.add_comment(f"--------{card}")
        else:
            header[card[0]] = card[1:]
    return header


def write_lamost(spectrum: Spectrum, path: str | Path, labels: Mapping[str, Any] | None = None) -> Path:
    """Write a spectrum as LAMOST DR10 would: header in HDU 0, a COADD table of one row in HDU 1.

    Parameters
    ----------
    spectrum
        `or_mask` and ``meta["and_mask"]`` go into their columns where they are there.
    path
        The file; it is compressed if its name ends in ``.gz``, and appears whole or not at all.
    labels
        ``lmjd``, ``planid``, ``spid``, ``fiberid`` for the header. Labels of the star don't belong in
        a spectrum file and are ignored.

    Returns
    -------
    Path
        `path`.
    """
    target = Path(path)
    n = len(spectrum)
    zeros = np.zeros(n, dtype=np.float32)
    or_mask = zeros if spectrum.or_mask is None else spectrum.or_mask
    columns = {
        "FLUX": spectrum.flux,
        "IVAR": spectrum.ivar,
        "WAVELENGTH": spectrum.wavelength,
        "ANDMASK": spectrum.meta.get("and_mask", zeros),
        "ORMASK": or_mask,
        "NORMALIZATION": normalised_flux(spectrum),
    }
    table = fits.BinTableHDU.from_columns(
        [fits.Column(name, f"{n}E", array=np.asarray([v], dtype=np.float32)) for name, v in columns.items()],
        name="COADD",
    )
    primary = fits.PrimaryHDU(header=_header(spectrum, target.name.removesuffix(".gz"), labels or {}))
    with written_whole(target) as scratch, warnings.catch_warnings():
        # A long comment is cut by astropy with a warning; values are never cut.
        warnings.simplefilter("ignore", fits.verify.VerifyWarning)
        content = io.BytesIO()
        fits.HDUList([primary, table]).writeto(content)
        packed = target.suffix == ".gz"
        scratch.write_bytes(gzip.compress(content.getvalue(), mtime=0) if packed else content.getvalue())
    return target


def file_name(labels: Mapping[str, Any]) -> str:
    """The survey's name for a file: ``spec-LMJD-PLANID_spSS-FFF.fits``."""
    return (
        f"spec-{int(labels['lmjd']):05d}-{labels['planid']}"
        f"_sp{int(labels['spid']):02d}-{int(labels['fiberid']):03d}.fits"
    )
