"""Tables of embeddings, of a survey or of files."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from desa.archive import read
from desa.archive.crossmatch import nearest
from desa.archive.kepler import stitch
from desa.errors import DesaError, FileRefused
from desa.files import written_whole
from desa.models.desa import Desa
from desa.progress import Report
from desa.survey.store import Survey
from desa.training.features import lightcurve_features, pairs_of, spectrum_features
from desa.types import Embedding, LightCurve, Spectrum

T = TypeVar("T")
VECTORS = (
    "joint",
    "z_spectrum",
    "z_lightcurve",
    "p_spectrum",
    "p_lightcurve",
    "features_spectrum",
    "features_lightcurve",
)


def ahead(items: Iterable[T], depth: int = 2) -> Iterator[T]:
    """The same items, prepared by a thread while the caller works on those before."""
    queue: Queue[tuple[bool, Any]] = Queue(depth)

    def fill() -> None:
        try:
            for item in items:
                queue.put((True, item))
            queue.put((False, None))
        except BaseException as error:  # handed to the caller, who raises it
            queue.put((False, error))

    Thread(target=fill, daemon=True).start()
    while True:
        more, item = queue.get()
        if more:
            yield item
        elif item is None:
            return
        else:
            raise item


def _column(rows: Sequence[np.ndarray | None]) -> pa.Array | None:
    """Fixed-size lists of float32, null where a star has none; None where no star has any."""
    width = next((len(row) for row in rows if row is not None), None)
    if width is None:
        return None
    filled = np.stack([np.zeros(width, np.float32) if row is None else row for row in rows]).astype(
        np.float32
    )
    missing = pa.array([row is None for row in rows])
    return pa.FixedSizeListArray.from_arrays(pa.array(filled.ravel()), width, mask=missing)


def embedding_table(rows: Sequence[Embedding], obsid: Sequence[str], facts: dict[str, str]) -> pa.Table:
    """A row a star: ``star_id``, ``obsid``, ``modality`` and the vectors there are, as fixed-size lists."""
    columns: dict[str, Any] = {
        "star_id": pa.array([row.star_id for row in rows], pa.string()),
        "obsid": pa.array(list(obsid), pa.string()),
        "modality": pa.array([row.modality for row in rows], pa.string()),
    }
    for name in VECTORS:
        column = _column([getattr(row, name) for row in rows])
        if column is not None:
            columns[name] = column
    return pa.table(columns).replace_schema_metadata({f"desa.{key}": value for key, value in facts.items()})


def write_embedding(table: pa.Table, path: str | Path) -> None:
    """Write a table of embeddings as Parquet, whole."""
    with written_whole(path) as scratch:
        pq.write_table(table, scratch)


@torch.inference_mode()
def embed_survey(
    model: Desa,
    survey: Survey,
    *,
    cache: Path | None = None,
    batch_size: int = 32,
    progress: Report | None = None,
) -> pa.Table:
    """Embed every star of a survey: joint where it has both modalities, else that of the one it has.

    A star with several spectra gives the one of highest S/N in g.

    Parameters
    ----------
    model
        The model; a part that the survey needs but the model lacks is left out.
    survey
        The survey.
    cache
        Folder for encoder features (see `desa.training.features`).
    batch_size
        Stars at once.
    progress
        Called with (done, all) of each stage.
    """
    spectra = lightcurves = None
    if model.spectrum_encoder is not None and survey.n_spectra:
        spectra = spectrum_features(model, survey, cache, batch_size, progress)
    if model.lightcurve_encoder is not None and survey.n_lightcurves:
        lightcurves = lightcurve_features(model, survey, cache, batch_size, progress)
    snr, names = survey.spectrum_column("snr_g"), survey.stars.column("star_id").to_pylist()
    obsids = survey.spectrum_column("obsid")
    rows: list[tuple[Embedding, str]] = []
    done: set[int] = set()
    if spectra is not None and lightcurves is not None and model.dualformer is not None:
        pairs = pairs_of(survey).best(snr)
        done = set(pairs.star.tolist())
        for start in range(0, len(pairs.star), 256):
            part = slice(start, start + 256)
            own = np.array(spectra[pairs.spectrum[part]]), np.array(lightcurves[pairs.lightcurve[part]])
            output, joint = model.align(torch.from_numpy(own[0]), torch.from_numpy(own[1]))
            arrays = [
                tensor.cpu().numpy()
                for tensor in (
                    output.z_spectrum,
                    output.z_lightcurve,
                    output.p_spectrum,
                    output.p_lightcurve,
                    joint,
                )
            ]
            for place, star in enumerate(pairs.star[part].tolist()):
                vectors = [array[place] for array in arrays]
                found = Embedding(names[star], "joint", own[0][place], own[1][place], *vectors)
                rows.append((found, str(obsids[pairs.spectrum[part][place]])))
    for features, star_of, kind in (
        (spectra, survey.spectrum_star, "spectrum"),
        (lightcurves, survey.lightcurve_star, "lightcurve"),
    ):
        if features is None:
            continue
        merit = snr if kind == "spectrum" else np.zeros(len(star_of))
        for row in np.argsort(-np.nan_to_num(merit, nan=-1.0), kind="stable").tolist():
            star = int(star_of[row])
            if star not in done:
                done.add(star)
                one = Embedding(names[star], kind, **{f"features_{kind}": np.array(features[row])})
                rows.append((one, str(obsids[row]) if kind == "spectrum" else ""))
    rows.sort(key=lambda item: item[0].star_id)
    return embedding_table(
        [row for row, _ in rows], [obsid for _, obsid in rows], facts_of(model, survey.kind)
    )


def facts_of(model: Desa, data: str) -> dict[str, str]:
    """What a table of embeddings says of its making."""
    return {
        "model": str(model.metadata.get("survey", "")),
        "trained_on": str(model.metadata.get("data", "")),
        "data": data,
    }


def grouped(
    items: Sequence[LightCurve | Spectrum], match_arcsec: float
) -> list[tuple[LightCurve | None, Spectrum | None]]:
    """Quarters of one star stitched; its light curve and spectrum paired by identifier or position."""
    quarters: dict[str, list[LightCurve]] = defaultdict(list)
    spectra: list[Spectrum] = []
    for number, item in enumerate(items):
        if isinstance(item, LightCurve):
            quarters[item.star_id or f"#{number}"].append(item)
        else:
            spectra.append(item)
    curves = [stitch(parts) for parts in quarters.values()]
    by_name = {curve.star_id: place for place, curve in enumerate(curves) if curve.star_id}
    near = nearest(
        [s.ra for s in spectra],
        [s.dec for s in spectra],
        [c.ra for c in curves],
        [c.dec for c in curves],
        match_arcsec,
    )
    taken: set[int] = set()
    pairs: list[tuple[LightCurve | None, Spectrum | None]] = []
    for spectrum, close in zip(spectra, near.tolist(), strict=True):
        place = by_name.get(spectrum.star_id, close)
        taken.add(place)
        pairs.append((curves[place] if place >= 0 else None, spectrum))
    return pairs + [(curve, None) for place, curve in enumerate(curves) if place not in taken]


def embed_files(
    model: Desa, paths: Sequence[str | Path], *, match_arcsec: float = 3.0, progress: Report | None = None
) -> tuple[pa.Table, list[tuple[str, str]]]:
    """Embed files: quarters of a star are stitched, light curves and spectra of a star paired.

    Parameters
    ----------
    model
        The model.
    paths
        Files of any supported layout; one that can't be used is left out and listed.
    match_arcsec
        Radius for pairs by position.
    progress
        Called with (files read, files).

    Returns
    -------
    tuple
        The table, and (path, reason) of what was left out.

    Raises
    ------
    DesaError
        If no file could be used.
    """
    items: list[LightCurve | Spectrum] = []
    left_out: list[tuple[str, str]] = []
    for done, path in enumerate(paths, 1):
        try:
            item = read(path)
            model.need("lightcurve_encoder" if isinstance(item, LightCurve) else "spectrum_encoder")
            items.append(item)
        except FileRefused as error:
            left_out.append((str(path), error.reason))
        except DesaError as error:
            left_out.append((str(path), str(error)))
        if progress:
            progress(done, len(paths))
    stars = grouped(items, match_arcsec)
    if not stars:
        raise DesaError(f"none of {len(paths)} files could be used; the first: {': '.join(left_out[0])}")
    rows: list[Embedding] = []
    obsids: list[str] = []
    for kind in ("joint", "lightcurve", "spectrum"):
        chosen = [
            (curve, spectrum)
            for curve, spectrum in stars
            if kind == ("joint" if curve and spectrum else "lightcurve" if curve else "spectrum")
        ]
        if chosen:
            curves = [curve for curve, _ in chosen] if kind != "spectrum" else None
            spectra = [spectrum for _, spectrum in chosen] if kind != "lightcurve" else None
            if kind == "joint" and model.dualformer is None:
                curves = None
            rows += model.embed(curves, spectra)
            obsids += [spectrum.obsid if spectrum else "" for _, spectrum in chosen]
    return embedding_table(rows, obsids, facts_of(model, "files")), left_out


def timed(items: Iterable[T], spent: dict[str, float], name: str) -> Iterator[T]:
    """The same items; adds the seconds that each took to `spent`."""
    source = iter(items)
    while True:
        start = time.perf_counter()
        try:
            item = next(source)
        except StopIteration:
            return
        finally:
            spent[name] = spent.get(name, 0.0) + time.perf_counter() - start
        yield item
