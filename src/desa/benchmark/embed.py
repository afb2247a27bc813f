"""One face for every model that joins two modalities: what tasks, heads and retrieval read of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from desa.benchmark.candidates.baselines import Baseline
from desa.models.dualformer import DualFormer, DualFormerOutput

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

    def joint(self, spectrum: Tensor, lightcurve: Tensor, prior: Tensor | None = None) -> Tensor:
        """The embedding of the star, (B, D)."""
        raise NotImplementedError

    def views(self, spectrum: Tensor, lightcurve: Tensor, prior: Tensor | None = None) -> dict[str, Tensor]:
        """All that `embed` gives, with as few passes as it takes."""
        raise NotImplementedError

    def forward(self, spectrum: Tensor, lightcurve: Tensor, prior: Tensor | None = None) -> Tensor:
        """Both halves of `pair` side by side, (B, 2 d): the input of a fine-tuning head."""
        return torch.cat(self.pair(spectrum, lightcurve, prior), dim=1)

    def missing(self, modality: int, rows: int) -> Tensor:
        """The mean star's features, `rows` times."""
        return (self.mean_spectrum, self.mean_lightcurve)[modality].expand(rows, -1)


class DesaAligner(Aligner):
    """A DualFormer; `head` as in `desa.benchmark.registry.ModelSpec`."""

    def __init__(
        self, dualformer: DualFormer, means: tuple[Tensor, Tensor], head: Literal["z", "p"] = "z"
    ) -> None:
        super().__init__(means)
        self.dualformer, self.head = dualformer, head

    def _read(self, output: DualFormerOutput) -> tuple[Tensor, Tensor]:
        if self.head == "p":
            return output.p_spectrum, output.p_lightcurve
        return output.z_spectrum, output.z_lightcurve

    def pair(
        self, spectrum: Tensor, lightcurve: Tensor, prior: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """z_1 and z_2, or p_1 and p_2."""
        return self._read(self.dualformer(spectrum, lightcurve, prior))

    def joint(self, spectrum: Tensor, lightcurve: Tensor, prior: Tensor | None = None) -> Tensor:
        """The joint embedding of eq. 6, or what the settings make of z."""
        return self.dualformer.joint(self.dualformer(spectrum, lightcurve, prior))

    def views(self, spectrum: Tensor, lightcurve: Tensor, prior: Tensor | None = None) -> dict[str, Tensor]:
        """Retrieval compares p_1 with the mean light curve to p_2 with the mean spectrum."""
        both = self.dualformer(spectrum, lightcurve, prior)
        first = self.dualformer(spectrum, self.missing(1, len(spectrum)))
        second = self.dualformer(self.missing(0, len(lightcurve)), lightcurve)
        return {
            "joint": self.dualformer.joint(both),
            "head_spectrum": self._read(both)[0],
            "head_lightcurve": self._read(both)[1],
            "match_spectrum": first.p_spectrum,
            "match_lightcurve": second.p_lightcurve,
            "joint_spectrum": self.dualformer.joint(first),
            "joint_lightcurve": self.dualformer.joint(second),
        }


class BaselineAligner(Aligner):
    """One of `desa.benchmark.candidates.baselines`."""

    def __init__(self, baseline: Baseline, means: tuple[Tensor, Tensor]) -> None:
        super().__init__(means)
        self.baseline = baseline

    def pair(
        self, spectrum: Tensor, lightcurve: Tensor, prior: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """The trunk's embeddings."""
        return self.baseline.pair(spectrum, lightcurve, prior)

    def joint(self, spectrum: Tensor, lightcurve: Tensor, prior: Tensor | None = None) -> Tensor:
        """Both embeddings side by side."""
        return torch.cat(self.baseline.pair(spectrum, lightcurve, prior), dim=1)

    def views(self, spectrum: Tensor, lightcurve: Tensor, prior: Tensor | None = None) -> dict[str, Tensor]:
        """Retrieval compares what the loss compares."""
        head = self.pair(spectrum, lightcurve, prior)
        alone = self.pair(spectrum, lightcurve) if prior is not None else head
        missing = self.pair(self.missing(0, 1), self.missing(1, 1))
        match = self.baseline.matched(spectrum, lightcurve, None)
        return {
            "joint": torch.cat(head, dim=1),
            "head_spectrum": head[0],
            "head_lightcurve": head[1],
            "match_spectrum": match[0],
            "match_lightcurve": match[1],
            "joint_spectrum": torch.cat([alone[0], missing[1].expand_as(alone[1])], dim=1),
            "joint_lightcurve": torch.cat([missing[0].expand_as(alone[0]), alone[1]], dim=1),
        }


class PlainAligner(Aligner):
    """No model: standardised features of both encoders, or of one, as they are."""

    scale_spectrum: Tensor
    scale_lightcurve: Tensor

    def __init__(
        self, means: tuple[Tensor, Tensor], scales: tuple[Tensor, Tensor], use: tuple[bool, bool]
    ) -> None:
        super().__init__(means)
        self.use = use
        self.register_buffer("scale_spectrum", scales[0].clone())
        self.register_buffer("scale_lightcurve", scales[1].clone())

    def pair(
        self, spectrum: Tensor, lightcurve: Tensor, prior: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Standardised features; those of a modality that is not used are left out (B, 0)."""
        first = (spectrum - self.mean_spectrum) / self.scale_spectrum
        second = (lightcurve - self.mean_lightcurve) / self.scale_lightcurve
        return (first if self.use[0] else first[:, :0]), (second if self.use[1] else second[:, :0])

    def joint(self, spectrum: Tensor, lightcurve: Tensor, prior: Tensor | None = None) -> Tensor:
        """The features side by side."""
        return torch.cat(self.pair(spectrum, lightcurve), dim=1)

    def views(self, spectrum: Tensor, lightcurve: Tensor, prior: Tensor | None = None) -> dict[str, Tensor]:
        """No retrieval: nothing was trained to be compared."""
        head = self.pair(spectrum, lightcurve)
        missing = [torch.zeros_like(half) for half in head]
        return {
            "joint": torch.cat(head, dim=1),
            "head_spectrum": head[0],
            "head_lightcurve": head[1],
            "joint_spectrum": torch.cat([head[0], missing[1]], dim=1),
            "joint_lightcurve": torch.cat([missing[0], head[1]], dim=1),
        }


def in_parts(spectrum: Array, lightcurve: Array, prior: Tensor | None) -> Iterator[tuple[Tensor, ...]]:
    """Rows of features (and prior) as tensors, some hundred at a time."""
    for start in range(0, len(spectrum), ROWS):
        rows = slice(start, start + ROWS)
        part = (torch.from_numpy(np.array(x[rows], dtype=np.float32)) for x in (spectrum, lightcurve))
        yield (*part, *(() if prior is None else (prior[rows],)))


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
    for part in in_parts(spectrum, lightcurve, prior):
        first, second, *given = part
        for name, value in aligner.views(first, second, given[0] if given else None).items():
            found.setdefault(name, []).append(value)
    return {name: cast(Array, torch.cat(values).float().numpy()) for name, values in found.items()}


@torch.inference_mode()
def joint_embedding(
    aligner: Aligner, spectrum: Array, lightcurve: Array, prior: Tensor | None = None
) -> Array:
    """(N, D) the joint embedding alone; arguments as `embed`'s."""
    aligner.eval()
    rows = [aligner.joint(*part) for part in in_parts(spectrum, lightcurve, prior)]
    return cast(Array, torch.cat(rows).float().numpy())
