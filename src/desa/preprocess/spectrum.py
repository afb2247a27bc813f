"""Observed flux and inverse variance -> normalised rest-frame pixels of the spectrum encoder."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from desa.config import SpectrumPreprocessing
from desa.preprocess.continuum import continuum
from desa.preprocess.cosmic import REACH, cosmic_rays
from desa.preprocess.grids import arms, observed_position
from desa.preprocess.numeric import asinh, positive, row_sum

SURVEY_MEAN, SURVEY_SPREAD = 0.98, 0.09
"""Mean and standard deviation of flux over continuum over LAMOST's A to K stars."""

LIMIT = 30.0
"""Standardised pixels are clipped here: division by a continuum near zero makes anything."""

LEAST_CONTINUUM = 0.02
"""Pixels whose continuum is below this share of the arm's mean flux are bad."""

TINY = 1e-6
"""No continuum is lower than this, in units of the mean flux."""

LEAST_IVAR = 1e-30
"""Inverse variances below this, in units of the mean flux, are as good as this."""

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
            planes = scaled(flux.float(), ivar.float())
            if self.settings.remove_cosmic_rays:
                planes[:, :, REACH:-REACH].mul_(1.0 - cosmic_rays(planes))
            position = observed_position(self.arms, z, log_wavelength_start)
            arm_rows = resample(planes, position, max(arm.pixels for arm in self.arms))
            values, variance = self._standardised(*self._over_continuum(*arm_rows))
            return SpectrumPixels(self._side_by_side(values), self._side_by_side(variance))

    def _over_continuum(self, flux: Tensor, variance: Tensor, good: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Flux over continuum, its variance and the mask, rows of the two arms in turn (2 B, longer arm)."""
        for i, arm in enumerate(self.arms):
            good[i::2, arm.pixels :] = 0.0
        count = row_sum(good)
        good.mul_((count - LEAST_PIXELS * good.shape[1]).ge_(0.0))
        flux.mul_(good)
        level = continuum(flux, good, self.settings.continuum_degree, self.settings.continuum_iterations)
        mean = row_sum(flux) / count.clamp_min(1.0)
        least = (LEAST_CONTINUUM * mean).clamp_min_(TINY)
        good.mul_((level - least).ge_(0.0))
        inverse = good / torch.maximum(level, least)
        return flux.mul_(inverse), variance.mul_(inverse).mul_(inverse), good

    def _standardised(self, values: Tensor, variance: Tensor, good: Tensor) -> tuple[Tensor, Tensor]:
        """Standardised pixels and their weights, both (2 B, longer arm)."""
        if self.settings.standardise == "survey":
            pixels = asinh(values.sub_(SURVEY_MEAN).mul_(good / SURVEY_SPREAD))
            variance = variance / SURVEY_SPREAD**2
        else:
            pixels, variance = own_scale(values, variance, good, self.settings.standardise == "spectrum")
        return pixels.clamp_(-LIMIT, LIMIT), good / variance.add_(1.0)

    def _side_by_side(self, rows: Tensor) -> Tensor:
        """(2 B, longer arm) -> (B, P), the arms side by side, zero-padded."""
        out = rows.new_zeros(len(rows) // 2, self.settings.pixels)
        edge = self.arms[0].pixels
        out[:, :edge] = rows[0::2, :edge]
        out[:, edge : edge + self.arms[1].pixels] = rows[1::2, : self.arms[1].pixels]
        return out


def own_scale(values: Tensor, variance: Tensor, good: Tensor, together: bool) -> tuple[Tensor, Tensor]:
    """Values with mean 0 and standard deviation 1 over the good ones, and their variance.

    All are (2 B, N), two arms in turn; `together`: both arms of a spectrum have one mean and spread.
    """

    def total(rows: Tensor) -> Tensor:
        sums = row_sum(rows)
        return sums.view(-1, 2).sum(dim=1).repeat_interleave(2).unsqueeze(1) if together else sums

    count = total(good).clamp_min(1.0)
    centred = (values - total(values * good) / count).mul_(good)
    square = total(centred.square()) / count
    square = square.masked_fill_(square == 0, 1.0)
    return centred.div_(square.sqrt()), variance / square


def check_shapes(flux: Tensor, ivar: Tensor, z: Tensor, log_wavelength_start: Tensor) -> None:
    """Raise ValueError unless the shapes are (B, N), (B, N), (B,) and (B,)."""
    rows = (flux.shape[0],)
    if flux.ndim != 2 or ivar.shape != flux.shape or z.shape != rows or log_wavelength_start.shape != rows:
        shapes = [tuple(x.shape) for x in (flux, ivar, z, log_wavelength_start)]
        raise ValueError(f"flux, ivar, z and start must be (B, N), (B, N), (B,) and (B,), not {shapes}")


def scaled(flux: Tensor, ivar: Tensor) -> Tensor:
    """Flux over its mean size, its variance, and 1.0 where good; 0 where bad.

    Returns
    -------
    Tensor
        (3, B, REACH + N + REACH): with bad pixels on both sides, which stand for everything outside.
    """
    planes = flux.new_zeros(3, flux.shape[0], flux.shape[1] + 2 * REACH)
    values, variance, good = planes[:, :, REACH:-REACH]
    ivar = torch.nan_to_num(ivar, 0.0, 0.0, 0.0)
    torch.mul((flux - flux).eq_(0.0), positive(ivar), out=good)
    torch.mul(torch.nan_to_num(flux, 0.0, 0.0, 0.0), good, out=values)
    size = row_sum(values.abs()) / row_sum(good).clamp_min(1.0)
    size.masked_fill_(size == 0, 1.0)
    values.div_(size)
    # One factor at a time: the square of a flux in physical units is no float32.
    torch.div(good, ivar.mul_(size).mul_(size).clamp_min_(LEAST_IVAR), out=variance)
    return planes


def resample(planes: Tensor, position: Tensor, pixels: int) -> tuple[Tensor, Tensor, Tensor]:
    """Linear interpolation at `position` + 0, 1, .., `pixels` - 1, with bad pixels left out.

    Parameters
    ----------
    planes
        (3, B, REACH + N + REACH) from `scaled`.
    position
        (B, A) float64, places of the first new pixels among the N old ones.

    Returns
    -------
    tuple
        Flux, variance and 1.0 / 0.0, (B A, pixels) each.
    """
    width = planes.shape[2]
    first = position.floor()
    right = (position - first).to(planes.dtype).view(-1, 1)
    steps = torch.arange(pixels + 1, device=planes.device)
    index = first.add(REACH).clamp_(-pixels - 1, width).long().unsqueeze(2) + steps
    index = index.clamp_(0, width - 1).flatten(1)
    old = planes.gather(2, index.expand(3, -1, -1)).view(3, -1, pixels + 1)
    below, above = old[:, :, :-1], old[:, :, 1:]
    flux, share = torch.lerp(below[::2], above[::2], right)
    keep = (share - 0.5).ge_(0.0)
    inverse = keep / share.clamp_min_(0.5)
    variance = (below[1] * (1.0 - right).square()).addcmul_(above[1], right.square())
    return flux.mul_(inverse), variance.mul_(inverse).mul_(inverse), keep
