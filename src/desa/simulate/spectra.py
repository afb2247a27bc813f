"""A mock LAMOST low-resolution spectrum of a star with given parameters.

Order of effects: emulated surface flux, chromosphere, rotation and velocity of each component, sum of the
components by their areas, reddening, resolution, flux calibration, sky, noise, masks, red end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from desa.io.lamost import LAMOST_LOG_WAVELENGTH_START
from desa.simulate import lamost_effects as effects
from desa.simulate.broadening import broaden, degrade, displaced
from desa.simulate.chromosphere import chromospheric_flux
from desa.simulate.emulator import SpectrumEmulator, load_emulator
from desa.simulate.extinction import redden
from desa.simulate.instrument import WAVE, Instrument, load_instrument
from desa.simulate.residuals import SpectralResiduals, load_residuals
from desa.types import SPEED_OF_LIGHT, Spectrum

FloatArray = NDArray[np.float64]

SUBCLASS_EDGES = (
    (10000, "A1"), (9000, "A2"), (8500, "A3"), (8000, "A5"), (7750, "A6"), (7450, "A7"), (7250, "A8"),
    (7100, "A9"), (6900, "F0"), (6550, "F2"), (6400, "F3"), (6200, "F5"), (6100, "F6"), (6000, "F7"),
    (5900, "F8"), (5800, "F9"), (5730, "G0"), (5660, "G1"), (5560, "G2"), (5450, "G3"), (5350, "G4"),
    (5250, "G5"), (5150, "G6"), (5050, "G7"), (4900, "G8"), (4750, "G9"), (4600, "K1"), (4400, "K3"),
    (4100, "K5"), (3900, "K7"), (3800, "M0"), (3700, "M1"), (3550, "M2"), (0, "M3"),
)  # fmt: skip
"""Coolest Teff [K] of each subclass that LAMOST's pipeline gives."""


@dataclass(frozen=True)
class Component:
    """A star as its spectrum needs it.

    Parameters
    ----------
    teff, log_g, fe_h, alpha_fe
        K and dex.
    vsini, rv
        km/s; the heliocentric radial velocity is positive away from us.
    radius_ratio
        Radius over that of the primary; the flux counts by its square.
    log_r_hk
        Activity, log10 R'HK (see `desa.simulate.chromosphere`); NaN adds no chromosphere.
    """

    teff: float
    log_g: float
    fe_h: float
    alpha_fe: float = 0.0
    vsini: float = 0.0
    rv: float = 0.0
    radius_ratio: float = 1.0
    log_r_hk: float = float("nan")


def component_flux(component: Component, emulator: SpectrumEmulator | None = None) -> FloatArray:
    """Surface flux (3909,) of one star, rotating and moving, at R = 2500: erg / s / cm2 / Angstrom."""
    model = emulator or load_emulator()
    labels = [[component.teff, component.log_g, component.fe_h, component.alpha_fe]]
    flux = model.flux(labels)[0].astype(np.float64)
    flux += chromospheric_flux(model.wave, component.teff, component.log_r_hk)
    return broaden(flux, vsini=component.vsini, velocity=component.rv)


def composite_flux(components: list[Component], emulator: SpectrumEmulator | None = None) -> FloatArray:
    """Sum (3909,) of the components' fluxes by their areas, in units of the primary's surface flux."""
    return np.asarray(sum(c.radius_ratio**2 * component_flux(c, emulator) for c in components))


def subclass_of(teff: float) -> str:
    """Spectral subclass such as ``"G2"`` for an effective temperature."""
    return next(name for edge, name in SUBCLASS_EDGES if teff >= edge)


def simulate_spectrum(
    *,
    teff: float,
    log_g: float,
    fe_h: float,
    alpha_fe: float = 0.0,
    vsini: float = 2.0,
    rv: float = 0.0,
    activity: float = float("nan"),
    av: float = 0.0,
    snr_g: float = 50.0,
    companion: Component | None = None,
    rng: np.random.Generator,
    star_id: str = "",
    obsid: str = "",
    ra: float = float("nan"),
    dec: float = float("nan"),
    release: str = "DR10",
    meta: Mapping[str, Any] | None = None,
    emulator: SpectrumEmulator | None = None,
    instrument: Instrument | None = None,
    residuals: SpectralResiduals | None = None,
) -> Spectrum:
    """One observation by LAMOST of a star (and its companion).

    Parameters
    ----------
    teff, log_g, fe_h, alpha_fe, vsini, rv
        Of the star, in K, dex, km/s; see `Component`.
    activity
        log10 R'HK, NaN for none.
    av
        Extinction in V, magnitudes.
    snr_g
        Signal to noise a pixel in the g band, as the header's SNRG counts it.
    companion
        A second star in the same fibre, with its own velocity; `radius_ratio` sets its share.
    rng
        All randomness comes from it.
    star_id, obsid, ra, dec, release, meta
        Passed on to the `Spectrum`. `meta` gains ``and_mask``, ``z_err`` and ``rv_true``.
    emulator, instrument, residuals
        Others than the shipped ones. ``SpectralResiduals.none()`` leaves the model uncorrected.

    Returns
    -------
    Spectrum
        3820 to 3909 pixels on LAMOST's grid, observed frame; `z` is the primary's velocity with the error
        that the pipeline would make, without the velocity's own relativistic terms.
    """
    device = instrument or load_instrument()
    star = Component(teff, log_g, fe_h, alpha_fe, vsini, rv, 1.0, activity)
    flux = composite_flux([star] if companion is None else [star, companion], emulator)
    flux = degrade(redden(flux, WAVE, av), effects.resolution(rng))
    flux *= np.exp(_correction(star, snr_g, residuals or load_residuals(), rng))
    flux = displaced(flux, effects.wavelength_error(rng)) * effects.flux_calibration(rng)
    flux *= flux_scale(snr_g, rng) / np.median(flux)
    ivar = effects.inverse_variance(flux, snr_g, device, rng)
    flux = flux + effects.noise(ivar, snr_g, rng) + effects.sky_residuals(ivar, rng)
    snr = effects.band_snr(flux, ivar)
    flux = effects.unmasked_cosmic_rays(flux, ivar, rng)
    flux, ivar, and_mask, or_mask = effects.mark_bad_pixels(flux, ivar, device, rng)
    n = device.pixel_count(rng)
    flux[:n] = effects.empty_red_end(flux[:n], rng)
    z_err = effects.redshift_error(snr_g, teff)
    return Spectrum(
        flux=flux[:n].astype(np.float32),
        ivar=ivar[:n].astype(np.float32),
        log_wavelength_start=LAMOST_LOG_WAVELENGTH_START,
        z=rv / SPEED_OF_LIGHT + z_err * float(rng.standard_normal()),
        star_id=star_id,
        obsid=obsid,
        release=release,
        object_class="STAR",
        object_subclass=subclass_of(teff),
        snr=snr,
        or_mask=or_mask[:n],
        ra=ra,
        dec=dec,
        meta={**(meta or {}), "and_mask": and_mask[:n], "z_err": z_err, "rv_true": rv},
    )


def _correction(
    star: Component, snr_g: float, residuals: SpectralResiduals, rng: np.random.Generator
) -> FloatArray:
    """Log factor (3909,) from model to real spectra, moved to the star's velocity."""
    mean = residuals.rest(star.teff, star.log_g, star.fe_h)
    rest, observed = residuals.scatter(star.teff, snr_g, rng)
    return displaced(mean + rest, np.full(len(WAVE), star.rv)) + observed + residuals.observed


def flux_scale(snr_g: float, rng: np.random.Generator) -> float:
    """Median flux in the file's arbitrary units, as it goes with S/N_g in DR10."""
    return float(0.9 * snr_g**1.57 * np.exp(0.88 * rng.standard_normal()))
