"""Calibration of a model's heads on the stars of another survey."""

from __future__ import annotations

import numpy as np

from desa.conformal import calibrate
from desa.errors import SettingsError
from desa.inference.encode import split_quantiles
from desa.models.network import Network
from desa.survey.store import Survey
from desa.training.stage import surveys_of
from desa.types import PARTS

LEAST = 20
"""Stars with each of a head's labels that its calibration needs."""


def recalibrate(model: Network, survey: Survey) -> dict[str, int]:
    """Calibrate the encoders' heads on a survey, in place of what they were calibrated on.

    Parameters
    ----------
    model
        Its ``calibration`` is changed where the survey has stars enough.
    survey
        All of its stars count if the model has learned from none of them, else its calibration split.

    Returns
    -------
    dict
        Part (``"spectrum"``, ``"lightcurve"``) -> spectra or light curves that calibrated its head.

    Raises
    ------
    SettingsError
        If no head has `LEAST` stars with each of its labels.
    """
    learned = {facts["survey"] for facts in surveys_of(model)}
    split = "calibration" if survey.identity in learned else None
    found, few = dict[str, int](), list[str]()
    for part in PARTS:
        if getattr(model, f"{part}_head") is None:
            continue
        objective = getattr(model.settings, f"objective_{part}")
        quantiles, targets = split_quantiles(model, survey, part, split)
        least = int(np.isfinite(targets).sum(axis=0).min(initial=len(targets)))
        if least < LEAST:
            few.append(f"{part}: {least} with {', '.join(objective.labels)}")
            continue
        found[part] = int(np.isfinite(targets).any(axis=1).sum())
        which = "the calibration split" if split else "stars"
        facts = {"stars": f"{which} of a {survey.kind} survey", "survey": survey.identity}
        model.calibration[part] = {**calibrate(quantiles, targets, objective.quantiles), **facts}
    if not found:
        raise SettingsError(
            f"{survey.path}: too few stars to calibrate on ({'; '.join(few) or 'the model has no head'}; "
            f"{LEAST} are needed)"
        )
    return found
