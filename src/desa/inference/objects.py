"""Embedding and predicting for a few stars given as objects or files; what `Desa.embed` and `predict` do."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from desa.errors import ModelError
from desa.inference.estimate import Estimate, all_estimates, filled
from desa.io.memory import to_lightcurve, to_spectrum
from desa.models.inputs import lightcurve_tensor, spectrum_tensors
from desa.preprocess.published import count_rate_of
from desa.types import Embedding, LightCurve, Spectrum

if TYPE_CHECKING:
    from desa.models.network import Network


MATCHED_AT_ONCE = 256


class Prediction(NamedTuple):
    """A star's label: the predicted quantiles and, where the model is calibrated, intervals.

    Parameters
    ----------
    median
        In the label's unit (K, dex, days).
    quantiles
        level -> value, as the head predicts them.
    intervals
        coverage -> (low, high), conformal; empty where the model has no calibration.
    probabilities
        class -> probability, of a label that is a class: then `median` is NaN.
    """

    median: float
    quantiles: dict[float, float]
    intervals: dict[float, tuple[float, float]]
    probabilities: Mapping[str, float] = MappingProxyType({})


class Stars:
    """What a caller gave: one star or a list of them, each with a light curve, a spectrum, or both.

    Parameters
    ----------
    lightcurve, spectrum
        As in `Desa.embed`.

    Raises
    ------
    DesaError
        For files or objects that can't be used.
    ValueError
        If a star has neither, or the lists differ in length.
    """

    def __init__(self, lightcurve: Any, spectrum: Any) -> None:
        given = [part for part in (lightcurve, spectrum) if part is not None]
        if not given:
            raise ValueError("give a light curve, a spectrum, or both")
        self.single = not any(isinstance(part, list) for part in given)
        curves, spectra = ([part] if self.single else part for part in (lightcurve, spectrum))
        sizes = {len(part) for part in (curves, spectra) if part is not None}
        if len(sizes) != 1:
            raise ValueError(f"{len(curves)} light curves and {len(spectra)} spectra: one of each a star")
        size = sizes.pop()
        curves, spectra = ([None] * size if part is None else part for part in (curves, spectra))
        self.curves: list[LightCurve | None] = [None if x is None else to_lightcurve(x) for x in curves]
        self.spectra: list[Spectrum | None] = [None if x is None else to_spectrum(x) for x in spectra]
        for place, pair in enumerate(zip(self.curves, self.spectra, strict=True)):
            if pair == (None, None):
                raise ValueError(f"star {place} of the lists has neither a light curve nor a spectrum")

    def __len__(self) -> int:
        return len(self.curves)

    def name(self, place: int) -> str:
        """The star's name, by its light curve if that has one."""
        named = [item.star_id for item in (self.curves[place], self.spectra[place]) if item and item.star_id]
        return named[0] if named else ""

    def one_or_all(self, rows: list[Any]) -> Any:
        """What to give back."""
        return rows[0] if self.single else rows


@torch.inference_mode()
def lightcurve_rows(
    model: Network, items: Sequence[LightCurve | None], batch_size: int = 32
) -> dict[int, Tensor]:
    """Features, on the CPU, of the light curves there are, by their place."""
    model.eval()
    places = [place for place, item in enumerate(items) if item is not None]
    found = [item for item in items if item is not None]
    rows: list[Tensor] = []
    for start in range(0, len(found), batch_size):
        part = found[start : start + batch_size]
        flux = lightcurve_tensor(part, model.settings.preprocess_lightcurve.length).to(model.device)
        count_rate = None
        if model.settings.preprocess_lightcurve.mode == "published":
            count_rate = torch.tensor([count_rate_of(item) for item in part], device=model.device)
        rows += model.lightcurve_features(flux, count_rate).float().cpu().unbind()
    return dict(zip(places, rows, strict=True))


@torch.inference_mode()
def spectrum_rows(
    model: Network, items: Sequence[Spectrum | None], batch_size: int = 32
) -> dict[int, Tensor]:
    """Features, on the CPU, of the spectra there are, by their place."""
    model.eval()
    places = [place for place, item in enumerate(items) if item is not None]
    found = [item for item in items if item is not None]
    rows: list[Tensor] = []
    for start in range(0, len(found), batch_size):
        part = found[start : start + batch_size]
        flux, ivar, z, first = (tensor.to(model.device) for tensor in spectrum_tensors(part))
        helio_rv = torch.tensor([item.meta.get("helio_rv", math.nan) for item in part], device=model.device)
        rows += model.spectrum_features(flux, ivar, z, first, helio_rv).float().cpu().unbind()
    return dict(zip(places, rows, strict=True))


@torch.inference_mode()
def match_rows(model: Network, kind: str, features: Tensor) -> list[NDArray[np.float32]] | None:
    """What finds one modality by the other; None where the model can't embed a modality alone.

    Parameters
    ----------
    model
        The model.
    kind
        ``"spectrum"`` or ``"lightcurve"``.
    features
        (B, F) of that encoder.

    Returns
    -------
    list of numpy.ndarray or None
        (d,) of each star; see `desa.models.dualformer.DualFormer.alone`.
    """
    former = model.dualformer
    if former is None or not former.embeds_alone or not len(features):
        return None
    parts = torch.split(features.to(model.device), MATCHED_AT_ONCE)
    found = [former.alone(part, ("spectrum", "lightcurve").index(kind)).float().cpu() for part in parts]
    return list(torch.cat(found).numpy())


def _matches(
    model: Network, rows: Mapping[str, dict[int, Tensor]]
) -> dict[int, dict[str, NDArray[np.float32]]]:
    """Place -> ``match_spectrum``, ``match_lightcurve`` of a star, of the modalities that it has."""
    found: dict[int, dict[str, NDArray[np.float32]]] = {}
    for kind, own in rows.items():
        vectors = match_rows(model, kind, torch.stack(list(own.values()))) if own else None
        for place, vector in zip(own, vectors or [], strict=vectors is not None):
            found.setdefault(place, {})[f"match_{kind}"] = vector
    return found


def embed(model: Network, stars: Stars, prior: Any) -> list[Embedding]:
    """An embedding of each star: joint where it has both modalities."""
    curves, spectra = lightcurve_rows(model, stars.curves), spectrum_rows(model, stars.spectra)
    matches = _matches(model, {"spectrum": spectra, "lightcurve": curves})
    both = [place for place in range(len(stars)) if place in curves and place in spectra]
    joint: dict[int, list[NDArray[np.float32]]] = {}
    if both:
        pairs = [torch.stack([rows[place] for place in both]) for rows in (spectra, curves)]
        given = None if prior is None else _priors(model, prior, len(stars))[both]
        output, together = model.align(pairs[0], pairs[1], given)
        parts = (output.z_spectrum, output.z_lightcurve, output.p_spectrum, output.p_lightcurve, together)
        columns = [part.float().cpu().numpy() for part in parts]
        joint = {place: [column[row] for column in columns] for row, place in enumerate(both)}
    rows = []
    for place in range(len(stars)):
        features = [part[place].numpy() if place in part else None for part in (spectra, curves)]
        kind = "joint" if place in joint else "spectrum" if place in spectra else "lightcurve"
        rows.append(
            Embedding(stars.name(place), kind, *features, *joint.get(place, []), **matches.get(place, {}))
        )
    return rows


def _priors(model: Network, prior: Any, stars: int) -> Tensor:
    """(stars, size) on the model's device."""
    size = model.settings.dualformer.prior_size
    given = torch.from_numpy(np.atleast_2d(np.asarray(prior, dtype=np.float32))).to(model.device)
    if given.shape != (stars, size):
        name, shape = model.settings.dualformer.prior, tuple(given.shape)
        raise ModelError(f"this model's prior is '{name}': ({stars}, {size}) numbers, not {shape}")
    return given


def features(model: Network, stars: Stars, batch_size: int = 32) -> dict[str, NDArray[np.float32]]:
    """Part -> (stars, features) of the encoders that there are; NaN where a star lacks what they read."""
    found = {}
    if model.spectrum_encoder is not None:
        rows = spectrum_rows(model, stars.spectra, batch_size)
        found["spectrum"] = filled(rows, len(stars), model.spectrum_encoder.features)
    if model.lightcurve_encoder is not None:
        rows = lightcurve_rows(model, stars.curves, batch_size)
        found["lightcurve"] = filled(rows, len(stars), model.lightcurve_encoder.features)
    return found


def object_features(
    model: Network, lightcurves: Sequence[Any] | None, spectra: Sequence[Any] | None, batch_size: int = 32
) -> tuple[Tensor | None, Tensor | None]:
    """Features of light curves and of spectra (objects or files), on the CPU."""
    curves = None if lightcurves is None else [to_lightcurve(item) for item in lightcurves]
    items = None if spectra is None else [to_spectrum(item) for item in spectra]
    return (
        None if curves is None else torch.stack(list(lightcurve_rows(model, curves, batch_size).values())),
        None if items is None else torch.stack(list(spectrum_rows(model, items, batch_size).values())),
    )


def predict(model: Network, stars: Stars) -> list[dict[str, Prediction]]:
    """Each star's predictions by label, from the heads of the modalities it has."""
    for part, given in (("spectrum", stars.spectra), ("lightcurve", stars.curves)):
        if any(item is not None for item in given):
            model.require(f"{part}_encoder")
    rows: list[dict[str, Prediction]] = [{} for _ in range(len(stars))]
    for estimate in all_estimates(model, features(model, stars)):
        for place, row in enumerate(rows):
            if np.isfinite(estimate.median[place]):
                row[estimate.label] = _prediction(estimate, place)
    return rows


def _prediction(estimate: Estimate, star: int) -> Prediction:
    """A star's label from those of all."""
    shares = estimate.probabilities
    return Prediction(
        median=float("nan") if estimate.classes else float(estimate.median[star]),
        quantiles={level: float(values[star]) for level, values in estimate.quantiles.items()},
        intervals={
            coverage: (float(low[star]), float(high[star]))
            for coverage, (low, high) in estimate.intervals.items()
        },
        probabilities={}
        if shares is None
        else dict(zip(estimate.classes, shares[star].tolist(), strict=True)),
    )
