from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

from desa.cli import app
from desa.errors import DesaError, ModelError, SettingsError
from desa.inference.embed import embedding_table, write_embedding
from desa.search import beside, index
from desa.search.like import search_like
from desa.survey.store import Survey, SurveyWriter
from desa.types import Embedding, Spectrum

STARS = 40


def point(star: int) -> NDArray[np.float32]:
    return np.array([np.cos(star / 20), np.sin(star / 20), 0.01 * (star % 3)], np.float32)


def write(path: Path, stars: int = STARS, model: str = "abc") -> Path:
    rows: list[Any] = []
    for star in range(stars):
        alone = star == 5
        rows.append(
            (
                Embedding(
                    f"KIC {1000 + star}",
                    "spectrum" if alone else "joint",
                    features_spectrum=point(star),
                    features_lightcurve=None if alone else point(star + 1),
                    match_spectrum=point(star),
                    match_lightcurve=None if alone else 3 * point(star + 10),
                    joint=None if alone else point(star),
                ),
                f"77{star:04d}",
            )
        )
    write_embedding(embedding_table(rows, {"model": model}), path)
    return path


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return write(tmp_path / "emb.parquet")


@pytest.fixture(scope="module")
def survey(tmp_path_factory: pytest.TempPathFactory) -> Survey:
    writer = SurveyWriter(tmp_path_factory.mktemp("survey"), "mock")
    for star in range(STARS):
        for visit in range(2):
            writer.add_spectrum(
                Spectrum(
                    flux=np.ones(3909, np.float32),
                    ivar=np.ones(3909, np.float32),
                    log_wavelength_start=3.5682,
                    star_id=f"KIC {1000 + star}",
                    obsid=f"{77 + visit}{star:04d}",
                    snr={"g": 10.0 + star + 500 * visit},
                )
            )
    ids = [f"KIC {1000 + star}" for star in range(STARS)]
    return writer.finish(pa.table({"star_id": ids, "teff": 5000.0 + 10 * np.arange(STARS)}))


@pytest.mark.parametrize("name", ["1010", "KIC 1010", "kic1010", "770010"])
def test_a_row_is_found_by_any_of_its_names(table: Path, name: str) -> None:
    found = search_like(table, name, k=4)
    assert found.meta["like"] == "KIC 1010"
    assert set(found["star_id"]) == {"KIC 1009", "KIC 1011", "KIC 1008", "KIC 1012"}
    assert (np.diff(found["distance"]) >= 0).all()


def test_an_unknown_star_gets_the_nearest_name(table: Path) -> None:
    with pytest.raises(SettingsError, match="nearest name is KIC 10"):
        search_like(table, "KIC 10122")


def test_columns_are_of_the_row_s_star_and_of_its_own_spectrum(table: Path, survey: Survey) -> None:
    found = search_like(table, "1010", k=STARS, survey=survey, where="teff >= 5100 and snr_g < 40")
    kic = np.array([int(name.split()[1]) - 1000 for name in found["star_id"]])
    assert sorted(kic.tolist()) == list(range(11, 30))
    np.testing.assert_allclose(found["snr_g"], 10.0 + kic)
    np.testing.assert_allclose(found["teff"], 5000.0 + 10 * kic)


def test_labels_of_a_catalogue_can_be_asked_for(table: Path, tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("kic,prot\n" + "".join(f"{1000 + n},{n}\n" for n in range(30)))
    found = search_like(table, "1010", labels=tmp_path / "labels.csv", where="prot > 12 and prot <= 15")
    assert sorted(found["prot"].tolist()) == [13, 14, 15]


def test_spectra_are_found_by_a_light_curve(table: Path) -> None:
    found = search_like(table, "1010", k=1, by="match_lightcurve:match_spectrum")
    assert found["star_id"][0] == "KIC 1020"
    assert found["distance"][0] < 1e-3


def test_a_star_of_one_modality_is_searched_by_what_it_has(table: Path) -> None:
    found = search_like(table, "1005", k=3)
    assert found.meta["by"] == "features_spectrum"
    assert "KIC 1005" not in set(found["star_id"])
    with pytest.raises(SettingsError, match="no vector 'joint'; it can be searched --by match_spectrum or"):
        search_like(table, "1005", by="joint")
    with pytest.raises(SettingsError, match="no vectors 'z_spectrum'; there are joint"):
        search_like(table, "1010", by="z_spectrum")


def test_an_index_is_made_once_and_again_when_the_table_changes(
    table: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index, "EXACT_UP_TO", 10)
    said: list[str] = []
    first = search_like(table, "1010", k=3, say=said.append)
    assert first.meta["index"] == "ivf"
    stored = beside.index_path(table, "joint", "euclidean")
    assert len(said) == 1 and str(stored) in said[0]
    stamp = stored.stat().st_mtime_ns
    search_like(table, "1010", k=3, say=said.append)
    table.touch()
    search_like(table, "1010", k=3, say=said.append)
    assert (len(said), stored.stat().st_mtime_ns) == (1, stamp)
    write(table, stars=STARS - 28)
    again = search_like(table, "1010", k=3, say=said.append)
    assert len(said) == 2
    assert set(again["star_id"]) == {"KIC 1011", "KIC 1009", "KIC 1008"}


def test_a_damaged_index_is_made_again(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "EXACT_UP_TO", 10)
    right = search_like(table, "1010", k=3)
    stored = beside.index_path(table, "joint", "euclidean")
    stored.write_bytes(stored.read_bytes()[:100])
    assert search_like(table, "1010", k=3)["row"].tolist() == right["row"].tolist()
    assert stored.stat().st_size > 100


def test_where_nothing_can_be_written_search_works(table: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: object, path: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(index, "EXACT_UP_TO", 10)
    monkeypatch.setattr(index.Index, "save", full)
    said: list[str] = []
    assert len(search_like(table, "1010", k=3, say=said.append)) == 3
    assert "No space left" in said[0]


class Stub:
    """Stands for a model; its table is what the test says."""


def test_a_file_must_be_embedded_by_the_table_s_own_model(
    table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "spec.fits"
    file.touch()
    model: Any = Stub()
    embedded = embedding_table([(Embedding("", "spectrum", features_spectrum=point(20)), "")], {})

    def embed(given: object, paths: list[str]) -> Any:
        assert given is model and paths == [str(file)]
        return embedded, []

    monkeypatch.setattr("desa.inference.embed.embed_files", embed)
    monkeypatch.setattr("desa.models.storage.weights_hash", lambda given: "other")
    with pytest.raises(ModelError, match="another model"):
        search_like(table, str(file), model=model)
    monkeypatch.setattr("desa.models.storage.weights_hash", lambda given: "abc")
    found = search_like(table, str(file), k=3, model=model)
    assert (found["star_id"][0], found.meta["by"]) == ("KIC 1020", "features_spectrum")
    with pytest.raises(SettingsError, match="by --model"):
        search_like(table, str(file))


@pytest.mark.parametrize("output", [None, "found.ecsv", "found.csv", "found.parquet"])
def test_the_command(table: Path, survey: Survey, tmp_path: Path, output: str | None) -> None:
    call = ["search", str(table), "--like", "KIC 1010", "-k", "3", "--survey", str(survey.path)]
    call += ["--where", "teff > 5000"]
    done = CliRunner().invoke(app, call + ([] if output is None else ["-o", str(tmp_path / output)]))
    assert done.exit_code == 0, done.output
    if output is None:
        assert "KIC 1009" in done.output and "joint" in done.output
    else:
        assert (tmp_path / output).stat().st_size > 100


def test_what_is_wrong_is_said(table: Path, tmp_path: Path) -> None:
    (tmp_path / "no.parquet").write_text("nothing")
    for path, words in ((tmp_path / "none.parquet", "no such file"), (tmp_path / "no.parquet", "Parquet")):
        with pytest.raises(DesaError, match=words):
            search_like(path, "1010")
    pq.write_table(pa.table({"star_id": ["a"]}), tmp_path / "plain.parquet")
    with pytest.raises(DesaError, match="no vectors"):
        search_like(tmp_path / "plain.parquet", "a")
