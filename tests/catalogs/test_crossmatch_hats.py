"""Matching on two Dask workers against the in-memory match. LSDB lives in an environment of its own."""

from __future__ import annotations

import importlib.util

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from desa.catalogs.crossmatch import nearest
from desa.catalogs.crossmatch_hats import match_hats, match_tables, nearest_on_dask
from desa.errors import ArchiveError, SettingsError, UnsupportedFile

HAS_LSDB = importlib.util.find_spec("lsdb") is not None
needs_lsdb = pytest.mark.skipif(not HAS_LSDB, reason="needs LSDB in its own environment: make test-catalog")


def sky(rng, count: int, center: tuple[float, float], width: float):
    ra = center[0] + rng.uniform(-1, 1, count) * min(width / np.cos(np.radians(center[1])), 180)
    dec = center[1] + rng.uniform(-width, width, count)
    return ra % 360, np.where(dec > 90, 180 - dec, dec)


def moved(rng, ra, dec, arcsec: float):
    """The same positions, off by errors of so many arcseconds, in another order, with strangers between."""
    order = rng.permutation(len(ra))
    ra, dec = ra[order], dec[order]
    ra = ra + rng.normal(0, arcsec / 3600, len(ra)) / np.maximum(np.cos(np.radians(dec)), 1e-3)
    dec = np.clip(dec + rng.normal(0, arcsec / 3600, len(dec)), -90, 90)
    strangers = sky(rng, len(ra) // 3, (float(np.median(ra)), float(np.median(dec))), 3.0)
    return np.concatenate([ra % 360, strangers[0]]), np.concatenate([dec, strangers[1]])


@needs_lsdb
@pytest.mark.parametrize("center", [(290.0, 44.5), (0.0, 0.0), (12.0, 89.5)])
def test_two_workers_find_what_memory_finds(center):
    """Many parts of the sky, so that pairs across their borders are there too."""
    rng = np.random.default_rng(1)
    ra, dec = sky(rng, 3000, center, 1.0)
    ra_2, dec_2 = moved(rng, ra, dec, 1.0)
    ra[5], dec_2[7], dec[9] = np.nan, np.nan, np.nan
    found = nearest_on_dask(ra, dec, ra_2, dec_2, 3.0, workers=2, partition_rows=200)
    expected = nearest(ra, dec, ra_2, dec_2, 3.0)
    assert (expected >= 0).sum() > 2000 and (expected < 0).sum() > 1
    np.testing.assert_array_equal(found, expected)


@needs_lsdb
def test_hats_folders(tmp_path):
    import lsdb
    import pandas as pd

    rng = np.random.default_rng(2)
    ra, dec = sky(rng, 500, (290.0, 44.5), 0.5)
    ra_2, dec_2 = moved(rng, ra, dec, 0.5)
    for name, columns in (("left", (ra, dec)), ("right", (ra_2, dec_2))):
        frame = pd.DataFrame({"ra": columns[0], "dec": columns[1], "number": np.arange(len(columns[0]))})
        table = lsdb.from_dataframe(frame, ra_column="ra", dec_column="dec", margin_threshold=10.0)
        table.write_catalog(tmp_path / name, progress_bar=False)
    match_hats(tmp_path / "left", tmp_path / "right", tmp_path / "pairs", 3.0)
    pairs = lsdb.open_catalog(tmp_path / "pairs").compute()
    expected = nearest(ra, dec, ra_2, dec_2, 3.0)
    got = np.full(len(ra), -1)
    got[pairs["number"].to_numpy(int)] = pairs["number_right"].to_numpy(int)
    np.testing.assert_array_equal(got, expected)
    with pytest.raises(ArchiveError, match="can't be matched"):
        match_hats(tmp_path / "left", tmp_path / "nowhere", tmp_path / "x", 3.0)


@needs_lsdb
def test_nothing_to_match():
    assert nearest_on_dask([], [], [1.0], [2.0], 3.0).shape == (0,)
    assert nearest_on_dask([1.0], [np.nan], [1.0], [2.0], 3.0).tolist() == [-1]


@pytest.mark.parametrize("workers", [0, pytest.param(2, marks=needs_lsdb)])
def test_tables(tmp_path, workers):
    columns = {"KIC": [1, 2, 3], "RA_ICRS": [10.0, 20.0, None], "DE_ICRS": [5.0, 5.0, 5.0]}
    pq.write_table(pa.table(columns), tmp_path / "a")
    (tmp_path / "b.csv").write_text("obsid,ra,dec,KIC\n7,20.0002,5,x\n8,50,5,y\n9,10,5.0001,z\n")
    table = match_tables(tmp_path / "a", tmp_path / "b.csv", 2.0, workers=workers)
    assert table.column("KIC").to_pylist() == [1, 2] and table.column("obsid").to_pylist() == [9, 7]
    assert table.column("KIC_right").to_pylist() == ["z", "x"]
    cosine = np.cos(np.radians(5))
    assert table.column("separation_arcsec").to_numpy() == pytest.approx([0.36, 0.72 * cosine], rel=1e-4)


def test_tables_that_cannot_be_matched(tmp_path):
    (tmp_path / "a.csv").write_text("kic,teff\n1,5000\n")
    (tmp_path / "b.csv").write_text("ra,dec\n1,2\n")
    with pytest.raises(UnsupportedFile, match=r"a\.csv: no columns ra and dec"):
        match_tables(tmp_path / "a.csv", tmp_path / "b.csv", 2.0)
    with pytest.raises(SettingsError, match="more than 0"):
        match_tables(tmp_path / "b.csv", tmp_path / "b.csv", 0.0)


@pytest.mark.skipif(HAS_LSDB, reason="LSDB is here")
def test_without_lsdb_it_says_what_to_install():
    with pytest.raises(ArchiveError, match=r"needs LSDB: pip install 'desa\[catalog\]'"):
        nearest_on_dask([1.0], [1.0], [1.0], [1.0], 1.0)
