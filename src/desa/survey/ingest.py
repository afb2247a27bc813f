"""From folders of archive files to a survey: list, pair, read in parallel, store, report.

The work is cut into shards that depend on the files, their sizes and times, and the settings, and on
nothing else: a run that was killed is run again and keeps the shards it finished.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from desa.catalogs.labels import LabelTable
from desa.catalogs.merge import read_many
from desa.errors import SurveyError
from desa.folders import claimed
from desa.progress import Report
from desa.survey.ingest_report import ingest_report, report_rows
from desa.survey.pairing import Named, Pairing, lightcurve_stars, pair
from desa.survey.parallel import Workers
from desa.survey.reading import Reading, Shard, make_shard
from desa.survey.scan import FileState, file_root, list_files, sources
from desa.survey.shards import Note, json_bytes, note_of
from desa.survey.write import (
    KINDS,
    PLACES,
    SCHEMAS,
    Modality,
    clear_scratch,
    finish_survey,
    is_survey_folder,
)

__all__ = ["ingest", "report_rows"]

MODALITIES: tuple[Modality, ...] = ("lightcurves", "spectra")
KIND_OF = {"lightcurves": "lightcurve", "spectra": "spectrum"}
SCAN_FILES = 256
MOST_STARS = 256
"""Light-curve stars a shard at most: some 100 MB where each has a whole mission."""


@dataclass
class _Found:
    """A modality's files, put together by the star that their headers name."""

    root: Path
    states: dict[str, FileState]
    items: list[Named] = field(default_factory=list)
    files: list[list[str]] = field(default_factory=list)
    left_out: list[tuple[str, str]] = field(default_factory=list)
    mock: int = 0
    observed: int = 0


def ingest(
    lightcurves: str | Path | None,
    spectra: str | Path | None,
    labels: str | Path | Sequence[str | Path] | None,
    out: str | Path,
    *,
    processes: int = 2,
    match_arcsec: float = 3.0,
    flux_column: str = "pdcsap",
    quality: str | int = "default",
    kind: str | None = None,
    stars_only: bool = True,
    progress: Report | None = None,
    executor: Executor | None = None,
) -> dict[str, Any]:
    """Make a survey from archive files.

    Killed at any moment, it is run again with the same arguments and gives the same bytes.

    Parameters
    ----------
    lightcurves, spectra
        Folders (searched to any depth) or single files; None if there are none.
    labels
        Table of labels, or several; see `desa.catalogs.merge.read_many`.
    out
        The survey's folder.
    processes
        Processes that read side by side. The result does not depend on it.
    match_arcsec
        Radius for pairing by position; see `desa.survey.pairing.pair`.
    flux_column, quality
        See `desa.io.kepler.read_lightcurve_file`; `quality` may also be a number's digits.
    kind
        ``"real"``, ``"mock"`` or ``"unknown"``: what the data are, kept with every result. None: what the
        files' headers say. Files that say they are simulated are never called real.
    stars_only
        Leave out spectra that the survey's pipeline did not class as a star's.
    progress
        Called with the numbers of files done and of all files.
    executor
        Reads in place of processes of its own, such as Dask's workers (`desa.cluster.cluster_executor`);
        they must see the files and `out`. The result does not depend on it either.

    Returns
    -------
    dict
        Content of ``report.json``: what came in, and under ``left_out`` every file that did not, and why.

    Raises
    ------
    SurveyError
        If a folder does not exist or holds nothing that can be used, or real files are mixed with simulated
        ones.
    OutputError
        If `out` is somebody else's folder, can't be written, or another run is filling it.
    FileRefused
        If the table of labels can't be used.
    """
    roots: dict[str, str | Path | None] = {"lightcurves": lightcurves, "spectra": spectra}
    tables = [labels] if isinstance(labels, (str, Path)) else list(labels or ())
    inputs = {name: str(root) for name, root in roots.items() if root is not None}
    inputs |= {"labels": ", ".join(map(str, tables))} if tables else {}
    if lightcurves is None and spectra is None:
        raise SurveyError("nothing to ingest: give light curves, spectra, or both")
    if kind is not None and kind not in KINDS:
        raise SurveyError(f"a survey is {', '.join(KINDS[:-1])} or {KINDS[-1]}, not {kind!r}")
    path = Path(out)
    table = read_many(tables) if tables else None
    quality = int(quality) if isinstance(quality, str) and quality.isdigit() else quality
    reading = Reading(flux_column, quality, stars_only)
    with (
        claimed(path, "survey", places=PLACES, ours=is_survey_folder),
        Workers(processes, executor) as workers,
    ):
        found = _find({m: Path(root) for m, root in roots.items() if root is not None}, path, workers)
        kind = _kind(found, kind)
        pairing, shards = _plan(found, table, match_arcsec, path, reading)
        _make(shards, path, workers, progress)
        notes = {m: [_note(shard) for shard in shards[m]] for m in MODALITIES}
        stars = _stored_stars(pairing, notes)
        report = ingest_report(
            kind=kind,
            inputs=inputs,
            settings=asdict(reading) | {"match_arcsec": match_arcsec},
            files={m: len(found[m].states) for m in found},
            roots={m: found[m].root for m in found},
            notes=notes,
            stars=stars,
            pairing=pairing,
            labels=table,
            unread=dict(item for one in found.values() for item in sorted(one.left_out)),
        )
        counts = {m: len(shards[m]) for m in MODALITIES}
        finish_survey(path, kind=kind, counts=counts, stars=stars, report=report)
    return report


def _find(roots: Mapping[str, Path], out: Path, workers: Workers) -> dict[Modality, _Found]:
    """List the files and put them together by the star their headers name."""
    found: dict[Modality, _Found] = {}
    resolved = [root.resolve() for root in roots.values()]
    shared = len(resolved) == 2 and (
        resolved[0].is_relative_to(resolved[1]) or resolved[1].is_relative_to(resolved[0])
    )
    for modality in MODALITIES:
        if modality not in roots:
            continue
        one = _Found(file_root(roots[modality]), {})
        states = list_files(roots[modality], out, one.left_out)
        names = [state.name for state in states]
        root = one.root.absolute()  # a worker may run in another folder
        tasks = ((root, names[start : start + SCAN_FILES]) for start in range(0, len(names), SCAN_FILES))
        parts = (part for many in workers.in_order(sources, tasks) for part in many)
        seen = [(state, *it) for state, part in zip(states, parts, strict=True) for it in part]
        if shared:  # both kinds in one folder; what no header tells is tried, and listed, once
            seen = [it for it in seen if (it[2].kind or "lightcurve") == KIND_OF[modality]]
        one.states = {name: state for state, name, _ in seen}
        one.mock = sum(what.mock for _, _, what in seen)
        one.observed = sum(bool(what.kind) and not what.mock for _, _, what in seen)
        if modality == "lightcurves":
            one.items, one.files = lightcurve_stars((name, what) for _, name, what in seen)
        else:
            one.items = [Named(what.name, name, what.obsid, what.ra, what.dec) for _, name, what in seen]
            one.files = [[name] for _, name, _ in seen]
        found[modality] = one
    if not any(one.states for one in found.values()):
        raise SurveyError(f"no files in {', '.join(map(str, roots.values()))}")
    return found


def _kind(found: Mapping[Modality, _Found], wanted: str | None) -> str:
    """What the data are: as their headers say, or as the user says, but simulated ones are never real."""
    mock, observed = sum(one.mock for one in found.values()), sum(one.observed for one in found.values())
    every = mock + observed
    if wanted in ("mock", "unknown") or not mock:
        return wanted or "real"
    if wanted == "real":
        raise SurveyError(f"{mock} of {every} files say that they are simulated (MOCK = T): not real")
    if observed:
        raise SurveyError(
            f"{mock} of {every} files say that they are simulated (MOCK = T), the others don't: "
            "ingest them apart, or call all of them mock (--kind mock)"
        )
    return "mock"


def _plan(
    found: Mapping[Modality, _Found], table: LabelTable | None, arcsec: float, out: Path, reading: Reading
) -> tuple[Pairing, dict[Modality, list[Shard]]]:
    """Pair, and cut the work into shards."""
    curves, spectra = (found[m].items if m in found else [] for m in MODALITIES)
    pairing = pair(curves, spectra, table, arcsec)
    ids = {"lightcurves": pairing.lightcurves, "spectra": pairing.spectra}
    shards: dict[Modality, list[Shard]] = {modality: [] for modality in MODALITIES}
    for modality, one in found.items():
        stars: dict[str, list[str]] = defaultdict(list)
        for star_id, files in zip(ids[modality], one.files, strict=True):
            stars[star_id] += files
        ordered = [(star_id, sorted(stars[star_id])) for star_id in sorted(stars)]
        for index, part in enumerate(_cut(ordered, len(one.states))):
            content = [(star_id, [one.states[name] for name in files]) for star_id, files in part]
            inputs = json_bytes([version("desa"), SCHEMAS[modality].names, asdict(reading), content])
            fingerprint = hashlib.sha256(inputs).hexdigest()
            named = tuple((star_id, tuple(files)) for star_id, files in part)
            root = one.root.absolute()
            shards[modality].append(Shard(out.absolute(), modality, index, fingerprint, root, named, reading))
    return pairing, shards


def _cut(stars: Sequence[tuple[str, list[str]]], files: int) -> Iterator[list[tuple[str, list[str]]]]:
    """Parts of 64 to 1024 files: a power of two near a sixteenth of all, so that all processes have work."""
    most = min(1024, max(64, 2 ** ((files // 16).bit_length() - 1) if files >= 16 else 0))
    part: list[tuple[str, list[str]]] = []
    count = 0
    for star in stars:
        if part and (count + len(star[1]) > most or len(part) >= MOST_STARS):
            yield part
            part, count = [], 0
        part.append(star)
        count += len(star[1])
    if part:
        yield part


def _make(
    shards: Mapping[Modality, Sequence[Shard]], out: Path, workers: Workers, progress: Report | None
) -> None:
    """Make the shards that are not there yet."""
    every = [shard for modality in MODALITIES for shard in shards[modality]]
    todo = [s for s in every if note_of(out / s.modality, s.index, s.fingerprint) is None]
    total = sum(shard.files for shard in every)
    done = total - sum(shard.files for shard in todo)
    clear_scratch(out)
    if todo:
        (out / "survey.json").unlink(missing_ok=True)
    if progress:
        progress(done, total)
    for files in workers.in_order(make_shard, todo):
        done += files
        if progress:
            progress(done, total)


def _note(shard: Shard) -> Note:
    note = note_of(shard.out / shard.modality, shard.index, shard.fingerprint)
    if note is None:
        raise SurveyError(f"{shard.out}: shard {shard.index} of the {shard.modality} vanished; run again")
    return note


def _stored_stars(pairing: Pairing, notes: Mapping[Modality, Sequence[Note]]) -> pa.Table:
    """The stars of which something could be read."""
    stored = {star_id for part in notes.values() for note in part for star_id in note["facts"]["star_id"]}
    keep = pc.is_in(pairing.stars.column("star_id"), value_set=pa.array(sorted(stored), pa.string()))
    return pairing.stars.filter(keep)
