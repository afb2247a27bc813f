"""Speed and memory of the mock survey: stars a second by the clock, into a store, and whether memory is flat.

    python benchmarks/simulate.py [--stars 128 256 512] [--repeats 3] [--processes 2]

Each run is a process of its own, so that peak memory is that of the run; the first star of a process waits
for tables to load, which counts. Medians of the repeats are printed.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path


def _child(stars: int, processes: int, folder: Path) -> None:
    from desa.simulate.survey import simulate_survey

    simulate_survey(stars, 0, folder, processes=processes)


def measured(stars: int, processes: int) -> tuple[float, float, float]:
    """Seconds, greatest peak of memory of one process [MB], and megabytes written."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        child = os.fork()
        if child == 0:
            _child(stars, processes, Path(folder))
            own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            workers = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
            (Path(folder) / "peak").write_text(str(max(own, workers)))
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status:
            raise SystemExit(f"the run of {stars} stars failed with status {status}")
        seconds = time.perf_counter() - start
        peak = int((Path(folder) / "peak").read_text()) / 1024
        written = sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file()) / 1e6
    return seconds, peak, written


def report(sizes: Sequence[int], repeats: int, processes: int) -> None:
    """Print a line a size: median seconds, stars a second, peak memory, bytes a star."""
    sys.stdout.write("stars  seconds  stars/s  peak MB (largest process)  MB a star\n")
    for stars in sizes:
        runs = [measured(stars, processes) for _ in range(repeats)]
        seconds, peak, written = (statistics.median(column) for column in zip(*runs, strict=True))
        line = f"{stars:5d}  {seconds:7.1f}  {stars / seconds:7.1f}  {peak:10.0f}  {written / stars:24.3f}\n"
        sys.stdout.write(line)
        sys.stdout.flush()


def main() -> None:
    """Read the arguments and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stars", type=int, nargs="+", default=[128, 256, 512])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    report(options.stars, options.repeats, options.processes)


if __name__ == "__main__":
    main()
