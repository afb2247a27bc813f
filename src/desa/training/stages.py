"""The three stages of training, from a survey to a model folder."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from desa.config import Settings
from desa.conformal import calibrate
from desa.errors import ModelError, SurveyError
from desa.files import written_whole
from desa.inference.encode import lightcurve_features, spectrum_features, split_quantiles, survey_references
from desa.models.network import Network
from desa.provenance import provenance
from desa.survey.batches import LightCurveDataset, SpectrumDataset, make_loader
from desa.survey.selection import Pairs, pairs_of, prior_of
from desa.survey.store import Survey
from desa.training.alignment import Align
from desa.training.checkpoint import full_weights
from desa.training.distributed import barrier, choose_device, current, join
from desa.training.loop import fit
from desa.training.pairs import PairLoader, standardisation, targets_of
from desa.training.task import History, Interrupted, Task
from desa.training.tasks import PretrainLightCurve, PretrainSpectrum
from desa.training.tracking import training_progress

MODEL, CACHE, FACTS = "model", "features", "run.json"

SECTIONS = {
    "spectrum": ("preprocess_spectrum", "spectrum", "objective_spectrum"),
    "lightcurve": ("preprocess_lightcurve", "lightcurve", "objective_lightcurve"),
    "align": ("dualformer", "alignment"),
}
"""The settings that shape each stage, beside its ``train_...``."""

HARMLESS = {"steps", "patience", "checkpoint_minutes", "workers"}
"""Training settings that may change from one sitting of a run to the next."""


@dataclass(frozen=True)
class _Stage:
    """One stage of training under way."""

    name: str
    survey: Survey
    settings: Settings
    out: Path
    device: torch.device
    resume: bool
    progress: bool
    made_from: str = ""

    def identity(self) -> dict[str, str]:
        """What the run is made from: resuming its checkpoint with anything else is refused."""
        chosen = self.settings.model_dump(mode="json", include=set(SECTIONS[self.name]))
        training = getattr(self.settings, f"train_{self.name}").model_dump(mode="json", exclude=HARMLESS)
        described = json.dumps([chosen, training, self.settings.dtype], sort_keys=True)
        return {
            "survey": self.survey.identity,
            "settings": hashlib.blake2b(described.encode(), digest_size=16).hexdigest(),
            "models": self.made_from,
        }

    def fit(self, task: Task, train: Callable[[int], Any], valid: Iterable[Any]) -> History:
        """Train, and raise `Interrupted` if a signal stopped it."""
        training = getattr(self.settings, f"train_{self.name}")
        shown = self.progress and current().main
        with training_progress() if shown else nullcontext() as bar:
            history = fit(
                task,
                train,
                valid,
                training,
                self.out,
                seed=self.settings.seed,
                device=self.device,
                dtype=self.settings.dtype,
                compile=self.settings.compile,
                strategy=training.strategy,
                progress=bar,
                resume=self.resume,
                identity=self.identity(),
            )
        if history.stopped == "signal":
            raise Interrupted(
                f"stopped by {history.signal} after step {history.step} of {training.steps}; "
                f"the checkpoint is in {self.out}: run the same command again to go on"
            )
        return history

    def finish(self, model: Network, history: History) -> Network:
        """Write ``model/`` and ``run.json``."""
        validation = {k: v for k, v in (history.validation or {}).items() if np.isfinite(v)}
        model.metadata = {
            **provenance(
                data=f"{self.survey.kind} survey", survey=self.survey.identity, seed=self.settings.seed
            ),
            "stage": self.name,
            "steps": history.step,
            "best_step": history.best_step,
            "stopped": history.stopped,
            "seconds": round(history.seconds, 1),
            "validation": validation,
            "collapsed": bool(validation.get("collapsed", 0.0)),
        }
        if current().main:
            model.save(self.out / MODEL)
            with written_whole(self.out / FACTS) as scratch:
                facts = {**model.metadata, "settings": self.settings.model_dump(mode="json")}
                scratch.write_text(json.dumps(facts, indent=2) + "\n", encoding="utf-8")
        barrier()
        return model


def pretrain_spectrum(
    survey: Survey | str | Path,
    settings: Settings,
    out: str | Path,
    *,
    device: str = "auto",
    resume: bool = True,
    progress: bool = False,
) -> Network:
    """Pre-train the spectrum encoder on the spectra of a survey's train split.

    Parameters
    ----------
    survey
        A survey or its folder.
    settings
        All settings; ``train_spectrum`` and ``objective_spectrum`` are this stage's.
    out
        The run's folder: ``metrics.jsonl``, ``tensorboard/``, ``checkpoint.pt``, and at the end ``model/``
        (the weights that did best on the valid split) and ``run.json``.
    device
        ``"auto"``, ``"cpu"``, ``"cuda"``. Under `torchrun`, each process its own.
    resume
        Go on from the folder's checkpoint, if it has one.
    progress
        Show a bar.

    Returns
    -------
    Network
        The encoder with its head, calibrated on the calibration split.

    Raises
    ------
    SurveyError
        If the train split holds too few spectra.
    ModelError
        If the folder's checkpoint is of another run.
    Interrupted
        If a signal stopped the run; it can be resumed.
    """
    join(choose_device(device))
    survey = _opened(survey)
    stage = _Stage("spectrum", survey, settings, Path(out), choose_device(device), resume, progress)
    labels, training = settings.objective_spectrum.labels, settings.train_spectrum
    train, valid = (SpectrumDataset(survey, split, labels) for split in ("train", "valid"))
    _need(len(train), "spectra", survey)
    torch.manual_seed(settings.seed)
    task = PretrainSpectrum(settings)
    task.start_at(_labels(survey, labels, train.star))
    history = stage.fit(task, *_loaders(train, valid, stage, training.batch_size, training.workers))
    model = _whole(task.model, stage.device)
    quantiles, targets = split_quantiles(model, survey, "spectrum", "calibration")
    model.calibration["spectrum"] = calibrate(quantiles, targets, settings.objective_spectrum.quantiles)
    model.references = survey_references(model, survey, "spectrum")
    return stage.finish(model, history)


def pretrain_lightcurve(
    survey: Survey | str | Path,
    settings: Settings,
    out: str | Path,
    *,
    device: str = "auto",
    resume: bool = True,
    progress: bool = False,
) -> Network:
    """Pre-train the light-curve encoder; parameters, result and errors as `pretrain_spectrum`'s."""
    join(choose_device(device))
    survey = _opened(survey)
    stage = _Stage("lightcurve", survey, settings, Path(out), choose_device(device), resume, progress)
    objective, crop = settings.objective_lightcurve, settings.preprocess_lightcurve
    training = settings.train_lightcurve
    train, valid = (
        LightCurveDataset(survey, split, crop.length, 2, objective.labels, crop.min_valid)
        for split in ("train", "valid")
    )
    _need(len(train), "light curves", survey)
    torch.manual_seed(settings.seed)
    task = PretrainLightCurve(settings)
    task.start_at(_labels(survey, objective.labels, train.star))
    history = stage.fit(task, *_loaders(train, valid, stage, training.batch_size, training.workers))
    model = _whole(task.model, stage.device)
    quantiles, targets = split_quantiles(model, survey, "lightcurve", "calibration")
    model.calibration["lightcurve"] = calibrate(quantiles, targets, objective.quantiles)
    model.references = survey_references(model, survey, "lightcurve")
    return stage.finish(model, history)


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
) -> Network:
    """Align two pre-trained encoders with the DualFormer, on stars that have both modalities.

    The encoders are frozen, so their features are computed once and kept in ``out/features``. Other
    parameters, result and errors as `pretrain_spectrum`'s. A run whose projections have lost their rank
    is marked: ``metadata["collapsed"]``.

    Raises
    ------
    ModelError
        If a model folder lacks its encoder.
    """
    join(choose_device(device))
    survey, out = _opened(survey), Path(out)
    made_from = " ".join(_weights(folder) for folder in (spectrum_model, lightcurve_model))
    stage = _Stage("align", survey, settings, out, choose_device(device), resume, progress, made_from)
    model = joined_model(Network.load(spectrum_model), Network.load(lightcurve_model), settings)
    model.to(stage.device)
    spectrum, lightcurve = _both_features(model, survey, out / CACHE)
    pairs, prior = pairs_of(survey), prior_of(survey, settings.dualformer.prior)
    splits = survey.split[pairs.star]
    train, valid = (pairs.where(splits == split) for split in ("train", "valid"))
    targets = None
    if settings.alignment.supervised:
        targets = targets_of(survey, (settings.objective_spectrum, settings.objective_lightcurve))
    world = current()
    _need(len(np.unique(train.star)) // world.size, "stars with light curve and spectrum", survey)

    def loader(part: Pairs, *, skip: int = 0, shuffle: bool = True) -> PairLoader:
        return PairLoader(
            part,
            spectrum,
            lightcurve,
            prior,
            settings.train_align.batch_size,
            seed=settings.seed,
            skip=skip,
            rank=world.rank,
            world=world.size,
            shuffle=shuffle,
            targets=targets,
        )

    dualformer = model.require("dualformer")
    if settings.dualformer.standardise:
        dualformer.set_standardisation(*standardisation(train, spectrum, lightcurve))
    task = Align(settings, dualformer)
    history = stage.fit(task, lambda skip: loader(train, skip=skip), loader(valid, shuffle=False))
    return stage.finish(model.eval(), history)


def joined_model(spectrum: Network, lightcurve: Network, settings: Settings) -> Network:
    """A model with a spectrum encoder from one, a light-curve encoder from another, and a new DualFormer.

    Its settings are `settings`, with the encoders' and their preprocessing's own parts.
    """
    sources = {"spectrum": spectrum, "lightcurve": lightcurve}
    chosen = settings.model_copy(
        update={
            section: getattr(source.settings, section)
            for part, source in sources.items()
            for section in SECTIONS[part]
        }
    )
    torch.manual_seed(settings.seed)
    model = Network(chosen)
    for part, source in sources.items():
        for module in ("encoder", "head"):
            own = model.require(f"{part}_{module}")
            own.load_state_dict(source.require(f"{part}_{module}").state_dict())
            own.requires_grad_(False)
        for own, given in ((model.calibration, source.calibration), (model.references, source.references)):
            if part in given:
                own[part] = given[part]
    return model.eval()


def _loaders(
    train: Any, valid: Any, stage: _Stage, batch_size: int, workers: int
) -> tuple[Callable[[int], Any], Iterable[Any]]:
    """Endless training batches from the n-th on, and the validation batches."""
    size, seed = min(batch_size, len(train)), stage.settings.seed
    return (
        lambda skip: make_loader(train, size, seed, skip=skip, drop_last=True, workers=workers),
        make_loader(valid, size, seed, shuffle=False),
    )


def _labels(survey: Survey, names: Sequence[str], star: NDArray[np.int64]) -> Tensor:
    """(N, K) labels of rows that belong to stars."""
    columns = [survey.labels(name)[star] for name in names]
    return torch.from_numpy(np.stack(columns, axis=1) if columns else np.zeros((len(star), 0)))


def _both_features(
    model: Network, survey: Survey, cache: Path
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Cached features of both encoders; the main process computes them for all."""
    if not current().main:
        barrier()
    found = spectrum_features(model, survey, cache), lightcurve_features(model, survey, cache)
    if current().main:
        barrier()
    return found


def _whole(model: Network, device: torch.device) -> Network:
    """The model itself, or one with all of its weights where these lie spread over processes."""
    if not any(hasattr(parameter, "full_tensor") for parameter in model.parameters()):
        return model.eval()
    whole = Network(model.settings, model.parts)
    whole.load_state_dict(full_weights(model))
    return whole.to(device).eval()


def _need(count: int, what: str, survey: Survey) -> None:
    if count < 2:
        raise SurveyError(f"{survey.path}: the train split has {count} {what}; at least 2 are needed")


def _weights(folder: str | Path) -> str:
    try:
        return str(json.loads((Path(folder) / "model.json").read_text(encoding="utf-8"))["weights"])
    except (OSError, ValueError, KeyError):
        raise ModelError(f"{folder}: no model here") from None


def _opened(survey: Survey | str | Path) -> Survey:
    return survey if isinstance(survey, Survey) else Survey.open(survey)
