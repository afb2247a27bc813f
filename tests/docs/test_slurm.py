"""The job scripts of the documentation, with programs that only write down how they were started."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from distributed.cli import dask_scheduler, dask_worker
from torch.distributed.run import get_args_parser

from helpers.command_line import parsed

SCRIPTS = sorted((Path(__file__).resolve().parents[2] / "docs/slurm").glob("*.sh"))
FOLDERS = ("LIGHTCURVES", "SPECTRA", "SURVEY", "RUNS", "MODEL", "TABLES")
SLURM = {
    "SLURM_NNODES": "2",
    "SLURM_GPUS_ON_NODE": "4",
    "SLURM_CPUS_PER_TASK": "3",
    "SLURM_JOB_NODELIST": "node[1-2]",
    "SLURM_JOB_ID": "7",
}
RECORD = """#!{python}
import json, sys
with open({log!r}, "a") as log:
    log.write(json.dumps([{name!r}, *sys.argv[1:]]) + chr(10))
if {name!r} == "scontrol":
    print("node1")
"""


def calls(script: Path, folder: Path) -> list[list[str]]:
    """Every program that a script starts, with its arguments."""
    log, programs = folder / "log", folder / "bin"
    programs.mkdir()
    for name in ("srun", "dask", "desa", "scontrol", "hostname"):
        program = programs / name
        program.write_text(RECORD.format(python=sys.executable, log=str(log), name=name))
        program.chmod(0o755)
    given = {name: str(folder / name.lower()) for name in FOLDERS}
    path = f"{programs}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", str(script)],
        env=os.environ | given | SLURM | {"PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in log.read_text().splitlines()]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_job_starts_what_there_is(script: Path, tmp_path: Path) -> None:
    """Every program takes its arguments, and nothing of any site is in it."""
    everything = calls(script, tmp_path)
    for call in everything:
        if "torchrun" in call:
            get_args_parser().parse_args(call[call.index("torchrun") + 1 :])
        if "dask" in call:
            part, *words = call[call.index("dask") + 1 :]
            {"scheduler": dask_scheduler, "worker": dask_worker}[part].main.make_context(part, words)
    made = [call[call.index("desa") + 1 :] for call in everything if "desa" in call]
    names = [" ".join(word for word in words[:2] if word.isalpha()) for words in made]
    assert (
        names
        == {
            "ingest": ["ingest"],
            "train": ["pretrain spectrum", "pretrain lightcurve", "align"],
            "embed": ["embed", "predict"],
        }[script.stem]
    )
    for words in made:
        parsed(words)
    lines = script.read_text(encoding="utf-8").splitlines()
    assert not [line for line in lines if "--partition" in line or "--account" in line or "/home" in line]
