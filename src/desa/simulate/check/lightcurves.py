"""How hard mock light curves are to tell from real ones: the verdict on single quarters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from desa.simulate.check.judge import FEATURE_KINDS, Verdict, judged
from desa.simulate.check.quarter_features import NAMES, quarter_features
from desa.simulate.check.quarters import RealQuarter, mock_twins, shared_losses, without
from desa.simulate.population import StarParameters
from desa.types import LightCurve

FloatArray = NDArray[np.float64]
TWINS = 4


@dataclass(frozen=True, eq=False)
class QuarterCheck:
    """Verdicts on some real quarters and their mock twins.

    Parameters
    ----------
    name
        Which stars.
    n_real
        How many real ones.
    verdicts
        By kind of classifier.
    tells
        (feature, loss of AUC without it), greatest first, of the boosted trees.
    real, mock
        (N, 26) and (M, 26) features.
    examples
        (real, first mock twin) of each.
    kp_real, kp_mock
        (N,) and (M,) Kepler magnitudes.
    log_g
        (N,) of the real ones.
    twin_of
        (M,) which real one a mock one is the twin of.
    """

    name: str
    n_real: int
    verdicts: dict[str, Verdict]
    tells: list[tuple[str, float]]
    real: FloatArray
    mock: FloatArray
    examples: list[tuple[LightCurve, LightCurve]]
    kp_real: FloatArray
    kp_mock: FloatArray
    log_g: FloatArray
    twin_of: NDArray[np.intp]

    def giants(self) -> tuple[FloatArray, FloatArray]:
        """Features of real giants (log g below 3.5) and of their mock twins."""
        giant = self.log_g < 3.5
        return self.real[giant], self.mock[giant[self.twin_of]]


def check_quarters(
    name: str,
    some: Sequence[RealQuarter],
    everyone: Sequence[RealQuarter],
    pool: Sequence[StarParameters],
    count: int = TWINS,
) -> QuarterCheck:
    """Judge mock twins of some real quarters; cadences that all stars lose are taken from both sides.

    Parameters
    ----------
    name
        Which stars these are.
    some
        The real quarters to find twins of.
    everyone
        All real quarters, that say which cadences a data release lost for all.
    pool
        Mock stars to choose from.
    count
        Twins a star.
    """
    lost = {quarter: shared_losses(everyone, quarter) for quarter in {one.quarter for one in some}}
    real = [without(one.curve, one.quarter, lost[one.quarter]) for one in some]
    twins = [
        [without(curve, one.quarter, lost[one.quarter]) for curve in curves]
        for one, curves in zip(some, mock_twins(some, pool, count), strict=True)
    ]
    mock = [curve for curves in twins for curve in curves]
    group = np.array([*range(len(real)), *(k for k, curves in enumerate(twins) for _ in curves)])
    features = np.nan_to_num(np.array([quarter_features(curve) for curve in [*real, *mock]]))
    is_mock = np.arange(len(features)) >= len(real)
    found = {kind: judged(features, is_mock, group, kind, range(len(NAMES))) for kind in FEATURE_KINDS}
    losses = found["boosting on features"][1]
    order = np.argsort(losses)[::-1]
    return QuarterCheck(
        name,
        len(real),
        {kind: verdict for kind, (verdict, _) in found.items()},
        [(NAMES[k], losses[k]) for k in order],
        features[~is_mock],
        features[is_mock],
        [(one, curves[0]) for one, curves in zip(real, twins, strict=True) if curves],
        np.array([one.kepmag for one in some]),
        np.array([curve.magnitude for curve in mock]),
        np.array([one.log_g for one in some]),
        group[len(real) :],
    )
