"""What the tasks on real stars share: which of a survey's stars they use, and what catalogues call them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from desa.benchmark.base import Arrays, Candidate
from desa.benchmark.inputs import Inputs
from desa.errors import ModelError
from desa.evaluation.crossvalidation import LINEAR, Learner
from desa.evaluation.score import Score
from desa.models.network import Network
from desa.report.benchmark_figures import errors_by_labels
from desa.report.page import Figure
from desa.types import LightCurve, best_window

Array = NDArray[np.float64]
Mask = NDArray[np.bool_]

LABELS = ("teff", "log_g", "fe_h")
MAX_TEFF = 8000.0
"""Hotter stars are left out of the tasks on spectra: beyond it there are neither models nor good labels."""

GIANT_LOG_G = 3.5
"""Stars below this surface gravity count as giants."""

QUARTER = 4500
"""Longer light curves are cut to their best stretch of this many cadences: one quarter."""

LEAST_SAMPLES = 500
LEAST_LABELS = 8
"""Labels and classes with fewer stars are left out."""

MISSIONS = {"Kepler": "", "TESS": "TESS"}
"""Missions whose light curves are looked at, each apart: mission -> part of the scores."""

SAID = "said/"
"""Arrays of a candidate that says labels, in place of giving features, are named by this and the label."""


@dataclass(frozen=True, eq=False, kw_only=True)
class RealCandidate(Candidate):
    """A row of the tables on real stars: fixed features, and what learns labels from them.

    `embed` gives the features as ``joint``, NaN for stars it can say nothing of; or, by ``said/<label>``,
    what it says of a label without learning from any.

    Parameters
    ----------
    learner
        What learns a label from the features.
    """

    learner: Learner = LINEAR


def learner_of(candidate: Candidate) -> Learner:
    """What learns from a candidate's features."""
    return candidate.learner if isinstance(candidate, RealCandidate) else LINEAR


def labelled_spectra(inputs: Inputs) -> Mask:
    """(N,) whether all of `LABELS` are known of a star, and Teff is below `MAX_TEFF`."""
    labels = np.stack([inputs.label(name) for name in LABELS])
    return np.asarray(np.isfinite(labels).all(axis=0) & (labels[0] < MAX_TEFF))


def error_curve(label: str, counts: Sequence[int], scores: Sequence[Score]) -> Arrays:
    """``<label>/labels``, ``/mae`` and ``/mae_error`` of scores with these numbers of labels, to be drawn."""
    errors = [(score.value, score.error) for score in scores if score.metric == "mae"]
    rows = np.column_stack([counts, np.reshape(errors, (-1, 2))])
    return dict(zip((f"{label}/{name}" for name in ("labels", "mae", "mae_error")), rows.T, strict=True))


def error_figures(arrays: Mapping[Candidate, Arrays], caption: str) -> list[Figure]:
    """What `error_curve` gave, by candidate, as a figure with a panel a label."""
    columns = ("labels", "mae", "mae_error")
    panels = {
        label: {
            candidate.title: [own[f"{label}/{column}"] for column in columns]
            for candidate, own in arrays.items()
        }
        for label in LABELS
        if all(f"{label}/mae" in own for own in arrays.values())
    }
    return [Figure(errors_by_labels(panels), caption, "errors against the number of labels")]


def usable_curves(inputs: Inputs, mission: str) -> Mask:
    """(N,) whether a star's light curve is a mission's own, as its pipeline gave it.

    Light curves without errors were detrended by others; sets of one kind, detrended alike, give it away.
    Files that name no star of the Kepler Input Catalog can't be looked up in its catalogues.
    """
    survey, rows = inputs.survey, inputs.stars.lightcurve
    known = np.array(survey.stars.column("kic").is_valid())[inputs.stars.star]
    known &= survey.lightcurve_column("mission")[rows] == mission
    known &= survey.lightcurve_column("n_good")[rows] >= LEAST_SAMPLES
    for place in np.flatnonzero(known).tolist():
        known[place] = np.isfinite(survey.lightcurve(int(rows[place])).flux_err).any()
    return np.asarray(known)


def quarters(inputs: Inputs) -> dict[int, LightCurve]:
    """Light curves that are long enough by their stars' places, each of at most one quarter."""
    rows = inputs.stars.lightcurve
    enough = inputs.survey.lightcurve_column("n_good")[rows] >= LEAST_SAMPLES
    return {
        place: one_quarter(inputs.survey.lightcurve(int(rows[place])))
        for place in np.flatnonzero(enough).tolist()
    }


def one_quarter(curve: LightCurve) -> LightCurve:
    """The stretch of `QUARTER` cadences with most good samples: all stars alike in length."""
    part = best_window(curve.flux, QUARTER)
    return LightCurve(
        flux=curve.flux[part],
        flux_err=curve.flux_err[part],
        first_cadence=curve.first_cadence + part.start,
        start_bkjd=curve.start_bkjd + part.start * curve.cadence_days,
        cadence_days=curve.cadence_days,
        star_id=curve.star_id,
        mission=curve.mission,
    )


def eclipsing(inputs: Inputs) -> Mask:
    """(N,) whether a catalogue has the star as an eclipsing binary; others are not known to eclipse."""
    return np.asarray(inputs.text_label("binary_kind") == "eclipsing")


def rotation_period(inputs: Inputs) -> Array:
    """(N,) days, NaN where unknown and for eclipsing binaries."""
    return np.where(eclipsing(inputs), np.nan, inputs.label("prot"))


def giant(inputs: Inputs) -> Array:
    """(N,) 1 for stars that oscillate as giants or have log g below `GIANT_LOG_G`, else 0; NaN if unknown."""
    gravity, oscillates = inputs.label("log_g"), np.isfinite(inputs.label("numax"))
    known = oscillates | np.isfinite(gravity)
    return np.where(known, (oscillates | (gravity < GIANT_LOG_G)).astype(np.float64), np.nan)


def check_unseen(model: Network, name: str) -> None:
    """Refuse a model that has learned from real stars: nothing would be left to test it on.

    Raises
    ------
    ModelError
        If it has.
    """
    if "real" in str(model.metadata.get("data", "")):
        raise ModelError(
            f"{name or 'the model that comes with desa'} has learned from real stars: nothing would be left "
            "to test it on; give a model trained on a mock survey"
        )
