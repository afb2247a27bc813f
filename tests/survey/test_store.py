import json
import pickle
from dataclasses import replace
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import pytest

from desa.errors import OutputError, SurveyError
from desa.survey import schema
from desa.survey.store import Survey, SurveyWriter
from desa.types import SpectrumGrid
from helpers.stars import curve, small_survey, spectrum


@pytest.fixture(scope="module")
def survey(tmp_path_factory):
    return small_survey(tmp_path_factory.mktemp("store") / "survey")


def test_lightcurve_comes_back(survey):
    for row in (0, 6, 7, 39):
        before, after = (
            curve(f"KIC {1000 + row}", length=300 + 10 * row, gaps=0.1, seed=row, ra=290.0 + row / 100),
            survey.lightcurve(row),
        )
        np.testing.assert_array_equal(before.flux, after.flux)
        np.testing.assert_allclose(before.flux_err, after.flux_err, rtol=1e-3)
        for name in ("first_cadence", "start_bkjd", "cadence_days", "star_id", "mission", "quarters"):
            assert getattr(before, name) == getattr(after, name)
        assert (after.magnitude, after.ra, after.dec) == (12.5, before.ra, before.dec)


def test_spectrum_comes_back(survey):
    for row in range(survey.n_spectra):
        after = survey.spectrum(row)
        number = int(after.obsid)
        before = spectrum(
            f"KIC {1000 + number}",
            pixels=3909 - number % 5,
            bad=0.02,
            snr=20.0 + number,
            seed=number,
            ra=290.0 + number / 100,
        )
        np.testing.assert_array_equal(before.flux, after.flux)
        np.testing.assert_array_equal(before.ivar, after.ivar)
        for name in ("log_wavelength_start", "star_id", "release", "object_class", "object_subclass", "snr"):
            assert getattr(before, name) == getattr(after, name)
        assert after.z == 1e-4
        assert survey.stars.column("star_id")[int(survey.spectrum_star[row])].as_py() == after.star_id


def test_a_spectrum_keeps_its_own_grid(tmp_path):
    writer = SurveyWriter(tmp_path / "s", "mock")
    other = replace(spectrum("KIC 1", pixels=500), log_wavelength_start=3.8, log_wavelength_step=2e-4)
    writer.add_spectrum(other)
    survey = writer.finish()
    assert survey.spectrum_grid(0) == survey.spectrum(0).grid == other.grid == SpectrumGrid(3.8, 2e-4, 500)
    np.testing.assert_array_equal(survey.spectrum(0).wavelength, other.wavelength)
    assert other.wavelength[[0, -1]] == pytest.approx([10**3.8, 10 ** (3.8 + 499 * 2e-4)])


def test_a_survey_made_before_steps_were_kept(tmp_path, monkeypatch):
    fields = [field for field in schema.SPECTRA if field.name != "log_wavelength_step"]
    rows = schema.spectrum_rows([spectrum("KIC 1", pixels=500)]).drop_columns(["log_wavelength_step"])
    monkeypatch.setattr(schema, "SPECTRA", pa.schema(fields))
    monkeypatch.setattr(schema, "spectrum_rows", lambda spectra: rows)
    writer = SurveyWriter(tmp_path / "s", "mock")
    writer.add_spectrum(spectrum("KIC 1", pixels=500))
    survey = writer.finish()
    with pa.memory_map(str(next((survey.path / "spectra").glob("*.arrow")))) as source:
        assert pa.ipc.open_stream(source).schema.names == [field.name for field in fields]
    assert survey.spectrum(0).grid == SpectrumGrid(3.5682, 1e-4, 500)


def test_arrays_are_views_of_the_file(survey):
    flux = survey.lightcurve_flux(3)
    assert not flux.flags.owndata and not flux.flags.writeable
    assert np.shares_memory(flux, survey.lightcurve_flux(3))


def test_views_keep_no_files_open(tmp_path):
    """A survey of thousands of shards would run out of file descriptors."""
    survey = small_survey(tmp_path / "s", shard_size=1)
    before = len(list(Path("/proc/self/fd").iterdir()))
    views = [survey.lightcurve_flux(row) for row in range(survey.n_lightcurves)]
    assert len(list(Path("/proc/self/fd").iterdir())) < before + 5
    assert all(np.isfinite(view[0]) for view in views)


def test_hugging_face_opens_both(survey):
    curves = datasets.load_from_disk(str(survey.path / "lightcurves"))
    spectra = datasets.load_from_disk(str(survey.path / "spectra"))
    assert (len(curves), len(spectra)) == (survey.n_lightcurves, survey.n_spectra)
    row = curves.with_format("numpy")[23]
    np.testing.assert_array_equal(row["flux"], survey.lightcurve_flux(23))
    assert curves.features["flux_err_ppt"].feature.dtype == "float16"
    np.testing.assert_array_equal(spectra.with_format("numpy")[9]["ivar"], survey.spectrum_arrays(9)[1])
    assert datasets.load_from_disk(str(survey.path / "spectra")).filter(lambda r: r["snr_g"] > 40)


def test_star_table(survey):
    stars = survey.stars.to_pylist()
    assert stars[5]["kic"] == 1005 and stars[5]["gaia"] is None
    assert [star["n_spectra"] for star in stars[:7]] == [0, 1, 1, 2, 0, 1, 2]
    assert stars[0]["prot"] is None and stars[1]["prot"] == 1.0
    assert survey.labels("teff")[3] == 5030
    assert np.isnan(survey.labels("age")).all() and np.isnan(survey.labels("prot")[0])
    assert set(survey.split) <= {"train", "valid", "calibration", "test"}
    with pytest.raises(SurveyError, match="no label 'tef'"):
        survey.labels("tef")


def test_one_modality_alone_and_none(tmp_path):
    writer = SurveyWriter(tmp_path / "a", "mock")
    writer.add_spectrum(spectrum("Gaia DR3 123456"))
    survey = writer.finish()
    assert (survey.n_lightcurves, survey.n_spectra, survey.stars.num_rows) == (0, 1, 1)
    assert survey.stars.column("gaia").to_pylist() == [123456]
    assert len(datasets.load_from_disk(str(survey.path / "lightcurves"))) == 0
    empty = SurveyWriter(tmp_path / "b", "mock").finish()
    assert empty.lightcurve_star.shape == (0,) and empty.labels("teff").shape == (0,)


def test_identity_is_of_the_contents(tmp_path):
    one, two = small_survey(tmp_path / "one"), small_survey(tmp_path / "two")
    assert one.identity == two.identity
    assert small_survey(tmp_path / "three", stars=39).identity != one.identity
    for path in sorted(p for p in one.path.rglob("*") if p.is_file()):
        assert path.read_bytes() == (two.path / path.relative_to(one.path)).read_bytes(), path.name


def test_writer_goes_on_where_it_was(tmp_path):
    def objects():
        return [curve(f"KIC {n}", length=50, seed=n) for n in range(20)]

    first = SurveyWriter(tmp_path / "s", "mock", shard_size=6, fingerprint="a")
    for item in objects()[:15]:
        first.add_lightcurve(item)
    with pytest.raises(SurveyError, match="unfinished"):
        Survey.open(tmp_path / "s")
    with pytest.raises(OutputError, match="another run"):
        SurveyWriter(tmp_path / "s", "mock")
    first.close()
    second = SurveyWriter(tmp_path / "s", "mock", shard_size=6, fingerprint="a")
    assert second.lightcurves_done == 12
    for item in objects()[12:]:
        second.add_lightcurve(item)
    survey = second.finish()
    assert [survey.lightcurve(n).star_id for n in range(20)] == [f"KIC {n}" for n in range(20)]
    assert SurveyWriter(tmp_path / "s", "mock", shard_size=6, fingerprint="b").lightcurves_done == 0


def test_travels_to_other_processes(survey):
    copy = pickle.loads(pickle.dumps(survey))
    assert copy.identity == survey.identity and copy.n_spectra == survey.n_spectra


def test_another_split_is_another_survey_of_the_same_stars(survey):
    before, split = survey.split.copy(), np.full(survey.n_stars, "train", dtype="<U5")
    split[:5] = "test"
    other = survey.with_split(split)
    assert other.split.tolist() == split.tolist() and survey.split.tolist() == before.tolist()
    assert other.identity != survey.identity and len(other.identity) == len(survey.identity)
    assert survey.with_split(split).identity == other.identity
    away = pickle.loads(pickle.dumps(other))
    assert away.split.tolist() == split.tolist() and away.identity == other.identity


def test_what_is_no_survey(tmp_path, survey):
    with pytest.raises(SurveyError, match="no survey"):
        Survey.open(tmp_path)
    (tmp_path / "survey.json").write_text(json.dumps({"format": 99}))
    with pytest.raises(SurveyError, match="another format"):
        Survey.open(tmp_path)
    (tmp_path / "survey.json").write_text("{")
    with pytest.raises(SurveyError, match="can't be read"):
        Survey.open(tmp_path)
    with pytest.raises(IndexError):
        survey.lightcurve_flux(survey.n_lightcurves)


def test_damaged_shard_is_said(tmp_path):
    survey = small_survey(tmp_path / "s")
    shard = next((survey.path / "spectra").glob("*.arrow"))
    shard.write_bytes(shard.read_bytes()[: shard.stat().st_size // 2])
    with pytest.raises(SurveyError, match="make"):
        [survey.spectrum(row) for row in range(survey.n_spectra)]


def test_star_named_twice_is_refused(tmp_path):
    writer = SurveyWriter(tmp_path / "s", "mock")
    with pytest.raises(SurveyError, match="twice"):
        writer.finish(pa.table({"star_id": ["KIC 1", "KIC 1"]}))
    with pytest.raises(SurveyError, match="mock"):
        SurveyWriter(tmp_path / "t", "fake")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"kind": "invented"}, "kind"),
        ({"stars": -1}, "stars"),
        ({"spectra": [{"file": "../../elsewhere.arrow", "rows": 1}]}, "spectra"),
        ({"lightcurves": [{"file": "data-00000-of-00001.arrow", "rows": "many"}]}, "lightcurves"),
    ],
)
def test_what_a_survey_says_of_itself_is_checked(tmp_path, change, said):
    """A survey from a stranger: nothing outside its folder is opened, and no traceback comes of nonsense."""
    path = small_survey(tmp_path, stars=3).path / "survey.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(SurveyError, match=f"survey.json: damaged .*{said}"):
        Survey.open(tmp_path)


def test_a_shard_with_zeroed_blocks_is_told_when_it_is_first_read(tmp_path: Path) -> None:
    """Before, its zeros were read as flux."""
    survey = small_survey(tmp_path / "survey")
    shard = min((tmp_path / "survey" / "spectra").glob("data-*.arrow"))
    content = bytearray(shard.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 4096] = bytes(4096)
    shard.write_bytes(content)
    survey.lightcurve(0)
    with pytest.raises(SurveyError, match=rf"{shard.name}: damaged"):
        survey.spectrum(0)
