"""Each stage, killed with SIGKILL in the middle and run again, ends with the bits of a whole run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml
from typer.testing import CliRunner

from desa.cli import app
from desa.models.network import Network
from desa.survey.store import Survey
from helpers.runs import losses, wait_for_step
from helpers.stars import tiny_survey
from helpers.tiny import Trained, tiny_settings

STEPS = 16


WORDS = {
    "spectrum": ["pretrain", "spectrum"],
    "labels": ["pretrain", "spectrum"],
    "lightcurve": ["pretrain", "lightcurve"],
    "align": ["align"],
}


def command(stage: str, surveys: list[str], trained: Trained, settings: Path, out: Path) -> list[str]:
    models = []
    for name in {"align": ("spectrum", "lightcurve"), "labels": ("start",)}.get(stage, ()):
        folder = "spectrum" if name == "start" else name
        models += [f"--{name}", str(trained.folder / folder / "model")]
    return [
        sys.executable, "-m", "desa", *WORDS[stage], *surveys, *models,
        "--config", str(settings), "--device", "cpu", "-o", str(out),
    ]  # fmt: skip


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Survey:
    return tiny_survey(tmp_path_factory.mktemp("real"), 60, "real", 7000)


def run_here(words: list[str]) -> None:
    """The same command in this process, with one thread as the killed one: starting a process takes long."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    result = CliRunner().invoke(app, words[3:])
    torch.set_num_threads(threads)
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize(
    "stage", ["lightcurve", *(pytest.param(name, marks=pytest.mark.slow) for name in ("spectrum", "align"))]
)
def test_a_killed_stage_ends_with_the_same_bits(stage: str, trained: Trained, tmp_path: Path) -> None:
    kill_and_go_on(stage, [str(trained.survey.path)], trained, tmp_path)


@pytest.mark.parametrize("stage", ["labels", pytest.param("align", marks=pytest.mark.slow)])
def test_so_does_one_on_two_surveys(stage: str, trained: Trained, real: Survey, tmp_path: Path) -> None:
    kill_and_go_on(stage, [f"{trained.survey.path}=0.7", f"{real.path}=0.3"], trained, tmp_path)


def kill_and_go_on(stage: str, surveys: list[str], trained: Trained, tmp_path: Path) -> None:
    train = {
        f"train_{name}": {"steps": STEPS, "validate_every": 5} for name in ("spectrum", "lightcurve", "align")
    }
    dropout = {"lightcurve": {"dropout": 0.1}, "spectrum": {"dropout": 0.1}} if stage != "align" else {}
    labels = {"objective_spectrum": {"supervised": 1.0, "augment": True}} if stage == "labels" else {}
    chosen = tiny_settings(**train, **dropout, **labels).model_dump(mode="json")
    for name in train:
        chosen[name]["checkpoint_minutes"] = 1e-9
    settings = tmp_path / "settings.yaml"
    settings.write_text(yaml.safe_dump(chosen), encoding="utf-8")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}

    whole, killed = tmp_path / "whole", tmp_path / "killed"
    run_here(command(stage, surveys, trained, settings, whole))
    process = subprocess.Popen(
        command(stage, surveys, trained, settings, killed),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment,
    )  # fmt: skip
    wait_for_step(killed, 4, process, seconds=120.0)
    process.send_signal(signal.SIGKILL)
    assert process.wait(60) == -signal.SIGKILL
    assert not (killed / "model").exists()
    assert 4 <= losses(killed)[-1][0] < STEPS

    run_here(command(stage, surveys, trained, settings, killed))
    assert losses(killed) == losses(whole)
    one, other = (Network.load(out / "model") for out in (killed, whole))
    assert all(torch.equal(one.state_dict()[name], value) for name, value in other.state_dict().items())
    assert one.calibration == other.calibration
