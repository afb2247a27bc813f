"""A full disk: one sentence with the folder, nothing half-written left, and the same command goes on."""

from __future__ import annotations

import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import gettempdir

import numpy as np
import pyarrow as pa
import pytest
from click.testing import Result
from typer.testing import CliRunner

import desa.config
from desa.arrays import written_array
from desa.cli import app
from desa.cli.faults import sentence
from desa.config import write_settings
from desa.errors import OutputError
from desa.inference.embed import write_embedding
from desa.search.beside import index_of
from helpers.archive_files import write_quarter, write_spectrum
from helpers.stars import tiny_survey
from helpers.tiny import tiny_settings

SHIPPED = Path(desa.config.__file__).parent / "pretrained"


@contextmanager
def no_room(size: int) -> Iterator[None]:
    """Files may have so many bytes and no more: what a write meets on a full disk, in any library."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the commands work on."""
    folder = tmp_path_factory.mktemp("given")
    (folder / "files").mkdir()
    write_quarter(folder / "files" / "a.fits", kic=7, n=900)
    write_spectrum(folder / "files" / "b.fits")
    tiny_survey(folder / "survey", stars=40)
    steps = {"steps": 2, "batch_size": 8, "validate_every": 1}
    settings = tiny_settings(train_spectrum=steps, train_lightcurve=steps, train_align=steps)
    write_settings(settings, folder / "s.yaml")
    vectors = np.random.default_rng(0).normal(size=(500, 8)).astype(np.float32)
    flat = pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), 8)
    write_embedding(
        pa.table({"star_id": [f"KIC {n}" for n in range(500)], "joint": flat}), folder / "e.parquet"
    )
    for name in ("labels", "more"):
        rows = "\n".join(f"{n},{5000 + n}" for n in range(2000, 2500))
        (folder / f"{name}.csv").write_text(f"kic,teff\n{rows}\n")
    return folder


def run(command: str, given: Path, out: Path) -> Result:
    names = {"FILES": given / "files", "SURVEY": given / "survey", "SETTINGS": given / "s.yaml", "OUT": out}
    names |= {"EMB": given / "e.parquet", "LABELS": given / "labels.csv", "MORE": given / "more.csv"}
    for name, path in {**names, "SHIPPED": SHIPPED}.items():
        command = command.replace(name, str(path))
    return CliRunner().invoke(app, command.split())


COMMANDS = {
    "simulate": "simulate --stars 20 --seed 1 --quarters 1 -o OUT",
    "simulate FITS": "simulate --stars 3 --seed 1 --quarters 1 --format fits -o OUT",
    "ingest": "ingest --lightcurves FILES --spectra FILES -o OUT",
    "merge": "catalogs merge LABELS MORE -o OUT.parquet",
    "anomalies": "anomalies EMB -o OUT.csv",
    "benchmark": "benchmark SURVEY --preset mini --seeds 1 -o OUT",
}
SLOW = {
    "embed": "embed FILES -o OUT.parquet",
    "predict": "predict SURVEY -o OUT.csv",
    "pretrain": "pretrain spectrum SURVEY --config SETTINGS -o OUT",
    "align": "align SURVEY --spectrum SHIPPED --lightcurve SHIPPED --config SETTINGS -o OUT",
    "calibrate": "calibrate SURVEY --model SHIPPED -o OUT",
    "finetune": "finetune SURVEY --task regression --label teff -o OUT",
    "demo": "demo --stars 200 -o OUT",
}


def check(command: str, given: Path, out: Path, sizes: tuple[int, ...]) -> None:
    """Fail at the first file, and at the first that has more bytes than a small one."""
    for size in sizes:
        with no_room(size):
            failed = run(command, given, out)
        assert failed.exception is not None, f"{size}: {failed.output}"
        words, code = sentence(failed.exception)
        assert code == 2 and "the disk is full" in words and len(words) < 400, words
        assert str(out.parent) in words or gettempdir() in words, words
        left = [path for path in out.parent.rglob("*.part") if path.stat().st_size]
        assert not left, left


@pytest.mark.parametrize("name", COMMANDS)
def test_commands(name: str, given: Path, tmp_path: Path) -> None:
    check(COMMANDS[name], given, tmp_path / "out", (0, 3000))
    if name != "benchmark":  # with room the same command goes on
        done = run(COMMANDS[name], given, tmp_path / "out")
        assert done.exit_code == 0, done.output


@pytest.mark.slow
@pytest.mark.parametrize("name", SLOW)
def test_commands_with_models(name: str, given: Path, tmp_path: Path) -> None:
    check(SLOW[name], given, tmp_path / "out", (0, 300, 3000))


def test_search_goes_on_without_an_index(given: Path, tmp_path: Path) -> None:
    pytest.importorskip("faiss")
    said: list[str] = []
    (tmp_path / "e.parquet").write_bytes((given / "e.parquet").read_bytes())
    with no_room(3000):
        made = index_of(tmp_path / "e.parquet", "joint", kind="ivf", say=said.append)
    assert len(made) == 500 and "can't be kept" in said[-1] and "the disk is full" in said[-1]


def test_mapped_arrays_are_refused_before_the_work(tmp_path: Path) -> None:
    """Of a sparse file each new page may meet the full disk, which ends the process; so no page is new."""
    full = pytest.raises(OutputError, match="the disk is full")
    with no_room(10_000), full, written_array(tmp_path / "a.npy", np.float32, (1000, 100)):
        raise AssertionError("the block is entered")
    full = pytest.raises(OutputError, match=r"the disk is full \(4\S* \w+ wanted")
    with full, written_array(tmp_path / "a.npy", np.float32, (10**9, 10**6)):
        raise AssertionError("the block is entered")
    assert not list(tmp_path.iterdir())


SCRIPT = """
import sys
import numpy as np
from desa.arrays import read_array, written_array
from desa.errors import OutputError
with written_array(sys.argv[1] + "/a.npy", np.float32, (40, 1000)) as rows:
    try:
        open(sys.argv[1] + "/other", "wb").write(bytes(100_000))
    except OSError as error:
        print("the other file:", error.strerror)
    rows[...] = 1
try:
    with written_array(sys.argv[1] + "/b.npy", np.float32, (60, 1000)) as rows:
        rows[...] = 1
except OutputError as error:
    print(error)
print(read_array(sys.argv[1] + "/a.npy").sum())
"""


def test_a_disk_that_is_full(tmp_path: Path) -> None:
    """A real one, of 200 kB, where one can be mounted."""
    mounted = f'mount -t tmpfs -o size=200k none {tmp_path} && exec "$@"'
    command = ["unshare", "-rm", "sh", "-c", mounted, "sh"]
    try:
        able = subprocess.run([*command, "true"], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        able = False
    if not able:
        pytest.skip("no file system can be mounted here")
    ended = subprocess.run(
        [*command, sys.executable, "-c", SCRIPT, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    first, second, third = ended.stdout.splitlines()
    assert first == "the other file: No space left on device"
    assert second.startswith(f"{tmp_path}: the disk is full (240 kB wanted") and third == "40000.0"
