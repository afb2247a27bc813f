"""What a benchmark or a run reads back of its own folder: what it wrote, or a sentence."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from desa.benchmark.documents import (
    CellScores,
    FitFacts,
    MadeFrom,
    Spending,
    TrainedFacts,
    TrialFacts,
    read_own,
)
from desa.errors import DamagedFile, ModelError
from desa.training.checkpoint import Checkpoints
from desa.training.tracking import read_metrics

FIT: dict[str, Any] = {"prior": "none", "seconds": 1.5, "collapsed": False, "parameters": 7}
TRAINED = {**FIT, "learning_rate": 1e-3, "temperature": None, "steps": 100}
SCORE = {"task": "probe", "label": "teff", "metric": "r2", "value": 0.5, "error": float("nan"), "chance": 0.0}
CELL = {"model": "desa", "group": "ours", "seed": 0, "task": "probe", "prior": "none", "data": "mock"}
GOOD: dict[str, tuple[Any, dict[str, Any]]] = {
    "fit": (FitFacts, FIT),
    "trained": (TrainedFacts, TRAINED),
    "trial": (TrialFacts, {**TRAINED, "score": float("nan"), "scores": {}}),
    "cell": (CellScores, {**CELL, "scores": [{**SCORE, "n": 5, "part": ""}], "left_out": ""}),
    "made from": (MadeFrom, {"made_from": {"survey": "ab"}, "provenance": {"version": "1"}}),
    "spent": (Spending, {"training": {"seconds": 3.0, "kwh": 0.1, "meter": "none"}}),
}
STRANGE = (None, "x", -1e300, [], {"a": 1}, "y" * 200_000)


@pytest.mark.parametrize("name", GOOD)
def test_what_was_written_is_read_and_nothing_else(name: str, tmp_path: Path) -> None:
    kind, good = GOOD[name]
    path = tmp_path / "a.json"
    path.write_text(json.dumps(good))
    assert json.dumps(read_own(path, kind), sort_keys=True) == json.dumps(good, sort_keys=True)
    told = 0
    needed = [key for key in good if key not in ("parameters", "scores" if name == "trial" else "")]
    for key in needed:
        for value in STRANGE:
            changed = copy.deepcopy(good)
            changed[key] = value
            path.write_text(json.dumps(changed))
            try:
                read_own(path, kind)
            except DamagedFile as error:
                assert "a.json: damaged" in str(error) and len(str(error)) < 2000
                told += 1
    assert told >= 3 * len(needed)
    for text in ("", "[", "[]", "null", "[" * 100_000, "\xff"):
        path.write_text(text, encoding="latin-1")
        with pytest.raises(DamagedFile, match="damaged"):
            read_own(path, kind)
    path.unlink()
    path.symlink_to("/dev/zero")
    with pytest.raises(DamagedFile, match="a pipe or a device"):
        read_own(path, kind)


@pytest.mark.parametrize(
    "content",
    ["{}", "[]", "{", '{"format": 1, "state": {}, "best": true}', '{"format": 1, "state": 3}', "[" * 90_000],
)
def test_the_head_of_a_sharded_checkpoint(content: str, tmp_path: Path) -> None:
    folder = tmp_path / "checkpoint-7"
    folder.mkdir()
    (folder / ".metadata").write_text("")
    head = {"format": 1, "state": {"step": 7, "loss": float("inf")}, "best": False}
    (folder / "state.json").write_text(json.dumps(head))
    kept = Checkpoints(tmp_path, sharded=True)
    assert kept.peek() == head["state"]
    (folder / "state.json").write_text(content)
    with pytest.raises(ModelError, match=r"state.json: damaged .*; remove .*checkpoint-7 to begin again"):
        kept.peek()


def test_metrics_are_read_up_to_what_is_none(tmp_path: Path) -> None:
    path, good = tmp_path / "metrics.jsonl", b'{"step": 1, "phase": "train"}\n'
    for bad in (b'{"step": 2', b"[]\n", b"3\n", b'{"phase": "x"}\n', b"\xff\n", b"[" * 100_000 + b"\n"):
        path.write_bytes(good + bad + good)
        assert read_metrics(path) == [{"step": 1, "phase": "train"}]
