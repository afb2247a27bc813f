"""A simulation killed in the middle and started again leaves the bytes of one left alone."""

from __future__ import annotations

import hashlib
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from desa.simulate.survey import simulate_survey

HALF = {
    "store": ("spectra/.data-00009.arrow.part", "spectra/.notes.txt.part"),
    "fits": ("lightcurves/020000007/.kplr020000007-1_llc.fits.part", "lightcurves/020000007/.x.fits.part"),
}
"""What a killed run of ours left half-written, and a file of somebody else's beside it."""

STARS, SHARD = 22, 16
CODE = """
import sys
from desa.simulate.survey import simulate_survey

if __name__ == "__main__":
    how = dict(quarters=[3], processes=1, shard_stars={shard})
    simulate_survey({stars}, 4, sys.argv[1], format=sys.argv[2], **how)
"""


def contents(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.blake2b(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def finished_shards(folder: Path) -> int:
    return len(list(folder.rglob("*.parquet")))


@pytest.mark.parametrize("kind", ["store", pytest.param("fits", marks=pytest.mark.slow)])
def test_killed_and_started_again_gives_the_same_bytes(kind: str, tmp_path: Path) -> None:
    simulate_survey(STARS, 4, tmp_path / "whole", format=kind, quarters=[3], processes=1, shard_stars=SHARD)
    command = [sys.executable, "-c", CODE.format(stars=STARS, shard=SHARD), str(tmp_path / "killed"), kind]
    process = subprocess.Popen(command)
    deadline = time.monotonic() + 120
    while finished_shards(tmp_path / "killed") < 1:
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait(60) == -signal.SIGKILL
    half, foreign = (tmp_path / "killed" / name for name in HALF[kind])
    for path in (half, foreign):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"what a killed process was writing")
    subprocess.run(command, check=True)
    assert foreign.read_bytes() == b"what a killed process was writing"
    foreign.unlink()
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")
