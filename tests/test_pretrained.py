"""The model that comes with desa: whole, small, said what it is; right on stars that it has not seen."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import desa
from desa.anomalies.ordinary import ordinary_for
from desa.inference.embed import embed_survey
from desa.inference.model import Desa
from desa.inference.predict import predict_files, predict_survey
from desa.inference.quality import Flag
from desa.simulate.survey import simulate_survey
from desa.survey.store import Survey

FOLDER = Path(desa.__file__).parent / "pretrained"


@pytest.fixture(scope="module")
def model() -> Desa:
    return desa.load()


@pytest.fixture(scope="module")
def mock(tmp_path_factory: pytest.TempPathFactory) -> Survey:
    """Stars of another seed than the model's own."""
    out = tmp_path_factory.mktemp("mock")
    simulate_survey(60, 77, out, quarters=range(6, 8))
    return Survey.open(out)


def test_it_says_what_it_is(model: Desa) -> None:
    facts = model.metadata
    assert "mock" in facts["trained_on"] and "real LAMOST" in facts["trained_on"]
    assert set(facts["measured"]) == {"real", "real_coverage", "mock", "match_mock"}, "periods: docs/results"
    for part, words in (("spectrum", "real LAMOST"), ("lightcurve", "real Kepler")):
        assert words in model.calibration[part]["stars"]
    assert set(model.references) == {"spectrum", "lightcurve"}
    assert "BSD" in facts["licence"] and "8000 K" in facts["not_for"]
    assert all((FOLDER / name).is_file() for name in facts["parts_made_by"])
    assert model.spectrum_check is not None and model.spectrum_check.hottest == 8000
    assert max(facts["half_precision_changes_at_most"].values()) < 1.0


def test_it_is_small() -> None:
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 5e6
    assert {path.suffix for path in FOLDER.iterdir()} == {".json", ".safetensors", ".parquet"}, "nothing runs"


def test_mock_stars_that_it_has_not_seen(model: Desa, mock: Survey) -> None:
    table = predict_survey(model, mock)
    place = {name: row for row, name in enumerate(mock.stars.column("star_id").to_pylist())}
    rows = [place[name] for name in table["star_id"]]
    for label in ("teff", "log_g", "fe_h"):
        good = (table[f"{label}_flag"] == 0) & np.isfinite(mock.labels(label)[rows])
        truth, predicted = mock.labels(label)[rows][good], np.asarray(table[label])[good]
        assert good.sum() > 20
        guess = np.abs(truth - np.median(truth)).mean()
        assert np.abs(predicted - truth).mean() < 0.6 * guess, label
    known = np.isfinite(mock.labels("prot")[rows]) & (table["prot_flag"] == 0)
    error = np.abs(np.log10(np.asarray(table["prot"])[known] / mock.labels("prot")[rows][known]))
    assert np.median(error) < 0.15
    flagged = np.mean((np.asarray(table["prot_flag"]) & Flag.UNLIKE_TRAINING) > 0)
    assert flagged < 0.15, "one in a hundred by chance"


def test_a_handful_of_stars_is_compared_with_ordinary_ones(model: Desa, mock: Survey) -> None:
    """Too few to say themselves what is ordinary; the ordinary stars are the loaded model's own."""
    table = embed_survey(model, mock)
    assert ordinary_for(table) is not None, "made by another model: embed ordinary stars anew with this one"
    found = desa.find_anomalies(table.slice(0, 20))
    assert len(found) == 20 and "mock stars that come with the model" in found.meta["compared_with"]
    assert np.mean(np.asarray(found["p_value"]) < 0.05) < 0.3, "mock stars of another seed are ordinary"
    odd = table.slice(0, 20)
    row = np.array(odd["features_spectrum"].to_pylist(), np.float32)
    row[7] *= -3
    place = odd.schema.get_field_index("features_spectrum")
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(row.ravel()), row.shape[1])
    odd = odd.set_column(place, "features_spectrum", vectors)
    assert desa.find_anomalies(odd)["star_id"][0] == table["star_id"][7].as_py()
    assert (FOLDER / "ordinary.parquet").stat().st_size < 2e6


@pytest.mark.real
def test_real_spectra_of_another_release(model: Desa, shared: Path) -> None:
    """DR1's own labels, of spectra that nothing was trained on."""
    folder = shared / "data" / "lamost"
    with (folder / "dr1_fits_index.csv").open(newline="") as stream:
        labels = {Path(row["file"]).name: row for row in csv.DictReader(stream) if row["teff"]}
    table, left_out = predict_files(model, [folder / "dr1_fits"])
    assert not left_out and len(labels) > 20
    known = [row for row in table if row["source"] in labels and row["teff_flag"] == 0]
    error = np.array([row["teff"] - float(labels[row["source"]]["teff"]) for row in known])
    assert len(known) > 20 and np.mean(np.abs(error)) < 250, "DR1's scale is some 150 K cooler"
    dwarfs = [row["log_g"] - float(labels[row["source"]]["logg"]) for row in known]
    assert np.median(np.abs(dwarfs)) < 0.25


@pytest.mark.real
def test_what_is_no_star_is_flagged(model: Desa, shared: Path) -> None:
    table, _ = predict_files(model, [shared / "data" / "lamost" / "dr7_fits"])
    galaxies = ["GALAXY" in why for why in table["teff_why"]]
    assert any(galaxies) and np.all(np.asarray(table["teff_flag"])[galaxies] & Flag.NOT_A_STAR)
    assert np.mean(np.asarray(table["teff_flag"]) == 0) > 0.5


@pytest.mark.real
def test_real_light_curves(model: Desa, shared: Path) -> None:
    files = sorted((shared / "data" / "kepler" / "singlequarter").glob("*.fits.gz"))[:10]
    table, left_out = predict_files(model, files)
    assert not left_out and np.all(table["prot"] > 0)
    assert np.all(table["prot_low90"] <= table["prot_low68"]) and np.isnan(table["teff"]).all()


@pytest.mark.real
def test_real_stars_hotter_than_its_own_are_flagged_and_get_no_interval(model: Desa, shared: Path) -> None:
    """Stars of 9000 to 12 000 K by the survey, to which the heads give some 6500 K."""
    folder = shared / "data" / "lamost"
    with (folder / "dr10_labels.csv").open(newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["has_fits"] == "True"]
    hot = {row["file"].removesuffix(".gz") for row in rows if float(row["teff"]) > 9000}
    cool = {row["file"].removesuffix(".gz") for row in rows if float(row["teff"]) < 7000}
    files = [
        path for path in sorted((folder / "dr10_fits").iterdir()) if path.name.removesuffix(".gz") in hot
    ]
    files += [
        path for path in sorted((folder / "dr10_fits").iterdir()) if path.name.removesuffix(".gz") in cool
    ][:40]
    table, left_out = predict_files(model, files, every_spectrum=True)
    assert not left_out and len(hot) == 8
    is_hot = np.array([name.removesuffix(".gz") in hot for name in table["source"]])
    flagged = (np.asarray(table["teff_flag"]) & Flag.HOTTER) > 0
    assert is_hot.sum() == 8 and flagged[is_hot].all() and flagged[~is_hot].mean() < 0.06
    for label in ("teff", "log_g", "fe_h"):
        assert (
            np.isnan(table[f"{label}_low68"][is_hot]).all()
            and np.isnan(table[f"{label}_high90"][is_hot]).all()
        )
        assert np.isfinite(table[f"{label}_low68"][~is_hot]).mean() > 0.9
