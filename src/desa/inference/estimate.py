"""What a model's heads say of some stars: medians, calibrated intervals, probabilities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from desa.conformal import intervals, middle_of
from desa.conformal_groups import group_offsets
from desa.errors import ModelError
from desa.inference.labels import POSITIVE, shown
from desa.models.finetuned import Features
from desa.models.head_files import VARIANTS, UserHead
from desa.models.network import Network
from desa.types import PARTS, Part

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Estimate:
    """One label of N stars; NaN where a star lacks what the head reads.

    Parameters
    ----------
    label
        Its name, as shown.
    needs
        The modalities that the head needs: ``"spectrum"``, ``"lightcurve"`` or both.
    median
        (N,) of a number's head, in the label's unit; of classes: the index of the likeliest.
    quantiles
        level -> (N,) of a number's head.
    intervals
        coverage -> (low, high), (N,) each; empty without calibration, and for classes.
    classes, probabilities
        Names, and (N, classes), of a head that tells classes.
    calibrated
        Whether intervals or probabilities are.
    calibrated_on
        The stars of the calibration in words, empty if unknown.
    used
        The modalities that each star's label is told from; empty: `needs`.
    learned_from
        The data whose own truth alone taught the label, where that is not the sky's; else empty.
    """

    label: str
    needs: tuple[Part, ...]
    median: Array
    quantiles: dict[float, Array] = field(default_factory=dict)
    intervals: dict[float, tuple[Array, Array]] = field(default_factory=dict)
    classes: tuple[str, ...] = ()
    probabilities: Array | None = None
    calibrated: bool = False
    calibrated_on: str = ""
    used: tuple[tuple[Part, ...], ...] = ()
    learned_from: str = ""

    def read(self, star: int) -> tuple[Part, ...]:
        """The modalities that the label of a star is told from."""
        return self.used[star] if self.used and self.used[star] else self.needs

    def told(self, needs: tuple[Part, ...], used: tuple[tuple[Part, ...], ...]) -> Estimate:
        """The same, told from other modalities."""
        return replace(self, needs=needs, used=used)

    def without_intervals(self, rows: NDArray[np.bool_]) -> Estimate:
        """The same with intervals of NaN for some stars."""
        if not rows.any():
            return self

        def emptied(ends: tuple[Array, Array]) -> tuple[Array, Array]:
            return np.where(rows, np.nan, ends[0]), np.where(rows, np.nan, ends[1])

        return replace(self, intervals={share: emptied(ends) for share, ends in self.intervals.items()})

    def where(self, rows: NDArray[np.bool_], other: Estimate) -> Estimate:
        """The same but for some stars, which are another head's."""

        def chosen(mine: Array, its: Array) -> Array:
            return np.where(rows if mine.ndim == 1 else rows[:, None], its, mine)

        probabilities = self.probabilities
        if probabilities is not None and other.probabilities is not None:
            probabilities = chosen(probabilities, other.probabilities)
        stars = [one.calibrated_on for one in (self, other) if one.calibrated_on]
        return replace(
            self,
            median=chosen(self.median, other.median),
            quantiles={level: chosen(mine, other.quantiles[level]) for level, mine in self.quantiles.items()},
            intervals={
                coverage: (
                    chosen(low, other.intervals[coverage][0]),
                    chosen(high, other.intervals[coverage][1]),
                )
                for coverage, (low, high) in self.intervals.items()
                if coverage in other.intervals
            },
            probabilities=probabilities,
            calibrated=self.calibrated and other.calibrated,
            calibrated_on=" and ".join(dict.fromkeys(stars)),
        )


def number_estimates(
    labels: Sequence[str],
    levels: Sequence[float],
    quantiles: NDArray[Any],
    calibration: Mapping[str, Any] | None,
    needs: tuple[Part, ...],
    calibrated_on: str = "",
    snr: Array | None = None,
) -> list[Estimate]:
    """Estimates from predicted quantiles.

    Parameters
    ----------
    labels, levels
        K names and Q levels, ascending.
    quantiles
        (N, K, Q).
    calibration
        What `desa.conformal.calibrate` gave, or None.
    needs, calibrated_on
        As in `Estimate`.
    snr
        (N,) S/N in g of the spectra, for a calibration by groups.
    """
    bounds: dict[float, tuple[Array, Array]] = {}
    if calibration is not None:
        bounds = intervals(quantiles, dict(calibration), group_offsets(quantiles, calibration, snr))
    middle = middle_of(levels)
    found = []
    for place, label in enumerate(labels):
        name, values = shown(label, quantiles[:, place])
        ends = {
            coverage: (_end(label, low[:, place]), _end(label, high[:, place]))
            for coverage, (low, high) in sorted(bounds.items())
        }
        median, nested = _nested(values[:, middle], ends)
        found.append(
            Estimate(
                label=name,
                needs=needs,
                median=median,
                quantiles={level: values[:, row] for row, level in enumerate(levels)},
                intervals=nested,
                calibrated=calibration is not None,
                calibrated_on=calibrated_on,
            )
        )
    return found


def _end(label: str, values: Array) -> Array:
    """Ends of intervals as shown. Cutting what can't be leaves the coverage as it is."""
    name, numbers = shown(label, values)
    return np.maximum(numbers, 0.0) if name in POSITIVE else numbers


def _nested(
    median: Array, ends: Mapping[float, tuple[Array, Array]]
) -> tuple[Array, dict[float, tuple[Array, Array]]]:
    """The median inside the narrowest interval, each interval inside the next; `ends` by rising coverage.

    Where a head is biased, calibration moves an interval off its median; widening loses no coverage.
    """
    found: dict[float, tuple[Array, Array]] = {}
    inner: tuple[Array, Array] | None = None
    for coverage, (low, high) in ends.items():
        if inner is None:
            median = np.clip(median, low, high)
        else:
            low, high = np.minimum(low, inner[0]), np.maximum(high, inner[1])
        found[coverage] = inner = (low, high)
    return median, found


@torch.inference_mode()
def encoder_estimates(
    model: Network, features: Mapping[Part, NDArray[np.float32]], snr: Array | None = None
) -> list[Estimate]:
    """What the encoders' own heads say.

    Parameters
    ----------
    model
        The model; an encoder without head says nothing.
    features
        ``"spectrum"`` / ``"lightcurve"`` -> (N, F), NaN where a star has none.
    snr
        (N,) S/N in g of the spectra, NaN where unknown.
    """
    found = []
    for part in PARTS:
        if getattr(model, f"{part}_head") is None or part not in features:
            continue
        objective = getattr(model.settings, f"objective_{part}")
        rows = torch.from_numpy(features[part])
        known = torch.isfinite(rows).all(dim=1)
        quantiles = np.full((len(rows), len(objective.labels), len(objective.quantiles)), np.nan)
        if known.any():
            of = model.spectrum_quantiles if part == "spectrum" else model.lightcurve_quantiles
            quantiles[known.numpy()] = of(rows[known].to(model.device)).float().cpu().numpy()
        calibration = model.calibration.get(part)
        found += number_estimates(
            objective.labels,
            objective.quantiles,
            quantiles,
            calibration,
            (part,),
            str((calibration or {}).get("stars", model.metadata.get("data", ""))),
            snr,
        )
    return found


def head_estimates(heads: Sequence[UserHead], features: Mapping[Part, NDArray[np.float32]]) -> list[Estimate]:
    """What fine-tuned heads say: of each star the one that reads most of what it has.

    Parameters
    ----------
    heads
        In the order of `read_heads`.
    features
        ``"spectrum"`` / ``"lightcurve"`` -> (N, F), NaN where a star has none.
    """
    by_label: dict[str, list[UserHead]] = {}
    for head in heads:
        by_label.setdefault(head.label, []).append(head)
    return [_merged(own, features) for own in by_label.values()]


def _merged(heads: Sequence[UserHead], features: Mapping[Part, NDArray[np.float32]]) -> Estimate:
    count = len(next(iter(features.values())))
    used: list[tuple[Part, ...]] = [()] * count
    merged: Estimate | None = None
    for head in heads:
        parts = VARIANTS[head.variant]
        known = np.array([not taken for taken in used])
        for part in parts:
            rows = features.get(part)
            known &= np.zeros(count, bool) if rows is None else np.isfinite(rows).all(axis=1)
        estimate = _estimate(head, features, known, parts)
        for row in np.flatnonzero(known):
            used[row] = parts
        merged = estimate if merged is None else merged.where(known, estimate)
    assert merged is not None
    needs = min((VARIANTS[head.variant] for head in heads), key=len)
    return merged.told(needs, tuple(used))


def _estimate(
    head: UserHead,
    features: Mapping[Part, NDArray[np.float32]],
    known: NDArray[np.bool_],
    parts: tuple[Part, ...],
) -> Estimate:
    """One head's estimates of the stars that have what it reads; NaN of the others."""
    settings = head.tuned.settings
    raw = np.full((len(known), settings.outputs), np.nan)
    if known.any():
        device = head.tuned.centre.device
        rows = (
            torch.from_numpy(features[part][known]).to(device) if part in parts else None for part in PARTS
        )
        raw[known] = head.tuned.predict(Features(*rows))
    calibration = head.tuned.calibration
    if not settings.classes:
        name = f"log10 {head.label}" if head.logarithm else head.label
        return number_estimates(
            [name], settings.quantiles, raw[:, None], calibration or None, parts, head.calibrated_on
        )[0]
    likeliest = np.where(known, np.nan_to_num(raw, nan=-1.0).argmax(axis=1), np.nan)
    return Estimate(
        head.label,
        parts,
        likeliest,
        classes=settings.classes,
        probabilities=raw,
        calibrated=bool(calibration),
        calibrated_on=head.calibrated_on,
    )


def all_estimates(
    model: Network, features: Mapping[Part, NDArray[np.float32]], snr: Array | None = None
) -> list[Estimate]:
    """What all heads say; of two for the same label the fine-tuned one.

    Parameters
    ----------
    model, features, snr
        As in `encoder_estimates`.

    Raises
    ------
    ModelError
        If the model has no head at all.
    """
    if not (model.spectrum_head or model.lightcurve_head or model.heads or "joint" in model.calibration):
        raise ModelError(
            "this model embeds, but no head of it predicts a label (the published full model has none): use "
            "the published encoders' own checkpoints, or teach it a label with desa finetune"
        )
    found = {estimate.label: estimate for estimate in encoder_estimates(model, features, snr)}
    if model.heads:
        for head in model.heads:  # no parts of the module, so that it does not move them itself
            head.tuned.to(model.device)
        found |= {estimate.label: estimate for estimate in head_estimates(model.heads, features)}
    return list(found.values())
