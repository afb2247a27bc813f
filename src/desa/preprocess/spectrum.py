"""Observed flux and inverse variance -> normalised rest-frame pixels of the spectrum encoder."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from desa.config import SpectrumPreprocessing
from desa.preprocess.continuum import continuum
from desa.preprocess.cosmic import cosmic_rays
from desa.preprocess.grids import arms, observed_position
from desa.preprocess.numeric import positive, safe_ratio

SURVEY_MEAN, SURVEY_SPREAD = 0.98, 0.09
"""Mean and standard deviation of flux over continuum over LAMOST's A to K stars."""

LIMIT = 10.0
"""Standardised pixels are clipped here: division by a continuum near zero makes anything."""

LEAST_CONTINUUM = 0.02
"""Pixels whose continuum is below this share of the arm's mean flux are bad."""

TINY = 1e-6
"""No continuum is lower than this, in units of the mean flux."""

LEAST_PIXELS = 0.05
"""An arm with fewer good pixels than this share has no usable continuum and is bad as a whole."""


class SpectrumPixels(NamedTuple):
    """What the spectrum encoder reads.

    Parameters
    ----------
    pixels
        (B, P) float32, normalised and standardised, 0 where bad and in the padding.
    weights
        (B, P) float32, 0 where bad and in the padding, else 1 / (1 + v) with v the noise variance
        of the standardised pixel (before asinh): 1 for a pixel without noise, 1/2 where its noise
        equals the spread that it was divided by.
    """

    pixels: Tensor
    weights: Tensor


class SpectrumPreprocessor(nn.Module):
    """Batched normalised spectra in the rest frame; no fitted state, no gradient.

    1. Cosmic rays (one pixel, positive, beyond the noise, sharper than the instrument's profile) are bad.
    2. Rest wavelength = observed / (1 + z), z the star's own redshift (NaN: 0); linear resampling onto
       the two arms, each of 1e-4 dex from its lower edge. A bad neighbour does not count; a pixel
       with less than half of its interpolation weight left is bad. The variance is propagated.
    3. Each arm is divided by its continuum (`desa.preprocess.continuum`).
    4. Standardised. ``standardise: survey`` (the default) takes the same two constants for every
       spectrum, so that the depth of the lines, which tells metallicity and temperature, stays, and
       then asinh, so that no noisy pixel outweighs all others while the cores of strong lines keep
       their order. ``spectrum`` and ``arm`` take the mean and standard deviation of each
       spectrum's or arm's own good pixels, which depend on its noise. Clipped at `LIMIT`.

    Bad are pixels with ivar <= 0 or anything not finite, and those outside the observed range. The
    scale of the flux changes nothing; whatever a bad pixel holds has no influence.

    Parameters
    ----------
    settings
        Arms, padded size, degree and iterations of the continuum, cosmic rays.

    Raises
    ------
    SettingsError
        If the arms don't fit in ``settings.pixels``.

    Attributes
    ----------
    arms
        The two `Arm`s; their pixels stand side by side.
    """

    def __init__(self, settings: SpectrumPreprocessing) -> None:
        super().__init__()
        self.settings = settings
        self.arms = arms(settings)

    @torch.no_grad()
    def forward(self, flux: Tensor, ivar: Tensor, z: Tensor, log_wavelength_start: Tensor) -> SpectrumPixels:
        """Pixels and weights of a batch.

        Parameters
        ----------
        flux, ivar
            (B, N) on a grid of 1e-4 dex in vacuum wavelength; ivar 0 where bad.
        z
            (B,) redshift of the star, NaN if unknown.
        log_wavelength_start
            (B,) log10 of the first pixel's wavelength in Angstrom.

        Raises
        ------
        ValueError
            If the shapes disagree.
        """
        check_shapes(flux, ivar, z, log_wavelength_start)
        with torch.autocast(flux.device.type, enabled=False):
            flux, variance, good = scaled(flux.float(), ivar.float())
            if self.settings.remove_cosmic_rays:
                good = good - cosmic_rays(flux, variance, good)
                flux, variance = flux * good, variance * good
            starts = torch.tensor([arm.log_start for arm in self.arms], dtype=torch.float64)
            position = observed_position(starts.to(flux.device), z, log_wavelength_start)
            values, variance, good = self._over_continuum(*self._rest(flux, variance, good, position))
            return self._standardised(values, variance, good)

    def _rest(
        self, flux: Tensor, variance: Tensor, good: Tensor, position: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Flux, variance and mask of the arms one below the other: (2 B, pixels of the longer arm)."""
        size = max(arm.pixels for arm in self.arms)
        flux, variance, good = (x.view(-1, size) for x in resample(flux, variance, good, position, size))
        for i, arm in enumerate(self.arms):
            good[i::2, arm.pixels :] = 0.0
        enough = (good.sum(dim=1, keepdim=True) - LEAST_PIXELS * size).ge_(0.0)
        return flux, variance, good.mul_(enough)

    def _over_continuum(self, flux: Tensor, variance: Tensor, good: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Flux over continuum, its variance and the mask; the arms side by side: (B, all pixels)."""
        flux = flux * good
        level = continuum(flux, good, self.settings.continuum_degree, self.settings.continuum_iterations)
        mean = safe_ratio(flux.sum(dim=1, keepdim=True), good.sum(dim=1, keepdim=True))
        least = (LEAST_CONTINUUM * mean).clamp_min(TINY)
        good = good * (level - least).ge_(0.0)
        inverse = good / torch.maximum(level, least)
        return self._beside(flux * inverse), self._beside(variance * inverse.square()), self._beside(good)

    def _beside(self, values: Tensor) -> Tensor:
        return torch.cat([values[i::2, : arm.pixels] for i, arm in enumerate(self.arms)], dim=1)

    def _standardised(self, values: Tensor, variance: Tensor, good: Tensor) -> SpectrumPixels:
        kind = self.settings.standardise
        if kind == "survey":
            pixels = torch.asinh((values - SURVEY_MEAN) * (good / SURVEY_SPREAD))
            variance = variance / SURVEY_SPREAD**2
        elif kind == "spectrum":
            pixels, variance = own_scale(values, variance, good)
        else:
            edge = self.arms[0].pixels
            blue = own_scale(values[:, :edge], variance[:, :edge], good[:, :edge])
            red = own_scale(values[:, edge:], variance[:, edge:], good[:, edge:])
            pixels, variance = (torch.cat(pair, dim=1) for pair in zip(blue, red, strict=True))
        padding = (0, self.settings.pixels - values.shape[1])
        return SpectrumPixels(
            pad(pixels.clamp_(-LIMIT, LIMIT), padding), pad(good / (1.0 + variance), padding)
        )


def own_scale(values: Tensor, variance: Tensor, good: Tensor) -> tuple[Tensor, Tensor]:
    """Values of each row with mean 0 and standard deviation 1 over the good ones, and their variance."""
    count = good.sum(dim=1, keepdim=True).clamp_min(1.0)
    centred = (values - (values * good).sum(dim=1, keepdim=True) / count).mul_(good)
    spread = (centred.square().sum(dim=1, keepdim=True) / count).sqrt_()
    inverse = safe_ratio(torch.ones_like(spread), spread)
    return centred.mul_(inverse), variance * inverse.square_()


def check_shapes(flux: Tensor, ivar: Tensor, z: Tensor, log_wavelength_start: Tensor) -> None:
    """Raise ValueError unless the shapes are (B, N), (B, N), (B,) and (B,)."""
    rows = (flux.shape[0],)
    if flux.ndim != 2 or ivar.shape != flux.shape or z.shape != rows or log_wavelength_start.shape != rows:
        shapes = [tuple(x.shape) for x in (flux, ivar, z, log_wavelength_start)]
        raise ValueError(f"flux, ivar, z and start must be (B, N), (B, N), (B,) and (B,), not {shapes}")


def scaled(flux: Tensor, ivar: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Flux over its mean size, its variance, and 1.0 where good; the first two 0 where bad."""
    ivar = torch.nan_to_num(ivar, 0.0, 0.0, 0.0)
    good = (flux - flux).eq_(0.0) * positive(ivar)
    flux = torch.nan_to_num(flux, 0.0, 0.0, 0.0).mul_(good)
    size = safe_ratio(flux.abs().sum(dim=1, keepdim=True), good.sum(dim=1, keepdim=True))
    inverse = safe_ratio(torch.ones_like(size), size)
    # One factor at a time: the square of a flux in physical units is no float32.
    noise = good / (ivar * size).mul_(size).mul_(good).add_(1.0 - good)
    return flux.mul_(inverse), noise, good


def resample(
    flux: Tensor, variance: Tensor, good: Tensor, position: Tensor, pixels: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Linear interpolation at `position` + 0, 1, .., `pixels` - 1, with bad pixels left out.

    Parameters
    ----------
    flux, variance, good
        (B, N); the first two 0 where `good` is 0.
    position
        (B, A) float64, places of the first new pixels among the old ones.

    Returns
    -------
    tuple
        Flux, variance and 1.0 / 0.0, (B, A, pixels) each.
    """
    size = flux.shape[1]
    first = position.floor()
    right = (position - first).to(flux.dtype).unsqueeze(2)
    left = 1.0 - right
    steps = torch.arange(1, pixels + 2, device=flux.device)
    # One bad pixel on either side stands for everything outside.
    index = first.clamp(-pixels - 2, size + 1).long().unsqueeze(2) + steps
    index = index.clamp_(0, size + 1).flatten(1)
    flux, variance, good = (
        pad(x, (1, 1)).gather(1, index).view(*position.shape, pixels + 1) for x in (flux, variance, good)
    )
    share = torch.lerp(good[..., :-1], good[..., 1:], right)
    keep = (share - 0.5).ge_(0.0)
    inverse = keep / share.clamp_min_(0.5)
    flux = torch.lerp(flux[..., :-1], flux[..., 1:], right).mul_(inverse)
    variance = (left.square() * variance[..., :-1]).addcmul_(right.square(), variance[..., 1:])
    return flux, variance.mul_(inverse.square_()), keep
