"""One bad file, folder, link or name never stops a batch: it is listed as left out."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.io import fits

from desa.cli import main
from desa.errors import SettingsError
from desa.search.beside import index_of, index_path
from desa.search.where import chosen_rows
from desa.survey.from_files import expand, group_files
from desa.survey.ingest import ingest
from helpers.samples import write_quarter, write_spectrum


def header(path: Path, **cards: object) -> None:
    with fits.open(path, mode="update") as hdus:
        hdus[0].header.update(cards)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Good files, and whatever else a disk may hold."""
    place = tmp_path / "in"
    write_quarter(place / "good_llc.fits", 100, 3)
    write_spectrum(place / "good_spec.fits", 1)
    write_quarter(place / "beyond.fits", 101, 3)
    header(place / "beyond.fits", QUARTER=40_000)
    write_quarter(place / "unknown.fits", 102, 3)
    header(place / "unknown.fits", TELESCOP="Hubble")
    (place / "torn.fits").write_bytes((place / "good_llc.fits").read_bytes()[:3000])
    (place / "loop_a").symlink_to(place / "loop_b")
    (place / "loop_b").symlink_to(place / "loop_a")
    (place / "itself").symlink_to(place)
    (place / "nowhere").symlink_to(tmp_path / "absent")
    os.mkfifo(place / "pipe")
    with (place / "sparse.fits").open("wb") as stream:
        stream.write(b"SIMPLE  =                    T")
        stream.truncate(100 << 30)
    (place / "zero").symlink_to("/dev/zero")
    os.close(os.open(os.fsencode(place) + b"/not-\xff-utf8.fits", os.O_CREAT | os.O_WRONLY))
    return place


BAD = (
    "beyond.fits",
    "torn.fits",
    "loop_a",
    "loop_b",
    "nowhere",
    "pipe",
    "sparse.fits",
    "zero",
    "not-\\xff-utf8",
)


@pytest.mark.parametrize("shared", [True, False])
def test_ingest(folder: Path, tmp_path: Path, shared: bool) -> None:
    begun = time.monotonic()
    report = ingest(folder, folder if shared else None, None, tmp_path / "s", processes=1)
    assert time.monotonic() - begun < 20
    assert report["lightcurves"]["stored"] >= 1
    assert not shared or report["spectra"]["stored"] == 1
    listed = "\n".join(item["path"] for item in report["left_out"])
    assert [name for name in BAD if name not in listed] == []


def test_files_for_embed(folder: Path) -> None:
    left_out: list[tuple[str, str]] = []
    files = expand([folder, folder / "pipe", "/dev/zero", "x" * 5000, "a\udcff"], left_out)
    stars = group_files(files, 3.0, left_out)
    assert {"KIC 100"} <= {star.star_id for star in stars}
    assert any("UTF-8" in reason for _, reason in left_out)


def test_a_deep_folder(tmp_path: Path) -> None:
    write_quarter(tmp_path / "in" / "good_llc.fits", 100, 3)
    here = os.open(tmp_path / "in", os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("deep", dir_fd=here)
        below = os.open("deep", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    report = ingest(tmp_path / "in", None, None, tmp_path / "s", processes=1)
    assert report["lightcurves"]["stored"] == 1 and len(report["left_out"]) == 1
    remove_deep(tmp_path / "in")


def remove_deep(folder: Path) -> None:
    """pytest's own cleaning does not go so deep."""
    while (folder / "deep").exists():
        (folder / "deep").rename(folder.parent / "aside")
        inner = folder.parent / "aside" / "deep"
        if inner.exists():
            inner.rename(folder / "deep")
        (folder.parent / "aside").rmdir()


CHAINS = (
    "a" + ".b" * 600,
    "1" + "+1" * 600,
    "not " * 400 + "a",
    "-" * 1500 + "1",
    "a<" * 900 + "1",
    "(" * 900,
)


@pytest.mark.parametrize("condition", [*CHAINS, "a" + "[0]" * 600, "a" + "()" * 600, "a and " * 300 + "b.c"])
def test_chains_of_conditions(condition: str) -> None:
    with pytest.raises(SettingsError, match="--where"):
        chosen_rows(condition, {}, 3)


COMMANDS = (
    ("inspect", "PIPE"),
    ("inspect", "/dev/zero"),
    ("info", "PIPE"),
    ("embed", "PIPE", "-o", "OUT"),
    ("predict", "/dev/zero"),
    ("convert", "PIPE", "-o", "OUT"),
    ("convert", "/dev/zero", "-o", "OUT"),
    ("search", "PIPE", "--like", "KIC 1"),
    ("anomalies", "/dev/zero"),
    ("catalogs", "merge", "PIPE", "-o", "OUT"),
    ("catalogs", "merge", "/dev/zero", "-o", "OUT"),
    ("pretrain", "spectrum", "FOLDER", "--config", "PIPE", "-o", "OUT"),
    ("pretrain", "spectrum", "FOLDER", "--seed", "-5", "-o", "OUT"),
    ("simulate", "--seed", "-5", "-o", "OUT"),
    ("predict", "FOLDER", "-o", "/proc/x.csv"),
    ("embed", "FOLDER", "-o", "/dev/null"),
    ("simulate", "-o", "FILE/below"),
)


@pytest.mark.parametrize("command", COMMANDS, ids=lambda words: " ".join(words[:3]))
def test_commands_end_soon_with_a_sentence(
    command: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    places = {name: str(tmp_path / name.lower()) for name in ("PIPE", "FILE", "FOLDER", "OUT")}
    words = [places.get(word, word.replace("FILE", places["FILE"])) for word in command]
    monkeypatch.setattr(sys, "argv", ["desa", *words])
    begun = time.monotonic()
    with pytest.raises(SystemExit) as ended:
        main()
    assert time.monotonic() - begun < 20 and ended.value.code in (1, 2)
    said = capsys.readouterr()
    assert "Traceback" not in said.err and len(said.err + said.out) < 3000


def test_search_goes_on_where_no_index_can_be_kept(tmp_path: Path) -> None:
    pytest.importorskip("faiss")
    vectors = np.random.default_rng(0).normal(size=(400, 8)).astype(np.float32)
    columns = {"star_id": [f"KIC {n}" for n in range(400)], "joint": list(vectors)}
    pq.write_table(pa.table(columns), tmp_path / "emb.parquet")
    index_path(tmp_path / "emb.parquet", "joint", "euclidean").mkdir()
    said: list[str] = []
    made = index_of(tmp_path / "emb.parquet", "joint", kind="ivf", say=said.append)
    assert len(made) == 400 and "can't be kept" in said[-1]
