"""Tables made part by part: the same as in memory, whatever is killed and whoever makes them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from desa.errors import DesaError
from desa.inference import stream
from desa.inference.embed import embed_survey
from desa.inference.model import Desa
from desa.inference.predict import predict_survey
from desa.inference.stream import FILES, Recipe, write_rows
from desa.inference.table_parts import as_table
from desa.survey.from_files import LeftOut
from desa.survey.parts import file_parts, survey_parts
from desa.survey.store import Survey, SurveyWriter
from desa.training import distributed
from helpers.runs import two_processes
from helpers.stars import curve, spectrum
from helpers.tiny import tiny_settings

STARS, SIZE = 11, 2


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model and a survey, whose last stars have a spectrum or a light curve alone."""
    folder = tmp_path_factory.mktemp("made")
    torch.manual_seed(0)
    Desa(tiny_settings()).eval().save(folder / "model")
    writer = SurveyWriter(folder / "survey", "mock")
    for n in range(STARS - 1):
        writer.add_lightcurve(curve(f"KIC {n:02d}", ra=280.0 + n, seed=n))
    for n in range(4, STARS):
        writer.add_spectrum(spectrum(f"KIC {n:02d}", obsid=f"{n}", ra=280.0 + n, snr=5.0 + n))
    writer.finish(None, {})
    return folder


def recipe_of(made: Path, makes: str = "embeddings") -> Recipe:
    survey = Survey.open(made / "survey")
    return Recipe(makes, str(made / "model"), f"mock survey {survey.identity}", "cpu", batch_size=SIZE)  # type: ignore[arg-type]


def parts_of(made: Path, recipe: Recipe) -> list[object]:
    return [*survey_parts(Survey.open(made / "survey"), recipe.network(), size=SIZE)]


def write(made: Path, out: Path, makes: str = "embeddings", **options: object) -> bytes:
    recipe = recipe_of(made, makes)
    write_rows(recipe, parts_of(made, recipe), out, **options)  # type: ignore[arg-type]
    return out.read_bytes()


def test_embeddings_are_those_made_in_memory(made: Path, tmp_path: Path) -> None:
    """Though the first parts have no spectra, and so fewer columns; and nothing is left beside the file."""
    recipe = recipe_of(made)
    written = write_rows(recipe, parts_of(made, recipe), tmp_path / "emb.parquet")  # type: ignore[arg-type]
    table = pq.read_table(tmp_path / "emb.parquet")
    expected = embed_survey(recipe.network(), Survey.open(made / "survey"), batch_size=SIZE)
    assert table.column_names == expected.column_names
    assert table.num_rows == STARS and written.modalities == {"lightcurve": 4, "joint": 6, "spectrum": 1}
    for name in ("star_id", "obsid", "modality"):
        assert table.column(name).equals(expected.column(name))
    for name in table.column_names[3:]:
        assert table.column(name).is_valid().equals(expected.column(name).is_valid()), name
        ours, theirs = (np.array(one.column(name).drop_null().to_pylist()) for one in (table, expected))
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4, err_msg=name)
    assert table.schema.metadata[b"desa.data"].startswith(b"mock survey")
    assert [item.name for item in tmp_path.iterdir()] == ["emb.parquet"]


@pytest.mark.parametrize("ending", ["parquet", "ecsv"])
def test_predictions_are_those_made_in_memory(made: Path, tmp_path: Path, ending: str) -> None:
    out = tmp_path / f"stars.{ending}"
    write(made, out, "predictions")
    expected = predict_survey(recipe_of(made).network(), Survey.open(made / "survey"))
    from astropy.table import Table

    table = as_table(pq.read_table(out)) if ending == "parquet" else Table.read(out)
    assert table.colnames == expected.colnames
    assert dict(table.meta) == dict(expected.meta)
    for name in expected.colnames:
        assert (
            table[name].unit == expected[name].unit and table[name].description == expected[name].description
        )
        if expected[name].dtype.kind == "f":
            np.testing.assert_allclose(
                np.ma.filled(table[name], np.nan), expected[name], rtol=1e-3, atol=1e-4
            )
        elif expected[name].dtype.kind == "U":
            assert [str(value) for value in np.ma.filled(table[name], "")] == expected[name].tolist()


def test_what_was_made_is_kept(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The run fails at its fourth part; the next one makes only the others, and the same bytes."""
    whole = write(made, tmp_path / "whole.parquet")
    rows, calls = Recipe.rows, []

    def failing(self: Recipe, *arguments: object) -> object:
        calls.append(arguments)
        if len(calls) == 4:
            raise MemoryError
        return rows(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Recipe, "rows", failing)
    with pytest.raises(MemoryError):
        write(made, tmp_path / "again.parquet")
    calls.clear()
    monkeypatch.setattr(Recipe, "rows", lambda self, *given: calls.append(given) or rows(self, *given))
    assert write(made, tmp_path / "again.parquet") == whole
    assert len(calls) == -(-STARS // SIZE) - 3
    assert not (tmp_path / "again.parquet").with_name(".again.parquet.parts").exists()


def test_parts_of_another_command_are_not_taken(made: Path, tmp_path: Path) -> None:
    whole, out = write(made, tmp_path / "whole.parquet"), tmp_path / "emb.parquet"
    recipe = recipe_of(made)
    folder = tmp_path / ".emb.parquet.parts"
    folder.mkdir()
    with stream.claimed(folder, "table that is being made"):
        stream._clear(folder, Recipe("embeddings", "", "other", "cpu"), [])
        stream._file(folder, 0).write_bytes(b"of another model")
    assert write(made, out) == whole
    assert recipe.identity() != Recipe("embeddings", str(made / "model"), "", "cpu", "bfloat16").identity()


@pytest.mark.parametrize("makes", ["embeddings", "predictions"])
def test_other_workers_give_the_same_bytes(made: Path, tmp_path: Path, makes: str) -> None:
    whole = write(made, tmp_path / "whole.parquet", makes)
    with ThreadPoolExecutor(2) as executor:
        assert write(made, tmp_path / "other.parquet", makes, executor=executor) == whole


@pytest.mark.slow
def test_two_processes_give_the_same_bytes(made: Path, tmp_path: Path) -> None:
    whole = write(made, tmp_path / "whole.parquet")
    two_processes(Path(__file__), str(made), str(tmp_path / "two.parquet"))
    assert (tmp_path / "two.parquet").read_bytes() == whole


@pytest.mark.slow
def test_killed_at_any_moment(made: Path, tmp_path: Path) -> None:
    whole, out = write(made, tmp_path / "whole.parquet"), tmp_path / "killed.parquet"
    command = [sys.executable, __file__, str(made), str(out)]
    paths = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    folder = tmp_path / ".killed.parquet.parts"
    rng = np.random.default_rng(0)
    kept = 0
    for _ in range(10):
        if out.exists():
            break
        process = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": paths})
        while process.poll() is None and not (folder / "of").exists():
            time.sleep(0.001)
        time.sleep(float(rng.uniform(0, 0.1)))
        process.send_signal(signal.SIGKILL)
        process.wait()
        now = len(list(folder.glob("part-*.parquet")))
        assert now >= kept or out.exists(), "a finished part is never lost"
        kept = now
    assert write(made, out) == whole


def test_files_that_say_nothing(made: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.fits").write_bytes(b"")
    left_out: LeftOut = []
    parts = file_parts([tmp_path], left_out=left_out)
    recipe = Recipe("embeddings", str(made / "model"), FILES, "cpu")
    with pytest.raises(DesaError, match=r"none of 1 files could be used; .*bad\.fits"):
        write_rows(recipe, parts, tmp_path / "emb.parquet", left_out=left_out)
    assert not (tmp_path / "emb.parquet").exists()


if __name__ == "__main__":
    torch.set_num_threads(1)
    here = distributed.join("cpu")
    recipe = recipe_of(Path(sys.argv[1]))
    write_rows(recipe, parts_of(Path(sys.argv[1]), recipe), Path(sys.argv[2]), world=here)  # type: ignore[arg-type]
