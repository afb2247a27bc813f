"""Features that others have cached, and the phase diagnostic on them or on a survey's."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from desa.errors import DesaError
from desa.evaluation.phase import Phase, phase_of
from desa.files import regular, written_whole
from desa.inference.encode import lightcurve_features, spectrum_features
from desa.models.network import Network
from desa.parquet import read_parquet
from desa.survey.selection import best_pairs
from desa.survey.store import Survey

Array = NDArray[np.float64]

COLUMNS = {"teff": "teff", "logg": "log_g", "feh": "fe_h", "prot": "log_prot", "age": "age"}
"""Columns of the others' ``meta`` tables, and what they are called here."""


@dataclass(frozen=True)
class Features:
    """Features of stars that have both modalities.

    Parameters
    ----------
    spectrum, lightcurve
        (N, F1), (N, F2).
    split
        (N,) splits by star.
    labels
        Name -> (N,), NaN where unknown.
    data
        What they are, in words.
    """

    spectrum: NDArray[np.float32]
    lightcurve: NDArray[np.float32]
    split: NDArray[np.str_]
    labels: Mapping[str, Array]
    data: str


def read_features(folder: str | Path) -> Features:
    """Read a folder of cached features.

    The layout is that of the public features of arXiv 2606.11190: for each of the splits ``train`` and
    ``test`` the files ``z_lamost_SPLIT.npy`` (N, F1), ``z_kepler_SPLIT.npy`` (N, F2) and
    ``meta_SPLIT.parquet`` with ``KID`` and, where known, ``teff``, ``logg``, ``feh``, ``prot``, ``age``.
    A star that is on both sides of their split counts as a training star.

    Raises
    ------
    DesaError
        If a file is missing or damaged, or the files of a split are not of the same stars.
    """
    source, parts = Path(folder), []
    for split in ("train", "test"):
        try:
            files = [regular(source / f"z_{name}_{split}.npy") for name in ("lamost", "kepler")]
            first, second = (np.load(file, allow_pickle=False) for file in files)
            meta = read_parquet(source / f"meta_{split}.parquet")
        except (OSError, ValueError) as error:
            raise DesaError(f"{folder}: no cached features of the split {split} ({error})") from None
        if not (first.ndim == second.ndim == 2 and len(first) == len(second) == meta.num_rows):
            raise DesaError(f"{folder}: the files of the split {split} are not of the same stars")
        if not (np.isfinite(first).all() and np.isfinite(second).all()):
            raise DesaError(f"{folder}: the split {split} holds features that are not finite")
        if "KID" not in meta.column_names:
            raise DesaError(f"{folder}: meta_{split}.parquet has no column KID, by which stars are told")
        parts.append((split, first, second, meta))
    names = [name for name in COLUMNS if all(name in meta.column_names for *_, meta in parts)]
    labels = {
        COLUMNS[name]: np.concatenate([np.asarray(meta.column(name).to_numpy(), float) for *_, meta in parts])
        for name in names
    }
    if "log_prot" in labels:
        period = labels["log_prot"]
        labels["log_prot"] = np.log10(np.where(period > 0, period, np.nan))
    stars = np.concatenate([meta.column("KID").to_numpy() for *_, meta in parts])
    side = np.concatenate([np.full(len(first), name) for name, first, _, _ in parts])
    side = np.where(np.isin(stars, stars[side == "train"]), "train", side)
    return Features(
        np.concatenate([first for _, first, _, _ in parts]).astype(np.float32),
        np.concatenate([second for _, _, second, _ in parts]).astype(np.float32),
        side,
        labels,
        f"cached features of {len(side)} pairs, as their makers describe them",
    )


def features_of(model: Network, survey: Survey, labels: tuple[str, ...]) -> Features:
    """A survey's own, by a model's encoders, of each star's best light curve and spectrum."""
    pairs = best_pairs(survey)
    return Features(
        spectrum_features(model, survey)[pairs.spectrum],
        lightcurve_features(model, survey)[pairs.lightcurve],
        np.asarray(survey.split[pairs.star]),
        {name: survey.labels(name)[pairs.star] for name in labels},
        f"{survey.kind} survey {survey.identity}",
    )


def phases(features: Features, out: str | Path) -> list[Phase]:
    """The verdict for every label that enough stars have; ``phases.json`` and ``phases.md`` are written.

    Raises
    ------
    DesaError
        If no label has stars enough.
    """
    found = []
    for name, values in features.labels.items():
        try:
            found.append(phase_of(features.spectrum, features.lightcurve, values, features.split, name))
        except ValueError:  # too few stars have this label
            continue
    if not found:
        raise DesaError("no label has enough stars: 20 to train on and 5 to test on in every subsample")
    folder = Path(out)
    with written_whole(folder / "phases.json") as scratch:
        content = {"data": features.data, "phases": [asdict(phase) for phase in found]}
        scratch.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    with written_whole(folder / "phases.md") as scratch:
        scratch.write_text(_text(features, found), encoding="utf-8")
    return found


def _text(features: Features, found: list[Phase]) -> str:
    ways = list(found[0].r2)
    lines = [
        f"Data: {features.data}. R2 of ridge probes on test stars (0: the training mean) ± its error "
        "over test stars. A way pays where it beats the better single modality by more than that; "
        "stability: the share of subsamples of 80 % of the stars with the same verdict.",
        "",
        f"| label | {' | '.join(ways)} | pays | stability | stars |",
        "| --- |" + " ---: |" * (len(ways) + 3),
    ]
    for one in found:
        cells = [f"{one.r2[way]:.3f} ± {one.r2_error[way]:.3f}" for way in ways]
        stars = f"{one.n_train} + {one.n_test}"
        lines.append(f"| {one.label} | {' | '.join(cells)} | {one.verdict} | {one.stability:.2f} | {stars} |")
    return "\n".join(lines) + "\n"
