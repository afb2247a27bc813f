"""Flux on the cadence grid -> the four channels of the light-curve encoder."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool1d, pad

from desa.config import LightCurvePreprocessing
from desa.errors import SettingsError
from desa.preprocess.numeric import MAD_TO_SIGMA, fast_length, masked_median, row_sum, safe_ratio, widest

LEAST_PAIRS = 0.05
"""ACF lags with fewer valid pairs than this share of the valid samples are 0."""

PPM_PER_PPT = 1000.0


class LightCurveChannels(NamedTuple):
    """What the light-curve encoder reads.

    Parameters
    ----------
    channels
        (B, 4, L) float32: flux [ppt], standardised flux, ACF, log amplitude spectrum.
    mask
        (B, L) bool, True where there is a good sample. It belongs to channels 0 and 1, which are 0
        elsewhere; channels 2 and 3 run over lag and frequency and have no gaps.
    """

    channels: Tensor
    mask: Tensor


class LightCurvePreprocessor(nn.Module):
    """Batched channels of light curves with gaps; any length, no fitted state, no gradient.

    - Channel 0, *flux*: 1000 (F / median F - 1), in parts per thousand, smoothed over
      ``settings.smooth`` cadences (1 = not at all), about the median, clipped at ``settings.clip``
      robust standard deviations (1.4826 MAD; the plain one where the MAD is 0). It is not divided
      by anything, so the amplitude of the variability stays.
    - Channel 1, *standardised flux*: the same before clipping, minus the mean of the valid samples,
      over their standard deviation.
    - Channel 2, *ACF* at lag k = 0 .. L-1 cadences: the mean product of the pairs of valid samples
      that are k apart, over its value at k = 0; of channel 0 about its mean (so outliers count only
      up to the clip). Lags with fewer valid pairs than 5 % of the valid samples are 0.
    - Channel 3, *log spectrum* at frequency j / (2 L) cycles per cadence, j = 0 .. L-1:
      log10(1 + a), a = |FFT| / sqrt(valid samples) in ppm, of channel 0 about its mean. White noise
      of s ppm has a = s on average at any length and duty cycle.

    Gaps are NaN (or infinite); whatever a gap hides has no influence. Multiplying a whole light
    curve by a positive number changes nothing. A row without a good sample, or whose median is not
    positive (it is not a relative flux), is all zero with an all-False mask; a constant one is zero
    with its mask kept. Every operation is elementwise in float32, an order statistic, or a sum or an
    FFT in float64, without a look at the data from the host, so that CPU and CUDA differ by rounding only.

    Parameters
    ----------
    settings
        `smooth` and `clip` are used here; `length` and `min_valid` belong to the crop.

    Raises
    ------
    SettingsError
        If `smooth` is even.
    """

    def __init__(self, settings: LightCurvePreprocessing) -> None:
        super().__init__()
        if settings.smooth % 2 == 0:
            raise SettingsError(f"smooth is {settings.smooth}: must be odd; try {settings.smooth + 1}")
        self.settings = settings

    @torch.no_grad()
    def forward(self, flux: Tensor) -> LightCurveChannels:
        """Channels of a batch.

        Parameters
        ----------
        flux
            (B, L) relative flux, NaN in gaps.

        Raises
        ------
        ValueError
            If `flux` is not (B, L) with at least 2 samples.
        """
        if flux.ndim != 2 or flux.shape[1] < 2:
            raise ValueError(f"flux must be (B, L), L >= 2, not {tuple(flux.shape)}")
        with torch.autocast(flux.device.type, enabled=False):
            return self._channels(flux.float())

    def _channels(self, flux: Tensor) -> LightCurveChannels:
        ppt, good = parts_per_thousand(flux)
        if self.settings.smooth > 1:
            ppt = masked_moving_average(ppt, good, self.settings.smooth)
            ppt = (ppt - masked_median(ppt, good)).mul_(good)
        count = row_sum(good)
        centred = centre(ppt, good, count)
        deviation = safe_ratio(row_sum(centred.square()), count).sqrt_()
        sigma = MAD_TO_SIGMA * masked_median(ppt.abs(), good)
        limit = self.settings.clip * torch.where(sigma > 0, sigma, deviation)

        channels = flux.new_empty(flux.shape[0], 4, flux.shape[1])
        channels[:, 0] = torch.minimum(torch.maximum(ppt, -limit), limit)
        channels[:, 1] = centred * safe_ratio(torch.ones_like(deviation), deviation)
        clipped = centre(channels[:, 0], good, count)
        channels[:, 2], channels[:, 3] = correlate(clipped, good, count)
        return LightCurveChannels(channels, good > 0)


def parts_per_thousand(flux: Tensor) -> tuple[Tensor, Tensor]:
    """Relative flux in ppt about the median (0 in gaps) and the good samples as 1.0, both (B, L)."""
    good = (flux - flux).eq_(0.0)  # finite samples; several times faster than isfinite
    filled = torch.nan_to_num(flux, 0.0, 0.0, 0.0)
    median = masked_median(filled, good)
    good.mul_(median > 0)
    # Subtracting first is exact near the median; flux / median - 1 would lose digits.
    scale = safe_ratio(torch.full_like(median, 1000.0), median)
    return filled.sub_(median).mul_(scale).mul_(good), good


def centre(values: Tensor, good: Tensor, count: Tensor) -> Tensor:
    """Values (B, L), 0 in gaps, minus their mean over the good ones; 0 in gaps."""
    mean = row_sum(values) / count.clamp_min(1.0)
    return (values - mean).mul_(good)


def masked_moving_average(values: Tensor, good: Tensor, width: int) -> Tensor:
    """Mean of the good values within an odd window; 0 in gaps.

    Without gaps this is the Savitzky-Golay filter of order 1 (mirrored ends). Both are (B, L).
    """
    half = width // 2
    if half >= values.shape[1]:
        raise ValueError(f"a window of {width} needs more than {half} samples, not {values.shape[1]}")
    window = [pad(x.unsqueeze(1), (half, half), mode="reflect") for x in (values, good)]
    total, share = (avg_pool1d(x, width, stride=1).squeeze(1) for x in window)
    return safe_ratio(total, share).mul_(good)


def correlate(centred: Tensor, good: Tensor, count: Tensor) -> tuple[Tensor, Tensor]:
    """ACF by lag and log amplitude spectrum, both (B, L), from one zero-padded FFT.

    The transforms are in float64: where the spectrum is deep, float32 leaves mostly rounding, which depends
    on the number of threads.

    Parameters
    ----------
    centred
        (B, L) in ppt, mean 0 over the good samples, 0 in gaps.
    good
        (B, L), 1.0 where there is a good sample, else 0.0.
    count
        (B, 1) good samples.
    """
    length = centred.shape[1]
    padded = fast_length(2 * length)
    room = centred.new_zeros(centred.shape[0], padded, dtype=widest(centred.device))
    power, products = power_and_products(centred, room)
    # Numbers of pairs are whole numbers: float32 finds them too, in half the time.
    pairs = power_and_products(good, torch.zeros_like(room, dtype=good.dtype))[1].round_()

    variance = safe_ratio(products[:, :1], count)
    enough = (pairs >= (LEAST_PAIRS * count).clamp_min(1.0)) & (variance > 0)
    acf = products.mul_(enough).div_((pairs * variance).masked_fill_(~enough, 1.0)).to(centred.dtype)

    amplitude = at_frequencies(power, length, padded).div_(count.clamp_min(1.0)).sqrt_()
    return acf, amplitude.mul_(PPM_PER_PPT).add_(1.0).log10_().to(centred.dtype)


def power_and_products(values: Tensor, room: Tensor) -> tuple[Tensor, Tensor]:
    """|FFT|^2 of (B, L) values padded with zeros to `room`, and its inverse at lags 0 .. L-1."""
    length = values.shape[1]
    room[:, :length] = values
    transform = torch.fft.rfft(room)
    power = transform * transform.conj()
    return power.real, torch.fft.irfft(power, room.shape[1])[:, :length]


def at_frequencies(power: Tensor, length: int, padded: int) -> Tensor:
    """Power at j / (2 length) cycles per cadence, j = 0 .. length-1, linear between the FFT's own.

    Parameters
    ----------
    power
        (B, padded // 2 + 1), at k / padded cycles per cadence.
    """
    if padded == 2 * length:
        return power[:, :length].clone()
    position = torch.arange(length, device=power.device, dtype=torch.float64) * (padded / (2 * length))
    left = position.floor()
    share = (position - left).to(power.dtype)
    index = left.long()
    return torch.lerp(power[:, index], power[:, index + 1], share)
