"""The whole model: preprocessing, encoders, DualFormer, heads and what calibrates them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from desa import preprocess
from desa.archive.convert import to_lightcurve, to_spectrum
from desa.config import Objective, Settings
from desa.conformal import intervals
from desa.errors import ModelError
from desa.models.dualformer import DualFormer, DualFormerOutput
from desa.models.heads import QuantileHead, SimSiamPredictor
from desa.models.inputs import lightcurve_tensor, spectrum_tensors
from desa.models.lightcurve import LightCurveEncoder
from desa.models.spectrum import SpectrumDecoder, SpectrumEncoder
from desa.models.storage import read_model, write_model
from desa.types import Embedding

PARTS = ("lightcurve", "spectrum", "dualformer")


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
    """

    median: float
    quantiles: dict[float, float]
    intervals: dict[float, tuple[float, float]]


def head_for(
    features: int,
    hidden: int,
    objective: Objective,
    activation: str,
    dropout: float,
    batch_norm: bool = True,
) -> QuantileHead:
    """The quantile head of an encoder."""
    return QuantileHead(
        features, hidden, len(objective.labels), len(objective.quantiles), activation, dropout, batch_norm
    )


class Desa(nn.Module):
    """Encoders with their preprocessing, and what joins them; parts may be absent (None).

    Attributes
    ----------
    settings
        All settings.
    preprocess_lightcurve, preprocess_spectrum
        Modules from raw arrays to the encoders' inputs.
    lightcurve_encoder, spectrum_encoder, lightcurve_head, spectrum_head, dualformer
        The parts.
    calibration
        ``"lightcurve"`` / ``"spectrum"`` -> what `desa.conformal.calibrate` gave for that head.
    metadata
        What made the model: data (mock or real), seed, versions.
    """

    def __init__(self, settings: Settings, parts: Sequence[str] = PARTS) -> None:
        super().__init__()
        if not set(parts) <= set(PARTS) or not set(parts) & {"lightcurve", "spectrum"}:
            raise ModelError(f"a model is made of {', '.join(PARTS)}, not of {', '.join(parts) or 'nothing'}")
        self.settings = settings
        self.parts = tuple(part for part in PARTS if part in parts)
        self.preprocess_lightcurve, self.preprocess_spectrum = preprocess.build(settings)
        self.lightcurve_encoder = self.lightcurve_head = None
        self.spectrum_encoder = self.spectrum_head = self.dualformer = None
        if "lightcurve" in parts:
            size = settings.lightcurve
            self.lightcurve_encoder = LightCurveEncoder(size)
            self.lightcurve_head = head_for(
                2 * size.features, size.head_hidden, settings.objective_lightcurve, "gelu", size.dropout
            )
        if "spectrum" in parts:
            self.spectrum_encoder = SpectrumEncoder(settings.spectrum)
            self.spectrum_head = head_for(
                self.spectrum_encoder.features,
                settings.spectrum.head_hidden,
                settings.objective_spectrum,
                "silu",
                settings.spectrum.dropout,
                settings.spectrum.head_batch_norm,
            )
        if "dualformer" in parts:
            if self.spectrum_encoder is None or self.lightcurve_encoder is None:
                raise ModelError("the DualFormer needs both encoders")
            self.dualformer = DualFormer(
                settings.dualformer, self.spectrum_encoder.features, self.lightcurve_encoder.features
            )
        self.calibration: dict[str, Any] = {}
        self.metadata: dict[str, Any] = {}

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    def save(self, folder: str | Path) -> None:
        """Write ``model.safetensors`` and ``model.json`` into a folder, each whole."""
        facts = {
            "settings": self.settings.model_dump(mode="json"),
            "parts": list(self.parts),
            "calibration": self.calibration,
            "metadata": self.metadata,
        }
        write_model(folder, self.state_dict(), facts)

    @classmethod
    def load(cls, folder: str | Path) -> Desa:
        """Read a model that `save` wrote, in evaluation mode.

        Raises
        ------
        ModelError
            If there is none, it is damaged, or of another version.
        """
        weights, facts = read_model(folder)
        model = cls(Settings.model_validate(facts["settings"]), facts["parts"])
        model._fit_parts({name.split(".")[0] for name in weights})
        try:
            model.load_state_dict(weights)
        except RuntimeError as error:
            raise ModelError(f"{folder}: weights of another architecture ({str(error)[:200]})") from None
        model.calibration, model.metadata = facts["calibration"], facts["metadata"]
        return model.eval()

    def _fit_parts(self, stored: set[str]) -> None:
        """Drop heads that were not stored; add the pre-training parts that were."""
        for head in ("lightcurve_head", "spectrum_head"):
            if head not in stored:
                setattr(self, head, None)
        if "decoder" in stored:
            self.decoder = SpectrumDecoder(self.settings.spectrum)
        if "predictor" in stored:
            self.predictor = SimSiamPredictor(self.settings.lightcurve.features)

    def need(self, part: str) -> Any:
        """A part by its attribute's name.

        Raises
        ------
        ModelError
            If the model was saved without it.
        """
        found = getattr(self, part)
        if found is None:
            raise ModelError(f"this model has no {part.replace('_', ' ')}; it was trained without one")
        return found

    def lightcurve_features(self, flux: Tensor) -> Tensor:
        """(B, L) relative flux, NaN in gaps -> (B, features)."""
        channels, mask = self.preprocess_lightcurve(flux)
        return cast(Tensor, self.need("lightcurve_encoder")(channels, mask))

    def spectrum_features(
        self, flux: Tensor, ivar: Tensor, z: Tensor, log_wavelength_start: Tensor
    ) -> Tensor:
        """(B, N) flux and ivar, (B,) z and first pixel -> (B, features)."""
        pixels, weights = self.preprocess_spectrum(flux, ivar, z, log_wavelength_start)
        return cast(Tensor, self.need("spectrum_encoder")(pixels, weights))

    def spectrum_quantiles(self, features: Tensor) -> Tensor:
        """(B, features) -> (B, labels, quantiles) in the labels' units."""
        return self._quantiles(self.need("spectrum_head"), features, self.settings.objective_spectrum)

    def lightcurve_quantiles(self, features: Tensor) -> Tensor:
        """(B, features) -> (B, labels, quantiles) in the labels' units.

        The head reads two views side by side; with one view it reads that one twice, as published.
        """
        doubled = torch.cat([features, features], dim=1)
        return self._quantiles(self.need("lightcurve_head"), doubled, self.settings.objective_lightcurve)

    @staticmethod
    def _quantiles(head: nn.Module, features: Tensor, objective: Objective) -> Tensor:
        scale = torch.tensor(objective.scales, device=features.device, dtype=features.dtype)
        quantiles = cast(Tensor, head(features)) * scale[:, None]
        return quantiles.sort(dim=-1).values

    @torch.inference_mode()
    def features(
        self, lightcurves: Sequence[Any] | None, spectra: Sequence[Any] | None, batch_size: int = 32
    ) -> tuple[Tensor | None, Tensor | None]:
        """Features of light curves and of spectra (objects or files), on the CPU."""
        self.eval()
        lightcurve = spectrum = None
        if lightcurves is not None:
            curves = [to_lightcurve(item) for item in lightcurves]
            length = self.settings.preprocess_lightcurve.length
            lightcurve = torch.cat(
                [
                    self.lightcurve_features(lightcurve_tensor(part, length).to(self.device)).cpu()
                    for part in _batches(curves, batch_size)
                ]
            )
        if spectra is not None:
            items = [to_spectrum(item) for item in spectra]
            spectrum = torch.cat(
                [
                    self.spectrum_features(*(t.to(self.device) for t in spectrum_tensors(part))).cpu()
                    for part in _batches(items, batch_size)
                ]
            )
        return lightcurve, spectrum

    @torch.inference_mode()
    def align(
        self, spectrum: Tensor, lightcurve: Tensor, prior: Tensor | None = None
    ) -> tuple[DualFormerOutput, Tensor]:
        """DualFormer output and joint embedding of features (B, F1) and (B, F2)."""
        dualformer = cast(DualFormer, self.need("dualformer"))
        output = dualformer(spectrum.to(self.device), lightcurve.to(self.device), prior)
        return output, dualformer.joint(output)

    def embed(self, lightcurve: Any = None, spectrum: Any = None, prior: Any = None) -> Any:
        """Embed one star, or a list of stars.

        Parameters
        ----------
        lightcurve
            `desa.LightCurve`, ``lightkurve`` object or path; or a list of them, one a star (a star's own
            entry may be a list of its quarters' paths).
        spectrum
            `desa.Spectrum`, ``specutils`` object or path; or a list, in the same order.
        prior
            (6,) or (3,) numbers of the model's prior, or (B, ...); NaN or None where missing.

        Returns
        -------
        Embedding or list of Embedding
            Joint where both are given; that of the one modality, marked as such, where one is.

        Raises
        ------
        DesaError
            For files or objects that can't be used, or a part that the model lacks.
        ValueError
            If neither is given, or the lists differ in length.
        """
        single = not isinstance(lightcurve if lightcurve is not None else spectrum, list)
        curves, spectra = _as_list(lightcurve, single), _as_list(spectrum, single)
        if curves is None and spectra is None:
            raise ValueError("give a light curve, a spectrum, or both")
        if curves is not None and spectra is not None and len(curves) != len(spectra):
            raise ValueError(
                f"{len(curves)} light curves and {len(spectra)} spectra: one of each a star is needed"
            )
        curves = None if curves is None else [to_lightcurve(item) for item in curves]
        spectra = None if spectra is None else [to_spectrum(item) for item in spectra]
        names = [item.star_id for item in (curves if curves is not None else spectra) or []]
        found_l, found_s = self.features(curves, spectra)
        if found_l is None or found_s is None:
            kind = "lightcurve" if found_s is None else "spectrum"
            one = found_l if found_s is None else found_s
            rows = [
                Embedding(name, kind, **{f"features_{kind}": row})
                for name, row in zip(names, cast(Tensor, one).numpy(), strict=True)
            ]
            return rows[0] if single else rows
        priors = (
            None if prior is None else torch.as_tensor(np.atleast_2d(np.asarray(prior, dtype=np.float32)))
        )
        output, joint = self.align(found_s, found_l, None if priors is None else priors.to(self.device))
        arrays = [
            part.cpu().numpy()
            for part in (
                output.z_spectrum,
                output.z_lightcurve,
                output.p_spectrum,
                output.p_lightcurve,
                joint,
            )
        ]
        rows = [
            Embedding(name, "joint", found_s[i].numpy(), found_l[i].numpy(), *(part[i] for part in arrays))
            for i, name in enumerate(names)
        ]
        return rows[0] if single else rows

    def predict(self, lightcurve: Any = None, spectrum: Any = None) -> Any:
        """Labels of one star, or of a list of stars, from the encoders' heads.

        Parameters
        ----------
        lightcurve, spectrum
            As in `embed`.

        Returns
        -------
        dict or list of dict
            label -> `Prediction`: ``teff`` [K], ``log_g``, ``fe_h`` from a spectrum, ``prot`` [d] from a
            light curve.
        """
        single = not isinstance(lightcurve if lightcurve is not None else spectrum, list)
        curves, spectra = _as_list(lightcurve, single), _as_list(spectrum, single)
        found_l, found_s = self.features(curves, spectra)
        rows: list[dict[str, Prediction]] = [{} for _ in (curves if curves is not None else spectra or [])]
        with torch.inference_mode():
            if found_s is not None:
                quantiles = self.spectrum_quantiles(found_s.to(self.device)).cpu().numpy()
                self._add(rows, quantiles, self.settings.objective_spectrum, "spectrum")
            if found_l is not None:
                quantiles = self.lightcurve_quantiles(found_l.to(self.device)).cpu().numpy()
                self._add(rows, quantiles, self.settings.objective_lightcurve, "lightcurve")
        return rows[0] if single else rows

    def _add(
        self, rows: list[dict[str, Prediction]], quantiles: NDArray[Any], objective: Objective, kind: str
    ) -> None:
        levels = objective.quantiles
        bounds = intervals(quantiles, self.calibration[kind]) if kind in self.calibration else {}
        middle = int(np.argmin(np.abs(np.asarray(levels) - 0.5)))
        for star, row in enumerate(rows):
            for place, label in enumerate(objective.labels):
                values = quantiles[star, place]
                row[label] = Prediction(
                    median=float(values[middle]),
                    quantiles={level: float(value) for level, value in zip(levels, values, strict=True)},
                    intervals={
                        coverage: (float(low[star, place]), float(high[star, place]))
                        for coverage, (low, high) in bounds.items()
                    },
                )


def _as_list(item: Any, single: bool) -> list[Any] | None:
    return None if item is None else [item] if single else list(item)


def _batches(items: Sequence[Any], size: int) -> list[Sequence[Any]]:
    return [items[start : start + size] for start in range(0, len(items), size)]
