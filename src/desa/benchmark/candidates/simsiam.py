"""SimSiam: each modality predicts the other, without negatives."""

from __future__ import annotations

from torch import Tensor, nn

from desa.benchmark.base import CANDIDATES
from desa.benchmark.baseline import PROJECTION, Baseline, BaselineCandidate, mlp
from desa.config import DualFormerModel
from desa.losses import simsiam


class SimSiam(Baseline):
    """Each modality's projection predicts the other's (Chen & He 2020); no negatives."""

    tempered = False

    def __init__(
        self, settings: DualFormerModel, counts: tuple[int, int], blocks: int, temperature: float
    ) -> None:
        super().__init__(settings, counts, blocks, temperature)
        # Without the norm at its end (as in Chen & He) all projections become the same.
        self.projector.append(nn.BatchNorm1d(PROJECTION))
        self.predictor = mlp(PROJECTION, PROJECTION, PROJECTION)

    def loss(self, spectrum: Tensor, lightcurve: Tensor, prior: Tensor | None) -> Tensor:
        """See `desa.losses.simsiam`."""
        first, second = self.projected(spectrum, lightcurve, prior)
        return simsiam(self.predictor(first), first, self.predictor(second), second)

    def matched(self, spectrum: Tensor, lightcurve: Tensor, prior: Tensor | None) -> tuple[Tensor, Tensor]:
        """The spectrum's projection through the predictor, and the light curve's."""
        first, second = self.projected(spectrum, lightcurve, prior)
        return self.predictor(first), second


CANDIDATES.add(
    BaselineCandidate("simsiam", "SimSiam", "each modality predicts the other, no negatives", 9, kind=SimSiam)
)
