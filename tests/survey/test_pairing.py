import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from desa.catalogs.labels import LabelTable
from desa.survey.pairing import Named, pair

ARCSEC = 1 / 3600


def labels(rows, ra=None, dec=None, keys=None, **values):
    blank = [np.nan] * rows
    place = [np.array(blank if v is None else v, dtype=float) for v in (ra, dec)]
    return LabelTable(rows, keys or {}, *place, values)


def test_by_name_then_by_nearest_position():
    curves = [
        Named("KIC 1", "a", ra=290.0, dec=45.0),
        Named("KIC 2", "b", ra=290.0, dec=45.0 + 4 * ARCSEC),
        Named("EPIC 3", "c"),
    ]
    spectra = [
        Named("LAMOST J1", "s1", "11", 290.0, 45.0 + 2.5 * ARCSEC),
        Named("KIC 1", "s2", "12", 100.0, 0.0),
        Named("LAMOST J2", "s3", "13", 290.0, 45.0 + 20 * ARCSEC),
    ]
    result = pair(curves, spectra, None, 3.0)
    assert result.lightcurves == ["KIC 1", "KIC 2", "EPIC 3"]
    assert result.spectra == ["KIC 2", "KIC 1", "LAMOST J2"]
    assert (result.by_identifier, result.by_position) == (1, 1)
    assert result.stars.column("star_id").to_pylist() == sorted({*result.lightcurves, "LAMOST J2"})
    assert pair(curves, spectra, None, 0).spectra[0] == "LAMOST J1"


def test_spectra_of_one_place_are_one_star():
    places = [(10.0, 20.0), (10.0 + ARCSEC, 20.0), (10.0, 20.0 + 30 * ARCSEC), (np.nan, np.nan)]
    spectra = [Named(f"LAMOST J{n}", f"s{n}", str(n), *place) for n, place in enumerate(places)]
    assert pair([], spectra, None, 3.0).spectra == ["LAMOST J0", "LAMOST J0", "LAMOST J2", "LAMOST J3"]


def test_different_identifiers_are_different_stars():
    spectra = [Named(f"Gaia DR2 {n}0000", f"s{n}", str(n), 10.0, 20.0) for n in (1, 2, 3)]
    assert len(set(pair([], spectra, None, 3.0).spectra)) == 3
    curves = [Named("KIC 1", "a", ra=10.0, dec=20.0)]
    assert pair(curves, [Named("KIC 2", "s", "5", 10.0, 20.0)], None, 3.0).spectra == ["KIC 2"]


def test_a_table_links_by_obsid_and_file():
    table = labels(
        2, keys={"obsid": ["77", None], "file": [None, "spec-9"], "kic": [1, 2]}, teff=[5000.0, 6000.0]
    )
    spectra = [Named("LAMOST J1", "x/y.fits", "77"), Named("", "x/spec-9.fits.gz", "z")]
    result = pair([Named("KIC 1", "a"), Named("KIC 3", "c")], spectra, table, 3.0)
    assert result.spectra == ["KIC 1", "KIC 2"] and result.by_identifier == 1 and result.label_rows == 2
    stars = {star["star_id"]: star for star in result.stars.to_pylist()}
    assert stars["KIC 2"]["teff"] == 6000 and stars["KIC 3"]["teff"] is None and stars["KIC 2"]["kic"] == 2


def test_labels_by_position_and_of_several_rows():
    table = labels(
        4,
        ra=[10.0, 10.0, 50.0, 10.0],
        dec=[20.0 + ARCSEC, 20.0, 50.0, 20.0],
        teff=[5000.0, 5200.0, 1.0, None],
        cmd_class=[None, "dwarf", "giant", None],
        binary=[True, None, None, None],
    )
    result = pair([Named("KIC 1", "a", ra=10.0, dec=20.0)], [], table, 3.0)
    assert result.stars.to_pylist() == [
        {"star_id": "KIC 1", "kic": 1, "gaia": None, "teff": 5100.0, "cmd_class": "dwarf", "binary": True}
    ]
    assert result.label_rows == 3


def test_star_is_named_by_the_best_catalogue():
    table = labels(2, keys={"gaia": [55555, 66666], "gaia_release": ["DR3", "DR3"], "obsid": ["1", "2"]})
    spectra = [Named("LAMOST J1", "s1", "1"), Named("Gaia DR2 66666", "s2", "2"), Named("", "f/s3", "3")]
    assert pair([], spectra, table, 3.0).spectra == ["Gaia DR3 55555", "Gaia DR2 66666", "file s3"]
    twins = [Named("", "f/c"), Named("", "g/c")]
    assert pair(twins, [], None, 3.0).lightcurves == ["file f/c", "file g/c"], "the folder tells them apart"


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 12), st.integers(0, 12), st.integers(0, 8))
def test_every_object_has_one_star_whatever_the_order(seed, n_curves, n_spectra, n_labels):
    """Positions are either the same or far apart, so pairing has one right answer: that of a plain loop."""
    rng = np.random.default_rng(seed)
    spot = lambda: 10.0 + rng.integers(0, 6)  # noqa: E731
    curves = [Named(f"KIC {n + 1}", f"c{n}", ra=20.0 + n, dec=0.0) for n in range(n_curves)]
    spectra = [Named("", f"s{n}", f"o{n}", ra=spot() + 8, dec=0.0) for n in range(n_spectra)]
    ra = [spot() + 8 for _ in range(n_labels)]
    table = labels(n_labels, ra=ra, dec=[0.0] * n_labels, teff=[1.0] * n_labels)
    result = pair(curves, spectra, table, 3.0)
    at = {curve.ra: curve.name for curve in curves}
    for item, star_id in zip(spectra, result.spectra, strict=True):
        assert star_id == at.get(item.ra, min(f"file {s.file}" for s in spectra if s.ra == item.ra))
    order = rng.permutation(n_spectra)
    again = pair(curves, [spectra[i] for i in order], table, 3.0)
    assert again.spectra == [result.spectra[i] for i in order] and again.stars == result.stars
    assert set(result.stars.column("star_id").to_pylist()) == {*result.lightcurves, *result.spectra}


def test_ten_thousand_are_quick_enough_to_not_be_quadratic():
    rng = np.random.default_rng(0)
    ra, dec = rng.uniform(280, 300, 10_000), rng.uniform(38, 52, 10_000)
    curves = [Named(f"KIC {n}", f"c{n}", ra=ra[n], dec=dec[n]) for n in range(10_000)]
    spectra = [Named("", f"s{n}", str(n), ra[n] + ARCSEC / 4, dec[n]) for n in range(0, 10_000, 2)]
    result = pair(curves, spectra, None, 3.0)
    right = np.mean([result.spectra[n] == f"KIC {2 * n}" for n in range(5000)])
    assert right > 0.999 and result.by_position == pytest.approx(5000, abs=5)
