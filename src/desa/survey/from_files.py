"""Stars from files or from a survey, some at a time: quarters stitched, light curves and spectra paired.

What belongs together is found from the files' headers; the files themselves are read star by star, so that
any number of them takes little memory.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from desa.catalogs.crossmatch import nearest
from desa.errors import DesaError, FileRefused
from desa.io.registry import Glance, glance, read, sources
from desa.io.stitching import put_together
from desa.pipeline import prefetch
from desa.progress import Report
from desa.survey.scan import file_root, list_files
from desa.survey.store import Survey
from desa.types import LightCurve, Spectrum

Item = LightCurve | Spectrum
Pairing = tuple[LightCurve | None, Spectrum | None]
"""A star's light curve and one of its spectra; one of the two may be absent."""

LeftOut = list[tuple[str, str]]
"""Files that could not be used, and why."""

STARS_AT_ONCE = 64


@dataclass(frozen=True)
class StarFiles:
    """The files of one star: those of its light curve, and each a spectrum."""

    lightcurve: tuple[Path, ...] = ()
    spectra: tuple[Path, ...] = ()


def is_survey(path: str | Path) -> bool:
    """Whether a path is a survey's folder."""
    return (Path(path) / "survey.json").exists()


def expand(paths: Sequence[str | Path]) -> list[Path]:
    """Sources, each once: a folder stands for all files in it, to any depth, a file for all stars in it."""
    found: dict[Path, None] = {}
    for path in map(Path, paths):
        inside = [file_root(path) / state.name for state in list_files(path)] if path.is_dir() else [path]
        found |= dict.fromkeys(source for file in inside for source in sources(file))
    return list(found)


def group_files(paths: Sequence[Path], match_arcsec: float, left_out: LeftOut) -> list[StarFiles]:
    """Which files are of the same star, by the names in their headers, then by position.

    Parameters
    ----------
    paths
        Files. One whose header does not tell its star is read, and let go again.
    match_arcsec
        Radius for pairs by position.
    left_out
        Gets what can't be read.

    Returns
    -------
    list of StarFiles
        In the order of each star's first file.
    """
    quarters: dict[str, list[Path]] = defaultdict(list)
    heads: dict[str, Glance] = {}
    spectra: list[tuple[Path, Glance]] = []
    for number, path in enumerate(paths):
        seen = glance(path)
        if not seen.kind:
            seen = _read_glance(path, left_out)
        if seen.kind == "lightcurve":
            key = seen.name or f"#{number}"
            quarters[key].append(path)
            if key not in heads or not np.isfinite(heads[key].ra):
                heads[key] = seen
        elif seen.kind == "spectrum":
            spectra.append((path, seen))
    keys = list(quarters)
    near = nearest(
        [seen.ra for _, seen in spectra],
        [seen.dec for _, seen in spectra],
        [heads[key].ra for key in keys],
        [heads[key].dec for key in keys],
        match_arcsec,
    )
    of_star: dict[str, list[Path]] = defaultdict(list)
    alone: list[StarFiles] = []
    for (path, seen), place in zip(spectra, near.tolist(), strict=True):
        key = seen.name if seen.name in quarters else keys[place] if place >= 0 else ""
        if key:
            of_star[key].append(path)
        else:
            alone.append(StarFiles(spectra=(path,)))
    stars = [StarFiles(tuple(files), tuple(of_star[key])) for key, files in quarters.items()] + alone
    order = {path: place for place, path in enumerate(paths)}
    return sorted(stars, key=lambda star: min(order[path] for path in (*star.lightcurve, *star.spectra)))


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
        item = read(path)
    except Exception as error:  # one bad file never stops a batch
        _refused(path, error, left_out)
        return Glance()
    kind = "lightcurve" if isinstance(item, LightCurve) else "spectrum"
    return Glance(kind, item.star_id, getattr(item, "obsid", ""), item.ra, item.dec)


def read_star(star: StarFiles, check: Callable[[Item], object] | None, left_out: LeftOut) -> list[Pairing]:
    """Read one star's files: an entry for each spectrum; without any, one for the light curve.

    Of light curves that fit on no common time axis the one with most good samples is taken.

    Parameters
    ----------
    star
        Its files.
    check
        Raises `DesaError` for what can't be used.
    left_out
        Gets the files that can't be used, and why.
    """
    items: list[Item] = []
    for path in (*star.lightcurve, *star.spectra):
        try:
            item = read(path)
            if check is not None:
                check(item)
            items.append(item)
        except Exception as error:  # one bad file never stops a batch
            _refused(path, error, left_out)
    spectra = [item for item in items if isinstance(item, Spectrum)]
    curve = one_lightcurve([item for item in items if isinstance(item, LightCurve)], left_out)
    pairs: list[Pairing] = [(curve, spectrum) for spectrum in spectra]
    return pairs or ([(curve, None)] if curve is not None else [])


def one_lightcurve(parts: Sequence[LightCurve], left_out: LeftOut) -> LightCurve | None:
    """One light curve of a star's parts; those that fit on no common time axis are left out."""
    unused: list[dict[str, str]] = []
    curves = sorted(put_together(parts, unused), key=lambda curve: -int(curve.valid.sum()))
    left_out += [(entry["path"], entry["reason"]) for entry in unused]
    reason = "it can't be put on one time axis with the star's other files, which hold more good samples"
    left_out += [(source, reason) for curve in curves[1:] for source in curve.sources]
    return curves[0] if curves else None


def stars_of_files(
    paths: Sequence[str | Path],
    *,
    match_arcsec: float = 3.0,
    check: Callable[[Item], object] | None = None,
    left_out: LeftOut,
    progress: Report | None = None,
    size: int = STARS_AT_ONCE,
) -> Iterator[list[Pairing]]:
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
    progress
        Called with (files read, files).
    size
        Stars at once.

    Raises
    ------
    DesaError
        At the end, if no file could be used.
    """
    files = expand(paths)
    some = False
    for batch in prefetch(_read_all(files, match_arcsec, check, left_out, progress, size), depth=1):
        some |= bool(batch)
        yield batch
    if not some:
        first = f"; {': '.join(left_out[0])}" if left_out else ""
        raise DesaError(f"none of {len(files)} files could be used{first}")


def _read_all(
    files: Sequence[Path],
    match_arcsec: float,
    check: Callable[[Item], object] | None,
    left_out: LeftOut,
    progress: Report | None,
    size: int,
) -> Iterator[list[Pairing]]:
    stars = group_files(files, match_arcsec, left_out)
    done = len(files) - sum(len(star.lightcurve) + len(star.spectra) for star in stars)
    for start in range(0, len(stars), size):
        part = stars[start : start + size]
        batch = [pairing for star in part for pairing in read_star(star, check, left_out)]
        done += sum(len(star.lightcurve) + len(star.spectra) for star in part)
        if progress:
            progress(done, len(files))
        yield batch


def stars_of_survey(
    survey: Survey, *, progress: Report | None = None, size: int = STARS_AT_ONCE
) -> Iterator[list[Pairing]]:
    """Stars of a survey, some at a time: the light curve with most good samples, the spectrum of highest S/N.

    Parameters
    ----------
    survey
        The survey.
    progress
        Called with (stars, stars of the survey).
    size
        Stars at once.
    """
    best = BestData(survey)
    for start in range(0, survey.n_stars, size):
        stop = min(start + size, survey.n_stars)
        batch = best.of(np.arange(start, stop))
        if progress:
            progress(stop, survey.n_stars)
        yield [pairing for pairing in batch if pairing != (None, None)]


class BestData:
    """Each star's light curve with most good samples and spectrum of highest S/N in g.

    Parameters
    ----------
    survey
        The survey.
    """

    def __init__(self, survey: Survey) -> None:
        self.survey = survey
        self._curves = _best(survey.lightcurve_star, survey.lightcurve_column("n_good"), survey.n_stars)
        self._spectra = _best(survey.spectrum_star, survey.spectrum_column("snr_g"), survey.n_stars)

    def of(self, stars: NDArray[np.int64]) -> list[Pairing]:
        """Of some stars; None for what a star lacks."""
        rows = zip(self._curves[stars].tolist(), self._spectra[stars].tolist(), strict=True)
        return [
            (
                self.survey.lightcurve(curve) if curve >= 0 else None,
                self.survey.spectrum(spectrum) if spectrum >= 0 else None,
            )
            for curve, spectrum in rows
        ]


def _best(star: NDArray[np.int64], merit: NDArray[np.float64], stars: int) -> NDArray[np.int64]:
    """(stars,) row of greatest merit of each star, -1 where it has none."""
    best = np.full(stars, -1, dtype=np.int64)
    order = np.argsort(np.nan_to_num(merit.astype(np.float64), nan=-1.0), kind="stable")
    best[star[order]] = order
    return best
