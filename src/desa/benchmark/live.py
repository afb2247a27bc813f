"""Batches of features that the frozen encoders compute at each step from random crops, not from the cache."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from desa.models.network import Network
from desa.survey.batches import PairDataset, make_loader
from desa.survey.store import Survey
from desa.training.pairs import FeatureBatch


class LiveLoader:
    """As `desa.training.pairs.PairLoader`, with new crops of the light curves every time; no prior.

    Parameters
    ----------
    survey
        The survey; stars of its train split.
    spectrum, lightcurve
        Models with the encoders.
    batch_size
        Stars a batch.
    seed
        Of order and crops.
    skip
        Batches to leave out.
    targets
        (n_stars, K) scaled labels.
    """

    def __init__(
        self,
        survey: Survey,
        spectrum: Network,
        lightcurve: Network,
        batch_size: int,
        seed: int,
        skip: int,
        targets: Tensor,
    ) -> None:
        self.targets = targets
        length = lightcurve.settings.preprocess_lightcurve.length
        data = PairDataset(survey, "train", length)
        size = min(batch_size, len(data))
        self.models = spectrum, lightcurve
        self.loader = make_loader(data, size, seed, skip=skip, drop_last=True, rank=0, world=1)

    def __iter__(self) -> Iterator[FeatureBatch]:
        spectrum, lightcurve = self.models
        for batch in self.loader:
            with torch.no_grad():
                given = batch.spectrum
                first = spectrum.spectrum_features(
                    given.flux, given.ivar, given.z, given.log_wavelength_start
                )
                second = lightcurve.lightcurve_features(
                    batch.lightcurve.flux[:, 0], batch.lightcurve.count_rate
                )
            yield FeatureBatch(first, second, None, self.targets[batch.spectrum.star])
