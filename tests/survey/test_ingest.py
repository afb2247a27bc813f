import gzip
import json
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from desa.cli import app
from desa.errors import OutputError, SurveyError
from desa.io.registry import read_lightcurve_file, read_spectrum
from desa.io.stitching import read_lightcurve
from desa.survey.info import damaged_files, survey_info, survey_lines
from desa.survey.ingest import ingest, report_rows
from desa.survey.store import Survey
from helpers.samples import write_quarter, write_spectrum


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """Two stars with both modalities, one by position and one by name; others with one; broken files."""
    folder = tmp_path_factory.mktemp("archive")
    for quarter in (0, 1, 3):
        write_quarter(folder / f"lc/a/q{quarter}_llc.fits", 100, quarter, ra=290.0)
    write_quarter(folder / "lc/b/odd.name", 2000, 5, ra=291.0)
    write_quarter(folder / "lc/a/alone.fits", 300, 2, ra=292.0)
    write_quarter(folder / "lc/c/again.fits", 100, 3, ra=290.0, OBJECT="copy")
    write_spectrum(folder / "sp/1.fits", 1, ra=290.0 + 1 / 3600)
    write_spectrum(folder / "sp/2.fits", 2, ra=10.0, TSOURCE="Kepler", TCOMMENT="KIC 2000")
    write_spectrum(folder / "sp/3.fits", 3, ra=50.0)
    write_spectrum(folder / "sp/4.fits", 4, ra=50.0 + 1 / 3600)
    write_spectrum(folder / "sp/galaxy.fits", 5, ra=60.0, CLASS="GALAXY")
    plain = (folder / "sp/3.fits").read_bytes()
    other = plain.replace(b"OBSID   =                    3", b"OBSID   =                    6")
    (folder / "sp/zipped").write_bytes(gzip.compress(other))
    (folder / "sp/cut.fits").write_bytes(plain[:20_000])
    (folder / "sp/empty.fits").write_bytes(b"")
    (folder / "lc/notes.txt").write_text("observed in clouds")
    (folder / "lc/.hidden").write_text("not looked at")
    (folder / "labels.csv").write_text("KIC,obsid,Teff,Prot\n100,,5700,25\n,3,4000,\n999,,1,1\n")
    return folder


def run(archive, out, **more):
    return ingest(archive / "lc", archive / "sp", archive / "labels.csv", out, **({"processes": 1} | more))


@pytest.fixture(scope="module")
def made(archive, tmp_path_factory):
    out = tmp_path_factory.mktemp("made") / "survey"
    return out, run(archive, out)


def files_of(folder: Path):
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_stars_and_labels(made):
    survey = Survey.open(made[0])
    stars = {star["star_id"]: star for star in survey.stars.to_pylist()}
    assert set(stars) == {"KIC 100", "KIC 2000", "KIC 300", "LAMOST J3"}
    counts = {name: (star["n_lightcurves"], star["n_spectra"]) for name, star in stars.items()}
    assert counts == {"KIC 100": (1, 1), "KIC 2000": (1, 1), "KIC 300": (1, 0), "LAMOST J3": (0, 3)}
    assert stars["KIC 100"]["teff"] == 5700 and stars["LAMOST J3"]["teff"] == 4000
    assert stars["KIC 2000"]["teff"] is None and stars["KIC 100"]["magnitude"] == 12.0
    assert stars["LAMOST J3"]["ra"] == pytest.approx(50.0, abs=1e-3) and survey.kind == "real"


def test_content_is_what_the_readers_say(made, archive):
    survey = Survey.open(made[0])
    stored = survey.lightcurve(0)
    read = read_lightcurve([archive / f"lc/a/q{quarter}_llc.fits" for quarter in (0, 1, 3)])
    assert stored.star_id == "KIC 100" and stored.quarters == (0, 1, 3) == read.quarters
    np.testing.assert_array_equal(stored.flux, read.flux)
    by_obsid = {survey.spectrum(row).obsid: survey.spectrum(row) for row in range(survey.n_spectra)}
    read_one = read_spectrum(archive / "sp/2.fits")
    np.testing.assert_array_equal(by_obsid["2"].flux, read_one.flux)
    np.testing.assert_array_equal(by_obsid["2"].ivar, read_one.ivar)
    assert set(by_obsid) == {"1", "2", "3", "4", "6"}


def test_report(made, archive):
    report = made[1]
    assert report == json.loads((made[0] / "report.json").read_text())
    reasons = {Path(item["path"]).name: item["reason"] for item in report["left_out"]}
    assert set(reasons) == {"again.fits", "notes.txt", "galaxy.fits", "cut.fits", "empty.fits"}
    assert "same quarter" in reasons["again.fits"] and "GALAXY" in reasons["galaxy.fits"]
    assert "empty" in reasons["empty.fits"] and "not a FITS file" in reasons["notes.txt"]
    assert all(Path(item["path"]).exists() for item in report["left_out"])
    assert report["lightcurves"] == {"files": 7, "files_used": 5, "stored": 3, "stars": 3}
    assert report["spectra"] == {"files": 8, "files_used": 5, "stored": 5, "stars": 3}
    stars = report["stars"]
    assert (stars["all"], stars["both"], stars["lightcurve_only"], stars["spectrum_only"]) == (4, 2, 1, 1)
    assert (stars["paired_by_identifier"], stars["paired_by_position"]) == (1, 1)
    assert report["labels"]["stars"] == {"teff": 2, "prot": 1} and report["labels"]["rows_used"] == 2
    rows = dict(report_rows(report))
    assert rows["files left out"] == "5" and all(isinstance(value, str) for value in rows.values())


def test_a_table_of_own_labels_alone_is_enough(archive, tmp_path):
    (tmp_path / "mine.csv").write_text("file,height,kind\nq1_llc.fits,3,RGB\nodd.name,4,\n2.fits,6,dwarf\n")
    report = ingest(archive / "lc", archive / "sp", tmp_path / "mine.csv", tmp_path / "survey", processes=1)
    survey = Survey.open(tmp_path / "survey")
    stars = {star["star_id"]: (star["height"], star["kind"]) for star in survey.stars.to_pylist()}
    assert stars == {
        "KIC 100": (3.0, "RGB"),
        "KIC 2000": (5.0, "dwarf"),
        "KIC 300": (None, None),
        "LAMOST J3": (None, None),
    }
    assert report["labels"]["stars"] == {"height": 2, "kind": 2} == survey_info(tmp_path / "survey")["labels"]
    assert report["labels"]["ignored_columns"] == []
    np.testing.assert_array_equal(np.isfinite(survey.labels("height")), [True, True, False, False])


def test_info(made):
    info = survey_info(made[0])
    assert info["stars"]["both"] == 2 and info["labels"] == {"teff": 2, "prot": 1}
    assert info["spectra"]["releases"] == {"DR5": 5} and sum(info["splits"].values()) == 4
    assert any("KIC" not in line and "with both" in line for line in survey_lines(made[0]))
    assert damaged_files(made[0]) == []


def test_damage_is_found(made, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(made[0], copy)
    shard = next((copy / "spectra").glob("*.arrow"))
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    assert damaged_files(copy) == [f"spectra/{shard.name}"]
    told = CliRunner().invoke(app, ["info", str(copy), "--check"])
    assert told.exit_code == 1 and f"damaged       spectra/{shard.name}" in told.output
    assert CliRunner().invoke(app, ["info", str(made[0]), "--check"]).exit_code == 0


def test_processes_change_nothing_and_a_second_run_keeps_all(made, archive, tmp_path):
    run(archive, tmp_path / "two", processes=2)
    assert files_of(tmp_path / "two") == files_of(made[0])
    before = {p: p.stat().st_mtime_ns for p in (tmp_path / "two").rglob("*.arrow")}
    run(archive, tmp_path / "two")
    assert before == {p: p.stat().st_mtime_ns for p in (tmp_path / "two").rglob("*.arrow")}
    assert files_of(tmp_path / "two") == files_of(made[0])


def test_changed_settings_and_files_are_read_again(archive, tmp_path):
    copy = tmp_path / "archive"
    shutil.copytree(archive, copy)
    one = run(copy, tmp_path / "s")
    run(copy, tmp_path / "fresh", flux_column="sap")
    run(copy, tmp_path / "s", flux_column="sap")
    assert files_of(tmp_path / "s") == files_of(tmp_path / "fresh")
    (copy / "sp/3.fits").unlink()
    two = run(copy, tmp_path / "s")
    assert two["spectra"]["stored"] == one["spectra"]["stored"] - 1
    assert Survey.open(tmp_path / "s").n_spectra == 4


def test_one_modality_one_file_and_same_folder(archive, tmp_path):
    report = ingest(None, archive / "sp", None, tmp_path / "a", processes=1)
    assert report["stars"]["spectrum_only"] == report["stars"]["all"] == 3
    report = ingest(archive / "lc/b/odd.name", None, None, tmp_path / "b", processes=1, kind="mock")
    assert report["stars"]["all"] == 1 and Survey.open(tmp_path / "b").kind == "mock"
    report = ingest(archive, archive, None, tmp_path / "c", processes=1)
    assert (report["lightcurves"]["stored"], report["spectra"]["stored"]) == (3, 5)
    names = [Path(item["path"]).name for item in report["left_out"]]
    assert sorted(names) == sorted(set(names)) and len(names) == 6


def test_output_inside_the_input_is_not_read(archive, tmp_path):
    copy = tmp_path / "archive"
    shutil.copytree(archive / "sp", copy)
    first = ingest(None, copy, None, copy / "survey", processes=1)
    assert ingest(None, copy, None, copy / "survey", processes=1) == first


def test_missions_and_products_are_kept_apart(tmp_path):
    for quarter in (1, 2):
        write_quarter(tmp_path / f"in/{quarter}.fits", 7, quarter)
    long = read_lightcurve_file(tmp_path / "in/1.fits")
    shutil.copy(tmp_path / "in/1.fits", tmp_path / "in/shifted.fits")
    from astropy.io import fits

    with fits.open(tmp_path / "in/shifted.fits", mode="update") as hdus:
        hdus[1].data["CADENCENO"] += (
            30  # less than a day, so that it is another time base and no contradiction
        )
        hdus[0].header["QUARTER"] = 9
    report = ingest(tmp_path / "in", None, None, tmp_path / "s", processes=1)
    assert report["lightcurves"]["stored"] == 2 and not report["left_out"]
    survey = Survey.open(tmp_path / "s")
    assert sorted(survey.lightcurve(row).quarters for row in range(2)) == [(1, 2), (9,)]
    assert len(survey.lightcurve(1)) == len(long)


def test_a_quarter_whose_cadences_contradict_its_times_is_left_out(tmp_path):
    for quarter in (1, 2):
        write_quarter(tmp_path / f"in/{quarter}.fits", 7, quarter)
    shutil.copy(tmp_path / "in/1.fits", tmp_path / "in/shifted.fits")
    from astropy.io import fits

    with fits.open(tmp_path / "in/shifted.fits", mode="update") as hdus:
        hdus[1].data["CADENCENO"] += 100_000
        hdus[0].header["QUARTER"] = 9
    report = ingest(tmp_path / "in", None, None, tmp_path / "s", processes=1)
    assert report["lightcurves"]["stored"] == 1
    assert "shifted.fits" in str(report["left_out"]) and "cadence numbers" in str(report["left_out"])
    survey = Survey.open(tmp_path / "s")
    assert survey.lightcurve(0).quarters == (1, 2)


def test_what_can_not_be_ingested(archive, tmp_path):
    with pytest.raises(SurveyError, match="no such folder"):
        ingest(tmp_path / "absent", None, None, tmp_path / "s", processes=1)
    with pytest.raises(SurveyError, match="nothing to ingest"):
        ingest(None, None, None, tmp_path / "s")
    (tmp_path / "empty").mkdir()
    with pytest.raises(SurveyError, match="no files"):
        ingest(tmp_path / "empty", None, None, tmp_path / "t", processes=1)
    with pytest.raises(OutputError, match="something else"):
        ingest(archive / "lc", None, None, archive, processes=1)
    with pytest.raises(SurveyError, match="real, mock"):
        ingest(archive / "lc", None, None, tmp_path / "u", kind="fake")
    with pytest.raises(OutputError, match="a file, not a folder"):
        ingest(archive / "lc", None, None, archive / "labels.csv")


SCRIPT = """
import os, signal, sys

def progress(done, total):
    if done:
        os.kill(os.getpid(), signal.SIGKILL)

if __name__ == "__main__":
    from desa.survey.ingest import ingest
    ingest(None, sys.argv[1], None, sys.argv[2], processes=2, match_arcsec=0, progress=progress)
"""


def test_killed_in_the_middle_and_run_again(tmp_path):
    """Killed as its first shard ends, others under way; and as the last files are put in place."""
    write_spectrum(tmp_path / "first", 1)
    content = (tmp_path / "first").read_bytes()
    (tmp_path / "in").mkdir()
    for number in range(330):
        changed = content.replace(b"OBSID   =                    1", b"OBSID   =%21d" % number)
        changed = changed.replace(b"LAMOST J1'  ", b"LAMOST J%03d'" % number)
        (tmp_path / f"in/{number:04d}.fits").write_bytes(changed)
    (tmp_path / "script.py").write_text(SCRIPT)
    out = tmp_path / "killed"
    command = [sys.executable, str(tmp_path / "script.py"), str(tmp_path / "in"), str(out)]
    process = subprocess.Popen(command, start_new_session=True)
    assert process.wait(60) == -signal.SIGKILL
    wait_for_workers_of(process.pid)
    done = {path.name[:5] for path in out.glob("spectra/shards/*.json")}
    assert 0 < len(done) < 6
    with pytest.raises(SurveyError, match="unfinished"):
        Survey.open(out)
    (out / "spectra/.data-00005.arrow.part").write_bytes(b"half of a file")
    kept = {name: (out / f"spectra/data-{name}.arrow").stat().st_mtime_ns for name in done}

    def again(folder):
        return ingest(None, tmp_path / "in", None, folder, processes=1, match_arcsec=0)

    again(out)
    again(tmp_path / "whole")
    assert files_of(out) == files_of(tmp_path / "whole")
    assert Survey.open(out).n_stars == 330
    for index, time_of_change in kept.items():
        assert next((out / "spectra").glob(f"data-{index}-*")).stat().st_mtime_ns == time_of_change
    for name in ("survey.json", "stars.parquet", "spectra/state.json"):
        (out / name).unlink()
    (out / "spectra/data-00002-of-00006.arrow").rename(out / "spectra/data-00002.arrow")
    (out / ".survey.json.part").write_bytes(b"{")
    again(out)
    assert files_of(out) == files_of(tmp_path / "whole")


def wait_for_workers_of(group: int) -> None:
    """The processes of a killed run end by themselves."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if not any(in_group(folder, group) for folder in Path("/proc").glob("[0-9]*")):
            return
        time.sleep(0.02)
    raise AssertionError("workers outlived the run")


def in_group(process: Path, group: int) -> bool:
    try:
        fields = (process / "stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return False
    return int(fields[2]) == group and fields[0] != "Z"


def test_kind_comes_from_the_headers(tmp_path):
    # Files that say they are simulated make a mock survey, whoever calls them real.
    mock, mixed, real = (tmp_path / name for name in ("mock", "mixed", "real"))
    for folder in (mock, mixed):
        write_quarter(folder / "1.fits", 1, 3, MOCK=True)
    (mock / "labels.csv").write_text("KIC,Teff\n1,5000\n")
    write_quarter(mixed / "2.fits", 2, 3)
    write_quarter(real / "2.fits", 2, 3, MOCK=False)
    for folder, kind in ((mock, "mock"), (real, "real")):
        assert ingest(folder, None, None, tmp_path / "s" / kind, processes=1)["kind"] == kind
        assert Survey.open(tmp_path / "s" / kind).kind == kind
    for folder in (mock, mixed):
        with pytest.raises(SurveyError, match="simulated"):
            ingest(folder, None, None, tmp_path / "no", processes=1, kind="real")
    with pytest.raises(SurveyError, match=r"1 of 2 files .* apart"):
        ingest(mixed, None, None, tmp_path / "no", processes=1)
    assert ingest(mixed, None, None, tmp_path / "yes", processes=1, kind="mock")["kind"] == "mock"
