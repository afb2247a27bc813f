"""What the joint model says of stars: embeddings of any star, labels of stars with both modalities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from desa.inference.encode import BATCH_SIZE, Array, chunked
from desa.inference.estimate import Estimate, number_estimates
from desa.inference.tokens import star_tokens
from desa.models.joint import Joint
from desa.models.network import Network
from desa.types import PARTS, Star

COMPANION = "binary"
CLASSES = ("single", "binary")

TOLD_BY_TRUTH = ("age", COMPANION)
"""Labels that on a mock survey only its own truth teaches, unlike Teff or periods, which the sky has too."""


def has_both(stars: Sequence[Star]) -> NDArray[np.bool_]:
    """(N,) whether a star has a spectrum and a light curve."""
    return np.array([star.spectrum is not None and star.lightcurve is not None for star in stars], bool)


@torch.inference_mode()
def joint_vectors(
    model: Network, stars: Sequence[Star], batch_size: int = BATCH_SIZE
) -> list[dict[str, Array]]:
    """``joint`` of each star, and ``match_...`` of what it has: the fused part, each modality alone.

    Parameters
    ----------
    model
        With the joint model.
    stars
        N stars, each with a spectrum or a light curve.
    batch_size
        Stars at once.
    """
    joint: Joint = model.require("joint")
    found: list[dict[str, Array]] = [{} for _ in stars]
    for chunk in chunked(np.arange(len(stars)), batch_size):
        tokens = star_tokens(model, [stars[row] for row in chunk.tolist()]).to(model.device)
        whole = joint(tokens).joint.cpu().numpy()
        alone = [joint(tokens.only(place)).fused.cpu().numpy() for place in range(len(PARTS))]
        for row, star in enumerate(chunk.tolist()):
            found[star]["joint"] = whole[row]
            for place, part in enumerate(PARTS):
                if tokens.present[row, place] and alone[place].shape[1]:
                    found[star][f"match_{part}"] = alone[place][row]
    return found


@torch.inference_mode()
def joint_estimates(model: Network, stars: Sequence[Star]) -> list[Estimate]:
    """The joint model's labels, NaN of stars that lack a modality; none where no label taught it.

    The chance of a companion is what the network says: nothing has calibrated it.
    """
    joint, calibration = model.joint, model.calibration.get("joint")
    rows = np.flatnonzero(has_both(stars))
    if joint is None or calibration is None or not len(rows):
        return []
    objective = model.settings.objective_joint
    quantiles = np.full((len(stars), len(objective.labels), len(objective.quantiles)), np.nan)
    chance = np.full(len(stars), np.nan)
    for chunk in chunked(rows, BATCH_SIZE):
        tokens = star_tokens(model, [stars[row] for row in chunk.tolist()]).to(model.device)
        embedded = joint(tokens).joint
        quantiles[chunk] = joint.quantiles(embedded).cpu().numpy()
        chance[chunk] = torch.sigmoid(joint.companion_chance(embedded)).cpu().numpy()
    data = str(model.metadata.get("data", ""))
    on = str(calibration.get("stars", data))
    found = number_estimates(objective.labels, objective.quantiles, quantiles, calibration, PARTS, on)
    # a label without calibration stars was taught by none
    found = [one for one, count in zip(found, calibration["counts"], strict=True) if count]
    if model.settings.joining.binary:
        shares = np.stack([1 - chance, chance], axis=1)
        likeliest = np.where(np.isfinite(chance), (chance > 0.5).astype(float), np.nan)
        found.append(Estimate(COMPANION, PARTS, likeliest, classes=CLASSES, probabilities=shares))
    mock = data if "mock" in data else ""
    return [replace(one, learned_from=mock) if one.label in TOLD_BY_TRUTH else one for one in found]


def with_joint(
    estimates: Sequence[Estimate], joint: Sequence[Estimate], both: NDArray[np.bool_]
) -> list[Estimate]:
    """The estimates, where stars with both modalities have the joint model's in place of an encoder's."""
    own = {one.label: one for one in joint}
    found = []
    for one in estimates:
        other = own.pop(one.label, None)
        if other is None or bool(one.classes) != bool(other.classes):
            found.append(one)
            continue
        levels = {level: rows for level, rows in one.quantiles.items() if level in other.quantiles}
        used = tuple(PARTS if row else one.read(place) for place, row in enumerate(both.tolist()))
        found.append(replace(one, quantiles=levels).where(both, other).told(one.needs, used))
    return [*found, *own.values()]
