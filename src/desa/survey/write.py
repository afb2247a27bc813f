"""Put a survey's files in place: shards from any process, then the tables that make it whole."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa

from desa.errors import SurveyError
from desa.files import clear_parts, read_bytes, written_whole
from desa.parquet import write_parquet
from desa.survey import schema
from desa.survey.schema import FORMAT
from desa.survey.shards import NOTES, Note, clear_modality, json_bytes, seal, write_json, write_shard
from desa.survey.stars import complete_stars, index_table
from desa.types import LightCurve, Spectrum

Modality = Literal["lightcurves", "spectra"]
KINDS = ("real", "mock", "unknown")
SCHEMAS = {"lightcurves": schema.LIGHTCURVES, "spectra": schema.SPECTRA}
SHARD_ROWS = {"lightcurves": 128, "spectra": 1024}
"""Rows a file: some 50 MB of full light curves, 30 MB of spectra."""


PLACES = tuple(f"{modality}{below}" for modality in SCHEMAS for below in ("", f"/{NOTES}"))
"""Folders in a survey's folder that are written to."""


def is_survey_folder(path: Path) -> bool:
    """Whether a folder holds a survey, finished by whatever version of desa."""
    try:
        content = json.loads(read_bytes(path / "survey.json", 1 << 28))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(content, dict) and {"format", "kind", "identity", "tables"} <= set(content)


def clear_scratch(path: Path) -> None:
    """Remove what a killed run left half-written in a survey's folder, which this run has claimed."""
    tables = (f"{name}.parquet" for name in ("stars", *SCHEMAS))
    clear_parts(path, "survey.json", "report.json", *tables)
    for modality in SCHEMAS:
        clear_modality(path / modality)


def write_lightcurves(
    path: Path,
    index: int,
    curves: Sequence[LightCurve],
    *,
    fingerprint: str = "",
    left_out: Sequence[dict[str, str]] = (),
) -> Note:
    """Write one shard of light curves; any process may write any shard. Then `finish_survey`."""
    batches = [schema.lightcurve_rows(curves)] if curves else []
    return write_shard(
        path / "lightcurves",
        index,
        batches,
        schema.LIGHTCURVES,
        fingerprint=fingerprint,
        facts=schema.lightcurve_facts(curves),
        left_out=left_out,
    )


def write_spectra(
    path: Path,
    index: int,
    spectra: Sequence[Spectrum],
    *,
    fingerprint: str = "",
    left_out: Sequence[dict[str, str]] = (),
) -> Note:
    """Write one shard of spectra; as `write_lightcurves`."""
    batches = [schema.spectrum_rows(spectra)] if spectra else []
    return write_shard(
        path / "spectra",
        index,
        batches,
        schema.SPECTRA,
        fingerprint=fingerprint,
        facts=schema.spectrum_facts(spectra),
        left_out=left_out,
    )


def _write_table(path: Path, table: pa.Table) -> str:
    with written_whole(path) as scratch:
        write_parquet(table, scratch, compression="zstd")
        return hashlib.sha256(scratch.read_bytes()).hexdigest()


def _content_hash(table: pa.Table) -> str:
    """Hash of a table's content, whatever version of Parquet it is kept in."""
    table = table.replace_schema_metadata(None).combine_chunks()
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return hashlib.sha256(sink.getvalue()).hexdigest()


def finish_survey(
    path: Path, *, kind: str, counts: Mapping[Modality, int], stars: pa.Table | None, report: dict[str, Any]
) -> str:
    """Put finished shards together into a survey; ``survey.json`` comes last.

    Parameters
    ----------
    path
        The survey's folder.
    kind
        ``"real"``, ``"mock"`` or ``"unknown"``.
    counts
        Number of shards of each modality.
    stars
        See `complete_stars`.
    report
        Content of ``report.json``.

    Returns
    -------
    str
        The survey's identity.

    Raises
    ------
    SurveyError
        If a shard is missing or the kind is none of these.
    """
    if kind not in KINDS:
        raise SurveyError(f"a survey is {', '.join(KINDS[:-1])} or {KINDS[-1]}, not {kind!r}")
    (path / "survey.json").unlink(missing_ok=True)
    clear_scratch(path)
    notes: dict[Modality, list[Note]] = {}
    for modality, count in counts.items():
        if count == 0:
            write_shard(path / modality, 0, [], SCHEMAS[modality])
        notes[modality] = seal(path / modality, SCHEMAS[modality], max(count, 1))
    table = complete_stars(stars, notes["lightcurves"], notes["spectra"])
    place = {star_id: row for row, star_id in enumerate(table.column("star_id").to_pylist())}
    files = {"stars.parquet": _write_table(path / "stars.parquet", table)}
    for modality, found in notes.items():
        index = index_table(found, place, schema.index_schema(modality))
        files[f"{modality}.parquet"] = _write_table(path / f"{modality}.parquet", index)
    write_json(path / "report.json", report)
    shards = [note["sha256"] for modality in sorted(notes) for note in notes[modality]]
    identity = hashlib.sha256(json_bytes([FORMAT, kind, *shards, _content_hash(table)])).hexdigest()[:32]
    kept = ("file", "rows", "bytes", "sha256")
    content: dict[str, Any] = {
        "format": FORMAT,
        "kind": kind,
        "identity": identity,
        "stars": table.num_rows,
        "tables": files,
    }
    for modality, found in notes.items():
        content[modality] = [{key: note[key] for key in kept} for note in found]
    write_json(path / "survey.json", content)
    return identity
