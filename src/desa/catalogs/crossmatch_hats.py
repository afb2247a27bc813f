"""Pairing by sky position of tables that are large: LSDB on Dask, cut into HATS's pixels of the sky.

Needs the extra ``catalog``. The pairs are those of `desa.catalogs.crossmatch.nearest`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import ArrayLike, NDArray

from desa.catalogs.crossmatch import nearest
from desa.catalogs.labels import canonical_name, read_columns
from desa.errors import ArchiveError, SettingsError, UnsupportedFile
from desa.parquet import read_parquet

PARTITION_ROWS = 200_000
"""Rows of a pixel of the sky, before it is cut into four; a few MB with the columns that are matched."""

HIGHEST_ORDER = 9
"""Finest pixels of the sky, 7 arcminutes; the densest fields of Gaia have some 10,000 stars in one."""


@contextmanager
def _workers(count: int) -> Iterator[Any]:
    """LSDB, with so many Dask workers on this machine while the block runs.

    Raises
    ------
    ArchiveError
        If LSDB is not installed.
    """
    try:
        import lsdb
        from dask.distributed import Client, LocalCluster
    except ImportError:
        raise ArchiveError("matching on Dask needs LSDB: pip install 'desa[catalog]'") from None
    with (
        LocalCluster(n_workers=count, threads_per_worker=1, dashboard_address=None) as cluster,
        Client(cluster),
    ):
        yield lsdb


def nearest_on_dask(
    ra: ArrayLike,
    dec: ArrayLike,
    ra_catalog: ArrayLike,
    dec_catalog: ArrayLike,
    radius_arcsec: float,
    *,
    workers: int = 2,
    partition_rows: int = PARTITION_ROWS,
) -> NDArray[np.int64]:
    """Nearest catalogue row within a radius, for each position; the work is spread over processes.

    Parameters
    ----------
    ra, dec
        (N,) degrees; NaN finds nothing.
    ra_catalog, dec_catalog
        (M,) degrees; NaN is never found.
    radius_arcsec
        Largest separation in arcseconds, more than 0.
    workers
        Dask workers on this machine.
    partition_rows
        Most rows of a part of the sky.

    Returns
    -------
    NDArray
        (N,) rows of the catalogue, -1 where there is none.

    Raises
    ------
    ArchiveError
        If LSDB is not installed.
    """
    found = np.full(len(np.asarray(ra)), -1, dtype=np.int64)
    here, there = _rows(ra, dec), _rows(ra_catalog, dec_catalog)
    if not len(here[0]) or not len(there[0]):
        return found
    with _workers(workers) as lsdb:
        import pandas as pd

        left, right = (
            lsdb.from_dataframe(
                pd.DataFrame(dict(zip(("row", "ra", "dec"), columns, strict=True))),
                ra_column="ra",
                dec_column="dec",
                partition_rows=partition_rows,
                highest_order=HIGHEST_ORDER,
                margin_threshold=radius_arcsec * 1.01,
            )
            for columns in (here, there)
        )
        pairs = left.crossmatch(
            right,
            n_neighbors=1,
            radius_arcsec=radius_arcsec,
            suffixes=("_left", "_right"),
            suffix_method="all_columns",
            require_right_margin=True,
            log_changes=False,
        ).compute()
    found[pairs["row_left"].to_numpy(np.int64)] = pairs["row_right"].to_numpy(np.int64)
    return found


def _rows(ra: ArrayLike, dec: ArrayLike) -> tuple[NDArray[np.int64], NDArray[Any], NDArray[Any]]:
    """Row numbers and positions of the rows that have one."""
    ra_, dec_ = np.asarray(ra, dtype=np.float64), np.asarray(dec, dtype=np.float64)
    rows = np.flatnonzero(np.isfinite(ra_) & np.isfinite(dec_) & (np.abs(dec_) <= 90))
    return rows, ra_[rows] % 360, dec_[rows]


def match_hats(left: Path, right: Path, output: Path, radius_arcsec: float, *, workers: int = 2) -> None:
    """Match two HATS catalogs on disk and write the pairs as a third, part by part, in little memory.

    Parameters
    ----------
    left, right
        Folders; the right one has a margin cache of at least the radius.
    output
        Folder to make.
    radius_arcsec
        Largest separation in arcseconds.
    workers
        Dask workers on this machine.

    Raises
    ------
    ArchiveError
        If LSDB is not installed, a folder is no HATS catalog, or there is no margin or no pair.
    """
    with _workers(workers) as lsdb:
        try:
            pairs = lsdb.open_catalog(left).crossmatch(
                lsdb.open_catalog(right),
                n_neighbors=1,
                radius_arcsec=radius_arcsec,
                suffixes=("", "_right"),
                suffix_method="all_columns",
                require_right_margin=True,
                log_changes=False,
            )
            pairs.write_catalog(output, progress_bar=False)
        except (ValueError, RuntimeError, OSError) as error:
            reason = str(error).strip().split("\n")[0]
            raise ArchiveError(f"{left} and {right} can't be matched: {reason}") from None


def match_tables(left: Path, right: Path, radius_arcsec: float, *, workers: int = 0) -> pa.Table:
    """Join two tables by position: each left row that has a near right row, with that row's columns.

    Parameters
    ----------
    left, right
        Tables of any format that `desa.catalogs.labels.read_labels` reads, with ra and dec in degrees.
    radius_arcsec
        Largest separation in arcseconds.
    workers
        Dask workers; 0: in memory, in this process.

    Returns
    -------
    pyarrow.Table
        Left columns, right columns (``_right`` added where the name is taken), ``separation_arcsec``.

    Raises
    ------
    FileRefused
        If a table can't be read or has no positions.
    ArchiveError
        If LSDB is needed and not installed.
    SettingsError
        If the radius is not positive.
    """
    if radius_arcsec <= 0:
        raise SettingsError("the radius must be more than 0 arcseconds")
    one, other = _table(left), _table(right)
    here, there = _position(left, one), _position(right, other)
    if workers:
        found = nearest_on_dask(*here, *there, radius_arcsec, workers=workers)
    else:
        found = nearest(*here, *there, radius_arcsec)
    rows = np.flatnonzero(found >= 0)
    matched = one.take(pa.array(rows))
    partners = other.take(pa.array(found[rows]))
    for name in other.column_names:
        matched = matched.append_column(_free(name, matched), partners.column(name))
    separation = _separation(here[0][rows], here[1][rows], there[0][found[rows]], there[1][found[rows]])
    return matched.append_column(_free("separation_arcsec", matched), pa.array(separation))


def _table(path: Path) -> pa.Table:
    try:
        return read_parquet(path)
    except (pa.ArrowInvalid, OSError):
        return pa.table(read_columns(path))


def _position(path: Path, table: pa.Table) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    columns = {canonical_name(name): name for name in reversed(table.column_names)}
    if not {"ra", "dec"} <= set(columns):
        raise UnsupportedFile(path, "no columns ra and dec", "matching needs positions in degrees")
    ra, dec = (np.array(table.column(columns[name]).to_numpy(), dtype=np.float64) for name in ("ra", "dec"))
    return ra, dec


def _free(name: str, table: pa.Table) -> str:
    while name in table.column_names:
        name += "_right"
    return name


def _separation(
    ra: NDArray[np.float64], dec: NDArray[np.float64], ra_2: NDArray[np.float64], dec_2: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Arcseconds, by the haversine formula."""
    ra, dec, ra_2, dec_2 = (np.radians(angle) for angle in (ra, dec, ra_2, dec_2))
    root = np.sin((dec - dec_2) / 2) ** 2 + np.cos(dec) * np.cos(dec_2) * np.sin((ra - ra_2) / 2) ** 2
    separation: NDArray[np.float64] = 3600 * np.degrees(2 * np.arcsin(np.sqrt(np.clip(root, 0, 1))))
    return separation
