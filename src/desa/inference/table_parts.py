"""Tables that were made in parts, put together: what they hold, their common columns, row by row group."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from astropy.table import Column, Table
from astropy.table.meta import get_header_from_yaml

from desa.files import written_whole
from desa.inference.embed import VECTORS, as_astropy
from desa.inference.table_files import table_format, write_table
from desa.parquet import open_parquet, read_parquet
from desa.survey.from_files import LeftOut

ROWS_AT_ONCE = 4096
"""Rows of a row group of the joined table."""

LEFT_OUT = b"desa.left_out"
LONGEST = b"table::len::"
"""Astropy's note in a Parquet file of how long a column's words are at most."""


@dataclass
class Written:
    """What a table holds: rows by modality, what was left out, the stage that took longest here.

    ``told`` are the columns of predictions that `desa.inference.prediction_table.summary_lines` reads.
    """

    modalities: Counter[str] = field(default_factory=Counter)
    left_out: LeftOut = field(default_factory=list)
    limit: str = ""
    told: pa.Table | None = None


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


def glanced(
    tables: Sequence[pa.Table | Path], left_out: LeftOut, *, flagged: bool
) -> tuple[Written, pa.Schema]:
    """What tables hold, and the schema that has every column that one of them has.

    Parameters
    ----------
    tables
        Or the Parquet files that hold them.
    left_out
        What was left out before any of them was made.
    flagged
        Whether they are of predictions, whose flags are summed up in words.
    """
    written, rows = Written(left_out=list(left_out)), list[pa.Table]()
    fields, facts = dict[str, pa.Field](), dict[bytes, bytes]()
    empty: pa.Schema | None = None
    for table in tables:
        opened = open_parquet(table) if isinstance(table, Path) else table
        schema = opened.schema_arrow if isinstance(opened, pq.ParquetFile) else opened.schema
        names = [name for name in schema.names if name == "modality" or (flagged and _is_told(name))]
        told = opened.read(columns=names) if isinstance(opened, pq.ParquetFile) else opened.select(names)
        modality = told.column("modality")
        rows.append(told.replace_schema_metadata(None))
        written.modalities.update(modality.to_pylist())
        written.left_out += [(path, why) for path, why in json.loads(schema.metadata.get(LEFT_OUT, b"[]"))]
        if len(modality):
            fields = {field.name: field for field in schema} | fields
            facts = {**schema.metadata, **facts, **_longest(facts, schema.metadata)}
        elif empty is None:
            empty = schema
    if not fields and empty is not None:  # no table has rows
        fields, facts = {field.name: field for field in empty}, dict(empty.metadata)
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


def row_groups(tables: Sequence[pa.Table | Path], schema: pa.Schema) -> Iterator[pa.Table]:
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


def as_arrow(table: Table) -> pa.Table:
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
