"""What a mock survey is made of, and the rows of its star table."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

import desa
from desa.errors import SettingsError
from desa.files import written_whole
from desa.parquet import write_parquet
from desa.simulate.labels import Label
from desa.simulate.observe import MockStar
from desa.survey.shards import json_bytes

SHARD_STARS: Final = 64
PARTS_FOLDER: Final = "mock"
"""Folder of the shards' star tables while a survey is made."""


@dataclass(frozen=True)
class MockPlan:
    """What a mock survey is made of; two equal plans give equal bytes.

    Parameters
    ----------
    n_stars, seed
        Number of stars, and the seed of all randomness.
    quarters
        Kepler's quarters to observe in, None: all 18.
    repeats
        Share of the stars with a second spectrum, and of those with a third.
    shard_stars
        Stars a shard.
    short
        Share of the stars whose light curve is a piece of 25 to 92 days.
    """

    n_stars: int
    seed: int
    quarters: tuple[int, ...] | None = None
    repeats: tuple[float, float] = (0.15, 0.3)
    shard_stars: int = SHARD_STARS
    short: float = 0.0

    def fingerprint(self, shard: int) -> str:
        """Hash of what a shard is made from."""
        stars = self.stars_of(shard)
        made_of = [desa.__version__, self.seed, self.quarters, self.repeats, stars.start, stars.stop]
        made_of += [self.short] if self.short else []
        return hashlib.sha256(json_bytes(made_of)).hexdigest()

    @property
    def shards(self) -> int:
        """Number of shards."""
        return -(-self.n_stars // self.shard_stars)

    def stars_of(self, shard: int) -> range:
        """Numbers of the stars in a shard."""
        return range(shard * self.shard_stars, min((shard + 1) * self.shard_stars, self.n_stars))


def plan_of(
    n_stars: int,
    seed: int,
    quarters: Sequence[int] | None = None,
    shard_stars: int = SHARD_STARS,
    short: float = 0.0,
) -> MockPlan:
    """A checked plan.

    Raises
    ------
    SettingsError
        For numbers that make no survey.
    """
    if n_stars < 1 or seed < 0 or shard_stars < 1:
        raise SettingsError(
            f"a mock survey needs a star or more and a seed of 0 or more, not {n_stars} and {seed}"
        )
    if quarters is not None and (not len(quarters) or not set(quarters) <= set(range(18))):
        raise SettingsError(f"Kepler's quarters are 0 to 17, not {list(quarters)}")
    if not 0 <= short <= 1:
        raise SettingsError(f"the share of short light curves is between 0 and 1, not {short}")
    chosen = None if quarters is None else tuple(sorted(set(quarters)))
    return MockPlan(n_stars, seed, chosen, shard_stars=shard_stars, short=short)


def _part_path(path: Path, shard: int) -> Path:
    return path / PARTS_FOLDER / f"{shard:05d}.parquet"


def write_part(plan: MockPlan, path: Path, shard: int, stars: Sequence[MockStar]) -> None:
    """Keep a shard's rows of the star table until the survey is whole."""
    table = table_of([row_of(star) for star in stars])
    with written_whole(_part_path(path, shard)) as scratch:
        marked = table.replace_schema_metadata({"fingerprint": plan.fingerprint(shard)})
        write_parquet(marked, scratch, compression="zstd")


def has_part(plan: MockPlan, path: Path, shard: int) -> bool:
    """Whether a shard's rows are there, of this very plan."""
    part = _part_path(path, shard)
    if not part.is_file():
        return False
    return (pq.read_schema(part).metadata or {}).get(b"fingerprint") == plan.fingerprint(shard).encode()


def read_parts(plan: MockPlan, path: Path) -> pa.Table:
    """All rows of the star table."""
    parts = (pq.read_table(_part_path(path, shard)) for shard in range(plan.shards))
    return pa.concat_tables([part.replace_schema_metadata(None) for part in parts])


def row_of(mock: MockStar) -> dict[str, Label | int]:
    """A star's row of the star table."""
    star = mock.parameters
    return {"star_id": star.star_id, "kic": star.kic, "ra": star.ra, "dec": star.dec, **mock.labels}


def table_of(rows: Sequence[dict[str, Any]]) -> pa.Table:
    """Star rows as a table: text where the name says so, whole numbers for kic, else float64."""
    text, flags = {"star_id", "cmd_class", "binary_kind", "pulsator"}, {"binary", "thick_disc"}
    columns = {}
    for name in rows[0]:
        kind = pa.string() if name in text else pa.bool_() if name in flags else pa.float64()
        values = [row[name] for row in rows]
        columns[name] = pa.array(values, pa.int64() if name == "kic" else kind)
    return pa.table(columns)
