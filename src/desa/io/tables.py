"""Light curves and spectra in tables: pandas data frames, astropy tables and time series, dictionaries.

A table is dressed as the object of lightkurve or specutils that `desa.io.memory` knows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
from astropy import units
from numpy.typing import NDArray

from desa.errors import WrongModality

BKJD_ZERO = 2454833.0
LARGEST_BKJD = 20000.0
"""Times without a format that are smaller count as BKJD, others as (barycentric) Julian days."""

TIMES = ("time", "bkjd", "btjd", "bjd", "jd")
FLUXES = ("flux", "pdcsap_flux", "sap_flux")
ERRORS = ("flux_err", "flux_error", "pdcsap_flux_err", "sap_flux_err", "error", "err", "sigma")
WAVELENGTHS = ("wavelength", "wave", "lambda", "lam")


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
        days = _numbers(time)
        small = float(np.nanmedian(days)) < LARGEST_BKJD if np.isfinite(days).any() else True
        time = SimpleNamespace(jd=days + BKJD_ZERO if small else days)
    error = _found(source, ERRORS)
    error = np.full(len(_numbers(flux)), np.nan) if error is None else error
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


def _numbers(column: Any) -> NDArray[np.float64]:
    """Plain numbers of a column, NaN where masked."""
    mask = getattr(column, "mask", None)
    bare = getattr(column, "unmasked", column)
    values = np.array(getattr(bare, "value", bare), dtype=np.float64)
    if mask is not None:
        values[np.broadcast_to(np.asarray(mask, dtype=bool), values.shape)] = np.nan
    return values


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
        wavelength = np.power(10.0, _numbers(_found(source, ("loglam",))))
    if wavelength is None or flux is None:
        given = ", ".join(_names(source).values())
        raise WrongModality(f"a spectrum is needed, not a table without wavelength and flux (it has {given})")
    unit = getattr(wavelength, "unit", None) or units.AA
    ivar, error = _found(source, ("ivar",)), _found(source, ERRORS)
    told = ivar if ivar is not None else error
    meta = _meta(source)
    return SimpleNamespace(
        flux=_numbers(flux),
        spectral_axis=units.Quantity(_numbers(wavelength), unit),
        uncertainty=None
        if told is None
        else SimpleNamespace(uncertainty_type="std" if ivar is None else "ivar", array=_numbers(told)),
        mask=None,
        redshift=meta.get("redshift"),
        meta=meta,
    )
