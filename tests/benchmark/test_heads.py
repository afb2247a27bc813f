"""Tasks that train a head find what was put in, and nothing where there is nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from desa.benchmark.base import CANDIDATES, TASKS, Material, TaskResult

SHARES = (0.6, 0.1, 0.1, 0.2)


@dataclass
class Stars:
    """Stands for the inputs of a benchmark: labels and splits."""

    labels: Mapping[str, Any]

    @property
    def stars(self) -> Any:
        return next(iter(self.labels.values()))

    @property
    def split(self) -> np.ndarray:
        rng = np.random.default_rng(0)
        return rng.choice(["train", "valid", "calibration", "test"], p=SHARES, size=len(self.stars))

    def label(self, name: str) -> np.ndarray:
        return self.labels[name]

    def text_label(self, name: str) -> np.ndarray:
        return self.labels[name]


def done(task: str, features: np.ndarray, folder: Path, **labels: Any) -> TaskResult:
    half = features.shape[1] // 2
    halves = {"head_spectrum": features[:, :half], "head_lightcurve": features[:, half:]}
    np.savez(folder / "embedding.npz", **halves)
    return TASKS[task].run(Material(Stars(labels), CANDIDATES["concatenation"], folder, 0))


def find(result: TaskResult, metric: str, part: str = "") -> Any:
    return next(s for s in result.scores if s.metric == metric and s.part == part)


def test_binaries_by_kind_and_curves(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    binary = (rng.random(1200) < 0.4).astype(float)
    kind = np.where(binary == 1, np.where(rng.random(1200) < 0.5, "sb2", "sb1"), "")
    wide = rng.random(1200) < 0.1
    kind[wide], binary[wide] = "wide", 1.0
    x = rng.normal(size=(1200, 6)).astype(np.float32)
    x[:, 0] += 3.0 * (kind == "sb2")
    result = done("binaries", x, tmp_path, binary=binary, binary_kind=kind)
    shown, hidden, everybody = (find(result, "auc", part) for part in ("sb2", "sb1", ""))
    assert shown.value > 0.95 and abs(hidden.value - 0.5) < 4 * hidden.error
    assert shown.value > everybody.value > hidden.value
    assert not any(score.part == "wide" for score in result.scores), "what leaves no trace takes no part"
    arrays = {name: values.astype(float) for name, values in result.arrays.items()}
    area = np.trapezoid(arrays["binary/tpr"], arrays["binary/fpr"])
    assert area == pytest.approx(everybody.value)
    share = arrays["binary/truth"].mean()
    assert find(result, "f1").chance == pytest.approx(2 * share / (1 + share))


def test_ages_in_gyr_with_intervals_by_teff(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    x = rng.normal(size=(2000, 6)).astype(np.float32)
    age = 10 ** (0.5 + 0.3 * x[:, 0] + 0.05 * rng.normal(size=2000))
    age[::3] = np.nan
    result = done("ages", x, tmp_path, age=age, teff=rng.uniform(4000, 7000, 2000))
    mae, cover = find(result, "mae"), find(result, "coverage_68")
    truth, predicted = (result.arrays[f"age/{name}"].astype(float) for name in ("truth", "predicted"))
    assert mae.value < 0.2 * mae.chance and mae.value == pytest.approx(np.abs(truth - predicted).mean())
    assert abs(cover.value - 0.68) < 3 * np.hypot(cover.error, 0.04)
    parts = [s for s in result.scores if s.metric == "mae" and s.part]
    assert sum(s.n for s in parts) == mae.n
    columns = [column.part for _, columns in TASKS["ages"].tables for column in columns]
    assert [s.part for s in parts] == columns, "each has its column on the page"
    assert (result.arrays["age/low_68"].astype(float) > 0).all()


def test_too_few_test_stars_are_a_reason(tmp_path: Path) -> None:
    x = np.random.default_rng(4).normal(size=(2000, 6)).astype(np.float32)
    age = np.where(Stars({"x": x}).split == "test", np.nan, 3.0 + x[:, 0] ** 2)
    with pytest.raises(ValueError, match="too few stars"):
        done("ages", x, tmp_path, age=age, teff=np.full(2000, 5000.0))
