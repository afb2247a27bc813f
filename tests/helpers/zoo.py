"""A small survey that calls itself real: spectra with labels, and light curves of known kinds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from desa.simulate.emulator import load_emulator
from desa.survey.store import Survey, SurveyWriter
from desa.types import KEPLER_CADENCE_DAYS, LightCurve, Spectrum

Labels = dict[str, float | str]


def lightcurve(flux: np.ndarray, star: str = "KIC 1", mission: str = "Kepler") -> LightCurve:
    values = flux.astype(np.float32)
    error = np.full(len(values), 1e-4, np.float32)
    return LightCurve(values, error, start_bkjd=0.0, star_id=star, mission=mission)


def zoo(count: int = 60, cadences: int = 3000) -> list[tuple[LightCurve, Labels]]:
    """Eclipsing binaries, spotted dwarfs, and giants and dwarfs that do not rotate; a class for two kinds."""
    rng = np.random.default_rng(2)
    time, found = KEPLER_CADENCE_DAYS * np.arange(cadences), []
    for number in range(count):
        labels: Labels = {"log_g": 4.4}
        flux = 1 + 1e-4 * rng.normal(size=cadences)
        if number % 3 == 0:
            labels |= {"binary_kind": "eclipsing", "variable_class": "ECLIPSE", "prot": 2.0}
            flux[(time % 2.0) < 0.12] -= 0.1
        elif number % 3 == 1:
            period = rng.uniform(2, 15)
            labels |= {"prot": period, "variable_class": "CONTACT_ROT"}
            flux += 0.01 * np.sin(2 * np.pi * time / period)
        elif number % 2 == 0:
            labels["log_g"] = 2.5
            flux += 1e-3 * np.sin(2 * np.pi * time / 0.3)
        found.append((lightcurve(flux, f"KIC {number + 1}"), labels))
    return found


def spectra(count: int = 60, seed: int = 0) -> list[tuple[Spectrum, Labels]]:
    """Spectra of the emulator's lines with Teff, log g and [Fe/H]."""
    rng = np.random.default_rng(seed)
    teff, log_g, fe_h = (
        rng.uniform(4800, 7000, count),
        rng.uniform(3.2, 4.6, count),
        rng.uniform(-1, 0.3, count),
    )
    lines = load_emulator().transmission(np.column_stack([teff, log_g, fe_h, np.zeros(count)]))
    found = []
    for number, flux in enumerate(lines):
        snr = float(rng.uniform(20, 200))
        spectrum = Spectrum(
            flux=(flux + rng.standard_normal(len(flux)) / snr).astype(np.float32),
            ivar=np.full(len(flux), snr**2, np.float32),
            log_wavelength_start=3.5682,
            z=1e-5 * (number % 7),
            star_id=f"Gaia DR3 {10_000 + number}",
            obsid=str(number),
            object_class="STAR",
            snr=dict.fromkeys("ugriz", snr),
        )
        labels = {"teff": teff[number], "log_g": log_g[number], "fe_h": fe_h[number]}
        found.append((spectrum, labels))
    return found


def zoo_survey(path: Path, curves: int = 60, observed: int = 60) -> Survey:
    """Both, of kind real; no star has both."""
    writer, rows = SurveyWriter(path, "real"), []
    for curve, labels in zoo(curves):
        writer.add_lightcurve(curve)
        rows.append({"star_id": curve.star_id, **labels})
    for spectrum, labels in spectra(observed):
        writer.add_spectrum(spectrum)
        rows.append({"star_id": spectrum.star_id, **labels})
    names = dict.fromkeys(name for row in rows for name in row)
    return writer.finish(pa.table({name: [row.get(name) for row in rows] for name in names}))
