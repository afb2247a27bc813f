"""Empirical templates of dwarfs against the emulator: the best-fitting model, and what is left."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from desa.simulate.broadening import degrade
from desa.simulate.emulator import load_emulator
from desa.simulate.instrument import WAVE

FloatArray = NDArray[np.float64]
TYPES: Final = "FGK"
DEGREE: Final = 8
RESOLUTION: Final = 1800.0


@dataclass(frozen=True, eq=False)
class TemplateFit:
    """A template and its best model, both over their continua.

    Parameters
    ----------
    name
        Spectral type and [Fe/H].
    teff
        Of the best model, K.
    rms
        Of the difference of the normalised spectra, 4200 to 8800 Angstrom.
    template, model
        (3909,).
    """

    name: str
    teff: float
    rms: float
    template: FloatArray
    model: FloatArray


def _normalised(flux: FloatArray, use: NDArray[np.bool_]) -> FloatArray:
    x = np.linspace(-1, 1, len(flux))
    fit = np.polynomial.legendre.legfit(x[use], flux[use], DEGREE)
    return np.asarray(flux / np.polynomial.legendre.legval(x, fit))


def fit_templates(folder: str | Path) -> list[TemplateFit]:
    """The F, G and K dwarf templates with known [Fe/H], each with the best of the emulator's spectra.

    They are in ``pyhammer_templates_lamostgrid.npz``; models have log g 4.5, the template's [Fe/H], and Teff
    in steps of 50 K.
    """
    with np.load(
        Path(folder) / "templates" / "pyhammer_templates_lamostgrid.npz", allow_pickle=False
    ) as data:
        arrays = {key: data[key] for key in ("sptype", "subtype", "feh", "flux")}
    use = (WAVE > 4200) & (WAVE < 8800) & ~((WAVE > 6860) & (WAVE < 6960)) & ~((WAVE > 7580) & (WAVE < 7720))
    teff = np.arange(3900.0, 7600.0, 50.0)
    resolution = np.full(len(WAVE), RESOLUTION)
    found = []
    for fe_h in sorted({float(f) for f in arrays["feh"] if np.isfinite(f)}):
        labels = np.column_stack([teff, *(np.full(len(teff), v) for v in (4.5, fe_h, max(0.0, -0.2 * fe_h)))])
        flux = load_emulator().flux(labels).astype(np.float64)
        models = np.array([_normalised(degrade(row / np.median(row), resolution), use) for row in flux])
        for k in np.flatnonzero(np.isin(arrays["sptype"], list(TYPES)) & (arrays["feh"] == np.float32(fe_h))):
            template = _normalised(arrays["flux"][k].astype(np.float64), use)
            rms = np.sqrt(((models - template)[:, use] ** 2).mean(axis=1))
            best = int(np.argmin(rms))
            name = f"{arrays['sptype'][k]}{arrays['subtype'][k]}, [Fe/H] {fe_h:+.1f}"
            found.append(TemplateFit(name, float(teff[best]), float(rms[best]), template, models[best]))
    return found
