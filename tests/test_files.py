"""A file is whole or absent; only regular files of bounded size are read; nobody else's are touched."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
import threading
import zlib
from pathlib import Path

import pytest

from desa import files
from desa.errors import OutputError
from desa.files import TooLarge, check_output, clear_parts, open_regular, read_bytes, unpacked, written_whole


def test_failure_leaves_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "deep" / "a.txt"
    with written_whole(target) as scratch:
        scratch.write_text("old")
    with pytest.raises(RuntimeError), written_whole(target) as scratch:
        scratch.write_text("half of the n")
        raise RuntimeError
    assert target.read_text() == "old"
    assert list(target.parent.iterdir()) == [target]


def test_what_a_killed_run_left_is_written_over(tmp_path: Path) -> None:
    (tmp_path / ".a.txt.part").write_text("a long half of a file")
    with written_whole(tmp_path / "a.txt") as scratch:
        assert scratch.read_text() == ""
        scratch.write_text("new")
    assert [path.name for path in tmp_path.iterdir()] == ["a.txt"]


def test_two_writers_of_one_file_take_turns(tmp_path: Path) -> None:
    target, order = tmp_path / "a.txt", []
    begun = threading.Event()

    def second() -> None:
        begun.set()
        with written_whole(target) as scratch:
            order.append("second")
            scratch.write_text("second")

    with written_whole(target) as scratch:
        thread = threading.Thread(target=second)
        thread.start()
        begun.wait()
        scratch.write_text("first")
        order.append("first")
    thread.join(10)
    assert order == ["first", "second"] and target.read_text() == "second"
    assert list(tmp_path.iterdir()) == [target]


def test_links_are_replaced_not_followed(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.write_text("theirs")
    (tmp_path / "a").symlink_to(theirs)
    (tmp_path / ".b.part").symlink_to(theirs)
    with written_whole(tmp_path / "a") as scratch:
        scratch.write_text("ours")
    with pytest.raises(OutputError, match="can't be written"), written_whole(tmp_path / "b"):
        raise AssertionError
    assert theirs.read_text() == "theirs" and (tmp_path / "a").read_text() == "ours"


def test_only_regular_files_are_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link").symlink_to(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path / "link", "/dev/zero"):
        with pytest.raises(OSError, match="a pipe or a device, not a file"):
            open_regular(path)
    with pytest.raises(OSError, match="a folder, not a file"):
        read_bytes(tmp_path, 10)


def test_size_is_known_before_reading(tmp_path: Path) -> None:
    with (tmp_path / "sparse").open("wb") as stream:
        stream.truncate(100 << 30)
    with pytest.raises(TooLarge):
        read_bytes(tmp_path / "sparse", 1 << 20)
    (tmp_path / "a").write_bytes(b"12345")
    assert read_bytes(tmp_path / "a", 5) == b"12345"
    with pytest.raises(TooLarge, match="larger than 4 bytes"):
        read_bytes(tmp_path / "a", 4)
    assert read_bytes("/proc/self/stat", 1 << 16).startswith(b"%d" % os.getpid())


def test_unpacking_is_bounded() -> None:
    two = gzip.compress(b"one") + gzip.compress(b"two")
    assert unpacked(two, "x", 6) == b"onetwo" and unpacked(two + bytes(100), "x", 6) == b"onetwo"
    with pytest.raises(TooLarge):
        unpacked(two, "x", 5)
    with pytest.raises(TooLarge):
        unpacked(gzip.compress(bytes(50 << 20)), "x", 1 << 20)
    with pytest.raises(EOFError):
        unpacked(two[:-9], "x", 100)
    with pytest.raises(zlib.error):
        unpacked(two[:-7] + b"1234567", "x", 100)
    with pytest.raises(zlib.error):
        unpacked(two + b"rubbish", "x", 100)


def test_parts_of_others_stay(tmp_path: Path) -> None:
    inside, outside = tmp_path / "in", tmp_path / "out"
    for folder in (inside / "deep", outside):
        folder.mkdir(parents=True)
        for name in (".x-1.dat.part", ".y.dat.part", "x-1.dat"):
            (folder / name).write_text("")
    (inside / "link").symlink_to(outside)
    with written_whole(inside / "deep" / "x-2.dat") as scratch:
        assert clear_parts(inside, "*/x-*.dat") == 1
        assert scratch.exists()
    assert not (inside / "deep" / ".x-1.dat.part").exists()
    assert len(list(outside.iterdir())) == 3 and (inside / "deep" / ".y.dat.part").exists()


FULL = """
import resource, signal, sys
from desa.errors import OutputError
from desa.files import written_whole

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
try:
    with written_whole(sys.argv[1] + "/a") as scratch:
        {write}
except OutputError as error:
    print(error)
"""


@pytest.mark.parametrize(
    "write",
    [
        "scratch.write_bytes(bytes(1 << 20))",
        "import torch; torch.save(torch.zeros(1 << 20), scratch)",
        "import torch, safetensors.torch as s; s.save_file({'a': torch.zeros(1 << 20)}, scratch)",
        "import pyarrow as pa, pyarrow.parquet as pq, os\n"
        "        pq.write_table(pa.table({'a': list(os.urandom(1 << 20))}), scratch, compression='none')",
    ],
)
def test_no_room_is_one_sentence(write: str, tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-c", FULL.format(write=write), str(tmp_path)], capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    assert str(tmp_path) in run.stdout and "the disk is full (" in run.stdout
    assert not list(tmp_path.iterdir())


def test_room_is_asked_for_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "free_bytes", lambda folder: 5_000_000)
    said = r"the disk is full \(7 GB wanted, 5 MB free\)"
    with pytest.raises(OutputError, match=said), written_whole(tmp_path / "a", size=7 * 10**9):
        raise AssertionError


def test_output_is_checked_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert check_output(tmp_path / "new" / "a.csv") == tmp_path / "new" / "a.csv"
    assert not list((tmp_path / "new").iterdir())
    for wrong in (tmp_path / "file" / "a.csv", tmp_path / ("x" * 300), "/proc/a.csv", "/dev/null"):
        with pytest.raises(OutputError):
            check_output(wrong)
