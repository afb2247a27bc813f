"""One shard from its files: read, checked, put together by star, stored. What a worker process does."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from desa.errors import FileRefused
from desa.io.kepler import read_lightcurve_file, stitch
from desa.io.lamost import read_spectrum
from desa.survey.write import Modality, write_lightcurves, write_spectra
from desa.types import LightCurve, Spectrum

LeftOut = list[dict[str, str]]
Item = TypeVar("Item")


@dataclass(frozen=True)
class Reading:
    """How files are read: a survey's settings that a shard depends on.

    Parameters
    ----------
    flux_column, quality
        See `desa.io.kepler.read_lightcurve_file`.
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
    """Make a shard and store it; returns how many files it was made from."""
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


def put_together(parts: Iterable[LightCurve], left_out: LeftOut) -> list[LightCurve]:
    """A star's light curves from its files': one for each mission, product and time base.

    Parameters
    ----------
    parts
        Light curves of one star, each of one file.
    left_out
        Gets the files that are no use beside the others, and why.
    """
    families: list[list[LightCurve]] = []
    for part in parts:
        family = next((family for family in families if _belong_together(family[0], part)), None)
        if family is None:
            families.append([part])
        else:
            _add(family, part, left_out)
    return [curve for family in families for curve in _stitched(family)]


def _belong_together(one: LightCurve, other: LightCurve) -> bool:
    """Whether two files' samples can share a grid: the same product, cadence and zero of cadence numbers."""
    zeros = [part.start_bkjd - part.first_cadence * one.cadence_days for part in (one, other)]
    return (
        (one.mission, one.meta.get("layout")) == (other.mission, other.meta.get("layout"))
        and abs(one.cadence_days / other.cadence_days - 1) < 1e-3
        and abs(zeros[0] - zeros[1]) < 0.5
    )


def _add(family: list[LightCurve], part: LightCurve, left_out: LeftOut) -> None:
    """Add a part; of two of the same quarter the one with more good samples stays."""
    for place, other in enumerate(family):
        if part.quarters and part.quarters == other.quarters:
            better, worse = (part, other) if part.valid.sum() > other.valid.sum() else (other, part)
            family[place] = better
            reason = f"the same quarter as {better.sources[0]}, which has as many good samples or more"
            left_out.append({"path": worse.sources[0], "reason": reason})
            return
    family.append(part)


def _stitched(family: list[LightCurve]) -> list[LightCurve]:
    """One light curve if the parts fit one grid, else each by itself (sectors years apart)."""
    try:
        return [stitch(family)]
    except ValueError:
        return family


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
