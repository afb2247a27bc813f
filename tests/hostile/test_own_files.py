"""Files that desa made and that a disk has damaged since: noticed when they are first read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from desa.errors import DamagedFile, DesaError, SurveyError
from desa.inference.embed import write_embedding
from desa.inference.encode import spectrum_features
from desa.models.network import Network
from desa.parquet import read_parquet
from desa.search.beside import index_of, index_path
from desa.search.index import Index
from desa.survey.store import Survey
from helpers.stars import small_survey
from helpers.tiny import tiny_settings


def zeroed(path: Path, place: int, size: int = 64) -> None:
    raw = bytearray(path.read_bytes())
    raw[place : place + size] = bytes(size)
    path.write_bytes(raw)


@pytest.mark.parametrize("name", ["stars", "lightcurves", "spectra"])
def test_tables_of_a_survey(name: str, tmp_path: Path) -> None:
    survey = small_survey(tmp_path, stars=4)
    assert len(survey.stars) == 4
    zeroed(tmp_path / f"{name}.parquet", 100)
    opened = Survey.open(tmp_path)
    with pytest.raises(SurveyError, match=f"{name}.parquet: damaged"):
        {"stars": lambda: opened.stars, "lightcurves": lambda: opened.lightcurve_star}.get(
            name, lambda: opened.spectrum_star
        )()


def vectors(count: int = 300) -> pa.Table:
    values = np.random.default_rng(0).normal(size=(count, 8)).astype(np.float32)
    flat = pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), 8)
    return pa.table({"star_id": [f"KIC {n}" for n in range(count)], "joint": flat})


def test_embeddings(tmp_path: Path) -> None:
    write_embedding(vectors(), tmp_path / "emb.parquet")
    assert len(read_parquet(tmp_path / "emb.parquet")) == 300
    zeroed(tmp_path / "emb.parquet", 5000)
    with pytest.raises(DamagedFile, match="can't be read as Parquet"):
        Index.build(tmp_path / "emb.parquet")


def test_a_kept_index_is_made_again(tmp_path: Path) -> None:
    pytest.importorskip("faiss")
    write_embedding(vectors(), tmp_path / "emb.parquet")
    made = index_of(tmp_path / "emb.parquet", "joint", kind="ivf")
    kept = index_path(tmp_path / "emb.parquet", "joint", "euclidean")
    whole = kept.read_bytes()
    for place in (len(whole) // 3, 2 * len(whole) // 3, len(whole) - 100):
        kept.write_bytes(whole)
        zeroed(kept, place)
        with pytest.raises(DamagedFile, match="a damaged index"):
            Index.load(kept)
        said: list[str] = []
        again = index_of(tmp_path / "emb.parquet", "joint", kind="ivf", say=said.append)
        assert "made an index" in said[0]
        np.testing.assert_array_equal(again.neighbours(made.vector(5))[0], made.neighbours(made.vector(5))[0])


def test_a_feature_cache_is_made_again(tmp_path: Path) -> None:
    """Zeroed blocks would be features of 0; the cache is compared with its checksum when it is opened."""
    survey, model = small_survey(tmp_path / "survey", stars=4), Network(tiny_settings(), ("spectrum",))
    first = np.array(spectrum_features(model, survey, cache=tmp_path))
    (kept,) = tmp_path.glob("*.npy")
    zeroed(kept, 128)
    np.testing.assert_array_equal(spectrum_features(model, survey, cache=tmp_path), first)
    state = kept.stat().st_mtime_ns
    spectrum_features(model, survey, cache=tmp_path)
    assert kept.stat().st_mtime_ns == state


def test_errors_are_one_line_without_control_characters() -> None:
    """Libraries quote what they read: a stranger's file must not write to the terminal."""
    told = str(DesaError("first\nsecond \x1b[2J third " + "x" * 5000))
    assert told.startswith("first second  [2J third x") and len(told) == 2500
    assert DamagedFile("a", "it\nsays\x00" + "y" * 5000).reason.startswith("it says y")
