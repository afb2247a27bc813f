"""What is damaged beside single files: batches of them, surveys, models, settings, labels, indices."""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from desa.catalogs.labels import read_labels
from desa.config import read_settings
from desa.inference.embed import write_embedding
from desa.models.network import Network
from desa.search.index import Index
from desa.survey.info import damaged_files
from desa.survey.ingest import ingest
from desa.survey.store import Survey
from helpers.archive_files import write_quarter, write_spectrum
from helpers.layouts import Layout
from helpers.stars import small_survey
from helpers.tiny import tiny_settings
from hostile.damages import OF_BYTES
from hostile.verdicts import SILENT_CHECKED, SILENT_UNCHECKED

BATCHES, IN_BATCH, OF_OTHERS = 30, 24, 2
"""Batches, damaged files in each, and rounds over all kinds of damage of each other thing."""


class Cases(Protocol):
    """What counts the cases."""

    def case(self, what: str, kind: str, run: Callable[[], str]) -> None: ...


def batches(
    layouts: list[Layout], folder: Path, link: Path, chosen: argparse.Namespace, counts: Cases
) -> None:
    """Ingest folders of good and damaged files: all good ones are stored, whatever lies beside them."""
    singles = [layout for layout in layouts if not layout.member and len(layout.raw) < 300_000]
    for number in range(2 if chosen.small else BATCHES):
        place = folder / f"in{number}"
        rng = np.random.default_rng([chosen.seed, number, 7])
        place.mkdir(parents=True)
        write_quarter(place / "good0.fits", kic=999)
        write_spectrum(place / "good1.fits", header={"OBSID": 999, "DESIG": "LAMOST J999", "RA": 99.0})
        for index in range(IN_BATCH):
            layout, kinds = singles[int(rng.integers(len(singles)))], list(OF_BYTES)
            damage = OF_BYTES[kinds[int(rng.integers(len(kinds)))]]
            _put(place / f"bad{index}.fits", damage(layout.raw, rng))
        (place / "elsewhere").symlink_to(link)

        def run(place: Path = place, out: Path = folder / f"out{number}") -> str:
            ingest(place, place, None, out, processes=1)
            stored = {Path(str(name)).name for name in _sources(Survey.open(out))}
            if not {"good0.fits", "good1.fits"} <= stored or damaged_files(out):
                return "A BATCH LOST A GOOD FILE"
            return f"accepted: a batch with {IN_BATCH} damaged files, all good ones stored"

        counts.case("batch", str(number), run)
        shutil.rmtree(folder)


def _put(path: Path, raw: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(raw)


def _sources(survey: Survey) -> list[str]:
    curves = [survey.lightcurve(row).sources for row in range(survey.n_lightcurves)]
    spectra = [survey.spectrum(row).sources for row in range(survey.n_spectra)]
    return [source for sources in curves + spectra for source in sources]


@dataclass(frozen=True)
class Subject:
    """A thing of several files.

    Parameters
    ----------
    name
        For people.
    files
        Content by path.
    use
        Opens it in a folder and gives all that it says.
    silent
        The verdict where that is other than of the whole thing.
    """

    name: str
    files: dict[str, bytes]
    use: Callable[[Path], bytes]
    silent: str = SILENT_CHECKED


def others(folder: Path, chosen: argparse.Namespace, counts: Cases) -> None:
    """Damage one file of each thing in every way and open it."""
    for place, subject in enumerate(made(folder / "made")):
        expected = _all_of(subject, folder / "whole", {})
        for number, (kind, damage) in enumerate(OF_BYTES.items()):
            if chosen.small and (number + place) % 12:
                continue
            for turn in range(1 if chosen.small else OF_OTHERS * len(subject.files)):
                rng = np.random.default_rng([chosen.seed, place, number, turn])
                name = list(subject.files)[turn % len(subject.files)]
                changed = {name: damage(subject.files[name], rng)}

                def run(
                    subject: Subject = subject,
                    changed: dict[str, bytes] = changed,
                    expected: bytes = expected,
                ) -> str:
                    found = _all_of(subject, folder / "damaged", changed)
                    return "accepted: unharmed" if found == expected else subject.silent

                counts.case(subject.name, f"{name}: {kind}", run)


def _all_of(subject: Subject, folder: Path, changed: dict[str, bytes]) -> bytes:
    shutil.rmtree(folder, ignore_errors=True)
    for name, raw in (subject.files | changed).items():
        _put(folder / name, raw)
    return subject.use(folder)


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(".")
    }


def _numbers(*arrays: Any) -> bytes:
    return b"".join(np.ascontiguousarray(array).tobytes() for array in arrays)


def of_survey(folder: Path) -> bytes:
    survey = Survey.open(folder)
    curves = [survey.lightcurve(row) for row in range(survey.n_lightcurves)]
    spectra = [survey.spectrum(row) for row in range(survey.n_spectra)]
    told = [(curve.star_id, curve.first_cadence) for curve in curves] + [one.obsid for one in spectra]
    columns = survey.stars.to_pydict()
    return _numbers(*(item.flux for item in curves + spectra)) + repr((told, columns)).encode()


def of_model(folder: Path) -> bytes:
    model = Network.load(folder)
    return (
        _numbers(*(tensor.numpy() for tensor in model.state_dict().values())) + str(model.settings).encode()
    )


def of_settings(folder: Path) -> bytes:
    return str(read_settings(folder / "settings.yaml")).encode()


def of_labels(folder: Path) -> bytes:
    (path,) = folder.iterdir()
    found = read_labels(path)
    return repr((found.rows, found.keys, found.values, found.own)).encode()


def of_index(folder: Path) -> bytes:
    index = Index.load(folder / "index")
    rows, distances = index.neighbours(index.vector(3), 5)
    return _numbers(rows, distances, index._vectors) + repr(index.columns.to_pydict()).encode()


def of_embeddings(folder: Path) -> bytes:
    index = Index.build(folder / "emb.parquet", kind="exact")
    return _numbers(index.rows, index._vectors) + repr(index.columns.to_pydict()).encode()


def made(folder: Path) -> list[Subject]:
    """Good things of every kind."""
    folder.mkdir(parents=True)
    survey = small_survey(folder / "survey", stars=5, shard_size=3)
    model = Network(tiny_settings(), ("spectrum",))
    model.save(folder / "model")
    labels = {"kic": list(range(1, 41)), "teff": [5000.0 + n for n in range(40)], "mine": list(range(40))}
    pq.write_table(pa.table(labels), folder / "labels.parquet")
    rows = "\n".join(",".join(map(str, row)) for row in zip(*labels.values(), strict=True))
    settings = json.dumps({"preset": "mini", "seed": 3, "train_align": {"steps": 7, "batch_size": 16}})
    return [
        Subject("survey", files_of(survey.path), of_survey, SILENT_CHECKED),
        Subject("model", files_of(folder / "model"), of_model),
        Subject("settings", {"settings.yaml": settings.encode()}, of_settings, SILENT_UNCHECKED),
        Subject(
            "labels (CSV)",
            {"labels.csv": f"{','.join(labels)}\n{rows}\n".encode()},
            of_labels,
            SILENT_UNCHECKED,
        ),
        Subject(
            "labels (Parquet)",
            {"labels.parquet": (folder / "labels.parquet").read_bytes()},
            of_labels,
            SILENT_UNCHECKED,
        ),
        *_of_vectors(folder),
    ]


def _of_vectors(folder: Path) -> list[Subject]:
    vectors = np.random.default_rng(0).normal(size=(200, 8)).astype(np.float32)
    table = pa.table({"star_id": [f"KIC {n}" for n in range(200)], "joint": list(vectors)})
    write_embedding(table, folder / "emb.parquet")
    embeddings = Subject("embeddings", {"emb.parquet": (folder / "emb.parquet").read_bytes()}, of_embeddings)
    try:
        import faiss  # noqa: F401
    except ModuleNotFoundError:
        return [embeddings]
    Index.build(table, kind="ivf").save(folder / "index")
    return [embeddings, Subject("index", {"index": (folder / "index").read_bytes()}, of_index)]
