"""Time, peak memory and bytes against the number of stars, for each step of a survey's way; MOCK stars.

Every measurement is a process of its own on one thread: processor seconds of the step alone (which other
programs beside lengthen little), the peak of the process's own memory, bytes of what it writes. The
archive is made from a few simulated stars, each copied under other names and at other places: a star has one
quarter of Kepler and one or more LAMOST spectra. The steps on tables (index, anomalies) get rows drawn near
those of the largest table of embeddings, so that they can have more stars than the others.

    python benchmarks/scale.py FOLDER                                  # a quarter of an hour
    python benchmarks/scale.py FOLDER --stars 1000 10000 100000 --rows 10000 100000 1000000
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

Step = Callable[[], object]

STEPS = {
    "ingest light curves": "files",
    "ingest spectra": "files",
    "ingest both": "files",
    "features of light curves": "stars",
    "features of spectra": "stars",
    "embed": "stars",
    "predict": "stars",
    "index, exact": "rows",
    "index, ivf": "rows",
    "index, hnsw": "rows",
    "anomalies": "rows",
}
ON_TABLES = [step for step, unit in STEPS.items() if unit == "rows"]
PATIENCE = 900.0
"""Seconds after which a step is given up, and not tried with more stars."""


@dataclass(frozen=True)
class Place:
    """Where the files of a size are."""

    folder: Path
    count: int

    @property
    def own(self) -> Path:
        return self.folder / str(self.count)

    @property
    def survey(self) -> Path:
        return self.own / "ingest both"

    @property
    def table(self) -> Path:
        return self.folder / "rows" / f"{self.count}.parquet"


def copied_archive(base: Path, out: Path, stars: int) -> None:
    """An archive of so many stars: copies of the base's, of other identifiers and places."""
    curves = sorted((base / "lightcurves").rglob("*.fits"))
    spectra: dict[bytes, list[bytes]] = {}
    for path in sorted((base / "spectra").rglob("*.fits")):
        content = path.read_bytes()
        spectra.setdefault(card(content, rb"OBJNAME = 'KIC (\d+)"), []).append(content)
    visits = 0
    for star in range(stars):
        content = curves[star % len(curves)].read_bytes()
        kic, new = card(content, rb"KEPLERID=\s+(\d+)"), b"%08d" % (30_000_000 + star)
        ra = b"%10.6f" % (100.0 + 200.0 * star / stars)
        content = content.replace(kic, new)
        write(out / f"lightcurves/{star // 1000}/{star}_llc.fits", placed(content, b"RA_OBJ", ra))
        for spectrum in spectra.get(kic, ()):
            obsid = card(spectrum, rb"OBSID   =\s+(\d+)")
            made = spectrum.replace(kic, new).replace(obsid, b"%09d" % (100_000_000 + visits))
            write(out / f"spectra/{visits // 1000}/{visits}.fits", placed(made, b"RA", ra))
            visits += 1


def card(content: bytes, pattern: bytes) -> bytes:
    """What a header's card holds."""
    found = re.search(pattern, content)
    assert found is not None, pattern
    return found[1]


def placed(content: bytes, name: bytes, value: bytes) -> bytes:
    """The file with another right ascension, in its primary header."""
    return re.sub(
        name.ljust(8) + rb"= {11}[ \d.]{10}", name.ljust(8) + b"= " + 10 * b" " + value, content, count=1
    )


def write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.replace(b"CHECKSUM=", b"COMMENT  "))  # which is no longer the header's


def drawn_table(source: Path, out: Path, rows: int) -> None:
    """A table of embeddings with rows drawn near those of another."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    table, rng = pq.read_table(source), np.random.default_rng(rows)
    vectors = [
        field.name
        for field in table.schema
        if pa.types.is_list(field.type) or pa.types.is_fixed_size_list(field.type)
    ]
    known = table.filter(pc.is_valid(table.column("joint")))
    out.parent.mkdir(exist_ok=True)
    with pq.ParquetWriter(out, known.schema) as writer:
        for start in range(0, rows, 10_000):
            count = min(10_000, rows - start)
            some = known.take(rng.integers(0, len(known), count))
            for name in vectors:
                column = some.column(name).combine_chunks()
                values = np.array(column.flatten().to_numpy(), np.float32)
                spread = 0.1 * values.std()
                noisy = values + spread * rng.standard_normal(len(values), dtype=np.float32)
                if pa.types.is_fixed_size_list(column.type):
                    made = pa.FixedSizeListArray.from_arrays(pa.array(noisy), column.type.list_size)
                else:
                    made = pa.ListArray.from_arrays(column.offsets, pa.array(noisy))
                some = some.set_column(
                    some.column_names.index(name), some.schema.field(name), made.cast(column.type)
                )
            names = pa.array([f"KIC {start + n}" for n in range(count)])
            some = some.set_column(some.column_names.index("star_id"), some.schema.field("star_id"), names)
            writer.write_table(some.cast(known.schema))


def step_of(step: str, place: Place) -> tuple[Step, Path | None]:
    """What a process does, ready to be timed, and where it writes."""
    out = place.own / step
    if step in ON_TABLES:
        return table_step(step, place, out)
    if step.startswith("ingest"):
        from desa.survey.ingest import ingest

        archive = place.own / "archive"
        curves, spectra = (None if step.endswith(other) else archive / part for other, part in INPUTS)
        return lambda: ingest(curves, spectra, None, out, processes=1), out
    from desa.inference.encode import lightcurve_features, spectrum_features
    from desa.inference.stream import Recipe, write_rows
    from desa.survey.parts import survey_parts
    from desa.survey.store import Survey

    survey = Survey.open(place.survey)
    makes = "predictions" if step == "predict" else "embeddings"
    recipe = Recipe(makes, "", f"{survey.kind} survey {survey.identity}", "cpu")
    model = recipe.network()
    if step.startswith("features"):
        features = spectrum_features if step.endswith("spectra") else lightcurve_features
        return lambda: features(model, survey), None
    file = out.with_suffix(".parquet")
    return lambda: write_rows(recipe, survey_parts(survey, model), file), file


INPUTS = (("spectra", "lightcurves"), ("curves", "spectra"))
"""A step of one kind that ends with the first word does without the second's files."""


def table_step(step: str, place: Place, out: Path) -> tuple[Step, Path]:
    from desa.anomalies.ranking import find_anomalies
    from desa.inference.table_files import write_table
    from desa.search.index import Index

    out = place.table.with_name(f"{place.count} {step}").with_suffix(".parquet")
    if step == "anomalies":
        return lambda: write_table(find_anomalies(place.table), out), out
    kind = step.split()[-1]
    return lambda: Index.build(place.table, kind=kind).save(out), out


def worker(step: str, place: Place) -> None:
    """Do a step and print what it took."""
    import torch

    torch.set_num_threads(1)
    call, out = step_of(step, place)
    with Memory() as memory:
        wall, cpu = time.perf_counter(), time.process_time()
        call()
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    written = 0
    if out is not None:
        files = [out] if out.is_file() else [path for path in out.rglob("*") if path.is_file()]
        written = sum(path.stat().st_size for path in files)
    print(json.dumps({"wall": wall, "cpu": cpu, "megabytes": memory.most, "bytes": written}))


class Memory:
    """Peak of a process's own memory in MB (Linux), looked at a hundred times a second.

    Pages of files that are mapped are not counted: the system takes them back when it needs them.
    """

    def __enter__(self) -> Memory:
        self.most, self.ended = 0.0, threading.Event()
        self.thread = threading.Thread(target=self.watch, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self.thread.join()

    def watch(self) -> None:
        while not self.ended.wait(0.01):
            lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
            now = next(int(line.split()[1]) / 1024 for line in lines if line.startswith("RssAnon"))
            self.most = max(self.most, now)


def measured(step: str, place: Place) -> dict[str, float] | None:
    """A step in a process of its own; None if it takes too long."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    command = [sys.executable, __file__, str(place.folder), "--worker", step, "--count", str(place.count)]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
            env={**os.environ, **threads},
        )
    except subprocess.TimeoutExpired:
        return None
    if done.returncode:
        raise SystemExit(f"{step} of {place.count}: {done.stderr[-2000:]}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def exponent(counts: list[int], values: list[float]) -> float:
    """Slope of log value against log count, by least squares."""
    if len(counts) < 2 or min(values) <= 0:
        return float("nan")
    return float(np.polyfit(np.log(counts), np.log(values), 1)[0])


def markdown(rows: list[dict[str, object]]) -> str:
    """A line a step and size, and each step's exponents."""
    lines = [
        "| step | stars or rows | processor s | s by the clock | ms each | peak MB | MB written |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    fits = [
        "| step | time grows as | from the last but one | memory grows as |",
        "| --- | ---: | ---: | ---: |",
    ]
    for step in STEPS:
        own = [row for row in rows if row["step"] == step]
        for row in own:
            count, cpu = int(str(row["count"])), float(str(row["cpu"]))
            lines.append(
                f"| {step} | {count} | {cpu:.2f} | {row['wall']:.2f} | {1e3 * cpu / count:.3g} "
                f"| {row['megabytes']:.0f} | {float(str(row['bytes'])) / 1e6:.3g} |"
            )
        counts = [int(str(row["count"])) for row in own]
        cpu_of, memory_of = ([float(str(row[name])) for row in own] for name in ("cpu", "megabytes"))
        if len(own) > 1:
            fits.append(
                f"| {step} | N^{exponent(counts, cpu_of):.2f} | N^{exponent(counts[-2:], cpu_of[-2:]):.2f} "
                f"| N^{exponent(counts, memory_of):.2f} |"
            )
    return "\n".join([*lines, "", *fits])


def run(folder: Path, stars: list[int], rows: list[int], steps: list[str]) -> list[dict[str, object]]:
    """Every step at every size."""
    from desa.simulate.survey import simulate_survey

    base = folder / "base"
    if not (base / "labels.csv").exists():
        simulate_survey(40, 1, base, "fits", quarters=[5])
    found: list[dict[str, object]] = []
    given_up = set[str]()
    for count in stars if set(steps) - set(ON_TABLES) else ():
        place = Place(folder, count)
        shutil.rmtree(place.own, ignore_errors=True)
        copied_archive(base, place.own / "archive", count)
        for step in steps:
            if step not in ON_TABLES:
                add(found, step, place, given_up)
        shutil.rmtree(place.own / "archive")
    source = Place(folder, stars[-1]).own / "embed.parquet"
    for count in rows if set(steps) & set(ON_TABLES) else ():
        place = Place(folder, count)
        drawn_table(source, place.table, count)
        for step in steps:
            if step in ON_TABLES:
                add(found, step, place, given_up)
    return found


def add(found: list[dict[str, object]], step: str, place: Place, given_up: set[str]) -> None:
    row = None if step in given_up else measured(step, place)
    if row is None:
        given_up.add(step)
        return
    found.append({"step": step, "count": place.count, **row})
    print(json.dumps(found[-1]), file=sys.stderr, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="for the files, some 0.8 MB a star")
    parser.add_argument("--stars", type=int, nargs="+", default=[300, 1000, 3000])
    parser.add_argument("--rows", type=int, nargs="+", default=[3000, 10_000, 30_000, 100_000])
    parser.add_argument("--steps", nargs="+", choices=list(STEPS), default=list(STEPS))
    parser.add_argument("--json", type=Path, help="write the numbers here too")
    parser.add_argument("--worker", choices=list(STEPS), help=argparse.SUPPRESS)
    parser.add_argument("--count", type=int, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.worker:
        worker(chosen.worker, Place(chosen.folder.absolute(), chosen.count))
        return
    rows = run(chosen.folder.absolute(), chosen.stars, chosen.rows, chosen.steps)
    if chosen.json:
        chosen.json.write_text(json.dumps(rows, indent=1) + "\n")
    print(markdown(rows))


if __name__ == "__main__":
    main()
