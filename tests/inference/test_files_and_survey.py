"""Files and the survey that is made of them give the same rows, star for star and bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from astropy.table import Table

import desa
from desa.inference.embed import embed_files, embed_survey
from desa.inference.model import Desa
from desa.inference.predict import predict_files, predict_survey
from desa.survey.ingest import ingest
from desa.survey.selection import best_pairs
from desa.survey.store import Survey
from desa.training.pairs import standardisation
from helpers.archive_files import pipeline_table, write_archive, write_table
from helpers.samples import write_quarter, write_spectrum
from helpers.tiny import tiny_settings

ARCSEC = 1 / 3600


def several_quarters(folder: Path) -> None:
    for quarter in (3, 1, 2):
        write_quarter(folder / f"kplr7-{quarter}.fits", 7, quarter)
    write_quarter(folder / "kplr8-1.fits", 8, 1, ra=100.0)


def a_repeated_quarter(folder: Path) -> None:
    for name in ("a", "b"):
        write_quarter(folder / f"kplr7-{name}.fits", 7, 3)
    write_quarter(folder / "kplr7-c.fits", 7, 1)


def two_missions(folder: Path) -> None:
    write_quarter(folder / "a-k2.fits", 7, 2, MISSION="K2", KEPLERID=-1)
    for quarter in (4, 5):
        write_quarter(folder / f"kepler-{quarter}.fits", 7, quarter)


def several_spectra(folder: Path) -> None:
    for obsid, snr in ((11, 20.0), (12, 80.0), (13, 40.0)):
        write_spectrum(folder / f"spec-{obsid}.fits", obsid, DESIG="LAMOST J1", SNRG=snr)
    write_quarter(folder / "kplr7-1.fits", 7, 1)


def repeated_spectra_alone(folder: Path) -> None:
    for obsid, shift in ((11, 0.0), (12, 0.5), (13, 100.0)):
        write_spectrum(folder / f"spec-{obsid}.fits", obsid, ra=50 + shift * ARCSEC)


def pairs_by_identifier(folder: Path) -> None:
    """Far from each other by position, one star by name."""
    write_quarter(folder / "kplr7-1.fits", 7, 1, ra=290.0)
    write_spectrum(folder / "spec-11.fits", 11, ra=10.0, TCOMMENT="KIC7", TSOURCE="KEPLER")


def pairs_by_position(folder: Path) -> None:
    write_quarter(folder / "kplr7-1.fits", 7, 1)
    write_quarter(folder / "kplr8-1.fits", 8, 1, ra=100.0)
    write_spectrum(folder / "spec-11.fits", 11, ra=290 + 0.5 * ARCSEC)
    write_spectrum(folder / "spec-12.fits", 12, ra=200.0)


def different_stars_close_together(folder: Path) -> None:
    """A spectrum of KIC 8 lies 0.3 arcsec from KIC 7's light curve: they are never one star."""
    write_quarter(folder / "kplr7-1.fits", 7, 1)
    write_spectrum(folder / "spec-11.fits", 11, ra=290 + 0.3 * ARCSEC, DESIG="KIC 8", **KIC_8)


KIC_8 = {"TCOMMENT": "KIC8", "TSOURCE": "KEPLER"}

LAYOUTS = [
    several_quarters,
    a_repeated_quarter,
    two_missions,
    several_spectra,
    repeated_spectra_alone,
    pairs_by_identifier,
    pairs_by_position,
    different_stars_close_together,
]


@pytest.fixture(scope="module")
def model() -> Desa:
    torch.manual_seed(0)
    return Desa(tiny_settings()).eval()


def survey_of(files: Path, out: Path, **options: object) -> Survey:
    ingest(files, files, None, out, processes=1, **options)  # type: ignore[arg-type]
    return Survey.open(out)


def same_tables(one: pa.Table, other: pa.Table) -> None:
    assert one.column_names == other.column_names and one.num_rows == other.num_rows > 0
    for name in one.column_names:
        assert one.column(name).to_pylist() == other.column(name).to_pylist(), name


def same_predictions(one: Table, other: Table) -> None:
    assert one.colnames == other.colnames and len(one) == len(other) > 0
    for name in one.colnames:
        np.testing.assert_array_equal(np.asarray(one[name]), np.asarray(other[name]), err_msg=name)


@pytest.mark.parametrize("every_spectrum", [False, True])
@pytest.mark.parametrize("write", LAYOUTS, ids=lambda write: write.__name__)
def test_same_rows(write: Callable[[Path], None], every_spectrum: bool, model: Desa, tmp_path: Path) -> None:
    files = tmp_path / "files"
    write(files)
    survey = survey_of(files, tmp_path / "survey")
    table, left_out = embed_files(model, [files], every_spectrum=every_spectrum)
    assert all("fits" in path for path, _ in left_out)
    same_tables(table, embed_survey(model, survey, every_spectrum=every_spectrum))
    predictions, _ = predict_files(model, [files], every_spectrum=every_spectrum)
    same_predictions(predictions, predict_survey(model, survey, every_spectrum=every_spectrum))


def test_a_star_is_one_row_with_its_best_data(model: Desa, tmp_path: Path) -> None:
    several_spectra(tmp_path)
    two_missions(tmp_path)
    table, left_out = embed_files(model, [tmp_path])
    assert table.column("star_id").to_pylist() == ["KIC 7"]
    assert table.column("obsid").to_pylist() == ["12"], "the spectrum of highest S/N"
    assert [Path(path).name for path, _ in left_out] == ["a-k2.fits"], "fewer samples than the quarters"
    every, _ = embed_files(model, [tmp_path], every_spectrum=True)
    assert every.column("obsid").to_pylist() == ["12", "13", "11"]


def test_identifiers_that_differ_are_never_one_star(model: Desa, tmp_path: Path) -> None:
    different_stars_close_together(tmp_path)
    table, _ = embed_files(model, [tmp_path])
    assert table.column("star_id").to_pylist() == ["KIC 7", "KIC 8"]
    assert table.column("modality").to_pylist() == ["lightcurve", "spectrum"]


def test_spectra_of_one_place_are_one_star(model: Desa, tmp_path: Path) -> None:
    repeated_spectra_alone(tmp_path)
    table, _ = embed_files(model, [tmp_path])
    assert table.column("obsid").to_pylist() == ["11", "13"]
    apart, _ = embed_files(model, [tmp_path], match_arcsec=0)
    assert apart.num_rows == 3


def test_alignment_takes_the_best_light_curve(tmp_path: Path) -> None:
    """Not the first: the K2 piece is stored before the two stitched Kepler quarters."""
    two_missions(tmp_path / "files")
    write_spectrum(tmp_path / "files" / "spec-11.fits", 11)
    survey = survey_of(tmp_path / "files", tmp_path / "survey")
    pairs = best_pairs(survey)
    good = survey.lightcurve_column("n_good")
    assert len(pairs) == 1 and survey.n_lightcurves == 2
    assert good[pairs.lightcurve[0]] == good.max() > good.min()
    assert standardisation(pairs, np.zeros((1, 2), np.float32), np.zeros((2, 2), np.float32))


@pytest.mark.real
@pytest.mark.parametrize(
    "names",
    [
        ("kepler/multiquarter/006462863", "kepler/formats"),
        ("lamost/dr8_fits", "lamost/dr1_fits", "lamost/dr5_fits"),
        ("kepler/kepseismic", "lamost/formats"),
    ],
    ids=["kepler", "lamost", "others"],
)
def test_real_files_give_the_same_rows(names: tuple[str, ...], shared: Path, tmp_path: Path) -> None:
    """The packaged model, every kind of file; links, so that one folder holds them all."""
    model = desa.load()
    files = tmp_path / "files"
    files.mkdir()
    for path in (path for name in names for path in sorted((shared / "data" / name).glob("*.fits*"))):
        (files / path.name).symlink_to(path)
    survey = survey_of(files, tmp_path / "survey", stars_only=False)
    table, left_out = embed_files(model, [files])
    same_tables(table, embed_survey(model, survey))
    predictions, again = predict_files(model, [files])
    same_predictions(predictions, predict_survey(model, survey))
    assert left_out == again


def test_a_file_of_many_stars_and_its_survey_agree(tmp_path: Path) -> None:
    """Each star of a table of light curves and of an archive of spectra, as if it had a file of its own."""
    write_table(tmp_path / "curves", pipeline_table(300, 20, n=600))
    write_archive(tmp_path / "x_compact.npz", 12, 5)
    inputs = (tmp_path / "curves", tmp_path / "x_compact.npz")
    ingest(*inputs, None, tmp_path / "survey", processes=1)
    model = Desa(tiny_settings()).eval()
    ours, left_out = embed_files(model, inputs)
    theirs = embed_survey(model, Survey.open(tmp_path / "survey"))
    assert left_out == []
    assert ours.column("star_id").to_pylist() == ["KIC 20", "KIC 300", "LAMOST 12", "LAMOST 5"]
    same_tables(ours, theirs)
