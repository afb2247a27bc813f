"""Every supported kind of file, damaged in many ways: a sentence or sane data, never a crash or zeros."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from desa.errors import DamagedFile, FileRefused, UnsupportedFile
from desa.io import read
from desa.types import LightCurve
from helpers.archive_files import pipeline_table, write_archive, write_quarter, write_spectrum, write_table
from helpers.real_files import KINDS


def _flip(raw: bytes, seed: int, start: int, stop: int, count: int) -> bytes:
    rng = np.random.default_rng(seed)
    data = bytearray(raw)
    for place in rng.integers(start, min(stop, len(data)), count):
        data[place] ^= 1 << int(rng.integers(0, 8))
    return bytes(data)


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda raw: b"",
    "first 100 bytes": lambda raw: raw[:100],
    "header only": lambda raw: raw[:2880],
    "half": lambda raw: raw[: len(raw) // 2],
    "last block lost": lambda raw: raw[:-6000],
    "zeros": lambda raw: bytes(len(raw)),
    "data zeroed": lambda raw: raw[:8640] + bytes(len(raw) - 8640),
    "header flipped": lambda raw: _flip(raw, 1, 0, 2880, 30),
    "headers flipped": lambda raw: _flip(raw, 2, 0, 14400, 60),
    "data flipped": lambda raw: _flip(raw, 3, 11520, len(raw), 200),
    "random": lambda raw: np.random.default_rng(4).bytes(len(raw)),
    "web page": lambda raw: b"<!DOCTYPE html><html>503 Service Unavailable</html>",
    "gzip cut": lambda raw: gzip.compress(raw, 1)[:-2000],
    "gzip flipped": lambda raw: _flip(gzip.compress(raw, 1), 5, 1000, 20000, 5),
    "blocks swapped": lambda raw: raw[:2880] + raw[8640:11520] + raw[2880:8640] + raw[11520:],
}
MUST_REFUSE = {
    "empty", "first 100 bytes", "header only", "half", "zeros", "data zeroed", "random", "web page",
    "gzip cut", "gzip flipped",
}  # fmt: skip


def _raw(path: Path) -> bytes:
    raw = path.read_bytes()
    return gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw


WRITTEN: dict[str, Callable[[Path], object]] = {
    "kepler": lambda path: write_quarter(path, n=600),
    "kepler without checksum": lambda path: write_quarter(path, n=600, checksum=False),
    "tess": lambda path: write_quarter(path, n=1200, tess=True, first=6000, days=2 / 1440),
    "lamost dr1": lambda path: write_spectrum(path, "DR1"),
    "lamost dr5": lambda path: write_spectrum(path, "DR5"),
    "lamost dr10": lambda path: write_spectrum(path, "DR10"),
    "light-curve table": lambda path: write_table(path, pipeline_table(1, n=1200)),
    "lamost archive": lambda path: write_archive(path, 1),
}
BESIDE = ("whole_labels.csv", "file_labels.csv")


@pytest.mark.real
@pytest.mark.parametrize("kind", KINDS)
def test_damaged_files(kind: str, shared: Path, tmp_path: Path) -> None:
    _damage(_raw(shared / "data" / KINDS[kind]), kind, tmp_path)


@pytest.mark.parametrize("kind", WRITTEN)
def test_damaged_files_written_here(kind: str, tmp_path: Path) -> None:
    WRITTEN[kind](tmp_path / "whole")
    for name in BESIDE:
        if (tmp_path / BESIDE[0]).exists():
            (tmp_path / name).write_bytes((tmp_path / BESIDE[0]).read_bytes())
    _damage((tmp_path / "whole").read_bytes(), "written " + kind, tmp_path)


@pytest.mark.parametrize("kind", WRITTEN)
@settings(max_examples=60, deadline=None)
@given(cut=st.floats(0, 1), seed=st.integers(0, 10**6), flips=st.integers(0, 30))
def test_any_cut_and_any_flips(
    kind: str, cut: float, seed: int, flips: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A sentence, or what can be a light curve or a spectrum; never another exception."""
    path = tmp_path_factory.getbasetemp() / "cut and flipped"
    WRITTEN[kind](path)
    raw = path.read_bytes()
    raw = _flip(raw, seed, 0, len(raw), flips)
    path.write_bytes(raw[: max(1, int(len(raw) * (1 - cut**4)))])
    try:
        item = read(path)
    except FileRefused as error:
        assert "cut and flipped" in str(error)
        return
    assert item.valid.sum() >= 10
    assert np.ptp(item.flux[item.valid]) > 0


def _damage(raw: bytes, kind: str, tmp_path: Path) -> None:
    for damage, spoil in DAMAGES.items():
        target = tmp_path / "file.fits"
        target.write_bytes(spoil(raw))
        try:
            item = read(target)
        except FileRefused as error:
            assert "file.fits" in str(error)
            assert "\n" not in str(error)
            continue
        whole_enough = kind == "k2sff" and damage == "half"  # its first table is all that is read
        assert whole_enough or damage not in MUST_REFUSE, damage
        assert item.valid.sum() >= 10
        values = item.flux[item.valid]
        assert np.isfinite(values).all()
        assert np.ptp(values) > 0
        if isinstance(item, LightCurve):
            assert np.nanmedian(item.flux) == pytest.approx(1, abs=0.02)


@pytest.mark.real
@pytest.mark.parametrize("kind", KINDS)
def test_the_name_does_not_matter(kind: str, shared: Path, tmp_path: Path) -> None:
    """Plain or gzipped, under a wrong name: the same samples."""
    raw = _raw(shared / "data" / KINDS[kind])
    expected = read(shared / "data" / KINDS[kind])
    for name, content in {"a.gz": raw, "b.jpg": gzip.compress(raw, 1), "c": raw}.items():
        (tmp_path / name).write_bytes(content)
        found = read(tmp_path / name)
        assert np.array_equal(found.flux, expected.flux, equal_nan=True)
        assert found.star_id == expected.star_id


@pytest.mark.real
@pytest.mark.parametrize(
    ("file", "sentence"),
    [
        ("lamost/formats/med-58408-TD230151N343645T01_sp01-015.fits.gz", "medium-resolution"),
        (
            "kepler/formats/hlsp_cdips_tess_ffi_gaiatwo0004827527233363019776-0006_tess_v01_llc.fits.gz",
            "in magnitudes",
        ),
        ("kepler/star_labels.csv", "not a FITS file"),
    ],
)
def test_other_kinds_are_refused_by_name(file: str, sentence: str, shared: Path) -> None:
    with pytest.raises(UnsupportedFile, match=sentence):
        read(shared / "data" / file)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "nothing.fits", tmp_path):
        with pytest.raises(DamagedFile, match="can't be read"):
            read(path)
