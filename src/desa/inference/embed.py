"""Tables of embeddings, of a survey or of files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from astropy.table import Table
from numpy.typing import NDArray

from desa.files import written_whole
from desa.inference import objects
from desa.inference.encode import lightcurve_features, spectrum_features, weights_hash
from desa.inference.objects import match_rows
from desa.models.network import Network
from desa.pipeline import Clock
from desa.progress import Report
from desa.survey.from_files import STARS_AT_ONCE, LeftOut, Pairing, stars_of_files
from desa.survey.store import Survey
from desa.training.pairs import Pairs, pairs_of, prior_of
from desa.types import Embedding

VECTORS = (
    "joint",
    "z_spectrum",
    "z_lightcurve",
    "p_spectrum",
    "p_lightcurve",
    "match_spectrum",
    "match_lightcurve",
    "features_spectrum",
    "features_lightcurve",
)

PAIRS_AT_ONCE = 256

Named = tuple[Embedding, str]
"""An embedding and the identifier of the spectrum that it is from."""


def _column(rows: Sequence[NDArray[np.float32] | None]) -> pa.Array | None:
    """Fixed-size lists of float32, null where a star has none; None where no star has any."""
    width = next((len(row) for row in rows if row is not None), None)
    if width is None:
        return None
    filled = np.zeros((len(rows), width), np.float32)
    for place, row in enumerate(rows):
        if row is not None:
            filled[place] = row
    missing = pa.array([row is None for row in rows])
    return pa.FixedSizeListArray.from_arrays(pa.array(filled.ravel()), width, mask=missing)


def embedding_table(rows: Sequence[Named], facts: dict[str, str]) -> pa.Table:
    """A row a star: ``star_id``, ``obsid``, ``modality`` and the vectors there are, as fixed-size lists.

    Parameters
    ----------
    rows
        Embeddings and their spectra's identifiers.
    facts
        Go into the table's metadata as ``desa.<name>``.
    """
    columns: dict[str, Any] = {
        "star_id": pa.array([row.star_id for row, _ in rows], pa.string()),
        "obsid": pa.array([obsid for _, obsid in rows], pa.string()),
        "modality": pa.array([row.modality for row, _ in rows], pa.string()),
    }
    for name in VECTORS:
        column = _column([getattr(row, name) for row, _ in rows])
        if column is not None:
            columns[name] = column
    return pa.table(columns).replace_schema_metadata({f"desa.{key}": value for key, value in facts.items()})


def vectors_table(rows: Sequence[Embedding], model: Network) -> Table:
    """Embeddings as an astropy table: each vector a column of arrays, NaN where a star has none."""
    table = Table({"star_id": [row.star_id for row in rows], "modality": [row.modality for row in rows]})
    for name in VECTORS:
        vectors = [getattr(row, name) for row in rows]
        width = next((len(vector) for vector in vectors if vector is not None), 0)
        if width:
            blank = np.full(width, np.nan, dtype=np.float32)
            table[name] = np.stack([blank if vector is None else vector for vector in vectors])
    table.meta.update(facts_of(model, "objects"))
    return table


def write_embedding(table: pa.Table, path: str | Path) -> None:
    """Write a table of embeddings as Parquet, whole."""
    with written_whole(path) as scratch:
        pq.write_table(table, scratch)


def facts_of(model: Network, data: str) -> dict[str, str]:
    """What a table of embeddings says of its making.

    ``model`` is the hash of all weights, ``trained_on`` and ``training_survey`` what they learned from,
    ``data`` what was embedded.
    """
    return {
        "model": weights_hash(model),
        "trained_on": str(model.metadata.get("data", "")),
        "training_survey": str(model.metadata.get("survey", "")),
        "prior": model.settings.dualformer.prior if model.dualformer is not None else "none",
        "data": data,
    }


def embed_survey(
    model: Network,
    survey: Survey,
    *,
    cache: Path | None = None,
    batch_size: int = 32,
    progress: Report | None = None,
    clock: Clock | None = None,
) -> pa.Table:
    """Embed every star of a survey: joint where it has both modalities, else that of the one it has.

    A star with several spectra gives the one of highest S/N in g. Reading runs beside the computing.
    The table's metadata say which of reading, preprocessing and model took longest (``desa.limit``).

    Parameters
    ----------
    model
        The model; a part that the survey needs but the model lacks is left out. A model with a prior
        takes it from the survey's labels.
    survey
        The survey.
    cache
        Folder for encoder features (see `desa.inference.encode`).
    batch_size
        Stars at once.
    progress
        Called with (done, all) of each stage.
    clock
        Gets the seconds of ``read``, ``preprocess`` and ``model``.
    """
    timer = clock or Clock(model.device)
    spectra = lightcurves = None
    if model.spectrum_encoder is not None and survey.n_spectra:
        spectra = spectrum_features(model, survey, cache, batch_size, progress, timer)
    if model.lightcurve_encoder is not None and survey.n_lightcurves:
        lightcurves = lightcurve_features(model, survey, cache, batch_size, progress, timer)
    rows: list[Named] = []
    if spectra is not None and lightcurves is not None and model.dualformer is not None:
        with timer.stage("model"):
            rows += _joint_rows(model, survey, spectra, lightcurves)
    done = {row.star_id for row, _ in rows}
    if spectra is not None:
        rows += _single_rows(model, survey, "spectrum", spectra, done)
    if lightcurves is not None:
        rows += _single_rows(model, survey, "lightcurve", lightcurves, done)
    rows.sort(key=lambda row: row[0].star_id)
    facts = facts_of(model, f"{survey.kind} survey {survey.identity}")
    spent = " ".join(f"{name}={seconds:.2f}s" for name, seconds in sorted(timer.seconds.items()))
    return embedding_table(rows, {**facts, "limit": timer.limit(), "seconds": spent})


def _joint_rows(
    model: Network, survey: Survey, spectra: NDArray[np.float32], lightcurves: NDArray[np.float32]
) -> Iterator[Named]:
    """Stars with both modalities."""
    names, obsids = survey.stars.column("star_id").to_pylist(), survey.spectrum_column("obsid")
    pairs = pairs_of(survey).best(survey.spectrum_column("snr_g"))
    prior = prior_of(survey, model.settings.dualformer.prior)
    for start in range(0, len(pairs), PAIRS_AT_ONCE):
        part: Pairs = pairs.where(np.arange(start, min(start + PAIRS_AT_ONCE, len(pairs))))
        own = np.array(spectra[part.spectrum]), np.array(lightcurves[part.lightcurve])
        given = None if prior is None else prior[torch.from_numpy(part.star)].to(model.device)
        output, joint = model.align(torch.from_numpy(own[0]), torch.from_numpy(own[1]), given)
        parts = (output.z_spectrum, output.z_lightcurve, output.p_spectrum, output.p_lightcurve, joint)
        arrays = [tensor.cpu().numpy() for tensor in parts]
        matches = (
            match_rows(model, kind, torch.from_numpy(rows))
            for kind, rows in zip(("spectrum", "lightcurve"), own, strict=True)
        )
        alone = [rows for rows in matches if rows is not None]
        for place, star in enumerate(part.star.tolist()):
            vectors = [array[place] for array in arrays]
            found = Embedding(
                names[star], "joint", own[0][place], own[1][place], *vectors, *(part[place] for part in alone)
            )
            yield found, str(obsids[part.spectrum[place]])


def _single_rows(
    model: Network, survey: Survey, kind: str, features: NDArray[np.float32], done: set[str]
) -> Iterator[Named]:
    """Stars that are not done yet, by one modality; each is put among the done ones."""
    names = survey.stars.column("star_id").to_pylist()
    if kind == "spectrum":
        star_of, obsids = survey.spectrum_star, survey.spectrum_column("obsid").astype(str)
        merit = np.nan_to_num(survey.spectrum_column("snr_g").astype(np.float64), nan=-1.0)
    else:
        star_of = survey.lightcurve_star
        obsids, merit = np.full(len(star_of), ""), np.zeros(len(star_of))
    chosen = []
    for row in np.argsort(-merit, kind="stable").tolist():
        name = names[int(star_of[row])]
        if name not in done:
            done.add(name)
            chosen.append(row)
    own = np.array(features[chosen])
    alone = match_rows(model, kind, torch.from_numpy(own))
    for place, (row, vector) in enumerate(zip(chosen, own, strict=True)):
        vectors = {f"features_{kind}": vector}
        if alone is not None:
            vectors[f"match_{kind}"] = alone[place]
        yield Embedding(names[int(star_of[row])], kind, **vectors), str(obsids[row])


def embed_files(
    model: Network,
    paths: Sequence[str | Path],
    *,
    match_arcsec: float = 3.0,
    batch_size: int = 32,
    progress: Report | None = None,
) -> tuple[pa.Table, list[tuple[str, str]]]:
    """Embed files: quarters of a star are stitched, light curves and spectra of a star paired.

    Parameters
    ----------
    model
        The model.
    paths
        Files of any supported layout, or folders of such; what can't be used is left out and listed. Stars
        are read as they are needed, so that any number of files takes little memory.
    match_arcsec
        Radius for pairs by position; a common identifier goes first.
    batch_size
        Stars at once.
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
    left_out: LeftOut = []
    rows: list[Named] = []
    batches = stars_of_files(
        paths,
        match_arcsec=match_arcsec,
        check=model.check,
        left_out=left_out,
        progress=progress,
        size=max(batch_size, STARS_AT_ONCE),
    )
    for stars in batches:
        for kind in ("joint", "lightcurve", "spectrum"):
            rows += _embed(model, stars, kind, batch_size)
    return embedding_table(rows, facts_of(model, "files")), left_out


def _embed(model: Network, stars: Sequence[Pairing], kind: str, batch_size: int) -> Iterator[Named]:
    """Embeddings of the stars of one kind; without a DualFormer a pair counts as its spectrum."""
    chosen = [pairing for pairing in stars if _kind(pairing, model) == kind]
    for start in range(0, len(chosen), batch_size):
        part = chosen[start : start + batch_size]
        curves = [curve for curve, _ in part] if kind != "spectrum" else None
        spectra = [spectrum for _, spectrum in part] if kind != "lightcurve" else None
        found = objects.embed(model, objects.Stars(curves, spectra), None)
        for row, (_, spectrum) in zip(found, part, strict=True):
            yield row, spectrum.obsid if spectrum else ""


def _kind(pairing: Pairing, model: Network) -> str:
    curve, spectrum = pairing
    if spectrum is None:
        return "lightcurve"
    return "joint" if curve is not None and model.dualformer is not None else "spectrum"
