"""Training of fine-tuning heads of several kinds on the same stars."""

from __future__ import annotations

import copy
import hashlib
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from desa.config import Training
from desa.conformal import calibrate, conformal_quantile
from desa.evaluation.linear import LinearFit, folds_of, linear_classes, linear_quantiles, standardised
from desa.losses import pinball
from desa.models.finetuned import ROWS, Features, FineTuned, FineTuning, SideBySide
from desa.models.heads import new_head
from desa.survey.order import BatchOrder, ItemSampler
from desa.survey.splits import SPLITS
from desa.training.loop import fit
from desa.training.task import Interrupted, Task

Rows = NDArray[np.int64]

AUTO_PERCEPTRON = 200
"""Training stars from which on ``auto`` tries a perceptron beside the linear head."""

LEAST_CALIBRATION = 20
"""With fewer calibration stars a linear head is calibrated on its held-out predictions instead."""

LEAST_FOLDED = 10
"""Stars of which a head can be fitted to four parts in five, and its penalty chosen on parts of those."""


class Trainer:
    """Trains heads of several kinds on the same stars and keeps the best.

    Parameters
    ----------
    features
        Of N stars.
    values
        (N,) the label.
    index
        Split -> rows with the label.
    settings, aligner, seed, work
        As in `desa.finetune.head.fine_tune`.

    Raises
    ------
    ValueError
        With fewer than 5 training stars.
    """

    def __init__(
        self,
        features: Features,
        values: NDArray[np.float64],
        index: Mapping[str, Rows],
        settings: FineTuning,
        aligner: nn.Module | None,
        seed: int,
        work: Path | None = None,
    ) -> None:
        self.features, self.values, self.index, self.settings = features, values, index, settings
        self.aligner, self.seed, self.work = (aligner or SideBySide()).eval(), seed, work
        if len(index["train"]) < 5:
            raise ValueError(f"{len(index['train'])} labelled stars to train on; at least 5 are needed")
        with torch.no_grad():
            starts = range(0, len(features), ROWS)
            self.embedding = torch.cat([self.aligner(*features.slice(i).parts) for i in starts]).float()

    def best(self) -> tuple[FineTuned, str]:
        """The calibrated head that does best on the valid split, and its kind."""
        kinds: Sequence[str] = (self.settings.head,)
        if self.settings.head == "auto":
            kinds = ("linear", "perceptron") if len(self.index["train"]) >= AUTO_PERCEPTRON else ("linear",)
        models = {kind: self.train(kind) for kind in kinds}
        chosen = min(models, key=lambda kind: self.loss(models[kind], self.index["valid"]))
        model = models[chosen]
        if chosen == "linear" and not self.settings.unfreeze:
            model.calibration = self._refit(model)
        elif len(self.index["calibration"]):
            found = self.calibrate(model, *self._raw(model, "valid"), *self._raw(model, "calibration"))
            model.calibration = {**found, "stars": "calibration split"}
        return model, chosen

    def train(self, kind: str) -> FineTuned:
        """A head of one kind, fitted to the train split."""
        model = self._fresh(kind)
        if kind == "linear":
            model.head = self._solve(model, self.index["train"]).layer
        if kind != "linear" or self.settings.unfreeze:
            self._descend(model, kind)
        return model.eval()

    def _fresh(self, kind: str) -> FineTuned:
        """An untrained head; features and label are standardised by the training stars."""
        chosen, size = self.settings, self.embedding.shape[1]
        aligner = copy.deepcopy(self.aligner) if chosen.unfreeze else self.aligner
        model = FineTuned(chosen, aligner, new_head(kind, size, chosen), size)
        centre, scale = standardised(self.embedding, torch.from_numpy(self.index["train"]))
        model.centre.copy_(centre)
        model.scale.copy_(scale)
        if not chosen.classes:
            labels = self.values[self.index["train"]]
            model.label_centre.fill_(float(np.median(labels)))
            model.label_scale.fill_(float(labels.std()) or 1.0)
        return model

    def _solve(self, model: FineTuned, rows: Rows) -> LinearFit:
        """The linear head in closed form."""
        x = ((self.embedding[torch.from_numpy(rows)] - model.centre) / model.scale).double().numpy()
        if self.settings.classes:
            return linear_classes(x, self.values[rows].astype(np.int64), self.settings.outputs, self.seed)
        y = (self.values[rows] - float(model.label_centre)) / float(model.label_scale)
        return linear_quantiles(x, y, self.settings.quantiles, self.seed)

    def _refit(self, model: FineTuned) -> dict[str, Any]:
        """Fit the linear head to the valid stars too, and where the calibration stars are few to those.

        Those few then calibrate it with what folds said of all the stars: their intervals are those of
        models that saw a fifth fewer stars, a little too wide.
        """
        few = len(self.index["calibration"]) < LEAST_CALIBRATION
        parts = ("train", "valid", "calibration") if few else ("train", "valid")
        rows = np.concatenate([self.index[part] for part in parts])
        fit = self._solve(model, rows)
        model.head = fit.layer.eval()
        if few:
            found = self.calibrate(model, fit.held_out, rows, fit.held_out, rows)
            return {**found, "stars": "held out in cross-validation"}
        held = self.calibrate(model, fit.held_out, rows, *self._raw(model, "calibration"))
        return {**held, "stars": "calibration split"}

    def cross_validated(self, model: FineTuned, rows: Rows) -> NDArray[np.float64] | None:
        """What linear heads say of stars that they were not fitted to, penalty included.

        Parameters
        ----------
        model
            For the scale of features and label, which is of the training stars.
        rows
            (n,) stars with the label, of any split.

        Returns
        -------
        ndarray or None
            (n, Q) quantiles or (n, C) probabilities; None where the stars are too few to be parted.
        """
        if len(rows) < LEAST_FOLDED:
            return None
        classes = self.values[rows].astype(np.int64) if self.settings.classes else None
        if classes is not None and np.unique(classes, return_counts=True)[1].min() < 2:
            return None
        raw = torch.zeros(len(rows), self.settings.outputs, dtype=torch.float64)
        for train, test in folds_of(len(rows), self.seed, classes):
            x = (self.embedding[torch.from_numpy(rows[test])] - model.centre) / model.scale
            with torch.no_grad():
                raw[torch.from_numpy(test)] = self._solve(model, rows[train]).layer(x).double()
        if classes is not None:
            return raw.softmax(dim=1).numpy()
        centre, scale = float(model.label_centre), float(model.label_scale)
        return np.asarray(np.sort(centre + scale * raw.numpy(), axis=1))

    def targets(self, index: Tensor, model: FineTuned) -> Tensor:
        """What the head should say of some stars, by their rows."""
        values = self.values[index.numpy()]
        if self.settings.classes:
            return torch.from_numpy(values.astype(np.int64))
        scaled = (values - float(model.label_centre)) / float(model.label_scale)
        return torch.from_numpy(scaled.astype(np.float32))

    def loss_of(self, raw: Tensor, target: Tensor) -> Tensor:
        """Cross entropy of classes, quantile loss of numbers."""
        if self.settings.classes:
            return F.cross_entropy(raw, target)
        return pinball(raw[:, None], target[:, None], self.settings.quantiles)

    def read(self, model: FineTuned, index: Tensor) -> Tensor:
        """What the head says of some stars, by their rows."""
        if model.aligner is self.aligner:
            return model.read(self.embedding[index])
        return model.read(model.aligner(*self.features.rows(index).parts))

    @torch.no_grad()
    def _raw(self, model: FineTuned, part: str) -> tuple[NDArray[np.float64], Rows]:
        """What the head says of a split, and its rows."""
        rows, model = self.index[part], model.eval()
        found = (
            [self.read(model, part) for part in torch.split(torch.from_numpy(rows), ROWS)]
            if len(rows)
            else []
        )
        raw = torch.cat(found) if found else torch.zeros(0, self.settings.outputs)
        return raw.double().numpy(), rows

    @torch.no_grad()
    def loss(self, model: FineTuned, rows: Rows) -> float:
        """Loss on some stars, in evaluation mode."""
        model.eval()
        index = torch.from_numpy(rows)
        raw = torch.cat([self.read(model, part) for part in torch.split(index, ROWS)])
        return float(self.loss_of(raw, self.targets(index, model)))

    def _descend(self, model: FineTuned, kind: str) -> None:
        """Gradient descent until the valid split gets no better; the best epoch's weights stay.

        Raises
        ------
        Interrupted
            If a signal stopped it.
        """
        chosen, train, valid = self.settings, self.index["train"], self.index["valid"]
        each = math.ceil(len(train) / chosen.batch_size)
        training = Training(
            steps=each * chosen.epochs,
            batch_size=math.ceil(len(train) / each),
            learning_rate=chosen.learning_rate,
            weight_decay=chosen.weight_decay,
            validate_every=each,
            validate_start=True,
            patience=chosen.patience,
        )

        def batches(skip: int) -> Iterator[Tensor]:
            sampler = ItemSampler(train, self.seed, shuffle=True)
            for draw in BatchOrder(sampler, training.batch_size, epochs=None, skip=skip):
                yield torch.from_numpy(train[draw.items])

        digest = self._digest(kind)
        history = fit(
            FitHead(self, model),
            batches,
            torch.split(torch.from_numpy(valid), ROWS),
            training,
            self.work and self.work / f"{kind}-{digest}",
            seed=self.seed,
            resume=True,
            identity={"data": digest},
        )
        if history.stopped == "signal":
            raise Interrupted(f"stopped by {history.signal} after step {history.step} of {training.steps}")

    def _digest(self, kind: str) -> str:
        """Hash of everything that a head of a kind is trained on."""
        digest = hashlib.blake2b(f"{kind} {self.settings} {self.seed}".encode(), digest_size=8)
        rows = (self.index[part] for part in SPLITS)
        for array in (self.embedding.numpy(), self.values, *rows):
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    def calibrate(
        self,
        model: FineTuned,
        tuning: NDArray[np.float64],
        tuning_rows: Rows,
        raw: NDArray[np.float64],
        rows: Rows,
    ) -> dict[str, Any]:
        """Calibration from what the head said of stars that it was not fitted to.

        Parameters
        ----------
        model
            For the label's centre and scale.
        tuning, tuning_rows
            (M, outputs) and which stars, for the temperature of classes.
        raw, rows
            (N, outputs) and which stars, for the conformal part.
        """
        if self.settings.classes:
            classes = torch.from_numpy(self.values[tuning_rows].astype(np.int64))
            return self._class_calibration(best_temperature(torch.from_numpy(tuning), classes), raw, rows)
        centre, scale = float(model.label_centre), float(model.label_scale)
        predicted = np.sort(centre + scale * raw, axis=1)
        known = self.values[rows]
        return calibrate(predicted[:, None], known[:, None], self.settings.quantiles, self.settings.coverages)

    def _class_calibration(self, temperature: float, raw: NDArray[np.float64], rows: Rows) -> dict[str, Any]:
        shares = torch.from_numpy(raw / temperature).softmax(1).numpy()
        scores = 1.0 - shares[np.arange(len(rows)), self.values[rows].astype(np.int64)]
        thresholds = [conformal_quantile(scores, coverage) for coverage in self.settings.coverages]
        return {
            "temperature": temperature,
            "coverages": list(self.settings.coverages),
            "thresholds": [value if math.isfinite(value) else None for value in thresholds],
            "counts": len(rows),
        }


class FitHead(Task):
    """A head on cached features, and the aligner under it where that is trained too; batches are rows.

    Parameters
    ----------
    trainer
        Has the features, the labels and the loss.
    model
        Its head is trained in place.
    """

    name = "head"

    def __init__(self, trainer: Trainer, model: FineTuned) -> None:
        super().__init__()
        # In a tuple the model is no submodule: a frozen aligner, the caller's, is neither trained nor stored.
        self.given, self.head = (trainer, model), model.head
        self.aligner = model.aligner if trainer.settings.unfreeze else None

    def loss(self, index: Tensor) -> Tensor:
        """Loss of some stars, by their rows."""
        trainer, model = self.given
        return trainer.loss_of(trainer.read(model, index), trainer.targets(index, model))

    def groups(self) -> list[tuple[list[nn.Parameter], float]]:
        """The head, and the aligner at a rate of its own."""
        aligner = [] if self.aligner is None else list(self.aligner.parameters())
        return [(list(self.head.parameters()), 1.0), (aligner, self.given[0].settings.aligner_rate)]

    def training_step(self, batch: Tensor, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """Loss of some stars."""
        return self.loss(batch), {}

    def validation_step(self, batch: Tensor, generator: torch.Generator) -> dict[str, tuple[float, float]]:
        """The same, in evaluation mode."""
        return {"loss": (float(self.loss(batch)) * len(batch), float(len(batch)))}


def best_temperature(logits: Tensor, target: Tensor) -> float:
    """Temperature (Guo et al. 2017) with the least cross entropy, between 1/4 and 8; 1 without stars."""
    if not len(target):
        return 1.0
    options = np.geomspace(0.25, 8.0, 41)
    return float(options[int(np.argmin([float(F.cross_entropy(logits / t, target)) for t in options]))])
