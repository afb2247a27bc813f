"""What holds no information gets no numbers; good data in any unit get the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from astropy import units

import desa
from desa.catalogs.labels import read_labels
from desa.errors import DesaError
from desa.types import LightCurve
from helpers.stars import curve, spectrum

GOOD = spectrum("KIC 1", z=0.0)
N = len(GOOD)


@pytest.mark.parametrize(
    "changes",
    [
        {"flux": np.zeros(0, np.float32), "ivar": np.zeros(0, np.float32)},
        {"flux": np.zeros(N, np.float32)},
        {"flux": np.full(N, np.nan, np.float32)},
        {"ivar": np.zeros(N, np.float32)},
        {"flux": GOOD.flux.byteswap()},
    ],
    ids=["empty", "zero", "nan", "bad", "swapped"],
)
def test_spectra_that_tell_nothing(changes: dict) -> None:
    with pytest.raises(DesaError):
        desa.load().predict(spectrum=replace(GOOD, **changes))


def test_light_curves_that_tell_nothing() -> None:
    for flux in (np.zeros(0, np.float32), np.full(900, np.nan, np.float32), np.zeros(900, np.float32)):
        with pytest.raises(DesaError):
            desa.load().predict(lightcurve=LightCurve(flux, np.ones_like(flux)))
    assert desa.load().embed(lightcurve=curve("KIC 1", length=900)) is not None


def test_units_do_not_matter() -> None:
    specutils = pytest.importorskip("specutils")
    from astropy.nddata import InverseVariance

    model, found = desa.load(), []
    for factor in (1.0, 1e-18, 1e20):
        given = specutils.Spectrum(
            flux=GOOD.flux.astype(np.float64) * factor * units.Unit("erg / (s cm2 AA)"),
            spectral_axis=GOOD.wavelength * units.AA,
            uncertainty=InverseVariance(GOOD.ivar.astype(np.float64) / factor**2),
        )
        found.append(model.embed(spectrum=given).features_spectrum)
    for other in found[1:]:
        np.testing.assert_allclose(other, found[0], rtol=1e-4, atol=1e-4)


def test_labels_that_are_not_utf_8(tmp_path: Path) -> None:
    (tmp_path / "l.csv").write_bytes(b"kic,teff,mine\n1,5000,\xff\n2,5\xe900,b\n\xff3,5200,c\n")
    found = read_labels(tmp_path / "l.csv")
    assert list(found.keys["kic"]) == [1, 2, None] and list(found.values["teff"]) == [5000.0, None, 5200.0]
