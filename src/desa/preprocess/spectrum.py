"""Observed flux and inverse variance -> normalised rest-frame pixels of the spectrum encoder."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from desa.config import SpectrumPreprocessing
from desa.preprocess.continuum import continuum
from desa.preprocess.cosmic import cosmic_rays
from desa.preprocess.grids import Arm, arms, observed_position
from desa.preprocess.numeric import safe_ratio

LIMIT = 10.0
"""Standardised pixels are clipped here: division by a continuum near zero makes anything."""

LEAST_CONTINUUM = 0.02
"""Pixels whose continuum is below this share of the arm's mean flux are bad."""

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
        of the standardised pixel: 1 for a pixel without noise, 1/2 where noise equals the spread
        of the spectrum.
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
    4. Mean and standard deviation of the good pixels of both arms together become 0 and 1;
       clipped at `LIMIT`.

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
                good = good.mul_(~cosmic_rays(flux, variance, good))
            parts = [self._arm(arm, flux, variance, good, z, log_wavelength_start) for arm in self.arms]
            values, variances, masks = (torch.cat(x, dim=1) for x in zip(*parts, strict=True))
            return self._standardised(values, variances, masks)

    def _arm(
        self, arm: Arm, flux: Tensor, variance: Tensor, good: Tensor, z: Tensor, start: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Flux over continuum, its variance and the mask of one arm, each (B, arm.pixels)."""
        position = observed_position(arm, z, start)
        flux, variance, good = resample(flux, variance, good, position, arm.pixels)
        enough = good.sum(dim=1, keepdim=True) >= LEAST_PIXELS * arm.pixels
        good = good * enough
        level = continuum(flux, good, self.settings.continuum_degree, self.settings.continuum_iterations)
        mean = safe_ratio((flux * good).sum(dim=1, keepdim=True), good.sum(dim=1, keepdim=True))
        usable = (level > LEAST_CONTINUUM * mean) & (level > 0)
        good = good * usable
        inverse = good / level.masked_fill_(~usable, 1.0)
        return flux * inverse, variance * inverse.square(), good

    def _standardised(self, values: Tensor, variances: Tensor, good: Tensor) -> SpectrumPixels:
        count = good.sum(dim=1, keepdim=True)
        mean = values.sum(dim=1, keepdim=True) / count.clamp_min(1.0)
        centred = (values - mean).mul_(good)
        square = centred.square().sum(dim=1, keepdim=True) / count.clamp_min(1.0)
        size = values.shape[1]
        pixels, weights = values.new_zeros(2, values.shape[0], self.settings.pixels)
        pixels[:, :size] = (centred * safe_ratio(torch.ones_like(square), square.sqrt())).clamp_(
            -LIMIT, LIMIT
        )
        weights[:, :size] = good * safe_ratio(square, square + variances)
        return SpectrumPixels(pixels, weights)


def check_shapes(flux: Tensor, ivar: Tensor, z: Tensor, log_wavelength_start: Tensor) -> None:
    """Raise ValueError unless the shapes are (B, N), (B, N), (B,) and (B,)."""
    rows = (flux.shape[0],)
    if flux.ndim != 2 or ivar.shape != flux.shape or z.shape != rows or log_wavelength_start.shape != rows:
        shapes = [tuple(x.shape) for x in (flux, ivar, z, log_wavelength_start)]
        raise ValueError(f"flux, ivar, z and start must be (B, N), (B, N), (B,) and (B,), not {shapes}")


def scaled(flux: Tensor, ivar: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Flux over its mean size, its variance, and 1.0 where good; the first two 0 where bad."""
    good = (flux - flux).eq_(0.0) * (ivar - ivar).eq_(0.0) * (ivar > 0)
    flux = torch.nan_to_num(flux, 0.0, 0.0, 0.0).mul_(good)
    size = safe_ratio(flux.abs().sum(dim=1, keepdim=True), good.sum(dim=1, keepdim=True))
    inverse = safe_ratio(torch.ones_like(size), size)
    # One factor at a time: the square of a flux in physical units is no float32.
    noise = safe_ratio(good, torch.nan_to_num(ivar, 0.0, 0.0, 0.0).mul_(good).sqrt_()).mul_(inverse)
    return flux.mul_(inverse), noise.square_(), good


def resample(
    flux: Tensor, variance: Tensor, good: Tensor, position: Tensor, pixels: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Linear interpolation at `position` + 0, 1, .., `pixels` - 1, with bad pixels left out.

    Parameters
    ----------
    flux, variance, good
        (B, N); the first two 0 where `good` is 0.
    position
        (B, 1) float64, place of the first new pixel among the old ones.

    Returns
    -------
    tuple
        Flux, variance and 1.0 / 0.0, (B, pixels) each.
    """
    last = flux.shape[1] - 1
    first = position.floor()
    right = (position - first).to(flux.dtype)
    left = 1.0 - right
    steps = torch.arange(pixels + 1, device=flux.device)
    index = first.clamp(-pixels - 2, last + 1).long() + steps
    inside = ((index >= 0) & (index <= last)).to(flux.dtype)
    index = index.clamp_(0, last)
    flux, variance, good = (x.gather(1, index).mul_(inside) for x in (flux, variance, good))
    share = left * good[:, :-1] + right * good[:, 1:]
    keep = (share >= 0.5).to(flux.dtype)
    inverse = safe_ratio(keep, share)
    flux = (left * flux[:, :-1] + right * flux[:, 1:]).mul_(inverse)
    variance = (left.square() * variance[:, :-1] + right.square() * variance[:, 1:]).mul_(inverse.square())
    return flux, variance, keep
