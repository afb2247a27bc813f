"""The joint model: a transformer over the token sequences of both encoders, beside their features.

The joint embedding is the encoders' standardised features side by side, and behind them what the fusion
adds, which is 0 before training: the start is the concatenation, and what that holds can't be lost.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass, fields, replace
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from desa.config import GAIA, Settings
from desa.models.heads import QuantileHead, TransformerBlock
from desa.models.lightcurve import LightCurveEncoder
from desa.models.spectrum import SpectrumEncoder


@dataclass
class Tokens:
    """What the joint model reads of B stars.

    Parameters
    ----------
    spectrum, flux
        (B, L, D) token sequences before the encoders' last blocks.
    frequency
        (B, D, L) what the light-curve encoder's CNN makes of ACF and power spectrum.
    reading
        (B, R) what the reader of rotation periods says; R may be 0.
    present
        (B, 2) True where the star has a spectrum, a light curve. What is not there may hold anything finite.
    gaia
        (B, 3) BP-RP, M_G, RUWE, NaN where unknown.
    """

    spectrum: Tensor
    flux: Tensor
    frequency: Tensor
    reading: Tensor
    present: Tensor
    gaia: Tensor

    def __len__(self) -> int:
        return len(self.present)

    def to(self, device: torch.device) -> Tokens:
        """The same on a device."""
        return Tokens(*(getattr(self, field.name).to(device) for field in fields(self)))

    def only(self, modality: int) -> Tokens:
        """The same stars with one modality: 0 the spectrum, 1 the light curve; without Gaia."""
        present = torch.zeros_like(self.present)
        present[:, modality] = self.present[:, modality]
        return replace(self, present=present, gaia=torch.full_like(self.gaia, math.nan))


@dataclass
class JointOutput:
    """Of B stars: the joint embedding, the part of it that the fusion adds, and its tokens.

    Parameters
    ----------
    joint
        (B, size).
    fused
        (B, width).
    tokens, patches
        (B, L, width) after the last block, and (B, L, D) what they were made of, standardised over D: of the
        spectrum, then of the flux.
    """

    joint: Tensor
    fused: Tensor
    tokens: tuple[Tensor, Tensor]
    patches: tuple[Tensor, Tensor]


def spectrum_tokens(encoder: SpectrumEncoder, pixels: Tensor, weights: Tensor | None) -> Tensor:
    """(B, L, D) before the encoder's last block."""
    return encoder.tokens(encoder.cnn(pixels, weights), leave=1).float()


def lightcurve_tokens(encoder: LightCurveEncoder, channels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Flux tokens (B, L, D) before the last block, frequency maps (B, D, L), and the period reading."""
    reading = encoder.read(channels)
    said = channels.new_zeros(len(channels), 0) if reading is None else reading.features
    flux = encoder.flux(channels[:, :2], leave=1)
    return flux.float(), encoder.frequency.maps(channels[:, 2:]).float(), said.float()


class Tails(nn.Module):
    """Copies of the encoders from their last blocks on, which train along; the encoders stay as they are.

    Batch norms keep the encoders' statistics, so that features begin exactly as the encoders'.
    """

    def __init__(self, spectrum: SpectrumEncoder, lightcurve: LightCurveEncoder) -> None:
        super().__init__()
        self.spectrum_blocks = copy.deepcopy(spectrum.blocks[-1:])
        self.flatten = copy.deepcopy(spectrum.flatten)
        self.pooling = spectrum.pooling
        self.flux_blocks = copy.deepcopy(lightcurve.flux.blocks[-1:])
        self.mix = copy.deepcopy(lightcurve.frequency.mix) if lightcurve.frequency.flatten else None
        self.projector = copy.deepcopy(lightcurve.projector)
        self.sizes = (spectrum.features, lightcurve.features)

    def train(self, mode: bool = True) -> Tails:
        """Dropout and batch norms stay as in use."""
        return super().train(False)

    def forward(self, tokens: Tokens) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Last tokens of spectrum and flux, and both encoders' features."""
        spectrum, flux = tokens.spectrum, tokens.flux
        for block in self.spectrum_blocks:
            spectrum = block(spectrum)
        for block in self.flux_blocks:
            flux = block(flux)
        maps = tokens.frequency
        frequency = maps.mean(-1) if self.mix is None else self.mix(maps.flatten(1))
        pooled = torch.nan_to_num(torch.cat([frequency, flux.mean(1)], dim=1), nan=0.0)
        curve = torch.cat([self.projector(pooled), tokens.reading], dim=1)
        return spectrum, flux, self._pooled(spectrum), curve

    def _pooled(self, x: Tensor) -> Tensor:
        if self.flatten is not None:
            return cast(Tensor, self.flatten(x.flatten(1)))
        if self.pooling == "mean_max":
            return torch.cat([x.mean(1), x.amax(1)], dim=1)
        return x.sum(1) if self.pooling == "sum" else x.mean(1)


def patched(x: Tensor, size: int) -> Tensor:
    """(B, L, D) -> (B, ceil(L / size), D) means over `size` tokens."""
    return F.avg_pool1d(x.transpose(1, 2), size, ceil_mode=True).transpose(1, 2)


def places(length: int, width: int, device: torch.device) -> Tensor:
    """(length, width) sines and cosines of the place (Vaswani et al. 2017)."""
    rate = torch.exp(-math.log(10000.0) * torch.arange(0, width, 2, device=device) / width)
    angle = torch.arange(length, device=device)[:, None] * rate
    return torch.cat([angle.sin(), angle.cos()], dim=1)[:, :width]


class Joint(nn.Module):
    """Token sequences of both encoders to a joint embedding, labels and the chance of a companion.

    Parameters
    ----------
    settings
        ``joining`` and ``objective_joint`` are its own.
    spectrum, lightcurve
        The encoders whose tokens it reads; their last blocks are copied.
    """

    def __init__(self, settings: Settings, spectrum: SpectrumEncoder, lightcurve: LightCurveEncoder) -> None:
        super().__init__()
        self.settings, own = settings, settings.joining
        self.tails = Tails(spectrum, lightcurve)
        self.tails.requires_grad_(own.encoders == "last")
        width = own.width
        first, second = self.tails.sizes
        flux = settings.lightcurve.width
        maps = lightcurve.frequency.outputs
        reading = lightcurve.features - cast(nn.Linear, self.tails.projector[6]).out_features
        self.inputs = nn.ModuleList(
            nn.Linear(size, width) for size in (settings.spectrum.width, flux, maps, first, second)
        )
        self.reading = nn.Linear(reading, width) if reading else None
        self.gaia = nn.Linear(2 * len(GAIA), width) if own.gaia else None
        self.kinds = nn.Parameter(0.02 * torch.randn(7, width))
        self.absent = nn.Parameter(0.02 * torch.randn(2, width))
        self.hidden = nn.Parameter(0.02 * torch.randn(2, width))
        self.queries = nn.Parameter(0.02 * torch.randn(own.queries, width))
        self.blocks = nn.ModuleList(
            TransformerBlock(width, own.heads, own.dropout) for _ in range(own.blocks)
        )
        self.norm = nn.RMSNorm(width)
        self.out = nn.Linear(own.queries * width, width)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)
        for name, size in (("spectrum", first), ("lightcurve", second), ("gaia", len(GAIA))):
            self.register_buffer(f"mean_{name}", torch.zeros(size))
            self.register_buffer(f"scale_{name}", torch.ones(size))
        self.size = first + second + (width if own.fusion == "tokens" else 0)
        objective = settings.objective_joint
        self.head = QuantileHead(self.size, own.hidden, objective, "gelu", own.dropout, skip=True)
        self.companion = nn.Linear(self.size, 1)
        nn.init.zeros_(self.companion.weight)

    def copy_tails(self, spectrum: SpectrumEncoder, lightcurve: LightCurveEncoder) -> None:
        """Take the encoders' last blocks anew, after their weights were put in."""
        self.tails = Tails(spectrum, lightcurve).to(self.queries.device)
        self.tails.requires_grad_(self.settings.joining.encoders == "last")

    def set_standardisation(self, name: str, rows: Tensor) -> None:
        """Constants of ``"spectrum"``, ``"lightcurve"`` or ``"gaia"`` over training rows (N, F)."""
        known = torch.isfinite(rows)
        count = known.sum(0).clamp_min(1)
        mean = torch.nan_to_num(rows).sum(0) / count
        spread = (torch.where(known, rows - mean, 0.0).square().sum(0) / count).sqrt()
        getattr(self, f"mean_{name}").copy_(mean)
        getattr(self, f"scale_{name}").copy_(torch.where(spread > 1e-6, spread, 1.0))

    def _standard(self, name: str, rows: Tensor) -> Tensor:
        return cast(Tensor, (rows - getattr(self, f"mean_{name}")) / getattr(self, f"scale_{name}"))

    def forward(self, tokens: Tokens, hide: tuple[Tensor, Tensor] | None = None) -> JointOutput:
        """Joint embedding of stars.

        Parameters
        ----------
        tokens
            Of the stars.
        hide
            (B, L) of the patches of spectrum and flux, True where the fusion does not see them. The features
            are then not shown to it either, as they would tell.
        """
        spectrum, flux, first, second = self.tails(tokens)
        there = tokens.present.float()
        features = [
            self._standard("spectrum", first) * there[:, :1],
            self._standard("lightcurve", second) * there[:, 1:],
        ]
        if self.settings.joining.fusion == "none":
            joint = torch.cat(features, dim=1)
            return JointOutput(joint, joint[:, :0], (spectrum, flux), (spectrum, flux))
        size = self.settings.joining.patch
        patches = patched(spectrum, size), patched(flux, size)
        x = self._sequence(tokens, patches, features, hide)
        for block in self.blocks:
            x = block(x)
        x = self.norm(x)
        start, lengths = len(self.queries), [part.shape[1] for part in patches]
        fused = self.out(x[:, :start].flatten(1))
        ends = (x[:, start : start + lengths[0]], x[:, start + lengths[0] : start + sum(lengths)])
        bare = [F.layer_norm(part.detach(), part.shape[-1:]) for part in patches]
        return JointOutput(torch.cat([*features, fused], dim=1), fused, ends, (bare[0], bare[1]))

    def _sequence(
        self,
        tokens: Tokens,
        patches: tuple[Tensor, Tensor],
        features: list[Tensor],
        hide: tuple[Tensor, Tensor] | None,
    ) -> Tensor:
        """(B, L, width): queries, patches of spectrum and flux, and what else there is."""
        width, rows, device = self.settings.joining.width, len(tokens), tokens.flux.device
        sequences: list[tuple[Tensor, int, int]] = []
        for place, part in enumerate(patches):
            x = self.inputs[place](F.layer_norm(part, part.shape[-1:]))
            if hide is not None:
                x = torch.where(hide[place][..., None], self.hidden[place], x)
            sequences.append((x + places(x.shape[1], width, device), place, place))
        others = [(self.inputs[2](tokens.frequency.transpose(1, 2)), 2, 1)]
        if hide is None:
            others += [(self.inputs[3 + k](features[k])[:, None], 3 + k, k) for k in (0, 1)]
            if self.reading is not None:
                others.append((self.reading(tokens.reading)[:, None], 5, 1))
            sequences += [(x + places(x.shape[1], width, device), kind, part) for x, kind, part in others]
        parts = [self.queries.expand(rows, -1, -1)]
        for x, kind, modality in sequences:
            shown = tokens.present[:, modality, None, None]
            parts.append(torch.where(shown, x + self.kinds[kind], self.absent[modality]))
        if self.gaia is not None:
            known = torch.isfinite(tokens.gaia)
            numbers = torch.nan_to_num(self._standard("gaia", tokens.gaia)).clamp(-5, 5)
            parts.append((self.gaia(torch.cat([numbers, known.float()], 1)) + self.kinds[6])[:, None])
        return torch.cat(parts, dim=1)

    def quantiles(self, joint: Tensor) -> Tensor:
        """(B, size) -> (B, labels, quantiles) ascending, in the labels' units."""
        scales = torch.tensor(self.settings.objective_joint.scales, device=joint.device)
        return (cast(Tensor, self.head(joint)) * scales[:, None]).sort(dim=-1).values

    def companion_chance(self, joint: Tensor) -> Tensor:
        """(B,) logit of the chance that a star has a companion that light curve or spectrum shows."""
        return cast(Tensor, self.companion(joint)[:, 0])
