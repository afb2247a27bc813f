"""Single quarters of real Kepler stars, and mock twins of the same magnitude, temperature and gravity.

The real stars are cut in two halves by a hash of their names. The simulator was adjusted on the first
(`TUNED`) alone; the second (`HELD_OUT`) judges it.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from desa.simulate.calendar import load_calendar
from desa.simulate.lightcurves import simulate_lightcurve
from desa.simulate.population import StarParameters, draw_star, stream
from desa.survey.selection import lightcurves_of
from desa.survey.store import Survey
from desa.types import LightCurve

FloatArray = NDArray[np.float64]

TUNED: Final = 0
HELD_OUT: Final = 1
SCALES: Final = (0.35, 0.025, 0.2)
"""Differences in Kp [mag], log10 Teff and log g that count alike when a twin is looked for."""


@dataclass(frozen=True)
class RealQuarter:
    """One quarter of a real star with the catalogue's Kp [mag], Teff [K] and log g."""

    curve: LightCurve
    quarter: int
    kepmag: float
    teff: float
    log_g: float
    prot: float

    @property
    def picked(self) -> bool:
        """Whether the file was collected for what its light curve shows: those of quarter 10 were, most of
        them eclipsing binaries and other strong variables; the others are ordinary targets.
        """
        return self.quarter == 10

    @property
    def half(self) -> int:
        """`TUNED` or `HELD_OUT`."""
        return zlib.crc32(self.curve.star_id.encode()) % 2


def quarter_of(curve: LightCurve) -> tuple[int, LightCurve] | None:
    """The quarter with most good cadences of a light curve, cut out and over its median."""
    calendar = load_calendar()
    best: tuple[int, int, slice] | None = None
    for number in range(18):
        span = calendar.span(number)
        start = max(span.start + calendar.first - curve.first_cadence, 0)
        stop = min(span.stop + calendar.first - curve.first_cadence, len(curve))
        count = int(np.isfinite(curve.flux[start:stop]).sum()) if stop > start else 0
        if count > 1000 and (best is None or count > best[0]):
            best = (count, number, slice(start, stop))
    if best is None:
        return None
    _, number, place = best
    good = np.flatnonzero(np.isfinite(curve.flux[place])) + place.start
    place = slice(int(good[0]), int(good[-1]) + 1)
    level = np.float32(np.nanmedian(curve.flux[place]))
    error = None if curve.flux_err is None else curve.flux_err[place] / level
    cut = replace(
        curve,
        flux=curve.flux[place] / level,
        flux_err=error,
        first_cadence=curve.first_cadence + place.start,
        start_bkjd=curve.start_bkjd + place.start * curve.cadence_days,
        quarters=(number,),
        meta={},
    )
    return number, cut


def _magnitudes(folder: Path) -> dict[str, float]:
    import csv

    with (folder / "singlequarter_headers.csv").open() as file:
        rows = list(csv.DictReader(file))
    return {f"KIC {int(row['KEPLERID'])}": float(row["KEPMAG"] or "nan") for row in rows}


def read_quarters(folder: str | Path, survey: Survey) -> list[RealQuarter]:
    """A quarter of every real Kepler star whose magnitude, temperature and gravity are known.

    Eclipsing binaries (Kirk et al. 2016) are left out: the files were chosen by people, who like them, and
    have more than the survey. So are light curves without errors, which others detrended.

    Parameters
    ----------
    folder
        With ``singlequarter_headers.csv``: magnitudes of stars whose light curves come without a header.
    survey
        What `desa.survey.ingest.ingest` made of the folder's light curves and its ``star_labels.csv``.
    """
    magnitudes = _magnitudes(Path(folder))
    kinds = [value or "" for value in survey.stars.column("binary_kind").to_pylist()]
    labels = [survey.labels(name) for name in ("teff", "log_g", "prot")]
    curves, found = lightcurves_of(survey), list[RealQuarter]()
    for star, row in zip(curves.stars.tolist(), curves.choose(curves.stars).tolist(), strict=True):
        curve = survey.lightcurve(row)
        if kinds[star] == "eclipsing" or curve.mission != "Kepler" or not np.isfinite(curve.flux_err).any():
            continue
        known = magnitudes.get(curve.star_id, float("nan"))
        kepmag = known if np.isfinite(known) else float(curve.magnitude)
        teff, log_g, prot = (float(values[star]) for values in labels)
        cut = quarter_of(curve) if np.isfinite([kepmag, teff, log_g]).all() else None
        if cut is not None:
            found.append(RealQuarter(cut[1], cut[0], kepmag, teff, log_g, prot))
    return found


def mock_pool(size: int, seed: int = 0) -> list[StarParameters]:
    """The first stars of a mock survey, less its eclipsing binaries."""
    stars = (draw_star(seed, index) for index in range(size))
    return [star for star in stars if star.binary_kind != "eclipsing"]


def mock_twins(
    real: Sequence[RealQuarter], pool: Sequence[StarParameters], count: int = 2
) -> list[list[LightCurve]]:
    """Light curves of the `count` mock stars nearest to each real one in Kp, Teff and log g; none twice."""
    place = np.array([[s.kepmag, np.log10(s.teff), s.log_g] for s in pool]) / SCALES
    free = np.ones(len(pool), dtype=bool)
    twins: list[list[LightCurve]] = []
    for one in real:
        wanted = np.array([one.kepmag, np.log10(one.teff), one.log_g]) / SCALES
        distance = np.where(free, ((place - wanted) ** 2).sum(axis=1), np.inf)
        nearest = np.argsort(distance)[:count]
        free[nearest] = False
        curves = (
            simulate_lightcurve(pool[k], stream(pool[k].seed, pool[k].index, 1), [one.quarter])
            for k in nearest
        )
        twins.append([curve for curve in curves if np.isfinite(curve.flux).sum() > 1000])
    return twins


def shared_losses(real: Sequence[RealQuarter], quarter: int) -> NDArray[np.bool_]:
    """Cadences (n,) of a quarter that all stars lose: in the mock calendar, or most of these real stars."""
    calendar = load_calendar()
    span = calendar.span(quarter)
    lost = calendar.lost[span].astype(np.float64)
    count = np.zeros(len(lost))
    same = [one for one in real if one.quarter == quarter]
    for one in same:
        count += _on_quarter(one.curve, quarter, np.isfinite(one.curve.flux)) == 0
    return np.asarray((lost > 0) | ((count > 0.5 * len(same)) & (len(same) > 2)))


def _on_quarter(curve: LightCurve, quarter: int, good: NDArray[np.bool_]) -> NDArray[np.bool_]:
    calendar = load_calendar()
    span = calendar.span(quarter)
    out = np.zeros(span.stop - span.start, dtype=bool)
    place = np.arange(len(good)) + curve.first_cadence - calendar.first - span.start
    inside = (place >= 0) & (place < len(out))
    out[place[inside]] = good[inside]
    return out


def without(curve: LightCurve, quarter: int, lost: NDArray[np.bool_]) -> LightCurve:
    """A quarter less some cadences (n,), from the first that is left to the last, over its median.

    Data releases flag other cadences in the same quarter; with the losses of both taken from both, they
    can't tell a real star of an older release from a mock one.
    """
    calendar = load_calendar()
    span = calendar.span(quarter)
    place = np.arange(len(curve)) + curve.first_cadence - calendar.first - span.start
    drop = lost[np.clip(place, 0, len(lost) - 1)]
    flux = np.where(drop, np.nan, curve.flux).astype(np.float32)
    good = np.flatnonzero(np.isfinite(flux))
    keep = slice(int(good[0]), int(good[-1]) + 1)
    level = np.float32(np.nanmedian(flux))
    return replace(
        curve,
        flux=flux[keep] / level,
        flux_err=None if curve.flux_err is None else curve.flux_err[keep] / level,
        first_cadence=curve.first_cadence + keep.start,
        start_bkjd=curve.start_bkjd + keep.start * curve.cadence_days,
        meta={},
    )
