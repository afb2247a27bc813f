"""Which light curves, spectra and labels are of the same star: by identifier, then by position."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import PurePath
from statistics import median
from typing import Any

import numpy as np
import pyarrow as pa

from desa.catalogs.crossmatch import groups, nearest
from desa.catalogs.label_names import label_type
from desa.catalogs.labels import LabelTable, file_stem
from desa.io.registry import Glance
from desa.survey.stars import gaia_of, kic_of

CATALOGUES = ("KIC ", "EPIC ", "TIC ", "Gaia ")
"""Of several names of a star the one of the first of these is taken."""


@dataclass(frozen=True)
class Named:
    """What is known, before it is read, of a light curve (all files of one name) or of a spectrum.

    Parameters
    ----------
    name
        The star's name by the file, empty if it says none.
    file
        Name of the file, with folders.
    obsid
        The observation's identifier, empty for light curves.
    ra, dec
        Degrees, NaN if unknown.
    others
        Further files of the same light curve.
    """

    name: str
    file: str
    obsid: str = ""
    ra: float = float("nan")
    dec: float = float("nan")
    others: tuple[str, ...] = ()


def lightcurve_stars(seen: Iterable[tuple[str, Glance]]) -> tuple[list[Named], list[list[str]]]:
    """Light-curve files put together by the star that their headers name.

    Parameters
    ----------
    seen
        (file, what its header says); a file that names no star is a star of its own.

    Returns
    -------
    tuple
        One entry a star, placed where the first of its files that tells a position says, and its files.
    """
    items: list[Named] = []
    files: list[list[str]] = []
    places: dict[str, int] = {}
    for file, what in seen:
        place = places.setdefault(what.name, len(items)) if what.name else len(items)
        if place == len(items):
            items.append(Named(what.name, file, "", what.ra, what.dec))
            files.append([])
        elif not np.isfinite(items[place].ra):
            items[place] = replace(items[place], ra=what.ra, dec=what.dec)
        files[place].append(file)
    return [replace(item, others=tuple(own[1:])) for item, own in zip(items, files, strict=True)], files


@dataclass
class Pairing:
    """The stars, and which star each object is of.

    Parameters
    ----------
    lightcurves, spectra
        ``star_id`` of each, in the order they were given.
    stars
        Star table with identifiers and labels, by ``star_id``.
    by_identifier, by_position
        Stars with both modalities, by what brought them together.
    label_rows
        Rows of the label table that found a star.
    """

    lightcurves: list[str]
    spectra: list[str]
    stars: pa.Table
    by_identifier: int
    by_position: int
    label_rows: int


@dataclass
class _Star:
    """What is put together so far: rows of the light curves, spectra and labels, and who it is."""

    curves: list[int] = field(default_factory=list)
    spectra: list[int] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    kics: set[int] = field(default_factory=set)
    gaias: set[int] = field(default_factory=set)
    ra: float = float("nan")
    dec: float = float("nan")

    def may_be(self, other: _Star) -> bool:
        """Whether no identifier speaks against it."""
        return len(self.kics | other.kics) < 2 and len(self.gaias | other.gaias) < 2

    def absorb(self, other: _Star) -> None:
        """Add everything known of another star to this one."""
        self.curves += other.curves
        self.spectra += other.spectra
        self.labels += other.labels
        self.kics |= other.kics
        self.gaias |= other.gaias
        if not np.isfinite(self.ra):
            self.ra, self.dec = other.ra, other.dec


class _Union:
    """Disjoint sets of numbers, joined by shared keys."""

    def __init__(self) -> None:
        self.parent: list[int] = []
        self.first: dict[str, int] = {}

    def root(self, node: int) -> int:
        while self.parent[node] != node:
            self.parent[node] = self.parent[self.parent[node]]
            node = self.parent[node]
        return node

    def add(self, keys: Iterable[str]) -> None:
        node = len(self.parent)
        self.parent.append(node)
        for key in keys:
            one, other = self.root(self.first.setdefault(key, node)), self.root(node)
            self.parent[max(one, other)] = min(one, other)


def _keys(item: Named) -> list[str]:
    keys = [f"name:{item.name}"] if item.name else []
    keys += [f"kic:{kic}" for kic in [kic_of(item.name)] if kic]
    keys += [f"gaia:{gaia}" for gaia in [gaia_of(item.name)] if gaia]
    if item.obsid:
        keys += [f"obsid:{item.obsid}", f"file:{file_stem(item.file)}"]
    return keys


def _stems(items: Sequence[Named]) -> dict[Named, set[str]]:
    """The file names by which a table may name each object: those that no other object's file has."""
    found = {item: {file_stem(file) for file in (item.file, *item.others)} for item in items}
    count = Counter(stem for own in found.values() for stem in own)
    return {item: {stem for stem in own if count[stem] == 1} for item, own in found.items()}


def _label_keys(labels: LabelTable, row: int) -> list[str]:
    keys = [
        f"{key}:{labels.keys[key][row]}" for key in ("kic", "gaia", "obsid", "file") if key in labels.keys
    ]
    keys = [key for key in keys if not key.endswith(":None")]
    name = labels.keys["star_id"][row] if "star_id" in labels.keys else None
    return [*keys, *_keys(Named(name, ""))] if name else keys


def _by_identifier(
    curves: Sequence[Named], spectra: Sequence[Named], labels: LabelTable | None
) -> list[_Star]:
    """Put together what shares an identifier."""
    union = _Union()
    stems = _stems((*curves, *spectra)) if labels and "file" in labels.keys else None
    for item in (*curves, *spectra):
        union.add([*_keys(item), *(f"file:{stem}" for stem in (stems or {}).get(item, ()))])
    for row in range(labels.rows if labels else 0):
        union.add(_label_keys(labels, row) if labels else ())
    stars: dict[int, _Star] = defaultdict(_Star)
    for node, item in enumerate((*curves, *spectra)):
        star = stars[union.root(node)]
        if node < len(curves):
            star.curves.append(node)
        else:
            star.spectra.append(node - len(curves))
        _learn(star, item.name, item.ra, item.dec)
    for row in range(labels.rows if labels else 0):
        _learn_labels(stars[union.root(len(curves) + len(spectra) + row)], labels, row)
    return [stars[node] for node in sorted(stars)]


def _learn(star: _Star, name: str, ra: float, dec: float) -> None:
    star.kics.update(kic for kic in [kic_of(name)] if kic)
    star.gaias.update(gaia for gaia in [gaia_of(name)] if gaia)
    if not np.isfinite(star.ra) and np.isfinite(ra) and np.isfinite(dec):
        star.ra, star.dec = ra, dec


def _learn_labels(star: _Star, labels: LabelTable | None, row: int) -> None:
    if labels is None:
        return
    star.labels.append(row)
    for known, key in ((star.kics, "kic"), (star.gaias, "gaia")):
        number = labels.keys[key][row] if key in labels.keys else None
        if number is not None and not known:
            known.add(number)
    _learn(star, "", float(labels.ra[row]), float(labels.dec[row]))


def _places(stars: Sequence[_Star]) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    return np.array([star.ra for star in stars], float), np.array([star.dec for star in stars], float)


def _join_nearest(loose: list[_Star], anchors: list[_Star], arcsec: float) -> list[_Star]:
    """Give each to the nearest anchor if nothing speaks against it; returns those that are left."""
    found = nearest(*_places(loose), *_places(anchors), arcsec)
    left = []
    for star, place in zip(loose, found.tolist(), strict=True):
        if place >= 0 and anchors[place].may_be(star):
            anchors[place].absorb(star)
        else:
            left.append(star)
    return left


def _join_groups(stars: list[_Star], arcsec: float) -> list[_Star]:
    """Join what lies within the radius of each other, as far as identifiers allow."""
    number = groups(*_places(stars), np.arange(len(stars)), arcsec)
    joined: dict[int, list[_Star]] = defaultdict(list)
    for star, group in zip(stars, number.tolist(), strict=True):
        for other in joined[group]:
            if other.may_be(star):
                other.absorb(star)
                break
        else:
            joined[group].append(star)
    return [star for group in joined.values() for star in group]


def pair(
    curves: Sequence[Named], spectra: Sequence[Named], labels: LabelTable | None, match_arcsec: float
) -> Pairing:
    """Find out which objects and labels are of the same star.

    First by identifiers (KIC, Gaia, name, obsid, file name), which a label table may link; then spectra go to
    the nearest star with a light curve within the radius, spectra of no such star are put together among
    themselves, and label rows that found nothing yet go to the nearest star. Stars with different KIC (or
    different Gaia) numbers are never joined.

    Parameters
    ----------
    curves
        One entry a light-curve star.
    spectra
        One entry a spectrum.
    labels
        Table of labels, or None.
    match_arcsec
        Radius in arcseconds; 0: by identifier only.
    """
    stars = _by_identifier(curves, spectra, labels)
    anchors = [star for star in stars if star.curves]
    loose = [star for star in stars if star.spectra and not star.curves]
    unused = [star for star in stars if not star.spectra and not star.curves]
    by_identifier = sum(bool(star.spectra) for star in anchors)
    if match_arcsec > 0:
        loose = _join_groups(_join_nearest(loose, anchors, match_arcsec), match_arcsec)
        _join_nearest(unused, [*anchors, *loose], match_arcsec)
    stars = [*anchors, *loose]
    both = sum(bool(star.spectra) for star in anchors)
    repeated = Counter(PurePath(item.file).name for item in (*curves, *spectra))
    names = [_name(star, curves, spectra, labels, repeated) for star in stars]
    ids: tuple[list[str], list[str]] = ([""] * len(curves), [""] * len(spectra))
    for star, name in zip(stars, names, strict=True):
        for rows, target in ((star.curves, ids[0]), (star.spectra, ids[1])):
            for row in rows:
                target[row] = name
    order = sorted(range(len(stars)), key=lambda row: names[row])
    table = _star_table([stars[row] for row in order], [names[row] for row in order], labels)
    used = sum(len(star.labels) for star in stars)
    return Pairing(*ids, table, by_identifier, both - by_identifier, used)


def _name(
    star: _Star,
    curves: Sequence[Named],
    spectra: Sequence[Named],
    labels: LabelTable | None,
    repeated: Mapping[str, int],
) -> str:
    """The star's identifier: a catalogue's, else what its light curves and then its spectra call it.

    A star without any is called by its first file; with the folder only where another folder has a file of
    the same name, so that the name does not depend on where the files lie.
    """
    own = [curves[row] for row in star.curves]
    seen = [spectra[row] for row in star.spectra]
    names = [name for items in (own, seen) for name in sorted({item.name for item in items}) if name]
    names += [f"KIC {kic}" for kic in sorted(star.kics)]
    if star.gaias and not any(gaia_of(name) for name in names):
        release = labels.keys.get("gaia_release", ())[:1] if labels else ()
        names.append(" ".join(["Gaia", *release, str(min(star.gaias))]))
    of_catalogues = [name for catalogue in CATALOGUES for name in names if name.startswith(catalogue)]
    if of_catalogues or names:
        return [*of_catalogues, *names][0]
    file = min(item.file for item in (*own, *seen))
    return f"file {PurePath(file).name if repeated[PurePath(file).name] == 1 else file}"


def _star_table(stars: Sequence[_Star], names: Sequence[str], labels: LabelTable | None) -> pa.Table:
    columns = {
        "star_id": pa.array(names, pa.string()),
        "kic": pa.array([min(star.kics, default=None) for star in stars], pa.int64()),
        "gaia": pa.array([min(star.gaias, default=None) for star in stars], pa.int64()),
    }
    for name, values in (labels.values if labels else {}).items():
        kind = pa.float64() if name == "magnitude" else label_type(name.removesuffix("_err"))
        ranks = labels.ranks.get(name.removesuffix("_err")) if labels else None
        chosen = [_one([values[row] for row in _best(star.labels, values, ranks)]) for star in stars]
        columns[name] = pa.array(chosen, kind)
    for name, values in (labels.own if labels else {}).items():
        if name not in columns:
            chosen = [_one([values[row] for row in star.labels]) for star in stars]
            columns[name] = pa.array(chosen, pa.array(values).type)
    return pa.table(columns)


def _best(rows: Sequence[int], values: Sequence[Any], ranks: Sequence[int] | None) -> Sequence[int]:
    """Rows of the best table that has a value."""
    if ranks is None:
        return rows
    known = [row for row in rows if values[row] is not None]
    best = min((ranks[row] for row in known), default=0)
    return [row for row in known if ranks[row] == best]


def _one(values: Sequence[Any]) -> Any:
    """One value of several: the median of numbers, the first of others."""
    known = [value for value in values if value is not None]
    if len(known) > 1 and isinstance(known[0], float):
        return median(known)
    return known[0] if known else None
