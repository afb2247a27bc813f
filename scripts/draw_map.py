"""Draw README's picture: real LAMOST spectra, embedded by the model that comes with desa, as a map.

``python scripts/draw_map.py SPECTRA LABELS docs/map.png``: SPECTRA is a folder or file of spectra that `desa
ingest` takes, LABELS a table with their ``teff`` and ``log_g``. The picture in the repository is of the DR10
spectra that the model's scores are of.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np

import desa
from desa.files import written_whole
from desa.inference.embed import embed_survey
from desa.report.maps import coordinates, values_map
from desa.survey.ingest import ingest
from desa.survey.store import Survey

NAMES = {"teff": "Teff of the survey [K]", "log_g": "log g of the survey"}


def draw(spectra: Path, labels: Path, picture: Path) -> int:
    """Write the picture; returns how many stars are in it."""
    with tempfile.TemporaryDirectory() as folder:
        ingest(None, spectra, labels, Path(folder) / "survey", kind="real")
        survey = Survey.open(Path(folder) / "survey")
        table = embed_survey(desa.load(), survey, batch_size=64)
        rows = [row for row in table.to_pylist() if row["features_spectrum"] is not None]
        place = {name: row for row, name in enumerate(survey.stars["star_id"].to_pylist())}
        stars = [place[row["star_id"]] for row in rows]
        values = {words: survey.labels(name)[stars] for name, words in NAMES.items()}
    map_of = coordinates(np.array([row["features_spectrum"] for row in rows]))
    figure = values_map(map_of, values, f"{len(rows)} real LAMOST stars, by their spectra alone")
    with written_whole(picture) as scratch:
        figure.savefig(scratch, dpi=72, format="png", pil_kwargs={"optimize": True})
    return len(rows)


if __name__ == "__main__":
    spectra, labels, picture = map(Path, sys.argv[1:])
    print(f"{draw(spectra, labels, picture)} stars in {picture}")
