"""Files that hold many stars: each star by its own name, as if it had a file of its own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from desa.errors import DamagedFile, UnsupportedFile
from desa.io.compact import LAYOUTS
from desa.io.inspect import inspect_files
from desa.io.lamost_compact import ivar_from_snr
from desa.io.registry import Choices, glance, glances, identify, read, read_lightcurve_file, read_spectrum
from desa.survey.from_files import group_files
from desa.survey.ingest import ingest
from desa.survey.store import Survey
from desa.types import LightCurve, Spectrum
from helpers.archive_files import DAYS, pipeline_table, write_archive, write_quarter, write_table

TIME = 200.0 + DAYS * np.arange(400)
WAVE = 1 + 0.01 * np.sin(TIME / 0.7)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "some.name"


def test_a_star_of_a_table_is_what_its_file_is(tmp_path: Path) -> None:
    columns = pipeline_table(300, 20)
    columns["SAP_QUALITY"][5] = 2
    write_table(tmp_path / "table", columns)
    for kic in (20, 300):
        rows = np.flatnonzero(columns["KIC"] == kic)
        rows = rows[np.argsort(columns["CADENCENO"][rows])]
        own = {name: values[rows] for name, values in columns.items() if name != "KIC"}
        write_quarter(tmp_path / "own", kic=kic, columns=own)
        for choices in (Choices(), Choices("sap", "none")):
            ours = read(tmp_path / f"table::KIC {kic}", choices)
            theirs = read(tmp_path / "own", choices)
            assert isinstance(ours, LightCurve)
            assert isinstance(theirs, LightCurve)
            np.testing.assert_array_equal(ours.flux, theirs.flux)
            if choices == Choices():
                np.testing.assert_array_equal(ours.flux_err, theirs.flux_err)
            assert ours.first_cadence == theirs.first_cadence
            assert (
                (ours.star_id, ours.mission) == (theirs.star_id, theirs.mission) == (f"KIC {kic}", "Kepler")
            )


def test_members_and_their_names(file: Path, tmp_path: Path) -> None:
    write_table(file, pipeline_table(300, 20))
    assert identify(file) == "lightcurve"
    members = [Path(f"{file}::KIC 20"), Path(f"{file}::KIC 300")]
    assert [source for source, _ in glances(file)] == members
    assert [seen.name for _, seen in glances(file)] == ["KIC 20", "KIC 300"]
    for given, wanted in (([file], members), ([file, members[1]], members), (members[1:], members[1:])):
        assert [star.files for star in group_files(given, 3.0, [])] == [[member] for member in wanted]
    assert glance(f"{file}::KIC 300").name == "KIC 300"
    assert [row["star"] for row in inspect_files([file])] == ["KIC 20", "KIC 300"]
    with pytest.raises(UnsupportedFile, match=r"holds 2 stars; ingest it, or name one: .*some\.name::KIC 20"):
        read(file)
    with pytest.raises(UnsupportedFile, match="holds no 'KIC 7', but KIC 20, KIC 300"):
        read(f"{file}::KIC 7")
    with pytest.raises(UnsupportedFile, match="a table of light curves, not a spectrum"):
        read_spectrum(f"{file}::KIC 20")
    write_table(file, pipeline_table(4))
    assert read_lightcurve_file(file).star_id == "KIC 4"
    odd = tmp_path / "a::b"
    write_quarter(odd)
    assert read(odd).star_id == "KIC 8462852"


@pytest.mark.parametrize(
    ("columns", "name", "star"),
    [
        ({"KIC": np.full(400, 7, "i4"), "TIME_BKJD": TIME, "FLUX": WAVE}, "x", "KIC 7"),
        ({"TIME_BKJD": TIME, "FLUX": WAVE, "FLUX_ERR": WAVE / 100}, "eb03.parquet", ""),
        ({"TIME_BJD_2400000": TIME + 54833, "DELTA_MAG": -2.5 * np.log10(WAVE)}, "kic007.parquet", "KIC 7"),
        ({"T": TIME + 54833, "Y": 12 - 2.5 * np.log10(WAVE)}, "epic_7.x", "EPIC 7"),
        ({"TIME_BKJD": TIME, "MAG": 9 - 2.5 * np.log10(WAVE), "MAG_ERR": np.full(400, 0.01)}, "k", ""),
        ({"KIC": np.full(400, 7), "TIME_d": TIME + 54833, "CORRECTED_FLUX": WAVE - 1}, "x", "KIC 7"),
        (
            {
                "TIC": np.full(400, 9),
                "KIC": np.full(400, 7),
                "QUALITY": np.zeros(400, "i4"),
                "TIME_BTJD": (TIME - 200) * (30 / 1440) / DAYS + 1683,
                "CORR_FLUX": 50 * WAVE,
                "RAW_FLUX": WAVE,
                "PCA_FLUX": WAVE,
                "FLUX_ERR": WAVE,
            },
            "x",
            "KIC 7",
        ),
    ],
)
def test_every_kind_of_table(columns: dict[str, np.ndarray], name: str, star: str, tmp_path: Path) -> None:
    """All hold the same variations; gaps are found from the times."""
    kept = np.delete(np.arange(400), [100, 101])
    write_table(tmp_path / name, {key: values[kept] for key, values in columns.items()})
    found = read_lightcurve_file(tmp_path / name)
    assert found.star_id == star
    np.testing.assert_array_equal(np.flatnonzero(~found.valid), [100, 101])
    np.testing.assert_allclose(found.flux[kept], WAVE[kept] / np.median(WAVE[kept]), rtol=2e-6)
    assert ("converted" in found.meta) == any("MAG" in key or key == "Y" for key in columns)
    if "MAG_ERR" in columns:
        np.testing.assert_allclose(
            found.flux_err[kept], 0.4 * np.log(10) * 0.01 * found.flux[kept], rtol=1e-5
        )
    elif "TIC" not in columns:
        assert found.time[0] == pytest.approx(200, abs=1e-6)


def test_layouts_differ() -> None:
    assert len({layout.columns for layout in LAYOUTS}) == len(LAYOUTS)


def test_parts_have_levels_of_their_own(file: Path) -> None:
    """Quarters are divided by their own medians; copies count once; a part with rounded times is named."""
    quarter = np.repeat([1, 2, 3], 400)
    time = np.concatenate([TIME, TIME, np.round(TIME + 100, 0)])
    flux = np.concatenate([100 * WAVE, 100 * WAVE, 900 * WAVE])
    columns = {"KIC": np.full(1200, 5), "QUARTER_LABEL": quarter, "TIME_BKJD_2dec": time, "FLUX": flux}
    write_table(file, columns)
    found = read_lightcurve_file(file)
    np.testing.assert_allclose(found.flux, WAVE / np.median(WAVE), rtol=1e-6)
    assert found.meta["parts_left_out"] == ["times are too coarse: many samples have the same"]
    columns["TIME_BKJD_2dec"] = np.concatenate([TIME, TIME, TIME + 100])
    write_table(file, columns)
    both = read_lightcurve_file(file)
    assert both.valid.sum() == 800
    assert np.nanmax(both.flux) < 1.02


def test_differences_of_flux_are_read_without_their_amplitude(file: Path) -> None:
    """Two quarters less their medians, in electrons a second, become one light curve of a robust 0.1 %."""
    columns = {
        "QUARTER_INDEX": np.repeat([0, 1], 400).astype("i4"),
        "TIME_BKJD": np.concatenate([TIME, TIME + 100]),
        "FLUX_SHIFTED": np.concatenate([3000 * (WAVE - 1), 3000 * (WAVE - 1)]),
    }
    write_table(file, columns)
    found = read_lightcurve_file(file)
    assert found.valid.sum() == 800
    first = found.flux[found.valid][:400]
    assert np.corrcoef(first, WAVE)[0, 1] > 0.9999
    assert np.diff(np.percentile(first, (16, 84))) == pytest.approx(2e-3, rel=0.02)
    assert "amplitude is unknown" in found.meta["converted"]


def test_differences_that_are_all_the_same_are_damaged(file: Path) -> None:
    write_table(file, {"QUARTER_INDEX": np.zeros(400, "i4"), "TIME_BKJD": TIME, "FLUX_SHIFTED": 0 * WAVE})
    with pytest.raises(DamagedFile, match="all the same"):
        read(file)


def test_an_archive_of_spectra(tmp_path: Path) -> None:
    file = tmp_path / "x_compact.npz"
    flux = write_archive(file, 12, 5)
    assert [str(source)[-4:] for source, _ in glances(file)] == ["z::5", "::12"]
    assert glance(f"{file}::12").ra == 1.2
    found = read(f"{file}::12")
    assert isinstance(found, Spectrum)
    np.testing.assert_array_equal(found.valid, np.arange(3909) >= 20)
    np.testing.assert_array_equal(found.flux[20:], flux[0, 20:].astype("f4"))
    assert (found.obsid, found.z, found.snr["g"], found.object_subclass) == ("12", 1e-4, 50, "G2")
    inner = found.flux[100:-100] * np.sqrt(found.ivar[100:-100])  # S/N a pixel
    assert 9 < inner.min() < 35 < 69 < inner.max() < 73
    (tmp_path / "x_labels.csv").write_text("obsid,z\n5,0\n")
    with pytest.raises(UnsupportedFile, match=r"no row in x_labels\.csv"):
        read(f"{file}::12")
    (tmp_path / "x_labels.csv").unlink()
    with pytest.raises(UnsupportedFile, match=r"needs the table of its headers, x_labels\.csv"):
        read(f"{file}::12")


def test_absent_bands_take_the_signal_to_noise_of_g() -> None:
    flux, good, wavelength = np.ones(400, np.float32), np.ones(400, bool), np.linspace(3700.0, 9000.0, 400)
    whole = ivar_from_snr(flux, good, wavelength, dict.fromkeys("ugriz", 50.0))
    only_g = ivar_from_snr(flux, good, wavelength, {**dict.fromkeys("urizg", -9999.0), "g": 50.0})
    np.testing.assert_allclose(whole, only_g)
    np.testing.assert_allclose(whole, 2500.0, rtol=1e-5)


def test_ingest_takes_a_file_of_many_as_a_folder(tmp_path: Path) -> None:
    """Two light curves and two spectra, one star of both by the table of labels."""
    write_table(tmp_path / "lc", pipeline_table(300, 20))
    write_archive(tmp_path / "sp_compact.npz", 12, 5)
    table = (tmp_path / "sp_labels.csv").read_text().replace("5700,4.4,0.1,", "5700,4.4,0.1,300", 1)
    (tmp_path / "sp_labels.csv").write_text(table)
    report = ingest(
        tmp_path / "lc",
        tmp_path / "sp_compact.npz",
        tmp_path / "sp_labels.csv",
        tmp_path / "out",
        processes=1,
    )
    assert (report["kind"], report["left_out"]) == ("real", [])
    survey = Survey.open(tmp_path / "out")
    assert survey.stars.column("star_id").to_pylist() == ["KIC 20", "KIC 300", "LAMOST 5"]
    assert survey.labels("teff").tolist()[1:] == [5700.0, 5700.0]
    assert survey.spectrum_star.tolist() == [1, 2]
    own = read_lightcurve_file(f"{tmp_path / 'lc'}::KIC 300")
    np.testing.assert_array_equal(survey.lightcurve_flux(1), own.flux)


def test_what_is_not_a_table_of_stars(file: Path) -> None:
    write_table(file, {"A": [1.0], "B": [2.0]})
    with pytest.raises(UnsupportedFile, match=r"unknown columns \(A, B\).*desa reads .*Parquet tables"):
        read(file)
    write_table(file, {"T": np.full(400, np.nan), "Y": WAVE})
    with pytest.raises(DamagedFile, match="no sample has a time"):
        read(file)
    with file.open("wb") as stream:
        np.savez(stream, obsid=np.array([{}], dtype=object))
    with pytest.raises(UnsupportedFile, match="unknown columns"):
        read(file)


FOLDERS = {
    "kepler/singlequarter_compact.parquet": (165, 0),
    "kepler/q9/kepler_q9_77stars.parquet": (38, 0),
    "kepler/tess_s14/tess_s14_kic.parquet": (620, 77),
    "kepler/fullmission_dsct": (6, 0),
    "kepler/fullmission_dsct_more": (9, 0),
    "kepler/fullmission_eb": (6, 0),
    "kepler/small": (21, 0),
    "kepler/k2_hyades": (65, 1),
    "kepler/fullmission_rotators": (6, 1),
}


@pytest.mark.real
@pytest.mark.parametrize("name", FOLDERS)
def test_real_tables_become_real_surveys(name: str, shared: Path, tmp_path: Path) -> None:
    """Every light curve of them is used, or said why not: background beyond the star, no level, an index."""
    report = ingest(shared / "data" / name, None, None, tmp_path / "out", processes=1)
    assert (report["lightcurves"]["stored"], len(report["left_out"])) == FOLDERS[name]
    assert report["kind"] == "real"
    reasons = ("median flux is -", "no relative flux can be made", "not a FITS file")
    assert all(any(reason in entry["reason"] for reason in reasons) for entry in report["left_out"])


@pytest.mark.real
def test_real_archive_agrees_with_the_files(shared: Path) -> None:
    lamost = shared / "data/lamost"
    for path in sorted((lamost / "dr10_fits").glob("*"))[:10]:
        own = read_spectrum(path)
        packed = read_spectrum(f"{lamost / 'dr10_compact.npz'}::{own.obsid}")
        n = len(own)
        both = packed.valid[:n] & own.valid
        assert both.sum() > 0.99 * own.valid.sum()
        scale = own.flux[both].sum() / packed.flux[:n][both].sum()
        np.testing.assert_allclose(
            packed.flux[:n][both] * scale, own.flux[both], rtol=2e-3, atol=2e-3 * scale
        )
        assert (packed.z, packed.snr) == (pytest.approx(own.z), pytest.approx(own.snr, abs=0.01))
        noise = np.median(np.sqrt(own.ivar[both]) * scale / np.sqrt(packed.ivar[:n][both]))
        assert 0.5 < noise < 2  # made of the S/N of five bands


@pytest.mark.real
def test_the_programs_own_k2sc_files_lose_the_motion(shared: Path) -> None:
    """Changes within 3 hours, half of the telescope's period of roll, become smaller."""
    path = sorted((shared / "data/kepler/k2_hyades").glob("EPIC_210596446*"))[0]

    def change(column: str) -> float:
        flux = read_lightcurve_file(path, flux_column=column).flux
        return float(np.nanmedian(np.abs(flux[6:] - flux[:-6])))

    assert change("pdcsap") < 0.6 * change("sap")
