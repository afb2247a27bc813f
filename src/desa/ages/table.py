"""Gyrochronal ages beside the columns of a table of stars, each with what speaks against it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import IntFlag
from typing import Any

import numpy as np
from astropy.table import Column, Table
from numpy.typing import NDArray

from desa.ages.gyrochronology import COOLEST, HOTTEST, LEVELS, OLDEST_GYR, YOUNGEST_GYR, Gyrochronology
from desa.errors import SettingsError
from desa.inference.quality import Doubt, bits_in_words, flag_and_reason
from desa.progress import Report

Array = NDArray[np.float64]

NAME = "age_gyro"
LEAST_LOG_G = 4.0
"""dex; the clusters' sequences are of dwarfs."""

MEASURED = {"prot": "d", "teff": "K"}
WORDS = {
    "": "median",
    "_low68": "lower end of the 68 % interval",
    "_high68": "upper end of the 68 % interval",
    "_low90": "lower end of the 90 % interval",
    "_high90": "upper end of the 90 % interval",
}
ENDS = {"_low90": 0, "_low68": 1, "": 2, "_high68": 3, "_high90": 4}


class AgeFlag(IntFlag):
    """Bits of an age's flag; 0 means that nothing speaks against it."""

    GOOD = 0
    PERIOD = 1
    TEFF = 2
    NOT_A_DWARF = 4
    OUTSIDE_CLUSTERS = 8
    YOUNGER = 16
    OLDER = 32


def with_ages(
    columns: Mapping[str, Sequence[Any]], model: Gyrochronology, progress: Report | None = None
) -> Table:
    """The columns of a table, and ages after them.

    Parameters
    ----------
    columns
        Of N stars: ``teff`` and ``prot`` with ``..._err`` each, or with the ends ``..._low68`` and
        ``..._high68`` that `desa predict` gives; where there are ``log_g``, ``prot_flag`` or ``teff_flag``
        they are heeded. Those of `desa.catalogs.labels.read_columns`, None where unknown.
    model
        The clusters' periods.
    progress
        Called with (stars done, stars).

    Returns
    -------
    astropy.table.Table
        With ``age_gyro`` (median), the ends of its 68 % and 90 % intervals, all in Gyr, ``age_gyro_flag``
        (bits of `AgeFlag`) and ``age_gyro_why`` (in words).

    Raises
    ------
    SettingsError
        If there is no period, no temperature, or no error of one.
    """
    measured = {name: _with_error(columns, name) for name in MEASURED}
    prot, teff = measured["prot"], measured["teff"]
    found = np.full((len(prot[0]), len(LEVELS)), np.nan)
    for star in range(len(found)):
        density = model.posterior(prot[0][star], prot[1][star], teff[0][star], teff[1][star])
        found[star] = model.quantiles(density)
        if progress:
            progress(star + 1, len(found))
    table = Table({name: _column(values) for name, values in columns.items() if not name.startswith(NAME)})
    for ending in WORDS:
        text = f"age by gyrochronology from prot and teff (gyrointerp, open clusters): {WORDS[ending]}"
        table[NAME + ending] = Column(found[:, ENDS[ending]], unit="Gyr", description=text)
    against = [
        flag_and_reason(_against(columns, star, teff[0][star], found[star])) for star in range(len(found))
    ]
    bits = np.array([flag for flag, _ in against], dtype=np.int16)
    table[f"{NAME}_flag"] = Column(bits, description="bits of what speaks against the age; 0: nothing")
    table[f"{NAME}_why"] = Column(
        [why for _, why in against], dtype=str, description="what speaks against the age"
    )
    table.meta["flags"] = bits_in_words(AgeFlag)
    return table


def _with_error(columns: Mapping[str, Sequence[Any]], name: str) -> tuple[Array, Array]:
    """(N,) values and (N,) standard errors of a column."""
    ends = (f"{name}_low68", f"{name}_high68")
    if name not in columns:
        raise SettingsError(f"the table has no column {name} [{MEASURED[name]}]")
    if f"{name}_err" in columns:
        return _numbers(columns[name]), _numbers(columns[f"{name}_err"])
    if not all(end in columns for end in ends):
        wanted = f"{name}_err [{MEASURED[name]}], or {' and '.join(ends)}"
        raise SettingsError(f"the table has no error of {name}: {wanted}")
    low, high = (_numbers(columns[end]) for end in ends)
    return _numbers(columns[name]), (high - low) / 2


def _numbers(values: Sequence[Any]) -> Array:
    try:
        return np.array([np.nan if value is None else float(value) for value in values])
    except (TypeError, ValueError):
        raise SettingsError("a column that must hold numbers holds words") from None


def _column(values: Sequence[Any]) -> Any:
    if any(isinstance(value, str) for value in values):
        return ["" if value is None else str(value) for value in values]
    if all(isinstance(value, (bool, int)) for value in values):
        return list(values)
    return [np.nan if value is None else value for value in values]


def _cell(columns: Mapping[str, Sequence[Any]], name: str, star: int) -> Any:
    """A star's value in a column; None where it is unknown, or there is no such column."""
    return columns[name][star] if name in columns else None


def _against(columns: Mapping[str, Sequence[Any]], star: int, teff: float, ages: Array) -> list[Doubt]:
    """What speaks against a star's age, and why."""
    said = []
    for name, flag in (("prot", AgeFlag.PERIOD), ("teff", AgeFlag.TEFF)):
        if _cell(columns, f"{name}_flag", star):
            said.append(Doubt(flag, f"{name}: {_cell(columns, f'{name}_why', star) or 'flagged'}"))
    log_g = _cell(columns, "log_g", star)
    if log_g is not None and float(log_g) < LEAST_LOG_G:
        reason = f"log g {float(log_g):.2f}: not a dwarf, whose rotation tells the age"
        said.append(Doubt(AgeFlag.NOT_A_DWARF, reason))
    if np.isfinite(teff) and not COOLEST <= teff <= HOTTEST:
        reason = f"{teff:.0f} K: the clusters reach from {COOLEST:g} to {HOTTEST:g} K"
        said.append(Doubt(AgeFlag.OUTSIDE_CLUSTERS, reason))
    if ages[ENDS["_low68"]] < YOUNGEST_GYR:
        reason = f"it may be younger than the youngest cluster ({YOUNGEST_GYR:g} Gyr)"
        said.append(Doubt(AgeFlag.YOUNGER, reason))
    if ages[ENDS["_high68"]] > OLDEST_GYR:
        reason = f"it may be older than the oldest cluster ({OLDEST_GYR:g} Gyr)"
        said.append(Doubt(AgeFlag.OLDER, reason))
    return said
