"""Which of a star's light curves and spectra are used: one choice for files, surveys and training."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from desa.progress import Report
from desa.survey.store import Survey
from desa.types import Spectrum, Star

Rows = NDArray[np.int64]

STARS_AT_ONCE = 64


def best_first(merit: ArrayLike) -> Rows:
    """Places from the greatest merit to the least; of equal ones the first, NaN last."""
    return np.argsort(-np.nan_to_num(np.asarray(merit, dtype=np.float64), nan=-np.inf), kind="stable")


def lightcurve_merit(flux: NDArray[np.float32]) -> float:
    """What decides between light curves of a star that fit on no common time axis: good samples."""
    return float(np.isfinite(flux).sum())


def spectrum_merit(spectrum: Spectrum) -> float:
    """What decides between a star's spectra: the signal-to-noise in g, NaN where the file states none."""
    return float(spectrum.snr.get("g", np.nan))


class RowsOfStars:
    """Rows of a survey's table by star, the best of each star first.

    Parameters
    ----------
    rows, star
        (N,) rows, and the star of each.
    merit
        (N,) what decides; see `best_first`.
    """

    def __init__(self, rows: Rows, star: Rows, merit: ArrayLike) -> None:
        order = best_first(merit)
        order = order[np.argsort(star[order], kind="stable")]
        self._rows = rows[order]
        self.stars, self._first, self._count = np.unique(star[order], return_index=True, return_counts=True)

    def choose(self, stars: Rows, chance: NDArray[np.float64] | float = 0.0) -> Rows:
        """A row of each star, -1 where it has none; `chance` in [0, 1), where 0 is the best."""
        if not len(self.stars):
            return np.full(len(stars), -1, dtype=np.int64)
        place = np.minimum(np.searchsorted(self.stars, stars), len(self.stars) - 1)
        drawn = self._first[place] + (chance * self._count[place]).astype(np.int64)
        return np.where(self.stars[place] == stars, self._rows[drawn], -1)

    def all_of(self, star: int) -> Rows:
        """Every row of a star, the best first."""
        place = int(np.searchsorted(self.stars, star))
        if place == len(self.stars) or self.stars[place] != star:
            return np.zeros(0, dtype=np.int64)
        return self._rows[self._first[place] : self._first[place] + self._count[place]]


def lightcurves_of(survey: Survey, rows: Rows | None = None) -> RowsOfStars:
    """A survey's light curves (or some rows of them) by star, the one with most good samples first."""
    rows = np.arange(survey.n_lightcurves) if rows is None else rows
    return RowsOfStars(rows, survey.lightcurve_star[rows], survey.lightcurve_column("n_good")[rows])


def spectra_of(survey: Survey, rows: Rows | None = None) -> RowsOfStars:
    """A survey's spectra (or some rows of them) by star, the one of highest S/N in g first."""
    rows = np.arange(survey.n_spectra) if rows is None else rows
    return RowsOfStars(rows, survey.spectrum_star[rows], survey.spectrum_column("snr_g")[rows])


class Encodes(Protocol):
    """What says which modalities can be read: a network."""

    lightcurve_encoder: Any
    spectrum_encoder: Any


def stars_of_survey(
    survey: Survey,
    *,
    encodes: Encodes | None = None,
    every_spectrum: bool = False,
    progress: Report | None = None,
    size: int = STARS_AT_ONCE,
) -> Iterator[list[Star]]:
    """Stars of a survey, some at a time: the best light curve and the best spectrum of each.

    Parameters
    ----------
    survey
        The survey.
    encodes
        The network that is to read them: what it has no encoder for is left out.
    every_spectrum
        All spectra of a star, the best first, in place of its best.
    progress
        Called with (stars, stars of the survey).
    size
        Stars at once.
    """
    batch: list[Star] = []
    best = BestData(survey, encodes)
    for star in range(survey.n_stars):
        found = best.of(star, every_spectrum)
        if found is not None:
            batch.append(found)
        if len(batch) == size or star == survey.n_stars - 1:
            if progress:
                progress(star + 1, survey.n_stars)
            yield batch
            batch = []


class BestData:
    """Each star's best light curve and spectra, read from a survey.

    Parameters
    ----------
    survey, encodes
        As in `stars_of_survey`.
    """

    def __init__(self, survey: Survey, encodes: Encodes | None = None) -> None:
        self.survey = survey
        self._names = survey.stars.column("star_id")
        self._curves = self._spectra = None
        if encodes is None or encodes.lightcurve_encoder is not None:
            self._curves = lightcurves_of(survey)
        if encodes is None or encodes.spectrum_encoder is not None:
            self._spectra = spectra_of(survey)

    def of(self, star: int, every_spectrum: bool = False) -> Star | None:
        """A star by its row; None if there is nothing of it."""
        curves = [] if self._curves is None else self._curves.all_of(star)[:1].tolist()
        spectra = [] if self._spectra is None else self._spectra.all_of(star).tolist()
        if not curves and not spectra:
            return None
        return Star(
            self._names[star].as_py(),
            self.survey.lightcurve(curves[0]) if curves else None,
            tuple(self.survey.spectrum(row) for row in (spectra if every_spectrum else spectra[:1])),
        )


@dataclass(frozen=True)
class Pairs:
    """Every (light curve, spectrum) of the same star: (N,) rows of the star table and of both tables."""

    star: Rows
    lightcurve: Rows
    spectrum: Rows

    def __len__(self) -> int:
        return len(self.star)

    def where(self, chosen: NDArray[Any]) -> Pairs:
        """Some of them, by (N,) truth or by rows."""
        return Pairs(self.star[chosen], self.lightcurve[chosen], self.spectrum[chosen])


def pairs_of(survey: Survey) -> Pairs:
    """All pairs of a survey: each spectrum with each light curve of its star."""
    curve_of: dict[int, list[int]] = {}
    for row, star in enumerate(survey.lightcurve_star.tolist()):
        curve_of.setdefault(star, []).append(row)
    found = [
        (star, curve, row)
        for row, star in enumerate(survey.spectrum_star.tolist())
        for curve in curve_of.get(star, [])
    ]
    table = np.array(found, dtype=np.int64).reshape(-1, 3)
    return Pairs(table[:, 0], table[:, 1], table[:, 2])


def best_pairs(survey: Survey) -> Pairs:
    """One pair of each star that has both: its best light curve and its best spectrum."""
    curves, spectra = lightcurves_of(survey), spectra_of(survey)
    stars = np.intersect1d(curves.stars, spectra.stars)
    return Pairs(stars, curves.choose(stars), spectra.choose(stars))


PRIORS = {
    "none": (),
    "photometric": ("bp_rp", "m_g", "ruwe"),
    "published": ("teff", "log_g", "prot", "fe_h", "radius", "ruwe"),
}
"""Labels of each prior. The published one predicts from what it was given: it leaks labels."""


def prior_of(survey: Survey, name: str) -> Tensor | None:
    """(n_stars, k) numbers of a prior by name, NaN where missing; None for ``"none"``."""
    if not PRIORS[name]:
        return None
    columns = [torch.from_numpy(survey.labels(label).astype(np.float32)) for label in PRIORS[name]]
    return torch.stack(columns, dim=1)
