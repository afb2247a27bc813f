"""The three stages of training, from a survey to a model folder."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain, compress
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from desa.config import Settings
from desa.conformal import calibrate
from desa.devices import choose_device
from desa.errors import SurveyError
from desa.inference.encode import lightcurve_features, spectrum_features, split_quantiles, survey_references
from desa.models.network import COMPONENTS, Network
from desa.models.storage import read_facts
from desa.survey.batches import LightCurveDataset, SpectrumDataset, loader_of, make_loader
from desa.survey.mixture import MixedDataset, MixedOrder, Mixture, SurveysLike, largest_batch
from desa.survey.order import ItemSampler
from desa.survey.selection import Pairs, prior_of
from desa.survey.splits import SPLITS
from desa.survey.store import Survey
from desa.training.alignment import Align
from desa.training.checkpoint import full_weights
from desa.training.distributed import barrier, current, join
from desa.training.folds import Fold
from desa.training.pairs import (
    PairLoader,
    mixed_pairs,
    split_pairs,
    standardisation,
    targets_of,
)
from desa.training.stage import SECTIONS, Stage
from desa.training.tasks import PretrainLightCurve, PretrainSpectrum
from desa.types import Part

CACHE = "features"
"""Folder of the encoders' features, in the alignment's."""

LEAST_REAL = 20
"""Real calibration stars with each label, from which on mock ones are left out of the calibration."""


def pretrain_spectrum(
    survey: SurveysLike,
    settings: Settings,
    out: str | Path,
    *,
    start: str | Path | None = None,
    fold: str | None = None,
    device: str = "auto",
    resume: bool = True,
    progress: bool = False,
) -> Network:
    """Pre-train the spectrum encoder on the spectra of the train split.

    Parameters
    ----------
    survey
        A survey or its folder, or several; see `desa.survey.mixture.Mixture.of`.
    settings
        All settings; ``train_spectrum`` and ``objective_spectrum`` are this stage's.
    out
        The run's folder: ``metrics.jsonl``, ``tensorboard/``, ``checkpoint.pt``, and at the end ``model/``
        (the weights that did best on the valid split) and ``run.json``.
    start
        Folder of a model whose encoder it begins with, in that encoder's own sizes and preprocessing; with
        its head too, if that is for the same labels. None begins with random weights.
    fold
        Train on all stars of the real surveys but a fold, ``"2/3"``, or on ``"all"``; see
        `desa.training.folds`. There is then no validation, and the last weights are kept. None: the splits.
    device
        ``"auto"``, ``"cpu"``, ``"cuda"``. Under `torchrun`, each process its own.
    resume
        Go on from the folder's checkpoint, if it has one.
    progress
        Show a bar.

    Returns
    -------
    Network
        The encoder with its head, calibrated on the calibration split: on that of the real surveys, if there
        are any with enough labels. Without labels, or where ``supervised`` is 0, the encoder alone.

    Raises
    ------
    SurveyError
        If the train split of a survey holds too few spectra.
    ModelError
        If the folder's checkpoint is of another run.
    Interrupted
        If a signal stopped the run; it can be resumed.
    """
    return _pretrain("spectrum", survey, settings, out, start, device, resume, progress, fold)


def pretrain_lightcurve(
    survey: SurveysLike,
    settings: Settings,
    out: str | Path,
    *,
    start: str | Path | None = None,
    device: str = "auto",
    resume: bool = True,
    progress: bool = False,
) -> Network:
    """Pre-train the light-curve encoder; parameters, result and errors as `pretrain_spectrum`'s."""
    return _pretrain("lightcurve", survey, settings, out, start, device, resume, progress)


def _pretrain(
    part: Part,
    survey: SurveysLike,
    settings: Settings,
    out: str | Path,
    start: str | Path | None,
    device: str,
    resume: bool,
    progress: bool,
    fold: str | None = None,
) -> Network:
    join(choose_device(device))
    surveys, begin = Mixture.of(survey), None if start is None else Network.load(start)
    if fold is not None:
        kept_out = Fold.of(fold)
        surveys = replace(surveys, surveys=tuple(kept_out.split(one) for one in surveys.surveys))
    if begin is not None:
        own = {section: getattr(begin.settings, section) for section in (part, f"preprocess_{part}")}
        settings = settings.model_copy(update=own)
    made_from = "" if start is None else weights_of(start)
    begun = () if begin is None else (begin,)
    stage = Stage(
        part, surveys, settings, Path(out), choose_device(device), resume, progress, made_from, begun
    )
    with stage.claimed():
        train, valid = (
            [_data(one, settings, part, split) for one in surveys.surveys] for split in SPLITS[:2]
        )
        for one, data in zip(surveys.surveys, train, strict=True):
            _need(len(data), "spectra" if part == "spectrum" else "light curves", one)
        torch.manual_seed(settings.seed)
        task = PretrainSpectrum(settings) if part == "spectrum" else PretrainLightCurve(settings)
        objective = getattr(settings, f"objective_{part}")
        labels = torch.cat([_labels(data.survey, objective.labels, data.star) for data in train])
        task.start_at(labels)
        if begin is not None:
            task.begin_with(begin)
        world, seed = current(), settings.seed
        size = largest_batch(stage.batch_size, [len(data) for data in train], surveys.shares, world.size)

        def batches(skip: int) -> Iterable[Any]:
            order = MixedOrder(
                [ItemSampler(data.star, seed, shuffle=True) for data in train],
                surveys.shares,
                size,
                skip=skip,
                rank=world.rank,
                world=world.size,
            )
            return loader_of(MixedDataset(train, surveys), order, stage.training.workers)

        held = Chained([make_loader(data, size, seed, shuffle=False) for data in valid])
        each = sum(len(data) for data in train) // (size * world.size)
        history = stage.fit(task, batches, held if fold is None else None, each)
        model = _whole(task.model, stage.device)
        if objective.supervised and torch.isfinite(labels).any():
            model.calibration[part] = _calibration(model, surveys, part)
        else:  # a head that no label has taught would predict nonsense
            setattr(model, f"{part}_head", None)
        model.references = survey_references(model, surveys.surveys, part)
        facts = {} if fold is None else {"fold": fold}
        return stage.finish(model, history, [len(np.unique(data.star)) for data in train], **facts)


class Chained:
    """Several things to go through, one after the other, as often as is asked for."""

    def __init__(self, parts: Sequence[Iterable[Any]]) -> None:
        self.parts = parts

    def __iter__(self) -> Iterator[Any]:
        return chain.from_iterable(self.parts)


def _data(survey: Survey, settings: Settings, part: Part, split: str) -> SpectrumDataset | LightCurveDataset:
    """What an encoder is trained on: spectra, or two crops of each light curve."""
    if part == "spectrum":
        return SpectrumDataset(
            survey,
            split,
            settings.objective_spectrum.labels,
            grid=settings.preprocess_spectrum.grid,
        )
    crop, labels = settings.preprocess_lightcurve, settings.objective_lightcurve.labels
    return LightCurveDataset(survey, split, crop.length, 2, labels, crop.min_valid)


def _calibration(model: Network, surveys: Mixture, part: Part) -> dict[str, Any]:
    """Of a head, by the calibration split: real stars alone, if there are enough of them with each label."""
    found = [split_quantiles(model, survey, part, "calibration") for survey in surveys.surveys]
    counts = np.stack([np.isfinite(targets).sum(axis=0) for _, targets in found])
    chosen = np.array([survey.kind == "real" for survey in surveys.surveys])
    if np.any(counts[chosen].sum(axis=0) < LEAST_REAL):
        chosen = np.asarray(counts.any(axis=1))
    if chosen.any():
        surveys, found = surveys.only(list(chosen)), list(compress(found, chosen))
    quantiles, targets = (np.concatenate(parts) for parts in zip(*found, strict=True))
    calibration = calibrate(quantiles, targets, getattr(model.settings, f"objective_{part}").quantiles)
    return {**calibration, "stars": surveys.data}


def align(
    survey: SurveysLike,
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

    The encoders are frozen, so their features are computed once and kept in ``out/features``. Of several
    surveys those count that have training stars with both. Other parameters, result and errors as
    `pretrain_spectrum`'s. A run whose projections have lost their rank is marked: ``metadata["collapsed"]``.

    Raises
    ------
    SurveyError
        If no survey has two training stars with both modalities.
    ModelError
        If a model folder lacks its encoder.
    """
    join(choose_device(device))
    given, out, world = Mixture.of(survey), Path(out), current()
    counts = [len(np.unique(split_pairs(one, "train").star)) for one in given.surveys]
    most = int(np.argmax(counts))
    _need(counts[most] // world.size, "stars with light curve and spectrum", given.surveys[most])
    surveys = given.only([count // world.size >= 2 for count in counts])
    models = spectrum_model, lightcurve_model
    stage = joining_stage("align", surveys, models, settings, out, device, resume, progress)
    with stage.claimed():
        model = joined_model(stage.models[0], stage.models[1], settings)
        model.to(stage.device)
        features = [_both_features(model, one, out / CACHE) for one in surveys.surveys]
        spectrum, lightcurve = (_concatenated(rows) for rows in zip(*features, strict=True))
        priors = [prior_of(one, settings.dualformer.prior) for one in surveys.surveys]
        prior = None if priors[0] is None else torch.cat([rows for rows in priors if rows is not None])
        train, valid = (mixed_pairs(surveys, split) for split in SPLITS[:2])
        targets = None
        if settings.alignment.supervised:
            objectives = (settings.objective_spectrum, settings.objective_lightcurve)
            targets = torch.cat([targets_of(one, objectives) for one in surveys.surveys])

        def loader(part: Pairs, *, skip: int = 0, shuffle: bool = True) -> PairLoader:
            return PairLoader(
                part,
                spectrum,
                lightcurve,
                prior,
                stage.batch_size,
                seed=settings.seed,
                skip=skip,
                rank=world.rank,
                world=world.size,
                shuffle=shuffle,
                targets=targets,
                shares=surveys.shares,
                first_star=surveys.first_star,
            )

        dualformer = model.require("dualformer")
        if settings.dualformer.standardise:
            dualformer.set_standardisation(*standardisation(train, spectrum, lightcurve))
        task, each = (
            Align(settings, dualformer),
            sum(counts) // (stage.batch_size * world.size),
        )
        history = stage.fit(task, lambda skip: loader(train, skip=skip), loader(valid, shuffle=False), each)
        return stage.finish(model.eval(), history, [count for count in counts if count // world.size >= 2])


def joining_stage(
    name: str,
    surveys: Mixture,
    models: tuple[str | Path, str | Path],
    settings: Settings,
    out: Path,
    device: str,
    resume: bool,
    progress: bool,
) -> Stage:
    """A stage that joins the encoders of two model folders, the spectrum's and the light curve's."""
    made_from = " ".join(weights_of(folder) for folder in models)
    both = tuple(Network.load(folder) for folder in models)
    return Stage(name, surveys, settings, out, choose_device(device), resume, progress, made_from, both)


def joined_model(
    spectrum: Network, lightcurve: Network, settings: Settings, parts: Sequence[str] = COMPONENTS
) -> Network:
    """A model with a spectrum encoder from one, a light-curve encoder from another, and what joins them, new.

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
    model = Network(chosen, parts)
    for part, source in sources.items():
        if getattr(source, f"{part}_head") is None:
            setattr(model, f"{part}_head", None)
        for module in (f"{part}_encoder", f"{part}_head"):
            own = getattr(model, module)
            if own is not None:
                own.load_state_dict(source.require(module).state_dict())
                own.requires_grad_(False)
        for own, given in ((model.calibration, source.calibration), (model.references, source.references)):
            if part in given:
                own[part] = given[part]
        if part == "spectrum":
            model.spectrum_check = source.spectrum_check
    return model.eval()


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


def weights_of(folder: str | Path) -> str:
    """Hash of a model folder's weights."""
    return read_facts(folder).weights


def _concatenated(rows: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Rows of several surveys; of one as they are, which may lie on disk."""
    return rows[0] if len(rows) == 1 else np.concatenate(rows)
