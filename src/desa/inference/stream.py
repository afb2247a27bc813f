"""Tables of any number of stars: made part by part, here, by several processes or on Dask's workers.

A finished part is a file in the folder ``.OUTPUT.parts`` beside the output. A run that was killed is run
again with the same command, keeps the parts that it finished, and writes the same bytes. At the end the parts
are joined, a few thousand rows in memory at a time, and their folder is removed.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import Literal

import pyarrow as pa
import torch

import desa
from desa.cluster import as_made
from desa.devices import choose_device
from desa.errors import DesaError
from desa.files import written_whole
from desa.folders import MARKER, claimed
from desa.inference.embed import each_spectrum, embed_stars, embedding_table, facts_of
from desa.inference.encode import BATCH_SIZE
from desa.inference.model import Desa
from desa.inference.predict import predict_columns
from desa.inference.prediction_table import build_table, joined
from desa.inference.quality import Limits
from desa.inference.table_parts import LEFT_OUT, Written, as_arrow, glanced, row_groups, write_joined
from desa.models.storage import weights_hash
from desa.parquet import write_parquet
from desa.pipeline import Clock, prefetch
from desa.progress import Report
from desa.survey.from_files import LeftOut
from desa.survey.parts import StarPart
from desa.survey.shards import json_bytes
from desa.training.distributed import World, barrier
from desa.types import Star

FILES = "files"
"""What `Recipe.data` says of files."""


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
            return as_arrow(build_table(joined(parts), network, self.data))
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
    return pa.concat_tables(row_groups(tables, schema)), written


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
    write_joined(row_groups(tables, schema), schema, path)
    return written


def _glanced(
    recipe: Recipe, tables: Sequence[pa.Table | Path], left_out: LeftOut | None, clock: Clock
) -> tuple[Written, pa.Schema]:
    """What tables hold, and their columns; files of which none could be used are an error."""
    written, schema = glanced(tables, left_out or [], flagged=recipe.makes == "predictions")
    written.limit = clock.limit()
    if not written.modalities and recipe.data == FILES:
        first = f"; {': '.join(written.left_out[0])}" if written.left_out else ""
        raise DesaError(f"none of {len(written.left_out)} files could be used{first}")
    return written, schema
