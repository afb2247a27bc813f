"""Stars given as objects or files, as `Desa.embed` and `Desa.predict` take them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeAlias

from astropy import units

from desa.errors import DifferentStars, FileRefused
from desa.io.memory import to_lightcurve, to_spectrum
from desa.io.registry import Kind, identify
from desa.models.network import Network
from desa.survey.pairing import CATALOGUES
from desa.types import LightCurve, LightCurveLike, Spectrum, SpectrumLike, Star

LightCurves: TypeAlias = "LightCurveLike | list[LightCurveLike | None] | None"
"""A star's light curve, or a list with that of each star; None where there is none."""

Spectra: TypeAlias = "SpectrumLike | list[SpectrumLike | None] | None"
"""A star's spectrum, or a list with that of each star; None where there is none."""


MATCH_ARCSEC = 3.0
"""Farther apart, objects without a common identifier are of different stars."""


def given_stars(
    lightcurve: LightCurves, spectrum: Spectra, same_star: bool = False
) -> tuple[list[Star], bool]:
    """What a caller gave: one star or a list of them, each with a light curve, a spectrum, or both.

    Parameters
    ----------
    lightcurve, spectrum, same_star
        As in `desa.inference.model.Desa.embed`.

    Returns
    -------
    tuple
        The stars, each called by its light curve's name if that has one; and whether one was given, no list.

    Raises
    ------
    DesaError
        For files or objects that can't be used.
    DifferentStars
        If a light curve and a spectrum say that they are of different stars, unless `same_star`.
    ValueError
        If a star has neither, or the lists differ in length.
    """
    given: list[Any] = [lightcurve, spectrum]
    if lightcurve is None and spectrum is None:
        raise ValueError("give a light curve, a spectrum, or both")
    single = not any(isinstance(part, list) for part in given)
    curves, spectra = ([part] if single else part for part in given)
    sizes = {len(part) for part in (curves, spectra) if part is not None}
    if len(sizes) != 1:
        raise ValueError(f"{len(curves)} light curves and {len(spectra)} spectra: one of each a star")
    size = sizes.pop()
    curves, spectra = ([None] * size if part is None else part for part in (curves, spectra))
    stars = []
    for place, (one, other) in enumerate(zip(curves, spectra, strict=True)):
        if one is None and other is None:
            raise ValueError(f"star {place} of the lists has neither a light curve nor a spectrum")
        one, other = _by_content(one, other)
        curve = None if one is None else to_lightcurve(one)
        own = None if other is None else to_spectrum(other)
        if curve is not None and own is not None and not same_star:
            check_same_star(curve, own)
        names = [item.star_id for item in (curve, own) if item is not None and item.star_id]
        stars.append(Star(names[0] if names else "", curve, () if own is None else (own,)))
    return stars, single


def _by_content(one: Any, other: Any) -> tuple[Any, Any]:
    """A star's light curve and spectrum, which were given in that order, in the other, or one alone."""
    first, second = _kind(one), _kind(other)
    turned = first == "spectrum" and (other is None or second == "lightcurve")
    return (other, one) if turned or (one is None and second == "lightcurve") else (one, other)


def _kind(given: Any) -> Kind | None:
    """What a file or an object of ours is; None for anything else, of which the readers say what it is."""
    if isinstance(given, LightCurve):
        return "lightcurve"
    if isinstance(given, Spectrum):
        return "spectrum"
    try:
        return identify(given) if isinstance(given, (str, Path)) else None
    except FileRefused:
        return None


def check_same_star(curve: LightCurve, spectrum: Spectrum) -> None:
    """Refuse a light curve and a spectrum of different stars.

    They are so if they have different identifiers of one catalogue, or no common one and positions farther
    apart than `MATCH_ARCSEC`; what says nothing of its star may be of any.

    Raises
    ------
    DifferentStars
        If so.
    """
    mine, its = _identifiers(curve.star_id), _identifiers(spectrum.star_id)
    common = set(mine) & set(its)
    for catalogue in sorted(common):
        if mine[catalogue] != its[catalogue]:
            raise DifferentStars(
                f"the light curve is of {curve.star_id}, the spectrum of {spectrum.star_id}; "
                "if you know better, say same_star=True"
            )
    if common:
        return
    from astropy.coordinates import angular_separation  # takes 0.3 s, and few stars need it

    places = [angle * units.deg for item in (curve, spectrum) for angle in (item.ra, item.dec)]
    apart = float(angular_separation(*places).to_value("arcsec"))
    if apart > MATCH_ARCSEC:
        said = f"{apart:.1f} arcsec" if apart < 3600 else f"{apart / 3600:.1f} degrees"
        raise DifferentStars(
            f"the light curve ({curve.star_id or 'without name'}) and the spectrum "
            f"({spectrum.star_id or 'without name'}) lie {said} apart, so they are of different stars; "
            "if you know better, say same_star=True"
        )


def _identifiers(name: str) -> dict[str, str]:
    """A star's numbers by catalogue."""
    found = {catalogue: re.search(r"(\d+)$", name) for catalogue in CATALOGUES if name.startswith(catalogue)}
    return {catalogue: number[1].lstrip("0") for catalogue, number in found.items() if number}


def check_modalities(model: Network, stars: Sequence[Star]) -> None:
    """Refuse stars that a network lacks an encoder for.

    Raises
    ------
    ModelError
        If it does.
    """
    for star in stars:
        for item in (star.lightcurve, star.spectrum):
            if item is not None:
                model.check(item)
