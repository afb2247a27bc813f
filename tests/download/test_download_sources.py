"""What is asked of MAST and LAMOST, against a stand-in for astroquery and a server of our own."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from astropy.table import Table
from pydantic import SecretStr
from typer.testing import CliRunner

from desa.cli import app
from desa.download import sources
from desa.download.sources import kepler_jobs, lamost_address, lamost_jobs, wanted
from desa.errors import ArchiveError, SettingsError
from desa.survey.ingest import ingest
from helpers import bad_server as bad
from helpers.samples import write_quarter, write_spectrum

FIRST, SECOND = "2009166043257", "2009259160929"


class Mast:
    """Answers as astroquery's ``Observations`` does: tables."""

    def __init__(self, sizes: dict[int, list[int]], failures: int = 0) -> None:
        self.sizes, self.failures = sizes, failures
        self.asked: list[list[str]] = []

    def query_criteria(self, *, obs_collection, target_name):
        assert obs_collection == "Kepler"
        if self.failures:
            self.failures -= 1
            raise ConnectionError("MAST is down\nfor now")
        self.asked.append(list(target_name))
        known = [kic for kic in self.sizes if f"kplr{kic:09d}" in target_name]
        return Table({"obsid": known}) if known else Table()

    def get_product_list(self, observations):
        rows = [
            (f"kplr{kic:09d}-{stamp}_{kind}", f"mast:Kepler/{kic}/{stamp}/{kind}", size)
            for kic in observations["obsid"]
            for stamp, size in zip((FIRST, SECOND), self.sizes[int(kic)], strict=False)
            for kind in ("llc.fits", "slc.fits", "lpd-targ.fits.gz", "llc.fits")
        ]
        rows.append(("../../etc/passwd", "mast:Kepler/evil", 1))
        return Table(rows=rows, names=["productFilename", "dataURI", "size"])


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr("desa.download.pace.FIRST_WAIT_S", 0.01)


def test_kepler_files(tmp_path):
    mast = Mast({8462852: [11, 12], 757450: [13]}, failures=2)
    seen = []
    jobs, without = kepler_jobs(
        [8462852, 757450, 5], tmp_path, mast, rate=1000, progress=lambda *counts: seen.append(counts)
    )
    assert [(job.path, job.remote.size, job.star_id) for job in jobs] == [
        (f"0084/008462852/kplr008462852-{FIRST}_llc.fits", 11, "KIC 8462852"),
        (f"0084/008462852/kplr008462852-{SECOND}_llc.fits", 12, "KIC 8462852"),
        (f"0007/000757450/kplr000757450-{FIRST}_llc.fits", 13, "KIC 757450"),
    ]
    assert jobs[0].remote.url == f"{sources.MAST_DOWNLOAD}mast:Kepler/8462852/{FIRST}/llc.fits"
    assert without == [("KIC 5", "MAST lists no long-cadence light curve of it")]
    assert mast.asked == [["kplr008462852", "kplr000757450", "kplr000000005"]] and seen[-1] == (3, 3)
    assert kepler_jobs([8462852, 757450, 5], tmp_path, mast, rate=1000) == (jobs, without)
    assert len(mast.asked) == 1  # what was listed is not asked for again


def test_many_stars_are_asked_for_in_parts(tmp_path):
    mast = Mast({kic: [1] for kic in range(1, 121)})
    jobs, _ = kepler_jobs(range(1, 121), tmp_path, mast, rate=1000)
    assert [len(part) for part in mast.asked] == [50, 50, 20] and len(jobs) == 120


def test_mast_that_stays_down(tmp_path):
    with pytest.raises(ArchiveError, match="MAST can't list the files of kplr000000005 and 0 more: MAST is"):
        kepler_jobs([5], tmp_path, Mast({}, failures=99), rate=1000)


def test_numbers_from_tables(tmp_path):
    pq.write_table(pa.table({"KIC": [5, 7, None, 5], "obsid": ["1", "2", "x", None]}), tmp_path / "t")
    assert wanted([9, 7], tmp_path / "t", "kic") == [9, 7, 5]
    assert wanted([], tmp_path / "t", "obsid") == [1, 2]
    (tmp_path / "list.txt").write_text("12\n15\n12\n")
    assert wanted([], tmp_path / "list.txt", "kic") == [12, 15]
    (tmp_path / "other.csv").write_text("kic,teff\n1,5000\n")
    with pytest.raises(SettingsError, match="no column named obsid"):
        wanted([], tmp_path / "other.csv", "obsid")
    with pytest.raises(SettingsError, match="nothing to fetch: give --kic or --from TABLE"):
        wanted([], None, "kic")
    with pytest.raises(SettingsError, match="-3 is no kic"):
        wanted([-3], None, "kic")
    with pytest.raises(ArchiveError, match="can't be read"):
        wanted([], tmp_path / "absent", "kic")


@pytest.mark.parametrize(
    ("release", "address"),
    [
        ("dr10", "https://www.lamost.org/dr10/v2.0/spectrum/fits/"),
        ("DR8_v1.1", "https://www.lamost.org/dr8/v1.1/spectrum/fits/"),
        ("dr5", "http://dr5.lamost.org/v3/spectrum/fits/"),
        ("dr1", "http://dr1.lamost.org/spectrum/fits/"),
    ],
)
def test_releases(release, address):
    assert lamost_address(release) == address


@pytest.mark.parametrize("release", ["10", "dr", "dr10_v2.0/../x", "dr99", "dr0_v1"])
def test_no_releases(release):
    with pytest.raises(SettingsError, match=r"release|version"):
        lamost_address(release)


def test_lamost_jobs():
    (job,) = lamost_jobs([437513049], "dr10_v1.0", SecretStr("abc"))
    assert job.path == "dr10/4375/lamost-dr10-437513049.fits" and job.obsid == "437513049"
    assert job.remote.request_url().endswith("/dr10/v1.0/spectrum/fits/437513049?token=abc")


def test_commands(tmp_path, monkeypatch):
    """Both commands from the numbers to a survey; what is missing is listed and the exit code is 1."""
    runner = CliRunner()
    quarter = write_quarter(tmp_path / "q.fits", 8462852, 3).read_bytes()
    spectrum = write_spectrum(tmp_path / "s.fits", 101).read_bytes()
    with bad.serving() as site:
        uri = f"mast:Kepler/8462852/{FIRST}/llc.fits"
        site.files = {"/d/" + uri: quarter, "/dr10/v2.0/spectrum/fits/101": spectrum}
        site.wrong["/dr10/v2.0/spectrum/fits/102"] = [bad.page]
        monkeypatch.setattr(sources, "mast", lambda: Mast({8462852: [len(quarter)]}))
        monkeypatch.setattr(
            kepler_jobs, "__kwdefaults__", kepler_jobs.__kwdefaults__ | {"url": site.url + "/d/"}
        )
        monkeypatch.setattr(lamost_jobs, "__kwdefaults__", {"site": site.url})
        light, spectra = tmp_path / "light", tmp_path / "spectra"
        command = ["fetch", "kepler", "--kic", "8462852", "--rate", "50", "-o", str(light)]
        result = runner.invoke(app, command)
        assert result.exit_code == 0 and "1 files fetched" in result.output
        assert runner.invoke(app, [*command, "--kic", "5"]).exit_code == 1
        command = ["fetch", "lamost", "--obsid", "101", "--obsid", "102", "--rate", "50", "-o", str(spectra)]
        result = runner.invoke(app, command, env={"DESA_LAMOST_TOKEN": "F00secret"})
        assert result.exit_code == 1 and "1 files fetched" in result.output
        assert "dr10 102: a web page came instead" in result.output
        assert "F00secret" not in result.output
        assert any(path.endswith("?token=F00secret") for path, _ in site.asked)
    report = ingest(light, spectra, None, tmp_path / "survey")
    assert report["left_out"] == []
