"""Tables of any number of stars: made part by part, here, by several processes or on Dask's workers.

A finished part is a file in the folder ``.OUTPUT.parts`` beside the output. A run that was killed is run
again with the same command, keeps the parts that it finished, and writes the same bytes. At the end the parts
are joined, a few thousand rows in memory at a time, and their folder is removed.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Executor
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from functools import lru_cache, partial
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from astropy.table import Column, Table
from astropy.table.meta import get_header_from_yaml

import desa
from desa.cluster import as_made
from desa.devices import choose_device
from desa.errors import DesaError
from desa.files import written_whole
from desa.folders import MARKER, claimed
from desa.inference.embed import VECTORS, as_astropy, each_spectrum, embed_stars, embedding_table, facts_of
from desa.inference.encode import BATCH_SIZE
from desa.inference.model import Desa
from desa.inference.predict import predict_columns
from desa.inference.prediction_table import build_table, joined
from desa.inference.quality import Limits
from desa.inference.table_files import table_format, write_table
from desa.models.storage import weights_hash
from desa.parquet import open_parquet, read_parquet, write_parquet
from desa.pipeline import Clock, prefetch
from desa.progress import Report
from desa.survey.from_files import LeftOut
from desa.survey.parts import StarPart
from desa.survey.shards import json_bytes
from desa.training.distributed import World, barrier
from desa.types import Star

ROWS_AT_ONCE = 4096
"""Rows of a row group of the joined table."""

FILES = "files"
"""What `Recipe.data` says of files."""

LEFT_OUT = b"desa.left_out"
LONGEST = b"table::len::"
"""Astropy's note in a Parquet file of how long a column's words are at most."""


@dataclass(frozen=True)
class Recipe:
    """What decides a table besides its stars; small enough to be sent to another machine.

    Parameters
    ----------
    makes
        What a row is.
    model
        As `desa.load` takes it.
    data
        What the stars are of, in words.
    device, dtype, compile, resample_spectra, exact
        How the model is run.
    batch_size
        Light curves or spectra at once.
    min_snr
        Spectra of lower S/N in g are flagged, in predictions.
    """

    makes: Literal["embeddings", "predictions"]
    model: str
    data: str
    device: str = "auto"
    dtype: str = "float32"
    compile: bool = False
    resample_spectra: bool = False
    exact: bool = False
    batch_size: int = BATCH_SIZE
    min_snr: float = 10.0

    def network(self) -> Desa:
        """The model, loaded once a process."""
        return _loaded(self.model, self.device, self.dtype, self.compile, self.resample_spectra, self.exact)

    def identity(self) -> list[object]:
        """All that the rows depend on."""
        network = self.network()
        return [
            version("desa"),
            torch.__version__,
            str(network.device),
            asdict(self),
            weights_hash(network),
            network.settings.model_dump(mode="json"),
        ]

    def rows(self, stars: Sequence[Star], part: StarPart | None, clock: Clock) -> pa.Table:
        """The table of a part's stars, as astropy writes it where it is of predictions."""
        network, each = self.network(), each_spectrum(stars)
        if self.makes == "predictions":
            parts = predict_columns(network, each, Limits(snr_g=self.min_snr)) if each else []
            return _as_arrow(build_table(joined(parts), network, self.data))
        given = None
        if part is not None and network.dualformer is not None:
            given = part.prior(network.settings.dualformer.prior)
        prior = None if given is None or not each else torch.stack([given[star.star_id] for star in each])
        named = embed_stars(network, each, prior, self.batch_size, clock) if each else []
        return embedding_table(named, facts_of(network, self.data))


@lru_cache(maxsize=1)
def _loaded(model: str, device: str, dtype: str, compile: bool, resample_spectra: bool, exact: bool) -> Desa:
    network = desa.load(model).to(choose_device(device)).fast(dtype, compile)
    network.resample_spectra, network.exact = resample_spectra, exact
    return network


@dataclass
class Written:
    """What a table holds: rows by modality, what was left out, the stage that took longest here.

    ``told`` are the columns of predictions that `desa.inference.prediction_table.summary_lines` reads.
    """

    modalities: Counter[str] = field(default_factory=Counter)
    left_out: LeftOut = field(default_factory=list)
    limit: str = ""
    told: pa.Table | None = None


def write_rows(
    recipe: Recipe,
    parts: Sequence[StarPart],
    path: str | Path,
    *,
    left_out: LeftOut | None = None,
    executor: Executor | None = None,
    world: World | None = None,
    progress: Report | None = None,
) -> Written:
    """Write the table of all parts' stars, in their order, in the format of the file's ending.

    Parameters
    ----------
    recipe
        How a row is made.
    parts
        The stars.
    path
        The file. Parquet takes the same memory for any number of stars; the other formats hold it whole.
    left_out
        Files of the stars that were left out already, and why.
    executor
        Makes the parts in place of this process, such as Dask's workers; they must see the stars' files, the
        model and the output's folder.
    world
        With others of `torchrun`, each process makes its share of the parts; the first one joins them.
    progress
        Called with (stars, all stars).

    Raises
    ------
    DesaError
        If no file could be used.
    OutputError
        If the file can't be written, or another run is writing it.
    """
    path, world, clock = Path(path).absolute(), world or World(), Clock(recipe.network().device)
    if len(parts) <= 1:
        if not world.main:
            return Written()
        return _finish(recipe, _here(recipe, parts, clock, progress), left_out, path, clock)
    folder = path.with_name(f".{path.name}.parts")
    with claimed(folder, "table that is being made") if world.main else nullcontext():
        if world.main:
            _clear(folder, recipe, parts)
        barrier()
        mine = list(enumerate(parts))[world.rank :: world.size]
        todo = [(place, part) for place, part in mine if not _file(folder, place).exists()]
        total = sum(len(part) for _, part in mine)
        done = total - sum(len(part) for _, part in todo)
        for made in _write_parts(recipe, todo, folder, executor, clock):
            done += made
            if progress:
                progress(done, total)
        barrier()
        if not world.main:
            return Written()
        files = [_file(folder, place) for place in range(len(parts))]
        written = _finish(recipe, files, left_out, path, clock)
        shutil.rmtree(folder)
    return written


def rows_of(
    recipe: Recipe,
    parts: Sequence[StarPart],
    *,
    left_out: LeftOut | None = None,
    progress: Report | None = None,
) -> tuple[pa.Table, Written]:
    """The table that `write_rows` would write, in memory."""
    clock = Clock(recipe.network().device)
    tables = _here(recipe, parts, clock, progress)
    written, schema = _glanced(recipe, tables, left_out, clock)
    return pa.concat_tables(_row_groups(tables, schema)), written


def _here(recipe: Recipe, parts: Sequence[StarPart], clock: Clock, progress: Report | None) -> list[pa.Table]:
    """Every part's table; one without rows if there are no parts."""
    tables, done = [], 0
    for place, table in _made(recipe, list(enumerate(parts)), clock):
        tables.append(table)
        done += len(parts[place])
        if progress:
            progress(done, sum(map(len, parts)))
    return tables or [recipe.rows([], None, clock)]


def _clear(folder: Path, recipe: Recipe, parts: Sequence[StarPart]) -> None:
    """Remove what another command, model or set of stars has left."""
    digest = hashlib.sha256(json_bytes([recipe.identity(), [len(parts)]]))
    for part in parts:
        digest.update(part.identity().encode())
    note = folder / "of"
    if note.exists() and note.read_text() == digest.hexdigest():
        return
    note.unlink(missing_ok=True)
    for old in (item for item in folder.iterdir() if item.name != MARKER):
        old.unlink()
    with written_whole(note) as scratch:
        scratch.write_text(digest.hexdigest())


def _file(folder: Path, place: int) -> Path:
    return folder / f"part-{place:07d}.parquet"


def _write_parts(
    recipe: Recipe,
    todo: Sequence[tuple[int, StarPart]],
    folder: Path,
    executor: Executor | None,
    clock: Clock,
) -> Iterator[int]:
    """Make parts that are not there yet; yields the number of stars of each."""
    if executor is not None:
        yield from as_made(executor, partial(_write_part, recipe, folder), todo)
        return
    stars = dict(todo)
    for place, table in _made(recipe, todo, clock):
        _store(table, _file(folder, place))
        yield len(stars[place])


def _write_part(recipe: Recipe, folder: Path, task: tuple[int, StarPart]) -> int:
    """What a worker of another machine does, if no other one did it before that was lost."""
    if _file(folder, task[0]).exists():
        return len(task[1])
    for place, table in _made(recipe, [task], Clock()):
        _store(table, _file(folder, place))
    return len(task[1])


def _store(table: pa.Table, path: Path) -> None:
    with written_whole(path) as scratch:
        write_parquet(table, scratch)


def _made(
    recipe: Recipe, tasks: Sequence[tuple[int, StarPart]], clock: Clock
) -> Iterator[tuple[int, pa.Table]]:
    """Tables of parts, with what was left out in their metadata; the next part is read meanwhile."""
    network = recipe.network()

    def loaded() -> Iterator[tuple[int, StarPart, list[Star], LeftOut]]:
        for place, part in tasks:
            left_out: LeftOut = []
            yield place, part, part.read(network, left_out), left_out

    for place, part, stars, left_out in prefetch(loaded(), depth=1, clock=clock):
        table = recipe.rows(stars, part, clock)
        facts = {**(table.schema.metadata or {}), LEFT_OUT: json.dumps(left_out).encode()}
        yield place, table.replace_schema_metadata(facts)


def _finish(
    recipe: Recipe, tables: Sequence[pa.Table | Path], left_out: LeftOut | None, path: Path, clock: Clock
) -> Written:
    """Join tables, or the files that hold them, into the output."""
    written, schema = _glanced(recipe, tables, left_out, clock)
    write_joined(_row_groups(tables, schema), schema, path)
    return written


def write_joined(tables: Iterable[pa.Table], schema: pa.Schema, path: Path) -> None:
    """Write tables as one, in the format of the file's ending; each is a row group of a Parquet file."""
    if table_format(path) != "parquet":
        write_table(as_table(pa.concat_tables(tables)), path)
        return
    with (
        written_whole(path) as scratch,
        pq.ParquetWriter(scratch, schema, write_page_checksum=True) as writer,
    ):
        for rows in tables:
            writer.write_table(rows)


def _glanced(
    recipe: Recipe, tables: Sequence[pa.Table | Path], left_out: LeftOut | None, clock: Clock
) -> tuple[Written, pa.Schema]:
    """What tables hold, and the schema that has every column that one of them has."""
    written = Written(left_out=list(left_out or ()), limit=clock.limit())
    flagged, rows = recipe.makes == "predictions", list[pa.Table]()
    fields, facts, some = dict[str, pa.Field](), dict[bytes, bytes](), False
    for table in tables:
        opened = open_parquet(table) if isinstance(table, Path) else table
        schema = opened.schema_arrow if isinstance(opened, pq.ParquetFile) else opened.schema
        names = [name for name in schema.names if name == "modality" or (flagged and _is_told(name))]
        told = opened.read(columns=names) if isinstance(opened, pq.ParquetFile) else opened.select(names)
        modality = told.column("modality")
        rows.append(told.replace_schema_metadata(None))
        written.modalities.update(modality.to_pylist())
        written.left_out += [(path, why) for path, why in json.loads(schema.metadata.get(LEFT_OUT, b"[]"))]
        if not some and (len(modality) or not fields):  # of a table without rows, for want of another
            fields, facts = {}, {}
        if len(modality) or not fields:
            fields = {field.name: field for field in schema} | fields
            facts = {**schema.metadata, **facts, **_longest(facts, schema.metadata)}
        some |= bool(len(modality))
    if not some and recipe.data == FILES:
        first = f"; {': '.join(written.left_out[0])}" if written.left_out else ""
        raise DesaError(f"none of {len(written.left_out)} files could be used{first}")
    facts.pop(LEFT_OUT, None)
    if flagged:
        written.told = pa.concat_tables(rows).replace_schema_metadata(facts)
    ordered = sorted(fields.values(), key=lambda field: _order(field.name))
    return written, pa.schema(ordered, metadata=facts)


def _is_told(name: str) -> bool:
    """Whether a column of predictions is summed up in words."""
    return name == "star_id" or name.endswith("_flag")


def _longest(one: dict[bytes, bytes], other: dict[bytes, bytes]) -> dict[bytes, bytes]:
    """The greater of astropy's lengths of words."""
    names = [name for name in other if name.startswith(LONGEST)]
    return {name: max(other[name], one.get(name, b"0"), key=int) for name in names}


def _order(name: str) -> int:
    """Vectors come last, in their order; a part may lack some that another has."""
    return VECTORS.index(name) if name in VECTORS else -1


def _row_groups(tables: Sequence[pa.Table | Path], schema: pa.Schema) -> Iterator[pa.Table]:
    """The tables' rows, `ROWS_AT_ONCE` at a time, null where a table lacks a column; at least one table."""
    waiting = schema.empty_table()
    for table in tables:
        given = read_parquet(table) if isinstance(table, Path) else table
        if given.num_rows:
            columns = [
                given.column(field.name)
                if field.name in given.column_names
                else pa.nulls(len(given), field.type)
                for field in schema
            ]
            waiting = pa.concat_tables([waiting, pa.table(columns, schema=schema)])
        while waiting.num_rows >= ROWS_AT_ONCE:
            yield waiting.slice(0, ROWS_AT_ONCE).combine_chunks()
            waiting = waiting.slice(ROWS_AT_ONCE)
    yield waiting.combine_chunks()


def _as_arrow(table: Table) -> pa.Table:
    """A table as astropy writes it into a Parquet file, with units and words in its metadata."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "rows.parquet"
        table.write(path, format="parquet")
        return pq.read_table(path, memory_map=False)


def as_table(table: pa.Table) -> Table:
    """A table that `write_rows` wrote as astropy's, with the units, words and facts that it has."""
    header = (table.schema.metadata or {}).get(b"table_meta_yaml")
    if header is None:
        return as_astropy(table)
    said = get_header_from_yaml(header.decode().split("\n"))
    made = Table(meta=said.get("meta", {}))
    for about in said["datatype"]:
        if about["name"] in table.column_names:
            column = table.column(about["name"])
            words = pa.types.is_string(column.type)
            values = np.array(column.to_pylist(), dtype=str) if words else column.to_numpy()
            facts = {name: about[name] for name in ("unit", "description") if name in about}
            made[about["name"]] = Column(values, **facts)
    return made
