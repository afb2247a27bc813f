"""Tables of embeddings, of a survey or of files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from astropy.table import Table
from numpy.typing import NDArray
from torch import Tensor

from desa.errors import ModelError
from desa.files import written_whole
from desa.inference.encode import BATCH_SIZE, Array, chunked, star_features
from desa.inference.exact import one_order, portions
from desa.inference.joint import has_both, joint_vectors
from desa.inference.table_files import table_format, write_table
from desa.models.network import Network
from desa.models.storage import weights_hash
from desa.parquet import write_parquet
from desa.pipeline import Clock, prefetch
from desa.progress import Report
from desa.survey.from_files import LeftOut, stars_of_files
from desa.survey.selection import STARS_AT_ONCE, prior_of, stars_of_survey
from desa.survey.store import Survey
from desa.types import PARTS, Embedding, Part, Star

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
    """Write a table of embeddings whole, in the format of the file's ending.

    Parquet, which `desa search`, `anomalies` and `explore` read, keeps it as it is; the other formats of
    `desa.inference.table_files` hold NaN where a star has no vector.

    Raises
    ------
    SettingsError
        For another ending.
    """
    if table_format(path) != "parquet":
        write_table(as_astropy(table), path)
        return
    with written_whole(path) as scratch:
        write_parquet(table, scratch)


def as_astropy(table: pa.Table) -> Table:
    """A table of embeddings as an astropy table, with the facts of its making in ``meta``."""
    made = Table()
    for name in table.column_names:
        column = table.column(name)
        if pa.types.is_fixed_size_list(column.type):
            rows = np.full((table.num_rows, column.type.list_size), np.nan, np.float32)
            known = column.is_valid().to_numpy(zero_copy_only=False)
            rows[known] = column.combine_chunks().flatten().to_numpy().reshape(-1, column.type.list_size)
            made[name] = rows
        else:
            made[name] = column.to_pylist()
    made.meta |= {key.decode(): value.decode() for key, value in (table.schema.metadata or {}).items()}
    return made


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


def embed_stars(
    model: Network,
    stars: Sequence[Star],
    prior: Tensor | None = None,
    batch_size: int = BATCH_SIZE,
    clock: Clock | None = None,
) -> list[Named]:
    """An embedding of each star: joint where it has both modalities and the model a DualFormer.

    Parameters
    ----------
    model
        The model.
    stars
        N stars; of each its light curve and its best spectrum are read.
    prior
        (N, k) numbers of the model's prior, NaN where missing; None: all missing.
    batch_size
        Stars at once.
    clock
        Gets the seconds of ``preprocess`` and ``model``.

    Returns
    -------
    list
        Each star's embedding and the identifier of its spectrum; stars that the model reads nothing of are
        left out.
    """
    found: list[Named] = []
    with one_order(model):
        for portion in portions(model, range(len(stars))):
            given = None if prior is None else prior[list(portion)]
            found += _embed(model, [stars[row] for row in portion], given, batch_size, clock)
    return found


def _embed(
    model: Network, stars: Sequence[Star], prior: Tensor | None, batch_size: int, clock: Clock | None
) -> list[Named]:
    features = star_features(model, stars, batch_size, clock)
    known = {part: np.asarray(np.isfinite(rows).all(axis=1)) for part, rows in features.items()}
    vectors: list[dict[str, Array]] = [{} for _ in stars]
    for part, rows in features.items():
        for place in np.flatnonzero(known[part]).tolist():
            vectors[place][f"features_{part}"] = rows[place]
    timer = clock or Clock(model.device)
    with timer.stage("model"):
        for part in known:
            _add_matches(model, part, features[part], known[part], vectors, batch_size)
        joint = _add_joint(model, features, known, prior, vectors, batch_size)
        if model.joint is not None:
            joint = has_both(stars)
            some = [place for place, own in enumerate(vectors) if own]
            for place, own in zip(
                some, joint_vectors(model, [stars[k] for k in some], batch_size), strict=True
            ):
                vectors[place] |= own
    found = []
    for place, (star, own) in enumerate(zip(stars, vectors, strict=True)):
        if own:
            kind = "joint" if joint[place] else "spectrum" if "features_spectrum" in own else "lightcurve"
            obsid = star.spectrum.obsid if star.spectrum is not None and kind != "lightcurve" else ""
            found.append((Embedding(star.star_id, kind, **own), obsid))
    return found


@torch.inference_mode()
def _add_matches(
    model: Network,
    part: Part,
    rows: Array,
    known: NDArray[np.bool_],
    vectors: list[dict[str, Array]],
    size: int,
) -> None:
    """What finds one modality by the other, where the model can embed a modality alone."""
    former = model.dualformer
    if former is None or not former.embeds_alone:
        return
    for chunk in chunked(np.flatnonzero(known), size):
        own = torch.tensor(rows[chunk], device=model.device)
        for place, vector in zip(chunk.tolist(), _numpy(former.alone(own, PARTS.index(part))), strict=True):
            vectors[place][f"match_{part}"] = vector


def _add_joint(
    model: Network,
    features: Mapping[Part, Array],
    known: Mapping[Part, NDArray[np.bool_]],
    prior: Tensor | None,
    vectors: list[dict[str, Array]],
    size: int,
) -> NDArray[np.bool_]:
    """The DualFormer's vectors of stars with both modalities; gives back which those are."""
    both = np.ones(len(vectors), bool)
    for part in PARTS:
        both &= known.get(part, np.zeros(len(vectors), bool))
    if model.dualformer is None:
        return np.zeros(len(vectors), bool)
    for chunk in chunked(np.flatnonzero(both), size):
        pair = [torch.tensor(features[part][chunk]) for part in PARTS]
        given = None if prior is None else prior[torch.from_numpy(chunk)].to(model.device)
        output, joint = model.align(pair[0], pair[1], given)
        columns = {
            "z_spectrum": output.z_spectrum,
            "z_lightcurve": output.z_lightcurve,
            "p_spectrum": output.p_spectrum,
            "p_lightcurve": output.p_lightcurve,
            "joint": joint,
        }
        for name, tensor in columns.items():
            for place, vector in zip(chunk.tolist(), _numpy(tensor), strict=True):
                vectors[place][name] = vector
    return both


def _numpy(tensor: Tensor) -> Array:
    rows: Array = tensor.float().cpu().numpy()
    return rows


def prior_tensor(model: Network, prior: Any, stars: int) -> Tensor:
    """(stars, k) a prior that a caller gave, NaN where missing.

    Raises
    ------
    ModelError
        If it is not of the model's size.
    """
    size = model.settings.dualformer.prior_size
    given = torch.from_numpy(np.atleast_2d(np.asarray(prior, dtype=np.float32)))
    if given.shape != (stars, size):
        name, shape = model.settings.dualformer.prior, tuple(given.shape)
        raise ModelError(f"this model's prior is '{name}': ({stars}, {size}) numbers, not {shape}")
    return given


def embed_survey(
    model: Network,
    survey: Survey,
    *,
    batch_size: int = BATCH_SIZE,
    every_spectrum: bool = False,
    progress: Report | None = None,
    clock: Clock | None = None,
) -> pa.Table:
    """Embed every star of a survey: joint where it has both modalities, else that of the one it has.

    Of several light curves or spectra of a star the best is taken, by `desa.survey.selection`. Reading runs
    beside the computing. The table's metadata say which of reading, preprocessing and model took longest
    (``desa.limit``).

    Parameters
    ----------
    model
        The model; a part that the survey needs but the model lacks is left out. A model with a prior
        takes it from the survey's labels.
    survey
        The survey.
    batch_size
        Stars at once.
    every_spectrum
        A row for each spectrum of a star, in place of its best one.
    progress
        Called with (stars, stars of the survey).
    clock
        Gets the seconds of ``read``, ``preprocess`` and ``model``.
    """
    timer = clock or Clock(model.device)
    prior = prior_of(survey, model.settings.dualformer.prior) if model.dualformer is not None else None
    row_of = {name: row for row, name in enumerate(survey.stars.column("star_id").to_pylist())}
    batches = stars_of_survey(
        survey,
        encodes=model,
        every_spectrum=every_spectrum,
        progress=progress,
        size=max(batch_size, STARS_AT_ONCE),
    )
    rows: list[Named] = []
    for batch in prefetch(batches, depth=1, clock=timer):
        stars = each_spectrum(batch)
        given = None if prior is None else prior[[row_of[star.star_id] for star in stars]]
        rows += embed_stars(model, stars, given, batch_size, timer)
    facts = facts_of(model, f"{survey.kind} survey {survey.identity}")
    spent = " ".join(f"{name}={seconds:.2f}s" for name, seconds in sorted(timer.seconds.items()))
    return embedding_table(rows, {**facts, "limit": timer.limit(), "seconds": spent})


def each_spectrum(stars: Sequence[Star]) -> list[Star]:
    """A star with several spectra as several, each with one of them."""
    return [
        replace(star, spectra=(spectrum,) if spectrum is not None else ())
        for star in stars
        for spectrum in (star.spectra or (None,))
    ]


def embed_files(
    model: Network,
    paths: Sequence[str | Path],
    *,
    match_arcsec: float = 3.0,
    batch_size: int = BATCH_SIZE,
    every_spectrum: bool = False,
    progress: Report | None = None,
) -> tuple[pa.Table, LeftOut]:
    """Embed files: the same rows as of the survey that ``desa ingest`` makes of them.

    Parameters
    ----------
    model
        The model.
    paths
        Files of any supported layout, or folders of such; what can't be used is left out and listed. Stars
        are read as they are needed, so that any number of files takes little memory.
    match_arcsec
        Radius for pairs by position; a common identifier goes first.
    batch_size, every_spectrum
        As in `embed_survey`.
    progress
        Called with (files read, files).

    Returns
    -------
    tuple
        The table, in the order of the stars' names, and (path, reason) of what was left out.

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
        every_spectrum=every_spectrum,
        progress=progress,
        size=max(batch_size, STARS_AT_ONCE),
    )
    for batch in batches:
        rows += embed_stars(model, each_spectrum(batch), batch_size=batch_size)
    return embedding_table(rows, facts_of(model, "files")), left_out
