"""One shard from its files: read, checked, put together by star, stored. What a worker process does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from desa.errors import FileRefused
from desa.io.registry import read_lightcurve_file, read_spectrum
from desa.io.stitching import LeftOut, put_together
from desa.survey.shards import note_of
from desa.survey.write import Modality, write_lightcurves, write_spectra
from desa.types import LightCurve, Spectrum

Item = TypeVar("Item")


@dataclass(frozen=True)
class Reading:
    """How files are read: a survey's settings that a shard depends on.

    Parameters
    ----------
    flux_column, quality
        See `desa.io.registry.Choices`.
    stars_only
        Leave out spectra that the survey's pipeline did not class as a star's.
    """

    flux_column: str = "pdcsap"
    quality: str | int = "default"
    stars_only: bool = True


@dataclass(frozen=True)
class Shard:
    """What one shard is made of.

    Parameters
    ----------
    out
        The survey's folder.
    modality, index
        Which shard.
    fingerprint
        Hash of all that it depends on.
    root
        Folder that the files' names are relative to.
    stars
        (star_id, files) in the order they are stored.
    reading
        How to read.
    """

    out: Path
    modality: Modality
    index: int
    fingerprint: str
    root: Path
    stars: tuple[tuple[str, tuple[str, ...]], ...]
    reading: Reading

    @property
    def files(self) -> int:
        """Number of files."""
        return sum(len(files) for _, files in self.stars)


def make_shard(shard: Shard) -> int:
    """Make a shard and store it, if it is not there yet; returns how many files it is made from."""
    if note_of(shard.out / shard.modality, shard.index, shard.fingerprint) is not None:
        return shard.files
    left_out: LeftOut = []
    if shard.modality == "lightcurves":
        curves = [c for star_id, files in shard.stars for c in _lightcurves(shard, star_id, files, left_out)]
        write_lightcurves(shard.out, shard.index, curves, fingerprint=shard.fingerprint, left_out=left_out)
    else:
        spectra = [s for star_id, files in shard.stars for s in _spectra(shard, star_id, files, left_out)]
        write_spectra(shard.out, shard.index, spectra, fingerprint=shard.fingerprint, left_out=left_out)
    return shard.files


def _read(reader: Callable[[Path], Item], shard: Shard, name: str, left_out: LeftOut) -> Item | None:
    """Read a file, or write down why not: one bad file never stops an ingest."""
    try:
        return reader(shard.root / name)
    except FileRefused as error:
        reason = error.reason + (f"; {error.advice}" if error.advice else "")
    except Exception as error:
        reason = f"reading it failed unexpectedly ({type(error).__name__}: {error})"
    left_out.append({"path": name, "reason": reason})
    return None


def _lightcurves(shard: Shard, star_id: str, files: Sequence[str], left_out: LeftOut) -> list[LightCurve]:
    """A star's light curves: one for each mission, product and time base among its files."""

    def reader(path: Path) -> LightCurve:
        how = shard.reading
        return read_lightcurve_file(path, flux_column=how.flux_column, quality=how.quality)

    parts = ((name, _read(reader, shard, name, left_out)) for name in files)
    return put_together(
        (replace(part, star_id=star_id, sources=(name,)) for name, part in parts if part is not None),
        left_out,
    )


def _spectra(shard: Shard, star_id: str, files: Sequence[str], left_out: LeftOut) -> list[Spectrum]:
    found = []
    for name in files:
        spectrum = _read(read_spectrum, shard, name, left_out)
        if spectrum is None:
            continue
        if shard.reading.stars_only and not spectrum.meta.get("is_star", True):
            reason = f"the survey's pipeline calls it {spectrum.object_class}, not a star"
            left_out.append({"path": name, "reason": reason})
            continue
        found.append(replace(spectrum, star_id=star_id, sources=(name,)))
    return found
