from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from desa.errors import UnsupportedFile
from desa.real.lightcurves import read_compact, read_full_mission, read_kepler
from desa.types import KEPLER_CADENCE_DAYS

COUNT = 600


def _times() -> np.ndarray:
    return 260.0 + KEPLER_CADENCE_DAYS * np.arange(COUNT)


def _compact(path: Path, kics: list[int]) -> None:
    rng = np.random.default_rng(0)
    rows = {
        name: [] for name in ("KIC", "CADENCENO", "TIME", "PDCSAP_FLUX", "PDCSAP_FLUX_ERR", "SAP_QUALITY")
    }
    for kic in kics:
        flux = 1000 + rng.standard_normal(COUNT)
        flux[5] = np.nan
        rows["KIC"] += [kic] * COUNT
        rows["CADENCENO"] += list(range(7404, 7404 + COUNT))
        rows["TIME"] += _times().tolist()
        rows["PDCSAP_FLUX"] += flux.tolist()
        rows["PDCSAP_FLUX_ERR"] += [1.0] * COUNT
        rows["SAP_QUALITY"] += [0] * COUNT
    pq.write_table(pa.table(rows), path)


def test_compact_quarters(tmp_path: Path) -> None:
    _compact(tmp_path / "compact.parquet", [11, 22])
    refused: list[tuple[str, str]] = []
    first, second = read_compact(tmp_path / "compact.parquet", refused)
    assert (first.star_id, second.star_id) == ("KIC 11", "KIC 22") and not refused
    assert len(first) == COUNT and np.isnan(first.flux[5]) and first.first_cadence == 7404
    assert np.nanmedian(first.flux) == pytest.approx(1.0)


def test_full_mission_magnitudes_and_gaps(tmp_path: Path) -> None:
    time = np.delete(_times(), slice(100, 150))
    dimmer = 0.01 * (np.arange(len(time)) % 2)
    table = pa.table({"TIME_BJD_2400000": time + 54833.0, "DELTA_MAG": dimmer.astype(np.float32)})
    pq.write_table(table, tmp_path / "kic000000033.parquet")
    curve = read_full_mission(tmp_path / "kic000000033.parquet")
    assert curve.star_id == "KIC 33" and len(curve) == COUNT
    assert np.isnan(curve.flux[100:150]).all() and np.isfinite(curve.flux[[99, 150]]).all()
    good = curve.flux[curve.valid]
    assert good.max() / good.min() == pytest.approx(10**0.004, rel=1e-4)
    assert curve.start_bkjd == pytest.approx(260.0, abs=1e-4)


def test_a_folder_of_stars_and_their_kinds(tmp_path: Path) -> None:
    folder = tmp_path / "kepler"
    folder.mkdir()
    _compact(folder / "singlequarter_compact.parquet", [11, 22, 44])
    (folder / "fullmission_eb").mkdir()
    table = pa.table(
        {"TIME_BKJD": _times(), "FLUX": 1 + 0.1 * np.sin(np.arange(COUNT)), "FLUX_ERR": np.full(COUNT, 1e-3)}
    )
    pq.write_table(table, folder / "fullmission_eb" / "eb03.parquet")
    (folder / "broken.fits").write_bytes(b"nothing")
    header = "KIC,Prot_santos,Prot_mcquillan,Prot_reinhold2015,EB_period_kirk,numax_yu,logg_huber2014,where"
    lines = [header, "11,19.5,18.0,,,,4.4,x", "22,,7.0,,3.5,,4.0,x", "44,,,,,80.0,2.9,x"]
    (folder / "star_labels.csv").write_text("\n".join(lines))
    found, refused = read_kepler(tmp_path)
    assert len(refused) == 1 and "broken.fits" in refused[0][0]
    by_name = {star.curve.star_id: star for star in found}
    assert by_name["KIC 11"].period == 19.5 and not by_name["KIC 11"].giant
    assert by_name["KIC 22"].eclipsing and np.isnan(by_name["KIC 22"].period)
    assert by_name["KIC 44"].giant and by_name["eclipsing binary 03"].eclipsing
    with pytest.raises(UnsupportedFile, match="star_labels"):
        read_kepler(folder / "fullmission_eb")
