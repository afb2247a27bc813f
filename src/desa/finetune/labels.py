"""A user's own label of a survey's stars: from the survey's columns, or from a table beside it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from desa.catalogs.crossmatch import nearest
from desa.catalogs.labels import MISSING, file_stem, read_columns, read_labels
from desa.errors import SettingsError
from desa.survey.store import Survey

MOST_CLASSES = 50
TASKS = ("regression", "classification")
ABSENT = {"", "nan", "none", "null", "--"}


def label_values(
    survey: Survey, column: str, table: str | Path | None = None, match_arcsec: float = 3.0
) -> list[Any]:
    """One value a star, None where there is none.

    Parameters
    ----------
    survey
        The survey.
    column
        A column of its star table, or of `table`.
    table
        CSV, ECSV, FITS, VOTable or Parquet with that column and one that says which star: KIC, Gaia number,
        star_id, obsid, file name, or ra and dec. Of several rows of a star the last counts.
    match_arcsec
        Radius, where the table has positions only.

    Raises
    ------
    SettingsError
        If there is no such column, or no star of the survey has a value.
    FileRefused
        If the table can't be read or does not say which stars.
    """
    if table is None:
        names = survey.stars.column_names
        if column not in names:
            raise SettingsError(
                f"{survey.path}: its star table has no column '{column}' (it has {', '.join(names)}); "
                "give --labels a table that has it"
            )
        values = survey.stars.column(column).to_pylist()
    else:
        values = _from_table(survey, column, Path(table), match_arcsec)
    if all(value is None for value in values):
        raise SettingsError(f"{table or survey.path}: no star of the survey has a value of '{column}'")
    return list(values)


def _from_table(survey: Survey, column: str, table: Path, match_arcsec: float) -> list[Any]:
    columns = read_columns(table)
    if column not in columns:
        raise SettingsError(f"{table}: no column '{column}' (it has {', '.join(columns)})")
    rows = _star_of_row(survey, table, match_arcsec)
    values: list[Any] = [None] * survey.n_stars
    for star, value in zip(rows, columns[column], strict=True):
        if star is not None and value is not None:
            values[star] = value
    return values


def _star_of_row(survey: Survey, table: Path, match_arcsec: float) -> list[int | None]:
    """The survey's star of each row of a table."""
    labels = read_labels(table, keys_only=True)
    stars = survey.stars
    known: dict[str, dict[Any, int]] = {
        name: {value: row for row, value in enumerate(stars.column(name).to_pylist()) if value is not None}
        for name in ("kic", "gaia", "star_id")
    }
    of_spectrum = survey.spectrum_star.tolist()
    known["obsid"] = dict(zip(survey.spectrum_column("obsid").tolist(), of_spectrum, strict=True))
    known["file"] = _star_of_file(survey) if "file" in labels.keys else {}
    found: list[int | None] = [None] * labels.rows
    for key, star_of in known.items():
        for row, value in enumerate(labels.keys.get(key, ())):
            if found[row] is None:
                found[row] = star_of.get(value)
    ra, dec = (stars.column(name).to_numpy(zero_copy_only=False) for name in ("ra", "dec"))
    near = nearest(labels.ra, labels.dec, ra.astype(float), dec.astype(float), match_arcsec)
    return [
        place if star is None and place >= 0 else star
        for star, place in zip(found, near.tolist(), strict=True)
    ]


def _star_of_file(survey: Survey) -> dict[str, int]:
    """The star of each file's name, without names that files of two stars have."""
    found: dict[str, set[int]] = {}
    rows = [(survey.lightcurve_star, survey.lightcurve_column("files"))]
    rows += [(survey.spectrum_star, survey.spectrum_column("files"))]
    for stars, files in rows:
        for star, names in zip(stars.tolist(), files, strict=True):
            for name in names:
                found.setdefault(file_stem(name), set()).add(star)
    return {name: stars.pop() for name, stars in found.items() if len(stars) == 1}


def numbers_of(values: Sequence[Any], column: str, logarithm: bool = False) -> NDArray[np.float64]:
    """Values as numbers, NaN where missing (also what tables write for that, -999).

    Raises
    ------
    SettingsError
        If none is a number, or fewer than half of those there are.
    """
    given = [value for value in values if not _absent(value)]
    numbers = np.array([_number(value) for value in values], dtype=np.float64)
    good = int(np.isfinite(numbers).sum())
    if 2 * good <= len(given):
        example = next((value for value in given if not np.isfinite(_number(value))), "nothing")
        raise SettingsError(
            f"'{column}' holds no numbers (but {example!r}); for names of classes use --task classification"
        )
    if logarithm:
        with np.errstate(all="ignore"):
            numbers = np.where(numbers > 0, np.log10(np.maximum(numbers, 1e-300)), np.nan)
    return numbers


def classes_of(values: Sequence[Any], column: str) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """Indices of classes, NaN where missing, and the classes' names in alphabetic order.

    Raises
    ------
    SettingsError
        For one class, or for so many that the column holds numbers.
    """
    names = [None if _absent(value) else _class_name(value) for value in values]
    classes = tuple(sorted({name for name in names if name is not None}))
    if len(classes) < 2:
        raise SettingsError(
            f"'{column}' has one class only ({', '.join(classes)}): there is nothing to tell apart"
        )
    if len(classes) > MOST_CLASSES:
        raise SettingsError(
            f"'{column}' has {len(classes)} different values: for numbers use --task regression"
        )
    place = {name: float(row) for row, name in enumerate(classes)}
    return np.array([np.nan if name is None else place[name] for name in names]), classes


def _absent(value: Any) -> bool:
    if value is None or (isinstance(value, float) and (not np.isfinite(value) or value <= MISSING)):
        return True
    return isinstance(value, str) and value.strip().lower() in ABSENT


def _number(value: Any) -> float:
    if _absent(value):
        return float("nan")
    try:
        number = float(value)
    except (TypeError, ValueError):
        return float("nan")
    return number if np.isfinite(number) and number > MISSING else float("nan")


def _class_name(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()
