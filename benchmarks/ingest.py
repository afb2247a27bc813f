"""Files a second and memory of `desa ingest`, on uncompressed copies of real files.

    python benchmarks/ingest.py --kepler ../shared/data/kepler/multiquarter --lamost ../shared/data/lamost

Each round of copies has identifiers of its own in its headers. For N and 4 N files it prints files a second
and the largest memory of the main process and of a worker.
"""

from __future__ import annotations

import argparse
import gzip
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from desa.errors import DesaError
from desa.io import identify


def sources(folder: Path, kind: str, most: int) -> list[bytes]:
    """Uncompressed contents of a folder's files of one kind."""
    found = []
    for path in sorted(folder.rglob("*.fits*")):
        try:
            if identify(path) == kind:
                raw = path.read_bytes()
                found.append(gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw)
        except DesaError:
            continue
        if len(found) == most:
            break
    return found


def card(content: bytes, keyword: bytes, value: bytes) -> bytes:
    """Content with the first header card of a keyword replaced, if there is one; without value: blanked."""
    place = content.find(keyword.ljust(8) + b"= ")
    if place < 0 or place % 80:
        return content
    new = keyword.ljust(8) + b"= " + value.rjust(20) if value else b""
    return content[:place] + new.ljust(80) + content[place + 80 :]


def copies(contents: list[bytes], kind: str, number: int, folder: Path) -> int:
    """Write copies that differ in identifier and position; returns their bytes."""
    folder.mkdir(parents=True)
    size = 0
    for n in range(number):
        content = card(contents[n % len(contents)], b"CHECKSUM", b"")
        if kind == "lightcurve":
            # Quarters of one source stay quarters of one star: only the round of copying makes a new star.
            old = content.find(b"KEPLERID= ")
            kic = int(content[old + 10 : old + 30]) % 1_000_000 + 1_000_000 * (n // len(contents) % 59)
            content = card(content, b"KEPLERID", b"%d" % kic)
        else:
            content = card(content, b"OBSID", b"%d" % (10**6 + n))
            content = card(content, b"DESIG", b"'LAMOST B%09d'" % n)
            content = card(content, b"RA", b"%.6f" % (n * 0.01))
        (folder / f"{n:07d}.fits").write_bytes(content)
        size += len(content)
    return size


def measure(kind: str, folder: Path, processes: int) -> dict[str, float]:
    """Ingest in a fresh process; seconds and memory."""
    out = folder.with_name(folder.name + ".survey")
    command = [sys.executable, __file__, "--child", kind, str(folder), str(out), str(processes)]
    result = subprocess.run(command, check=True, capture_output=True, text=True)
    shutil.rmtree(out)
    found: dict[str, float] = json.loads(result.stdout)
    return found


def child(kind: str, folder: Path, out: Path, processes: int) -> None:
    from desa.survey.ingest import ingest

    start = time.perf_counter()
    inputs = (folder, None) if kind == "lightcurve" else (None, folder)
    report = ingest(*inputs, None, out, processes=processes, match_arcsec=3.0)
    seconds = time.perf_counter() - start
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    memory = [one.ru_maxrss / 1024 for one in usage]
    cpu = sum(one.ru_utime + one.ru_stime for one in usage)
    found = {"seconds": seconds, "cpu": cpu, "main": memory[0], "worker": memory[1]}
    print(json.dumps(found | {"left_out": len(report["left_out"])}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kepler", type=Path, help="folder of Kepler files")
    parser.add_argument("--lamost", type=Path, help="folder of LAMOST files")
    parser.add_argument("-n", type=int, default=400, help="N")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--child", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        kind, folder, out, processes = arguments.child
        child(kind, Path(folder), Path(out), int(processes))
        return
    for kind, folder, goal in (("lightcurve", arguments.kepler, 60), ("spectrum", arguments.lamost, 150)):
        if folder is None:
            continue
        contents = sources(folder, kind, 120)
        for number in (arguments.n, 4 * arguments.n):
            with tempfile.TemporaryDirectory() as scratch:
                size = copies(contents, kind, number, Path(scratch) / "files")
                found = measure(kind, Path(scratch) / "files", arguments.processes)
            print(
                f"{kind}: {number} files of {size / number / 1e3:.0f} kB, {found['left_out']:.0f} left out: "
                f"{number / found['seconds']:.0f} files/s (goal {goal}), "
                f"{1e3 * found['cpu'] / number:.1f} ms CPU a file, "
                f"peak memory {found['main']:.0f} MB main, {found['worker']:.0f} MB worker"
            )


if __name__ == "__main__":
    main()
