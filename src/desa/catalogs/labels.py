"""Tables of labels as users have them: any common format, any common column names, units converted."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
from astropy import units
from astropy.table import Table

from desa.catalogs.declared import recognised, translated
from desa.catalogs.label_names import LABELS, NUMBER_LABELS, TEXT_LABELS
from desa.errors import DamagedFile, UnsupportedFile
from desa.files import GZIP_MAGIC, read_bytes, unpacked
from desa.parquet import parse_parquet

MAX_BYTES = 4 << 30
LEAST, RATIO = 64 << 20, 25
"""A table may unpack to so many bytes, and so many times its size: a bomb does to a thousand times."""

MISSING = -900.0
"""Tables write -999 or -9999 for what they do not know; no label is that low."""

ALIASES: Mapping[str, tuple[str, ...]] = {
    "kic": ("kepid", "kicid", "keplerid", "kepler_id", "kic_id"),
    "gaia": (
        "source_id",
        "gaiadr3",
        "gaiadr2",
        "gaia_id",
        "dr3_source_id",
        "dr2_source_id",
        "gaia_source_id",
    ),
    "obsid": ("obs_id", "lamost_obsid"),
    "star_id": ("star", "star_name"),
    "file": ("filename", "file_name", "lamost_id"),
    "ra": ("ra_deg", "raj2000", "ra_obj", "ra_icrs", "_ra"),
    "dec": ("dec_deg", "dej2000", "dec_obj", "de_icrs", "_de"),
    "magnitude": ("kepmag", "kpmag", "kp"),
    "teff": ("t_eff", "teff_k", "effective_temperature"),
    "log_g": ("logg",),
    "fe_h": ("feh", "m_h", "metallicity"),
    "alpha_fe": ("alphafe", "afe"),
    "prot": ("p_rot", "rotation_period", "per_rot"),
    "age": ("age_gyr",),
    "mass": ("mstar", "m_star"),
    "radius": ("rstar", "r_star"),
    "log_l": ("logl", "log_lum"),
    "bp_rp": ("bprp",),
    "m_g": ("abs_g", "mg_abs"),
    "ruwe": (),
    "numax": ("nu_max",),
    "dnu": ("delta_nu", "deltanu"),
    "cmd_class": (),
    "binary": ("is_binary",),
    "binary_kind": ("binary_type",),
    "variable_class": ("variability_class", "variable_type"),
    "sph": ("s_ph",),
}
KEYS = ("kic", "gaia", "obsid", "star_id", "file")
RESERVED = ("split", "n_lightcurves", "n_spectra", "gaia_release")
"""Columns of a survey's star table that are no labels, whatever a table of the user's means by them."""
UNITS = {
    "teff": "K",
    "prot": "d",
    "age": "Gyr",
    "mass": "solMass",
    "radius": "solRad",
    "numax": "uHz",
    "dnu": "uHz",
    "ra": "deg",
    "dec": "deg",
}


@dataclass(frozen=True)
class LabelTable:
    """A table of labels, its columns named as desa names them.

    Parameters
    ----------
    rows
        How many.
    keys
        Of `KEYS`, those that are there, by row: int for ``kic`` and ``gaia``, else str; None where missing.
    ra, dec
        (rows,) degrees, NaN where missing.
    values
        Labels (and ``magnitude``) by row; None where missing.
    ignored
        Columns that are neither a label of desa's nor one of the user's own.
    source
        The public catalog that it is (`desa.catalogs.declared`), else the file's name.
    notes
        Sentences on the catalog's cuts.
    ranks
        Where rows are of several tables: for each label the rank of each row's table, 0 the best; values of
        a better table are taken before all others.
    own
        The user's own labels by row: the columns of a table of the user's that desa has no name for, all
        numbers, all true or false, or all text; None where missing.
    """

    rows: int
    keys: Mapping[str, Sequence[Any]]
    ra: np.ndarray[Any, np.dtype[np.float64]]
    dec: np.ndarray[Any, np.dtype[np.float64]]
    values: Mapping[str, Sequence[Any]]
    ignored: tuple[str, ...] = ()
    source: str = ""
    notes: tuple[str, ...] = ()
    ranks: Mapping[str, Sequence[int]] = field(default_factory=dict)
    own: Mapping[str, Sequence[Any]] = field(default_factory=dict)


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


_NAMES = {_plain(alias): name for name, aliases in ALIASES.items() for alias in (name, *aliases)}
_ERROR = re.compile(r"^(?:e_|err_|sigma_)(.+)$|^(.+?)_?(?:err|error|_e|unc)$", re.IGNORECASE)


def canonical_name(column: str) -> str | None:
    """What desa calls a column, or None: ``"Prot"`` -> ``"prot"``, ``"e_Teff"`` -> ``"teff_err"``."""
    if found := _NAMES.get(_plain(column)):
        return found
    error = _ERROR.match(column.strip())
    label = _NAMES.get(_plain(error.group(1) or error.group(2))) if error else None
    return f"{label}_err" if label in NUMBER_LABELS else None


_NUMBER = re.compile(r"(?:kic|kplr|kepler|gaia(?: *e?dr\d)?)?[ _-]*(\d+)", re.IGNORECASE)
_COLUMN = re.compile(rb"^# *Column \d+ *: *(.+)$", re.IGNORECASE | re.MULTILINE)


def _csv(raw: bytes) -> dict[str, list[Any]]:
    lines = [line for line in raw.split(b"\n", 200) if line.strip() and not line.startswith(b"#")]
    header = lines[0].decode("utf-8", "replace") if lines else ""
    delimiter = max(",\t;|", key=header.count)
    skipped = b"\n".join(line for line in raw.split(b"\n") if not line.startswith(b"#"))
    # Tables without a header often name their columns in comments: "# Column 1: KIC identifier".
    named = [name.decode("utf-8", "replace").strip() for name in _COLUMN.findall(raw)]
    given = named if len(named) == len(header.split(delimiter)) else None
    table = pa_csv.read_csv(
        io.BytesIO(skipped),
        read_options=pa_csv.ReadOptions(column_names=given),
        parse_options=pa_csv.ParseOptions(delimiter=delimiter),
        convert_options=pa_csv.ConvertOptions(strings_can_be_null=True),
    )
    return _arrow(table)


def _arrow(table: pa.Table) -> dict[str, list[Any]]:
    return {name: _plain_values(table.column(name)) for name in dict.fromkeys(table.column_names)}


def _plain_values(column: pa.ChunkedArray) -> list[Any]:
    """A column's values; words that are not UTF-8, which Arrow gives as bytes, with marks for what is not."""
    values: list[Any] = column.to_pylist()
    return [value.decode("utf-8", "replace") if isinstance(value, bytes) else value for value in values]


def _astropy(raw: bytes, form: str) -> dict[str, list[Any]]:
    source: Any = raw.decode() if form == "ascii.ecsv" else io.BytesIO(raw)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        table = Table.read(source, format=form)
    columns = {}
    for name in table.colnames:
        column = table[name]
        if column.ndim > 1:
            continue
        unit = UNITS.get(canonical_name(name) or "")
        if unit and column.unit is not None and column.unit.is_equivalent(unit):
            factor = column.unit.to(units.Unit(unit))
            column = column if factor == 1 else column * factor
        values = column.tolist()
        columns[name] = [v.decode("utf-8", "replace") if isinstance(v, bytes) else v for v in values]
    return columns


def _parser(raw: bytes) -> Callable[[bytes], dict[str, list[Any]]]:
    start = raw[:512].lstrip()
    if start.startswith(b"SIMPLE  ="):
        return lambda content: _astropy(content, "fits")
    if start.startswith(b"# %ECSV"):
        return lambda content: _astropy(content, "ascii.ecsv")
    if start.startswith(b"<"):
        return lambda content: _astropy(content, "votable")
    return _csv


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if np.isfinite(number) and number > MISSING else None


def _text(value: Any) -> str | None:
    return str(value).strip() or None if value is not None else None


def _identifier(value: Any) -> int | None:
    """A catalogue number; a Gaia number that went through a float has lost its last digits."""
    if isinstance(value, str):
        found = _NUMBER.fullmatch(value.strip())
        return int(found.group(1)) if found else None
    if value is None or (isinstance(value, float) and not (np.isfinite(value) and 0 < value < 2**53)):
        return None
    return int(value) if value > 0 else None


def _truth(value: Any) -> bool | None:
    if isinstance(value, str):
        return {"true": True, "false": False, "yes": True, "no": False}.get(value.strip().lower())
    return None if value is None or value != value or value < 0 else bool(value)


def _obsid(value: Any) -> str | None:
    if isinstance(value, float):
        return str(int(value)) if np.isfinite(value) and value > 0 else None
    return _text(value)


def file_stem(name: str) -> str:
    """A file's name without folders and endings, by which tables name spectra."""
    return re.sub(r"(\.fits?|\.gz)+$", "", name.replace("\\", "/").rsplit("/", 1)[-1].strip())


_CONVERT: dict[str, Callable[[Any], Any]] = {
    "kic": _identifier,
    "gaia": _identifier,
    "obsid": _obsid,
    "star_id": _text,
    "binary": _truth,
    **dict.fromkeys(TEXT_LABELS, _text),
    "file": lambda value: file_stem(str(value)) if value is not None else None,
}


def _gaia_release(column: str) -> str:
    found = re.search(r"e?dr(\d)", column.lower())
    return f"DR{found.group(1)}" if found else ""


def own_label(values: Sequence[Any]) -> list[Any] | None:
    """A column that desa has no name for, as a label: all numbers, all true or false, or all text.

    Returns
    -------
    list or None
        None where a value is missing; no list where none is known, or where values are lists.
    """
    known = [value for value in values if value is not None]
    if all(isinstance(value, bool) for value in known):
        return list(values) if known else None
    if any(isinstance(value, (list, tuple, dict, np.ndarray)) for value in known):
        return None
    numbers = all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in known)
    converted = [_number(value) if numbers else _text(value) for value in values]
    return converted if any(value is not None for value in converted) else None


def read_labels(path: str | Path, *, keys_only: bool = False) -> LabelTable:
    """Read a table of labels: CSV (or tabs, ...), ECSV, FITS, VOTable or Parquet, gzipped or not.

    Column names are matched without regard to case and punctuation, with the usual aliases. Units that the
    table states are converted. Columns that desa has no name for are the user's own labels. A public catalog
    of `desa.catalogs.declared` is read as it is declared, with its cuts.

    Parameters
    ----------
    path
        The table.
    keys_only
        A table that only says which stars, without labels, will do; own labels are not read.

    Raises
    ------
    UnsupportedFile
        If no column identifies stars or none is a label.
    DamagedFile
        If it can't be read.
    """
    columns = read_columns(path)
    known = None if keys_only else recognised(columns, Path(path).name)
    if known is None:
        return _label_table(path, columns, keys_only)
    ours, notes = translated(known, columns)
    return replace(_label_table(path, ours, keys_only), source=known.name, notes=tuple(notes))


def read_columns(path: str | Path) -> dict[str, list[Any]]:
    """Every column of a table by its own name, None where missing; formats and errors as `read_labels`'.

    Raises
    ------
    DamagedFile
        If it can't be read.
    """
    try:
        raw = read_bytes(path, MAX_BYTES)
        most = LEAST + RATIO * len(raw)
        raw = unpacked(raw, path, most) if raw[:2] == GZIP_MAGIC else raw
        if raw[:4] == b"PAR1":
            return _arrow(parse_parquet(raw, path, most))
        return _parser(raw)(raw)
    except OSError as error:
        raise DamagedFile(path, f"can't be read ({error.strerror or error})") from None
    except Exception as error:
        reason = str(error).strip().split("\n")[0]
        raise DamagedFile(path, f"not a table that can be read ({reason})") from None


def _label_table(path: str | Path, columns: Mapping[str, list[Any]], keys_only: bool) -> LabelTable:
    found: dict[str, list[Any]] = {}
    ignored: list[str] = []
    own: dict[str, list[Any]] = {}
    for column, values in columns.items():
        name = canonical_name(column)
        if name is None or name in found:
            label = None if keys_only or name or column in RESERVED else own_label(values)
            # "teff_from" of `desa catalogs merge` says where a value is from.
            if label is None or canonical_name(column.removesuffix("_from")) in LABELS:
                ignored.append(column)
            else:
                own[column] = label
        else:
            convert: Callable[[Any], Any] = _CONVERT.get(name, _number)
            found[name] = [convert(value) for value in values]
            if name == "gaia" and (release := _gaia_release(column)):
                found["gaia_release"] = [release] * len(values)
    keys = {name: found[name] for name in (*KEYS, "gaia_release") if name in found}
    known = {name for label in LABELS for name in (label, f"{label}_err")} | {"magnitude"}
    labels = {name: column for name, column in found.items() if name in known}
    if not keys and not {"ra", "dec"} <= set(found):
        raise UnsupportedFile(path, "no column identifies stars", f"it needs {', '.join(KEYS)} or ra and dec")
    if not keys_only and not labels and not own and len(keys) + ("ra" in found) < 2:
        raise UnsupportedFile(path, "no column is a label", f"labels are {', '.join(LABELS)}")
    rows = len(next(iter(columns.values())))
    blank = [None] * rows
    ra, dec = (np.array(found.get(name, blank), dtype=np.float64) for name in ("ra", "dec"))
    return LabelTable(rows, keys, ra, dec, labels, tuple(ignored), file_stem(str(path)), own=own)
