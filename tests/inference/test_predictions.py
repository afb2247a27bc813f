"""Predictions for files, surveys and objects; the tables they go to; the command."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from astropy.table import Table
from rich.console import Console
from typer.testing import CliRunner

from desa.cli import app
from desa.cli.screen import predictions_table, print_table
from desa.config import settings
from desa.conformal import calibrate
from desa.errors import DesaError, ModelError, OutputError, SettingsError
from desa.inference.model import Desa
from desa.inference.predict import predict_files, predict_survey, predict_table
from desa.inference.quality import Flag, Limits
from desa.inference.table_files import FORMATS, write_table
from desa.models.reference import fit_reference
from desa.simulate.survey import simulate_survey
from desa.survey.store import Survey

SMALL = {
    "preprocess_lightcurve": {"length": 1024},
    "lightcurve": {"cnn_widths": [4, 4], "log_axis": 32, "stem": 16, "width": 8, "heads": 2, "features": 24},
    "spectrum": {"cnn_widths": [4, 4, 4, 4, 4, 8], "blocks": 1, "heads": 2},
    "dualformer": {"width": 8, "heads": 2, "blocks": 1, "feed_forward": 8, "groups": 2},
    "objective_lightcurve": {"labels": ["log_prot"], "scales": [0.5]},
}
STARS = 12
runner = CliRunner()


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("files")
    simulate_survey(STARS, 5, out, format="fits", quarters=range(4, 6))
    return out


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Survey:
    out = tmp_path_factory.mktemp("store")
    simulate_survey(STARS, 5, out, quarters=range(4, 6))
    return Survey.open(out)


@pytest.fixture(scope="module")
def model() -> Desa:
    torch.manual_seed(0)
    model = Desa(settings("mini", **SMALL)).eval()
    rng = np.random.default_rng(0)
    for part in ("spectrum", "lightcurve"):
        objective = getattr(model.settings, f"objective_{part}")
        shape = (60, len(objective.labels))
        quantiles = np.sort(rng.normal(0, 0.1, (*shape, len(objective.quantiles))), -1)
        model.calibration[part] = calibrate(quantiles, rng.normal(0, 0.3, shape), objective.quantiles)
        model.calibration[part]["stars"] = "60 made-up stars"
    model.metadata = {"data": "mock survey"}
    return model


@pytest.fixture(scope="module")
def table(model: Desa, archive: Path) -> Table:
    found, left_out = predict_files(model, [archive / "lightcurves", archive / "spectra"])
    assert left_out == []
    return found


def test_every_star_has_a_row_with_intervals(table: Table) -> None:
    assert len({name for name in table["star_id"] if name.startswith("KIC")}) == STARS
    assert {"joint"} <= set(table["modality"]) <= {"joint", "lightcurve"}
    for label in ("teff", "log_g", "fe_h", "prot"):
        told = np.isfinite(table[label])
        rows = [
            np.asarray(table[f"{label}{end}"])[told] for end in ("_low90", "_low68", "", "_high68", "_high90")
        ]
        assert told.any() and np.all(np.diff(rows, axis=0) >= 0), label
    assert np.isfinite(table["prot"]).all() and np.all(table["prot"] > 0)
    assert table["teff"].unit == "K" and table["teff_flag"].unit is None is table["prot_flag"].unit
    assert np.all(table["good_days"] > 10) and np.all(np.isfinite(table["ra"]))


def test_a_label_without_its_data_says_what_it_needs(model: Desa, archive: Path) -> None:
    found, _ = predict_files(model, [archive / "lightcurves"])
    assert np.isnan(found["teff"]).all() and np.isfinite(found["prot"]).all()
    assert set(found["teff_flag"]) == {int(Flag.WRONG_MODALITY)} and set(found["teff_why"]) == {
        "needs a spectrum"
    }
    assert not np.any(found["prot_flag"] & Flag.WRONG_MODALITY)


def test_columns_have_units_and_say_what_they_are(table: Table) -> None:
    assert [str(table[name].unit) for name in ("teff", "log_g", "prot_low68")] == ["K", "dex", "d"]
    assert table["teff_high90"].description == "effective temperature: upper end of the 90 % interval"
    assert all(table[name].description for name in table.colnames)
    assert "calibrated on 60 made-up stars" in table.meta["calib"]


def test_files_and_survey_of_the_same_stars_agree(model: Desa, table: Table, store: Survey) -> None:
    found = predict_survey(model, store)
    assert len(found) == store.n_stars and found.meta["data"] == f"mock survey {store.identity}"
    by_obsid = {row["obsid"]: row for row in table if row["obsid"]}
    both = [(row, by_obsid[row["obsid"]]) for row in found if row["obsid"] in by_obsid]
    assert len(both) > 5
    for ours, theirs in both:
        for label in ("teff", "prot_high68"):
            assert ours[label] == pytest.approx(theirs[label], rel=2e-2), "float32 files, other order"


def test_objects_and_lists_make_tables(model: Desa, store: Survey) -> None:
    one = predict_table(model, spectrum=store.spectrum(0))
    assert len(one) == 1 and one["modality"][0] == "spectrum"
    assert one["teff"][0] == pytest.approx(model.predict(spectrum=store.spectrum(0))["teff"].median, rel=1e-4)
    frame = model.predict_table([store.lightcurve(0), None], [None, store.spectrum(1)]).to_pandas()
    assert frame.modality.tolist() == ["lightcurve", "spectrum"] and frame.prot.notna().tolist() == [
        True,
        False,
    ]
    alone = Desa(model.settings, ["lightcurve"]).eval()
    with pytest.raises(ModelError, match="no spectrum encoder"):
        alone.predict_table(spectrum=store.spectrum(0))


def test_flags_come_from_the_data_and_the_reference(model: Desa, store: Survey) -> None:
    rows = model.embed([store.lightcurve(n) for n in range(STARS)])
    features = np.stack([row.features_lightcurve for row in rows])
    rng = np.random.default_rng(1)
    near = features.mean(0) + rng.normal(size=(200, features.shape[1])) * (features.std(0) + 1e-3)
    other = Desa(model.settings, ["lightcurve", "spectrum"]).eval()
    other.load_state_dict(model.state_dict(), strict=False)
    other.references["lightcurve"] = fit_reference(near[:100], near[100:])  # type: ignore[assignment]
    found = predict_survey(other, store, limits=Limits(snr_g=1e6))
    spectra = np.isfinite(found["teff"])
    assert np.all(found["teff_flag"][spectra] & Flag.LOW_SNR) and np.all(
        found["teff_flag"][spectra] & Flag.NO_CALIBRATION
    )
    assert np.isfinite(found["p_lightcurve"]).all() and np.isnan(found["p_spectrum"]).all()
    far = fit_reference(near[:100] + 1e3, near[100:] + 1e3)
    other.references["lightcurve"] = far  # type: ignore[assignment]
    found = predict_survey(other, store)
    assert np.all(found["prot_flag"] & Flag.UNLIKE_TRAINING) and "unlike" in found["prot_why"][0]


@pytest.mark.parametrize("ending", sorted(FORMATS))
def test_tables_there_and_back(table: Table, tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"stars{ending}"
    write_table(table, path)
    again = Table.read(path, format=FORMATS[ending])
    assert again.colnames == table.colnames
    np.testing.assert_allclose(again["teff"], table["teff"], rtol=1e-6)
    assert list(again["star_id"]) == list(table["star_id"])
    if ending != ".csv":
        assert str(again["teff"].unit) == "K" and again["fe_h"].description.startswith("[Fe/H]")
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_fits_tables_hold_names_in_any_script(table: Table, tmp_path: Path) -> None:
    changed = table.copy()
    changed["star_id"] = ["Étoile"] * len(table)
    write_table(changed, tmp_path / "stars.fits")
    assert Table.read(tmp_path / "stars.fits")["star_id"][0] == "\\xc9toile"


def test_a_spreadsheet_runs_nothing_of_a_csv(table: Table, tmp_path: Path) -> None:
    changed = table.copy()
    changed["star_id"] = ["=1+1"] * len(table)
    changed["-cmd"] = ["a\r@b"] * len(table)
    write_table(changed, tmp_path / "stars.csv")
    content = (tmp_path / "stars.csv").read_text()
    assert content.count("'=1+1") == content.count("a @b") == len(table)
    assert "'-cmd" in content
    write_table(changed, tmp_path / "stars.ecsv")
    assert Table.read(tmp_path / "stars.ecsv")["star_id"][0] == "=1+1"


def test_another_ending_or_no_place_is_said(table: Table, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"stars.txt: the ending of a table is .ecsv.*not '.txt'"):
        write_table(table, tmp_path / "stars.txt")
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="can't be written"):
        write_table(table, tmp_path / "file" / "stars.fits")


def test_nothing_usable_is_an_error(model: Desa, tmp_path: Path) -> None:
    with pytest.raises(DesaError, match="none of 1 files"):
        predict_files(model, [tmp_path / "none.fits"])


def test_screen_shows_numbers_whole_and_doubts_in_words(table: Table, tmp_path: Path) -> None:
    changed = table.copy()
    changed["teff_flag"][0], changed["teff_why"] = 2, ["S/N in g is 3.0, below 10"] + [""] * (len(table) - 1)
    with (tmp_path / "screen").open("w") as stream:
        print_table(predictions_table(changed, most=3), Console(file=stream, width=60))
    text = (tmp_path / "screen").read_text()
    assert "the first 3 of" in text and "…" not in text
    assert "teff: S/N in g is 3.0, below 10" in " ".join(text.replace("│", " ").split())
    assert f"{table['teff'][0]:.0f}" in text and "prot [d]" in text


def test_the_command_writes_a_table_and_lists_bad_files(model: Desa, archive: Path, tmp_path: Path) -> None:
    model.save(tmp_path / "model")
    bad = tmp_path / "page.fits"
    bad.write_text("<html>")
    arguments = ["predict", str(archive / "spectra"), str(bad), "--model", str(tmp_path / "model")]
    result = runner.invoke(app, [*arguments, "-o", str(tmp_path / "stars.ecsv")], env={"COLUMNS": "200"})
    assert result.exit_code == 1, result.output
    assert "page.fits: a web page" in result.output and "teff:" in result.output
    assert len(Table.read(tmp_path / "stars.ecsv")) >= STARS - 4
    onto_screen = runner.invoke(app, [*arguments[:2], *arguments[3:]], env={"COLUMNS": "200"})
    assert onto_screen.exit_code == 0 and "Medians with 68 % intervals" in onto_screen.output


def test_the_command_takes_a_survey(model: Desa, store: Survey, tmp_path: Path) -> None:
    model.save(tmp_path / "model")
    out = tmp_path / "stars.parquet"
    result = runner.invoke(
        app, ["predict", str(store.path), "--model", str(tmp_path / "model"), "-o", str(out)]
    )
    assert result.exit_code == 0, result.output
    assert len(Table.read(out)) == store.n_stars
