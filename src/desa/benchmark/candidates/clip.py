"""CLIP: symmetric contrast within the batch."""

from __future__ import annotations

from torch import Tensor

from desa.benchmark.base import CANDIDATES
from desa.benchmark.baseline import Baseline, BaselineCandidate
from desa.losses import info_nce


class Clip(Baseline):
    """Symmetric InfoNCE within the batch (Radford et al. 2021)."""

    def loss(self, spectrum: Tensor, lightcurve: Tensor, prior: Tensor | None) -> Tensor:
        """See `desa.losses.info_nce`."""
        return info_nce(*self.of_all(self.projected(spectrum, lightcurve, prior)), self.temperature)


CANDIDATES.add(
    BaselineCandidate("clip", "CLIP", "symmetric InfoNCE within the batch", 11, core=True, kind=Clip)
)
