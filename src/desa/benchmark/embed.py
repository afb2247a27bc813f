"""One face for every model that joins two modalities: what tasks, heads and retrieval read of it."""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

Array = NDArray[np.float32]

ROWS = 512
"""Stars at once where features of a whole survey are embedded."""


class Aligner(nn.Module):
    """Features of both encoders to embeddings.

    ``means`` are the training stars' mean features, which stand for a modality that is missing.
    """

    mean_spectrum: Tensor
    mean_lightcurve: Tensor

    def __init__(self, means: tuple[Tensor, Tensor]) -> None:
        super().__init__()
        self.register_buffer("mean_spectrum", means[0].clone())
        self.register_buffer("mean_lightcurve", means[1].clone())

    def pair(
        self, spectrum: Tensor, lightcurve: Tensor, prior: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """What heads read of either modality, (B, d) each."""
        raise NotImplementedError

    def matched(self, spectrum: Tensor, lightcurve: Tensor) -> tuple[Tensor, Tensor] | None:
        """What retrieval compares by cosine, without the prior; None where there is nothing of that kind."""
        return None

    def views(self, spectrum: Tensor, lightcurve: Tensor, prior: Tensor | None = None) -> dict[str, Tensor]:
        """All that `embed` gives; the joint embedding is both halves side by side."""
        first, second = self.pair(spectrum, lightcurve, prior)
        alone = self.pair(spectrum, lightcurve) if prior is not None else (first, second)
        missing = self.pair(self.missing(0, 1), self.missing(1, 1))
        found = {
            "joint": torch.cat([first, second], dim=1),
            "head_spectrum": first,
            "head_lightcurve": second,
            "joint_spectrum": torch.cat([alone[0], missing[1].expand_as(alone[1])], dim=1),
            "joint_lightcurve": torch.cat([missing[0].expand_as(alone[0]), alone[1]], dim=1),
        }
        match = self.matched(spectrum, lightcurve)
        return found if match is None else {**found, "match_spectrum": match[0], "match_lightcurve": match[1]}

    def forward(self, spectrum: Tensor, lightcurve: Tensor, prior: Tensor | None = None) -> Tensor:
        """Both halves of `pair` side by side, (B, 2 d): the input of a fine-tuning head."""
        return torch.cat(self.pair(spectrum, lightcurve, prior), dim=1)

    def missing(self, modality: int, rows: int) -> Tensor:
        """The mean star's features, `rows` times."""
        return (self.mean_spectrum, self.mean_lightcurve)[modality].expand(rows, -1)


@torch.inference_mode()
def embed(
    aligner: Aligner, spectrum: Array, lightcurve: Array, prior: Tensor | None = None
) -> dict[str, Array]:
    """Everything that tasks read of a model.

    Parameters
    ----------
    aligner
        The model.
    spectrum, lightcurve
        (N, F1), (N, F2) features of the same stars.
    prior
        (N, k), if the model has one.

    Returns
    -------
    dict
        ``joint``; ``head_spectrum`` and ``head_lightcurve`` (what heads read); ``match_spectrum`` and
        ``match_lightcurve`` (what retrieval compares, without the prior; neither has seen the other
        modality; missing for plain features); ``joint_spectrum`` and ``joint_lightcurve`` (the joint
        embedding where only that modality is there, without the prior); (N, ...) each.
    """
    aligner.eval()
    found: dict[str, list[Tensor]] = {}
    for start in range(0, len(spectrum), ROWS):
        rows = slice(start, start + ROWS)
        first, second = (torch.from_numpy(np.array(x[rows], np.float32)) for x in (spectrum, lightcurve))
        for name, value in aligner.views(first, second, None if prior is None else prior[rows]).items():
            found.setdefault(name, []).append(value)
    return {name: cast(Array, torch.cat(values).float().numpy()) for name, values in found.items()}


def halves(rows: Array, first: int, train: NDArray[np.bool_]) -> dict[str, Array]:
    """What tasks read of plain features of both modalities side by side.

    Parameters
    ----------
    rows
        (N, D); standardised here.
    first
        How many of the columns are the spectrum's.
    train
        (N,) rows that means and deviations are taken over.
    """
    mean, deviation = rows[train].mean(0), rows[train].std(0)
    scaled = ((rows - mean) / np.maximum(deviation, 1e-6)).astype(np.float32)
    return {"joint": scaled, "head_spectrum": scaled[:, :first], "head_lightcurve": scaled[:, first:]}
