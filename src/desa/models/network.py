"""The network: preprocessing, encoders, DualFormer, heads and what calibrates them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self, cast

import numpy as np
import torch
from torch import Tensor, nn

from desa import preprocess
from desa.config import Objective, Settings
from desa.errors import ModelError
from desa.models.dualformer import DualFormer, DualFormerOutput
from desa.models.head_files import UserHead, read_heads, write_head
from desa.models.heads import QuantileHead, SimSiamPredictor
from desa.models.joint import Joint
from desa.models.layers import Rotary
from desa.models.lightcurve import LightCurveEncoder
from desa.models.period_finder import PeriodFinder, read_finder, write_finder
from desa.models.reference import Reference, read_references, write_references
from desa.models.spectrum import SpectrumDecoder, SpectrumEncoder
from desa.models.spectrum_check import SpectrumCheck, read_check, write_check
from desa.models.storage import read_model, write_model
from desa.preprocess.lightcurve import LightCurveChannels
from desa.preprocess.spectrum import SpectrumPixels
from desa.types import SPEED_OF_LIGHT, LightCurve, Spectrum

COMPONENTS = ("lightcurve", "spectrum", "dualformer")
JOINT = "joint"
"""The part that the joint stage trains, in the DualFormer's place."""

SMALL = 20_000_000
"""Weights of a model that is quick to make twice."""


MOST_FLUX = 1e18
"""No instrument's unit gives larger fluxes; the squares of such leave float32."""


class Network(nn.Module):
    """Encoders with their preprocessing, and what joins them; parts may be absent (None).

    Attributes
    ----------
    settings
        All settings.
    preprocess_lightcurve, preprocess_spectrum
        Modules from raw arrays to the encoders' inputs.
    lightcurve_encoder, spectrum_encoder, lightcurve_head, spectrum_head, dualformer, joint
        The parts.
    calibration
        ``"lightcurve"`` / ``"spectrum"`` / ``"joint"`` -> what `desa.conformal.calibrate` gave for that head.
    references
        ``"lightcurve"`` / ``"spectrum"`` -> training stars' features, that a star is compared with.
    heads
        Heads for users' own labels, which `desa finetune` made.
    periods
        Finds rotation periods, in place of the light-curve encoder's head; None without.
    spectrum_check
        Tells spectra of stars that the labels are not right for; None without.
    metadata
        What made the model: data (mock or real), seed, versions.
    resample_spectra
        Whether spectra of another grid than the model was trained on are resampled onto it. They are refused
        unless a user says that they may be used; it is not stored.
    exact
        Whether stars are computed one by one on one thread of the CPU, so that neither the batch's size nor
        the number of threads changes a bit (`desa.inference.exact`); slower, and not stored.
    """

    def __init__(self, settings: Settings, parts: Sequence[str] = COMPONENTS) -> None:
        super().__init__()
        if not set(parts) <= {*COMPONENTS, JOINT} or not set(parts) & {"lightcurve", "spectrum"}:
            known = ", ".join((*COMPONENTS, JOINT))
            raise ModelError(f"a model is made of {known}, not of {', '.join(parts) or 'nothing'}")
        self.settings = settings
        self.parts = tuple(part for part in (*COMPONENTS, JOINT) if part in parts)
        with torch.device("cpu"):  # constants are made, even where the weights are to be filled in later
            self.preprocess_lightcurve, self.preprocess_spectrum = preprocess.build(settings)
        self.lightcurve_encoder = self.lightcurve_head = None
        self.spectrum_encoder = self.spectrum_head = self.dualformer = None
        if "lightcurve" in parts:
            size = settings.lightcurve
            self.lightcurve_encoder = LightCurveEncoder(size)
            self.lightcurve_head = QuantileHead(
                2 * size.features,
                size.head_hidden,
                settings.objective_lightcurve,
                "gelu",
                size.dropout,
                skip=size.head_skip,
            )
        if "spectrum" in parts:
            self.spectrum_encoder = SpectrumEncoder(settings.spectrum)
            self.spectrum_head = QuantileHead(
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
        self.joint: Joint | None = None
        if JOINT in parts:
            if self.spectrum_encoder is None or self.lightcurve_encoder is None:
                raise ModelError("the joint model needs both encoders")
            self.joint = Joint(settings, self.spectrum_encoder, self.lightcurve_encoder)
        self.resample_spectra = self.exact = False
        self.calibration: dict[str, Any] = {}
        self.references: dict[str, Reference] = {}
        self.heads: list[UserHead] = []
        self.periods: PeriodFinder | None = None
        self.spectrum_check: SpectrumCheck | None = None
        self.metadata: dict[str, Any] = {}

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return next(self.parameters()).device

    def save(self, folder: str | Path, *, half: bool = False) -> str:
        """Write weights, references, heads and ``model.json`` into a folder, each file whole.

        Parameters
        ----------
        folder
            Made if need be.
        half
            Store large weights in half precision; see `desa.models.storage.write_model`.

        Returns
        -------
        str
            The hash of the weights' file, by which heads know their model.
        """
        facts = {
            "settings": self.settings.model_dump(mode="json"),
            "parts": list(self.parts),
            "calibration": self.calibration,
            "metadata": self.metadata,
        }
        write_references(folder, self.references)
        write_finder(folder, self.periods)
        write_check(folder, self.spectrum_check)
        digest = write_model(folder, self.state_dict(), facts, half=half)
        if self.heads:
            for head in self.heads:
                write_head(folder, head, digest)
        return digest

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Read a model that `save` wrote, in evaluation mode.

        Raises
        ------
        ModelError
            If there is none, it is damaged, or of another version.
        """
        weights, facts = read_model(folder)
        # Weights are replaced at once: the meta device spares a large model the memory for them. For a small
        # one it would cost more than it spares, as drawing numbers there imports torch's compiler.
        large = sum(tensor.numel() for tensor in weights.values()) > SMALL
        with torch.random.fork_rng(devices=[]), torch.device("meta" if large else "cpu"):
            model = cls(facts.settings, facts.parts)
            model._fit_parts({name.split(".")[0] for name in weights})
        types = {name: tensor.dtype for name, tensor in model.state_dict().items()}
        try:
            wrong = [
                name for name, tensor in weights.items() if tensor.dtype != types.get(name, tensor.dtype)
            ]
            if wrong:
                raise RuntimeError(f"{wrong[0]} holds numbers of another type")
            model.load_state_dict(weights, assign=True)
        except RuntimeError as error:
            raise ModelError(f"{folder}: weights of another architecture ({str(error)[:200]})") from None
        model.make_constants()
        model.calibration = {part: found.model_dump() for part, found in facts.calibration.items()}
        model.metadata = dict(facts.metadata)
        model.references = read_references(folder)
        model.periods = read_finder(folder)
        model.spectrum_check = read_check(folder, facts.settings.preprocess_spectrum.pixels)
        if (Path(folder) / "heads").is_dir():
            model.heads = read_heads(folder, model.dualformer, facts.weights)
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

    def make_constants(self) -> None:
        """Make what is computed, not stored: after weights were put into a model on the meta device."""
        for module in self.modules():
            if isinstance(module, Rotary):
                module.reset_constants()

    def require(self, part: str) -> Any:
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

    def check(self, item: LightCurve | Spectrum) -> None:
        """Raise `ModelError` for what has no encoder, tells nothing, or is a spectrum of another grid."""
        self.require("lightcurve_encoder" if isinstance(item, LightCurve) else "spectrum_encoder")
        flux = item.flux[item.valid & np.isfinite(item.flux)]
        what = (
            f"{item.star_id or 'a star'}: the {'light curve' if isinstance(item, LightCurve) else 'spectrum'}"
        )
        if not flux.any():
            raise ModelError(f"{what} has no good sample with flux")
        if np.abs(flux).max() > MOST_FLUX:
            raise ModelError(f"{what} has fluxes beyond {MOST_FLUX:g}: are its bytes in another order?")
        if isinstance(item, LightCurve):
            return
        if not self.resample_spectra:
            self.settings.preprocess_spectrum.grid.check(item)

    def lightcurve_channels(self, flux: Tensor, count_rate: Tensor | None = None) -> LightCurveChannels:
        """(B, L) relative flux, NaN in gaps -> what the encoder reads.

        Parameters
        ----------
        flux
            (B, L).
        count_rate
            (B,) electrons a second that a relative flux of 1 stands for. The published preprocessing
            wants counts: give it those, or their rate. Ours does not look at it.

        Raises
        ------
        ModelError
            If the published preprocessing is given a rate that is not known.
        """
        if count_rate is None or self.settings.preprocess_lightcurve.mode != "published":
            return cast(LightCurveChannels, self.preprocess_lightcurve(flux))
        unknown = int((~torch.isfinite(count_rate)).sum())
        if unknown:
            raise ModelError(
                f"{unknown} of {len(count_rate)} light curves have no Kepler magnitude, from which the "
                "published preprocessing takes counts; give the survey's stars a column kepmag"
            )
        return cast(LightCurveChannels, self.preprocess_lightcurve(flux, count_rate))

    def lightcurve_features(self, flux: Tensor, count_rate: Tensor | None = None) -> Tensor:
        """(B, L) relative flux, NaN in gaps -> (B, features); arguments as `lightcurve_channels`'."""
        channels, mask = self.lightcurve_channels(flux, count_rate)
        return cast(Tensor, self.require("lightcurve_encoder")(channels, mask))

    def spectrum_pixels(
        self,
        flux: Tensor,
        ivar: Tensor,
        z: Tensor,
        log_wavelength_start: Tensor,
        helio_rv: Tensor | None = None,
    ) -> SpectrumPixels:
        """What the encoder reads of spectra.

        Parameters
        ----------
        flux, ivar
            (B, N).
        z
            (B,) redshift of the star: ours shifts by it.
        log_wavelength_start
            (B,) log10 of the first pixel's wavelength in Angstrom.
        helio_rv
            (B,) km/s, the header's HELIO_RV: the published preprocessing shifts by this, and where it is NaN
            or not given (a survey does not keep it) not at all. It is at most 30 km/s, under half a pixel.
        """
        shift = z
        if self.settings.preprocess_spectrum.mode == "published":
            shift = torch.zeros_like(z) if helio_rv is None else helio_rv / SPEED_OF_LIGHT
        return cast(SpectrumPixels, self.preprocess_spectrum(flux, ivar, shift, log_wavelength_start))

    def spectrum_features(
        self,
        flux: Tensor,
        ivar: Tensor,
        z: Tensor,
        log_wavelength_start: Tensor,
        helio_rv: Tensor | None = None,
    ) -> Tensor:
        """Arguments of `spectrum_pixels` -> (B, features)."""
        pixels, weights = self.spectrum_pixels(flux, ivar, z, log_wavelength_start, helio_rv)
        return cast(Tensor, self.require("spectrum_encoder")(pixels, weights))

    def spectrum_quantiles(self, features: Tensor) -> Tensor:
        """(B, features) -> (B, labels, quantiles) in the labels' units."""
        return self._quantiles(self.require("spectrum_head"), features, self.settings.objective_spectrum)

    def lightcurve_quantiles(self, features: Tensor) -> Tensor:
        """(B, features) -> (B, labels, quantiles) in the labels' units.

        The head reads two views side by side; with one view it reads that one twice, as published.
        """
        doubled = torch.cat([features, features], dim=1)
        return self._quantiles(self.require("lightcurve_head"), doubled, self.settings.objective_lightcurve)

    @staticmethod
    def _quantiles(head: nn.Module, features: Tensor, objective: Objective) -> Tensor:
        scale = torch.tensor(objective.scales, device=features.device, dtype=features.dtype)
        quantiles = cast(Tensor, head(features)) * scale[:, None]
        return quantiles.sort(dim=-1).values

    @torch.inference_mode()
    def align(
        self, spectrum: Tensor, lightcurve: Tensor, prior: Tensor | None = None
    ) -> tuple[DualFormerOutput, Tensor]:
        """DualFormer output and joint embedding of features (B, F1) and (B, F2)."""
        dualformer = cast(DualFormer, self.require("dualformer"))
        output = dualformer(spectrum.to(self.device), lightcurve.to(self.device), prior)
        return output, dualformer.joint(output)

    def fast(self, dtype: str = "float32", compile: bool = False) -> Self:
        """Make the encoders and the DualFormer quicker for use, in place; not for training.

        Parameters
        ----------
        dtype
            ``"bfloat16"`` halves the memory of the weights and is about twice as quick where the machine has
            such arithmetic; features then agree to about 1e-2 of their spread. The first layers, which see
            raw fluxes, stay in float32, and results are float32.
        compile
            Compile the blocks (`torch.compile`); takes a minute at the first call and pays on GPUs.

        Raises
        ------
        ModelError
            For another dtype.
        """
        if dtype not in ("float32", "bfloat16"):
            raise ModelError(f"dtype must be float32 or bfloat16, not {dtype}")
        parts = [part for part in (self.lightcurve_encoder, self.spectrum_encoder, self.dualformer) if part]
        for part in parts:
            if dtype == "bfloat16":
                part.reduce(torch.bfloat16)
            if compile:
                for block in part.heavy():
                    block.compile()
        return self
