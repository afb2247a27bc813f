"""The short campaign: what the long one (``make hostile``) does, on a few hundred cases."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_some_hundred_damaged_files() -> None:
    command = [sys.executable, str(Path(__file__).with_name("campaign.py")), "--cases", "560"]
    run = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "560 tried" in run.stdout
