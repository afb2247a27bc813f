"""What files are, in one line each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from desa.errors import FileRefused
from desa.io.registry import glances, read
from desa.types import LightCurve


def _finite(value: float, digits: int) -> float | None:
    return round(float(value), digits) if np.isfinite(value) else None


def describe(path: str | Path) -> dict[str, Any]:
    """Read a file and say what it holds.

    Returns
    -------
    dict
        ``file``, ``status`` (``"ok"`` or ``"refused"``); then ``reason`` or ``kind``, ``star``, ``mission``
        and ``quarters``, or ``survey``, ``release``, ``class`` and ``z``; ``good`` and ``total`` samples;
        ``snr`` (of a spectrum: in g; of a light curve: inverse of the median relative error).
    """
    try:
        item = read(path)
    except FileRefused as error:
        return {"file": str(path), "status": "refused", "reason": error.reason, "advice": error.advice}
    row: dict[str, Any] = {"file": str(path), "status": "ok", "star": item.star_id}
    row |= {"good": int(item.valid.sum()), "total": len(item)}
    if isinstance(item, LightCurve):
        noise = np.nanmedian(item.flux_err) if np.isfinite(item.flux_err).any() else np.nan
        row |= {"kind": "light curve", "mission": item.mission, "quarters": list(item.quarters)}
        return row | {"snr": _finite(float(1 / noise), 1), "magnitude": _finite(item.magnitude, 3)}
    row |= {
        "kind": "spectrum",
        "survey": item.meta.get("survey", ""),
        "release": item.release,
        "class": f"{item.object_class} {item.object_subclass}".strip(),
    }
    return row | {
        "snr": _finite(item.snr.get("g", np.nan), 1),
        "z": _finite(item.z, 8),
        "is_star": item.meta.get("is_star", True),
    }


def inspect_files(paths: Iterable[str | Path]) -> Iterator[dict[str, Any]]:
    """`describe` each, and each star of a file of many; a bad file never stops the others."""
    return (describe(source) for path in paths for source, _ in glances(path))


def format_line(row: dict[str, Any]) -> str:
    """One line for people."""
    if row["status"] != "ok":
        return f"{row['file']}: REFUSED: {row['reason']}" + (f"; {row['advice']}" if row["advice"] else "")
    if row["kind"] == "light curve":
        part = {"TESS": "sector", "K2": "campaign"}.get(row["mission"], "quarter")
        quarters = f", {part} {','.join(map(str, row['quarters']))}" if row["quarters"] else ""
        what, end = f"{row['mission']} light curve{quarters}", ""
    else:
        what = " ".join(filter(None, (row["survey"], row["release"], "spectrum"))) + f", {row['class']}"
        end = f", z {row['z']}" + ("" if row["is_star"] else ", NOT A STAR by the survey's class")
    snr = "unknown" if row["snr"] is None else row["snr"]
    star = row["star"] or "unnamed star"
    return f"{row['file']}: {star}: {what}, {row['good']}/{row['total']} good, S/N {snr}{end}"
