"""Ordinary mock stars for the shipped model, with which `desa anomalies` compares a handful of stars.

``python scripts/build_ordinary.py WORK [MODEL]``: simulates 1200 stars into WORK, embeds them and writes
``ordinary.parquet`` into the model's folder. Without MODEL it is the package's own.
"""

from __future__ import annotations

import sys
from pathlib import Path

import desa
from desa.anomalies.ordinary import write_ordinary
from desa.inference.embed import embed_survey
from desa.models.places import BROUGHT
from desa.simulate.survey import simulate_survey
from desa.survey.store import Survey

STARS, SEED = 1200, 4242
"""Another seed than that of the survey that the model learned from."""


def main(work: str, model: str = str(BROUGHT)) -> None:
    """Make the file."""
    survey = Survey.open(simulate_survey(STARS, SEED, Path(work) / "ordinary", processes=2))
    path = write_ordinary(embed_survey(desa.load(model), survey), model)
    print(f"{path}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main(*sys.argv[1:])
