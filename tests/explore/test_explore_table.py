from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.coordinates import SkyCoord
from astropy.table import Table

from desa.errors import DamagedFile, SettingsError, UnsupportedFile
from desa.explore import maps, neighbours
from desa.explore.columns import MOST_CATEGORIES, label_of, read_column
from desa.explore.find import Finder
from desa.explore.lines import LINES
from desa.explore.maps import map_of, map_path
from desa.explore.neighbours import Neighbours
from desa.explore.predictions import calibration_of, read_predictions
from desa.explore.sky import place_of, separations
from desa.explore.star import describe, lightcurve_of, spectrum_of
from desa.explore.table import ExploreTable
from desa.inference.table_files import write_table
from desa.search.beside import index_of
from desa.search.index import Index
from desa.survey.store import Survey, SurveyWriter
from helpers.sky import (
    LIGHTCURVE_ONLY,
    SPECTRUM_ONLY,
    STARS,
    kic,
    make_embedding,
    obsid,
    spectrum,
    with_columns,
)


def row_of(table: ExploreTable, star: int) -> int:
    return table.star_id.to_pylist().index(kic(star))


def test_columns_of_the_survey_are_the_rows_own(table: ExploreTable) -> None:
    row = row_of(table, 12)
    assert table.values("teff")[row] == 6400
    assert table.values("snr_g")[row] == 32
    assert np.isnan(table.values("bp_rp")[row_of(table, 5)])
    words = table.columns["cmd_class"].categories
    assert words is not None
    assert words[int(table.values("cmd_class")[row])] == "giant"
    assert table.columns["binary"].categories == ("no", "yes")
    assert table.columns["teff"].described()["unit"] == "K"
    assert "kic" not in table.columns


def test_the_spectrum_is_that_of_the_obsid(table: ExploreTable) -> None:
    found = spectrum_of(table, row_of(table, 7))
    assert found is not None
    assert found.obsid == obsid(7, 1)
    assert spectrum_of(table, row_of(table, LIGHTCURVE_ONLY)) is None
    assert lightcurve_of(table, row_of(table, SPECTRUM_ONLY)) is None


def test_without_an_obsid_the_best_spectrum(tmp_path: Path, folder: Path) -> None:
    path = make_embedding(tmp_path / "emb.parquet")
    bare = pq.read_table(path).drop_columns(["obsid"])
    pq.write_table(bare, path)
    table = ExploreTable(path, Survey.open(folder / "survey"))
    found = spectrum_of(table, row_of(table, 7))
    assert found is not None
    assert found.obsid == obsid(7, 1)  # the second has the higher S/N


def test_kind_comes_from_the_survey_or_the_table(table: ExploreTable, tmp_path: Path, folder: Path) -> None:
    assert (table.kind, table.warning) == ("mock", "")
    path = make_embedding(tmp_path / "emb.parquet", "elsewhere")
    alone = ExploreTable(path)
    assert alone.kind == "mock"
    assert "bp_rp" not in alone.columns
    other = ExploreTable(path, Survey.open(folder / "survey"))
    assert f"{STARS} of {STARS} rows name a star of this one" in other.warning
    real = SurveyWriter(tmp_path / "real", "real")
    real.add_spectrum(spectrum(1))
    found = ExploreTable(path, real.finish())
    assert found.kind == "real"
    assert "the model has learned from mock data only" in found.warning
    both = make_embedding(tmp_path / "both.parquet", trained_on="mock survey and real LAMOST spectra")
    warning = ExploreTable(both, Survey.open(tmp_path / "real")).warning
    assert "has learned from mock survey and real LAMOST spectra." in warning
    assert "only" not in warning


def test_a_column_of_the_table_does_not_hide_the_surveys(tmp_path: Path, folder: Path) -> None:
    path = with_columns(make_embedding(tmp_path / "emb.parquet"), teff=np.arange(STARS, dtype=float))
    table = ExploreTable(path, Survey.open(folder / "survey"))
    assert table.values("teff")[3] == 3
    assert table.values("teff_catalogue")[3] == 6850
    assert table.columns["teff_catalogue"].label == "Teff (catalogue)"


def test_predictions_stand_beside_the_catalogue(table: ExploreTable) -> None:
    row = row_of(table, 2)
    teff, binary = describe(table, row)["predictions"]
    assert (teff["median"], teff["intervals"]["68"], teff["catalogue"]) == (6800, [6700, 6910], 6900)
    assert (teff["flag"], teff["why"]) == (2, "S/N in g is 5.0, below 10")
    assert (binary["class"], binary["chances"]) == ("yes", {"no": 0.25, "yes": 0.75})
    assert describe(table, row_of(table, 9))["predictions"] == []
    values = {item["key"]: item for item in describe(table, row)["values"]}
    assert (values["teff"]["value"], values["teff"]["error"]) == (6900, 80)
    assert not any("predicted" in key or "low68" in key or "_p_" in key for key in values)


def test_what_predictions_were_calibrated_on_is_said(table: ExploreTable, tmp_path: Path) -> None:
    assert table.predictions_said == "predictions.ecsv: teff: calibrated on mock survey"
    for name in ("x.csv", "x.fits", "x.parquet", "x.vot"):
        made = Table({"star_id": ["a"]}, meta={"calib": "nothing"})
        write_table(made, tmp_path / name)
        assert calibration_of(tmp_path / name) == ("" if name in ("x.csv", "x.vot") else "nothing")
    assert calibration_of(tmp_path / "no.txt") == calibration_of(tmp_path / "no.fits") == ""


def test_predictions_of_other_stars_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(UnsupportedFile, match="none of its stars"):
        read_predictions(folder / "predictions.ecsv", ["KIC 1"], [""])
    (tmp_path / "x.csv").write_text("star_id,teff\nKIC 1000,5000\n")
    with pytest.raises(UnsupportedFile, match="no table of predictions"):
        read_predictions(tmp_path / "x.csv", [kic(0)], [""])


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda path: None, "no such file"),
        (lambda path: path.write_bytes(b"SIMPLE  =  T"), "can't be read as Parquet"),
        (lambda path: pq.write_table(pa.table({"star_id": ["a"]}), path), "no table of embeddings"),
        (lambda path: make_embedding(path, stars=0), "no table of embeddings|without a row"),
    ],
)
def test_other_files_are_refused_in_a_sentence(tmp_path: Path, make: object, reason: str) -> None:
    path = tmp_path / "x.parquet"
    make(path)  # type: ignore[operator]
    with pytest.raises((DamagedFile, UnsupportedFile), match=reason):
        ExploreTable(path)


def test_words_with_too_many_categories_are_left_out() -> None:
    words = pa.chunked_array([[f"word {n}" for n in range(MOST_CATEGORIES + 1)]])
    assert read_column("name", words, "table") is None
    column, codes = read_column("name", pa.chunked_array([["b", "a", "b", None, ""]]), "table") or (
        None,
        None,
    )
    assert column is not None
    assert column.categories == ("b", "a")
    assert np.array_equal(codes, [0, 1, 0, np.nan, np.nan], equal_nan=True)


def test_labels_of_columns() -> None:
    assert label_of("teff_low68") == ("Teff 68 % low", "K")
    assert label_of("m_g_true") == ("M_G (mock truth)", "mag")
    assert label_of("own_score") == ("own score", "")


def test_the_map_is_kept_and_made_again_for_other_vectors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = ExploreTable(make_embedding(tmp_path / "emb.parquet"))
    made = map_of(table, method="pca")
    assert (made.about["vector"], made.about["rows"]) == ("joint", STARS - 1)
    assert np.isnan(made.x[LIGHTCURVE_ONLY])
    assert np.isnan(made.x).sum() == 1
    assert map_path(table.path, "joint", "pca").is_file()
    with monkeypatch.context() as patch:
        patch.setattr(maps, "_pca", None)  # would fail if called
        kept = map_of(table, method="pca")
    assert np.array_equal(kept.x, made.x, equal_nan=True)
    assert kept.about == made.about
    changed = ExploreTable(make_embedding(tmp_path / "emb.parquet", stars=STARS - 1))
    assert len(map_of(changed, method="pca").x) == STARS - 1


def test_a_map_of_the_stars_of_one_modality(tmp_path: Path) -> None:
    table = ExploreTable(make_embedding(tmp_path / "emb.parquet"))
    made = map_of(table, "features_lightcurve", "pca", "joint")
    assert made.about["rows"] == STARS - 1
    assert np.isnan(made.x[LIGHTCURVE_ONLY])
    every = map_of(table, "features_lightcurve", "pca")
    assert every.about["rows"] == STARS
    assert map_path(table.path, "features_lightcurve", "pca", "joint").is_file()
    with pytest.raises(SettingsError, match="no row has vectors 'joint' and the modality 'lightcurve'"):
        map_of(table, "joint", "pca", "lightcurve")


def test_pca_is_the_plane_of_most_variance(tmp_path: Path) -> None:
    table = ExploreTable(make_embedding(tmp_path / "emb.parquet"))
    rows, vectors = table.vectors("joint")
    made = map_of(table, method="pca")
    centred = vectors - vectors.mean(axis=0)
    scores = np.linalg.svd(centred, full_matrices=False)
    expected = np.abs(scores[0][:, :2] * scores[1][:2])
    np.testing.assert_allclose(np.abs(np.c_[made.x, made.y][rows]), expected, atol=1e-4)
    assert "100 % of the variance" in made.about["said"]


def test_maps_that_can_not_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = ExploreTable(make_embedding(tmp_path / "emb.parquet"))
    with pytest.raises(SettingsError, match="it has joint, features_spectrum"):
        map_of(table, "z_spectrum")
    with pytest.raises(SettingsError, match="auto, pca, umap"):
        map_of(table, method="tsne")
    monkeypatch.setattr(maps, "find_spec", lambda name: None)
    with pytest.raises(SettingsError, match="pip install umap-learn"):
        map_of(table, method="umap")
    assert maps.chosen_method("auto", 1000) == "pca"
    monkeypatch.setattr(maps, "find_spec", lambda name: object())
    assert [maps.chosen_method("auto", rows) for rows in (10, 1000, 10**6)] == ["pca", "umap", "pca"]


def test_neighbours_are_the_nearest_of_those_with_the_same_vector(table: ExploreTable) -> None:
    name, rows, distances = Neighbours(table, "joint").nearest(row_of(table, 30), 4)
    assert name == "joint"
    assert {table.star_id[int(row)].as_py() for row in rows} == {kic(n) for n in (28, 29, 31, 32)}
    assert (np.diff(distances) >= 0).all()
    name, rows, _ = Neighbours(table, "joint").nearest(row_of(table, LIGHTCURVE_ONLY), 3)
    assert name == "features_lightcurve"
    assert row_of(table, LIGHTCURVE_ONLY) not in rows
    assert len(Neighbours(table, "joint").nearest(0, 1000)[1]) == STARS - 2


def test_searches_that_wait_are_answered_together(
    table: ExploreTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    near, rows = Neighbours(table, "joint"), range(20, 40)
    alone = [near.nearest(row, 2 + row % 3)[1].tolist() for row in rows]
    searched, plain, go = [], Index.neighbours, threading.Event()

    def slow(index: Index, vectors: np.ndarray, k: int) -> object:
        searched.append(len(vectors))
        go.wait(20)
        return plain(index, vectors, k)

    monkeypatch.setattr(Index, "neighbours", slow)
    with ThreadPoolExecutor(20) as pool:
        asked = [pool.submit(near.nearest, row, 2 + row % 3) for row in rows]
        while len(near._waiting) + sum(searched) < 20:
            time.sleep(0.01)
        go.set()
        together = [one.result()[1].tolist() for one in asked]
    assert together == alone
    assert len(searched) <= 2 and sum(searched) == 20


def test_neighbours_by_the_index_that_search_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = ExploreTable(make_embedding(tmp_path / "emb.parquet"))
    plain = Neighbours(table, "joint").nearest(20, 5)
    index_of(table.path, "joint", kind="hnsw")
    with monkeypatch.context() as patch:
        patch.setattr(Index, "build", None)  # would fail if called
        kept = Neighbours(table, "joint").nearest(20, 5)
    assert kept[0] == plain[0] == "joint"
    assert kept[1].tolist() == plain[1].tolist()
    np.testing.assert_allclose(kept[2], plain[2], rtol=1e-5)


def test_many_rows_get_an_index_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = ExploreTable(make_embedding(tmp_path / "emb.parquet", stars=3000))
    near = Neighbours(table, "joint")
    assert near.prepare(print) is None
    monkeypatch.setattr(neighbours, "EXACT_UP_TO", 1000)
    monkeypatch.setattr("desa.search.index.EXACT_UP_TO", 1000)
    exact = near.nearest(1500, 5)
    thread = near.prepare(lambda words: None)
    assert thread is not None
    thread.join()
    assert near._made["joint"].kind == "ivf"
    assert near.nearest(1500, 5)[1].tolist() == exact[1].tolist()
    assert near.prepare(print) is None  # it was kept


def test_neighbours_by_the_vectors_that_are_asked_for(table: ExploreTable) -> None:
    near = Neighbours(table, "joint")
    name, rows, _ = near.nearest(10, 3, "features_spectrum")
    assert name == "features_spectrum"
    assert rows.tolist() == Neighbours(table, "features_spectrum").nearest(10, 3)[1].tolist()
    assert near.nearest(LIGHTCURVE_ONLY, 3, "features_spectrum")[0] == "features_lightcurve"


@pytest.mark.parametrize("text", ["1012", "KIC 1012", " kic1012", "KIC001012"[:3] + "1012", obsid(12)])
def test_a_star_is_found_by_any_of_its_names(table: ExploreTable, text: str) -> None:
    assert Finder(table).rows(text) == ([row_of(table, 12)], None)


def test_parts_of_names_find_several(table: ExploreTable) -> None:
    find = Finder(table)
    assert find.rows("kic 105", most=5) == ([row_of(table, star) for star in range(50, 55)], None)
    assert find.rows("no such star") == find.rows("  ") == ([], None)


def test_a_name_and_an_obsid_name_a_row(table: ExploreTable) -> None:
    find = Finder(table)
    assert find.row_named(kic(12), obsid(12)) == find.row_named("kic1012") == row_of(table, 12)
    assert find.row_named(kic(12), "another") == row_of(table, 12)
    assert find.row_named("KIC 10") is find.row_named("") is None


def test_names_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    made = pq.read_table(make_embedding(tmp_path / "emb.parquet", stars=5))
    names = ["KIC 10", "KIC 9", "KIC 100", "KIC 1", "KIC 9"]
    pq.write_table(made.set_column(0, "star_id", pa.array(names)), tmp_path / "emb.parquet")
    assert Finder(ExploreTable(tmp_path / "emb.parquet")).order_of_names().tolist() == [3, 1, 4, 0, 2]


@pytest.mark.parametrize(
    ("text", "ra", "dec"),
    [
        ("290.24 45", 290.24, 45),
        ("290.24, -45.5", 290.24, -45.5),
        ("19:20:57.6 +45:00:00", 290.24, 45),
        ("19 20 57.6 +45 00 00", 290.24, 45),
        ("19h20m57.6s -45d00m36s", 290.24, -45.01),
        ("290.24° +45°", 290.24, 45),
        ("0 0 0 -0 30 0", 0, -0.5),
    ],
)
def test_places_are_read_as_people_write_them(text: str, ra: float, dec: float) -> None:
    place = place_of(text)
    assert place is not None
    assert (place.ra, place.dec) == pytest.approx((ra, dec), abs=1e-9)


@pytest.mark.parametrize("text", ["KIC 1012", "1012", "400 20", "20 95", "19 61 00 +45 00 00", "", "a b"])
def test_what_is_no_place(text: str) -> None:
    assert place_of(text) is None


def test_the_nearest_to_a_place(table: ExploreTable) -> None:
    rows, place = Finder(table).rows("290.239 45.0")
    assert place is not None
    assert rows[:2] == [row_of(table, 12), row_of(table, 11)]
    apart = separations(table, place)
    here = SkyCoord(place.ra, place.dec, unit="deg")
    expected = here.separation(SkyCoord(table.ra, table.dec, unit="deg")).deg
    np.testing.assert_allclose(apart, expected, atol=1e-9)
    assert max(apart[rows]) <= 0.5
    assert Finder(table).rows("10 10")[0] == []


def test_lines_are_vacuum_wavelengths() -> None:
    names = dict(LINES)
    # Air wavelengths (NIST) by the inverse of Ciddor (1996) as used by VALD.
    for name, air in (("Ca II K", 3933.66), ("Hβ", 4861.33), ("Hα", 6562.80), ("Li I", 6707.8)):
        wave = (1e4 / air) ** 2
        index = 1 + 8.336624212083e-5 + 2.408926869968e-2 / (130.1065924522 - wave)
        index += 1.599740894897e-4 / (38.92568793293 - wave)
        assert names[name] == pytest.approx(air * index, abs=0.15)
    waves = [wave for _, wave in LINES]
    assert waves == sorted(waves)
