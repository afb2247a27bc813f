"""The reader of rotation periods: a score for every period, and features that tell where the best are."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from desa.types import KEPLER_CADENCE_DAYS

SHORTEST = 6.0
"""Shortest period on the axis, in cadences (3 hours)."""

LONGEST_SHARE = 0.5
"""The longest, as a share of the crop: two turns must fit into it."""

WIDTH = 16
KERNEL = 9
DILATIONS = (1, 3, 9)

SMOOTH_OCTAVES = 0.075
"""Standard deviation of the ACF's smoothing: 5 % of the period."""

LEVELS = (0.1, 0.25, 0.5, 0.75, 0.9)
"""Of the distribution over periods: the places where it reaches these are features."""

PEAK = len(LEVELS)
"""Index of the feature that is the highest peak's place."""

PLACES = PEAK + 1
"""Features that are places: the levels' and the highest peak's, 2 (log10 P [d] - 1)."""

FEATURES = 16
"""Of a reader: the places first, then what was found there."""

SHARPNESS = 4.0
"""Power to which the distribution is taken so that its mean is near its highest peak."""

LABEL_OCTAVES = 0.0375
"""A label's own spread on the axis: 2.6 % of the period, about the precision of catalogues."""

PRIOR_KNOTS = 16


class PeriodReading(NamedTuple):
    """What a `PeriodReader` says of light curves.

    Parameters
    ----------
    log_share
        (B, P) log of each period's share, summing to 1 over the axis.
    features
        (B, FEATURES).
    """

    log_share: Tensor
    features: Tensor


class PeriodReader(nn.Module):
    """Scores every period by what ACF and power spectrum look like about it, its half and its double.

    ACF and spectrum are laid on one axis of log periods, where a star that turns slower is the same picture
    moved along. Convolutions see at each period P the ACF at P, P/2 and 2P and the spectrum at the
    frequencies 1/P, 2/P and 1/2P, so that a first peak differs from its echoes wherever it lies; the only
    thing that depends on the place itself is a smooth prior. There is little that could be learnt by heart.

    Parameters
    ----------
    points
        Points of the axis in each octave of periods.
    """

    def __init__(self, points: int) -> None:
        super().__init__()
        self.points = points
        inputs = (7, *(WIDTH for _ in DILATIONS))
        self.layers = nn.ModuleList(
            nn.Sequential(
                nn.Conv1d(a, b, KERNEL, padding=dilation * (KERNEL // 2), dilation=dilation, bias=False),
                nn.BatchNorm1d(b),
                nn.SiLU(),
            )
            for (a, b), dilation in zip(pairwise(inputs), DILATIONS, strict=True)
        )
        self.scores = nn.Conv1d(WIDTH, 1, 1)
        self.prior = nn.Parameter(torch.zeros(PRIOR_KNOTS))
        self.out = nn.Linear(WIDTH, FEATURES - PLACES)

    def forward(self, x: Tensor) -> PeriodReading:
        """Reading of ACF and log spectrum, (B, 2, L) as `LightCurvePreprocessor` gives them."""
        with torch.autocast(x.device.type, enabled=False):
            hidden = self.inputs(x.float())
            for layer in self.layers:
                hidden = layer(hidden)
            log_share = self.log_share(hidden)
            share = log_share.exp()
            days = self.log_days(x.shape[-1], x.device)
            sharp = (SHARPNESS * log_share).softmax(-1) @ days
            # The levels' gradients go with 1 / density, infinite between peaks: they are not followed.
            places = torch.cat([levels(share.detach(), days), sharp[:, None]], dim=1)
            there = (hidden @ share[:, :, None]).squeeze(-1)
            return PeriodReading(log_share, torch.cat([2.0 * (places - 1.0), self.out(there)], dim=1))

    def log_days(self, length: int, device: torch.device | None = None) -> Tensor:
        """(P,) log10 of the axis' periods in days, for crops of `length` cadences."""
        octaves = math.log2(LONGEST_SHARE * length / SHORTEST)
        steps = torch.arange(int(self.points * octaves), device=device) / self.points
        return math.log10(SHORTEST * KEPLER_CADENCE_DAYS) + math.log10(2.0) * steps

    def inputs(self, x: Tensor) -> Tensor:
        """(B, 7, P): ACF, smoothed ACF and that at 2P and P/2; spectrum at P, P/2 and 2P."""
        octave = self.points
        inner = len(self.log_days(x.shape[-1]))
        steps = torch.arange(-octave, inner + octave, device=x.device, dtype=torch.float64) / octave
        lag = SHORTEST * 2.0**steps
        width = 2.0 ** (1.0 / octave) - 1.0
        acf = binned(x[:, 0], lag, width)
        spectrum = binned(x[:, 1], 2.0 * x.shape[-1] / lag, width)
        spectrum = spectrum - spectrum.mean(-1, keepdim=True)
        smooth = smoothed(acf, SMOOTH_OCTAVES * octave)
        at, half, double = (slice(start, start + inner) for start in (octave, 0, 2 * octave))
        chosen = [acf[:, at], smooth[:, at], smooth[:, double], smooth[:, half]]
        return torch.stack([*chosen, spectrum[:, at], spectrum[:, half], spectrum[:, double]], dim=1)

    def log_share(self, hidden: Tensor) -> Tensor:
        """(B, WIDTH, P) -> (B, P)."""
        scores = cast(Tensor, self.scores(hidden)).squeeze(1)
        prior = F.interpolate(
            self.prior[None, None], size=scores.shape[-1], mode="linear", align_corners=True
        )
        return (scores + prior[0]).log_softmax(-1)

    def loss(self, log_share: Tensor, log_prot: Tensor, length: int) -> Tensor:
        """Cross-entropy of the shares with the known periods on the axis; 0 if there is none.

        Parameters
        ----------
        log_share
            (B, P).
        log_prot
            (B,) log10 of the rotation periods in days, NaN where unknown.
        length
            Cadences of the crops.
        """
        days = self.log_days(length, log_share.device)
        known = (log_prot > days[0]) & (log_prot < days[-1])
        off = (days - torch.where(known, log_prot, days[0])[:, None]) / (LABEL_OCTAVES * math.log10(2.0))
        wanted = (-0.5 * off.square()).softmax(-1)
        entropy = -(wanted * log_share).sum(-1) * known
        return entropy.sum() / known.sum().clamp_min(1)


def binned(values: Tensor, centre: Tensor, width: float) -> Tensor:
    """Means of (B, L) samples in bins about fractional indices.

    Parameters
    ----------
    centre
        (N,) the bins' middles; bins that reach beyond the samples are 0.
    width
        Of the bins as a share of their middles, at least one sample: that is linear interpolation.

    Returns
    -------
    Tensor
        (B, N).
    """
    length = values.shape[-1]
    half = (0.5 * width * centre).clamp_min(0.5)
    low, high = centre - half + 0.5, centre + half + 0.5
    inside = (low >= 0.0) & (high <= length)
    total = F.pad(values.double().cumsum(-1), (1, 0))
    area = at(total, high.clamp(0.0, length)) - at(total, low.clamp(0.0, length))
    return (area / (2.0 * half) * inside).to(values.dtype)


def at(values: Tensor, place: Tensor) -> Tensor:
    """(..., L) at fractional places (N,), linear in between: (..., N)."""
    whole = place.floor().long().clamp(max=values.shape[-1] - 2)
    return torch.lerp(values[..., whole], values[..., whole + 1], place - whole)


def smoothed(values: Tensor, sigma: float) -> Tensor:
    """(B, N) smoothed by a Gaussian of `sigma` points."""
    reach = max(1, round(3.0 * sigma))
    offset = torch.arange(-reach, reach + 1, device=values.device, dtype=values.dtype)
    kernel = (-0.5 * (offset / sigma).square()).softmax(0)
    return F.conv1d(values[:, None], kernel[None, None], padding=reach)[:, 0]


def levels(share: Tensor, places: Tensor) -> Tensor:
    """(B, len(LEVELS)) places where the running sum of shares (B, P) at places (P,) gets to the levels."""
    total = share.cumsum(-1)
    wanted = torch.tensor(LEVELS, device=share.device).expand(len(share), -1).contiguous()
    above = torch.searchsorted(total, wanted).clamp(1, share.shape[-1] - 1)
    low, high = total.gather(1, above - 1), total.gather(1, above)
    part = ((wanted - low) / (high - low).clamp_min(1e-9)).clamp(0.0, 1.0)
    return torch.lerp(places[above - 1], places[above], part)
