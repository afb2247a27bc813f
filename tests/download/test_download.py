"""Downloads from a server that has bad days: see `bad_server`."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from astropy.io import fits
from pydantic import SecretStr

from desa.download import folder as downloads
from desa.download.folder import Job, download
from desa.download.http import Patience, Refused, Remote, fetch
from desa.download.manifest import Journal, Row
from desa.download.pace import Pace, Stopped
from desa.errors import ArchiveError, OutputError
from desa.survey.scan import list_files
from helpers import bad_server as bad
from helpers.samples import write_quarter, write_spectrum

QUICK = Patience(timeout_s=0.3, attempts=3, longest_pause_s=5)
TOKEN = "F00secret00d"


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    """Waits between tries are made short; their lengths are tested by themselves."""
    monkeypatch.setattr("desa.download.pace.FIRST_WAIT_S", 0.01)
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def quarter(tmp_path_factory) -> bytes:
    path = write_quarter(tmp_path_factory.mktemp("files") / "q.fits", 8462852, 3)
    with fits.open(path) as hdus:
        stream = io.BytesIO()
        hdus.writeto(stream, checksum=True)
    return stream.getvalue()


@pytest.fixture(scope="module")
def spectrum(tmp_path_factory) -> bytes:
    path = write_spectrum(tmp_path_factory.mktemp("files") / "s.fits", 437513049)
    return gzip.compress(path.read_bytes(), 1)


@pytest.fixture
def site():
    with bad.serving() as site:
        yield site


def job(site, content: bytes | None, name: str = "q.fits", listed: bool = False, **kinds) -> Job:
    if content is not None:
        site.files[f"/{name}"] = content
    size = len(content) if listed and content else None
    return Job(name, f"sub/{name}", Remote(f"{site.url}/{name}", size), **kinds)


def run(jobs, folder, **kinds):
    return download(jobs, folder, **({"patience": QUICK, "rate": 1000.0} | kinds))


def test_a_good_day(site, quarter, spectrum, tmp_path):
    jobs = [
        job(site, quarter, "q.fits", listed=True, star_id="KIC 8462852"),
        job(site, spectrum, "s.fits", obsid="437513049"),
    ]
    seen = []
    outcome = run(jobs, tmp_path, progress=lambda done, total: seen.append((done, total)))
    assert outcome.fetched == ["q.fits", "s.fits"] and not outcome.failed and not outcome.unusable
    assert outcome.size == len(quarter) + len(spectrum) and seen[-1] == (2, 2)
    assert (tmp_path / "sub/q.fits").read_bytes() == quarter
    assert (tmp_path / "sub/s.fits.gz").read_bytes() == spectrum  # named after what it is
    rows = [json.loads(line) for line in (tmp_path / ".fetch/manifest.jsonl").read_text().splitlines()]
    sums = {row["name"]: row["sha256"] for row in rows}
    assert sums["q.fits"] == hashlib.sha256(quarter).hexdigest()
    assert [state.name for state in list_files(tmp_path)] == ["sub/q.fits", "sub/s.fits.gz"]
    asked = len(site.asked)
    again = run(jobs, tmp_path)
    assert again.already == ["q.fits", "s.fits"] and not again.fetched and len(site.asked) == asked


BAD_DAYS = {
    "busy": [bad.status(429), bad.status(503, {"Retry-After": "0"})],
    "failing": [bad.status(500), bad.status(502)],
    "timeout": [bad.silence(0.5)],
    "truncated": [bad.cut(0.4), bad.cut(0.7)],
    "length_short": [bad.lie(3000)],
    "length_long": [bad.lie(10**6)],
    "no_length_and_cut": [bad.lie(-1, 0.4)],
    "nothing": [bad.cut(0.0)],
    "wrong_part": [bad.cut(0.4), bad.other_part],
    "no_ranges": [bad.cut(0.4), bad.no_ranges],
    "flipped_bits": [bad.damaged],
    "hung_up": [lambda handler, content: None],
}


@pytest.mark.parametrize("listed", [True, False])
@pytest.mark.parametrize("day", BAD_DAYS)
@pytest.mark.parametrize("kind", ["q.fits", "s.fits"])
def test_bad_days_end_well(site, quarter, spectrum, tmp_path, day, kind, listed):
    one = job(site, quarter if kind == "q.fits" else spectrum, kind, listed)
    site.wrong[f"/{kind}"] = list(BAD_DAYS[day])
    outcome = run([one], tmp_path)
    assert outcome.fetched == [kind] and not outcome.failed
    (path,) = (tmp_path / "sub").iterdir()
    assert path.read_bytes() == site.files[f"/{kind}"]
    assert not site.wrong[f"/{kind}"]
    assert not list((tmp_path / ".fetch/parts").iterdir())


def test_goes_on_where_it_broke_off(site, quarter, tmp_path):
    one = job(site, quarter)
    site.wrong["/q.fits"] = [bad.cut(0.5), bad.status(404)]
    assert run([one], tmp_path).failed == [("q.fits", "the archive does not have it (404)")]
    assert run([one], tmp_path).fetched == ["q.fits"]
    first, second, third = site.requests("/q.fits")
    assert "Range" not in first
    assert second["Range"] == third["Range"] == f"bytes={len(quarter) // 2}-"
    assert third["If-Range"] == site.etag


def test_a_file_that_changed_meanwhile_is_fetched_anew(site, quarter, tmp_path):
    one = job(site, quarter)
    site.wrong["/q.fits"] = [bad.cut(0.5), bad.status(404)]
    run([one], tmp_path)
    site.etag = '"v2"'
    assert run([one], tmp_path).fetched == ["q.fits"]
    assert (tmp_path / "sub/q.fits").read_bytes() == quarter


def test_without_a_version_it_starts_again(site, quarter, tmp_path):
    site.etag = ""
    one = job(site, quarter)
    site.wrong["/q.fits"] = [bad.cut(0.5)]
    assert run([one], tmp_path).fetched == ["q.fits"]
    assert all("Range" not in headers for headers in site.requests("/q.fits"))


def test_progress_counts_as_hope(site, quarter, tmp_path):
    """A line that breaks after every few bytes brings the file in the end."""

    def few(handler, content):
        start = int((handler.headers.get("Range") or "bytes=0-")[6:-1])
        rest = content[start:]
        span = {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"} if start else {}
        handler.reply(206 if start else 200, rest[:1000], span, length=len(rest))

    site.wrong["/q.fits"] = [few] * 6
    assert len(quarter) > 8000
    assert run([job(site, quarter)], tmp_path).fetched == ["q.fits"]


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ([bad.page], "a web page came instead"),
        ([bad.status(401)], "is the token right"),
        ([bad.status(403)], "access refused"),
        ([bad.status(418)], "418"),
        ([bad.status(503)] * 9, "the service is unavailable (503), 3 times in a row"),
        ([bad.status(429, {"Retry-After": "3600"})], "asks to wait 3600 s"),
        ([bad.silence(0.5)] * 9, "does not answer in time, 3 times"),
        ([bad.damaged] * 9, "checksum"),
        ([bad.redirect("ftp://example.org/q.fits")] * 9, "redirected from http to ftp"),
    ],
)
def test_what_cannot_be_had_is_said(site, quarter, tmp_path, answers, reason):
    site.wrong["/q.fits"] = list(answers)
    outcome = run([job(site, quarter)], tmp_path)
    assert not outcome.fetched and reason in outcome.failed[0][1]
    assert not (tmp_path / "sub").exists()
    (row,) = (tmp_path / ".fetch/failed.jsonl").read_text().splitlines()
    assert reason in json.loads(row)["reason"]


def test_one_bad_file_does_not_stop_the_others(site, quarter, tmp_path):
    jobs = [job(site, quarter, f"{n}.fits") for n in range(4)] + [job(site, None, "none.fits")]
    site.wrong["/1.fits"] = [bad.page]
    outcome = run(jobs, tmp_path)
    assert outcome.fetched == ["0.fits", "2.fits", "3.fits"]
    assert [name for name, _ in outcome.failed] == ["1.fits", "none.fits"]


def test_redirects_are_followed(site, quarter, tmp_path):
    site.files["/there.fits"] = quarter
    site.wrong["/q.fits"] = [bad.redirect("/there.fits")]
    assert run([job(site, quarter)], tmp_path).fetched == ["q.fits"]


def test_the_right_star_or_none(site, quarter, spectrum, tmp_path):
    jobs = [
        job(site, quarter, "q.fits", star_id="KIC 1"),
        job(site, spectrum, "s.fits", obsid="2"),
    ]
    outcome = run(jobs, tmp_path)
    assert [reason for _, reason in outcome.failed] == [
        "the archive sent KIC 8462852 where KIC 1 was asked for",
        "the archive sent 437513049 where 2 was asked for",
    ]


def test_whole_files_of_no_use_are_kept_and_named(site, tmp_path):
    stream = io.BytesIO()
    fits.PrimaryHDU(np.zeros((3, 4))).writeto(stream)
    outcome = run([job(site, stream.getvalue(), "image.fits")], tmp_path)
    assert outcome.fetched == ["image.fits"] and outcome.unusable[0][0] == "image.fits"
    assert (tmp_path / "sub/image.fits").exists()
    assert run([job(site, stream.getvalue(), "image.fits")], tmp_path).unusable == outcome.unusable


def test_a_run_killed_before_the_manifest_knew(site, quarter, tmp_path):
    one = job(site, quarter, listed=True)
    run([one], tmp_path)
    (tmp_path / ".fetch/manifest.jsonl").unlink()
    asked = len(site.asked)
    assert run([one], tmp_path).already == ["q.fits"] and len(site.asked) == asked
    (tmp_path / "sub/q.fits").write_bytes(quarter[:4000])
    assert run([one], tmp_path).fetched == ["q.fits"]
    assert (tmp_path / "sub/q.fits").read_bytes() == quarter


def test_a_killed_process_leaves_nothing_that_looks_whole(site, quarter, tmp_path):
    """SIGKILL while bytes come in; the next run ends the work."""
    site.wrong["/q.fits"] = [lambda handler, content: handler.reply(200, content[:4000], length=99999)]
    site.wrong["/q.fits"] += [bad.silence(20)]
    code = (
        "import sys; from pathlib import Path; from desa.download.folder import Job, download; "
        "from desa.download.http import Remote; "
        "download([Job('q.fits', 'q.fits', Remote(sys.argv[1]))], Path(sys.argv[2]))"
    )
    command = [sys.executable, "-c", code, f"{site.url}/q.fits", str(tmp_path)]
    site.files["/q.fits"] = quarter
    with subprocess.Popen(command) as process:
        while len(site.asked) < 2:
            assert process.poll() is None
        process.kill()
    assert not list_files(tmp_path)
    outcome = run([Job("q.fits", "q.fits", Remote(f"{site.url}/q.fits"))], tmp_path)
    assert outcome.fetched == ["q.fits"] and (tmp_path / "q.fits").read_bytes() == quarter


def test_many_refusals_end_the_asking(site, quarter, tmp_path, monkeypatch):
    monkeypatch.setattr(downloads, "GIVE_UP_AFTER", 5)
    jobs = [job(site, quarter, f"{n}.fits") for n in range(30)]
    for one in jobs:
        site.wrong[f"/{one.name}"] = [bad.status(403)]
    outcome = run(jobs, tmp_path, threads=1)
    assert len(outcome.failed) == 30 and len(site.asked) == 5
    assert "not tried: the first 5" in outcome.failed[-1][1]


def test_room_on_the_disk(site, quarter, tmp_path, monkeypatch):
    jobs = [Job(str(n), f"{n}.fits", Remote(f"{site.url}/q.fits", 10**9)) for n in range(3)]
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=3 * 10**9))
    with pytest.raises(ArchiveError, match=r"3 files need about 3\.0 GB and 2\.5 GB can be used"):
        run(jobs, tmp_path)
    assert not site.asked


def test_a_full_disk_ends_the_run(site, quarter, tmp_path, monkeypatch):
    def full(part, target):
        raise OSError(28, "No space left on device", str(target))

    monkeypatch.setattr(downloads, "settle", full)
    with pytest.raises(OutputError, match=r"the disk is full \(.*wanted.*free\); make room"):
        run([job(site, quarter)], tmp_path)


def test_two_runs_in_one_folder(tmp_path):
    with downloads.claimed_for_downloads(tmp_path), pytest.raises(OutputError, match="another run"):
        run([], tmp_path)


def test_the_token_goes_to_the_server_only(site, quarter, tmp_path):
    remote = Remote(f"{site.url}/q.fits", token=SecretStr(TOKEN))
    assert TOKEN not in repr(remote) + repr(Job("q", "q", remote))
    site.files["/q.fits"] = quarter
    site.wrong["/q.fits"] = [bad.cut(0.4), bad.redirect(f"gopher://x/?{TOKEN}")]
    outcome = run([Job("q.fits", "q.fits", remote)], tmp_path)
    assert outcome.failed and TOKEN not in str(outcome)
    assert run([Job("q.fits", "q.fits", remote)], tmp_path).fetched
    assert all(path.endswith(f"?token={TOKEN}") for path, _ in site.asked)
    for path in tmp_path.rglob("*"):
        assert path.is_dir() or TOKEN.encode() not in path.read_bytes()


def test_huge_answers_are_cut_off(site, tmp_path):
    site.files["/q.fits"] = bytes(200_000)
    pace = Pace(1000)
    with pytest.raises(Refused, match="larger than 1000 bytes"):
        fetch(Remote(f"{site.url}/q.fits", max_bytes=1000), tmp_path / "x.part", pace, QUICK)
    assert not list(tmp_path.iterdir())


def test_a_trickle_is_given_up(site, quarter, tmp_path):
    def trickle(handler, content):
        handler.reply(200, content[:1], length=len(content))
        for byte in content[1:9]:
            handler.wfile.write(bytes([byte]))
            bad.time.sleep(0.05)

    site.files["/q.fits"] = quarter
    site.wrong["/q.fits"] = [trickle]
    patience = Patience(timeout_s=1, slow_after_s=0.1, slowest=1000)
    fetch(Remote(f"{site.url}/q.fits"), tmp_path / "x.part", Pace(1000), patience)
    assert (tmp_path / "x.part").read_bytes() == quarter and len(site.asked) == 2


def test_stopping_ends_waits(site, tmp_path):
    pace = Pace(1000)
    pace.stop()
    with pytest.raises(Stopped):
        fetch(Remote(f"{site.url}/q.fits"), tmp_path / "x.part", pace, QUICK)
    assert not site.asked


class Numbered(Row):
    name: str
    n: int = 0


def test_journal_drops_a_torn_line(tmp_path):
    path = tmp_path / "m.jsonl"
    journal = Journal(path, "name", Numbered)
    journal.add({"name": "a", "n": 1})
    journal.add({"name": "a", "n": 2})
    with path.open("a") as stream:
        stream.write('{"name": "b", "n"')
    again = Journal(path, "name", Numbered)
    assert again.rows == {"a": {"name": "a", "n": 2}}
    again.add({"name": "c"})
    assert set(Journal(path, "name", Numbered).rows) == {"a", "c"}
    for wrong in ("rubbish", '{"name": 7}', '{"name": "a", "n": "1"}', "[" * 100_000):
        path.write_text(f"{wrong}\n")
        with pytest.raises(ArchiveError, match="line 1 is damaged"):
            Journal(path, "name", Numbered)
