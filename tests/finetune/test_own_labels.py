from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.table import Table

from desa.errors import DamagedFile, SettingsError, UnsupportedFile
from desa.finetune.labels import classes_of, label_values, numbers_of
from desa.survey.ingest import ingest
from desa.survey.store import Survey, SurveyWriter
from desa.types import Spectrum
from helpers.samples import write_quarter, write_spectrum


@pytest.fixture(scope="module")
def survey(tmp_path_factory: pytest.TempPathFactory) -> Survey:
    writer = SurveyWriter(tmp_path_factory.mktemp("survey"), "mock")
    for n in range(4):
        writer.add_spectrum(
            Spectrum(
                np.ones(100, np.float32),
                np.ones(100, np.float32),
                3.5682,
                star_id=f"KIC {n + 1}",
                obsid=f"{n}0",
                ra=10.0 + n,
                dec=45.0,
            )
        )
    stars = pa.table({"star_id": [f"KIC {n + 1}" for n in range(4)], "teff": [5000.0, None, 6000.0, 7000.0]})
    return writer.finish(stars, {})


def test_a_column_of_the_survey(survey: Survey) -> None:
    assert label_values(survey, "teff") == [5000.0, None, 6000.0, 7000.0]
    with pytest.raises(SettingsError, match=r"no column 'mine' \(it has star_id.*give --labels"):
        label_values(survey, "mine")
    with pytest.raises(SettingsError, match="no star of the survey has a value of 'gaia'"):
        label_values(survey, "gaia")


def test_tables_by_any_identifier(survey: Survey, tmp_path: Path) -> None:
    (tmp_path / "kic.csv").write_text("KEPID,mine\n3,1.5\n1,2.5\n99,7\n")
    Table({"obsid": ["30", "00"], "mine": ["b", "a"]}).write(tmp_path / "obsid.ecsv")
    pq.write_table(pa.table({"star_id": ["KIC 2"], "mine": [True]}), tmp_path / "star.parquet")
    Table({"ra": [12.0001, 50.0], "dec": [45.0, 45.0], "mine": [1.0, 2.0]}).write(tmp_path / "place.fits")
    found = {
        name: label_values(survey, "mine", tmp_path / name)
        for name in ("kic.csv", "obsid.ecsv", "star.parquet", "place.fits")
    }
    assert found["kic.csv"] == [2.5, None, 1.5, None]
    assert found["obsid.ecsv"] == ["a", None, None, "b"]
    assert found["star.parquet"] == [None, True, None, None]
    assert found["place.fits"] == [None, None, 1.0, None]


def test_bad_tables_are_said(survey: Survey, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("kic,x\n1,2\n")
    with pytest.raises(SettingsError, match=r"a.csv: no column 'mine' \(it has kic, x\)"):
        label_values(survey, "mine", tmp_path / "a.csv")
    (tmp_path / "b.csv").write_text("name,mine\n1,2\n")
    with pytest.raises(UnsupportedFile, match="no column identifies stars"):
        label_values(survey, "mine", tmp_path / "b.csv")
    with pytest.raises(DamagedFile, match=r"none\.csv"):
        label_values(survey, "mine", tmp_path / "none.csv")
    (tmp_path / "c.csv").write_text("kic,mine\n77,2\n")
    with pytest.raises(SettingsError, match="no star of the survey has a value of 'mine'"):
        label_values(survey, "mine", tmp_path / "c.csv")


def test_numbers() -> None:
    np.testing.assert_array_equal(
        numbers_of([1, "2.5", None, -999.0, ""], "x"), [1, 2.5, np.nan, np.nan, np.nan]
    )
    np.testing.assert_allclose(numbers_of([100.0, -1.0, 0.0], "x", logarithm=True), [2, np.nan, np.nan])
    with pytest.raises(SettingsError, match=r"holds no numbers .*'RGB'.*--task classification"):
        numbers_of(["RGB", "dwarf", None], "kind")


def test_classes() -> None:
    index, names = classes_of(["dwarf", None, "RGB", "dwarf", "nan"], "kind")
    assert names == ("RGB", "dwarf")
    np.testing.assert_array_equal(index, [1, np.nan, 0, 1, np.nan])
    assert classes_of([True, False, None], "flag")[1] == ("no", "yes")
    assert classes_of([1.0, 0.0, np.nan], "flag")[1] == ("0", "1")
    with pytest.raises(SettingsError, match="one class only"):
        classes_of(["a", "a"], "kind")
    with pytest.raises(SettingsError, match="60 different values: for numbers use --task regression"):
        classes_of([n + 0.5 for n in range(60)], "kind")


def test_tables_by_file_name(tmp_path: Path) -> None:
    for n in (1, 2):
        write_quarter(tmp_path / f"lc/{n}/kplr{n}-q1_llc.fits", n, 1, ra=290.0 + n)
        write_quarter(tmp_path / f"lc/{n}/same.fits", n, 2, ra=290.0 + n)
    write_spectrum(tmp_path / "sp/spec-9.fits", 9, ra=10.0)
    ingest(tmp_path / "lc", tmp_path / "sp", None, tmp_path / "survey", processes=1)
    (tmp_path / "mine.csv").write_text("file,mine\nx/kplr2-q1_llc.fits,4\nspec-9.fits.gz,5\nsame.fits,6\n")
    survey = Survey.open(tmp_path / "survey")
    found = dict(
        zip(
            survey.stars.column("star_id").to_pylist(),
            label_values(survey, "mine", tmp_path / "mine.csv"),
            strict=True,
        )
    )
    assert found.pop("KIC 1") is None and found.pop("KIC 2") == 4 and list(found.values()) == [5]
