"""Many files from an archive into a folder: side by side, politely, resumed, checked, listed.

A file gets its name only when all of it has been read and agrees with what the archive and its own
checksums say. What is there is in ``.fetch/manifest.jsonl``, what could not be had in
``.fetch/failed.jsonl``, and pieces of files in ``.fetch/parts``; `desa ingest` looks at none of them.
"""

from __future__ import annotations

import json
import re
import shutil
import threading
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from desa.download.check import Sound, check_file
from desa.download.http import Patience, Refused, Remote, fetch
from desa.download.manifest import FOLDER, Fetched, Journal, settle
from desa.download.pace import Pace, Stopped
from desa.errors import ArchiveError, DamagedFile, FileRefused
from desa.files import NO_ROOM, full, regular, written_whole
from desa.folders import claimed, inside
from desa.progress import Report

RESERVE = 512 << 20
"""Bytes of the disk that a download leaves free."""

GIVE_UP_AFTER = 20
"""So many refusals before the first file, and the rest is not tried: a wrong token, or the wrong release."""

DAMAGED_TRIES = 3


@dataclass(frozen=True)
class Job:
    """A file to have.

    Parameters
    ----------
    name
        What it is called in messages and in the manifest; one of a kind.
    path
        Where it goes, below the folder; ``.gz`` is added where a gzip stream comes.
    remote
        Where it comes from.
    star_id, obsid
        What the file's header must say, where that is known.
    typical_size
        Bytes to expect where the archive does not list them.
    """

    name: str
    path: str
    remote: Remote
    star_id: str = ""
    obsid: str = ""
    typical_size: int = 1 << 19


@dataclass
class Outcome:
    """What became of a download.

    Parameters
    ----------
    fetched, already
        Names of files that came now, and that were there.
    unusable
        Whole files that desa can't use, with the reason: (name, reason).
    failed
        Files that could not be had, with the reason.
    size
        Bytes that came now.
    """

    fetched: list[str] = field(default_factory=list)
    already: list[str] = field(default_factory=list)
    unusable: list[tuple[str, str]] = field(default_factory=list)
    failed: list[tuple[str, str]] = field(default_factory=list)
    size: int = 0


def download(
    jobs: Sequence[Job],
    folder: Path,
    *,
    threads: int = 4,
    rate: float = 4.0,
    patience: Patience = Patience(),
    progress: Report | None = None,
) -> Outcome:
    """Bring files into a folder; what is there already is left as it is.

    Parameters
    ----------
    jobs
        What to have.
    folder
        Where.
    threads
        Connections side by side.
    rate
        Requests a second, of all of them together.
    patience
        How long to wait and how often to try.
    progress
        Called with (done, total).

    Returns
    -------
    Outcome
        Lists in the order of the jobs.

    Raises
    ------
    ArchiveError
        If the disk has no room.
    OutputError
        If the folder is somebody else's, can't be written, gets full, or another run is filling it.
    KeyboardInterrupt
        Passed on when every thread has stopped; the next run goes on from there.
    """
    with claimed_for_downloads(folder):
        run = _Run(folder, Pace(rate), patience, progress or (lambda done, total: None), len(jobs))
        todo = run.to_do(jobs)
        _check_room(folder, run, todo)
        run.work(todo, threads)
        return run.finish(jobs)


@contextmanager
def claimed_for_downloads(folder: Path) -> Iterator[None]:
    """Take a folder for downloads: see `desa.folders.claimed`."""
    places = (FOLDER, f"{FOLDER}/parts")
    with claimed(folder, "folder of downloads", places=places, ours=lambda path: (path / FOLDER).is_dir()):
        (folder / FOLDER / "parts").mkdir(parents=True, exist_ok=True)
        yield


def _check_room(folder: Path, run: _Run, todo: Sequence[Job]) -> None:
    need = 0
    for job in todo:
        part = run.part(job)
        there = part.stat().st_size if part.exists() else 0
        need += max((job.remote.size or job.typical_size) - there, 0)
    free = shutil.disk_usage(folder).free - RESERVE
    if need > free:
        raise ArchiveError(
            f"{folder}: {len(todo)} files need about {need / 1e9:.1f} GB and {max(free, 0) / 1e9:.1f} GB "
            "can be used there; make room or give another folder"
        )


class _Run:
    """One run's state; its threads share it."""

    def __init__(self, folder: Path, pace: Pace, patience: Patience, progress: Report, total: int) -> None:
        self.folder = folder
        self.manifest = Journal(folder / FOLDER / "manifest.jsonl", "name", Fetched)
        self._pace, self._patience = pace, patience
        self._progress, self._total = progress, total
        self._results: dict[str, tuple[str, str]] = {}
        self._size = 0
        self._refusals = 0
        self._any = False
        self._lock = threading.Lock()
        self._fatal: Exception | None = None

    def part(self, job: Job) -> Path:
        """Where a job's bytes gather."""
        return self.folder / FOLDER / "parts" / (re.sub(r"[^\w.-]", "_", job.name) + ".part")

    def to_do(self, jobs: Iterable[Job]) -> list[Job]:
        """Jobs whose file is not there as the manifest says."""
        todo = []
        for job in jobs:
            row = self.manifest.rows.get(job.name)
            if row and _as_listed(inside(self.folder, str(row["path"])), row):
                self._note(job, "already", "")
            else:
                todo.append(job)
        return todo

    def work(self, todo: Sequence[Job], threads: int) -> None:
        """Do the jobs; the first error that no file survives ends all of them."""
        queue = iter(todo)
        with ThreadPoolExecutor(max(1, min(threads, len(todo)))) as pool:
            futures = [pool.submit(self._serve, queue) for _ in range(max(1, min(threads, len(todo))))]
            try:
                for future in futures:
                    future.result()
            except BaseException:
                self._pace.stop()
                raise
        if self._fatal is not None:
            raise self._fatal

    def _serve(self, queue: Iterator[Job]) -> None:
        while self._fatal is None:
            with self._lock:
                job = next(queue, None)
            if job is None:
                return
            try:
                self._have(job)
            except Stopped:
                return
            except OSError as error:
                self._end(self._trouble(error, job))
            except Exception as error:  # raised again by `work`, when the other threads have stopped
                self._end(error)

    def _trouble(self, error: OSError, job: Job) -> Exception:
        if error.errno in NO_ROOM:
            wanted = job.remote.size or job.typical_size
            return full(self.folder, wanted, known=job.remote.size is not None)
        reason = error.strerror or error
        return ArchiveError(f"{self.folder}: can't be written ({reason}); the same command goes on from here")

    def _end(self, error: Exception) -> None:
        self._fatal = error
        self._pace.stop()

    def _have(self, job: Job) -> None:
        if not self._any and self._refusals >= GIVE_UP_AFTER:
            self._note(job, "failed", f"not tried: the first {GIVE_UP_AFTER} files were all refused")
            return
        try:
            sound, path, new = self._found(job) or self._bring(job)
        except (Refused, FileRefused) as error:
            reason = str(error)
            if isinstance(error, FileRefused):
                reason = error.reason + (f"; {error.advice}" if error.advice else "")
            self._refusals += 1
            self._note(job, "failed", reason)
            return
        self._any = True
        self.manifest.add(
            {
                "name": job.name,
                "path": str(path.relative_to(self.folder)),
                "bytes": sound.size,
                "sha256": sound.sha256,
                "url": job.remote.url,
                "star_id": sound.star_id,
                "refused": sound.refused,
                "time": datetime.now(UTC).isoformat(timespec="seconds"),
            }
        )
        self._note(job, "fetched" if new else "already", sound.refused, sound.size if new else 0)

    def _found(self, job: Job) -> tuple[Sound, Path, bool] | None:
        """A whole file under its own name that the manifest does not know: a run was killed in between."""
        for name in (job.path, f"{job.path}.gz"):
            path = inside(self.folder, name)
            if path is None:
                raise Refused(f"{name} leads out of the folder, or through a link")
            if path.is_file():
                try:
                    sound = self._checked(job, path)
                except FileRefused:
                    self._not_ours(job, path)
                    continue
                if job.remote.size in (None, sound.size) or sound.gzipped:
                    return sound, path, False
                self._not_ours(job, path)
        return None

    def _not_ours(self, job: Job, path: Path) -> None:
        """Refuse to replace a file that no run of ours put there."""
        row = self.manifest.rows.get(job.name)
        if row is None or inside(self.folder, str(row["path"])) != path:
            raise Refused(f"{path} is another file, which desa did not put there; move it away")

    def _bring(self, job: Job) -> tuple[Sound, Path, bool]:
        """Fetch until the file is whole; one that desa refuses must come twice alike to be believed."""
        part = self.part(job)
        refused: set[str] = set()
        for attempt in range(1, DAMAGED_TRIES + 1):
            fetch(job.remote, part, self._pace, self._patience)
            try:
                sound = self._checked(job, part)
                if sound.refused and sound.sha256 not in refused:
                    refused.add(sound.sha256)
                    raise DamagedFile(job.name, sound.refused)
            except FileRefused as error:
                part.unlink()
                if attempt == DAMAGED_TRIES or not isinstance(error, DamagedFile):
                    raise
                continue
            path = self.folder / (job.path + ".gz" * (sound.gzipped and not job.path.endswith(".gz")))
            settle(part, path)
            part.with_suffix(".json").unlink(missing_ok=True)
            return sound, path, True
        raise AssertionError("unreachable")

    def _checked(self, job: Job, path: Path) -> Sound:
        sound = check_file(path, job.name)
        for asked, got in ((job.star_id, sound.star_id), (job.obsid, sound.obsid)):
            if asked and got and asked != got:
                raise Mistaken(job.name, f"the archive sent {got} where {asked} was asked for")
        return sound

    def _note(self, job: Job, what: str, reason: str, size: int = 0) -> None:
        with self._lock:
            self._results[job.name] = (what, reason)
            self._size += size
            self._progress(len(self._results), self._total)

    def finish(self, jobs: Sequence[Job]) -> Outcome:
        """The outcome; what failed is written down too."""
        outcome = Outcome(size=self._size)
        for name in dict.fromkeys(job.name for job in jobs):
            what, reason = self._results[name]
            if what == "failed":
                outcome.failed.append((name, reason))
                continue
            (outcome.fetched if what == "fetched" else outcome.already).append(name)
            if reason := reason or str(self.manifest.rows[name]["refused"]):
                outcome.unusable.append((name, reason))
        write_failures(self.folder, outcome.failed)
        return outcome


class Mistaken(FileRefused):
    """A whole file, but of another star or observation."""


def write_failures(folder: Path, failed: Sequence[tuple[str, str]]) -> None:
    """Write ``.fetch/failed.jsonl``: the last run's failures with their reasons."""
    lines = (json.dumps({"name": name, "reason": reason}) + "\n" for name, reason in failed)
    with written_whole(folder / FOLDER / "failed.jsonl") as scratch:
        scratch.write_text("".join(lines))


def _as_listed(path: Path | None, row: dict[str, Any]) -> bool:
    """Whether a file is where the manifest says, below the folder and not through a link."""
    try:
        return path is not None and regular(path).stat().st_size == row["bytes"]
    except OSError:
        return False
