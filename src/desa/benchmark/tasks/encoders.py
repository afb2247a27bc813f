"""Tasks of the encoders alone: stellar parameters from spectra, rotation periods from light curves."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from desa.benchmark.encoders import folder_of
from desa.benchmark.inputs import Inputs
from desa.benchmark.material import Material
from desa.benchmark.outcome import Outcome
from desa.benchmark.registry import ENCODER_OBJECTIVES
from desa.evaluation.parameters import parameters as score_parameters
from desa.evaluation.probe import linear_probe
from desa.evaluation.rotation import measured
from desa.evaluation.rotation import rotation as score_rotation
from desa.evaluation.score import Score
from desa.inference.encode import lightcurve_features, spectrum_features, split_quantiles
from desa.inference.labels import periods_of
from desa.models.network import Network
from desa.types import KEPLER_CADENCE_DAYS

OBJECTIVE_LABELS = ("teff", "log_g", "fe_h", "log_prot", "bp_rp", "age")


def parameters(material: Material) -> Outcome:
    """Teff, log g, [Fe/H] of every test spectrum: errors overall and by S/N, coverage by S/N and Teff."""
    model, survey = material.inputs.spectrum_model, material.inputs.survey
    star, objective = survey.spectrum_star, model.settings.objective_spectrum
    parts = [split_quantiles(model, survey, "spectrum", split) for split in ("calibration", "test")]
    rows = [np.flatnonzero(survey.split[star] == split) for split in ("calibration", "test")]
    train = np.flatnonzero(survey.split[star] == "train")
    order = np.concatenate([*rows, train])
    labels = np.stack([survey.labels(name)[star[order]] for name in objective.labels], axis=1)
    found = np.concatenate([part[0] for part in parts])
    unseen = np.zeros((len(train), *found.shape[1:]))  # training spectra give their labels' spread only
    scores, arrays = score_parameters(
        np.concatenate([found, unseen]),
        objective.quantiles,
        labels,
        objective.labels,
        survey.split[star[order]],
        survey.spectrum_column("snr_g")[order].astype(np.float64),
        survey.labels("teff")[star[order]],
        seed=material.seed,
    )
    return Outcome(scores, arrays)


def rotation(material: Material) -> Outcome:
    """Rotation periods of test light curves: the encoder's head, ACF and Lomb-Scargle on the same crops.

    Raises
    ------
    ValueError
        If the encoder's head gives no rotation period.
    """
    model, survey = material.inputs.lightcurve_model, material.inputs.survey
    split = survey.split[survey.lightcurve_star]
    objective = model.settings.objective_lightcurve
    medians = split_quantiles(model, survey, "lightcurve", "test")[0][..., objective.quantiles.index(0.5)]
    found = periods_of(medians, objective.labels)
    if found is None:
        raise ValueError(f"the light-curve encoder was taught {', '.join(objective.labels)}, no rotation")
    encoder = np.full(len(split), np.nan)
    encoder[split == "test"] = found
    prot = survey.labels("prot")[survey.lightcurve_star]
    wanted = np.flatnonzero((split == "test") & np.isfinite(prot))
    periods = {"encoder": encoder}
    for name, values in measured(_crops(material.inputs, wanted), KEPLER_CADENCE_DAYS).items():
        periods[name] = np.full(len(split), np.nan)
        periods[name][wanted] = values
    return Outcome(*score_rotation(periods, prot, split, seed=material.seed))


def _crops(inputs: Inputs, rows: NDArray[np.int64]) -> list[NDArray[np.floating]]:
    """The best crops of some light curves, as the encoder reads them."""
    data = inputs.crops()
    return [data.fetch(np.array([row])).flux[0, 0].numpy() for row in rows.tolist()]


def objectives(material: Material) -> Outcome:
    """Encoders pre-trained by the hybrid loss, self-supervision alone and supervision alone (Fig. 3)."""
    inputs, scores = material.inputs, list[Score]()
    for name in ENCODER_OBJECTIVES:
        both = _features_of(inputs, name)
        for label in OBJECTIVE_LABELS:
            try:
                found = linear_probe(both, inputs.label(label), inputs.split, seed=material.seed)
            except ValueError:
                continue
            scores.append(Score("encoders", label, "r2", found.r2, found.r2_error, 0.0, found.n_test, name))
    return Outcome(scores)


def _features_of(inputs: Inputs, objective: str) -> NDArray[np.float32]:
    """(N, F1 + F2) of the encoders of an objective, side by side."""
    models = [
        Network.load(folder_of(inputs.folder, part, objective) / "model")
        for part in ("spectrum", "lightcurve")
    ]
    first, second = spectrum_features(models[0], inputs.survey), lightcurve_features(models[1], inputs.survey)
    return np.concatenate([first[inputs.stars.spectrum], second[inputs.stars.lightcurve]], axis=1)
