"""VICReg: invariance, variance and covariance, without negatives."""

from __future__ import annotations

from torch import Tensor

from desa.benchmark.base import CANDIDATES
from desa.benchmark.baseline import Baseline, BaselineCandidate
from desa.losses import vicreg


class VicReg(Baseline):
    """Invariance, variance and covariance (Bardes et al. 2021) of the projections."""

    tempered = False

    def loss(self, spectrum: Tensor, lightcurve: Tensor, prior: Tensor | None) -> Tensor:
        """See `desa.losses.vicreg`."""
        return vicreg(*self.of_all(self.projected(spectrum, lightcurve, prior)))


CANDIDATES.add(BaselineCandidate("vicreg", "VICReg", "invariance, variance and covariance", 10, kind=VicReg))
