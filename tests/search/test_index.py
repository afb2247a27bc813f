from __future__ import annotations

import builtins
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.table import Table
from numpy.typing import NDArray

import desa
from desa.errors import DesaError, FileRefused, SettingsError
from desa.search import engines, index
from desa.search.data import arrow_table

WIDTH = 16


def clustered(count: int, seed: int = 0) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    centres = 4 * rng.normal(size=(40, WIDTH))
    rows = centres[rng.integers(0, 40, count)] + rng.normal(size=(count, WIDTH))
    return rows.astype(np.float32)


def plain_search(vectors: NDArray[Any], query: NDArray[Any], k: int, keep: NDArray[np.bool_]) -> list[int]:
    """One row at a time, in double precision."""
    far = [float(np.sqrt(((row.astype(float) - query.astype(float)) ** 2).sum())) for row in vectors]
    order = sorted((distance, row) for row, distance in enumerate(far) if keep[row])
    return [row for _, row in order[:k]]


def table_of(vectors: NDArray[np.float32]) -> pa.Table:
    joint = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), vectors.shape[1])
    count = len(vectors)
    return pa.table(
        {
            "star_id": [f"KIC {row}" for row in range(count)],
            "teff": pa.array([None if row % 7 == 0 else 4000.0 + row for row in range(count)]),
            "joint": joint,
        }
    )


@pytest.mark.parametrize("kind", ["exact", "ivf", "hnsw"])
@pytest.mark.parametrize("where", [None, "teff > 4100 and teff < 4900"])
def test_every_kind_finds_what_a_plain_loop_finds(kind: str, where: str | None) -> None:
    vectors = clustered(1000)
    made = desa.Index.build(table_of(vectors), kind=kind)
    keep = np.ones(1000, bool)
    if where:
        keep = np.array([row % 7 != 0 and 100 < row < 900 for row in range(1000)])
    queries = clustered(20, seed=0)[:20] + 0.01
    rows, distances = made.neighbours(queries, 10, where)
    right = [plain_search(vectors, query, 10, keep) for query in queries]
    shared = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(rows.tolist(), right, strict=True)])
    assert shared == 1.0 if kind == "exact" or where else shared >= 0.95
    assert (np.diff(distances, axis=1) >= 0).all()
    far = np.linalg.norm(vectors[rows[0, 0]].astype(float) - queries[0].astype(float))
    assert distances[0, 0] == pytest.approx(far, rel=1e-5)


@pytest.mark.parametrize("kind", ["ivf", "hnsw"])
def test_a_condition_is_honoured_by_an_index_too(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "FEW", 300)
    vectors = clustered(3000)
    made = desa.Index.build(vectors, kind=kind)
    keep = np.random.default_rng(2).random(3000) < 0.3
    rows, _ = made.neighbours(vectors[:30], 12, keep)
    assert rows.shape == (30, 12)
    assert keep[rows].all()
    right = [plain_search(vectors, query, 12, keep) for query in vectors[:30]]
    assert np.mean([len(set(a) & set(b)) for a, b in zip(rows.tolist(), right, strict=True)]) >= 0.95 * 12


def test_too_few_candidates_of_an_index_are_made_up_exactly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "FEW", 10)
    vectors = clustered(2000)
    made = desa.Index.build(vectors, kind="ivf")
    keep = np.zeros(2000, bool)
    keep[np.argsort(np.linalg.norm(vectors - vectors[5], axis=1))[-25:]] = True
    rows, _ = made.neighbours(vectors[5], 20, keep, probes=1)
    assert rows[0].tolist() == plain_search(vectors, vectors[5], 20, keep)


def test_fewer_than_k_are_given_where_fewer_fulfil_the_condition() -> None:
    made = desa.Index.build(table_of(clustered(50)))
    rows, _ = made.neighbours(clustered(1), 20, "teff < 4010 and teff != 4003")
    assert sorted(rows[0].tolist()) == [1, 2, 4, 5, 6, 8, 9]
    assert made.neighbours(clustered(1), 3, "teff < 0")[0].shape == (1, 0)
    assert len(made.search(clustered(1), 3, "teff < 0")) == 0


def test_the_own_row_is_left_out() -> None:
    vectors = clustered(200)
    made = desa.Index.build(vectors)
    assert made.neighbours(vectors[7], 5)[0][0, 0] == 7
    rows, _ = made.neighbours(vectors[7], 5, exclude=7)
    assert rows[0].tolist() == plain_search(vectors, vectors[7], 6, np.ones(200, bool))[1:]
    assert made.neighbours(vectors[7], 500, exclude=7)[0].shape == (1, 199)


def test_many_blocks_give_what_one_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, queries = clustered(700), clustered(5, seed=9)
    once = engines.exact(vectors, queries, 30)
    monkeypatch.setattr(engines, "CHUNK", 64)
    np.testing.assert_array_equal(engines.exact(vectors, queries, 30)[0], once[0])


def test_distances_of_near_vectors_far_from_the_origin_keep_their_digits() -> None:
    rng = np.random.default_rng(0)
    vectors = (1000 + 1e-2 * rng.normal(size=(500, WIDTH))).astype(np.float32)
    rows, distances = desa.Index.build(vectors).neighbours(vectors[3], 1)
    assert (rows[0, 0], distances[0, 0]) == (3, 0.0)


def test_cosine_forgets_lengths() -> None:
    vectors = clustered(300)
    made = desa.Index.build(vectors, metric="cosine")
    rows, distances = made.neighbours(vectors[4] * 17, 3)
    assert rows[0, 0] == 4
    a, b = (vectors[row].astype(float) for row in (4, rows[0, 1]))
    assert distances[0, 1] == pytest.approx(1 - a @ b / np.linalg.norm(a) / np.linalg.norm(b), abs=1e-5)


def test_tables_of_every_kind_give_the_same(tmp_path: Path) -> None:
    vectors = clustered(60)
    arrow = table_of(vectors)
    pq.write_table(arrow, tmp_path / "emb.parquet")
    astropy = Table({"star_id": arrow["star_id"].to_pylist(), "joint": vectors})
    pandas = pd.DataFrame({"star_id": arrow["star_id"].to_pylist(), "joint": list(vectors)})
    found = [
        desa.Index.build(data).search(vectors[3], 4)
        for data in (arrow, tmp_path / "emb.parquet", str(tmp_path / "emb.parquet"), astropy, pandas)
    ]
    for other in found:
        assert list(other["star_id"]) == list(found[0]["star_id"])
        assert other["rank"].tolist() == [1, 2, 3, 4]
    assert np.isnan(desa.Index.build(arrow).search(vectors[7], 1)["teff"][0])


def test_rows_without_a_vector_are_never_found() -> None:
    vectors = clustered(30)
    mask = np.arange(30) % 3 == 0
    joint = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), WIDTH, mask=pa.array(mask))
    made = desa.Index.build(pa.table({"joint": joint, "n": list(range(30))}))
    rows, _ = made.neighbours(vectors[3], 30)
    assert sorted(rows[0].tolist()) == np.flatnonzero(~mask).tolist()
    assert made.vector(3) is None
    np.testing.assert_array_equal(made.vector(4), vectors[4])
    assert made.search(vectors[4], 1)["n"][0] == 4


@pytest.mark.parametrize("kind", ["exact", "ivf", "hnsw"])
def test_a_stored_index_finds_the_same(kind: str, tmp_path: Path) -> None:
    vectors = clustered(500)
    made = desa.Index.build(table_of(vectors), kind=kind, facts={"of": "test"})
    made.save(tmp_path / "stars.index")
    again = desa.Index.load(tmp_path / "stars.index")
    where = "teff > 4050"
    first, second = (one.search(vectors[:4], 6, where) for one in (made, again))
    assert first["row"].tolist() == second["row"].tolist()
    assert first["star_id"].tolist() == second["star_id"].tolist()
    assert (again.kind, again.facts) == (kind, {"of": "test"})
    assert [path.name for path in tmp_path.iterdir()] == ["stars.index"]


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "stars.index"
    with pytest.raises(FileRefused, match="no such file"):
        desa.Index.load(path)
    desa.Index.build(table_of(clustered(200)), kind="ivf").save(path)
    whole = path.read_bytes()
    for content in (b"", b"nonsense" * 9, whole[: len(whole) // 2], whole[:-10]):
        path.write_bytes(content)
        with pytest.raises(FileRefused, match="damaged"):
            desa.Index.load(path)


def test_without_faiss_search_is_exact_and_an_index_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "faiss":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    monkeypatch.setattr(index, "EXACT_UP_TO", 100)
    assert desa.Index.build(clustered(200)).kind == "exact"
    with pytest.raises(SettingsError, match=r"pip install 'desa\[search\]'"):
        desa.Index.build(clustered(200), kind="ivf")


def test_many_vectors_get_an_index_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "EXACT_UP_TO", 100)
    assert desa.Index.build(clustered(100)).kind == "exact"
    assert desa.Index.build(clustered(101)).kind == "ivf"


def test_bad_calls_are_refused_in_words() -> None:
    made = desa.Index.build(table_of(clustered(20)))
    for call, words in (
        (lambda: made.neighbours(np.zeros(3)), "16 numbers"),
        (lambda: made.neighbours(np.full(WIDTH, np.nan)), "not finite"),
        (lambda: made.neighbours(np.zeros(WIDTH), 0), "at least 1"),
        (lambda: made.neighbours(np.zeros(WIDTH), 1, np.ones(3, bool)), "20 truths"),
        (lambda: desa.Index.build(table_of(clustered(20)), by="z_spectrum"), "no vectors 'z_spectrum'"),
        (lambda: desa.Index.build(pa.table({"joint": [1.0]})), "no vectors at all"),
        (lambda: desa.Index.build(np.zeros((0, 3), np.float32)), "at least one"),
        (lambda: desa.Index.build(clustered(9), kind="tree"), "'tree'"),
        (lambda: desa.Index.build(clustered(9), metric="taxi"), "'taxi'"),
    ):
        with pytest.raises(DesaError, match=words):
            call()
    with pytest.raises(TypeError):
        desa.Index.build({"joint": [[1.0]]})


def test_of_a_file_only_the_vectors_that_are_searched_are_read(tmp_path: Path) -> None:
    """They are nearly all of it: an index of one column in nine takes a ninth of the memory."""
    vectors = clustered(300)
    table = table_of(vectors)
    table = table.append_column("z_spectrum", table.column("joint"))
    pq.write_table(table, tmp_path / "emb.parquet")
    assert arrow_table(tmp_path / "emb.parquet", ["joint"]).column_names == ["star_id", "teff", "joint"]
    assert arrow_table(tmp_path / "emb.parquet").column_names == table.column_names
    one, other = (desa.Index.build(data).search(vectors[3], 5) for data in (tmp_path / "emb.parquet", table))
    assert one.colnames == other.colnames and one["row"].tolist() == other["row"].tolist()
    with pytest.raises(FileRefused, match="no vectors 'p_spectrum'; it has joint, z_spectrum"):
        desa.Index.build(tmp_path / "emb.parquet", by="p_spectrum")
