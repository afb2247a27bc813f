"""Odd stars: ranked, with what is odd about each, p-values and a controlled rate of false discoveries.

Each part (see `desa.anomalies.parts`) is compared with stars that it was not fitted on: the
conformal p-value is the share of these that are as odd or odder (Bates et al. 2023, Ann. Statist. 51, 149). A
star's p-values, which depend on each other, are joined by Bonferroni's rule, which holds under any
dependence; over the stars the false-discovery rate is controlled by Benjamini & Hochberg (1995, J. R. Stat.
Soc. B 57, 289). Conformal p-values can't be smaller than 1 / (stars compared with + 1), so the *order*
follows another number, Fisher's sum of log p-values, with tails beyond the top fifth of the comparison stars
taken for generalised Pareto ones (Hosking & Wallis 1987, Technometrics 29, 339). It stands for the order
only: the parts are not independent, so it is no probability.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from astropy.table import Table
from numpy.typing import NDArray
from scipy.special import gammaln, logsumexp

from desa.anomalies.ordinary import ordinary_for
from desa.anomalies.parts import (
    Array,
    Oddity,
    Sample,
    fit_density,
    fit_disagreement,
    fit_local_density,
)
from desa.anomalies.spectra import fit_residuals
from desa.errors import ModelError, SettingsError
from desa.preprocess.grids import rest_wavelength
from desa.progress import Report
from desa.search.columns import spectrum_rows
from desa.search.data import arrow_table, plain_columns, vector_names, vectors_of
from desa.search.index import astropy_values
from desa.survey.batches import SpectrumDataset
from desa.survey.splits import split_of
from desa.survey.store import Survey

if TYPE_CHECKING:
    import pyarrow as pa

    from desa.models.network import Network

DENSITIES: Final = {
    "joint": "joint",
    "spectrum": "features_spectrum",
    "lightcurve": "features_lightcurve",
}
ODDITIES: Final = (*DENSITIES, "disagreement", "residual", "lines")
"""Names of the parts, as in the columns ``p_<part>``."""

FOLDS: Final = 5
LEAST_STARS: Final = 200
TAIL: Final = 0.2
SHAPES: Final = (0.05, 0.6)
BATCH: Final = 64
SAID: Final = 0.02
"""A part is named as a reason if its p-value is below this, or is the star's smallest."""


@dataclass
class _Scored:
    """A part's numbers for the stars, those it compares them with, and words."""

    scores: Array
    ordinary: Array
    words: list[str]


def find_anomalies(
    data: Any,
    *,
    reference: Any = None,
    model: Network | None = None,
    survey: Survey | None = None,
    reference_survey: Survey | None = None,
    parts: Sequence[str] = ODDITIES,
    progress: Report | None = None,
) -> Table:
    """Rank stars by how odd they are.

    Parameters
    ----------
    data
        Table of embeddings: a path, or an Arrow, astropy or pandas table.
    reference
        Another, of ordinary stars by the same model (such as the survey that it was trained on). Its training
        and validation stars (by the hash of their name, see `desa.survey.splits`) say what is ordinary, the
        others how far ordinary stars stray. None: the stars are compared with each other, each fifth with a
        fit to the rest; p-values are then ranks, and there is no false-discovery rate. Fewer than
        `LEAST_STARS` are compared with the ordinary mock stars that come with the model, if it is desa's own.
    model, survey
        The model that made the table and the survey with its spectra, for the parts ``residual`` and
        ``lines``. None: without these parts.
    reference_survey
        The survey of `reference`.
    parts
        Which of `ODDITIES` to use, where the table has what they need.
    progress
        Called with (spectra read, spectra).

    Returns
    -------
    astropy.table.Table
        The oddest first: ``rank``, ``star_id``, ``obsid``, ``score`` (-log10 of Fisher's combination, for
        the order), ``p_value`` (Bonferroni), ``q_value`` (smallest false-discovery rate at which the star is
        on the list; NaN without `reference`), ``p_<part>``, ``reason``, and the table's other columns. In
        ``meta``: ``compared_with``, ``least_p``, the smallest p-value that so many comparison stars allow.

    Raises
    ------
    DesaError
        If a table can't be read, was made by another model, or has too few stars.
    """
    unknown = sorted(set(parts) - set(ODDITIES))
    if unknown:
        raise SettingsError(f"no part {', '.join(unknown)}; parts are {', '.join(ODDITIES)}")
    table = arrow_table(data, DENSITIES.values())
    brought = ordinary_for(table) if reference is None and table.num_rows < LEAST_STARS else None
    if brought is not None:
        model = survey = None  # the ordinary stars come without spectra
    sample = _sample(table, model, survey, progress)
    if brought is not None:
        found = _against(sample, _sample(brought, None, None, None), _names(brought), parts, None)
    elif reference is None:
        found = _among_themselves(sample, table, parts, model)
    else:
        other = arrow_table(reference, DENSITIES.values())
        _check_same_model(table, other)
        ordinary = _sample(other, model, reference_survey, progress)
        found = _against(sample, ordinary, _names(other), parts, model)
    if not found:
        raise SettingsError(
            f"too few stars to say what is ordinary: {LEAST_STARS} with vectors are needed at least; or give "
            "--reference, a table of ordinary stars by the same model"
        )
    whom = "mock stars that come with the model" if brought is not None else "stars of the reference"
    return _ranked(table, found, whom if brought is not None or reference is not None else "")


def _check_same_model(table: pa.Table, other: pa.Table) -> None:
    made = [(one.schema.metadata or {}).get(b"desa.model", b"").decode() for one in (table, other)]
    if made[0] != made[1]:
        raise ModelError(
            f"the reference was made by another model ({made[1][:12] or 'unknown'}) than the table "
            f"({made[0][:12] or 'unknown'}); embed both with one"
        )


def _names(table: pa.Table) -> list[str]:
    if "star_id" not in table.column_names:
        return [str(row) for row in range(table.num_rows)]
    return [name or str(row) for row, name in enumerate(table.column("star_id").to_pylist())]


def _sample(table: pa.Table, model: Network | None, survey: Survey | None, progress: Report | None) -> Sample:
    """What the parts look at, of every row of a table."""
    vectors = {}
    there = vector_names(table)
    for name in DENSITIES.values():
        if name in there and table.column(name).null_count < table.num_rows:
            rows, values = vectors_of(table, name)
            filled = np.full((table.num_rows, values.shape[1]), np.nan, np.float32)
            filled[rows] = values
            vectors[name] = filled
    if not vectors:
        raise SettingsError(f"the table has none of {', '.join(DENSITIES.values())}; desa embed makes one")
    if model is None or survey is None or model.spectrum_encoder is None:
        return Sample(vectors)
    return Sample(vectors, *_pixels(table, model, survey, progress))


@torch.inference_mode()
def _pixels(
    table: pa.Table, model: Network, survey: Survey, progress: Report | None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Pixels and weights (N, P) of each row's spectrum as the model reads them; weights 0 without one."""
    of_row = spectrum_rows(table, survey) if "obsid" in table.column_names else np.full(table.num_rows, -1)
    there = np.flatnonzero(of_row >= 0)
    if not len(there):
        raise SettingsError(
            f"{survey.path} has none of the table's spectra (by obsid): is it another survey?"
        )
    size = model.settings.preprocess_spectrum.pixels
    pixels, weights = np.zeros((2, table.num_rows, size), np.float32)
    grid = model.settings.preprocess_spectrum.grid
    data = SpectrumDataset(survey, None, grid=grid, resample=model.resample_spectra)
    for start in range(0, len(there), BATCH):
        some = there[start : start + BATCH]
        batch = data.fetch(of_row[some]).to(model.device)
        made = model.spectrum_pixels(batch.flux, batch.ivar, batch.z, batch.log_wavelength_start)
        pixels[some], weights[some] = (part.float().cpu().numpy() for part in made)
        if progress:
            progress(min(start + BATCH, len(there)), len(there))
    return pixels, weights


def _fitted(fit: Sample, held: Sample, parts: Sequence[str], model: Network | None) -> dict[str, Oddity]:
    """The parts that the stars allow."""
    made: dict[str, Oddity | None] = {
        name: (fit_density if name == "lightcurve" else fit_local_density)(column, fit, held)
        for name, column in DENSITIES.items()
        if name in parts
    }
    if "disagreement" in parts:
        made["disagreement"] = fit_disagreement(fit, held)
    if model is not None and fit.pixels is not None and {"residual", "lines"} & set(parts):
        wavelength = np.zeros(fit.pixels.shape[1])
        grid = rest_wavelength(model.settings.preprocess_spectrum)
        wavelength[: len(grid)] = grid
        both = fit_residuals(fit, held, wavelength)
        if both is not None:
            made["residual"], made["lines"] = both
    return {name: part for name, part in made.items() if part is not None and name in parts}


def _against(
    sample: Sample, ordinary: Sample, names: list[str], parts: Sequence[str], model: Network | None
) -> dict[str, _Scored]:
    """Scores of stars, and of those of a reference that the parts were not fitted on."""
    split = np.array([split_of(name) for name in names])
    fit, held = (
        ordinary.where(np.isin(split, kinds)) for kinds in (("train", "valid"), ("calibration", "test"))
    )
    if len(split) < LEAST_STARS:
        return {}
    found = {}
    for name, part in _fitted(fit, held, parts, model).items():
        scores, words = part.score(sample)
        found[name] = _Scored(scores, part.score(held)[0], words)
    return found


def _among_themselves(
    sample: Sample, table: pa.Table, parts: Sequence[str], model: Network | None
) -> dict[str, _Scored]:
    """Scores of each fifth of the stars by parts that were fitted on the others."""
    names = _names(table)
    if len(names) < LEAST_STARS:
        return {}
    fold = np.array([hashlib.blake2b(name.encode(), digest_size=2).digest()[0] % FOLDS for name in names])
    found: dict[str, _Scored] = {}
    for number in range(FOLDS):
        own, held = fold == number, fold == (number + 1) % FOLDS
        for name, part in _fitted(sample.where(~own & ~held), sample.where(held), parts, model).items():
            entry = found.setdefault(
                name, _Scored(np.full(len(names), np.nan), np.zeros(0), [""] * len(names))
            )
            entry.scores[own], words = part.score(sample.where(own))
            for row, said in zip(np.flatnonzero(own), words, strict=True):
                entry.words[row] = said
    for entry in found.values():
        entry.ordinary = entry.scores
    return found


def conformal_p(scores: Array, ordinary: Array, *, own: bool = False) -> Array:
    """(1 + how many ordinary stars score as high) / (1 + how many there are); NaN for NaN.

    Parameters
    ----------
    scores
        (N,) of the stars.
    ordinary
        (C,) of those compared with; NaN are left out.
    own
        The stars are among the ordinary ones: each is not compared with itself.
    """
    known = np.sort(ordinary[np.isfinite(ordinary)])
    higher = len(known) - np.searchsorted(known, scores, side="left")
    p = (higher if own else higher + 1.0) / (len(known) + (0.0 if own else 1.0))
    return np.where(np.isfinite(scores), p, np.nan)


def smooth_p(scores: Array, ordinary: Array) -> Array:
    """P-values with a generalised Pareto tail beyond the top fifth of the ordinary stars, for the order only.

    The tail is fitted by probability-weighted moments (Hosking & Wallis 1987), its shape within `SHAPES`.
    """
    known = ordinary[np.isfinite(ordinary)]
    edge = float(np.quantile(known, 1 - TAIL))
    excess = np.sort(known[known > edge]) - edge
    count = len(excess)
    if not count:
        return conformal_p(scores, known)
    first = float(excess.mean())
    second = float((excess * (1 - (np.arange(1, count + 1) - 0.35) / count)).mean())
    gap = first - 2 * second
    shape = float(np.clip(2 - first / gap if gap > 0 else SHAPES[1], *SHAPES))
    scale = max(first * (1 - shape), 1e-12)
    beyond = TAIL * (1 + shape * np.maximum(scores - edge, 0) / scale) ** (-1 / shape)
    return np.where(scores > edge, beyond, np.maximum(conformal_p(scores, known), TAIL))


def fisher(p: Array) -> Array:
    """(N, M) p-values, NaN where missing -> -log10 of Fisher's combination, as if they were independent."""
    known = np.isfinite(p)
    total = -np.log(np.maximum(np.where(known, p, 1), 1e-300)).sum(axis=1)
    # Log of the survival function of chi square with 2 m degrees, in closed form: exact however far out.
    step = np.arange(p.shape[1])
    terms = step * np.log(np.maximum(total, 1e-300))[:, None] - gammaln(step + 1)
    counted = step < known.sum(axis=1)[:, None]
    found = total - logsumexp(np.where(counted, terms, -np.inf), axis=1)
    return np.where(known.any(axis=1), found / np.log(10), np.nan)


def bonferroni(p: Array) -> Array:
    """(N, M) p-values, NaN where missing -> (N,) valid under any dependence."""
    known = np.isfinite(p)
    least = np.where(known, p, np.inf).min(axis=1)
    return np.where(known.any(axis=1), np.minimum(1, least * known.sum(axis=1)), np.nan)


def benjamini_hochberg(p: Array) -> Array:
    """(N,) p-values -> the smallest false-discovery rate at which each is rejected; NaN stay out."""
    found = np.full(len(p), np.nan)
    known = np.flatnonzero(np.isfinite(p))
    order = known[np.argsort(p[known], kind="stable")]
    steps = p[order] * len(order) / np.arange(1, len(order) + 1)
    found[order] = np.minimum(np.minimum.accumulate(steps[::-1])[::-1], 1)
    return found


def _ranked(table: pa.Table, found: dict[str, _Scored], whom: str) -> Table:
    """The result in the order of the score; `whom`: the stars compared with, empty for each other."""
    compared = bool(whom)
    p = np.stack(
        [conformal_p(entry.scores, entry.ordinary, own=not compared) for entry in found.values()], axis=1
    )
    smooth = np.stack([smooth_p(entry.scores, entry.ordinary) for entry in found.values()], axis=1)
    score, joined = fisher(np.where(np.isfinite(p), smooth, np.nan)), bonferroni(p)
    q = benjamini_hochberg(joined) if compared else np.full(len(p), np.nan)
    order = np.argsort(-np.nan_to_num(score, nan=-1), kind="stable")
    result = Table()
    result["rank"] = np.arange(1, len(order) + 1)
    plain = plain_columns(table)
    for name in ("star_id", "obsid"):
        if name in plain.column_names:
            result[name] = astropy_values(plain.column(name))[order]
    result["score"], result["p_value"], result["q_value"] = score[order], joined[order], q[order]
    for place, name in enumerate(found):
        result[f"p_{name}"] = p[order, place]
    words = [entry.words for entry in found.values()]
    result["reason"] = [_reason(p[row], smooth[row], [said[row] for said in words]) for row in order]
    for name in plain.column_names:
        if name not in result.colnames:
            result[name] = astropy_values(plain.column(name))[order]
    sizes = [int(np.isfinite(entry.ordinary).sum()) for entry in found.values()]
    result.meta["parts"] = ", ".join(found)
    result.meta["compared_with"] = (
        f"{min(sizes)} {whom}" if compared else "each other: p-values are ranks, no q-values"
    )
    result.meta["least_p"] = len(found) / (1 + min(sizes))
    result.meta["joined"] = "score: Fisher, for the order; p_value: Bonferroni; q_value: Benjamini-Hochberg"
    return result


def _reason(p: Array, smooth: Array, words: list[str]) -> str:
    """What is odd about a star, the oddest first."""
    order = [place for place in np.argsort(np.where(np.isfinite(p), smooth, np.inf)) if np.isfinite(p[place])]
    said = [words[place] for rank, place in enumerate(order) if rank == 0 or p[place] < SAID]
    return "; ".join(dict.fromkeys(word for word in said if word))
