"""Training of fine-tuning heads of several kinds on the same stars."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from desa.conformal import calibrate, conformal_quantile
from desa.evaluation.linear import LinearFit, Perceptron, linear_classes, linear_quantiles, standardised
from desa.losses import pinball
from desa.models.finetuned import ROWS, Features, FineTuned, FineTuning, SideBySide
from desa.models.heads import FineTuningHead

PARTS = ("train", "valid", "calibration", "test")
Rows = NDArray[np.int64]

AUTO_PERCEPTRON = 200
"""Training stars from which on ``auto`` tries a perceptron beside the linear head."""

LEAST_CALIBRATION = 20
"""With fewer calibration stars a linear head is calibrated on its held-out predictions instead."""


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
    settings, aligner, seed
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
    ) -> None:
        self.features, self.values, self.index, self.settings = features, values, index, settings
        self.aligner, self.seed = (aligner or SideBySide()).eval(), seed
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
            self._descend(model)
        return model.eval()

    def _fresh(self, kind: str) -> FineTuned:
        """An untrained head; features and label are standardised by the training stars."""
        chosen, size = self.settings, self.embedding.shape[1]
        head: nn.Module = nn.Linear(size, chosen.outputs)
        if kind == "perceptron":
            head = Perceptron(size, chosen.outputs, chosen.hidden, chosen.dropout)
        if kind == "transformer":
            head = FineTuningHead(
                size, chosen.outputs, chosen.width, chosen.blocks, chosen.heads, chosen.dropout
            )
        aligner = copy.deepcopy(self.aligner) if chosen.unfreeze else self.aligner
        model = FineTuned(chosen, aligner, head, size)
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

    def _targets(self, rows: Rows, model: FineTuned) -> Tensor:
        if self.settings.classes:
            return torch.from_numpy(self.values[rows].astype(np.int64))
        scaled = (self.values[rows] - float(model.label_centre)) / float(model.label_scale)
        return torch.from_numpy(scaled.astype(np.float32))

    def _loss(self, raw: Tensor, target: Tensor) -> Tensor:
        if self.settings.classes:
            return F.cross_entropy(raw, target)
        return pinball(raw[:, None], target[:, None], self.settings.quantiles)

    def _of(self, model: FineTuned, rows: Rows) -> Tensor:
        """What the head says of some stars."""
        index = torch.from_numpy(rows)
        if model.aligner is self.aligner:
            return model.read(self.embedding[index])
        return model.read(model.aligner(*self.features.rows(index).parts))

    @torch.no_grad()
    def _raw(self, model: FineTuned, part: str) -> tuple[NDArray[np.float64], Rows]:
        """What the head says of a split, and its rows."""
        rows, model = self.index[part], model.eval()
        found = [self._of(model, rows[i : i + ROWS]) for i in range(0, len(rows), ROWS)]
        raw = torch.cat(found) if found else torch.zeros(0, self.settings.outputs)
        return raw.double().numpy(), rows

    @torch.no_grad()
    def loss(self, model: FineTuned, rows: Rows) -> float:
        """Loss on some stars, in evaluation mode."""
        model.eval()
        parts = [self._of(model, rows[i : i + ROWS]) for i in range(0, len(rows), ROWS)]
        return float(self._loss(torch.cat(parts), self._targets(rows, model)))

    def _descend(self, model: FineTuned) -> None:
        """AdamW with early stopping on the valid split; the best epoch's weights stay (the start counts)."""
        chosen, train = self.settings, self.index["train"]
        groups = [{"params": list(model.head.parameters()), "lr": chosen.learning_rate}]
        if chosen.unfreeze:
            rate = chosen.learning_rate * chosen.aligner_rate
            groups.append({"params": list(model.aligner.parameters()), "lr": rate})
        optimizer = torch.optim.AdamW([g for g in groups if g["params"]], weight_decay=chosen.weight_decay)
        generator = np.random.default_rng(self.seed)
        best, kept, waited = self.loss(model, self.index["valid"]), copy.deepcopy(model.state_dict()), 0
        for _ in range(chosen.epochs):
            model.train()
            order = generator.permutation(train)
            for rows in np.array_split(order, math.ceil(len(order) / chosen.batch_size)):
                optimizer.zero_grad()
                loss = self._loss(self._of(model, rows), self._targets(rows, model))
                loss.backward()  # type: ignore[no-untyped-call]
                nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                optimizer.step()
            now = self.loss(model, self.index["valid"])
            waited += 1
            if now < best:
                best, kept, waited = now, copy.deepcopy(model.state_dict()), 0
            if waited >= chosen.patience:
                break
        model.load_state_dict(kept)

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


def best_temperature(logits: Tensor, target: Tensor) -> float:
    """Temperature (Guo et al. 2017) with the least cross entropy, between 1/4 and 8; 1 without stars."""
    if not len(target):
        return 1.0
    options = np.geomspace(0.25, 8.0, 41)
    return float(options[int(np.argmin([float(F.cross_entropy(logits / t, target)) for t in options]))])
