"""Features of the encoders as they are: of one modality, and of both side by side."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from desa.benchmark.base import CANDIDATES, Candidate, Embedding
from desa.benchmark.embed import Aligner, embed
from desa.benchmark.inputs import Inputs


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


@dataclass(frozen=True, eq=False, kw_only=True)
class Plain(Candidate):
    """Standardised features of the encoders.

    Parameters
    ----------
    use
        Whether those of the spectrum and those of the light curve are in.
    """

    use: tuple[bool, bool]

    def aligner(self, inputs: Inputs, folder: Path) -> Aligner:
        """Nothing but the standardisation."""
        constants = inputs.constants
        return PlainAligner((constants[0], constants[2]), (constants[1], constants[3]), self.use)

    def embed(self, inputs: Inputs, seed: int, folder: Path) -> Embedding:
        """The same for all seeds."""
        return embed(self.aligner(inputs, folder), inputs.star_spectrum, inputs.star_lightcurve)


for name, title, text, order, use in (
    ("concatenation", "Concatenation", "both encoders' features side by side", 2, (True, True)),
    ("only_spectrum", "Only spectra", "features of the spectrum encoder", 3, (True, False)),
    ("only_lightcurve", "Only light curves", "features of the light-curve encoder", 4, (False, True)),
):
    CANDIDATES.add(Plain(name, title, text, order, group="control", core=True, also=("age_limits",), use=use))
