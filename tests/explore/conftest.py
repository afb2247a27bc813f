from __future__ import annotations

from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from desa.explore.app import create_app
from desa.explore.maps import map_of
from desa.explore.table import ExploreTable
from desa.survey.store import Survey
from helpers.sky import PORT, make_embedding, make_predictions, make_survey


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
