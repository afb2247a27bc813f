"""Pre-training of the encoders: what one step does."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

import torch
from torch import Tensor, nn

from desa.config import Objective, Settings
from desa.losses import hybrid, masked_reconstruction, pinball, simsiam
from desa.models.heads import QuantileHead, SimSiamPredictor
from desa.models.network import Network
from desa.models.periods import FEATURES, LEVELS, PEAK
from desa.models.spectrum import SpectrumDecoder
from desa.preprocess.augment import augment
from desa.preprocess.masking import mask_pixels
from desa.preprocess.stretching import stretch, stretches
from desa.survey.tensors import LightCurveBatch, SpectrumBatch
from desa.training.task import Task

STRETCHED = 0.5
"""Share of the light curves that are stretched: the others keep the time scales of what else is in them."""


def scaled_targets(labels: dict[str, Tensor], objective: Objective) -> Tensor:
    """(B, K) labels over their scales; NaN where missing."""
    columns = [labels[name] / scale for name, scale in zip(objective.labels, objective.scales, strict=True)]
    return torch.stack(columns, dim=1)


def snr_weight(snr_g: Tensor, half: float) -> Tensor:
    """Weight of a spectrum's labels by its signal-to-noise: 1/2 at `half`; unknown S/N counts fully."""
    return 1 / (1 + (half / snr_g.nan_to_num(torch.inf).clamp_min(1.0)) ** 2)


def label_errors(quantiles: Tensor, targets: Tensor, objective: Objective) -> dict[str, tuple[float, float]]:
    """Sum and count of |median - label|, label by label, in the labels' units."""
    levels = torch.tensor(objective.quantiles)
    median = quantiles[..., int((levels - 0.5).abs().argmin())]
    known = torch.isfinite(targets)
    error = torch.where(known, (median - targets).abs(), torch.zeros_like(targets))
    return {
        f"mae_{name}": (float(error[:, k].sum()) * objective.scales[k], float(known[:, k].sum()))
        for k, name in enumerate(objective.labels)
    }


def log_rotation(labels: dict[str, Tensor]) -> Tensor | None:
    """(B,) log10 of Prot in days, NaN where unknown; None where neither it nor Prot is among the labels."""
    if "log_prot" in labels:
        return labels["log_prot"]
    return labels["prot"].log10() if "prot" in labels else None


def stretched(batch: LightCurveBatch, objective: Objective, generator: torch.Generator) -> LightCurveBatch:
    """Light curves stretched in time, all crops of a star alike, and their rotation periods with them."""
    factor = stretches(len(batch), objective.stretch, STRETCHED, generator)
    labels = dict(batch.labels)
    if "prot" in labels:
        labels["prot"] = labels["prot"] * factor
    if "log_prot" in labels:
        labels["log_prot"] = labels["log_prot"] + factor.log10()
    return replace(batch, flux=stretch(batch.flux, factor), labels=labels)


class _Pretrain(Task):
    """What both encoders' pre-training shares."""

    part = ""

    def losses(self, batch: Any, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Self-supervised loss, supervised loss, predicted quantiles, targets."""
        raise NotImplementedError

    def __init__(self, settings: Settings, model: Network, objective: Objective) -> None:
        super().__init__()
        self.settings, self.model, self.objective = settings, model, objective

    @property
    def head(self) -> Any:
        """The encoder's head."""
        return self.model.require(f"{self.part}_head")

    def begin_with(self, start: Network) -> None:
        """Take the weights of another model's encoder, and its head's if it is for the same labels."""
        name, other = f"{self.part}_encoder", getattr(start.settings, f"objective_{self.part}")
        self.model.require(name).load_state_dict(start.require(name).state_dict())
        same = all(getattr(other, x) == getattr(self.objective, x) for x in ("labels", "scales", "quantiles"))
        head = getattr(start, f"{self.part}_head")
        if same and head is not None:
            self.head.load_state_dict(head.state_dict())

    @torch.no_grad()
    def start_at(self, labels: Tensor) -> None:
        """Let the head begin with the quantiles of the training labels, whatever it is shown.

        Teff is near 1 in units of 5778 K and spreads by a tenth of that: a head that begins at 0 spends
        hundreds of steps on the way there.

        Parameters
        ----------
        labels
            (N, K) in the labels' units, NaN where missing. A label that nobody has keeps its beginning.
        """
        levels = torch.tensor(self.objective.quantiles, dtype=torch.float64)
        scale = torch.tensor(self.objective.scales, dtype=torch.float64)
        wanted = torch.nanquantile(labels.double() / scale, levels, dim=0).T
        bias = self.head.layers[-1].bias
        known = torch.isfinite(wanted)
        bias.copy_(torch.where(known, wanted.to(bias), bias.view_as(wanted)).flatten())

    def quantiles(self, features: Tensor) -> Tensor:
        """(B, K, Q) of the head, in float32 throughout: bfloat16 has 3 digits, Teff needs more."""
        with torch.autocast(features.device.type, enabled=False):
            return torch.as_tensor(self.head(features.float()))

    def training_step(self, batch: Any, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """Hybrid loss of a batch."""
        own, supervised, _, _ = self.losses(batch, generator)
        loss = hybrid(own, supervised, self.objective.supervised)
        return loss, {"self_supervised": own, "supervised": supervised}

    def validation_step(self, batch: Any, generator: torch.Generator) -> dict[str, tuple[float, float]]:
        """The same without gradients, and the error of each label."""
        own, supervised, quantiles, targets = self.losses(batch, generator)
        loss = hybrid(own, supervised, self.objective.supervised)
        size = float(len(batch))
        sums = {"loss": loss, "self_supervised": own, "supervised": supervised}
        return {
            **{name: (float(value) * size, size) for name, value in sums.items()},
            **label_errors(quantiles, targets, self.objective),
        }


class PretrainSpectrum(_Pretrain):
    """Masked filling and stellar parameters from one forward pass of the masked spectrum.

    With ``supervised: 1`` there is no decoder, and the encoder sees the whole spectrum.
    """

    name = part = "spectrum"

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings, Network(settings, ["spectrum"]), settings.objective_spectrum)
        self.decoder = SpectrumDecoder(settings.spectrum) if self.objective.supervised < 1 else None

    def losses(
        self, batch: SpectrumBatch, generator: torch.Generator
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """See `_Pretrain.losses`."""
        with torch.no_grad():
            pixels, weights = self.model.spectrum_pixels(
                batch.flux, batch.ivar, batch.z, batch.log_wavelength_start
            )
            if self.training and self.objective.augment:
                pixels, weights = augment(pixels, weights, generator)
        own, features = self._filled(pixels, weights, generator)
        quantiles = self.quantiles(features)
        targets = scaled_targets(batch.labels, self.objective)
        importance = snr_weight(batch.snr_g, self.objective.half_weight_snr)
        supervised = pinball(quantiles, targets, self.objective.quantiles, importance)
        return own, supervised, quantiles, targets

    def _filled(self, pixels: Tensor, weights: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Loss of masked filling (0 without a decoder), and the features of what was seen."""
        encoder = self.model.require("spectrum_encoder")
        if self.decoder is None:
            return pixels.new_zeros(()), encoder(pixels, weights)
        with torch.no_grad():
            seen, hidden = mask_pixels(pixels, weights > 0, self.objective, generator)
        tokens = encoder.cnn(seen, weights)
        own = masked_reconstruction(self.decoder(tokens).float(), pixels, hidden, weights)
        return own, encoder.conformer(tokens)

    def compilable(self) -> list[nn.Module]:
        """Encoder, block by block, and decoder."""
        encoder = self.model.require("spectrum_encoder")
        decoder = [] if self.decoder is None else [self.decoder]
        return [encoder.embedding, *encoder.layers, *encoder.blocks, *decoder]


class PretrainLightCurve(_Pretrain):
    """Two crops of a star agree (SimSiam), and tell its rotation period."""

    name = part = "lightcurve"

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings, Network(settings, ["lightcurve"]), settings.objective_lightcurve)
        self.predictor = SimSiamPredictor(settings.lightcurve.features)

    @torch.no_grad()
    def start_at(self, labels: Tensor) -> None:
        """As `_Pretrain.start_at`; but log Prot begins with what the reader of periods says, if there is one.

        Its places are features as they are, so that the mean of both crops' is a quantile to begin with. The
        median begins at the highest peak: between two peaks it would be no period at all.
        """
        super().start_at(labels)
        head: QuantileHead = self.head
        reads = self.model.require("lightcurve_encoder").reader is not None
        if not reads or head.skip is None or "log_prot" not in self.objective.labels:
            return
        label = self.objective.labels.index("log_prot")
        scale, features = self.objective.scales[label], self.settings.lightcurve.features
        bias = cast(nn.Linear, head.layers[-1]).bias
        for k, level in enumerate(self.objective.quantiles):
            row = label * head.quantiles + k
            nearest = min(range(len(LEVELS)), key=lambda n: abs(LEVELS[n] - level))
            place = (PEAK if level == 0.5 else nearest) - FEATURES
            head.skip.weight[row, [features + place, 2 * features + place]] = 0.25 / scale
            bias[row] = 1.0 / scale

    def losses(
        self, batch: LightCurveBatch, generator: torch.Generator
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """See `_Pretrain.losses`."""
        with torch.no_grad():
            count_rate = batch.count_rate
            if count_rate is not None:
                count_rate = count_rate.repeat_interleave(batch.flux.shape[1])
            channels, mask = self.model.lightcurve_channels(batch.flux.flatten(0, 1), count_rate)
        encoder = self.model.require("lightcurve_encoder")
        reading = encoder.read(channels)
        features = encoder(channels, mask, reading)
        first, second = features.unflatten(0, (-1, 2)).unbind(1)
        ahead, back = self.predictor(first).float(), self.predictor(second).float()
        own = simsiam(ahead, first.float(), back, second.float())
        quantiles = self.quantiles(torch.cat([first, second], dim=1))
        targets = scaled_targets(batch.labels, self.objective)
        supervised = pinball(quantiles, targets, self.objective.quantiles)
        log_prot = log_rotation(batch.labels)
        if self.objective.periods and reading is not None and log_prot is not None:
            views = log_prot.repeat_interleave(batch.flux.shape[1])
            entropy = encoder.reader.loss(reading.log_share, views, channels.shape[-1])
            supervised = supervised + self.objective.periods * entropy
        return own, supervised, quantiles, targets

    def training_step(
        self, batch: LightCurveBatch, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Hybrid loss of a batch, stretched in time if the settings say so."""
        if self.objective.stretch > 1:
            batch = stretched(batch, self.objective, generator)
        return super().training_step(batch, generator)

    def compilable(self) -> list[nn.Module]:
        """The encoder."""
        return [self.model.require("lightcurve_encoder")]
