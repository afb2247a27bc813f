"""A mock star: everything that light curves, spectra and catalogues of it follow from.

`draw_star` makes star number `index` of the survey `seed` from these two numbers alone, so the first stars of
a large survey are those of a small one, whatever the order or the number of processes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from desa.simulate import binaries
from desa.simulate.binaries import Companion
from desa.simulate.galaxy import Draw, load_population
from desa.simulate.isochrones import TAHB, TAMS, ZAHB
from desa.simulate.photometry import absolute_magnitudes, combined_magnitude
from desa.simulate.planets import Planet, draw_planets
from desa.simulate.pulsators import draw_pulsator
from desa.simulate.rotation import Rotation, draw_rotation

FIRST_KIC: Final = 20_000_000
"""Mock stars are KIC 20 000 000 and up: real numbers end at 13 161 029."""
NUMAX_SUN: Final = 3090.0
DNU_SUN: Final = 135.1
"""Of the Sun, in uHz."""
FIELD: Final = (290.67, 44.50, 6.5)
"""Centre (degrees) and half-width of Kepler's field."""
DISC_DISPERSION: Final = 35.0
"""Spread of the stars' radial velocities in km/s, about 1.5 times more in the thick disc."""


@dataclass(frozen=True)
class StarParameters:
    """True parameters of a mock star.

    Parameters
    ----------
    seed, index
        What it was drawn from.
    kic
        Its number in the input catalogue.
    ra, dec
        Degrees.
    age
        Gyr.
    fe_h, alpha_fe
        dex.
    initial_mass, mass, radius, log_l
        Solar units.
    teff, log_g
        K, dex.
    eep
        Equivalent evolutionary phase of MIST; 454 ends the main sequence.
    thick_disc
        Whether it is of the thick disc.
    distance, av
        pc; magnitudes of extinction in V.
    kepmag, g, m_g, bp_rp
        Apparent magnitudes; absolute G and BP-RP without extinction. All with the companion's light where
        the instrument does not resolve it.
    numax, dnu
        uHz, by scaling relations.
    rotation
        Period, inclination, activity.
    companion
        The second star, None if single.
    binary_kind
        See `desa.simulate.binaries.kind_of`; None if single.
    planets
        Those that transit.
    pulsator
        ``"delta Sct"``, ``"gamma Dor"``, ``"hybrid"`` or None.
    ruwe
        Gaia's astrometric unit weight error.
    rv
        Radial velocity of the centre of mass in km/s.
    cmd_class
        See `cmd_class_of`.
    """

    seed: int
    index: int
    kic: int
    ra: float
    dec: float
    age: float
    fe_h: float
    alpha_fe: float
    initial_mass: float
    mass: float
    radius: float
    log_l: float
    teff: float
    log_g: float
    eep: float
    thick_disc: bool
    distance: float
    av: float
    kepmag: float
    g: float
    m_g: float
    bp_rp: float
    numax: float
    dnu: float
    rotation: Rotation
    companion: Companion | None
    binary_kind: str | None
    planets: tuple[Planet, ...]
    pulsator: str | None
    ruwe: float
    rv: float
    cmd_class: str

    @property
    def star_id(self) -> str:
        """``"KIC 20000007"``."""
        return f"KIC {self.kic}"


def stream(seed: int, index: int, part: int) -> np.random.Generator:
    """The random numbers of one part of one star: 0 parameters, 1 light curve, 2 spectra, 3 labels."""
    return np.random.default_rng([seed, index, part])


def scaling_numax(mass: float, radius: float, teff: float) -> float:
    """Frequency of maximum power in uHz (Kjeldsen & Bedding 1995, A&A 293, 87)."""
    return float(NUMAX_SUN * mass / radius**2 * (teff / 5777.0) ** -0.5)


def scaling_dnu(mass: float, radius: float) -> float:
    """Large separation in uHz (Kjeldsen & Bedding 1995)."""
    return float(DNU_SUN * np.sqrt(mass / radius**3))


def cmd_class_of(eep: float, log_g: float, m_g: float, brightening: float) -> str:
    """Class of a star in the colour-magnitude diagram.

    The names are those of Godoy-Rivera et al. (2025, A&A 696, A243), who sort Kepler's targets into dwarfs,
    subgiants, red giants, photometric binaries and others by borders in the observed, extinction-corrected
    Gaia diagram. Only their abstract was at hand: where their borders run, and what their other classes
    are, is not checked here; the clump as a class of its own, and the 0.3 mag, are ours. Here the phase of
    the star's model decides, which a border drawn on noisy colours approximates: core helium burning of
    cool stars is ``red_clump`` (with the secondary clump), other stars with log g < 3.5 are ``red_giant``,
    stars past central hydrogen exhaustion ``subgiant``, the rest ``dwarf``, unless they are below the turn-
    off (M_G > 4, where the main sequence is narrow) and an unresolved companion makes them brighter by 0.3
    mag or more: ``photometric_binary``. Unlike theirs, no star is left out or uncertain, and single stars
    are never taken for binaries.

    Parameters
    ----------
    eep
        Phase.
    log_g
        dex.
    m_g
        Absolute magnitude in G of the star alone.
    brightening
        Magnitudes in G that an unresolved companion adds.
    """
    if ZAHB <= eep < TAHB and log_g < 3.5:
        return "red_clump"
    if log_g < 3.5:
        return "red_giant"
    if eep > TAMS:
        return "subgiant"
    return "photometric_binary" if brightening > 0.3 and m_g > 4.0 else "dwarf"


def _magnitudes(draw: Draw) -> dict[str, tuple[float, float]]:
    """(intrinsic, reddened) absolute magnitude by band of the primary."""
    star = draw.point
    both = absolute_magnitudes(star.log_l, star.teff, star.log_g, draw.fe_h, [0.0, draw.av])
    return {band: (float(values[0]), float(values[1])) for band, values in both.items()}


def _companion(
    draw: Draw, own: dict[str, tuple[float, float]], rng: np.random.Generator
) -> tuple[Companion | None, dict[str, tuple[float, float]]]:
    """The companion, and its absolute magnitudes."""
    found = binaries.draw_companion(draw.point, draw.fe_h, np.log10(draw.age), draw.distance, rng)
    if found is None:
        return None, {}
    star, ratio, orbit, angle = found
    theirs = _magnitudes(Draw(star, draw.age, draw.fe_h, draw.alpha_fe, draw.thick, draw.distance, draw.av))
    companion = Companion(
        mass_ratio=ratio,
        mass=star.mass,
        teff=star.teff,
        log_g=star.log_g,
        radius=star.radius,
        log_l=star.log_l,
        kp_ratio=float(10 ** (-0.4 * (theirs["kp"][1] - own["kp"][1]))),
        orbit=orbit,
        angle=angle,
    )
    return companion, theirs


def _seen(
    own: dict[str, tuple[float, float]], theirs: dict[str, tuple[float, float]], band: str, reddened: int
) -> float:
    if not theirs:
        return own[band][reddened]
    return float(combined_magnitude(own[band][reddened], theirs[band][reddened]))


def draw_star(seed: int, index: int) -> StarParameters:
    """Star number `index` of the mock survey `seed`.

    Parameters
    ----------
    seed, index
        Not negative.
    """
    rng = stream(seed, index, 0)
    draw = load_population().draw(rng)
    star = draw.point
    own = _magnitudes(draw)
    companion, theirs = _companion(draw, own, rng)
    rotation = draw_rotation(star, draw.age, companion, rng)
    modulus = 5 * np.log10(draw.distance / 10.0)
    in_gaia = theirs if companion is not None and companion.angle < binaries.GAIA_BLEND else {}
    in_kepler = theirs if companion is not None and companion.angle < binaries.KEPLER_BLEND else {}
    g = _seen(own, in_gaia, "g", 1) + modulus
    m_g = _seen(own, in_gaia, "g", 0)
    kind = None
    if companion is not None:
        speed = binaries.velocity_amplitude(companion.orbit, star.mass, companion.mass)
        kind = binaries.kind_of(companion, star.radius, speed, star.eep < TAMS)
    ra0, dec0, half = FIELD
    dec = dec0 + rng.uniform(-half, half)
    spread = DISC_DISPERSION * (1.5 if draw.thick else 0.5 + 0.5 * min(draw.age / 6.0, 1.2))
    return StarParameters(
        seed=seed,
        index=index,
        kic=FIRST_KIC + index,
        ra=float(ra0 + rng.uniform(-half, half) / np.cos(np.radians(dec))),
        dec=float(dec),
        age=draw.age,
        fe_h=draw.fe_h,
        alpha_fe=draw.alpha_fe,
        initial_mass=star.initial_mass,
        mass=star.mass,
        radius=star.radius,
        log_l=star.log_l,
        teff=star.teff,
        log_g=star.log_g,
        eep=star.eep,
        thick_disc=draw.thick,
        distance=draw.distance,
        av=draw.av,
        kepmag=float(_seen(own, in_kepler, "kp", 1) + modulus),
        g=float(g),
        m_g=float(m_g),
        bp_rp=float(_seen(own, in_gaia, "bp", 0) - _seen(own, in_gaia, "rp", 0)),
        numax=scaling_numax(star.mass, star.radius, star.teff),
        dnu=scaling_dnu(star.mass, star.radius),
        rotation=rotation,
        companion=companion,
        binary_kind=kind,
        planets=draw_planets(star, companion, rng),
        pulsator=draw_pulsator(star.teff, star.log_g, rng),
        ruwe=binaries.draw_ruwe(companion, draw.distance, float(g), rng),
        rv=float(-8.0 + spread * rng.standard_normal()),
        cmd_class=cmd_class_of(star.eep, star.log_g, own["g"][0], own["g"][0] - m_g),
    )
