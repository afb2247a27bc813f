"""Light-curve files: every rule, on small files written here."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import example, given, settings
from hypothesis import strategies as st

from desa.errors import DamagedFile, FileRefused, UnsupportedFile
from desa.io import identify
from desa.io.quality import PRESETS, bitmask
from desa.io.registry import read_lightcurve_file
from desa.io.stitching import read_lightcurve, stitch
from desa.types import LightCurve
from helpers.archive_files import DAYS, light, write_quarter


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "some.name"


def test_gaps_flags_errors_and_start(file: Path) -> None:
    n = 300
    time, flux, quality = 108.933 + DAYS * np.arange(3000, 3000 + n), light(n).astype("f4"), np.zeros(n, "i4")
    flux[:3] = np.nan
    time[100:110] = np.nan
    quality[50], quality[60] = 32768, 16384  # no fine point: kept; detector anomaly: dropped
    flux[299] = 1e12
    error = np.full(n, 3, "f4")
    error[70], error[71] = 0, np.nan
    changed = {"TIME": time, "PDCSAP_FLUX": flux, "SAP_QUALITY": quality, "PDCSAP_FLUX_ERR": error}
    write_quarter(file, columns=changed)
    found = read_lightcurve_file(file)
    gaps = np.r_[57, 97:107]
    assert np.array_equal(np.flatnonzero(~found.valid), gaps)
    assert found.first_cadence == 3003
    assert found.start_bkjd == time[3]
    assert len(found) == 299 - 3
    median = np.median(flux[3:299][found.valid])
    assert np.allclose(found.flux[found.valid], flux[3:299][found.valid] / median, rtol=1e-6)
    assert np.isnan(found.flux_err[[67, 68]]).all()
    assert found.flux_err[0] == pytest.approx(3 / median)
    assert (found.star_id, found.mission, found.quarters) == ("KIC 8462852", "Kepler", (2,))
    assert (found.ra, found.magnitude, found.meta["teff"]) == (301.5, 11.9, 6584)
    assert identify(file) == "lightcurve"
    for quality_choice, kept in {"none": 1, "hard": 0, 32768: 1, "16384": 0}.items():
        read = read_lightcurve_file(file, quality=quality_choice)
        assert read.valid[57] == bool(kept)


def test_tess_is_binned_and_its_times_are_bkjd(file: Path) -> None:
    columns = write_quarter(file, tess=True, kic=77, first=15 * 400, n=900, days=2 / 1440)
    found = read_lightcurve_file(file)
    assert len(found) == 60
    assert found.cadence_days == pytest.approx(30 / 1440)
    assert found.start_bkjd == pytest.approx(1325 + 7 * 2 / 1440 + 2457000 - 2454833)
    assert (found.star_id, found.mission, found.first_cadence) == ("TIC 77", "TESS", 400)
    mean = columns["PDCSAP_FLUX"].reshape(60, 15).mean(1)
    assert np.allclose(found.flux, mean / np.median(mean), rtol=1e-5)
    assert np.allclose(found.flux_err, 3 / 15**0.5 / np.median(mean), rtol=1e-4)


def test_bins_need_half_their_samples(file: Path) -> None:
    flux = light(900).astype("f4")
    flux[15:23], flux[30:37] = np.nan, np.nan  # 7 of 15 left; 8 of 15 left
    columns = {"PDCSAP_FLUX": flux}
    write_quarter(file, tess=True, first=15 * 400, n=900, days=2 / 1440, columns=columns)
    found = read_lightcurve_file(file)
    assert np.array_equal(np.flatnonzero(~found.valid), [1])
    assert found.flux_err[2] == pytest.approx(found.flux_err[3] * (15 / 8) ** 0.5, rel=1e-4)


@settings(max_examples=60, deadline=None)
@example(3680, 0)
@given(st.integers(0, 10**9), st.integers(0, 7))
def test_the_checksum_finds_any_flipped_bit(
    tmp_path_factory: pytest.TempPathFactory, at: int, bit: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "flipped"
    write_quarter(path, n=60)
    raw = bytearray(path.read_bytes())
    expected = read_lightcurve_file(path)
    place = at % (len(raw) - 5760)  # the last two blocks are the aperture's, which is not read
    card = bytes(raw[place - place % 80 :][:80])
    raw[place] ^= 1 << bit
    path.write_bytes(bytes(raw))
    try:
        found = read_lightcurve_file(path)
    except FileRefused:
        return
    # Its own keyword was hit, or a column's name: with a column of another name the checksum is not asked.
    assert card.startswith((b"CHECKSUM", b"TTYPE"))
    assert np.array_equal(found.flux, expected.flux)
    assert found.star_id == expected.star_id


def test_columns_of_other_tools(file: Path) -> None:
    """Added columns leave the old checksum behind; scaled columns are astropy's to read."""
    columns = write_quarter(file, extra={"CBVSAP_FLUX": light(300).astype("f4")})
    with fits.open(file) as hdus:
        hdus[1].header["CHECKSUM"] = "hcHjjc9ghcEghc9g"
        hdus.writeto(file.with_suffix(".edited"))
    edited = read_lightcurve_file(file.with_suffix(".edited"))
    assert np.array_equal(edited.flux, read_lightcurve_file(file).flux)
    with fits.open(file) as hdus:
        table = hdus[1].columns
        scaled = fits.Column("SAP_QUALITY", "J", bzero=2**31, array=np.zeros(300, "u4"))
        others = [column for column in table if column.name not in ("SAP_QUALITY", "CBVSAP_FLUX")]
        new = fits.BinTableHDU.from_columns([*others, scaled])
        new.header.update({key: hdus[1].header[key] for key in ("TIMEDEL", "BJDREFI", "BJDREFF")})
        fits.HDUList([hdus[0], new]).writeto(file.with_suffix(".scaled"))
    assert np.array_equal(read_lightcurve_file(file.with_suffix(".scaled")).flux, edited.flux)
    assert len(columns["TIME"]) == len(edited)


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        ({"CADENCENO": np.zeros(300, "i4")}, "cadence numbers do not increase"),
        ({"CADENCENO": np.arange(300, dtype="i4") * 10**6}, "impossible time"),
        ({"TIME": np.linspace(100, 900, 300)}, "times do not follow"),
        ({"TIME": np.full(300, np.nan)}, "only 0 good samples of 300"),
        ({"PDCSAP_FLUX": np.zeros(300, "f4")}, "only 0 good samples of 300"),
        ({"PDCSAP_FLUX": np.full(300, 7, "f4")}, "every sample is 7"),
        ({"PDCSAP_FLUX": np.full(300, np.inf, "f4")}, "only 0 good samples of 300"),
        ({"SAP_QUALITY": np.full(300, 2, "i4")}, "only 0 good samples of 300"),
    ],
)
def test_impossible_light_curves(file: Path, columns: dict[str, np.ndarray], sentence: str) -> None:
    write_quarter(file, columns=columns)
    with pytest.raises(DamagedFile, match=f"some.name: .*{sentence}"):
        read_lightcurve_file(file)


def _table(path: Path, **columns: str) -> Path:
    made = [fits.Column(name, form, array=np.ones(20)) for name, form in columns.items()]
    fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU.from_columns(made)]).writeto(path)
    return path


def test_other_tables_are_refused_with_what_they_are(file: Path) -> None:
    for number, (columns, sentence) in enumerate(
        [
            ({"TIME": "D", "FLUX_BKG": "E", "RAW_CNTS": "J"}, "target pixel file"),
            ({"TMID_BJD": "D", "IRM1": "D"}, "in magnitudes"),
            ({"A": "D", "B": "E"}, "unknown columns .A, B"),
        ]
    ):
        path = _table(file.with_suffix(f".{number}"), **columns)
        for reader in (read_lightcurve_file, identify):
            with pytest.raises(UnsupportedFile, match=f"{sentence}.*desa reads"):
                reader(path)


def test_choices_are_checked_before_the_file_is_opened(file: Path) -> None:
    with pytest.raises(ValueError, match="pdcsap or sap"):
        read_lightcurve_file(file, flux_column="kspsap")
    with pytest.raises(ValueError, match="quality must be"):
        read_lightcurve_file(file, quality="soft")
    with pytest.raises(ValueError, match="no files"):
        read_lightcurve([])


def test_quality_presets_are_those_of_lightkurve() -> None:
    flags = pytest.importorskip("lightkurve.utils")
    assert bitmask("default", "Kepler") == flags.KeplerQualityFlags.DEFAULT_BITMASK
    assert PRESETS["Kepler"]["hard"] & ~flags.KeplerQualityFlags.HARDEST_BITMASK == 0
    ours, theirs = bitmask("default", "TESS"), flags.TessQualityFlags.DEFAULT_BITMASK
    assert ours & theirs == theirs
    assert ours & ~theirs == 4096  # stray light foreseen


def _part(first: int, n: int, quarter: int, **changes: object) -> LightCurve:
    rng = np.random.default_rng(first)
    values: dict[str, object] = {
        "flux": (1 + 0.01 * rng.normal(size=n)).astype("f4"),
        "flux_err": np.full(n, 1e-3, "f4"),
        "first_cadence": first,
        "start_bkjd": 108.933 + DAYS * first,
        "cadence_days": DAYS,
        "star_id": "KIC 1",
        "quarters": (quarter,),
        "sources": (f"q{quarter}",),
    }
    return LightCurve(**(values | changes))  # type: ignore[arg-type]


def test_stitching_overlaps_and_foreign_cadence_numbers() -> None:
    one, two, three = (
        _part(1000, 100, 1),
        _part(1090, 100, 2),
        _part(5, 100, 3, start_bkjd=108.933 + DAYS * 1300),
    )
    whole = stitch([three, two, one])
    assert whole.first_cadence == 1000
    assert whole.start_bkjd == one.start_bkjd
    assert len(whole) == 400
    assert np.array_equal(whole.flux[:100], one.flux)
    assert np.array_equal(whole.flux[100:190], two.flux[10:])
    assert np.isnan(whole.flux[190:300]).all()
    assert np.array_equal(whole.flux[300:], three.flux)
    assert whole.quarters == (1, 2, 3)
    assert whole.sources == ("q1", "q2", "q3")


@pytest.mark.parametrize(
    ("parts", "sentence"),
    [
        ([], "no light curve"),
        ([_part(1, 50, 1), _part(1, 50, 1)], "the same quarter twice"),
        ([_part(1, 50, 1), _part(11, 50, 1)], "the same quarter twice"),
        ([_part(1, 50, 1), _part(100, 50, 2, star_id="KIC 2")], "different stars: KIC 1, KIC 2"),
        ([_part(1, 50, 1), _part(100, 50, 2, cadence_days=0.03)], "different cadence"),
        ([_part(1, 50, 1), _part(10**6, 50, 2)], "more than any mission"),
    ],
)
def test_what_can_not_be_stitched(parts: list[LightCurve], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        stitch(parts)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(20, 60), min_size=1, max_size=5),
    st.lists(st.integers(0, 30), min_size=5, max_size=5),
)
def test_stitching_keeps_every_sample(lengths: list[int], gaps: list[int]) -> None:
    parts, first = [], 100
    for quarter, (length, gap) in enumerate(zip(lengths, gaps, strict=False)):
        parts.append(_part(first, length, quarter))
        first += length + gap
    whole = stitch(parts[::-1])
    assert int(whole.valid.sum()) == sum(lengths)
    for part in parts:
        place = part.first_cadence - whole.first_cadence
        assert np.array_equal(whole.flux[place : place + len(part)], part.flux)


def test_files_of_a_star(tmp_path: Path) -> None:
    for quarter in (1, 2):
        write_quarter(tmp_path / str(quarter), quarter=quarter, first=1000 * quarter)
    write_quarter(tmp_path / "other", kic=1)
    whole = read_lightcurve([tmp_path / "2", tmp_path / "1"])
    assert whole.quarters == (1, 2)
    assert len(whole) == 1300
    with pytest.raises(UnsupportedFile, match="different stars"):
        read_lightcurve([tmp_path / "2", tmp_path / "other"])
    with pytest.raises(UnsupportedFile, match="same quarter twice"):
        read_lightcurve([tmp_path / "2", tmp_path / "2"])
