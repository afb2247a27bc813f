"""The published preprocessing, exactly, because the published weights were trained on it.

Its faults are part of it:

1. Gaps are interpolated over any length, so that missing data look like data; no mask is kept.
2. Light curves are in raw counts (electrons per second), not in relative flux: the first channel
   tells the star's apparent brightness.
3. The ACF is the biased estimator (every lag over the full length) and is standardised, so that its
   value at lag 0 depends on the rest.
4. The Fourier transform keeps the mean: its first value is the log of the summed counts.
5. The "Doppler shift" multiplies the wavelengths by 1 + v / c, the wrong sign, with v = HELIO_RV, the
   observatory's motion, for which the survey has corrected already.
6. Pixel masks and inverse variances are ignored.
7. Each arm's ends are extrapolated, and its first and last pixel pulled down by the median filter,
   which counts zeros outside.
8. Values beyond 3 standard deviations become the mean: the cores of strong lines are erased.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool1d, pad

from desa.config import LightCurvePreprocessing, SpectrumPreprocessing
from desa.errors import FileRefused
from desa.preprocess.continuum import chebyshev, fit
from desa.preprocess.grids import Arm, arms, widened
from desa.preprocess.lightcurve import LightCurveChannels
from desa.preprocess.numeric import fast_length, safe_ratio
from desa.preprocess.spectrum import SpectrumPixels, check_shapes
from desa.types import LightCurve

SMOOTH = 13
"""Width of the Savitzky-Golay filter of order 1."""

DEGREE = 5
"""Degree of the polynomial that each arm is divided by."""

CPU_ROWS = 8
"""Light curves transformed together on a CPU."""

SIGMA = 3.0
"""Normalised pixels beyond this many standard deviations become 0."""

KEPLER_COUNTS_AT_12 = 2.2e5
"""Electrons per second (PDCSAP) of a star of Kepler magnitude 12: the median of real files, good to 10 %."""


def count_rate_of(lightcurve: LightCurve) -> float:
    """Electrons per second that a relative flux of 1 stands for.

    The median of the (first) quarter where the reader kept it (``meta["median_flux"]``), else from
    the magnitude.

    Raises
    ------
    FileRefused
        If the light curve has neither.
    """
    count_rate = float(lightcurve.meta.get("median_flux", math.nan))
    if not count_rate > 0:
        count_rate = float(counts_of(torch.tensor(lightcurve.magnitude, dtype=torch.float64)))
    if not math.isfinite(count_rate):
        name = ", ".join(lightcurve.sources) or lightcurve.star_id or "light curve"
        reason = "the published preprocessing needs counts, and neither counts nor a magnitude are known"
        raise FileRefused(name, reason, "set meta['median_flux'] (e-/s) or magnitude")
    return count_rate


def counts_of(magnitude: Tensor) -> Tensor:
    """Electrons per second of stars of some Kepler magnitudes."""
    return KEPLER_COUNTS_AT_12 * 10 ** (-0.4 * (magnitude - 12.0))


class PublishedLightCurve(nn.Module):
    """Channels as published; call it as `desa.preprocess.lightcurve.LightCurvePreprocessor`.

    Channels: smoothed counts; the same standardised; their ACF (biased), standardised; log1p|rfft| of
    the smoothed counts, stretched linearly to L points. The mask is True everywhere (fault 1)
    except in rows without any sample, which are 0.

    A relative flux (near 1) must be turned into counts by `count_rate`, or the first and last channel
    are not what the weights were trained on. That restores the published stitching (quarters
    shifted to the first one's level) up to a few per cent of the variability, since our quarters
    are scaled, not shifted. A flux in counts, stitched as published, gives the published channels.
    """

    def __init__(self, settings: LightCurvePreprocessing) -> None:
        super().__init__()
        self.settings = settings

    @torch.no_grad()
    def forward(self, flux: Tensor, count_rate: Tensor | None = None) -> LightCurveChannels:
        """Channels of a batch.

        Parameters
        ----------
        flux
            (B, L) counts, or relative flux where `count_rate` is given; NaN in gaps, which are
            interpolated. L >= 7.
        count_rate
            (B,) electrons per second of a relative flux of 1 (`count_rate_of`).
        """
        if count_rate is not None:
            flux = widened(flux) * widened(count_rate).unsqueeze(1)
        # A few rows of float64 stay in a CPU's cache; a GPU takes all.
        rows = CPU_ROWS if flux.device.type == "cpu" else max(1, len(flux))
        parts = [self._channels(widened(part)) for part in torch.split(flux, rows)]
        return LightCurveChannels(*(torch.cat(x) for x in zip(*parts, strict=True)))

    def _channels(self, counts: Tensor) -> tuple[Tensor, Tensor]:
        filled, known = interpolate_gaps(counts)
        smooth = moving_average(filled)
        scaled = standardise(smooth)
        channels = (smooth, scaled, standardise(biased_acf(scaled)), log_transform(smooth))
        return torch.stack([x.float() for x in channels], dim=1), known.expand_as(filled)


def moving_average(values: Tensor) -> Tensor:
    """Savitzky-Golay filter of order 1 and `SMOOTH` cadences, mirrored at the ends, of (B, L)."""
    half = SMOOTH // 2
    padded = pad(values.unsqueeze(1), (half, half), mode="reflect")
    return avg_pool1d(padded, SMOOTH, stride=1).squeeze(1)


def interpolate_gaps(values: Tensor) -> tuple[Tensor, Tensor]:
    """Values (B, L) with what is not finite interpolated linearly, the nearest at the ends.

    Returns also (B, 1) bool, whether the row has any value; such a row becomes 0.
    """
    length = values.shape[1]
    good = torch.isfinite(values)
    values = torch.nan_to_num(values, 0.0, 0.0, 0.0)
    place = torch.arange(length, device=values.device).expand_as(values)
    before = place.masked_fill(~good, -1).cummax(dim=1).values
    after = place.masked_fill(~good, length).flip(1).cummin(dim=1).values.flip(1)
    share = (place - before).to(values.dtype) / (after - before).clamp_min_(1)
    share.masked_fill_(before < 0, 1.0).masked_fill_(after >= length, 0.0)
    left, right = before.clamp_min_(0), after.clamp_max_(length - 1)
    known = good.any(dim=1, keepdim=True)
    return torch.lerp(values.gather(1, left), values.gather(1, right), share).mul_(known), known


def standardise(values: Tensor) -> Tensor:
    """Rows minus their mean over their standard deviation; 0 for constant rows."""
    centred = values - values.mean(dim=1, keepdim=True)
    spread = centred.square().mean(dim=1, keepdim=True).sqrt()
    return safe_ratio(centred, spread.expand_as(centred))


def biased_acf(centred: Tensor) -> Tensor:
    """ACF of rows of mean 0 at every lag, each sum over the full length; 0 for constant rows."""
    length = centred.shape[1]
    padded = fast_length(2 * length)
    transform = torch.fft.rfft(centred, padded)
    products = torch.fft.irfft(transform * transform.conj(), padded)[:, :length]
    return safe_ratio(products, products[:, :1].expand_as(products))


def log_transform(values: Tensor) -> Tensor:
    """log1p|rfft| of each row, stretched linearly from its L // 2 + 1 points to L, ends on ends."""
    logs = torch.fft.rfft(values).abs().log1p()
    length, points = values.shape[1], logs.shape[1]
    place = torch.arange(length, device=values.device).to(values.dtype) * ((points - 1) / (length - 1))
    left = place.long().clamp_max(points - 2)
    return torch.lerp(logs[:, left], logs[:, left + 1], place - left)


class PublishedSpectrum(nn.Module):
    """Pixels as published; call it as `desa.preprocess.spectrum.SpectrumPreprocessor`.

    Each arm on its own: linear resampling on 1e-4 dex, median filter of 3 pixels, division by a
    polynomial of degree 5 over the pixel index, standardised, values beyond 3 set to 0. The weights are
    1 on the arms and 0 in the padding (fault 6).

    The published training passed v / c of the header's HELIO_RV for `z`, and so must a caller who
    wants what the weights saw (fault 5). NaN counts as 0, which is also nearer to the truth.
    """

    def __init__(self, settings: SpectrumPreprocessing) -> None:
        super().__init__()
        self.settings = settings
        self.arms = arms(settings)

    @torch.no_grad()
    def forward(self, flux: Tensor, ivar: Tensor, z: Tensor, log_wavelength_start: Tensor) -> SpectrumPixels:
        """Pixels of a batch; `ivar` is ignored.

        Parameters
        ----------
        flux, ivar
            (B, N); a flux that is not finite counts as 0.
        z
            (B,) HELIO_RV / c, c = 299792.458 km/s.
        log_wavelength_start
            (B,) log10 of the first pixel's wavelength in Angstrom.
        """
        check_shapes(flux, ivar, z, log_wavelength_start)
        values = torch.nan_to_num(widened(flux), 0.0, 0.0, 0.0)
        # The files' wavelengths are float32, from a float32 start: so are these, to the last bit.
        start = widened(log_wavelength_start.float()).unsqueeze(1)
        steps = widened(torch.arange(flux.shape[1], device=flux.device))
        wavelength = torch.pow(10.0, start + self.settings.log_wavelength_step * steps).float()
        factor = (1.0 + torch.nan_to_num(widened(z))).float().unsqueeze(1)
        shifted = widened(wavelength * factor)
        pixels = flux.new_zeros(len(flux), self.settings.pixels, dtype=torch.float32)
        weights = torch.zeros_like(pixels)
        done = 0
        for arm in self.arms:
            size = slice(done, done + arm.pixels)
            pixels[:, size] = published_arm(arm, values, shifted).float()
            weights[:, size] = 1.0
            done += arm.pixels
        return SpectrumPixels(pixels, weights)


def published_arm(arm: Arm, flux: Tensor, wavelength: Tensor) -> Tensor:
    """One arm's pixels (B, arm.pixels) from flux and shifted wavelength, both (B, N)."""
    level = median_of_three(interpolate_arm(arm, flux, wavelength))
    ratio = level / fit(level, torch.ones_like(level), chebyshev(arm.pixels, DEGREE, level))
    scaled = standardise(torch.nan_to_num(ratio, 0.0, 0.0, 0.0))
    return scaled.masked_fill(scaled.abs() > SIGMA, 0.0)


def interpolate_arm(arm: Arm, flux: Tensor, wavelength: Tensor) -> Tensor:
    """Linear interpolation of the pixels within the arm, extrapolated beyond them.

    Parameters
    ----------
    flux, wavelength
        (B, N) float64, wavelengths growing, about 1e-4 dex apart.
    """
    size = flux.shape[1]
    first = (wavelength < arm.low).sum(dim=1, keepdim=True).clamp(max=size - 2)
    last = ((wavelength <= arm.high).sum(dim=1, keepdim=True) - 1).clamp(min=1)
    targets = torch.tensor(arm.wavelength, dtype=flux.dtype, device=flux.device)
    # Pixels are even in log wavelength, so the place is known without a search; to float32 rounding.
    place = (targets.log10() - wavelength[:, :1].log10()) / arm.step
    left = torch.minimum(torch.maximum(place.floor().long(), first), torch.maximum(last - 1, first))
    low, high = wavelength.gather(1, left), wavelength.gather(1, left + 1)
    return torch.lerp(flux.gather(1, left), flux.gather(1, left + 1), (targets - low) / (high - low))


def median_of_three(values: Tensor) -> Tensor:
    """Median of each pixel and its two neighbours, zeros outside."""
    padded = pad(values, (1, 1))
    left, right = padded[:, :-2], padded[:, 2:]
    smaller, larger = torch.minimum(left, right), torch.maximum(left, right)
    return torch.maximum(smaller, torch.minimum(larger, values))
