"""What a model's check says of spectra, from the pixels that its encoder reads of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from desa.inference.encode import Array, star_features
from desa.inference.estimate import Estimate
from desa.inference.quality import OUTSIDE, Doubt, Limits, SpectrumAnswer, range_doubts
from desa.models.network import Network
from desa.models.spectrum_check import SpectrumCheck
from desa.types import Part, Star

TEFF = "teff"


def checked_features(
    model: Network, stars: Sequence[Star]
) -> tuple[dict[Part, Array], list[SpectrumAnswer | None]]:
    """Features of stars as `desa.inference.encode.star_features` has them, and what the check says of each.

    The answer is None for a star without spectrum, and of a model without check.
    """
    check = model.spectrum_check
    if check is None:
        return star_features(model, stars), [None] * len(stars)
    said: list[SpectrumAnswer] = []
    rows = star_features(model, stars, watch=lambda *read: said.extend(_answers(check, *read)))
    answers = iter(said)
    return rows, [None if star.spectrum is None else next(answers) for star in stars]


def _answers(check: SpectrumCheck, pixels: Tensor, weights: Tensor) -> list[SpectrumAnswer]:
    read = pixels.float().cpu().numpy(), weights.float().cpu().numpy()
    p_values = check.p_value(check.leftover(*read))
    return [
        SpectrumAnswer(temperature, p_value, check.least, check.threshold, check.hottest)
        for temperature, p_value in zip(check.temperature(*read).tolist(), p_values.tolist(), strict=True)
    ]


def add_doubts(
    doubts: Mapping[Part, list[list[Doubt]]],
    answers: Sequence[SpectrumAnswer | None],
    estimates: Sequence[Estimate],
    limits: Limits,
) -> None:
    """Add what the check has against each star's spectrum."""
    told = next((one.median for one in estimates if one.label == TEFF), np.full(len(answers), np.nan))
    for own, answer, teff in zip(doubts["spectrum"], answers, told.tolist(), strict=True):
        if answer is not None:
            own += range_doubts(answer, teff, limits)


def without_narrow_intervals(
    model: Network, estimates: Sequence[Estimate], doubts: Mapping[Part, list[list[Doubt]]]
) -> list[Estimate]:
    """The estimates; those of the model's own labels without intervals where a spectrum is of no known star.

    A user's own head learned from stars of the user's: its intervals stay, with the flag beside.
    """
    outside = np.array([any(one.flag & OUTSIDE for one in own) for own in doubts["spectrum"]], dtype=bool)
    users = {head.label for head in model.heads}
    return [
        one if one.label in users or one.classes else one.without_intervals(_read(one, outside))
        for one in estimates
    ]


def _read(estimate: Estimate, outside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Stars outside whose label is told from the spectrum."""
    return np.array([out and "spectrum" in estimate.read(row) for row, out in enumerate(outside)], dtype=bool)
