"""What a benchmark reads back of its own folder: bounded JSON of the form that it was written in."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from desa.documents import Document, DocumentT, Facts, Word, read_document

ADVICE = "remove it; the same command makes it again"

NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Rate = Annotated[float, Field(gt=0, le=1e3)]


class FitFacts(Document):
    """What is told of a candidate's fit."""

    prior: Word
    seconds: NotNegative
    collapsed: bool


class TrainedFacts(FitFacts):
    """What is told of the fit of one that was trained."""

    learning_rate: Rate
    temperature: Annotated[float, Field(gt=0, le=1e3)] | None
    steps: Annotated[int, Field(ge=0, le=10**9)]


class TrialFacts(TrainedFacts):
    """A try of the search; its score is NaN where no label could be scored."""

    score: float


class ScoreRow(Document):
    """One score, as in `desa.evaluation.score.Score`."""

    task: Word
    label: Word
    metric: Word
    value: float
    error: float
    chance: float
    n: Annotated[int, Field(ge=0)]
    part: Word


class CellScores(Document):
    """Scores of a task for a candidate of one seed."""

    model: Word
    group: Word
    seed: int
    task: Word
    prior: Word
    data: Word
    scores: Annotated[list[ScoreRow], Field(max_length=100_000)]
    left_out: Annotated[str, Field(max_length=100_000)]


class MadeFrom(Document):
    """What a benchmark's folder is made from."""

    made_from: Facts
    provenance: Facts


class Spent(Document):
    """What a stage took."""

    seconds: NotNegative
    kwh: NotNegative


class Spending(Document):
    """What every stage took, by name."""

    __pydantic_extra__: dict[str, Spent] = Field(init=False)


def read_own(path: Path, kind: type[DocumentT]) -> dict[str, Any]:
    """A file of the benchmark's folder, checked.

    Raises
    ------
    DamagedFile
        If it can't be read, or is no such document.
    """
    return read_document(path, kind, ADVICE).model_dump()
