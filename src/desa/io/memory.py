"""Objects in memory to desa's types: lightkurve and specutils objects, tables, paths, our own.

A table (pandas data frame, astropy table or time series, dictionary) is dressed as the object of lightkurve
or specutils that is read.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from astropy import units
from numpy.typing import NDArray

from desa.errors import DamagedFile, UnsupportedFile, WrongModality
from desa.io.cadences import BKJD_ZERO, MIN_SAMPLES, Samples, cadences_from_time, on_grid
from desa.io.fits import number
from desa.io.lamost import LAMOST_GRID
from desa.io.lightcurves import star_and_mission
from desa.io.registry import read_spectrum
from desa.io.resample import onto_grid
from desa.io.stitching import read_lightcurve, stitch
from desa.types import LightCurve, LightCurveLike, Spectrum, SpectrumLike

LIGHTCURVE = "the lightkurve light curve"
SPECTRUM = "the specutils spectrum"
SMALLEST_FLUX, LARGEST_FLUX = 1e-6, 1e9
"""Spectra of other medians are divided by them: the model reads no unit."""
ASSUMED_ERROR = 0.01
"""Error of a spectrum that comes without, as a share of its median flux."""

LARGEST_BKJD = 20000.0
"""Times without a format that are smaller count as BKJD, others as (barycentric) Julian days."""

TIMES = ("time", "bkjd", "btjd", "bjd", "jd")
FLUXES = ("flux", "pdcsap_flux", "sap_flux")
ERRORS = ("flux_err", "flux_error", "pdcsap_flux_err", "sap_flux_err", "error", "err", "sigma")
WAVELENGTHS = ("wavelength", "wave", "lambda", "lam")


def to_lightcurve(source: LightCurveLike) -> LightCurve:
    """Make a `LightCurve` of a path, a list of paths (quarters of a star), or an object in memory.

    Parameters
    ----------
    source
        `LightCurve`; a path; a table with columns ``time`` and ``flux`` (pandas, astropy, a dictionary: see
        `as_lightkurve`); ``lightkurve.LightCurve`` (its ``time`` in any astropy format; its ``flux`` in
        any unit that is proportional to flux; samples that it has were good to whoever read it); a sequence
        of these or a ``lightkurve.LightCurveCollection``: one star's parts, each divided by its own median.
        Samples shorter than half an hour are binned.

    Raises
    ------
    WrongModality
        For a spectrum or any other object.
    UnsupportedFile, DamagedFile
        As the file reader's, for objects too.
    ValueError
        For parts that can't be stitched.
    """
    if isinstance(source, LightCurve):
        return source
    if isinstance(source, (str, Path)):
        return read_lightcurve(source)
    given: Any = source
    if is_table(given):
        if has_columns(given, "spectrum"):
            raise WrongModality("a light curve is needed, not a table with wavelengths")
        given = as_lightkurve(given)
    if hasattr(given, "flux") and hasattr(given, "time") and not hasattr(given, "spectral_axis"):
        return _from_lightkurve(given)
    listed = hasattr(given, "__getitem__") and hasattr(given, "__len__") and not hasattr(given, "keys")
    if listed and not hasattr(given, "flux"):
        parts = list(given)
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
    if type(source).__name__ in ("FoldedLightCurve", "BinnedFoldedLightCurve"):
        raise UnsupportedFile(LIGHTCURVE, "folded: it has phases, not times", "give it before .fold()")
    if str(getattr(source.flux, "unit", "")) in ("mag", "mmag"):
        raise UnsupportedFile(LIGHTCURVE, "in magnitudes", "give flux")
    meta: Mapping[str, Any] = {str(key).upper(): value for key, value in getattr(source, "meta", {}).items()}
    grid = on_grid(LIGHTCURVE, _samples(source, meta), 0)
    star, mission = star_and_mission(meta)
    tess = mission.upper() == "TESS"
    parts = [
        meta[key] for key in ("QUARTER", "CAMPAIGN", "SECTOR") if isinstance(meta.get(key), (int, np.integer))
    ]
    return LightCurve(
        flux=grid.flux,
        flux_err=grid.flux_err,
        first_cadence=grid.first_cadence,
        start_bkjd=grid.start_bkjd,
        cadence_days=grid.cadence_days,
        star_id=star or str(meta.get("LABEL") or ""),
        mission=mission,
        quarters=tuple(int(part) for part in parts[:1]),
        ra=number(meta, "RA_OBJ" if "RA_OBJ" in meta else "RA"),
        dec=number(meta, "DEC_OBJ" if "DEC_OBJ" in meta else "DEC"),
        magnitude=number(meta, "TESSMAG" if tess else "KEPMAG"),
        meta={"layout": "lightkurve", "median_flux": grid.median_flux},
    )


def _samples(source: Any, meta: Mapping[str, Any]) -> Samples:
    """Samples in the order of time, without repeats; cadence numbers are made up where there are none."""
    time, flux, flux_err = _values(source.time.jd) - BKJD_ZERO, _values(source.flux), _values(source.flux_err)
    rows = np.flatnonzero(np.isfinite(time))
    if len(rows) < MIN_SAMPLES:
        raise DamagedFile(LIGHTCURVE, f"only {len(rows)} samples have a time")
    rows = rows[np.argsort(time[rows], kind="stable")]
    steps = np.diff(time[rows])
    days = float(np.median(steps[steps > 0])) if np.any(steps > 0) else float("nan")
    if not days > 0:
        raise DamagedFile(LIGHTCURVE, "all samples have the same time")
    family = "TESS"
    cadence = cadences_from_time(time[rows], days)
    own = next((name for name in getattr(source, "columns", ()) if str(name).lower() == "cadenceno"), None)
    if own is not None:
        numbers = np.nan_to_num(_values(source[own])[rows], nan=-1.0).astype(np.int64)
        if np.all(np.diff(numbers) > 0):
            cadence = numbers
            family = "TESS" if str(meta.get("TELESCOP", "")).upper() == "TESS" else "Kepler"
            days = float((time[rows][-1] - time[rows][0]) / (cadence[-1] - cadence[0]))
    _, kept = np.unique(cadence, return_index=True)
    rows, cadence = rows[kept], cadence[kept]
    none = np.zeros(len(rows), dtype=np.int64)
    return Samples(time[rows], cadence, flux[rows], flux_err[rows], none, days, family)


def to_spectrum(source: SpectrumLike) -> Spectrum:
    """Make a `Spectrum` of a path or an object in memory.

    Parameters
    ----------
    source
        `Spectrum`; a path; a table with columns ``wavelength`` and ``flux`` (pandas, astropy, a dictionary:
        see `as_specutils`); a ``specutils`` spectrum (one-dimensional, any spectral axis, wavelengths
        taken as vacuum, not shifted to the star's frame; its uncertainty as what it says it is,
        `ASSUMED_ERROR` where it has none; its redshift as the star's). It is put on LAMOST's grid, keeping
        the flux and the information; pixels outside its range or under its mask are bad. It should be of
        LAMOST's resolution, R = 1800, or be brought to it before.

    Raises
    ------
    WrongModality
        For a light curve or any other object.
    UnsupportedFile, DamagedFile
        As the file reader's, for objects too.
    """
    if isinstance(source, Spectrum):
        return source
    if isinstance(source, (str, Path)):
        return read_spectrum(source)
    given: Any = source
    if is_table(given):
        if has_columns(given, "lightcurve"):
            raise WrongModality("a spectrum is needed, not a table with times")
        given = as_specutils(given)
    if hasattr(given, "spectral_axis") and hasattr(given, "flux"):
        return _from_specutils(given)
    raise WrongModality(f"a spectrum is needed, not {type(source).__name__}")


def _ivar(source: Any, flux: NDArray[np.float64]) -> NDArray[np.float64]:
    uncertainty = getattr(source, "uncertainty", None)
    if uncertainty is None:
        return np.full(len(flux), 1.0 / (ASSUMED_ERROR * np.nanmedian(np.abs(flux))) ** 2)
    values = _values(getattr(uncertainty, "quantity", uncertainty.array))
    with np.errstate(all="ignore"):
        kind = uncertainty.uncertainty_type
        return values if kind == "ivar" else 1 / values if kind == "var" else 1 / values**2


def _from_specutils(source: Any) -> Spectrum:
    flux = _values(source.flux)
    if flux.ndim != 1:
        raise UnsupportedFile(SPECTRUM, f"of shape {flux.shape}, not one spectrum", "give one at a time")
    wavelength = np.asarray(source.spectral_axis.to_value("AA"), dtype=np.float64)
    ivar = _ivar(source, flux)
    mask = getattr(source, "mask", None)
    good = np.isfinite(flux) & np.isfinite(ivar) & (ivar > 0) & np.isfinite(wavelength)
    if mask is not None:
        good &= np.asarray(mask) == 0
    value, weight = onto_grid(wavelength, np.where(good, flux, 0), np.where(good, ivar, 0), LAMOST_GRID)
    if not np.any(weight > 0):
        raise UnsupportedFile(SPECTRUM, "no good pixel in LAMOST's range, 3700 to 9100 Angstrom")
    if not value[weight > 0].max() > 0:
        raise DamagedFile(SPECTRUM, "no positive flux")
    scale = float(np.median(np.abs(value[weight > 0]))) or float(np.abs(value[weight > 0]).max())
    if not SMALLEST_FLUX < scale < LARGEST_FLUX:  # float32 holds neither erg/s/cm2/A nor its inverse variance
        value, weight = value / scale, (weight * scale) * scale
    meta = getattr(source, "meta", None) or {}
    z = getattr(source, "redshift", None)
    return Spectrum(
        flux=value.astype(np.float32),
        ivar=weight.astype(np.float32),
        log_wavelength_start=LAMOST_GRID.start,
        log_wavelength_step=LAMOST_GRID.step,
        z=float("nan") if z is None else float(getattr(z, "value", z)),
        star_id=str(meta.get("OBJECT") or meta.get("object") or ""),
        release="memory",
        meta={"is_star": True},
    )


def is_table(source: Any) -> bool:
    """Whether an object is a table of columns: a data frame, an astropy table, a dictionary."""
    if isinstance(source, Mapping):
        return True
    columns = getattr(source, "colnames", None) or getattr(source, "columns", None)
    plain = not (hasattr(source, "time") and hasattr(source, "flux_err") and hasattr(source, "colnames"))
    return columns is not None and hasattr(source, "__getitem__") and plain


def _names(source: Any) -> dict[str, str]:
    names = source.keys() if isinstance(source, Mapping) else getattr(source, "colnames", None)
    if names is None:
        fits = hasattr(source.columns, "formats")
        names = source.columns.names if fits else source.columns
    return {str(name).lower(): str(name) for name in names}


def _found(source: Any, wanted: Sequence[str]) -> Any:
    """The first column there is of some names, None without."""
    names = _names(source)
    column: Any = next((source[names[name]] for name in wanted if name in names), None)
    return column.to_numpy() if hasattr(column, "to_numpy") else column


def _meta(source: Any) -> dict[str, Any]:
    meta = getattr(source, "meta", None) or getattr(source, "attrs", None) or {}
    return dict(meta)


def has_columns(source: Any, modality: str) -> bool:
    """Whether a table is of a light curve or of a spectrum, by its columns."""
    first = TIMES if modality == "lightcurve" else (*WAVELENGTHS, "loglam")
    return _found(source, first) is not None and _found(source, FLUXES) is not None


def as_lightkurve(source: Any) -> Any:
    """A table with ``time`` and ``flux`` [and ``flux_err``, ``cadenceno``] dressed as a lightkurve object.

    Parameters
    ----------
    source
        Times may be an astropy `Time` or numbers of days: BKJD, or Julian days where they are larger than
        `LARGEST_BKJD`. Its ``meta`` (``attrs`` of a data frame) may name the star as lightkurve does:
        ``LABEL``, ``RA``, ``DEC``.

    Raises
    ------
    WrongModality
        If it lacks ``time`` or ``flux``.
    """
    time, flux = _found(source, TIMES), _found(source, FLUXES)
    if time is None or flux is None:
        given = ", ".join(_names(source).values())
        raise WrongModality(f"a light curve is needed, not a table without time and flux (it has {given})")
    if not hasattr(time, "jd"):
        days = _values(time)
        small = float(np.nanmedian(days)) < LARGEST_BKJD if np.isfinite(days).any() else True
        time = SimpleNamespace(jd=days + BKJD_ZERO if small else days)
    error = _found(source, ERRORS)
    error = np.full(len(_values(flux)), np.nan) if error is None else error
    cadence = _found(source, ("cadenceno", "cadence"))
    return _Dressed(time, flux, error, cadence, _meta(source))


class _Dressed:
    """What `desa.io.memory` reads of a lightkurve object."""

    def __init__(self, time: Any, flux: Any, flux_err: Any, cadence: Any, meta: dict[str, Any]) -> None:
        self.time, self.flux, self.flux_err, self.meta = time, flux, flux_err, meta
        self.columns = () if cadence is None else ("cadenceno",)
        self._cadence = cadence

    def __getitem__(self, name: str) -> Any:
        return self._cadence


def as_specutils(source: Any) -> Any:
    """A table with ``wavelength`` or ``loglam``, ``flux`` [and ``ivar`` or an error] dressed as specutils'.

    Parameters
    ----------
    source
        Wavelengths in the column's unit, Angstrom without one, in vacuum; ``loglam`` is log10 of Angstrom.
        Its ``meta`` (``attrs``) may hold ``redshift`` and ``OBJECT``.

    Raises
    ------
    WrongModality
        If it lacks wavelengths or ``flux``.
    """
    wavelength, flux = _found(source, WAVELENGTHS), _found(source, FLUXES)
    if wavelength is None and _found(source, ("loglam",)) is not None:
        wavelength = np.power(10.0, _values(_found(source, ("loglam",))))
    if wavelength is None or flux is None:
        given = ", ".join(_names(source).values())
        raise WrongModality(f"a spectrum is needed, not a table without wavelength and flux (it has {given})")
    unit = getattr(wavelength, "unit", None) or units.AA
    ivar, error = _found(source, ("ivar",)), _found(source, ERRORS)
    told = ivar if ivar is not None else error
    meta = _meta(source)
    return SimpleNamespace(
        flux=_values(flux),
        spectral_axis=units.Quantity(_values(wavelength), unit),
        uncertainty=None
        if told is None
        else SimpleNamespace(uncertainty_type="std" if ivar is None else "ivar", array=_values(told)),
        mask=None,
        redshift=meta.get("redshift"),
        meta=meta,
    )
