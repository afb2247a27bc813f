"""The programs in `benchmarks/` can be run, and compare like with like."""

from __future__ import annotations

import argparse
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest
import torch

from desa.config import settings
from desa.simulate.survey import simulate_survey
from desa.survey.ingest import ingest

PROGRAMS = sorted((Path(__file__).parents[1] / "benchmarks").glob("*.py"))


def loaded(path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setattr(sys, "path", [str(path.parent), *sys.path])
    spec = spec_from_file_location(f"benchmarks_{path.stem}", path)
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.stem)
def test_it_can_be_loaded(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert callable(loaded(path, monkeypatch).main)


def test_models_are_compared_at_the_same_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    module = loaded(PROGRAMS[0].with_name("models.py"), monkeypatch)
    small = {"cnn_widths": [4, 8, 8, 8, 8, 8], "heads": 2, "blocks": 1}
    sizes, seen = settings("published", spectrum=small), []
    monkeypatch.setattr(module, "SIZES", sizes)
    monkeypatch.setattr(module, "HEADS", sizes.spectrum.heads)
    timed = module.seconds
    monkeypatch.setattr(module, "seconds", lambda call, device: seen.append(call.args) or timed(call, device))
    arguments = argparse.Namespace(
        device="cpu", dtypes=["float32"], compile=False, batch_sizes=["1", "3"], repeats=2, profile=False
    )
    rows = module.forward_rows("spectrum", arguments, {"float32": 1.0})
    assert [(row.variant, row.batch) for row in rows] == [
        ("plain", 1), ("float32", 1), ("plain", 3), ("float32", 3),
    ]  # fmt: skip
    assert [len(*given) for given in seen] == [1, 1, 1, 1, 3, 3, 3, 3]
    assert all(torch.equal(*one, *other) for one, other in zip(seen[::2], seen[1::2], strict=True))
    assert max(row.error for row in rows) < 1e-4


@pytest.mark.slow
def test_stars_of_the_scale_are_as_many_as_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Copies of a simulated star are stars of their own, and none of their files is left out."""
    module = loaded(PROGRAMS[0].with_name("scale.py"), monkeypatch)
    simulate_survey(2, 1, tmp_path / "base", "fits", quarters=[5])
    module.copied_archive(tmp_path / "base", tmp_path / "archive", 5)
    curves, spectra = (tmp_path / "archive" / part for part in ("lightcurves", "spectra"))
    report = ingest(curves, spectra, None, tmp_path / "survey", processes=1)
    assert report["left_out"] == [] and report["kind"] == "mock"
    assert report["stars"]["all"] == report["stars"]["both"] == 5
    assert report["lightcurves"]["stored"] == 5 and report["spectra"]["stored"] >= 5


def test_exponents_of_the_scale(monkeypatch: pytest.MonkeyPatch) -> None:
    module = loaded(PROGRAMS[0].with_name("scale.py"), monkeypatch)
    assert module.exponent([100, 1000], [2.0, 20.0]) == pytest.approx(1)
    rows = [
        {
            "step": "embed",
            "count": count,
            "wall": 1.0,
            "cpu": count**1.5,
            "megabytes": count**0.1,
            "bytes": 1e6,
        }
        for count in (10, 100, 1000)
    ]
    assert "| embed | N^1.50 | N^1.50 | N^0.10 |" in module.markdown(rows)
