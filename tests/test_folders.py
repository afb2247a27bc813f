"""A folder is filled by one run, only if it is ours, and nothing of others in it is touched."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from desa.download.folder import Job, download
from desa.download.http import Remote
from desa.download.sources import kepler_jobs
from desa.errors import ArchiveError, OutputError
from desa.folders import MARKER, claimed, inside
from desa.simulate.survey import simulate_survey
from desa.survey.ingest import ingest
from desa.survey.store import SurveyWriter
from helpers.samples import write_quarter


def state(folder: Path) -> dict[str, tuple[str, int]]:
    return {
        str(path.relative_to(folder)): (
            hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "",
            path.lstat().st_mtime_ns,
        )
        for path in folder.rglob("*")
    }


THEIRS = (
    "stars.parquet",
    "spectra/data-00000-of-00001.arrow",
    "spectra/data-00000-mine.arrow",
    "lightcurves/.hours_of_work.part",
    "deep/below/.rsync.part",
)


@pytest.fixture
def theirs(tmp_path: Path) -> Path:
    for name in THEIRS:
        path = tmp_path / "theirs" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("theirs")
    return tmp_path / "theirs"


def commands(tmp_path: Path):
    write_quarter(tmp_path / "in" / "a_llc.fits", 100, 3)
    job = Job("a", "a.fits", Remote("http://127.0.0.1:9/a"))
    yield lambda out: simulate_survey(1, 0, out, quarters=[3])
    yield lambda out: simulate_survey(1, 0, out, "fits", quarters=[3])
    yield lambda out: ingest(tmp_path / "in", None, None, out, processes=1)
    yield lambda out: SurveyWriter(out)
    yield lambda out: download([job], out)


def test_folders_of_others_are_refused(theirs: Path, tmp_path: Path) -> None:
    before = state(theirs)
    (tmp_path / "link").symlink_to(theirs)
    for command in commands(tmp_path):
        for out in (theirs, tmp_path / "link"):
            with pytest.raises(OutputError, match="something else"):
                command(out)
    assert state(theirs) == before


def test_nothing_goes_through_a_link(theirs: Path, tmp_path: Path) -> None:
    before = state(theirs)
    for number, name in enumerate(("spectra", "lightcurves")):
        out = tmp_path / f"out{number}"
        simulate_survey(1, 0, out, quarters=[3])
        place = out / name
        place.rename(out / "aside")
        place.symlink_to(theirs / name)
        with pytest.raises(OutputError, match="a link"):
            simulate_survey(1, 1, out, quarters=[3])
        with pytest.raises(OutputError, match="a link"):
            ingest(tmp_path / "in", None, None, out)
    assert state(theirs) == before


def test_files_of_others_in_our_folder_stay(tmp_path: Path) -> None:
    simulate_survey(1, 0, tmp_path, quarters=[3])
    mine = {"spectra/data-00000-mine.arrow", "spectra/shards/x.json", ".notes.part", "mock/.a.part"}
    for name in mine:
        (tmp_path / name).write_text("theirs")
    simulate_survey(1, 1, tmp_path, quarters=[3])
    assert {name for name in mine if (tmp_path / name).read_text() == "theirs"} == mine


def test_a_folder_holds_one_thing(tmp_path: Path) -> None:
    simulate_survey(1, 0, tmp_path, "fits", quarters=[3])
    with pytest.raises(OutputError, match="holds a set of mock archive files, not a survey"):
        simulate_survey(1, 0, tmp_path, quarters=[3])
    (tmp_path / MARKER).write_text("{")
    with pytest.raises(OutputError, match="not a marker"):
        simulate_survey(1, 0, tmp_path, quarters=[3])


def test_a_survey_of_an_earlier_version_is_ours(tmp_path: Path) -> None:
    simulate_survey(1, 0, tmp_path, quarters=[3])
    (tmp_path / MARKER).unlink()
    simulate_survey(1, 1, tmp_path, quarters=[3])
    assert json.loads((tmp_path / MARKER).read_text()) == {"holds": "survey"}
    (tmp_path / MARKER).unlink()
    (tmp_path / "survey.json").write_text('{"format": 1, "survey": "of opinions"}')
    with pytest.raises(OutputError, match="something else"):
        simulate_survey(1, 1, tmp_path, quarters=[3])


def test_rivals_hear_it_in_one_sentence(tmp_path: Path) -> None:
    commands_of_all = list(commands(tmp_path))
    with claimed(tmp_path / "out", "survey"):
        for command in commands_of_all:
            with pytest.raises(OutputError, match="another run is filling this folder"):
                command(tmp_path / "out")


HOSTILE_LISTS = (
    {"kic": 1, "files": [["../../../X.fits", "mast:x", 3]]},
    {"kic": 1, "files": [["/etc/passwd", "mast:x", 3]]},
    {"kic": 1, "files": [["kplr000000001-2009166043257_llc.fits/../../x", "mast:x", 3]]},
    {"kic": 1, "files": [["kplr000000001-2009166043257_llc.fits", "mast:x", -3]]},
    {"kic": 1, "files": "kplr"},
    {"kic": "1", "files": []},
)


@pytest.mark.parametrize("row", HOSTILE_LISTS)
def test_a_hostile_list_is_refused(row: dict[str, object], tmp_path: Path) -> None:
    (tmp_path / "out/.fetch").mkdir(parents=True)
    (tmp_path / "out/.fetch/listed.jsonl").write_text(json.dumps(row) + "\n")
    with pytest.raises(ArchiveError, match="line 1 is damaged"):
        kepler_jobs([1], tmp_path / "out", None)  # type: ignore[arg-type]


def test_a_hostile_manifest_finds_nothing_outside(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    out = tmp_path / "out"
    (out / ".fetch").mkdir(parents=True)
    (out / "link").symlink_to(tmp_path)
    names = ("../secret", "../../etc/passwd", str(tmp_path / "secret"), "link/secret")
    rows = [{"name": name, "path": name, "bytes": 6, "sha256": ""} for name in names]
    (out / ".fetch/manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    jobs = [Job(name, name, Remote("http://127.0.0.1:9/a")) for name in names]
    outcome = download(jobs, out)
    assert not outcome.already and not outcome.fetched
    assert all("leads out of the folder" in reason for _, reason in outcome.failed)
    assert (tmp_path / "secret").read_text() == "secret"


def test_a_file_that_fetch_did_not_bring_is_not_replaced(tmp_path: Path) -> None:
    with claimed(tmp_path, "folder of downloads"):
        (tmp_path / "a.fits").write_text("theirs")
    outcome = download([Job("a", "a.fits", Remote("http://127.0.0.1:9/a"))], tmp_path)
    assert "another file, which desa did not put there" in outcome.failed[0][1]
    assert (tmp_path / "a.fits").read_text() == "theirs"


def test_inside(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("/etc")
    assert inside(tmp_path, "a/b.fits") == tmp_path / "a/b.fits"
    for name in ("", ".", "..", "../a", "a/../../b", "/etc/passwd", "link/passwd", "link", "a\0b"):
        assert inside(tmp_path, name) is None
