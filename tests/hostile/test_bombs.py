"""Tables that are small on the disk and large in memory are refused before they are unpacked."""

from __future__ import annotations

import gzip
import io
import resource
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from desa.catalogs.labels import read_labels
from desa.errors import DamagedFile, FileRefused
from desa.io.registry import read
from desa.parquet import read_parquet, write_parquet
from desa.parquet_pages import bytes_in_memory
from helpers.archive_files import pipeline_table

ROWS = 30_000_000
ONE_PAGE = {"use_dictionary": False, "data_page_size": 1 << 30, "write_statistics": False}


def number(value: int, length: int = 0) -> bytes:
    """A number as Thrift's compact protocol writes it, in at least so many bytes."""
    value, found = value << 1, bytearray()
    while value >= 0x80 or len(found) + 1 < length:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])


def lying(table: pa.Table) -> bytes:
    """A Parquet file whose footer says that its last column unpacks to 100 bytes."""
    stream = io.BytesIO()
    pq.write_table(table, stream, compression="zstd", **ONE_PAGE)
    raw = stream.getvalue()
    about = pq.read_metadata(io.BytesIO(raw)).row_group(0)
    footer = len(raw) - 8 - int.from_bytes(raw[-8:-4], "little")
    end = raw[footer:]
    for size in (about.total_byte_size, about.column(about.num_columns - 1).total_uncompressed_size):
        assert len(number(size)) > 3  # so that these bytes are nothing else
        end = end.replace(number(size), number(100, len(number(size))))
    return raw[:footer] + end


@pytest.fixture(scope="module")
def bombs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bombs")
    words = pa.table({"kic": pa.array([1]), "name": pa.array(["x" * ROWS * 4])})
    (folder / "lying.parquet").write_bytes(lying(words))
    runs = pa.ListArray.from_arrays(pa.array([0, ROWS], pa.int32()), pa.array(np.zeros(ROWS, np.int32)))
    pq.write_table(pa.table({"kic": pa.array([1]), "runs": runs}), folder / "runs.parquet")
    pq.write_table(pa.table({"kic": pa.array(np.ones(ROWS, np.int32))}), folder / "rows.parquet")
    (folder / "text.csv.gz").write_bytes(gzip.compress(b"kic,teff\n" + b"1,5000\n" * ROWS, 9))
    return folder


@pytest.mark.slow
def test_labels(bombs: Path) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for path in sorted(bombs.iterdir()):
        assert path.stat().st_size < 1_000_000, path
        begun = time.monotonic()
        with pytest.raises(DamagedFile, match="larger than"):
            read_labels(path)
        assert time.monotonic() - begun < 3
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 300_000  # kB


def test_a_footer_that_lies(tmp_path: Path) -> None:
    """Its pages are believed: 80 MB that the footer says are 100 bytes."""
    path = tmp_path / "a.parquet"
    path.write_bytes(lying(pa.table({"kic": pa.array([1]), "name": pa.array(["x" * 80_000_000])})))
    assert pq.read_metadata(path).row_group(0).total_byte_size == 100
    assert path.stat().st_size < 100_000
    with pytest.raises(DamagedFile, match="larger than"):
        read_labels(path)
    with pytest.raises(OSError, match="larger than"):
        read_parquet(path, least=1 << 20)


@pytest.mark.parametrize(
    "options", [{}, {"data_page_version": "2.0"}, {"use_dictionary": False, "compression": "none"}]
)
def test_pages_of_good_files(options: dict, tmp_path: Path) -> None:
    """Every encoding that pyarrow writes: at least what the values take, at most what the footer says."""
    table = pa.table({**pipeline_table(7, 8, n=20_000), "words": [str(n % 90) for n in range(40_000)]})
    pq.write_table(table, tmp_path / "a", row_group_size=9000, write_page_checksum=True, **options)
    metadata = pq.read_metadata(tmp_path / "a")
    with (tmp_path / "a").open("rb") as stream:
        found = bytes_in_memory(stream, metadata)
    said = sum(metadata.row_group(n).total_byte_size for n in range(metadata.num_row_groups))
    values = table.drop_columns(["words"]).nbytes
    assert max(said * 0.9, values) <= found <= max(said, table.nbytes)


@pytest.mark.parametrize("options", [{}, {"use_dictionary": False, "compression": "none"}])
def test_tables_without_rows_and_with_long_words(options: dict, tmp_path: Path) -> None:
    empty = pa.table({"a": pa.array([], pa.string()), "b": pa.array([], pa.list_(pa.int32()))})
    words = pa.table({"a": ["x" * 3000 + str(n % 3) for n in range(50)], "b": [[n] for n in range(50)]})
    for table in (empty, words, pa.table({"a": pa.nulls(7, pa.string())})):
        pq.write_table(table, tmp_path / "a", write_page_checksum=True, **options)
        assert read_parquet(tmp_path / "a").equals(table)


def test_pages_that_are_none(tmp_path: Path) -> None:
    pq.write_table(pa.table(pipeline_table(7)), tmp_path / "a")
    whole = (tmp_path / "a").read_bytes()
    for damage in (b"\xff" * 12, b"\x15\x00\x15\x01\x15\x01" + bytes(6), b"\x1c" * 12, bytes(12)):
        (tmp_path / "b").write_bytes(whole[:4] + damage + whole[16:])
        with pytest.raises(FileRefused):
            read(tmp_path / "b")
        with pytest.raises(DamagedFile):
            read_labels(tmp_path / "b")


def test_tables_without_rows_are_read(tmp_path: Path) -> None:
    """Their columns have no data page, and of truths no page at all."""
    kinds = (pa.string(), pa.float64(), pa.list_(pa.int64()), pa.bool_())
    table = pa.table({str(kind): pa.array([], kind) for kind in kinds})
    write_parquet(table, tmp_path / "none.parquet")
    assert read_parquet(tmp_path / "none.parquet").equals(table)
