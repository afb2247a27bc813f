"""The three stages of training, from a survey to a model folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from desa.config import Settings
from desa.conformal import calibrate
from desa.errors import ModelError, SurveyError
from desa.models.desa import Desa
from desa.provenance import provenance
from desa.survey.batches import LightCurveDataset, SpectrumDataset, make_loader
from desa.survey.store import Survey
from desa.training.alignment import Align, any_prior, whitening
from desa.training.distributed import choose_device, current, joined
from desa.training.features import FeatureLoader, Pairs, lightcurve_features, pairs_of, spectrum_features
from desa.training.loop import fit
from desa.training.task import History, Interrupted, Task
from desa.training.tasks import PretrainLightCurve, PretrainSpectrum
from desa.training.tracking import training_progress

MODEL, CACHE = "model", "features"


def identity_of(survey: Survey, settings: Settings, *more: str) -> dict[str, str]:
    """What a run is made from, for its checkpoint: resuming with anything else is refused."""
    described = json.dumps(settings.model_dump(mode="json", exclude={"dtype", "compile"}), sort_keys=True)
    return {
        "survey": survey.identity,
        "settings": hashlib.blake2b(described.encode(), digest_size=16).hexdigest(),
        "models": " ".join(more),
    }


def _metadata(survey: Survey, settings: Settings, history: History) -> dict[str, Any]:
    return {
        **provenance(data=f"{survey.kind} survey", survey=survey.identity, seed=settings.seed),
        "steps": history.step,
        "best_step": history.best_step,
        "validation": {k: v for k, v in (history.validation or {}).items() if np.isfinite(v)},
    }


def _train(
    task: Task,
    train: Any,
    valid: Iterable[Any],
    settings: Settings,
    stage: str,
    out: Path,
    *,
    device: str,
    resume: bool,
    progress: bool,
    identity: dict[str, str],
) -> History:
    training = getattr(settings, f"train_{stage}")
    with joined(choose_device(device)), training_progress() if progress else nullcontext() as bar:
        history = fit(
            task,
            train,
            valid,
            training,
            out,
            seed=settings.seed,
            device=choose_device(device),
            dtype=settings.dtype,
            compile=settings.compile,
            progress=bar,
            resume=resume,
            identity=identity,
        )
    if history.stopped == "signal":
        raise Interrupted(
            f"stopped by {history.signal} after step {history.step}; run the same command again to go on"
        )
    return history


def _need(count: int, what: str, survey: Survey) -> None:
    if count < 2:
        raise SurveyError(f"{survey.path}: the train split has {count} {what}; at least 2 are needed")


def pretrain_spectrum(
    survey: Survey | str | Path,
    settings: Settings,
    out: str | Path,
    *,
    device: str = "auto",
    resume: bool = True,
    progress: bool = False,
) -> Desa:
    """Pre-train the spectrum encoder on a survey's train split.

    Parameters
    ----------
    survey
        A survey or its folder.
    settings
        All settings; ``train_spectrum`` and ``objective_spectrum`` are this stage's.
    out
        The run's folder: metrics, checkpoint, and at the end ``model/``.
    device
        ``"auto"``, ``"cpu"``, ``"cuda"``.
    resume
        Go on from the folder's checkpoint.
    progress
        Show a bar.

    Returns
    -------
    Desa
        The encoder with its head, calibrated on the calibration split.

    Raises
    ------
    SurveyError
        If the survey holds too few spectra.
    Interrupted
        If a signal stopped the run; it can be resumed.
    """
    survey, out = _opened(survey), Path(out)
    labels = settings.objective_spectrum.labels
    train, valid = (SpectrumDataset(survey, name, labels) for name in ("train", "valid"))
    _need(len(train), "spectra", survey)
    torch.manual_seed(settings.seed)
    task = PretrainSpectrum(settings)
    size = min(settings.train_spectrum.batch_size, len(train))
    history = _train(
        task,
        lambda skip: make_loader(
            train, size, settings.seed, skip=skip, drop_last=True, workers=settings.train_spectrum.workers
        ),
        make_loader(valid, size, shuffle=False),
        settings,
        "spectrum",
        out,
        device=device,
        resume=resume,
        progress=progress,
        identity=identity_of(survey, settings),
    )
    model = task.model.eval()
    quantiles, targets = spectrum_predictions(model, survey, "calibration")
    model.calibration["spectrum"] = calibrate(quantiles, targets, settings.objective_spectrum.quantiles)
    return _finish(model, survey, settings, history, out)


def pretrain_lightcurve(
    survey: Survey | str | Path,
    settings: Settings,
    out: str | Path,
    *,
    device: str = "auto",
    resume: bool = True,
    progress: bool = False,
) -> Desa:
    """Pre-train the light-curve encoder; parameters, result and errors as `pretrain_spectrum`'s."""
    survey, out = _opened(survey), Path(out)
    labels, length = settings.objective_lightcurve.labels, settings.preprocess_lightcurve.length
    least = settings.preprocess_lightcurve.min_valid
    train, valid = (
        LightCurveDataset(survey, name, length, views=2, labels=labels, min_valid=least)
        for name in ("train", "valid")
    )
    _need(len(train), "light curves", survey)
    torch.manual_seed(settings.seed)
    task = PretrainLightCurve(settings)
    size = min(settings.train_lightcurve.batch_size, len(train))
    history = _train(
        task,
        lambda skip: make_loader(
            train, size, settings.seed, skip=skip, drop_last=True, workers=settings.train_lightcurve.workers
        ),
        make_loader(valid, size, shuffle=False),
        settings,
        "lightcurve",
        out,
        device=device,
        resume=resume,
        progress=progress,
        identity=identity_of(survey, settings),
    )
    model = task.model.eval()
    quantiles, targets = lightcurve_predictions(model, survey, "calibration")
    model.calibration["lightcurve"] = calibrate(quantiles, targets, settings.objective_lightcurve.quantiles)
    return _finish(model, survey, settings, history, out)


def align(
    survey: Survey | str | Path,
    spectrum_model: str | Path,
    lightcurve_model: str | Path,
    settings: Settings,
    out: str | Path,
    *,
    device: str = "auto",
    resume: bool = True,
    progress: bool = False,
) -> Desa:
    """Align two pre-trained encoders with the DualFormer, on stars that have both modalities.

    The encoders are frozen, so their features are computed once and kept in ``out/features``. Other
    parameters, result and errors as `pretrain_spectrum`'s.

    Raises
    ------
    ModelError
        If a model folder lacks its encoder.
    """
    survey, out = _opened(survey), Path(out)
    model = joined_model(Desa.load(spectrum_model), Desa.load(lightcurve_model), settings)
    model.to(choose_device(device))
    spectrum = torch.from_numpy(np.array(spectrum_features(model, survey, out / CACHE)))
    lightcurve = torch.from_numpy(np.array(lightcurve_features(model, survey, out / CACHE)))
    pairs, split = pairs_of(survey), survey.split
    names = ("bp_rp", "m_g", "ruwe", "teff", "log_g", "prot", "fe_h", "radius")
    prior = any_prior(settings.dualformer.prior, {name: survey.labels(name) for name in names})
    rows = {name: _rows(pairs, split[pairs.star] == name) for name in ("train", "valid")}
    _need(len(rows["train"].star), "pairs of light curve and spectrum", survey)

    def loader(part: Pairs, seed: int | None, skip: int = 0) -> FeatureLoader:
        own = None if prior is None else prior[part.star]
        world = current()
        shifted = None if seed is None else seed * world.size + world.rank
        size = settings.train_align.batch_size
        return FeatureLoader(spectrum[part.spectrum], lightcurve[part.lightcurve], own, size, shifted, skip)

    dualformer = model.need("dualformer")
    if settings.dualformer.whiten:
        train = rows["train"]
        dualformer.set_whitening(*whitening(spectrum[train.spectrum], lightcurve[train.lightcurve]))
    history = _train(
        Align(settings, dualformer),
        lambda skip: loader(rows["train"], settings.seed, skip),
        loader(rows["valid"], None),
        settings,
        "align",
        out,
        device=device,
        resume=resume,
        progress=progress,
        identity=identity_of(
            survey, settings, *(_weights(folder) for folder in (spectrum_model, lightcurve_model))
        ),
    )
    return _finish(model.eval(), survey, settings, history, out)


def joined_model(spectrum: Desa, lightcurve: Desa, settings: Settings) -> Desa:
    """A model with a spectrum encoder from one, a light-curve encoder from another, and a new DualFormer.

    Its settings are `settings`, with the encoders' and their preprocessing's own parts.
    """
    chosen = settings.model_copy(
        update={
            "spectrum": spectrum.settings.spectrum,
            "preprocess_spectrum": spectrum.settings.preprocess_spectrum,
            "objective_spectrum": spectrum.settings.objective_spectrum,
            "lightcurve": lightcurve.settings.lightcurve,
            "preprocess_lightcurve": lightcurve.settings.preprocess_lightcurve,
            "objective_lightcurve": lightcurve.settings.objective_lightcurve,
        }
    )
    torch.manual_seed(settings.seed)
    model = Desa(chosen)
    for part, source in (("spectrum", spectrum), ("lightcurve", lightcurve)):
        for module in ("encoder", "head"):
            own = model.need(f"{part}_{module}")
            own.load_state_dict(source.need(f"{part}_{module}").state_dict())
            own.requires_grad_(False)
        if part in source.calibration:
            model.calibration[part] = source.calibration[part]
    return model.eval()


@torch.inference_mode()
def spectrum_predictions(model: Desa, survey: Survey, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Quantiles (N, K, Q) and labels (N, K) of every spectrum of a split, in the labels' units."""
    objective = model.settings.objective_spectrum
    data = SpectrumDataset(survey, split, objective.labels)
    quantiles, targets = [], []
    for batch in make_loader(data, 64, shuffle=False):
        moved = batch.to(model.device)
        features = model.spectrum_features(moved.flux, moved.ivar, moved.z, moved.log_wavelength_start)
        quantiles.append(model.spectrum_quantiles(features).cpu())
        targets.append(_targets(batch.labels, objective.labels))
    return _stacked(quantiles, targets, len(objective.labels), len(objective.quantiles))


@torch.inference_mode()
def lightcurve_predictions(model: Desa, survey: Survey, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Quantiles (N, K, Q) and labels (N, K) of every light curve of a split, in the labels' units."""
    objective = model.settings.objective_lightcurve
    data = LightCurveDataset(
        survey, split, model.settings.preprocess_lightcurve.length, labels=objective.labels, crop="best"
    )
    quantiles, targets = [], []
    for batch in make_loader(data, 32, shuffle=False):
        features = model.lightcurve_features(batch.to(model.device).flux[:, 0])
        quantiles.append(model.lightcurve_quantiles(features).cpu())
        targets.append(_targets(batch.labels, objective.labels))
    return _stacked(quantiles, targets, len(objective.labels), len(objective.quantiles))


def _targets(labels: dict[str, Tensor], names: tuple[str, ...]) -> Tensor:
    return torch.stack([labels[name] for name in names], dim=1)


def _stacked(
    quantiles: list[Tensor], targets: list[Tensor], labels: int, levels: int
) -> tuple[np.ndarray, np.ndarray]:
    if not quantiles:
        return np.zeros((0, labels, levels)), np.zeros((0, labels))
    return torch.cat(quantiles).double().numpy(), torch.cat(targets).double().numpy()


def _rows(pairs: Pairs, chosen: np.ndarray) -> Pairs:
    return Pairs(pairs.star[chosen], pairs.lightcurve[chosen], pairs.spectrum[chosen])


def _weights(folder: str | Path) -> str:
    try:
        return str(json.loads((Path(folder) / "model.json").read_text())["weights"])
    except (OSError, ValueError, KeyError):
        raise ModelError(f"{folder}: no model here") from None


def _opened(survey: Survey | str | Path) -> Survey:
    return survey if isinstance(survey, Survey) else Survey.open(survey)


def _finish(model: Desa, survey: Survey, settings: Settings, history: History, out: Path) -> Desa:
    model.metadata = _metadata(survey, settings, history)
    if current().main:
        model.save(out / MODEL)
    return model
