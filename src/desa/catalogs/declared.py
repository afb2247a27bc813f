"""Public tables of stellar labels, as declared in ``catalogs.yaml``: columns, units, cuts, where they are."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Literal

import numpy as np
import yaml
from astropy import units
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from desa.catalogs.label_names import TEXT_LABELS
from desa.errors import SettingsError

MISSING = -900.0
"""As in `desa.catalogs.labels`: no label is that low."""

_UNITS = {"age": "Gyr", "teff": "K", "prot": "d", "mass": "solMass", "radius": "solRad"}


class _Declared(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Column(_Declared):
    """One label's column.

    Parameters
    ----------
    names
        What it may be called; of several that are there, each row takes the first that has a value.
    value
        What the label is for every row with a value, where the column itself only says so by being there.
    errors
        Columns of its error, each with the names it may have; two are the upper and lower error, whose
        sizes are averaged.
    unit
        The table's unit, where it is not desa's.
    """

    names: tuple[str, ...]
    value: str | bool | None = None
    errors: tuple[tuple[str, ...], ...] = ()
    unit: str = ""


class Cut(_Declared):
    """A test that a row must pass for its labels to be used.

    Parameters
    ----------
    column
        Its name; where the file lacks it the cut is not made, and that is said.
    test
        ``blank``, ``at_least`` (missing passes not), or ``bits_clear``.
    value
        The bound or the bits.
    labels
        Labels it is about; all if none is named.
    why
        What is wrong with rows that fail.
    """

    column: str
    test: Literal["blank", "at_least", "bits_clear"]
    value: float = 0.0
    labels: tuple[str, ...] = ()
    why: str

    def passes(self, values: Sequence[Any]) -> NDArray[np.bool_]:
        """Which rows pass, (rows,)."""
        if self.test == "blank":
            return np.array([value is None or not str(value).strip() for value in values], dtype=bool)
        numbers = _numbers(values)
        if self.test == "at_least":
            enough: NDArray[np.bool_] = numbers >= self.value
            return enough
        bits = np.where(np.isfinite(numbers), numbers, 0).astype(np.int64) & int(self.value)
        clear: NDArray[np.bool_] = bits == 0
        return clear


class Catalog(_Declared):
    """One table.

    Parameters
    ----------
    title, citation, bibcode, notes
        What it is, for people.
    vizier
        Table at VizieR; empty where it is elsewhere.
    url
        Address of the whole table, where it is not at VizieR; with neither, it is to be had from its authors.
    token
        Whether that address asks for the user's LAMOST token.
    by_position
        Too large to have whole: the rows of given positions are asked for.
    tells
        Columns that tell this table from others.
    releases
        Words of which the file's name must hold one, where tables have the same columns.
    keys, labels
        Columns of identifiers and positions, and of labels, by desa's names.
    cuts
        Rows and values not to be used.
    verified
        Which facts were checked: ``vizier`` or ``url``, ``columns``, ``cuts``.
    """

    name: str
    title: str
    citation: str
    bibcode: str
    vizier: str = ""
    url: str = ""
    token: bool = False
    by_position: bool = False
    tells: tuple[str, ...]
    releases: tuple[str, ...] = ()
    keys: Mapping[str, tuple[str, ...]]
    labels: Mapping[str, Column]
    cuts: tuple[Cut, ...] = ()
    notes: str = ""
    verified: Mapping[str, bool]


@dataclass(frozen=True)
class Declarations:
    """Content of ``catalogs.yaml``.

    Parameters
    ----------
    catalogs
        By name.
    priority
        For each label the catalogs that have it, best first.
    one_source
        Labels that are never mixed from several catalogs.
    """

    catalogs: Mapping[str, Catalog]
    priority: Mapping[str, tuple[str, ...]]
    one_source: tuple[str, ...]


@cache
def declarations() -> Declarations:
    """Every table that desa knows."""
    content = yaml.safe_load(files("desa.catalogs").joinpath("catalogs.yaml").read_text(encoding="utf-8"))
    found = {name: Catalog(name=name, **entry) for name, entry in content["catalogs"].items()}
    priority = {label: tuple(names) for label, names in content["priority"].items()}
    return Declarations(found, priority, tuple(content["one_source"]))


def catalog(name: str) -> Catalog:
    """A table by its name.

    Raises
    ------
    SettingsError
        If desa knows none of that name.
    """
    known = declarations().catalogs
    if name not in known:
        raise SettingsError(f"{name!r} is no catalog that desa knows; they are {', '.join(known)}")
    return known[name]


def _key(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9+-]", "", name)


def _find(columns: Mapping[str, Any], names: Iterable[str]) -> str | None:
    """The column with one of the names: as written, else in any case where that is no other column."""
    exact = {_key(column): column for column in columns}
    loose: dict[str, list[str]] = {}
    for column in columns:
        loose.setdefault(_key(column).lower(), []).append(column)
    for name in names:
        if found := exact.get(_key(name)):
            return found
        if len(alike := loose.get(_key(name).lower(), [])) == 1 and name[:2] not in ("E_", "e_"):
            return alike[0]
    return None


def recognised(columns: Mapping[str, Any], file_name: str = "") -> Catalog | None:
    """Which table columns are of, or None.

    Parameters
    ----------
    columns
        By name.
    file_name
        Tells releases with the same columns apart; such a table is known by its name only.
    """
    for entry in declarations().catalogs.values():
        named = not entry.releases or any(_names(word, file_name) for word in entry.releases)
        if named and all(_find(columns, [name]) for name in entry.tells):
            return entry
    return None


def _names(word: str, file_name: str) -> bool:
    return bool(re.search(rf"(?<![a-z0-9]){word.lower()}(?!\d)", file_name.lower()))


def _numbers(values: Sequence[Any]) -> NDArray[np.float64]:
    numbers = np.full(len(values), np.nan)
    for row, value in enumerate(values):
        try:
            numbers[row] = float(value)
        except (TypeError, ValueError):
            continue
    return numbers


def translated(
    entry: Catalog, columns: Mapping[str, Sequence[Any]]
) -> tuple[dict[str, list[Any]], list[str]]:
    """A table's columns under desa's names and in its units, without what the cuts take out.

    Parameters
    ----------
    entry
        The table.
    columns
        Its columns as they are in the file.

    Returns
    -------
    tuple
        Columns by desa's names (``teff``, ``teff_err``, ``kic``, ...), None where there is no value; and
        sentences on cuts that could not be made and on values they took.
    """
    rows = len(next(iter(columns.values())))
    out: dict[str, list[Any]] = {}
    for key, names in entry.keys.items():
        if column := _find(columns, names):
            out[f"{key}_dr3" if key == "gaia" and "dr3" in column.lower() else key] = list(columns[column])
    notes = []
    good = {label: np.ones(rows, dtype=bool) for label in entry.labels}
    for cut in entry.cuts:
        found = _find(columns, [cut.column])
        if found is None:
            notes.append(f"{entry.name}: no column {cut.column}, so not left out: {cut.why}")
            continue
        passing = cut.passes(columns[found])
        notes.append(f"{entry.name}: {int((~passing).sum())} of {rows} rows left out: {cut.why}")
        for label in cut.labels or entry.labels:
            good[label] &= passing
    for label, declared in entry.labels.items():
        there = [name for each in declared.names if (name := _find(columns, [each]))]
        if there:
            given = [
                next((value for value in row if value is not None and value == value), None)
                for row in zip(*(columns[name] for name in dict.fromkeys(there)), strict=True)
            ]
            out |= _label(label, declared, columns, given, good[label])
    return out, notes


def _label(
    label: str, declared: Column, columns: Mapping[str, Sequence[Any]], given: list[Any], good: Any
) -> dict[str, list[Any]]:
    if declared.value is not None:
        given = [None if value is None else declared.value for value in given]
    if label in (*TEXT_LABELS, "binary"):
        return {label: [value if ok else None for value, ok in zip(given, good, strict=True)]}
    factor = units.Unit(declared.unit).to(_UNITS[label]) if declared.unit else 1.0
    values = _numbers(given) * factor
    values[~good | (values <= MISSING)] = np.nan
    out = {label: _plain(values)}
    found = [name for names in declared.errors if (name := _find(columns, names))]
    if found:
        sizes = np.abs(np.stack([_numbers(columns[name]) for name in found])) * factor
        sizes[:, np.isnan(values)] = np.nan
        out[f"{label}_err"] = _plain(sizes.mean(axis=0))
    return out


def _plain(values: NDArray[np.float64]) -> list[Any]:
    return [None if value != value else value for value in values.tolist()]


def parse_priority(words: Sequence[str]) -> dict[str, list[str]]:
    """Orders from the command line: ``["prot=mcquillan2014,santos2019"]``.

    Raises
    ------
    SettingsError
        For other words.
    """
    orders = {}
    for word in words:
        label, sign, names = word.partition("=")
        if not sign or not names:
            raise SettingsError(f"{word!r}: an order is LABEL=TABLE,TABLE,...")
        orders[label.strip()] = [name.strip() for name in names.split(",")]
    return orders


def described(entry: Catalog) -> list[str]:
    """What a table is, in lines for people."""
    order = declarations().priority
    lines = [f"{entry.name}: {entry.title}", f"  {entry.citation} ({entry.bibcode})"]
    lines.append(f"  where: {f'VizieR {entry.vizier}' if entry.vizier else entry.url or 'its authors'}")
    lines += [f"  {key}: column {' or '.join(names)}" for key, names in entry.keys.items()]
    for label, column in entry.labels.items():
        errors = " and ".join(names[0] for names in column.errors)
        unit = f" [{column.unit}]" if column.unit else ""
        place = f"choice {order[label].index(entry.name) + 1} of {len(order[label])}"
        said = (f", error {errors}" if errors else "") + (f": {column.value}" if column.value else "")
        lines.append(f"  {label}: column {' or '.join(column.names)}{unit}{said}; {place}")
    for cut in entry.cuts:
        about = ", ".join(cut.labels) or "all labels"
        bound = "" if cut.test == "blank" else f" {cut.value:g}"
        lines.append(f"  cut ({about}): {cut.column} {cut.test.replace('_', ' ')}{bound}, or else {cut.why}")
    lines += [f"  {entry.notes}"] if entry.notes else []
    unchecked = [fact for fact, checked in entry.verified.items() if not checked]
    lines.append(f"  not checked against the source: {', '.join(unchecked)}" if unchecked else "  checked")
    return lines
