"""Stars from files, some at a time: quarters stitched, light curves and spectra paired as in a survey.

What belongs together is found from the files' headers; the files themselves are read star by star, so that
any number of them takes little memory. Stars come in the order of their names, as in the survey that
`desa.survey.ingest` makes of the same files.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from operator import itemgetter
from pathlib import Path

from desa.errors import DesaError, FileRefused
from desa.io.registry import Glance, glances, read
from desa.io.stitching import put_together
from desa.pipeline import prefetch
from desa.progress import Report
from desa.survey.pairing import Named, lightcurve_stars, pair
from desa.survey.scan import file_root, glance_of, list_files, said_path
from desa.survey.selection import STARS_AT_ONCE, best_first, lightcurve_merit, spectrum_merit
from desa.types import LightCurve, Spectrum, Star

Item = LightCurve | Spectrum

LeftOut = list[tuple[str, str]]
"""Files that could not be used, and why."""


@dataclass(frozen=True)
class StarFiles:
    """The files of one star: those of its light curves, and each a spectrum."""

    star_id: str
    lightcurves: list[Path] = field(default_factory=list)
    spectra: list[Path] = field(default_factory=list)

    @property
    def files(self) -> list[Path]:
        """All of them."""
        return [*self.lightcurves, *self.spectra]


def is_survey(path: str | Path) -> bool:
    """Whether a path is a survey's folder."""
    return (Path(path) / "survey.json").exists()


def expand(paths: Sequence[str | Path], left_out: LeftOut) -> list[Path]:
    """Files, each once; a folder stands for all files in it, to any depth.

    Parameters
    ----------
    paths
        Files and folders.
    left_out
        Gets what can't be looked at, and why.
    """
    found: dict[Path, None] = {}
    for path in paths:
        if said_path(path) != str(path):
            left_out.append((said_path(path), "its name is not UTF-8; rename it"))
        elif os.path.isdir(path):  # noqa: PTH112 - pathlib raises for a name that is too long
            root = file_root(Path(path))
            found |= dict.fromkeys(root / state.name for state in list_files(root, left_out=left_out))
        else:
            found[Path(path)] = None
    return list(found)


def group_files(paths: Sequence[Path], match_arcsec: float, left_out: LeftOut) -> list[StarFiles]:
    """Which files are of the same star; see `desa.survey.pairing.pair`.

    Parameters
    ----------
    paths
        Files, or members of files of many stars (``path::member``); a file of many stands for all its
        stars. One whose header does not tell its star is read, and let go again.
    match_arcsec
        Radius for pairs by position; 0: by identifier only.
    left_out
        Gets what can't be read.

    Returns
    -------
    list of StarFiles
        In the order of the stars' names.
    """
    seen: dict[str, list[tuple[str, Glance]]] = {"lightcurve": [], "spectrum": [], "": []}
    found = dict(pair for path in paths for pair in glances(path))
    for source, what in sorted(found.items(), key=itemgetter(0)):
        known = what if what.kind else _read_glance(source, left_out)
        seen[known.kind].append((str(source), known))
    curves, files = lightcurve_stars(seen["lightcurve"])
    spectra = [Named(what.name, file, what.obsid, what.ra, what.dec) for file, what in seen["spectrum"]]
    pairing = pair(curves, spectra, None, match_arcsec)
    stars: dict[str, StarFiles] = {}
    for star_id, own in zip(pairing.lightcurves, files, strict=True):
        stars.setdefault(star_id, StarFiles(star_id)).lightcurves.extend(map(Path, own))
    for star_id, item in zip(pairing.spectra, spectra, strict=True):
        stars.setdefault(star_id, StarFiles(star_id)).spectra.append(Path(item.file))
    return [stars[star_id] for star_id in sorted(stars)]


def _refused(path: Path, error: Exception, left_out: LeftOut) -> None:
    if isinstance(error, FileRefused):
        reason = error.reason + (f"; {error.advice}" if error.advice else "")
    elif isinstance(error, DesaError):
        reason = str(error)
    else:
        reason = f"reading it failed unexpectedly ({type(error).__name__}: {error})"
    left_out.append((str(path), reason))


def _read_glance(path: Path, left_out: LeftOut) -> Glance:
    """What a file says of its star where its primary header does not."""
    try:
        return glance_of(read(path))
    except Exception as error:  # one bad file never stops a batch
        _refused(path, error, left_out)
        return Glance()


def read_star(
    star: StarFiles,
    check: Callable[[Item], object] | None,
    left_out: LeftOut,
    every_spectrum: bool = False,
) -> Star | None:
    """Read one star's files: its best light curve and its best spectrum, by `desa.survey.selection`.

    Parameters
    ----------
    star
        Its files.
    check
        Raises `DesaError` for what can't be used.
    left_out
        Gets the files that can't be used, and why.
    every_spectrum
        All its spectra, the best first.
    """
    items: list[Item] = []
    for path in star.files:
        try:
            item = read(path)
            if check is not None:
                check(item)
            items.append(item)
        except Exception as error:  # one bad file never stops a batch
            _refused(path, error, left_out)
    spectra = [item for item in items if isinstance(item, Spectrum)]
    spectra = [spectra[place] for place in best_first([spectrum_merit(item) for item in spectra])]
    curve = one_lightcurve([item for item in items if isinstance(item, LightCurve)], left_out)
    if curve is None and not spectra:
        return None
    return Star(star.star_id, curve, tuple(spectra if every_spectrum else spectra[:1]))


def one_lightcurve(parts: Sequence[LightCurve], left_out: LeftOut) -> LightCurve | None:
    """The best light curve of a star's parts; those that fit on no common time axis with it are left out."""
    unused: list[dict[str, str]] = []
    curves = put_together(parts, unused)
    order = best_first([lightcurve_merit(curve.flux) for curve in curves]).tolist()
    left_out += [(entry["path"], entry["reason"]) for entry in unused]
    reason = "it can't be put on one time axis with the star's other files, which hold more good samples"
    left_out += [(source, reason) for place in order[1:] for source in curves[place].sources]
    return curves[order[0]] if order else None


def stars_of_files(
    paths: Sequence[str | Path],
    *,
    match_arcsec: float = 3.0,
    check: Callable[[Item], object] | None = None,
    left_out: LeftOut,
    every_spectrum: bool = False,
    progress: Report | None = None,
    size: int = STARS_AT_ONCE,
) -> Iterator[list[Star]]:
    """Stars of files, some at a time; the next ones are read while the caller works on those before.

    Parameters
    ----------
    paths
        Files of any supported layout, and folders of such.
    match_arcsec
        Radius for pairs by position; a common identifier goes first.
    check
        Raises `DesaError` for what can't be used.
    left_out
        Gets (file, reason) of what could not be used; whole when the iterator ends.
    every_spectrum
        All spectra of a star, the best first, in place of its best.
    progress
        Called with (files read, files).
    size
        Stars at once.

    Raises
    ------
    DesaError
        At the end, if no file could be used.
    """
    files = expand(paths, left_out)
    some = False
    stars = _read_all(files, match_arcsec, check, left_out, every_spectrum, progress)
    for batch in prefetch(_in_batches(stars, size), depth=1):
        some |= bool(batch)
        if batch:
            yield batch
    if not some:
        first = f"; {': '.join(left_out[0])}" if left_out else ""
        raise DesaError(f"none of {len(files)} files could be used{first}")


def _read_all(
    files: Sequence[Path],
    match_arcsec: float,
    check: Callable[[Item], object] | None,
    left_out: LeftOut,
    every_spectrum: bool,
    progress: Report | None,
) -> Iterator[Star | None]:
    stars = group_files(files, match_arcsec, left_out)
    done = len(left_out)
    total = done + sum(len(star.files) for star in stars)
    for star in stars:
        found = read_star(star, check, left_out, every_spectrum)
        done += len(star.files)
        if progress:
            progress(done, total)
        yield found


def _in_batches(stars: Iterator[Star | None], size: int) -> Iterator[list[Star]]:
    """Cut as `desa.survey.parts` does, whatever could be read, so that both give the same numbers."""
    while given := list(islice(stars, size)):
        yield [star for star in given if star is not None]
