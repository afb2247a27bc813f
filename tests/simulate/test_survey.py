"""The mock survey as a store and as files."""

from __future__ import annotations

import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from desa.catalogs.labels import read_labels
from desa.errors import SettingsError
from desa.io.registry import read_lightcurve_file, read_spectrum
from desa.io.stitching import read_lightcurve
from desa.simulate import survey as module
from desa.simulate.calendar import load_calendar
from desa.simulate.fits_kepler import file_name, write_kepler_quarter
from desa.simulate.labels import measured_sph
from desa.simulate.lightcurves import lightcurve_of, observe
from desa.simulate.population import draw_star, stream
from desa.simulate.survey import simulate_survey
from desa.survey.store import Survey
from desa.types import LightCurve

QUARTERS = (4, 5)


@pytest.fixture(scope="module")
def ten(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return simulate_survey(10, 0, tmp_path_factory.mktemp("ten"), quarters=QUARTERS, shard_stars=4)


def contents(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def test_a_small_survey_starts_a_large_one(ten: Path, tmp_path: Path) -> None:
    small, large = Survey.open(ten), Survey.open(simulate_survey(13, 0, tmp_path, quarters=QUARTERS))
    assert small.kind == large.kind == "mock"
    assert small.n_lightcurves == 10
    assert large.stars.slice(0, 10).equals(small.stars)
    for row in range(10):
        one, other = small.lightcurve(row), large.lightcurve(row)
        assert one.star_id == other.star_id
        np.testing.assert_array_equal(one.flux, other.flux)
    for row in range(small.n_spectra):
        np.testing.assert_array_equal(small.spectrum(row).flux, large.spectrum(row).flux)


def test_the_same_bytes_from_two_processes(ten: Path, tmp_path: Path) -> None:
    simulate_survey(10, 0, tmp_path, quarters=QUARTERS, shard_stars=4, processes=2)
    assert contents(tmp_path) == contents(ten)


def test_the_same_bytes_from_an_executor(ten: Path, tmp_path: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        simulate_survey(10, 0, tmp_path, quarters=QUARTERS, shard_stars=4, executor=pool)
    assert contents(tmp_path) == contents(ten)


def test_finished_shards_are_kept(ten: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    make = module.make_shard

    def stops_at_the_last(plan: module.Plan, path: Path, shard: int) -> int:
        if shard == 2 and not made.count(2):
            made.append(shard)
            raise KeyboardInterrupt
        made.append(shard)
        return make(plan, path, shard)

    monkeypatch.setattr(module, "make_shard", stops_at_the_last)
    with pytest.raises(KeyboardInterrupt):
        simulate_survey(10, 0, tmp_path, quarters=QUARTERS, shard_stars=4)
    assert not (tmp_path / "survey.json").exists()
    reported: list[tuple[int, int]] = []
    simulate_survey(
        10, 0, tmp_path, quarters=QUARTERS, shard_stars=4, progress=lambda *done: reported.append(done)
    )
    assert made == [0, 1, 2, 2]
    assert reported == [(8, 10), (10, 10)]
    assert contents(tmp_path) == contents(ten)


def test_another_seed_is_another_survey(ten: Path, tmp_path: Path) -> None:
    simulate_survey(4, 0, tmp_path, quarters=QUARTERS, shard_stars=4)
    first = Survey.open(tmp_path).identity
    simulate_survey(4, 1, tmp_path, quarters=QUARTERS, shard_stars=4)
    assert Survey.open(tmp_path).identity != first


@pytest.mark.parametrize("wrong", [{"n_stars": 0}, {"seed": -1}, {"quarters": [18]}, {"quarters": []}])
def test_impossible_surveys(wrong: dict[str, object], tmp_path: Path) -> None:
    with pytest.raises(SettingsError):
        simulate_survey(**({"n_stars": 1, "seed": 0, "out": tmp_path} | wrong))  # type: ignore[arg-type]


def test_labels_have_errors_and_gaps(ten: Path) -> None:
    survey = Survey.open(ten)
    for name in ("teff", "log_g", "mass"):
        observed, true = survey.labels(name), survey.labels(f"{name}_true")
        error = survey.labels(f"{name}_err")
        there = np.isfinite(observed)
        assert there.any()
        assert (observed[there] != true[there]).all()
        assert (np.abs(observed - true)[there] < 5 * error[there]).all()
    assert np.isfinite(survey.labels("age_true")).all()
    assert np.isnan(survey.labels("prot")).any()
    assert json.loads((ten / "report.json").read_text())["stars"] == 10


def test_sph_of_a_known_wave() -> None:
    rng = np.random.default_rng(0)
    time = np.arange(20_000) * 0.0204336
    flux = 1 + 1e-3 * np.sqrt(2) * np.sin(2 * np.pi * time / 3) + 2e-4 * rng.standard_normal(20_000)
    flux[5000:6000] = np.nan
    curve = LightCurve(flux.astype(np.float32), np.full(20_000, 2e-4, dtype=np.float32))
    assert measured_sph(curve, 3.0) == pytest.approx(1000, rel=0.05)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return simulate_survey(3, 0, tmp_path_factory.mktemp("files"), "fits", quarters=QUARTERS)


def test_files_hold_what_the_store_holds(ten: Path, files: Path) -> None:
    survey = Survey.open(ten)
    for row in range(3):
        stored = survey.lightcurve(row)
        kic = int(stored.star_id.removeprefix("KIC "))
        curve = read_lightcurve(sorted((files / "lightcurves" / f"{kic:09d}").iterdir()))
        np.testing.assert_allclose(curve.flux, stored.flux, rtol=3e-7)
        assert (curve.first_cadence, curve.quarters) == (stored.first_cadence, stored.quarters)
        assert curve.start_bkjd == pytest.approx(stored.start_bkjd, abs=1e-6)
        assert curve.magnitude == pytest.approx(stored.magnitude, abs=1e-3)
    stored_spectra = {s.obsid: s for s in map(survey.spectrum, range(survey.n_spectra))}
    for path in (files / "spectra").rglob("*.fits"):
        spectrum = read_spectrum(path)
        np.testing.assert_allclose(spectrum.flux, stored_spectra[spectrum.obsid].flux, rtol=1e-6)
    labels = read_labels(files / "labels.csv")
    assert labels.rows == 3
    assert not labels.ignored
    assert {"teff", "teff_err", "prot", "numax", "cmd_class", "binary"} <= set(labels.values)


def test_lightkurve_reads_the_files(files: Path) -> None:
    lightkurve = pytest.importorskip("lightkurve")
    path = next((files / "lightcurves").rglob("*.fits"))
    curve = lightkurve.read(path)
    ours = read_lightcurve_file(path)
    assert curve.meta["KEPLERID"] == int(ours.star_id.removeprefix("KIC "))
    assert curve.meta["QUARTER"] == ours.quarters[0]
    median = float(np.nanmedian(np.asarray(curve.flux.value, dtype=float)))
    assert median == pytest.approx(ours.meta["median_flux"], rel=1e-3)


def test_files_look_like_keplers(files: Path, shared: Path) -> None:
    real = shared / "data/kepler/multiquarter/005735762/kplr005735762-2010174085026_llc.fits.gz"
    mock = next(path for path in (files / "lightcurves").rglob("*2010174085026*"))
    with fits.open(real) as one, fits.open(mock) as other:
        assert [hdu.name for hdu in one] == [hdu.name for hdu in other]
        for attribute in ("names", "formats", "units"):
            assert getattr(one[1].columns, attribute) == getattr(other[1].columns, attribute)
        np.testing.assert_array_equal(one[1].data["CADENCENO"], other[1].data["CADENCENO"])
        times = [np.asarray(hdus[1].data["TIME"], dtype=float) for hdus in (one, other)]
        assert np.nanmax(np.abs(times[0] - times[1])) < 0.006
        np.testing.assert_array_equal(np.isnan(times[0]), np.isnan(times[1]))
        lost = [np.isnan(hdus[1].data["PDCSAP_FLUX"]).mean() for hdus in (one, other)]
        assert lost[0] == pytest.approx(lost[1], abs=0.003)


def test_a_quarter_that_was_not_observed(tmp_path: Path) -> None:
    star = draw_star(0, 0)
    observation = observe(star, stream(0, 0, 1), [5])
    with pytest.raises(ValueError, match="not observed"):
        write_kepler_quarter(star, observation, 6, tmp_path / file_name(star.kic, 6))
    curve = lightcurve_of(star, observation)
    assert curve.quarters == (5,)
    assert load_calendar().quarters[5][1] <= curve.first_cadence < load_calendar().quarters[5][1] + 5


def test_short_light_curves_are_pieces_of_the_whole(tmp_path: Path) -> None:
    whole, short, none = (
        Survey.open(simulate_survey(12, 3, tmp_path / str(share), quarters=range(1, 4), short=share))
        for share in (0.0, 1.0, 1e-9)
    )
    assert none.identity != short.identity
    shorter = 0
    for row in range(12):
        one, piece = whole.lightcurve(row), short.lightcurve(row)
        assert 0 < len(piece) <= len(one)
        shorter += len(piece) < len(one) and len(piece) <= 4500
        start = piece.first_cadence - one.first_cadence
        np.testing.assert_array_equal(piece.flux, one.flux[start : start + len(piece)])
        assert piece.start_bkjd == pytest.approx(one.start_bkjd + start * one.cadence_days)
    assert shorter > 8
    for name in ("teff", "prot"):
        np.testing.assert_array_equal(whole.labels(name), short.labels(name))
    with pytest.raises(SettingsError, match="whole quarters"):
        simulate_survey(2, 3, tmp_path / "fits", "fits", short=0.5)
    with pytest.raises(SettingsError, match="between 0 and 1"):
        simulate_survey(2, 3, tmp_path / "more", short=1.5)
