from __future__ import annotations

import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import desa.survey.from_files
from desa.errors import DamagedFile, DesaError
from desa.simulate.survey import simulate_survey
from desa.survey.from_files import (
    Item,
    LeftOut,
    expand,
    group_files,
    is_survey,
    one_lightcurve,
    stars_of_files,
)
from desa.survey.selection import stars_of_survey
from desa.survey.store import SurveyWriter
from desa.types import Star
from helpers.stars import curve, spectrum


def names(stars: list[Star]) -> list[tuple[str, str]]:
    return [(star.star_id, star.spectrum.obsid if star.spectrum else "") for star in stars]


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten mock stars as the archives' files: two quarters each."""
    out = tmp_path_factory.mktemp("files")
    simulate_survey(10, 3, out, format="fits", quarters=range(4, 6))
    return out


def test_headers_alone_tell_what_belongs_together(archive: Path) -> None:
    files = expand([archive / "lightcurves", archive / "spectra"], [])
    assert len(files) == len(set(files)) and expand([files[0], files[0], archive / "lightcurves"], []) == [
        path for path in files if "lightcurves" in path.parts
    ]
    left_out: LeftOut = []
    stars = group_files(files, 3.0, left_out)
    assert left_out == [] and sum(len(star.files) for star in stars) == len(files)
    assert {len(star.lightcurves) for star in stars} >= {2}
    both = [star for star in stars if star.lightcurves and star.spectra]
    assert len(both) >= 5
    assert [star.star_id for star in stars] == sorted(star.star_id for star in stars)


def test_stars_of_files_are_stitched_and_paired(archive: Path, tmp_path: Path) -> None:
    bad = tmp_path / "page.fits"
    bad.write_text("<html>")
    left_out: LeftOut = []
    seen: list[tuple[int, int]] = []
    batches = list(
        stars_of_files([archive / "lightcurves", bad, archive / "spectra"], left_out=left_out, size=3,
                       progress=lambda *now: seen.append(now))
    )  # fmt: skip
    stars = [star for batch in batches for star in batch]
    assert len(batches) > 3 and [path for path, _ in left_out] == [str(bad)]
    assert seen[-1][0] == seen[-1][1] and sorted(seen) == seen
    curves = {star.star_id: star.lightcurve for star in stars if star.lightcurve}
    assert len(curves) == 10 and all(c.quarters in ((4, 5), (4,), (5,)) for c in curves.values())
    for star in stars:
        if star.lightcurve is not None and star.spectrum is not None:
            assert abs(star.lightcurve.ra - star.spectrum.ra) < 1e-3


def test_memory_does_not_grow_with_the_number_of_files(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(path: Path) -> Item:
        return curve(f"KIC {path.name}", length=20_000)

    monkeypatch.setattr(desa.survey.from_files, "read", read)

    def peak(count: int) -> int:
        tracemalloc.start()
        for batch in stars_of_files([f"{n}" for n in range(count)], left_out=[], size=4):
            assert len(batch) == 4
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    assert peak(400) < 2 * peak(40), "4 stars hold 0.6 MB, 400 would hold 64"


def test_a_spectrum_without_name_goes_to_the_nearest_star(monkeypatch: pytest.MonkeyPatch) -> None:
    files: dict[str, Item] = {
        "q1": curve("KIC 1", first=1000, quarter=1),
        "near": spectrum("", obsid="21", ra=290.0 + 0.5 / 3600, snr=10.0),
        "q2": curve("KIC 1", first=1400, quarter=2),
        "named": spectrum("KIC 9", obsid="22", ra=10.0),
        "again": spectrum("KIC 1", obsid="23", ra=10.0),
        "nine": curve("KIC 9", ra=float("nan")),
        "alone": spectrum("", obsid="24", ra=100.0),
    }
    monkeypatch.setattr(desa.survey.from_files, "read", lambda path: files[path.name])
    (stars,) = stars_of_files(list(files), left_out=[], every_spectrum=True)
    assert names(stars) == [("KIC 1", "23"), ("KIC 9", "22"), ("file alone", "24")]
    assert [spectrum.obsid for spectrum in stars[0].spectra] == ["23", "21"]
    assert stars[0].lightcurve is not None and stars[0].lightcurve.quarters == (1, 2)
    (stars,) = stars_of_files(list(files), left_out=[])
    assert [len(star.spectra) for star in stars] == [1, 1, 1]


def test_of_two_copies_of_a_quarter_the_better_one_stays() -> None:
    worse = replace(curve("KIC 4", first=1000, quarter=3, length=200), sources=("worse.fits",))
    left_out: LeftOut = []
    found = one_lightcurve(
        [worse, curve("KIC 4", first=1000, quarter=3), curve("KIC 4", first=1400, quarter=4)], left_out
    )
    assert found is not None and found.quarters == (3, 4)
    assert [path for path, _ in left_out] == ["worse.fits"] and "same quarter" in left_out[0][1]


def test_what_fits_on_no_common_axis_is_left_out() -> None:
    left_out: LeftOut = []
    found = one_lightcurve(
        [curve("KIC 4", first=1000, quarter=3), curve("KIC 4", first=1100, quarter=4)], left_out
    )
    assert found is not None and len(left_out) == 1 and "one time axis" in left_out[0][1]
    assert one_lightcurve([], left_out) is None


def test_a_check_that_fails_and_an_unforeseen_error_leave_one_file_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def read(path: Path) -> Item:
        if path.name == "odd":
            raise RuntimeError("surprise")
        return spectrum("", obsid=path.name)

    def check(item: Item) -> None:
        if item.obsid == "wrong":  # type: ignore[union-attr]
            raise DesaError("this model has no spectrum encoder")

    monkeypatch.setattr(desa.survey.from_files, "read", read)
    left_out: LeftOut = []
    found = list(stars_of_files(["odd", "wrong", "right"], check=check, left_out=left_out))
    assert names(found[0]) == [("file right", "right")]
    assert dict(left_out) == {
        "odd": "reading it failed unexpectedly (RuntimeError: surprise)",
        "wrong": "this model has no spectrum encoder",
    }


def test_nothing_usable_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(path: Path) -> Item:
        raise DamagedFile(path, "is empty")

    monkeypatch.setattr(desa.survey.from_files, "read", read)
    with pytest.raises(DesaError, match="none of 1 files could be used; bad: is empty"):
        list(stars_of_files(["bad"], left_out=[]))
    with pytest.raises(DesaError, match="none of 0 files"):
        list(stars_of_files([], left_out=[]))


def test_stars_of_a_survey_have_their_best_data(tmp_path: Path) -> None:
    writer = SurveyWriter(tmp_path, "mock")
    writer.add_lightcurve(curve("KIC 1", length=200))
    writer.add_lightcurve(curve("KIC 1", first=5000, quarter=9, length=400))
    writer.add_lightcurve(curve("KIC 2", ra=281.0))
    for star_id, obsid, snr in (("KIC 1", "11", 40.0), ("KIC 1", "12", 10.0), ("KIC 3", "31", np.nan)):
        writer.add_spectrum(spectrum(star_id, obsid=obsid, snr=snr))
    survey = writer.finish(None, {})
    batches = list(stars_of_survey(survey, size=2))
    assert [names(batch) for batch in batches] == [[("KIC 1", "11"), ("KIC 2", "")], [("KIC 3", "31")]]
    assert batches[0][0].lightcurve is not None and len(batches[0][0].lightcurve) == 400
    assert is_survey(tmp_path) and not is_survey(tmp_path / "spectra")
