"""Objects in memory to desa's types: lightkurve light curves, specutils spectra, paths, our own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from desa.archive.kepler import read_lightcurve, stitch
from desa.archive.lamost import read_spectrum
from desa.errors import WrongModality
from desa.types import (
    KEPLER_CADENCE_DAYS,
    LAMOST_LOG_WAVELENGTH_START,
    LAMOST_LOG_WAVELENGTH_STEP,
    LAMOST_PIXELS,
    LightCurve,
    Spectrum,
)

BKJD_ZERO = 2454833.0


def to_lightcurve(source: Any) -> LightCurve:
    """Make a `LightCurve` of a path, a list of paths (quarters of a star), or an object in memory.

    Parameters
    ----------
    source
        `LightCurve`; a path or a sequence of them; ``lightkurve.LightCurve`` (its ``time`` in any astropy
        format, flux in flux units or relative); ``lightkurve.LightCurveCollection`` (one star's parts, each
        divided by its own median).

    Raises
    ------
    WrongModality
        For a spectrum or any other object.
    UnsupportedFile, DamagedFile
        As the file reader's.
    """
    if isinstance(source, LightCurve):
        return source
    if isinstance(source, (str, Path)):
        return read_lightcurve(source)
    if hasattr(source, "flux") and hasattr(source, "time") and not hasattr(source, "spectral_axis"):
        return _from_lightkurve(source)
    if isinstance(source, Sequence) or (hasattr(source, "__getitem__") and hasattr(source, "__len__")):
        parts = list(source)
        if parts and all(isinstance(part, (str, Path)) for part in parts):
            return read_lightcurve(parts)
        return stitch([to_lightcurve(part) for part in parts])
    raise WrongModality(f"a light curve is needed, not {type(source).__name__}")


def _values(quantity: Any) -> NDArray[np.float64]:
    """Plain numbers of a Quantity, a masked one or a column; masked entries become NaN."""
    mask = getattr(quantity, "mask", None)
    bare = getattr(quantity, "unmasked", quantity)
    values = np.array(getattr(bare, "value", bare), dtype=np.float64)
    if mask is not None and np.any(mask):
        values[np.asarray(mask)] = np.nan
    return values


def _from_lightkurve(source: Any) -> LightCurve:
    bkjd = _values(source.time.jd) - BKJD_ZERO
    flux, flux_err = _values(source.flux), _values(source.flux_err)
    names = {str(name).lower() for name in getattr(source, "columns", ())}
    finite = np.isfinite(bkjd)
    if finite.sum() < 10:
        raise WrongModality(f"the light curve has {int(finite.sum())} times; at least 10 are needed")
    if "cadenceno" in names:
        cadence = np.nan_to_num(_values(source["cadenceno"]), nan=-1).astype(np.int64)
        step = float(np.median(np.diff(bkjd[finite]) / np.maximum(np.diff(cadence[finite]), 1)))
    else:
        step = float(np.median(np.diff(bkjd[finite])))
        cadence = np.rint((bkjd - bkjd[finite][0]) / step, where=finite, out=np.full(len(bkjd), -1.0)).astype(
            np.int64
        )
    if abs(step / KEPLER_CADENCE_DAYS - 1) > 0.03:
        cadence = np.floor((bkjd - bkjd[finite][0]) / KEPLER_CADENCE_DAYS).astype(np.int64)
        step = KEPLER_CADENCE_DAYS
    good = finite & np.isfinite(flux)
    first = int(cadence[good].min())
    place, total = cadence[good] - first, int(cadence[good].max()) - first + 1
    with np.errstate(all="ignore"):
        count = np.bincount(place, minlength=total).astype(np.float64)
        mean = np.bincount(place, flux[good], total) / count
        error = np.sqrt(np.bincount(place, flux_err[good] ** 2, total)) / count
    median = float(np.nanmedian(mean))
    meta = getattr(source, "meta", {})
    label = str(meta.get("OBJECT") or meta.get("LABEL") or "")
    parts = [meta[key] for key in ("QUARTER", "CAMPAIGN", "SECTOR") if isinstance(meta.get(key), int)]
    return LightCurve(
        flux=(mean / median).astype(np.float32),
        flux_err=(error / median).astype(np.float32),
        first_cadence=first,
        start_bkjd=float(np.median(bkjd[good] - place * step)),
        cadence_days=step,
        star_id=label,
        mission=str(meta.get("MISSION") or meta.get("TELESCOP") or ""),
        quarters=tuple(parts),
        ra=_number(meta.get("RA")),
        dec=_number(meta.get("DEC")),
        magnitude=_number(meta.get("KEPMAG", meta.get("TESSMAG"))),
    )


def _number(value: Any) -> float:
    return float(value) if isinstance(value, (int, float)) else float("nan")


def to_spectrum(source: Any) -> Spectrum:
    """Make a `Spectrum` of a path or an object in memory.

    Parameters
    ----------
    source
        `Spectrum`; a path; a ``specutils`` spectrum (one-dimensional; wavelengths taken as vacuum, its
        uncertainty as what it says it is, 1 % of the median flux where it has none; its redshift as the
        star's). It is put on LAMOST's grid by linear interpolation of flux and variance; outside its range
        and under its mask the pixels are bad.

    Raises
    ------
    WrongModality
        For a light curve or any other object.
    UnsupportedFile, DamagedFile
        As the file reader's.
    """
    if isinstance(source, Spectrum):
        return source
    if isinstance(source, (str, Path)):
        return read_spectrum(source)
    if hasattr(source, "spectral_axis") and hasattr(source, "flux"):
        return _from_specutils(source)
    raise WrongModality(f"a spectrum is needed, not {type(source).__name__}")


def _ivar(source: Any, flux: NDArray[np.float64]) -> NDArray[np.float64]:
    uncertainty = getattr(source, "uncertainty", None)
    if uncertainty is None:
        return np.full(len(flux), 1.0 / (0.01 * np.nanmedian(np.abs(flux))) ** 2)
    values = _values(getattr(uncertainty, "quantity", uncertainty.array))
    with np.errstate(all="ignore"):
        kind = uncertainty.uncertainty_type
        return values if kind == "ivar" else 1 / values if kind == "var" else 1 / values**2


def _from_specutils(source: Any) -> Spectrum:
    wavelength = np.asarray(source.spectral_axis.to_value("AA"), dtype=np.float64)
    flux = _values(source.flux)
    if flux.ndim != 1:
        raise WrongModality(f"one spectrum at a time is needed, not an array of shape {flux.shape}")
    ivar = _ivar(source, flux)
    mask = getattr(source, "mask", None)
    good = (
        np.isfinite(flux)
        & np.isfinite(ivar)
        & (ivar > 0)
        & (np.asarray(mask) == 0 if mask is not None else True)
    )
    order = np.argsort(wavelength)
    wavelength, flux, ivar, good = wavelength[order], flux[order], ivar[order], good[order]
    if good.sum() < 100:
        raise WrongModality(f"the spectrum has only {int(good.sum())} good pixels")
    grid = 10 ** (LAMOST_LOG_WAVELENGTH_START + LAMOST_LOG_WAVELENGTH_STEP * np.arange(LAMOST_PIXELS))
    value = np.interp(grid, wavelength[good], flux[good])
    variance = np.interp(grid, wavelength[good], 1 / ivar[good])
    covered = np.interp(grid, wavelength, good.astype(np.float64), left=0, right=0) > 0.99
    z = source.redshift if getattr(source, "redshift", None) is not None else np.nan
    return Spectrum(
        flux=value.astype(np.float32),
        ivar=np.where(covered, 1 / variance, 0).astype(np.float32),
        z=float(getattr(z, "value", z)),
        release="memory",
        meta={"is_star": True},
    )
