"""A trained scorer of rotation periods with its calibration, and its file in a model's folder."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from desa.documents import Document, Facts
from desa.errors import ModelError
from desa.files import written_whole
from desa.models.period_answer import PeriodAnswers, answers
from desa.models.period_intervals import PeriodCalibration
from desa.models.period_scorer import PeriodInputs, PeriodScorer
from desa.models.storage import check_header, stored_facts
from desa.preprocess.period_candidates import CURVE_FEATURES, OWN_FEATURES, Candidates, candidates_of
from desa.types import LightCurve

Array = NDArray[np.float64]

FORMAT = 2
FILE = "periods.safetensors"


class FinderFacts(Document):
    """What a finder's file says of itself; the fields are those of `PeriodFinder`."""

    format: Literal[2]
    features: list[int]
    members: Annotated[int, Field(ge=1, le=64)]
    calibration: PeriodCalibration | None
    rotation: Annotated[list[Annotated[float, Field(allow_inf_nan=False)]], Field(min_length=2, max_length=2)]
    facts: Facts


@dataclass(frozen=True, eq=False)
class PeriodFinder:
    """Finds rotation periods in light curves of any length.

    Parameters
    ----------
    scorer
        Trained.
    calibration
        Of its intervals, by `desa.models.period_intervals.calibrate_periods`; None without.
    rotation
        Slope and offset that turn a logit into that of the calibrated probability (Platt 1999).
    facts
        What it was trained on.
    """

    scorer: PeriodScorer
    calibration: PeriodCalibration | None = None
    rotation: tuple[float, float] = (1.0, 0.0)
    facts: dict[str, Any] = field(default_factory=dict)

    def find(self, curves: Sequence[LightCurve]) -> PeriodAnswers:
        """Periods of some light curves, each read whole."""
        return self.choose([candidates_of(curve) for curve in curves])

    @torch.no_grad()
    def choose(self, candidates: Sequence[Candidates]) -> PeriodAnswers:
        """Periods from candidates; NaN, and no rotation, where there are none."""
        found = answers(self.scorer(inputs_of(candidates)))
        for row, one in enumerate(candidates):
            if not len(one.periods):
                found.log_period[row] = found.share[row] = found.quantiles[row] = np.nan
                found.rotation[row] = np.nan
        return found

    def probability(self, found: PeriodAnswers) -> Array:
        """(N,) calibrated probability that there is a rotation signal; 0 where nothing was found."""
        slope, offset = self.rotation
        logit = slope * found.rotation + offset
        return np.where(
            np.isfinite(logit), 1.0 / (1.0 + np.exp(-np.clip(np.nan_to_num(logit), -30, 30))), 0.0
        )


def inputs_of(candidates: Sequence[Candidates]) -> PeriodInputs:
    """Candidates of several light curves side by side, the shorter lists filled up under the mask."""
    most = max((len(one.periods) for one in candidates), default=0) or 1
    count = len(candidates)
    log_period, mask = torch.zeros(count, most), torch.zeros(count, most, dtype=torch.bool)
    own = torch.zeros(count, most, OWN_FEATURES)
    for row, one in enumerate(candidates):
        size = len(one.periods)
        log_period[row, :size] = torch.from_numpy(np.log10(one.periods).astype(np.float32))
        own[row, :size] = torch.from_numpy(one.features)
        mask[row, :size] = True
    curve = torch.zeros(count, CURVE_FEATURES)
    for row, one in enumerate(candidates):
        curve[row] = torch.from_numpy(one.curve)
    return PeriodInputs(log_period, own, curve, mask)


def write_finder(folder: str | Path, finder: PeriodFinder | None) -> None:
    """Write a finder into a model's folder, whole; None: no file."""
    path = Path(folder) / FILE
    if finder is None:
        path.unlink(missing_ok=True)
        return
    facts = {
        "format": FORMAT,
        "features": [OWN_FEATURES, CURVE_FEATURES],
        "members": len(finder.scorer.members),
        "calibration": None if finder.calibration is None else finder.calibration.model_dump(),
        "rotation": list(finder.rotation),
        "facts": finder.facts,
    }
    tensors = {name: value.detach().cpu().contiguous() for name, value in finder.scorer.state_dict().items()}
    with written_whole(path) as scratch:
        save_file(tensors, scratch, metadata={"desa": json.dumps(facts, allow_nan=False)})
        scratch.chmod(0o644)


def read_finder(folder: str | Path) -> PeriodFinder | None:
    """The finder in a model's folder, None where there is none.

    Raises
    ------
    ModelError
        If it is damaged, or of another version's features.
    """
    path = Path(folder) / FILE
    if not os.path.lexists(path):
        return None
    try:
        check_header(path)
        with safe_open(path, framework="pt") as stored:
            facts = stored_facts(stored.metadata(), FinderFacts)
            state = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
        if facts.features != [OWN_FEATURES, CURVE_FEATURES]:
            raise ModelError(f"{path}: a finder of periods of another version; train it again")
        if not all(tensor.isfinite().all() for tensor in state.values()):
            raise ValueError("it holds numbers that are not finite")
        scorer = PeriodScorer(OWN_FEATURES, CURVE_FEATURES, facts.members)
        scorer.load_state_dict(state)
    except (OSError, SafetensorError, ValueError, RuntimeError) as error:
        raise ModelError(f"{path}: damaged ({str(error)[:200]})") from None
    rotation = (facts.rotation[0], facts.rotation[1])
    return PeriodFinder(scorer.eval(), facts.calibration, rotation, dict(facts.facts))
