"""Several tables of labels as one: for every star and label the value of the best table that has one."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from desa.catalogs.crossmatch import nearest
from desa.catalogs.declared import declarations
from desa.catalogs.label_names import LABELS, label_type
from desa.catalogs.labels import KEYS, LabelTable, own_label, read_labels
from desa.errors import SettingsError

Ints = NDArray[np.int64]


def read_many(paths: Sequence[str | Path], priority: Mapping[str, Sequence[str]] | None = None) -> LabelTable:
    """Read one table of labels or several, whose rows then follow each other, ranked label by label.

    Parameters
    ----------
    paths
        Tables as `desa.catalogs.labels.read_labels` reads them.
    priority
        For a label the tables by name, best first, in place of what ``catalogs.yaml`` states.

    Raises
    ------
    FileRefused
        If one of them can't be used.
    SettingsError
        If none is given, or `priority` names what is not there.
    """
    tables = [read_labels(path) for path in paths]
    if not tables:
        raise SettingsError("no table of labels is given")
    if len(tables) == 1:
        return tables[0]
    rows = [table.rows for table in tables]
    keys = _columns([(table.keys, table.rows) for table in tables])
    values = _columns([(table.values, table.rows) for table in tables])
    together = _columns([(table.own, table.rows) for table in tables])
    own = {name: kept for name, values in together.items() if (kept := own_label(values)) is not None}
    ranks = {}
    for label, order in ranking(tables, priority or {}).items():
        ranks[label] = np.repeat([order.get(n, len(tables)) for n in range(len(tables))], rows).tolist()
        for number, start in enumerate(np.cumsum([0, *rows[:-1]])):
            if number not in order and label in tables[number].values:  # not to be used beside the others
                for name in (label, f"{label}_err"):
                    if name in values:
                        values[name][start : start + rows[number]] = [None] * rows[number]
    return LabelTable(
        sum(rows),
        keys,
        np.concatenate([table.ra for table in tables]),
        np.concatenate([table.dec for table in tables]),
        values,
        tuple(dict.fromkeys(name for table in tables for name in table.ignored)),
        ", ".join(table.source for table in tables),
        tuple(note for table in tables for note in table.notes),
        ranks,
        own,
    )


def _columns(parts: Sequence[tuple[Mapping[str, Sequence[Any]], int]]) -> dict[str, list[Any]]:
    names = dict.fromkeys(name for columns, _ in parts for name in columns)
    return {
        name: list(itertools.chain.from_iterable(columns.get(name, [None] * rows) for columns, rows in parts))
        for name in names
    }


def ranking(tables: Sequence[LabelTable], priority: Mapping[str, Sequence[str]]) -> dict[str, dict[int, int]]:
    """For each label the tables that may give it: number of the table -> rank, 0 the best.

    A user's own tables come first, in the order given; then the public catalogs as ``catalogs.yaml`` says. A
    label that means different things in different tables is taken from one of them only.

    Parameters
    ----------
    tables
        All of them.
    priority
        As in `read_many`.

    Raises
    ------
    SettingsError
        If `priority` names a label or table that is not there.
    """
    declared = declarations()
    names = [table.source for table in tables]
    for label, wanted in priority.items():
        if unknown := [name for name in wanted if name not in names]:
            raise SettingsError(f"{unknown[0]} is none of the tables given; they are {', '.join(names)}")
        if label not in LABELS:
            raise SettingsError(f"{label!r} is no label; labels are {', '.join(LABELS)}")
    found = {}
    for label in LABELS:
        order = list(priority.get(label, declared.priority.get(label, ())))
        holders = [number for number, table in enumerate(tables) if label in table.values]
        if label in priority:
            holders = [number for number in holders if names[number] in order]
        place = {name: position for position, name in enumerate(order)}

        def key(number: int, place: dict[str, int] = place) -> tuple[int, int]:
            public = names[number] in declared.catalogs
            return place.get(names[number], len(place) if public else -1), number

        holders.sort(key=key)
        if label in declared.one_source:
            holders = holders[:1]
        if holders:
            found[label] = {number: rank for rank, number in enumerate(holders)}
    return found


def merge(
    paths: Sequence[str | Path],
    *,
    priority: Mapping[str, Sequence[str]] | None = None,
    match_arcsec: float = 2.0,
) -> tuple[pa.Table, tuple[str, ...]]:
    """One row a star, and for every label where it is from.

    Rows are of one star if they share a KIC, Gaia or observation number. Numbers that two KIC stars share
    join nothing. Then stars without a KIC number go to the nearest one that has one, within a radius.

    Parameters
    ----------
    paths, priority
        As in `read_many`.
    match_arcsec
        Radius in arcseconds; 0: by number only.

    Returns
    -------
    tuple
        Table of ``kic``, ``gaia``, ``obsid``, ``ra``, ``dec``, and for every label its value, ``<label>_err``
        and ``<label>_from``, and the user's own labels, sorted by KIC and Gaia number; where one catalog has
        several rows of a star, the median of numbers. And sentences on the catalogs' cuts.

    Raises
    ------
    FileRefused, SettingsError
        As `read_many`.
    """
    tables = [read_labels(path) for path in paths]
    joined = read_many(paths, priority) if len(tables) > 1 else tables[0]
    sources = list(itertools.chain.from_iterable([table.source] * table.rows for table in tables))
    star = _stars(joined, match_arcsec)
    count = int(star.max(initial=-1)) + 1
    columns: dict[str, pa.Array] = {}
    for key in ("kic", "gaia", "obsid"):
        kind = pa.string() if key == "obsid" else pa.int64()
        first = _firsts(star, count, joined.keys.get(key, [None] * joined.rows))
        columns[key] = pa.array(first, kind)
    for name, place in (("ra", joined.ra), ("dec", joined.dec)):
        columns[name] = pa.array(_firsts(star, count, [None if x != x else x for x in place.tolist()]))
    for label in (name for name in LABELS if name in joined.values):
        columns |= _chosen(label, joined, star, count, sources)
    for name, values in joined.own.items():
        if name not in columns:
            columns[name] = pa.array(_firsts(star, count, values), pa.array(values).type)
    table = pa.table(columns)
    return table.sort_by([("kic", "ascending"), ("gaia", "ascending")]), joined.notes


def _firsts(star: Ints, count: int, values: Sequence[Any]) -> list[Any]:
    found: list[Any] = [None] * count
    for number, value in zip(star.tolist(), values, strict=True):
        if found[number] is None:
            found[number] = value
    return found


def _chosen(
    label: str, joined: LabelTable, star: Ints, count: int, sources: Sequence[str]
) -> dict[str, pa.Array]:
    values, errors = joined.values[label], joined.values.get(f"{label}_err", [None] * joined.rows)
    ranks = joined.ranks.get(label, [0] * joined.rows)
    best: list[list[int]] = [[] for _ in range(count)]
    for row, number in enumerate(star.tolist()):
        if values[row] is None:
            continue
        rows = best[number]
        if rows and ranks[row] < ranks[rows[0]]:
            rows.clear()
        if not rows or ranks[row] == ranks[rows[0]]:
            rows.append(row)
    out = {label: pa.array([_one([values[row] for row in rows]) for rows in best], label_type(label))}
    if f"{label}_err" in joined.values:
        known = [[errors[row] for row in rows if errors[row] is not None] for rows in best]
        out[f"{label}_err"] = pa.array([_one(some) for some in known], pa.float64())
    out[f"{label}_from"] = pa.array([sources[rows[0]] if rows else None for rows in best], pa.string())
    return out


def _one(values: Sequence[Any]) -> Any:
    if len(values) > 1 and isinstance(values[0], float):
        return float(np.median(values))
    return values[0] if values else None


def _stars(joined: LabelTable, match_arcsec: float) -> Ints:
    """Number of each row's star, (rows,)."""
    kic = np.array([value or 0 for value in joined.keys.get("kic", [0] * joined.rows)], dtype=np.int64)
    left, right = [], []
    for key in KEYS:
        if key in joined.keys:
            ends = _edges(list(joined.keys[key]), kic, key == "kic")
            left.append(ends[0])
            right.append(ends[1])
    star = _components(joined.rows, left, right)
    if match_arcsec > 0:
        has = np.zeros(star.max(initial=-1) + 1, dtype=bool)
        has[star[kic > 0]] = True
        loose, firm = np.flatnonzero(~has[star]), np.flatnonzero(has[star])
        ra, dec = joined.ra, joined.dec
        found = nearest(ra[loose], dec[loose], ra[firm], dec[firm], match_arcsec)
        close = found >= 0
        left.append(loose[close])
        right.append(firm[found[close]])
        star = _components(joined.rows, left, right)
    return star


def _edges(values: list[Any], kic: Ints, trusted: bool) -> tuple[Ints, Ints]:
    """Pairs of rows with the same value, without values that rows of two KIC stars share."""
    rows = np.array([row for row, value in enumerate(values) if value is not None], dtype=np.int64)
    if not len(rows):
        return rows, rows
    _, number = np.unique(np.array([str(values[row]) for row in rows.tolist()]), return_inverse=True)
    low = np.full(number.max() + 1, np.iinfo(np.int64).max)
    high = np.zeros(number.max() + 1, dtype=np.int64)
    known = kic[rows] > 0
    np.minimum.at(low, number[known], kic[rows][known])
    np.maximum.at(high, number[known], kic[rows][known])
    first = np.full(number.max() + 1, -1, dtype=np.int64)
    first[number[::-1]] = rows[::-1]
    usable = np.ones(len(rows), dtype=bool) if trusted else (low >= high)[number]
    return rows[usable], first[number[usable]]


def _components(rows: int, left: Sequence[Ints], right: Sequence[Ints]) -> Ints:
    one = np.concatenate([np.arange(rows), *left])
    other = np.concatenate([np.arange(rows), *right])
    graph = coo_matrix((np.ones(len(one), dtype=np.int8), (one, other)), shape=(rows, rows))
    return np.asarray(connected_components(graph, directed=False)[1], dtype=np.int64)


def origins(merged: pa.Table) -> dict[str, dict[str, int]]:
    """For each label of a merged table how many stars have it from which table, most first."""
    out = {}
    for label in (name for name in LABELS if f"{name}_from" in merged.column_names):
        counts = merged.column(f"{label}_from").drop_null().value_counts().to_pylist()
        counts.sort(key=lambda entry: -entry["counts"])
        out[label] = {entry["values"]: entry["counts"] for entry in counts}
    return out
