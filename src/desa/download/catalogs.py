"""Bringing public tables of labels here: VizieR and CDS's cross-match through astroquery, else by address."""

from __future__ import annotations

import urllib.parse
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
from pydantic import SecretStr

from desa.catalogs.declared import Catalog, translated
from desa.catalogs.labels import read_labels
from desa.download.http import Patience, Refused, Remote, fetch
from desa.download.manifest import FOLDER, settle
from desa.download.pace import Pace
from desa.errors import ArchiveError, SettingsError
from desa.files import GZIP_MAGIC, written_whole
from desa.parquet import write_parquet

MATCH_ARCSEC = 1.0
MAX_BYTES = 16 << 30
"""LAMOST's table of stellar parameters has some 2 GB."""

Ask = Callable[[Catalog, Path | None], Any]
"""Gives a catalog's rows as an astropy table; the path is of a table of positions."""


def ask_cds(entry: Catalog, positions: Path | None) -> Any:
    """A table from CDS: all of it, or, of one that is too large, the rows of given positions.

    Raises
    ------
    ArchiveError
        If astroquery is not installed.
    """
    try:
        from astropy import units
        from astropy.table import Table
        from astroquery.vizier import Vizier
        from astroquery.xmatch import XMatch
    except ImportError:
        raise ArchiveError(f"{entry.name} needs astroquery: pip install 'desa[archive]'") from None
    if not entry.by_position:
        found = Vizier(columns=["**"], row_limit=-1).get_catalogs(entry.vizier)
        if not len(found):
            raise ArchiveError(f"{entry.name}: VizieR has no table {entry.vizier}")
        return found[0]
    if positions is None:
        raise SettingsError(f"{entry.name} is too large to have whole: give --from TABLE with ra and dec")
    stars = read_labels(positions, keys_only=True)
    if not (known := stars.ra == stars.ra).any():
        raise SettingsError(f"{positions}: no columns ra and dec")
    mine = Table({"star_ra": stars.ra[known], "star_dec": stars.dec[known]})
    return XMatch.query(
        cat1=mine,
        cat2=f"vizier:{entry.vizier}",
        max_distance=MATCH_ARCSEC * units.arcsec,
        colRA1="star_ra",
        colDec1="star_dec",
    )


def get(
    entry: Catalog,
    folder: Path,
    *,
    positions: Path | None = None,
    token: SecretStr | None = None,
    ask: Ask = ask_cds,
    patience: Patience = Patience(),
) -> Path:
    """Bring a table into a folder; `desa.catalogs.labels.read_labels` reads it.

    Parameters
    ----------
    entry
        The table.
    folder
        Where to.
    positions
        For a table that is too large: a table of the stars that are wanted.
    token
        The user's LAMOST token, where the table's address asks for one.
    ask
        What brings a table that CDS has; tests give their own.
    patience
        How long to wait and how often to try, where the table has an address.

    Returns
    -------
    Path
        The file; one that is there already is left as it is.

    Raises
    ------
    ArchiveError
        If it can't be had, or lacks the columns that tell it.
    SettingsError
        If positions are needed.
    """
    if entry.url:
        return _by_address(entry, folder, token, patience)
    if not entry.vizier:
        raise SettingsError(f"{entry.name} is in no archive: {entry.citation} have it")
    target = folder / f"{entry.name}.parquet"
    if target.exists():
        return target
    try:
        table = ask(entry, positions)
    except (ArchiveError, SettingsError):
        raise
    except Exception as error:  # astroquery raises whatever its network libraries do
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise ArchiveError(f"{entry.name}: CDS can't be asked ({reason})") from None
    columns = {name: _values(table[name]) for name in table.colnames if table[name].ndim == 1}
    if not columns or not (set(translated(entry, columns)[0]) & set(entry.labels)):
        raise ArchiveError(f"{entry.name}: {entry.vizier} has other columns than expected: {list(columns)}")
    facts = {
        "desa.catalog": entry.name,
        "desa.source": entry.vizier,
        "desa.citation": entry.citation,
        "desa.time": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    with written_whole(target) as scratch:
        write_parquet(pa.table(columns).replace_schema_metadata(facts), scratch, compression="zstd")
    return target


def _values(column: Any) -> list[Any]:
    values = column.tolist()
    return [value.decode("utf-8", "replace") if isinstance(value, bytes) else value for value in values]


def _by_address(entry: Catalog, folder: Path, token: SecretStr | None, patience: Patience) -> Path:
    name = urllib.parse.parse_qs(urllib.parse.urlsplit(entry.url).query).get("name", [entry.name])[0]
    target = folder / Path(name).name
    if target.exists():
        return target
    part = folder / FOLDER / "parts" / f"{target.name}.part"
    part.parent.mkdir(parents=True, exist_ok=True)
    remote = Remote(entry.url, token=token if entry.token else None, max_bytes=MAX_BYTES)
    try:
        fetch(remote, part, Pace(1.0), patience)
    except Refused as error:
        raise ArchiveError(f"{entry.name}: {error}; get it by hand from {entry.url}") from None
    if not _whole_gzip(part):
        part.unlink()
        raise ArchiveError(f"{entry.name}: what came is damaged; try again")
    settle(part, target)
    part.with_suffix(".json").unlink(missing_ok=True)
    return target


def _whole_gzip(path: Path) -> bool:
    """Whether a gzip stream is whole; what is no gzip stream passes."""
    with path.open("rb") as stream:
        if stream.read(2) != GZIP_MAGIC:
            return True
        stream.seek(0)
        unpack = zlib.decompressobj(wbits=31)
        try:
            while chunk := stream.read(1 << 20):
                while chunk:
                    unpack.decompress(chunk)
                    chunk = unpack.unused_data
                    if chunk:
                        unpack = zlib.decompressobj(wbits=31)
        except zlib.error:
            return False
    return unpack.eof
