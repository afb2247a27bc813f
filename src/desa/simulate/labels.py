"""What catalogues say of a mock star: values with errors, many missing, and the truth beside them.

Errors and shares follow the catalogues that real surveys take their labels from: LAMOST's LASP for the
atmosphere (errors grow towards low S/N), APOGEE-like [alpha/Fe] for a third, Gaia for photometry, Santos et
al. (2019, 2021) for rotation (a period only where spots stand out of the noise, a few at half the period),
Yu et al. (2018) for oscillations, Mathur et al. (2023, ApJ 952, 131) and gyrochronology for ages.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from desa.simulate import kepler_noise
from desa.simulate.population import StarParameters
from desa.types import LightCurve

Label = float | str | bool | None

LONGEST_PROT: Final = 60.0
HALF_PERIODS: Final = 0.03
TRUE_SUFFIX: Final = "_true"


def measured_sph(curve: LightCurve, prot: float) -> float:
    """Photometric activity in ppm: mean standard deviation in windows of five periods, photon noise taken off
    (Mathur et al. 2014, A&A 562, A124).
    """
    window = max(round(5 * prot / curve.cadence_days), 50)
    flux: NDArray[np.float32] = curve.flux
    number = max(len(flux) // window, 1)
    pieces = flux[: number * window].reshape(number, -1) if len(flux) >= window else flux[None, :]
    enough = np.isfinite(pieces).sum(axis=1) > 0.5 * pieces.shape[1]
    if not enough.any():
        return float("nan")
    variance = np.nanvar(pieces[enough].astype(np.float64), axis=1)
    steps = np.diff(flux)
    noise = np.nanmedian(np.abs(steps)) / 0.6745 / np.sqrt(2)
    return float(1e6 * np.mean(np.sqrt(np.maximum(variance - noise**2, 0.0))))


def _observed(
    value: float, error: float, rng: np.random.Generator, share: float = 1.0
) -> tuple[float, float] | None:
    """(value, error) with noise, or None for the share that a catalogue lacks. Uses two random numbers."""
    shift, there = rng.standard_normal(), rng.random()
    return (value + error * shift, error) if there < share else None


def prot_detected(star: StarParameters, sph: float, days: float, rng: np.random.Generator) -> bool:
    """Whether a pipeline would publish a rotation period for a star with this Sph [ppm] and time span."""
    prot = star.rotation.prot
    floor = np.hypot(28.0, 0.22 * kepler_noise.white_noise(star.kepmag)) * (1.0 + (prot / 28.0) ** 2)
    chance = 0.93 / (1.0 + (2.0 * floor / max(sph, 1.0)) ** 3)
    late = star.log_g > 3.5 and star.teff < 7000.0
    return bool(rng.random() < chance and 0.3 < prot < min(LONGEST_PROT, days / 3) and late)


def true_labels(star: StarParameters) -> dict[str, Label]:
    """The parameters themselves, with ``_true`` behind their names, and what no catalogue has."""
    r, c = star.rotation, star.companion
    values: dict[str, Label] = {
        **{
            n: getattr(star, n)
            for n in ("teff", "log_g", "fe_h", "alpha_fe", "age", "mass", "radius", "log_l")
        },
        **{n: getattr(star, n) for n in ("bp_rp", "m_g", "numax", "dnu", "av", "distance", "rv")},
        "prot": r.prot,
        "inclination": r.inclination,
        "vsini": r.vsini,
        "rossby": r.rossby,
        "log_sph": r.log_sph,
        "log_r_hk": r.log_r_hk,
        "mass_ratio": c.mass_ratio if c is not None else None,
        "orbital_period": c.orbit.period if c is not None else None,
        "eccentricity": c.orbit.eccentricity if c is not None else None,
        "orbital_inclination": c.orbit.inclination if c is not None else None,
        "flux_ratio": c.kp_ratio if c is not None else None,
        "n_transiting": float(len(star.planets)),
    }
    out = {f"{name}{TRUE_SUFFIX}": value for name, value in values.items()}
    return out | {"pulsator": star.pulsator, "thick_disc": star.thick_disc, "eep": star.eep, "g": star.g}


def observed_labels(
    star: StarParameters, curve: LightCurve, snr_g: float, rng: np.random.Generator
) -> dict[str, Label]:
    """Labels by canonical name, with ``_err``; None where the catalogues have nothing.

    Parameters
    ----------
    star
        The truth.
    curve
        Its light curve, of which Sph is measured.
    snr_g
        Best signal to noise of its spectra, NaN if it has none.
    rng
        Source of the errors and gaps.
    """
    low = 60.0 / snr_g if np.isfinite(snr_g) else 2.0
    share = 0.97 if np.isfinite(snr_g) else 0.7
    hot = 1.0 + 2.0 * max(0.0, star.teff - 6800.0) / 1500.0
    dex = 0.4343
    found: dict[str, tuple[float, float] | None] = {
        "teff": _observed(star.teff, hot * float(np.hypot(45.0, 40.0 * low)), rng, share),
        "log_g": _observed(star.log_g, hot * float(np.hypot(0.06, 0.06 * low)), rng, share),
        "fe_h": _observed(star.fe_h, hot * float(np.hypot(0.04, 0.04 * low)), rng, share),
        "alpha_fe": _observed(star.alpha_fe, 0.03 * (1 + 0.3 * low), rng, 0.35),
        "mass": _observed(star.mass, 0.05 * star.mass, rng, 0.95),
        "radius": _observed(star.radius, 0.04 * star.radius, rng, 0.95),
        "log_l": _observed(star.log_l, 0.04, rng, 0.95),
        "bp_rp": _observed(star.bp_rp, 0.025, rng, 0.98),
        "m_g": _observed(star.m_g, 0.06 + 0.06 * star.distance / 1500.0, rng, 0.97),
        "ruwe": _observed(star.ruwe, 0.0, rng, 0.99),
    }
    found |= _oscillation_labels(star, rng)
    found |= _rotation_labels(star, curve, rng)
    age = found["prot"] is not None or found["numax"] is not None
    sigma = 0.12 if star.log_g < 3.5 else 0.17
    shift, there = rng.standard_normal(), rng.random()
    if age and there < 0.75:
        value = star.age * 10 ** (sigma * shift * dex * 2)
        found["age"] = (value, value * sigma * 2)
    labels: dict[str, Label] = {"magnitude": star.kepmag, "cmd_class": star.cmd_class}
    labels |= {"binary": star.companion is not None, "binary_kind": star.binary_kind}
    for name in (
        "teff",
        "log_g",
        "fe_h",
        "alpha_fe",
        "prot",
        "age",
        "mass",
        "radius",
        "log_l",
        "bp_rp",
        "m_g",
    ):
        labels |= _pair(name, found.get(name))
    for name in ("numax", "dnu", "sph"):
        labels |= _pair(name, found.get(name))
    ruwe = found["ruwe"]
    return labels | {"ruwe": ruwe[0] if ruwe is not None else None}


def _pair(name: str, found: tuple[float, float] | None) -> dict[str, Label]:
    return {name: found[0] if found else None, f"{name}_err": found[1] if found else None}


def _oscillation_labels(
    star: StarParameters, rng: np.random.Generator
) -> dict[str, tuple[float, float] | None]:
    """Numax and Delta nu of the giants whose oscillations stand out of the noise."""
    noise = kepler_noise.white_noise(star.kepmag)
    seen = 4.0 < star.numax < 270.0 and star.log_g < 3.5 and noise < 25 * 3382 * star.numax**-0.609 / 10
    share = 0.9 if seen else 0.0
    return {
        "numax": _observed(star.numax, 0.015 * star.numax, rng, share),
        "dnu": _observed(star.dnu, 0.008 * star.dnu, rng, share),
    }


def _rotation_labels(
    star: StarParameters, curve: LightCurve, rng: np.random.Generator
) -> dict[str, tuple[float, float] | None]:
    prot = star.rotation.prot
    sph = measured_sph(curve, min(prot, LONGEST_PROT))
    detected = prot_detected(star, sph, len(curve) * curve.cadence_days, rng)
    half = 0.5 if rng.random() < HALF_PERIODS else 1.0
    label = _observed(half * prot, (0.05 + 0.001 * prot) * half * prot, rng)
    activity = _observed(sph, 0.03 * sph, rng)
    return {"prot": label if detected else None, "sph": activity if detected else None}
