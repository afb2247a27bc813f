"""The short campaign: what the long one (``make hostile``) does, with the written files and few cases."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_some_hundred_damaged_files() -> None:
    command = [sys.executable, str(Path(__file__).with_name("campaign.py")), "--small", "--rounds", "1"]
    run = subprocess.run([*command, "--every", "17"], capture_output=True, text=True, timeout=300)
    assert run.returncode == 0, run.stdout + run.stderr
    for count in ("TRACEBACK", "HANG", "ABSURD", "ABOVE 2 GB", "FOREIGN FILES TOUCHED"):
        assert f"      0 {count}\n" in run.stdout
