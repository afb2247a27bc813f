"""Predictions for many stars: of files, of a survey, of objects, as columns of a table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from astropy.table import Table
from numpy.typing import NDArray

from desa.inference.embed import each_spectrum
from desa.inference.estimate import Estimate, all_estimates
from desa.inference.exact import one_order, portions
from desa.inference.joint import has_both, joint_estimates, with_joint
from desa.inference.known_spectra import add_doubts, checked_features, without_narrow_intervals
from desa.inference.objects import LightCurves, Spectra, check_modalities, given_stars
from desa.inference.periods import LABEL, FoundPeriods, found_periods, with_periods
from desa.inference.prediction_table import ROTATION, Columns, build_table, joined
from desa.inference.predictions import Prediction, Predictions
from desa.inference.quality import (
    Doubt,
    Flag,
    Limits,
    Sampling,
    flag_and_reason,
    lightcurve_doubts,
    period_doubts,
    rotation_doubts,
    sampling_of,
    snr_of,
    spectrum_doubts,
)
from desa.models.network import Network
from desa.pipeline import prefetch
from desa.progress import Report
from desa.survey.from_files import LeftOut, stars_of_files
from desa.survey.selection import STARS_AT_ONCE, stars_of_survey
from desa.survey.store import Survey
from desa.types import PARTS, Part, Star

NAMES: dict[Part, str] = {"spectrum": "a spectrum", "lightcurve": "a light curve"}


def predict_table(
    model: Network,
    lightcurve: LightCurves = None,
    spectrum: Spectra = None,
    *,
    same_star: bool = False,
    limits: Limits | None = None,
) -> Table:
    """Predict the labels of one star or of a list of stars given as objects or paths.

    Parameters
    ----------
    model
        The model.
    lightcurve, spectrum, same_star
        As in `desa.inference.model.Desa.embed`.
    limits
        Beyond what a prediction is flagged.

    Returns
    -------
    astropy.table.Table
        A row a star; columns as `predict_files`'. Its ``to_pandas()`` makes a data frame.

    Raises
    ------
    DesaError
        For files or objects that can't be used, or a part that the model lacks.
    ValueError
        If a star has neither, or the lists differ in length.
    """
    stars, _ = given_stars(lightcurve, spectrum, same_star)
    check_modalities(model, stars)
    batches = (stars[start : start + STARS_AT_ONCE] for start in range(0, len(stars), STARS_AT_ONCE))
    return _table(model, batches, limits, "objects")


def predict_files(
    model: Network,
    paths: Sequence[str | Path],
    *,
    match_arcsec: float = 3.0,
    every_spectrum: bool = False,
    limits: Limits | None = None,
    progress: Report | None = None,
) -> tuple[Table, LeftOut]:
    """Predict the labels of the stars of files; quarters are stitched, light curves and spectra paired.

    Parameters
    ----------
    model
        The model.
    paths
        Files of any supported layout, or folders of such; what can't be used is left out and listed.
    match_arcsec
        Radius for pairs by position; a common identifier goes first.
    every_spectrum
        A row for each spectrum of a star, in place of its best one.
    limits
        Beyond what a prediction is flagged.
    progress
        Called with (files read, files).

    Returns
    -------
    tuple
        The table, a row a star in the order of their names: ``star_id``, ``obsid``, ``source``,
        ``modality``, ``ra``, ``dec``, ``snr_g``, ``good_days``, ``p_spectrum``, ``p_lightcurve``, and of each
        label ``X`` (median), ``X_low68``, ``X_high68``, ``X_low90``, ``X_high90``, ``X_flag`` (bits of
        `Flag`; 0: nothing speaks against it) and ``X_why`` (in words); of classes ``X`` (the likeliest) and
        ``X_p_...`` (their probabilities). With a finder of periods also ``prot_p_rotation``, the
        probability that there is a rotation signal. And (path, reason) of what was left out.

    Raises
    ------
    DesaError
        If no file could be used.
    """
    left_out: LeftOut = []
    batches = stars_of_files(
        paths,
        match_arcsec=match_arcsec,
        check=model.check,
        left_out=left_out,
        every_spectrum=every_spectrum,
        progress=progress,
    )
    return _table(model, batches, limits, "files"), left_out


def predict_survey(
    model: Network,
    survey: Survey,
    *,
    every_spectrum: bool = False,
    limits: Limits | None = None,
    progress: Report | None = None,
) -> Table:
    """Predict the labels of a survey's stars, each from its best light curve and spectrum.

    Columns and parameters as `predict_files`'; what the model has no encoder for is passed over.
    """
    batches = stars_of_survey(survey, encodes=model, every_spectrum=every_spectrum, progress=progress)
    return _table(model, prefetch(batches, depth=1), limits, f"{survey.kind} survey {survey.identity}")


def _table(model: Network, batches: Iterable[list[Star]], limits: Limits | None, data: str) -> Table:
    chosen = limits or Limits()
    parts = [
        columns
        for batch in batches
        if batch
        for columns in predict_columns(model, each_spectrum(batch), chosen)
    ]
    return build_table(joined(parts), model, data)


def predict_columns(model: Network, stars: Sequence[Star], limits: Limits) -> list[Columns]:
    """The table's columns for some stars, in parts that are joined by `desa.inference.prediction_table`."""
    with one_order(model):
        return [_columns(model, portion, limits) for portion in portions(model, stars)]


def predict_stars(model: Network, stars: Sequence[Star], limits: Limits | None = None) -> list[Predictions]:
    """Each star's predictions by label, from the heads of the modalities it has.

    Parameters
    ----------
    model
        The model.
    stars
        The stars.
    limits
        Beyond what a prediction is flagged.
    """
    check_modalities(model, stars)
    chosen, all_stars = limits or Limits(), list[Predictions]()
    with one_order(model):
        for portion in portions(model, stars):
            found: list[dict[str, Prediction]] = [{} for _ in portion]
            for estimate, flags in _judged(model, portion, chosen)[1]:
                for place, (flag, reason) in enumerate(flags):
                    if np.isfinite(estimate.median[place]):
                        found[place][estimate.label] = Prediction.of(estimate, place, flag, reason)
            all_stars += [
                Predictions(star.star_id, labels) for star, labels in zip(portion, found, strict=True)
            ]
    return all_stars


def _columns(model: Network, stars: Sequence[Star], limits: Limits) -> Columns:
    """The table's columns for some stars."""
    columns, estimates = _judged(model, stars, limits)
    for estimate, flags in estimates:
        columns.add(estimate, flags)
    if ROTATION in columns.values:  # after the labels
        columns.values[ROTATION] = columns.values.pop(ROTATION)
    return columns


def _judged(
    model: Network, stars: Sequence[Star], limits: Limits
) -> tuple[Columns, list[tuple[Estimate, list[tuple[int, str]]]]]:
    """Who the stars are, and each label's estimates with flags and reasons."""
    rows, answers = checked_features(model, stars)
    p_values = {
        part: model.references[part].p_value(rows[part])
        if part in rows and part in model.references
        else np.full(len(stars), np.nan)
        for part in PARTS
    }
    length = model.settings.preprocess_lightcurve.length
    sampling = [None if star.lightcurve is None else sampling_of(star.lightcurve, length) for star in stars]
    doubts = _doubts(model, stars, sampling, p_values, limits)
    columns, found = _about(stars, sampling, p_values), found_periods(model, stars)
    own = all_estimates(model, rows, columns.values["snr_g"])
    estimates = with_joint(own, joint_estimates(model, stars), has_both(stars))
    add_doubts(doubts, answers, own, limits)
    estimates = without_narrow_intervals(model, estimates, doubts)
    judged = [
        (estimate, _flags(estimate, stars, sampling, doubts, limits, found))
        for estimate in with_periods(estimates, found)
    ]
    if found is not None:
        columns.values[ROTATION] = found.probability
    return columns, judged


def _about(
    stars: Sequence[Star], sampling: Sequence[Sampling | None], p_values: dict[Part, NDArray[np.float64]]
) -> Columns:
    """Who the stars are and how good their data."""

    def place(name: str) -> NDArray[np.float64]:
        items = [[item for item in (star.spectrum, star.lightcurve) if item is not None] for star in stars]
        values = [[getattr(item, name) for item in given] for given in items]
        return np.array([next((v for v in row if np.isfinite(v)), np.nan) for row in values])

    spectra = [star.spectrum for star in stars]
    return Columns(
        {
            "star_id": [star.star_id for star in stars],
            "obsid": ["" if spectrum is None else spectrum.obsid for spectrum in spectra],
            "source": [_source(star) for star in stars],
            "modality": [star.modality for star in stars],
            "ra": place("ra"),
            "dec": place("dec"),
            "snr_g": np.array([np.nan if spectrum is None else snr_of(spectrum) for spectrum in spectra]),
            "good_days": np.array([np.nan if s is None else s.good_days for s in sampling]),
            **{f"p_{part}": values for part, values in p_values.items()},
        }
    )


def _source(star: Star) -> str:
    items = (star.spectrum, star.lightcurve)
    named = [Path(item.sources[0]).name for item in items if item is not None and item.sources]
    return named[0] if named else ""


def _doubts(
    model: Network,
    stars: Sequence[Star],
    sampling: Sequence[Sampling | None],
    p_values: dict[Part, NDArray[np.float64]],
    limits: Limits,
) -> dict[Part, list[list[Doubt]]]:
    """What speaks against each star's spectrum and light curve."""
    least = {part: model.references[part].least if part in model.references else np.nan for part in PARTS}
    return {
        "spectrum": [
            [] if star.spectrum is None else spectrum_doubts(star.spectrum, p, least["spectrum"], limits)
            for star, p in zip(stars, p_values["spectrum"].tolist(), strict=True)
        ],
        "lightcurve": [
            [] if item is None else lightcurve_doubts(item, p, least["lightcurve"], limits)
            for item, p in zip(sampling, p_values["lightcurve"].tolist(), strict=True)
        ],
    }


def _flags(
    estimate: Estimate,
    stars: Sequence[Star],
    sampling: Sequence[Sampling | None],
    doubts: dict[Part, list[list[Doubt]]],
    limits: Limits,
    found: FoundPeriods | None,
) -> list[tuple[int, str]]:
    """Flag and reason of each star's label."""
    flags = []
    for row, star in enumerate(stars):
        read = estimate.read(row)
        missing = [NAMES[part] for part in read if getattr(star, part) is None]
        if missing:
            doubt = Doubt(Flag.WRONG_MODALITY, f"needs {' and '.join(missing)}")
            flags.append(flag_and_reason([doubt]))
            continue
        own = [doubt for part in read for doubt in doubts[part][row]]
        window = sampling[row]
        if estimate.label == LABEL and window is not None:
            span = window.span_days
            if found is not None and star.lightcurve is not None:  # a finder reads the whole light curve
                span = len(star.lightcurve) * star.lightcurve.cadence_days
                own += rotation_doubts(float(found.probability[row]), limits)
            own += period_doubts(float(estimate.median[row]), span, limits)
        if estimate.learned_from:
            own.append(Doubt(Flag.MOCK_TRUTH, f"learned from the truth of a {estimate.learned_from}"))
        if not estimate.calibrated:
            own.append(Doubt(Flag.NO_CALIBRATION, "the model has no calibration for it"))
        flags.append(flag_and_reason(own))
    return flags
