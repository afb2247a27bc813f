"""The command line as a person meets it: help with examples, sentences for errors, exit codes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
import typer
from typer.testing import CliRunner

from desa.cli import app, main
from desa.cli.common import left_out_lines, list_left_out
from desa.cli.faults import OURS, STOPPED, USERS, Stopped, sentence
from desa.errors import SurveyError
from helpers.archive_files import write_quarter, write_spectrum

runner = CliRunner()


def _commands() -> list[list[str]]:
    commands: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    found = []
    for name, command in commands.items():
        inner = getattr(command, "commands", None)
        found += [[name, other] for other in inner] if inner else [[name]]
    return found


@pytest.mark.parametrize("command", _commands(), ids=" ".join)
def test_every_command_has_help_with_an_example(command: list[str]) -> None:
    result = runner.invoke(app, [*command, "--help"], env={"COLUMNS": "200"})
    assert result.exit_code == 0
    assert f"desa {' '.join(command)}" in result.output


def test_inspect_names_bad_files_and_fails(tmp_path: Path) -> None:
    bad = tmp_path / "page.fits"
    bad.write_text("<html>504 Gateway Timeout</html>")
    result = runner.invoke(app, ["inspect", str(bad)])
    assert result.exit_code == 1
    assert "page.fits: REFUSED: a web page" in result.output
    lines = runner.invoke(
        app, ["inspect", "--json", str(bad), str(tmp_path / "none.fits")]
    ).output.splitlines()
    assert [json.loads(line)["status"] for line in lines] == ["refused", "refused"]


@pytest.mark.real
def test_inspect_real_files(shared: Path) -> None:
    file = shared / "data/kepler/formats/kplr010002792-2009259160929_llc.fits.gz"
    result = runner.invoke(app, ["inspect", str(file)])
    assert result.exit_code == 0
    assert "KIC 10002792" in result.output


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["info", "nowhere"], "nowhere"),
        (["ingest", "--spectra", "nowhere", "-o", "out"], "nowhere"),
        (["pretrain", "spectrum", "nowhere", "-o", "out", "--preset", "tiny"], "unknown preset 'tiny'"),
        (["embed", "a.fits", "--model", "nowhere", "-o", "e.parquet"], "nowhere"),
        (["predict", "a.fits"], "none of 1 files could be used; a.fits: "),
        (["predict", "a.fits", "-o", "t.xlsx"], "t.xlsx: the ending of a table is .ecsv"),
        (["embed", "a.fits", "-o", "e.parquet", "--batch-size", "many"], "--batch-size must be a number"),
        (["convert", "nowhere.pth", "-o", "out"], "nowhere.pth"),
        (["embed", ".", "--model", "runs/jiont/", "-o", "e.parquet"], "runs/jiont/: no such folder"),
        (["embed", ".", "--model", "astro/stars", "-o", "e.parquet"], "astro/stars: no such folder, and not"),
        (["embed", ".", "-o", "e.xlsx"], "e.xlsx: the ending of a table is .ecsv"),
        (["embed", ".", "-o", "."], ".: a folder; give the file in it"),
        (["predict", ".", "-o", "file/t.csv"], "file/t.csv: can't be written"),
        (["predict", ".", "-o", "-", "--json"], "both want standard output"),
        (["predict", ".", "--device", "cuda:7"], "no device 'cuda:7'"),
        (["pretrain", "spectrum", ".", "-o", "file"], "file: a file, not a folder"),
        (
            ["align", ".", "--spectrum", "s", "--lightcurve", "l", "-o", "file/run"],
            "file/run: can't be written",
        ),
        (["simulate", "-o", "file"], "file: a file, not a folder"),
        (["ingest", "--spectra", ".", "-o", "file"], "file: a file, not a folder"),
        (["fetch", "lamost", "--obsid", "1", "-o", "file"], "file: a file, not a folder"),
        (
            ["finetune", ".", "--task", "regression", "--label", "x", "-o", "file"],
            "file: a file, not a folder",
        ),
        (["demo", "-o", "file"], "file: a file, not a folder"),
        (["search", "none.parquet", "--like", "KIC 1"], "none.parquet: no such file"),
        (["anomalies", "none.parquet"], "none.parquet: no such file"),
        (["explore", "none.parquet", "--no-browser"], "none.parquet"),
        (["info", "file"], "file"),
        (["benchmark", "nowhere", "-o", "file"], "file: a file, not a folder"),
        (["catalogs", "merge", "none.csv", "-o", "file/x.parquet"], "file/x.parquet: can't be written"),
        (["catalogs", "get", "berger2020", "-o", "file"], "file: a file, not a folder"),
        (["catalogs", "match", "a.csv", "b.csv", "-o", "file/x.parquet"], "file/x.parquet: can't be written"),
    ],
)
def test_errors_are_one_sentence_and_exit_code_2(
    arguments: list[str],
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    monkeypatch.setattr(sys, "argv", ["desa", *arguments])
    with pytest.raises(SystemExit) as left:
        main()
    assert left.value.code == 2
    errors = capsys.readouterr().err
    assert "Traceback" not in errors
    last = errors.strip().splitlines()[-1]
    assert last.startswith("desa: ")
    assert sentence in last


def test_a_process_ends_with_the_sentence_and_the_code() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "desa", "info", "nowhere"], capture_output=True, text=True, check=False
    )
    assert result.returncode == 2
    assert result.stderr.startswith("desa: ") and "nowhere" in result.stderr


@pytest.mark.parametrize(
    ("error", "words", "code"),
    [
        (SurveyError("no survey here"), "no survey here", USERS),
        (PermissionError(13, "Permission denied", "/x"), "/x: Permission denied", USERS),
        (OSError(28, "No space left on device"), "the disk is full", USERS),
        (ModuleNotFoundError("no", name="lightkurve.search"), "pip install 'desa[archive]'", USERS),
        (MemoryError(), "not enough memory", USERS),
        (Stopped(), "stopped", STOPPED),
        (KeyError("x"), "an error of desa's own (KeyError: 'x')", OURS),
    ],
)
def test_every_error_has_a_sentence_and_a_code(error: BaseException, words: str, code: int) -> None:
    said, found = sentence(error)
    assert words in said and found == code and "\n" not in said


def test_version() -> None:
    from importlib.metadata import version

    assert runner.invoke(app, ["--version"]).output.strip() == f"desa {version('desa')}"


def test_a_missing_file_is_told_before_the_model_is_loaded(tmp_path: Path) -> None:
    """Torch takes seconds to import; the compiler, another second or two, is never needed here."""
    code = (
        "import sys\nfrom desa.cli import main\n"
        "try:\n    main()\nexcept SystemExit:\n    print('torch' in sys.modules, 'astropy' in sys.modules)"
    )
    command = [sys.executable, "-c", code, "predict", "nowhere.fits"]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["False", "False"]


def test_loading_the_model_does_not_bring_the_compiler() -> None:
    code = "import sys, desa; desa.load(); print('torch._dynamo' in sys.modules, 'sympy' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.split() == ["False", "False"]


def test_help_brings_nothing_heavy() -> None:
    code = (
        "import sys\nfrom desa.cli import main\nsys.argv = ['desa', '--help']\n"
        "try:\n    main()\nexcept SystemExit:\n"
        "    print([name for name in ('numpy', 'torch', 'astropy', 'pyarrow') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip().splitlines()[-1] == "[]"


def test_many_files_left_out_are_counted_by_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [(f"a{n}.fits", f"only {n} good samples") for n in range(900)] + [("b.fits", "a web page")]
    lines = left_out_lines(rows)
    assert lines == [
        "900 files: only 0 good samples (a0.fits, a1.fits, a2.fits and 897 more)",
        "1 file: a web page (b.fits)",
    ]
    list_left_out(rows, tmp_path / "emb.parquet")
    assert len(capsys.readouterr().err.splitlines()) < 8
    assert len((tmp_path / "emb.parquet.left_out.csv").read_text().splitlines()) == 902
    assert left_out_lines(rows[:3]) == [f"a{n}.fits: only {n} good samples" for n in range(3)]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("files")
    write_quarter(folder / "a.fits", n=3000)
    write_spectrum(folder / "b.fits")
    return folder


def test_tables_for_scripts(files: Path) -> None:
    for command in ("predict", "embed"):
        lines = runner.invoke(app, [command, str(files), "--json"]).stdout.splitlines()
        rows = [json.loads(line) for line in lines]
        assert rows[0]["star_id"] == "KIC 8462852" and len(rows) == 2
        text = runner.invoke(app, [command, str(files), "-o", "-"]).stdout.splitlines()
        assert text[0].startswith("star_id,") and len(text) == 3
    lost = runner.invoke(app, ["embed", str(files)])
    assert "-o FILE, -o - or --json" in str(lost.exception)


@pytest.mark.parametrize("ending", ["csv", "ecsv", "fits", "vot", "parquet"])
def test_embeddings_in_every_format(ending: str, files: Path, tmp_path: Path) -> None:
    from astropy.table import Table

    path = tmp_path / f"e.{ending}"
    result = runner.invoke(app, ["embed", str(files), "-o", str(path)])
    assert result.exit_code == 0 and "2 embeddings" in result.stdout
    if ending == "parquet":
        assert pq.read_table(path).num_rows == 2
        return
    table = Table.read(path)
    assert len(table) == 2
    assert ("features_spectrum_127" if ending == "csv" else "features_spectrum") in table.colnames
    assert path.read_bytes()[:4] != b"PAR1"


def test_one_star_is_one_star(files: Path) -> None:
    output = runner.invoke(app, ["predict", str(files / "a.fits")]).output
    assert "1 star\n" in output and "1 stars" not in output


@pytest.mark.slow  # it waits on signals and clocks, which a busy machine does not keep
@pytest.mark.parametrize("seconds", [0.0, 0.5, 3.0])
def test_ctrl_c_while_workers_start(seconds: float, tmp_path: Path) -> None:
    """Whenever it comes: one sentence, no traceback of any process, none left behind."""
    code = "from desa.cli import main; main()"
    command = [sys.executable, "-c", code, "simulate", "--stars", "4000", "--processes", "2", "-o", "mock"]
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 60
    while not (tmp_path / "mock" / ".desa").exists() and time.monotonic() < deadline:
        time.sleep(0.02)  # the folder is taken, and then the workers start
    time.sleep(seconds)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == STOPPED and "Traceback" not in errors and "desa: stopped" in errors
    for _ in range(100):
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    raise AssertionError("a process outlived the command")


def test_ingest_and_info_for_scripts(tmp_path: Path) -> None:
    (tmp_path / "lc").mkdir()
    write_quarter(tmp_path / "lc/q1.fits")
    (tmp_path / "lc/notes.txt").write_text("clouds")
    out = tmp_path / "survey"
    made = runner.invoke(
        app, ["ingest", "--lightcurves", str(tmp_path / "lc"), "-o", str(out), "--processes", "1", "--json"]
    )
    report = json.loads(made.stdout)
    assert made.exit_code == 1 and report["stars"]["all"] == 1 and len(report["left_out"]) == 1
    told = runner.invoke(app, ["info", str(out), "--json", "--check"])
    content = json.loads(told.stdout)
    assert told.exit_code == 0 and content["stars"]["all"] == 1 and content["damaged"] == []
    (data,) = (out / "lightcurves").glob("*.arrow")
    content = bytearray(data.read_bytes())
    content[len(content) // 2] ^= 1
    data.write_bytes(content)
    told = runner.invoke(app, ["info", str(out), "--json", "--check"])
    assert told.exit_code == 1 and json.loads(told.stdout)["damaged"] == [f"lightcurves/{data.name}"]
