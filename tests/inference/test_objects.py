"""What a user holds: predictions with units and flags, short words for every object, one star's files."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from astropy import units

import desa
from desa.errors import DifferentStars, WrongModality
from desa.inference.model import Desa
from desa.inference.quality import Flag, Limits
from desa.types import Star
from helpers.archive_files import write_quarter, write_spectrum
from helpers.stars import curve, spectrum


@pytest.fixture(scope="module")
def model() -> Desa:
    return desa.load()


def test_predictions_have_units_flags_and_reasons(model: Desa) -> None:
    lightcurve, own = curve("KIC 5", length=3000), spectrum("KIC 5", snr=4.0)
    found = model.predict(lightcurve, own)
    assert set(found) == {"teff", "log_g", "fe_h", "prot"} and found.star_id == "KIC 5"
    assert found["teff"].unit == "K" and found["prot"].unit == "d"
    assert found["teff"].quantity.unit == units.K
    assert found["teff"].flag & Flag.LOW_SNR and "S/N in g is 4.0" in found["teff"].reason
    assert not model.predict(None, own, limits=Limits(snr_g=1))["teff"].flag & Flag.LOW_SNR
    table = model.predict_table(lightcurve, own)
    for label, one in found.items():
        assert (one.median, int(one.flag), one.reason) == tuple(
            table[name][0] for name in (label, f"{label}_flag", f"{label}_why")
        )


def test_quantiles_are_the_ends_of_the_intervals(model: Desa) -> None:
    for one in model.predict(curve("KIC 5", length=3000), spectrum("KIC 5", snr=40.0)).values():
        assert list(one.quantiles) == [0.05, 0.16, 0.5, 0.84, 0.95]
        assert list(one.quantiles.values()) == sorted(one.quantiles.values())
        assert (one.quantiles[0.16], one.quantiles[0.84]) == one.intervals[0.68]
        assert (one.quantiles[0.05], one.quantiles[0.95]) == one.intervals[0.9]
        assert one.quantiles[0.5] == one.median


def test_every_object_is_shown_shortly(model: Desa) -> None:
    lightcurve, own = curve("KIC 5", length=3000), spectrum("KIC 5", snr=40.0)
    embedding, found = model.embed(lightcurve, own), model.predict(lightcurve, own)
    for item, words in (
        (lightcurve, "KIC 5: Kepler, quarters 1"),
        (own, "S/N 40 in g"),
        (Star("KIC 5", lightcurve, (own,)), "KIC 5"),
        (embedding, "joint (256)"),
        (found, "<teff "),
        (found["teff"], " K"),
        (model, "predicts: teff, log_g, fe_h, prot"),
    ):
        assert words in repr(item) and len(repr(item)) < 600 and "array(" not in repr(item)
    assert "<table>" in model._repr_html_() and "<table>" in found._repr_html_()
    assert model.summary["weights"] in repr(model)


def test_what_desa_shows_of_itself() -> None:
    assert {"Index", "LightCurve", "find_anomalies", "load"} <= set(dir(desa))
    assert not {"Any", "import_module", "TYPE_CHECKING", "annotations"} & set(dir(desa))
    assert (Path(desa.__file__).parent / "py.typed").exists()


@pytest.mark.parametrize(
    ("first", "second", "words"),
    [
        ({"star_id": "KIC 5"}, {"star_id": "KIC 6"}, "KIC 5, the spectrum of KIC 6"),
        ({"star_id": "KIC 5", "dec": 45.0}, {"star_id": "LAMOST 77", "dec": -27.0}, "72.0 degrees apart"),
        ({"star_id": "KIC 5", "dec": 45.0}, {"star_id": "", "dec": 45.0 + 4 / 3600}, "4.0 arcsec apart"),
    ],
)
def test_files_of_different_stars_are_not_joined(
    model: Desa, first: dict[str, object], second: dict[str, object], words: str
) -> None:
    one = dataclasses.replace(curve("KIC 5", length=3000), **first)
    other = dataclasses.replace(spectrum("KIC 5", snr=40.0), **second)
    for call in (model.embed, model.predict, model.predict_table, model.embed_table):
        with pytest.raises(DifferentStars, match=words):
            call(one, other)
    assert model.embed(one, other, same_star=True).modality == "joint"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"star_id": "KIC 5", "dec": 45.0}, {"star_id": "KIC 0005", "dec": -27.0}),  # the identifier says it
        ({"star_id": "KIC 5"}, {"star_id": "Gaia DR3 77777"}),  # of two catalogues, at one place
        ({"star_id": "KIC 5"}, {"star_id": "", "ra": np.nan, "dec": np.nan}),  # which says nothing
    ],
)
def test_files_of_one_star_are_joined(
    model: Desa, first: dict[str, object], second: dict[str, object]
) -> None:
    one = dataclasses.replace(curve("KIC 5", length=3000), **first)
    other = dataclasses.replace(spectrum("KIC 5", snr=40.0), **second)
    assert model.embed(one, other).modality == "joint"


def test_files_are_told_by_their_content(model: Desa, tmp_path: Path) -> None:
    lightcurve, own = tmp_path / "one.fits", tmp_path / "other.fits"
    write_quarter(lightcurve)
    write_spectrum(own)
    joint = model.embed(lightcurve, own, same_star=True)
    np.testing.assert_array_equal(model.embed(own, lightcurve, same_star=True).joint, joint.joint)
    assert (
        model.embed(own).modality == "spectrum" and model.embed(spectrum=lightcurve).modality == "lightcurve"
    )
    with pytest.raises(WrongModality):
        model.embed(3.0)
