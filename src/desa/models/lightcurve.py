"""The light-curve encoder: a CNN on ACF and power spectrum, a Conformer on the flux, a projector.

A reader of rotation periods may stand beside them; what it finds are the last of the features.
"""

from __future__ import annotations

from itertools import pairwise
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from desa.config import LightCurveModel
from desa.errors import SettingsError
from desa.models.kernels import IN_CACHE, convolved, halved
from desa.models.layers import ConformerBlock, ConvBlock, RotaryAttention, Sine, full, like
from desa.models.periods import FEATURES, PeriodReader, PeriodReading, at


class LogAxis(nn.Module):
    """Resample the last axis onto indices spaced evenly in the logarithm, by the mean over each bin.

    A rotation period is a place on the axis of lags or frequencies; on a log axis all periods have the same
    relative width, and a few hundred points keep what tens of thousands hold.

    Parameters
    ----------
    points
        Length of the new axis.
    """

    def __init__(self, points: int) -> None:
        super().__init__()
        self.points = points

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, L) -> (B, C, points)."""
        length = x.shape[-1]
        edges = torch.logspace(0, 1, self.points + 1, base=float(length), device=x.device) - 1.0
        total = F.pad(x.double().cumsum(-1), (1, 0))
        low = edges.clamp(max=length).double()
        high = torch.maximum(low[1:], low[:-1] + 1.0).clamp(max=length)
        low = torch.minimum(low[:-1], high - 1.0)
        area = at(total, high) - at(total, low)
        return (area / (high - low)).to(x.dtype)


class FrequencyBranch(nn.Module):
    """CNN on the ACF and the power spectrum, (B, 2, L) -> (B, outputs)."""

    def __init__(self, settings: LightCurveModel) -> None:
        super().__init__()
        widths = settings.cnn_widths
        self.axis = LogAxis(settings.log_axis) if settings.log_axis else nn.Identity()
        self.embedding = ConvBlock(2, widths[0], Sine(settings.sine_w0))
        self.layers = nn.ModuleList(ConvBlock(a, b, Sine(settings.sine_w0)) for a, b in pairwise(widths))
        self.flatten = settings.cnn_pooling == "flatten"
        self.outputs = widths[-1]
        if self.flatten:
            if not settings.log_axis:
                raise ValueError("cnn_pooling = flatten needs log_axis: the length must be fixed")
            left = settings.log_axis
            for _ in self.layers:
                left = left // 2 if left > 2 else left
            self.mix = nn.Linear(widths[-1] * left, widths[-1])

    def forward(self, x: Tensor) -> Tensor:
        """(B, 2, L) -> (B, outputs)."""
        return self.pooled(self.maps(x))

    def pooled(self, x: Tensor) -> Tensor:
        """Mean over what is left of the axis, or a linear map of it that keeps the places apart."""
        return cast(Tensor, self.mix(x.flatten(1)) if self.flatten else x.mean(-1))

    def maps(self, x: Tensor) -> Tensor:
        """(B, 2, L) -> (B, outputs, what is left of the axis)."""
        with torch.autocast(x.device.type, enabled=False):  # what comes in may be counts
            x = self.embedding(self.axis(x.to(cast(nn.Conv1d, self.embedding[0]).weight.dtype)))
        x = like(x, cast(nn.Conv1d, cast(ConvBlock, self.layers[0])[0]))
        for layer in self.layers:
            x = layer(x)
            if x.shape[-1] > 2:
                x = halved(x)
        return x


class FluxBranch(nn.Module):
    """Conformer on the flux, (B, 2, L) -> tokens (B, L / stem, width)."""

    def __init__(self, settings: LightCurveModel) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv1d(2, settings.width, settings.stem, stride=settings.stem),
            nn.BatchNorm1d(settings.width),
            nn.SiLU(),
        )
        self.blocks = nn.ModuleList(
            ConformerBlock(settings.width, settings.heads) for _ in range(settings.blocks)
        )

    def forward(self, x: Tensor, leave: int = 0) -> Tensor:
        """Tokens in the order of time, after all but the last `leave` blocks."""
        convolution, norm = cast(nn.Conv1d, self.stem[0]), cast(nn.BatchNorm1d, self.stem[1])
        with torch.autocast(x.device.type, enabled=False):  # what comes in may be counts
            x = self.stem[2](convolved(x.to(convolution.weight.dtype), convolution, norm))
        attention = cast(RotaryAttention, cast(ConformerBlock, self.blocks[0]).parts[0])
        x = like(x, attention.query).transpose(1, 2)
        for block in self.blocks[: max(0, len(self.blocks) - leave)]:
            x = block(x)
        return x


class LightCurveEncoder(nn.Module):
    """Light-curve channels to features.

    Parameters
    ----------
    settings
        Sizes; the defaults of `desa.config.LightCurveModel` are the published ones.

    Raises
    ------
    SettingsError
        If there are no more features than the reader of periods takes.
    """

    def __init__(self, settings: LightCurveModel) -> None:
        super().__init__()
        self.frequency = FrequencyBranch(settings)
        self.flux = FluxBranch(settings)
        self.features, self.width, self.stem = settings.features, settings.width, settings.stem
        hidden = settings.features
        own = hidden - FEATURES if settings.period_points else hidden
        if own < 1:
            raise SettingsError(
                f"lightcurve.features = {hidden}: the reader of periods takes {FEATURES} of them; "
                "set more, or period_points = 0"
            )
        self.projector = nn.Sequential(
            nn.Linear(self.frequency.outputs + settings.width, hidden),
            nn.BatchNorm1d(hidden),
            nn.ReLU(),
            nn.Linear(hidden, hidden),
            nn.BatchNorm1d(hidden),
            nn.ReLU(),
            nn.Linear(hidden, own),
            nn.BatchNorm1d(own),
        )
        self.reader = PeriodReader(settings.period_points) if settings.period_points else None

    def _rows(self, channels: Tensor) -> int:
        """Light curves at once: on a CPU so few that what lies between two operations stays in its cache."""
        tracked = torch.is_grad_enabled() and cast(nn.Linear, self.projector[0]).weight.requires_grad
        if self.training or tracked or channels.device.type != "cpu" or torch.compiler.is_compiling():
            return max(1, len(channels))
        return max(1, IN_CACHE // (self.width * channels.shape[-1] // self.stem))

    def _pooled(self, channels: Tensor) -> Tensor:
        return torch.cat([self.frequency(channels[:, 2:]), self.flux(channels[:, :2]).mean(1)], dim=1)

    def read(self, channels: Tensor) -> PeriodReading | None:
        """What the reader of periods says of (B, 4, L), or None where there is no reader."""
        return None if self.reader is None else cast(PeriodReading, self.reader(channels[:, 2:]))

    def forward(
        self, channels: Tensor, mask: Tensor | None = None, reading: PeriodReading | None = None
    ) -> Tensor:
        """Features of light curves.

        Parameters
        ----------
        channels
            (B, 4, L): flux, standardised flux, ACF, log power spectrum.
        mask
            (B, L) True where there is a sample. The channels are 0 elsewhere; the published pooling
            counts every token, so the mask is not used.
        reading
            What `read` gave for these channels, if that was asked before.

        Returns
        -------
        Tensor
            (B, features).
        """
        pooled = torch.cat([self._pooled(part) for part in torch.split(channels, self._rows(channels))])
        features = full(self.projector(torch.nan_to_num(pooled, nan=0.0)))
        reading = self.read(channels) if reading is None else reading
        return features if reading is None else torch.cat([features, reading.features], dim=1)

    def reduce(self, dtype: torch.dtype) -> None:
        """Change the dtype of all but the layers that see what comes in."""
        self.to(dtype)
        self.frequency.embedding.float()
        self.flux.stem.float()
        if self.reader is not None:
            self.reader.float()

    def heavy(self) -> list[nn.Module]:
        """What is worth compiling."""
        return [self.frequency.embedding, *self.frequency.layers, *self.flux.blocks]
