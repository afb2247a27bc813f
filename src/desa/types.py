"""The objects that travel through desa: light curves, spectra, stars, embeddings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from desa.errors import ModelError

FloatArray = NDArray[np.float32]

Part = Literal["spectrum", "lightcurve"]
PARTS: tuple[Part, ...] = ("spectrum", "lightcurve")
"""The modalities of a star, each with its encoder."""

KEPLER_CADENCE_DAYS = 0.020433598
"""Kepler's long cadence, 29.4244 min (Kepler Archive Manual)."""

SPEED_OF_LIGHT = 299_792.458
"""km/s."""


def best_window(flux: FloatArray, length: int) -> slice:
    """Where the `length` samples with most good ones are, the first such; all of a shorter light curve."""
    if len(flux) <= length:
        return slice(0, len(flux))
    good = np.concatenate([[0], np.cumsum(np.isfinite(flux))])
    start = int(np.argmax(good[length:] - good[:-length]))
    return slice(start, start + length)


MOST_QUARTERS, MOST_CADENCES = 32767, 2**31
"""A survey keeps a quarter's number in 16 bits and a cadence's in 32."""


@dataclass(frozen=True, eq=False, repr=False)
class LightCurve:
    """A star's flux on a regular cadence grid.

    Parameters
    ----------
    flux
        (L,) float32, relative flux: each quarter (sector, campaign) divided by its own median, so
        near 1. NaN where there is no good sample. The first and last samples are finite.
    flux_err
        (L,) float32, its standard error, relative too; NaN where unknown.
    first_cadence
        The mission's cadence number of sample 0 (0 where the file has none).
    start_bkjd
        Time of sample 0 in BKJD days (BJD - 2454833).
    cadence_days
        Spacing of the grid in days.
    star_id
        ``"KIC 8462852"``, ``"EPIC ..."``, ``"TIC ..."``, ``"Gaia DR3 ..."``; empty if unknown.
    mission
        ``"Kepler"``, ``"K2"``, ``"TESS"``, ``"KEPSEISMIC"``, or what the caller says.
    quarters
        Quarters, campaigns or sectors that are in it, ascending.
    ra, dec
        Degrees (ICRS), NaN if unknown.
    magnitude
        Kepler (or TESS) magnitude, NaN if unknown.
    sources
        The files it was made from.
    meta
        Anything else the files say (``teff``, ``log_g``, ``fe_h`` of the input catalogue, ...).
    """

    flux: FloatArray
    flux_err: FloatArray
    first_cadence: int = 0
    start_bkjd: float = float("nan")
    cadence_days: float = KEPLER_CADENCE_DAYS
    star_id: str = ""
    mission: str = ""
    quarters: tuple[int, ...] = ()
    ra: float = float("nan")
    dec: float = float("nan")
    magnitude: float = float("nan")
    sources: tuple[str, ...] = ()
    meta: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.flux.ndim != 1 or self.flux.shape != self.flux_err.shape:
            raise ValueError(f"flux {self.flux.shape} and flux_err {self.flux_err.shape} must be (L,) alike")
        if wrong := [quarter for quarter in self.quarters if not -1 <= quarter <= MOST_QUARTERS]:
            raise ValueError(f"{wrong[0]} is no quarter, campaign or sector")
        if not abs(self.first_cadence) < MOST_CADENCES:
            raise ValueError(f"{self.first_cadence} is no cadence's number")

    def __len__(self) -> int:
        return int(self.flux.shape[0])

    def __repr__(self) -> str:
        days = len(self) * self.cadence_days
        quarters = f", quarters {', '.join(map(str, self.quarters))}" if self.quarters else ""
        return (
            f"<LightCurve {self.star_id or 'of a star without name'}: {self.mission or 'unknown mission'}"
            f"{quarters}, {days:.0f} d, {int(self.valid.sum())} of {len(self)} samples good>"
        )

    @property
    def valid(self) -> NDArray[np.bool_]:
        """(L,) True where there is a good sample."""
        return np.isfinite(self.flux)

    @property
    def time(self) -> NDArray[np.float64]:
        """(L,) nominal times of the grid in BKJD days."""
        return np.asarray(self.start_bkjd + self.cadence_days * np.arange(len(self)), dtype=np.float64)


@dataclass(frozen=True)
class SpectrumGrid:
    """Pixels of constant step in log10 of the vacuum wavelength.

    Parameters
    ----------
    start
        log10 of the first pixel's wavelength in Angstrom.
    step
        In dex.
    size
        How many pixels; of a survey or a model, how many at most.
    """

    start: float
    step: float
    size: int

    @property
    def wavelength(self) -> NDArray[np.float64]:
        """(size,) vacuum wavelengths in Angstrom."""
        exponents = self.start + self.step * np.arange(self.size, dtype=np.float64)
        return np.asarray(np.power(10.0, exponents), dtype=np.float64)

    @property
    def stop(self) -> float:
        """log10 of the wavelength one step beyond the last pixel."""
        return self.start + self.step * self.size

    def holds(self, other: SpectrumGrid) -> bool:
        """Whether another grid has the same step and lies within this one, to one step."""
        same_step = abs(other.step / self.step - 1.0) < 1e-6
        inside = self.start - self.step <= other.start and other.stop <= self.stop + self.step
        return same_step and inside and other.size <= self.size

    def check(self, spectrum: Spectrum) -> None:
        """Refuse a spectrum for a model that was trained on this grid.

        Raises
        ------
        ModelError
            If it is on another.
        """
        if not self.holds(spectrum.grid):
            name = ", ".join(spectrum.sources) or spectrum.star_id or "the spectrum"
            raise ModelError(
                f"{name}: {spectrum.grid}; the model was trained on {self}. If you know that it may read "
                "this instrument, say so (--resample-spectra; model.resample_spectra = True)"
            )

    def __str__(self) -> str:
        first, last = self.wavelength[[0, -1]]
        return f"{self.size} pixels of {self.step:.3g} dex from {first:.1f} to {last:.1f} Angstrom"


@dataclass(frozen=True, eq=False, repr=False)
class Spectrum:
    """A low-resolution spectrum on a grid of constant step in log10 wavelength.

    Parameters
    ----------
    flux
        (N,) float32, arbitrary scale, observed (heliocentric) frame.
    ivar
        (N,) float32, inverse variance of `flux`; 0 where the pixel is bad.
    log_wavelength_start
        log10 of pixel 0's vacuum wavelength in Angstrom.
    log_wavelength_step
        Step of the pixels in dex.
    z
        The star's redshift (radial velocity / c), NaN if unknown.
    star_id
        ``"KIC ..."``, ``"Gaia DR3 ..."`` or ``"LAMOST obsid"``-like name; empty if unknown.
    obsid
        The observation's identifier, empty if unknown.
    release
        ``"DR1"``, ``"DR10"``, ... or what the caller says.
    object_class, object_subclass
        The survey pipeline's classification (``"STAR"``, ``"G2"``).
    snr
        Signal-to-noise by band, keys ``u g r i z``.
    or_mask
        (N,) int32, bits raised in any exposure; kept for those who want it, None if absent.
    ra, dec, sources, meta
        As in `LightCurve`.
    """

    flux: FloatArray
    ivar: FloatArray
    log_wavelength_start: float
    log_wavelength_step: float = 1e-4
    z: float = float("nan")
    star_id: str = ""
    obsid: str = ""
    release: str = ""
    object_class: str = ""
    object_subclass: str = ""
    snr: Mapping[str, float] = field(default_factory=dict)
    or_mask: NDArray[np.int32] | None = None
    ra: float = float("nan")
    dec: float = float("nan")
    sources: tuple[str, ...] = ()
    meta: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.flux.ndim != 1 or self.flux.shape != self.ivar.shape:
            raise ValueError(f"flux {self.flux.shape} and ivar {self.ivar.shape} must be (N,) alike")

    def __len__(self) -> int:
        return int(self.flux.shape[0])

    def __repr__(self) -> str:
        what = " ".join(filter(None, (self.release, self.object_class, self.object_subclass, self.obsid)))
        snr = self.snr.get("g", float("nan"))
        return (
            f"<Spectrum {self.star_id or 'of a star without name'}: {what}{', ' if what else ''}"
            f"{int(self.valid.sum())} of {len(self)} pixels good"
            f"{f', S/N {snr:.0f} in g' if np.isfinite(snr) else ''}>"
        )

    @property
    def valid(self) -> NDArray[np.bool_]:
        """(N,) True where the pixel is good."""
        return self.ivar > 0

    @property
    def grid(self) -> SpectrumGrid:
        """Its pixels' wavelengths."""
        return SpectrumGrid(self.log_wavelength_start, self.log_wavelength_step, len(self))

    @property
    def wavelength(self) -> NDArray[np.float64]:
        """(N,) vacuum wavelengths in Angstrom, observed frame."""
        return self.grid.wavelength


class Columns(Protocol):
    """Columns by name: a pandas data frame, an astropy table, a dictionary."""

    def __getitem__(self, name: str, /) -> Any:
        """One column."""
        ...


class LightCurveObject(Protocol):
    """What a ``lightkurve.LightCurve`` has."""

    @property
    def time(self) -> Any:
        """Times, in any astropy format."""

    @property
    def flux(self) -> Any:
        """(L,) flux, with or without a unit."""

    @property
    def flux_err(self) -> Any:
        """(L,) its error."""


class SpectrumObject(Protocol):
    """What a ``specutils`` spectrum has."""

    @property
    def spectral_axis(self) -> Any:
        """(N,) wavelengths, frequencies, ... with a unit."""

    @property
    def flux(self) -> Any:
        """(N,) flux, with or without a unit."""


LightCurveLike: TypeAlias = "LightCurve | str | Path | LightCurveObject | Columns | Sequence[LightCurveLike]"
"""One light curve: ours, a file, an object of lightkurve, a table; or several of these, parts of one star."""

SpectrumLike: TypeAlias = "Spectrum | str | Path | SpectrumObject | Columns"
"""One spectrum: ours, a file, an object of specutils, a table."""


@dataclass(frozen=True, eq=False, repr=False)
class Star:
    """One star with whatever was observed of it.

    Parameters
    ----------
    star_id
        Its name; empty if unknown.
    lightcurve
        The light curve that is used, or None.
    spectra
        Its spectra, the best first.
    labels
        What is known of it, by label.
    """

    star_id: str
    lightcurve: LightCurve | None = None
    spectra: tuple[Spectrum, ...] = ()
    labels: Mapping[str, float] = field(default_factory=dict)

    def __repr__(self) -> str:
        parts = [repr(item) for item in (self.lightcurve, *self.spectra) if item is not None]
        return f"<Star {self.star_id or 'without name'}: {', '.join(parts) or 'nothing observed'}>"

    @property
    def spectrum(self) -> Spectrum | None:
        """The best spectrum, None without any."""
        return self.spectra[0] if self.spectra else None

    @property
    def modality(self) -> str:
        """``"joint"`` where there are both, else ``"spectrum"`` or ``"lightcurve"``."""
        if self.lightcurve is None:
            return "spectrum"
        return "joint" if self.spectra else "lightcurve"


@dataclass(frozen=True, eq=False, repr=False)
class Embedding:
    """What the model makes of one star; absent modalities are None.

    Parameters
    ----------
    modality
        ``"joint"``, ``"spectrum"`` or ``"lightcurve"``.
    features_spectrum, features_lightcurve
        The encoders' own features.
    z_spectrum, z_lightcurve, p_spectrum, p_lightcurve
        The DualFormer's pooled outputs and their projections; None unless both modalities are there.
    joint
        f of eq. 6 of the paper (or the setting that replaces it); None unless both are there.
    match_spectrum, match_lightcurve
        p of each modality made without the other: by their cosine a light curve finds its spectrum, and the
        other way round. None from models that can't do without a modality (the published one).
    """

    star_id: str
    modality: str
    features_spectrum: FloatArray | None = None
    features_lightcurve: FloatArray | None = None
    z_spectrum: FloatArray | None = None
    z_lightcurve: FloatArray | None = None
    p_spectrum: FloatArray | None = None
    p_lightcurve: FloatArray | None = None
    joint: FloatArray | None = None
    match_spectrum: FloatArray | None = None
    match_lightcurve: FloatArray | None = None

    def __repr__(self) -> str:
        vectors = [
            f"{name} ({len(value)})" for name, value in vars(self).items() if isinstance(value, np.ndarray)
        ]
        return (
            f"<Embedding {self.star_id or 'of a star without name'}, {self.modality}: {', '.join(vectors)}>"
        )

    @property
    def vector(self) -> FloatArray:
        """The joint embedding, or the features of the one modality there is."""
        for value in (self.joint, self.features_spectrum, self.features_lightcurve):
            if value is not None:
                return value
        raise ValueError(f"{self.star_id or 'this star'}: the embedding is empty")
