"""The joint stage: both encoders' token sequences to one embedding and its labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from desa.config import GAIA, Settings
from desa.conformal import calibrate
from desa.devices import choose_device
from desa.errors import SurveyError
from desa.inference.tokens import NAMES, Rows, survey_tokens
from desa.models.joint import Joint, Tokens
from desa.models.network import Network
from desa.survey.mixture import Mixture, SurveysLike
from desa.survey.selection import Pairs
from desa.survey.store import Survey
from desa.training.distributed import barrier, current, join
from desa.training.joining import Join, JointBatch
from desa.training.pairs import PairLoader, mixed_pairs
from desa.training.stages import joined_model, joining_stage

CACHE = "tokens"
BINARY = "binary"
YOUNGEST = 0.05
"""Gyr; younger ages count as this in their logarithm."""

UNSEEN = ("wide",)
"""Companions that neither light curve nor spectrum shows: what such a star is stays unsaid."""


def label_of(survey: Survey, name: str) -> NDArray[np.float64]:
    """(n_stars,) a label of the joint stage, NaN where missing; ``log_age`` is log10 of the age in Gyr."""
    if name != "log_age":
        return survey.labels(name)
    with np.errstate(invalid="ignore", divide="ignore"):
        age = survey.labels("age")
        return np.asarray(np.log10(np.where(age < YOUNGEST, YOUNGEST, age)))


def binary_of(survey: Survey) -> NDArray[np.float64]:
    """(n_stars,) 1 with a companion that data can show, 0 without any, NaN where unknown or unseen."""
    if BINARY not in survey.stars.column_names:
        return np.full(survey.n_stars, np.nan)
    known = survey.labels(BINARY)
    if "binary_kind" in survey.stars.column_names:
        kinds = np.array([kind or "" for kind in survey.stars.column("binary_kind").to_pylist()])
        known = np.where(np.isin(kinds, UNSEEN), np.nan, known)
    return known


class JointLoader(PairLoader):
    """Batches of `JointBatch`, in the order of `PairLoader`.

    Parameters
    ----------
    pairs, batch_size, order
        As in `PairLoader`; `order` holds its named arguments.
    caches
        Of each survey the arrays of `survey_tokens`.
    labels, binary, gaia
        (n_stars, K), (n_stars,), (n_stars, 3), numbered on through the surveys.
    """

    def __init__(
        self,
        pairs: Pairs,
        caches: Sequence[Rows],
        labels: Tensor,
        binary: Tensor,
        gaia: Tensor,
        batch_size: int,
        **order: object,
    ) -> None:
        nothing = np.zeros((0, 0), np.float32)
        super().__init__(pairs, nothing, nothing, None, batch_size, **order)  # type: ignore[arg-type]
        self.caches, self.labels, self.binary, self.gaia = caches, labels, binary, gaia

    def _pick(self, rows: NDArray[np.int64]) -> JointBatch:  # type: ignore[override]
        return self.batch(self.pairs.where(rows))

    def batch(self, pairs: Pairs) -> JointBatch:
        """The batch of some pairs."""
        star = torch.from_numpy(pairs.star)
        row_of = {"spectrum": pairs.spectrum, "lightcurve": pairs.lightcurve}
        rows = {
            name: torch.from_numpy(_rows(self.caches, name, row_of[part]).astype(np.float32))
            for part, names in NAMES.items()
            for name in names
        }
        present = torch.from_numpy(np.stack([pairs.spectrum >= 0, pairs.lightcurve >= 0], axis=1))
        return JointBatch(
            Tokens(**rows, present=present, gaia=self.gaia[star]), self.labels[star], self.binary[star]
        )


def _rows(caches: Sequence[Rows], name: str, rows: NDArray[np.int64]) -> NDArray[np.float16]:
    """Rows of several surveys' arrays, numbered on from one to the next."""
    first = np.cumsum([0, *(len(cache[name]) for cache in caches)])
    survey = np.searchsorted(first, rows, side="right") - 1
    found = np.empty((len(rows), *caches[0][name].shape[1:]), np.float16)
    for place, cache in enumerate(caches):
        own = survey == place
        found[own] = cache[name][rows[own] - first[place]]
    return found


def train_joint(
    survey: SurveysLike,
    spectrum_model: str | Path,
    lightcurve_model: str | Path,
    settings: Settings,
    out: str | Path,
    *,
    device: str = "auto",
    resume: bool = True,
    progress: bool = False,
    cache: str | Path | None = None,
) -> Network:
    """Train the joint model on stars that have both modalities.

    The encoders stay as they are, with their heads. What lies before their last blocks is computed once, of
    each light curve's best window and each spectrum as it is, and kept; copies of the last blocks train
    along with the fusion (`joining.encoders`).

    Parameters
    ----------
    survey, settings, out, device, resume, progress
        As in `desa.training.stages.pretrain_spectrum`; ``joining``, ``objective_joint`` and ``train_joint``
        are this stage's.
    spectrum_model, lightcurve_model
        Folders of the models whose encoders it reads.
    cache
        Folder for the tokens; None: ``out/tokens``.

    Returns
    -------
    Network
        Both encoders and the joint model; its labels calibrated on the calibration split where
        ``joining.supervised`` taught it any.

    Raises
    ------
    SurveyError
        If no survey has two training stars with both modalities.
    ModelError
        If a model folder lacks its encoder, or the run's checkpoint is of another run.
    Interrupted
        If a signal stopped the run; it can be resumed.
    """
    join(choose_device(device))
    surveys, world, out = Mixture.of(survey), current(), Path(out)
    models = spectrum_model, lightcurve_model
    stage = joining_stage("joint", surveys, models, settings, out, device, resume, progress)
    with stage.claimed():
        model = joined_model(stage.models[0], stage.models[1], settings, ("lightcurve", "spectrum", "joint"))
        model.to(stage.device)
        joint: Joint = model.require("joint")
        joint.copy_tails(model.require("spectrum_encoder"), model.require("lightcurve_encoder"))
        data = JointData(model, surveys, settings, Path(cache) if cache else out / CACHE)
        train = data.pairs("train")
        if len(np.unique(train.star)) // world.size < 2:
            raise SurveyError("too few training stars with light curve and spectrum: at least 2 are needed")
        data.standardise(joint, train)
        task = Join(settings, joint)
        stars = np.unique(train.star)
        task.start_at(data.labels[stars], data.binary[stars])
        order = {"seed": settings.seed, "rank": world.rank, "world": world.size, "shares": surveys.shares}
        order["first_star"] = surveys.first_star
        size = stage.batch_size
        history = stage.fit(
            task,
            lambda skip: data.loader(train, size, skip=skip, **order),
            data.loader(data.pairs("valid"), size, shuffle=False, **order),
            len(stars) // (size * world.size),
        )
        model.eval()
        if settings.joining.supervised:
            model.calibration["joint"] = data.calibration(model)
        return stage.finish(model, history, [len(stars)])


class JointData:
    """Tokens and labels of surveys, for the joint stage.

    Parameters
    ----------
    model
        With both encoders.
    surveys, settings
        Whose stars, and which labels.
    cache
        Folder for the tokens.
    """

    def __init__(self, model: Network, surveys: Mixture, settings: Settings, cache: Path) -> None:
        if not current().main:
            barrier()
        self.caches = [survey_tokens(model, one, cache) for one in surveys.surveys]
        if current().main:
            barrier()
        self.surveys, self.settings = surveys, settings
        labels = settings.objective_joint.labels

        def columns(names: Sequence[str]) -> Tensor:
            found = [[label_of(one, name) for name in names] for one in surveys.surveys]
            return torch.from_numpy(np.concatenate([np.stack(rows, axis=1) for rows in found])).float()

        self.labels, self.gaia = columns(labels), columns(GAIA)
        self.binary = torch.from_numpy(np.concatenate([binary_of(one) for one in surveys.surveys])).float()

    def pairs(self, split: str) -> Pairs:
        """All pairs of a split."""
        return mixed_pairs(self.surveys, split)

    def loader(self, pairs: Pairs, size: int, **order: object) -> JointLoader:
        """Batches of pairs."""
        return JointLoader(pairs, self.caches, self.labels, self.binary, self.gaia, size, **order)

    def batches(self, pairs: Pairs, size: int = 128) -> list[JointBatch]:
        """Every pair, in order."""
        loader = self.loader(pairs, size, shuffle=False)
        return [
            loader.batch(pairs.where(np.arange(len(pairs))[i : i + size])) for i in range(0, len(pairs), size)
        ]

    @torch.inference_mode()
    def standardise(self, joint: Joint, pairs: Pairs) -> None:
        """Set the constants of features and Gaia over training pairs."""
        device = joint.queries.device
        rows = [joint.tails(batch.tokens.to(device))[2:] for batch in self.batches(pairs)]
        for name, parts in zip(("spectrum", "lightcurve"), zip(*rows, strict=True), strict=True):
            joint.set_standardisation(name, torch.cat(parts))
        joint.set_standardisation("gaia", self.gaia[torch.from_numpy(pairs.star)].to(device))

    @torch.inference_mode()
    def said(self, model: Network, pairs: Pairs, only: int | None = None) -> dict[str, NDArray[np.float64]]:
        """Joint embedding, its fused part, label quantiles and chance of a companion of pairs.

        Parameters
        ----------
        model
            With the joint model.
        pairs
            Of the surveys.
        only
            0 or 1: read the spectrum or the light curve alone.
        """
        joint: Joint = model.require("joint")
        found: dict[str, list[Tensor]] = {"joint": [], "fused": [], "quantiles": [], "binary": []}
        for batch in self.batches(pairs):
            tokens = batch.tokens.to(model.device)
            output = joint(tokens if only is None else tokens.only(only))
            found["joint"].append(output.joint)
            found["fused"].append(output.fused)
            found["quantiles"].append(joint.quantiles(output.joint))
            found["binary"].append(torch.sigmoid(joint.companion_chance(output.joint)))
        return {name: torch.cat(parts).double().cpu().numpy() for name, parts in found.items()}

    def calibration(self, model: Network) -> dict[str, object]:
        """Conformal calibration of the labels on the calibration split, one pair a star."""
        pairs = self.pairs("calibration")
        pairs = pairs.where(np.unique(pairs.star, return_index=True)[1])
        said = self.said(model, pairs)
        star = torch.from_numpy(pairs.star)
        found = calibrate(
            said["quantiles"], self.labels[star].numpy(), self.settings.objective_joint.quantiles
        )
        return {**found, "stars": self.surveys.data}
