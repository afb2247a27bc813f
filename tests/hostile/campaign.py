"""Damaged files of every layout, by the thousand: ``make hostile``, or ``campaign.py --rounds 1 --small``.

Each case damages a good file in one way, by a fixed seed, and reads it as the commands do; batches of such
files are ingested; surveys, models, settings, labels and indices are damaged and opened. One process, one
core; a case may take `LONGEST_S`. What became of every case is counted (`Verdict`); exit code 1 if anything
happened that must not.
"""

from __future__ import annotations

import argparse
import faulthandler
import hashlib
import os
import resource
import signal
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from desa.errors import DesaError
from desa.io.registry import glances, read
from helpers.layouts import Layout, real, written
from hostile import subjects
from hostile.damages import OF_BYTES, Damage
from hostile.edits import EDITS, OF_CARDS, OF_TABLES
from hostile.verdicts import MUST_NOT, SILENT_CHECKED, SILENT_EDITED, SILENT_UNCHECKED, Item, judged

LONGEST_S = 10
MOST_BYTES = 2 << 30


class Hang(BaseException):
    """A case took too long; no handler of ordinary errors may catch it."""


class Counts:
    """What became of the cases."""

    def __init__(self, show: bool) -> None:
        self.tried, self.found, self.where, self.show = 0, Counter[str](), Counter[tuple[str, str]](), show
        self.peak = 0

    def case(self, what: str, kind: str, run: Callable[[], str]) -> None:
        """Run one case under the limits of time and memory, and count what became of it."""
        signal.alarm(LONGEST_S)
        faulthandler.dump_traceback_later(6 * LONGEST_S, exit=True)  # for a hang inside a library
        try:
            verdict = run()
        except DesaError as error:
            words = str(error)
            verdict = "refused" if len(words) < 1500 and "\n" not in words else "REFUSED IN MANY WORDS"
        except Hang:
            verdict = "HANG"
        except Exception as error:
            verdict = f"TRACEBACK {type(error).__name__}: {str(error)[:100]}"
        finally:
            signal.alarm(0)
            faulthandler.cancel_dump_traceback_later()
        before, self.peak = self.peak, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        if self.peak > MOST_BYTES > before:
            verdict = "ABOVE 2 GB"
        self.tried += 1
        self.found[verdict.split(" ")[0] if verdict.startswith("TRACEBACK") else verdict] += 1
        if verdict[0].isupper() or (self.show and "silently" in verdict):
            sys.stdout.write(f"{what}: {kind}: {verdict}\n")
        if "silently" in verdict:
            self.where[what, kind] += 1


def of_layout(layout: Layout) -> dict[str, tuple[Damage, str]]:
    """The damages that a layout's files can have, and what their silent acceptance is called."""
    silent = SILENT_CHECKED if layout.has_checksum else SILENT_UNCHECKED
    structured = OF_CARDS if layout.is_fits else OF_TABLES if layout.raw[:4] == b"PAR1" else {}
    found = {name: (damage, silent) for name, damage in (OF_BYTES | structured).items()}
    if layout.is_fits:  # the sum of 32-bit words, which is FITS's checksum, is the same in any order
        found |= {name: (found[name][0], SILENT_UNCHECKED) for name in found if "exchanged" in name}
    return found | {name: (damage, SILENT_EDITED) for name, damage in EDITS.items()}


def looked_at(source: str, whole: Item, silent: str) -> str:
    """Read a file as the commands do."""
    glances(source)
    return judged(read(source), whole, silent)


def reads(layouts: list[Layout], folder: Path, seed: int, rounds: int, counts: Counts, every: int) -> int:
    """Damage and read files one by one; returns how many kinds of damage there were."""
    number, kinds = 0, set()
    for place, layout in enumerate(layouts):
        whole = read(layout.write(folder, layout.raw))
        for kind, (damage, silent) in of_layout(layout).items():
            kinds.add(kind)
            for turn in range(rounds):
                number += 1
                if number % every:
                    continue
                raw = damage(layout.raw, np.random.default_rng([seed, place, number, turn]))
                source = layout.write(folder, raw)
                os.utime(source.split("::")[0], ns=(number, number))  # the same size, the same tick
                counts.case(layout.name, kind, partial(looked_at, source, whole, silent))
    return len(kinds)


def snapshot(folder: Path) -> dict[str, str]:
    """What a folder holds, for comparison."""
    return {
        str(path): f"{path.lstat().st_mtime_ns} {hashlib.sha256(path.read_bytes()).hexdigest()}"
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def foreign(folder: Path) -> Path:
    """Files of somebody else, with the names that desa gives its own."""
    for name in (
        ".x.part",
        "stars.parquet",
        "spectra/.data-00000-of-00001.arrow.part",
        "model.json",
        "letter",
    ):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("mine")
    return folder


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="cases of each kind of damage and layout")
    parser.add_argument("--every", type=int, default=1, help="only every so-manieth case of the files")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--small", action="store_true", help="written files only, few of the other things")
    parser.add_argument("--show", action="store_true", help="a line for each case that is accepted silently")
    return parser.parse_args()


def told(counts: Counts, seed: int, kinds: int, layouts: int, touched: int, begun: float) -> Iterator[str]:
    """The report, line by line."""
    yield f"{counts.tried} tried: {kinds} kinds of damage, {layouts} layouts of files, and batches, surveys, "
    yield f"models, settings, labels and indices; seed {seed}, {time.monotonic() - begun:.0f} s"
    for what in sorted(set(counts.found) | set(MUST_NOT)):
        yield f"{counts.found[what]:7d} {what}"
    yield f"{touched:7d} FOREIGN FILES TOUCHED"
    for (what, kind), count in counts.where.most_common(12):
        yield f"        most of the silent ones: {count} {what}: {kind}"
    yield f"{counts.peak / 1e6:.0f} MB at most"


def main() -> int:
    chosen = parsed()

    def rings(number: int, frame: object) -> None:
        raise Hang

    signal.signal(signal.SIGALRM, rings)
    warnings.simplefilter("ignore")
    counts, begun = Counts(chosen.show), time.monotonic()
    shared = Path(__file__).resolve().parents[3] / "shared"
    with tempfile.TemporaryDirectory() as name:
        folder, work = foreign(Path(name) / "others"), Path(name) / "work"
        work.mkdir()
        before = snapshot(folder)
        layouts = written(work)
        if not chosen.small and shared.is_dir():
            layouts += real(shared)
        kinds = reads(layouts, work, chosen.seed, chosen.rounds, counts, chosen.every)
        subjects.batches(layouts, Path(name) / "batches", folder, chosen, counts)
        subjects.others(Path(name) / "things", chosen, counts)
        after = snapshot(folder)
        touched = sum(before.get(path) != after.get(path) for path in before | after)
    for line in told(counts, chosen.seed, kinds, len(layouts), touched, begun):
        sys.stdout.write(line + "\n")
    return int(touched > 0 or counts.peak > MOST_BYTES or any(counts.found[what] for what in MUST_NOT))


if __name__ == "__main__":
    sys.exit(main())
