"""A fine-tuned head: its settings, what it reads, and the module with its calibration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from torch import Tensor, nn

from desa.config import Blocks, Heads, Quantiles, Share, Width
from desa.conformal import COVERAGES

Head = Literal["auto", "linear", "perceptron", "transformer"]

ROWS = 256
"""Stars at once where nothing is learnt."""


@dataclass(frozen=True)
class FineTuning:
    """How a head is trained.

    Parameters
    ----------
    classes
        Names of the classes; empty for a regression.
    head
        ``"linear"``: ridge or logistic regression, the penalty by cross-validation; ``"perceptron"``: one
        hidden layer; ``"transformer"``: the paper's, over the embedding's numbers as tokens; ``"auto"``: of
        the first two the one that does better on the valid split.
    unfreeze
        Train a copy of the aligner too (a linear head starts from its frozen solution).
    quantiles
        Levels that a regression predicts, ascending, with 0.5.
    coverages
        Of the calibrated intervals or sets.
    hidden, width, blocks, heads, dropout
        Sizes of perceptron and transformer.
    learning_rate, aligner_rate, weight_decay
        Of AdamW; `aligner_rate` is a factor on the learning rate of an unfrozen aligner.
    batch_size, epochs, patience
        Training stops where the valid split has not got better for `patience` epochs.
    """

    classes: Annotated[tuple[str, ...], Field(max_length=4096)] = ()
    head: Head = "auto"
    unfreeze: bool = False
    quantiles: Quantiles = (0.05, 0.16, 0.5, 0.84, 0.95)
    coverages: Quantiles = COVERAGES
    hidden: Width = 64
    width: Width = 32
    blocks: Blocks = 2
    heads: Heads = 4
    dropout: Share = 0.1
    learning_rate: float = 1e-3
    aligner_rate: float = 0.1
    weight_decay: float = 1e-2
    batch_size: int = 64
    epochs: int = 60
    patience: int = 8

    @property
    def outputs(self) -> int:
        """Numbers that the head gives for a star."""
        return len(self.classes) or len(self.quantiles)


@dataclass(frozen=True, eq=False)
class Features:
    """Cached features of N stars, what a head reads.

    Parameters
    ----------
    spectrum, lightcurve
        (N, F1), (N, F2) finite features of the encoders; None where the head is to do without.
    prior
        (N, k) or None, as the aligner takes it.
    """

    spectrum: Tensor | None
    lightcurve: Tensor | None
    prior: Tensor | None = None

    def __len__(self) -> int:
        given = [part for part in (self.spectrum, self.lightcurve) if part is not None]
        if not given:
            raise ValueError("give spectrum features, light-curve features, or both")
        return len(given[0])

    @property
    def parts(self) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """What an aligner is called with."""
        return self.spectrum, self.lightcurve, self.prior

    def rows(self, index: Any) -> Features:
        """Some stars."""
        return Features(*(None if part is None else part[index] for part in self.parts))

    def slice(self, start: int) -> Features:
        """Up to `ROWS` stars from one on."""
        return self.rows(slice(start, start + ROWS))


class SideBySide(nn.Module):
    """No aligner: the features there are, side by side."""

    def forward(
        self, spectrum: Tensor | None, lightcurve: Tensor | None, prior: Tensor | None = None
    ) -> Tensor:
        """(B, F1), (B, F2) -> (B, F1 + F2); the prior is not read."""
        return torch.cat([part for part in (spectrum, lightcurve) if part is not None], dim=1)


class FineTuned(nn.Module):
    """A head with the aligner under it.

    Parameters
    ----------
    settings
        How it was trained.
    aligner
        ``aligner(spectrum, lightcurve, prior) -> (B, D)``.
    head
        (B, D) standardised -> (B, outputs).
    features
        D.

    Attributes
    ----------
    calibration
        JSON-ready: of a regression what `desa.conformal.calibrate` gives, with ``stars`` (how they were kept
        apart); of classes ``temperature``, ``coverages``, ``thresholds`` and ``counts``. Empty if there were
        no stars for it.
    """

    centre: Tensor
    scale: Tensor
    label_centre: Tensor
    label_scale: Tensor

    def __init__(self, settings: FineTuning, aligner: nn.Module, head: nn.Module, features: int) -> None:
        super().__init__()
        self.settings, self.aligner, self.head = settings, aligner, head
        self.register_buffer("centre", torch.zeros(features))
        self.register_buffer("scale", torch.ones(features))
        self.register_buffer("label_centre", torch.zeros(()))
        self.register_buffer("label_scale", torch.ones(()))
        self.calibration: dict[str, Any] = {}

    def read(self, embedding: Tensor) -> Tensor:
        """What the head says of embeddings (B, D), in units of `label_scale` about `label_centre`."""
        return cast(Tensor, self.head((embedding - self.centre) / self.scale))

    def forward(
        self, spectrum: Tensor | None, lightcurve: Tensor | None, prior: Tensor | None = None
    ) -> Tensor:
        """(B, Q) quantiles in the label's unit, ascending; or (B, C) logits of the classes."""
        raw = self.read(self.aligner(spectrum, lightcurve, prior))
        if self.settings.classes:
            return raw
        return (self.label_centre + self.label_scale * raw).sort(dim=-1).values

    @torch.inference_mode()
    def predict(self, features: Features) -> NDArray[np.float64]:
        """(N, Q) quantiles, or (N, C) probabilities (calibrated where there is a calibration)."""
        self.eval()
        parts = [self(*features.slice(start).parts) for start in range(0, len(features), ROWS)]
        raw = torch.cat(parts).double()
        if self.settings.classes:
            raw = (raw / self.calibration.get("temperature", 1.0)).softmax(dim=1)
        return cast("NDArray[np.float64]", raw.cpu().numpy())


def class_sets(
    probabilities: NDArray[np.float64], calibration: dict[str, Any]
) -> dict[float, NDArray[np.bool_]]:
    """Conformal sets of classes: coverage -> (N, C), True where the class is in the star's set.

    A class is in the set where 1 minus its probability is within the threshold (Sadinle, Lei & Wasserman
    2019); without a finite threshold every class is.
    """
    pairs = zip(calibration["coverages"], calibration["thresholds"], strict=True)
    return {c: 1.0 - probabilities <= (1.0 if limit is None else limit) for c, limit in pairs}
