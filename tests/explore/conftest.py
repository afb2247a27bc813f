from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from fastapi.testclient import TestClient

from desa.explore.app import create_app
from desa.explore.maps import map_of
from desa.explore.table import ExploreTable
from desa.inference.embed import embedding_table, write_embedding
from desa.survey.store import Survey, SurveyWriter
from desa.types import Embedding
from helpers.sky import PORT, kic, make_embedding, make_predictions, make_survey, spectrum


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A survey, ``emb.parquet`` and ``predictions.ecsv``."""
    path = tmp_path_factory.mktemp("explore")
    survey = make_survey(path / "survey")
    make_embedding(path / "emb.parquet", survey.identity)
    make_predictions(path / "predictions.ecsv")
    return path


@pytest.fixture(scope="session")
def table(folder: Path) -> ExploreTable:
    return ExploreTable(folder / "emb.parquet", Survey.open(folder / "survey"), folder / "predictions.ecsv")


@pytest.fixture(scope="session")
def client(table: ExploreTable) -> TestClient:
    app = create_app(table, map_of(table, method="pca"), PORT)
    return TestClient(app, base_url=f"http://127.0.0.1:{PORT}")


@pytest.fixture(scope="session")
def real_table(tmp_path_factory: pytest.TempPathFactory) -> ExploreTable:
    """Three stars of a survey that says it is real: one of Kepler and Gaia, one named oddly, one lost."""
    path = tmp_path_factory.mktemp("real")
    names = [kic(10), '=HYPERLINK("x")', "nowhere"]
    writer = SurveyWriter(path / "survey", "real")
    for place, name in enumerate(names[:2]):
        writer.add_spectrum(replace(spectrum(10 + place), star_id=name, release="DR10"))
    survey = writer.finish(pa.table({"star_id": names[:2], "gaia": pa.array([2**61 + 1, None], pa.int64())}))
    rows = [
        (Embedding(name, "spectrum", np.arange(3, dtype=np.float32) + place), ["70100", "", "x<y"][place])
        for place, name in enumerate(names)
    ]
    facts = {"model": "m", "trained_on": "real spectra", "data": f"real survey {survey.identity}"}
    write_embedding(embedding_table(rows, facts), path / "emb.parquet")
    return ExploreTable(path / "emb.parquet", survey)
