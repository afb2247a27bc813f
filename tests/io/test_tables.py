from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from astropy import units as u
from astropy.io import fits
from astropy.table import MaskedColumn, Table
from astropy.time import Time
from astropy.timeseries import TimeSeries

from desa.errors import UnsupportedFile, WrongModality
from desa.io.memory import is_table, to_lightcurve, to_spectrum

DAYS = 200.0 + 0.020433598 * np.arange(600)
FLUX = 1e4 * (1 + 1e-3 * np.sin(2 * np.pi * DAYS / 3))
WAVELENGTH = 10 ** (3.5682 + 1e-4 * np.arange(3909))
CONTINUUM = 100 * (1 - 0.5 * np.exp(-(((WAVELENGTH - 6564.6) / 5) ** 2)))


def gapped(flux: np.ndarray) -> np.ndarray:
    flux = flux.copy()
    flux[100:120] = np.nan
    return flux


LIGHTCURVES: dict[str, Any] = {
    "dictionary": {"time": DAYS, "flux": gapped(FLUX), "flux_err": np.full(600, 5.0)},
    "pandas": pd.DataFrame({"Time": DAYS, "FLUX": gapped(FLUX), "flux_err": 5.0}),
    "pandas, missing as NA": pd.DataFrame({"bkjd": DAYS, "pdcsap_flux": pd.Series(gapped(FLUX))}),
    "table": Table(
        {"time": DAYS + 2454833, "flux": gapped(FLUX) * u.electron / u.s, "error": np.full(600, 5.0)}
    ),
    "masked": Table({"time": DAYS, "flux": MaskedColumn(FLUX, mask=np.isnan(gapped(FLUX)))}),
    "time series": TimeSeries(time=Time(DAYS + 2454833, format="jd"), data={"flux": gapped(FLUX)}),
    "FITS records": fits.BinTableHDU(Table({"TIME": DAYS, "FLUX": gapped(FLUX)})).data,
}


@pytest.mark.parametrize("name", LIGHTCURVES)
def test_light_curves_of_tables(name: str) -> None:
    source = LIGHTCURVES[name]
    assert is_table(source)
    curve = to_lightcurve(source)
    assert curve.valid.sum() == 580 and len(curve) == 600
    assert curve.cadence_days == pytest.approx(0.020433598, rel=1e-6)
    assert curve.start_bkjd == pytest.approx(200.0, abs=1e-3)
    np.testing.assert_allclose(curve.flux[:50], FLUX[:50] / np.median(FLUX), rtol=1e-3)
    if "err" in str(getattr(source, "columns", source)).lower():
        np.testing.assert_allclose(curve.flux_err[:50], 5e-4, rtol=2e-3)


SPECTRA: dict[str, Any] = {
    "dictionary": {"wavelength": WAVELENGTH, "flux": CONTINUUM, "ivar": np.full(3909, 4.0)},
    "pandas": pd.DataFrame({"wave": WAVELENGTH, "flux": CONTINUUM, "sigma": 0.5}),
    "nanometres": Table(
        {"wavelength": WAVELENGTH / 10 * u.nm, "flux": CONTINUUM, "error": np.full(3909, 0.5)}
    ),
    "loglam": Table({"loglam": np.log10(WAVELENGTH), "flux": CONTINUUM, "ivar": np.full(3909, 4.0)}),
}


@pytest.mark.parametrize("name", SPECTRA)
def test_spectra_of_tables(name: str) -> None:
    spectrum = to_spectrum(SPECTRA[name])
    inner = slice(10, 3890)
    np.testing.assert_allclose(spectrum.flux[inner], CONTINUUM[inner], rtol=2e-2)
    np.testing.assert_allclose(np.median(spectrum.ivar[inner]), 4.0, rtol=2e-2)


def test_meta_names_the_star_and_its_velocity() -> None:
    table = Table(LIGHTCURVES["dictionary"], meta={"LABEL": "KIC 5", "RA": 290.0, "DEC": 45.0})
    curve = to_lightcurve(table)
    assert (curve.star_id, curve.ra, curve.dec) == ("KIC 5", 290.0, 45.0)
    frame = SPECTRA["pandas"].copy()
    frame.attrs = {"redshift": 1e-4, "OBJECT": "mine"}
    spectrum = to_spectrum(frame)
    assert (spectrum.z, spectrum.star_id) == (1e-4, "mine")


def test_what_lacks_columns_or_is_the_other_kind_is_said() -> None:
    with pytest.raises(WrongModality, match=r"without time and flux \(it has a, flux\)"):
        to_lightcurve({"a": [1.0], "flux": [1.0]})
    with pytest.raises(WrongModality, match=r"without wavelength and flux \(it has a\)"):
        to_spectrum(pd.DataFrame({"a": [1.0]}))
    with pytest.raises(WrongModality, match="not a table with wavelengths"):
        to_lightcurve(SPECTRA["pandas"])
    with pytest.raises(WrongModality, match="not a table with times"):
        to_spectrum(LIGHTCURVES["table"])
    with pytest.raises(UnsupportedFile, match="in magnitudes"):
        to_lightcurve(Table({"time": DAYS, "flux": FLUX * u.mag}))
