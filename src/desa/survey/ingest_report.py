"""What an ingest has to say: what came in, what was left out, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from desa.catalogs.label_names import LABELS
from desa.catalogs.labels import LabelTable
from desa.survey.pairing import Pairing
from desa.survey.shards import Note
from desa.survey.splits import SPLITS, split_of
from desa.survey.write import Modality


def ingest_report(
    *,
    kind: str,
    inputs: Mapping[str, str],
    settings: Mapping[str, Any],
    files: Mapping[Modality, int],
    roots: Mapping[Modality, Path],
    notes: Mapping[Modality, Sequence[Note]],
    stars: pa.Table,
    pairing: Pairing,
    labels: LabelTable | None,
    unread: Mapping[str, str],
) -> dict[str, Any]:
    """Content of ``report.json``. It holds no times and no places but the inputs': same input, same bytes."""
    report: dict[str, Any] = {"kind": kind, "inputs": dict(inputs), "settings": dict(settings)}
    left_out = dict(unread)
    stored: dict[str, set[str]] = {}
    for modality, part in notes.items():
        stored[modality] = {star_id for note in part for star_id in note["facts"]["star_id"]}
        used = sum(len(names) for note in part for names in note["facts"]["files"])
        refused = {str(roots[modality] / f["path"]): f["reason"] for note in part for f in note["left_out"]}
        left_out |= refused
        report[modality] = {
            "files": files.get(modality, 0),
            "files_used": used,
            "stored": sum(note["rows"] for note in part),
            "stars": len(stored[modality]),
        }
    both = stored["lightcurves"] & stored["spectra"]
    ids = stars.column("star_id").to_pylist()
    splits = Counter(split_of(star_id) for star_id in ids)
    report["stars"] = {
        "all": len(ids),
        "both": len(both),
        "lightcurve_only": len(stored["lightcurves"]) - len(both),
        "spectrum_only": len(stored["spectra"]) - len(both),
        "paired_by_identifier": pairing.by_identifier,
        "paired_by_position": pairing.by_position,
        "splits": {name: splits[name] for name in SPLITS},
    }
    report["labels"] = _label_report(labels, pairing, stars)
    report["left_out"] = [{"path": path, "reason": reason} for path, reason in left_out.items()]
    return report


def _label_report(labels: LabelTable | None, pairing: Pairing, stars: pa.Table) -> dict[str, Any]:
    if labels is None:
        return {}
    counts = {
        name: stars.num_rows - stars.column(name).null_count
        for name in (*LABELS, *labels.own)
        if name in stars.column_names
    }
    return {
        "rows": labels.rows,
        "rows_used": pairing.label_rows,
        "stars": counts,
        "ignored_columns": list(labels.ignored),
    }


def report_rows(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    """A report as (what, number) for a table on screen."""
    rows = []
    for modality, name in (("lightcurves", "light-curve"), ("spectra", "spectrum")):
        part = report[modality]
        if part["files"]:
            rows += [
                (f"{name} files", f"{part['files']}"),
                (f"{name} files used", f"{part['files_used']}"),
                (f"{'light curves' if modality == 'lightcurves' else 'spectra'} stored", f"{part['stored']}"),
            ]
    stars = report["stars"]
    rows += [
        ("stars", f"{stars['all']}"),
        ("stars with both", f"{stars['both']}"),
        (
            "paired by identifier, by position",
            f"{stars['paired_by_identifier']}, {stars['paired_by_position']}",
        ),
        ("stars with light curves only", f"{stars['lightcurve_only']}"),
        ("stars with spectra only", f"{stars['spectrum_only']}"),
        *((f"stars in {name}", f"{count}") for name, count in stars["splits"].items()),
    ]
    if labels := report["labels"]:
        rows.append(("label rows used", f"{labels['rows_used']} of {labels['rows']}"))
        rows += [(f"stars with {name}", f"{count}") for name, count in labels["stars"].items()]
        if labels["ignored_columns"]:
            rows.append(("label columns ignored", ", ".join(labels["ignored_columns"])))
    rows.append(("files left out", f"{len(report['left_out'])}"))
    return rows
