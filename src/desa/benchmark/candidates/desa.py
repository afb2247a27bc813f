"""DESA: as it is set, as published, with labels, and before any alignment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from desa.benchmark.base import CANDIDATES, Candidate, Choice, Embedding
from desa.benchmark.embed import Aligner, embed
from desa.benchmark.inputs import Inputs
from desa.benchmark.training import Trained
from desa.config import Settings
from desa.models.dualformer import DualFormer, DualFormerOutput
from desa.training.alignment import Align


class DesaAligner(Aligner):
    """A DualFormer; `head` as in `Desa`."""

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


@dataclass(frozen=True, eq=False, kw_only=True)
class Desa(Trained):
    """A DualFormer.

    Parameters
    ----------
    head
        What heads read of it: its halves z, or their projections p, as published. The losses press p into
        what both modalities share; what only one of them knows is in z.
    """

    head: Literal["z", "p"] = "z"

    def tempered(self, inputs: Inputs) -> bool:
        """Where the settings have the contrastive loss."""
        return self.settings(inputs).alignment.contrastive > 0

    def changed(self, choice: Choice | None) -> Mapping[str, Any]:
        """The alignment's temperature."""
        if choice is None or choice.temperature is None:
            return {}
        return {"alignment": {"temperature": choice.temperature}}

    def build(self, inputs: Inputs, settings: Settings, choice: Choice | None) -> tuple[Aligner, Align]:
        """The DualFormer of the settings."""
        means = inputs.constants[0], inputs.constants[2]
        dualformer = DualFormer(settings.dualformer, inputs.spectrum.shape[1], inputs.lightcurve.shape[1])
        align = Align(settings, dualformer)
        if settings.dualformer.standardise:
            dualformer.set_standardisation(*inputs.constants)
        return DesaAligner(dualformer, means, self.head), align


@dataclass(frozen=True, eq=False, kw_only=True)
class BeforeAlignment(Candidate):
    """A DualFormer whose weights are random.

    Parameters
    ----------
    of
        What it would be if it were trained.
    """

    of: Desa

    def embed(self, inputs: Inputs, seed: int, folder: Path) -> Embedding:
        """Every star with both modalities."""
        torch.manual_seed(seed)
        aligner, _ = self.of.build(inputs, self.of.settings(inputs), None)
        return embed(aligner, inputs.star_spectrum, inputs.star_lightcurve)


PUBLISHED_MODEL = {"tokens": "published", "pooling": "mean", "joint": "published"} | dict.fromkeys(
    ("skip", "standardise"), False
)
NOT_PUBLISHED = {"contrastive_alone": False} | dict.fromkeys(
    ("variance", "contrastive", "reconstruction", "modality_dropout"), 0.0
)
"""The published tokeniser, pooling, basis and losses at the preset's sizes, without its leaking prior."""

DESA = Desa("desa", "DESA", "the DualFormer with this preset's settings", 1, core=True, also=("age_limits",))
CANDIDATES.add(DESA)

CANDIDATES.add(
    BeforeAlignment(
        "before_alignment",
        "DESA before alignment",
        "the DualFormer with random weights on the same features",
        0,
        group="control",
        drawn=False,
        of=DESA,
    )
)

CANDIDATES.add(
    Desa(
        "desa_labels",
        "DESA with labels",
        "the encoders' labels (Teff, log g, [Fe/H], Prot of training stars) read off the joint embedding too",
        5,
        changes={"alignment": {"supervised": 1.0}},
    )
)

CANDIDATES.add(
    Desa(
        "desa_published",
        "DESA as published",
        "scalar tokens, mean pooling, covariance and duality losses, real parts of eigenvectors; no prior",
        6,
        drawn=False,
        head="p",
        changes={
            "dualformer": PUBLISHED_MODEL,
            "alignment": {"covariance": 0.5, "duality": 0.5, "covariance_cross": False} | NOT_PUBLISHED,
        },
    )
)
