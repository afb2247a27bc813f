"""What a survey holds, in numbers and in lines; and whether its files are what they were."""

from __future__ import annotations

import hashlib
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from desa.catalogs.label_names import LABELS
from desa.survey.schema import STARS
from desa.survey.splits import SPLITS
from desa.survey.store import Survey


def survey_info(path: str | Path) -> dict[str, Any]:
    """Kind, identity, counts, splits, labels and sizes of a survey.

    Returns
    -------
    dict
        ``path``, ``kind``, ``identity``, ``stars`` (``all``, ``both``, ``lightcurve_only``,
        ``spectrum_only``, ``neither``), ``lightcurves`` and ``spectra`` (``rows``, ``files``, ``bytes``;
        light curves also ``samples`` and ``good_share``, ``missions``; spectra ``median_snr_g``,
        ``releases``), ``splits`` and ``labels`` (stars by name).

    Raises
    ------
    SurveyError
        If it can't be opened.
    """
    survey = Survey.open(path)
    curves, spectra = (
        np.asarray(survey.stars.column(name).to_pylist(), dtype=np.int64) > 0
        for name in ("n_lightcurves", "n_spectra")
    )
    known = [name for name in LABELS if name in survey.stars.column_names]
    beside = {*STARS.names, *known, *(f"{name}_err" for name in known)}
    names = [*known, *(name for name in survey.stars.column_names if name not in beside)]
    splits = Counter(survey.split.tolist())
    return {
        "path": str(path),
        "kind": survey.kind,
        "identity": survey.identity,
        "stars": {
            "all": survey.n_stars,
            "both": int((curves & spectra).sum()),
            "lightcurve_only": int((curves & ~spectra).sum()),
            "spectrum_only": int((~curves & spectra).sum()),
            "neither": int((~curves & ~spectra).sum()),
        },
        "lightcurves": _sizes(survey, "lightcurves") | _lightcurve_info(survey),
        "spectra": _sizes(survey, "spectra") | _spectrum_info(survey),
        "splits": {name: splits[name] for name in SPLITS},
        "labels": {name: survey.n_stars - survey.stars.column(name).null_count for name in names},
    }


def _sizes(survey: Survey, modality: str) -> dict[str, int]:
    files = survey.content[modality]
    return {
        "rows": sum(file["rows"] for file in files),
        "files": len(files),
        "bytes": sum(file["bytes"] for file in files),
    }


def _lightcurve_info(survey: Survey) -> dict[str, Any]:
    samples, good = (int(survey.lightcurve_column(name).sum()) for name in ("n_samples", "n_good"))
    missions = Counter(survey.lightcurve_column("mission").tolist())
    return {
        "samples": samples,
        "good_share": round(good / samples, 4) if samples else None,
        "missions": dict(sorted(missions.items())),
    }


def _spectrum_info(survey: Survey) -> dict[str, Any]:
    snr = survey.spectrum_column("snr_g").astype(np.float64)
    releases = Counter(survey.spectrum_column("release").tolist())
    return {
        "median_snr_g": round(float(np.nanmedian(snr)), 1) if np.isfinite(snr).any() else None,
        "releases": dict(sorted(releases.items())),
    }


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name or 'unknown'} {count}" for name, count in counts.items())


def survey_lines(path: str | Path) -> list[str]:
    """`survey_info` for people, a fact a line."""
    info = survey_info(path)
    stars, curves, spectra = info["stars"], info["lightcurves"], info["spectra"]
    lines = [
        f"survey        {info['path']}",
        f"kind          {info['kind']}",
        f"identity      {info['identity']}",
        f"stars         {stars['all']}: {stars['both']} with both, "
        f"{stars['lightcurve_only']} with light curves only, {stars['spectrum_only']} with spectra only",
        f"light curves  {curves['rows']} in {curves['files']} files, {_megabytes(curves['bytes'])}",
        f"spectra       {spectra['rows']} in {spectra['files']} files, {_megabytes(spectra['bytes'])}",
        f"splits        {_counts(info['splits'])}",
    ]
    if curves["rows"]:
        share = 100 * (curves["good_share"] or 0)
        lines.append(f"samples       {curves['samples']}, {share:.1f} % good; {_counts(curves['missions'])}")
    if spectra["rows"]:
        lines.append(f"S/N in g      median {spectra['median_snr_g']}; {_counts(spectra['releases'])}")
    lines += [f"label         {name}: {count} stars" for name, count in info["labels"].items()]
    return lines


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"


def damaged_files(path: str | Path) -> list[str]:
    """Names of a survey's files whose content is not what was written; reads all of it."""
    survey = Survey.open(path)
    expected = dict(survey.content["tables"])
    for modality in ("lightcurves", "spectra"):
        expected |= {f"{modality}/{file['file']}": file["sha256"] for file in survey.content[modality]}
    return [name for name, digest in expected.items() if _sha256(survey.path / name) != digest]


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError:
        return ""
