"""The stars of files or of a survey, cut into parts that any process can read by itself."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from torch import Tensor

from desa.survey.from_files import LeftOut, StarFiles, expand, group_files, read_star
from desa.survey.selection import STARS_AT_ONCE, BestData, Encodes, lightcurves_of, prior_of, spectra_of
from desa.survey.shards import json_bytes
from desa.survey.store import Survey
from desa.types import LightCurve, Spectrum, Star


class Reads(Encodes, Protocol):
    """What the stars are read for: a network."""

    def check(self, item: LightCurve | Spectrum) -> Any:
        """Raise `DesaError` for what can't be used."""
        ...


class StarPart(Protocol):
    """Some stars; small enough to be sent to another machine, which must see their files."""

    def __len__(self) -> int:
        """Number of stars."""
        ...

    def identity(self) -> str:
        """Hash of what would be read."""
        ...

    def read(self, reads: Reads, left_out: LeftOut) -> list[Star]:
        """Read the stars; what can't be used is left out and listed."""
        ...

    def prior(self, name: str) -> dict[str, Tensor] | None:
        """Star -> numbers of a prior, by `desa.survey.selection.prior_of`; None where there are none."""
        ...


@dataclass(frozen=True)
class FilePart:
    """Stars of files."""

    stars: tuple[StarFiles, ...]
    every_spectrum: bool = False

    def __len__(self) -> int:
        return len(self.stars)

    def identity(self) -> str:
        """Hash of names, sizes and times of the files."""
        return _hash([[star.star_id, [_state(path) for path in star.files]] for star in self.stars])

    def read(self, reads: Reads, left_out: LeftOut) -> list[Star]:
        """See `desa.survey.from_files.read_star`."""
        found = (read_star(star, reads.check, left_out, self.every_spectrum) for star in self.stars)
        return [star for star in found if star is not None]

    def prior(self, name: str) -> None:
        """Files have no labels."""


@dataclass(frozen=True)
class SurveyPart:
    """Rows of a survey's star table."""

    folder: Path
    survey: str
    rows: tuple[int, ...]
    every_spectrum: bool = False

    def __len__(self) -> int:
        return len(self.rows)

    def identity(self) -> str:
        """Hash of the survey's own identity and the rows."""
        return _hash([self.survey, self.rows])

    def read(self, reads: Reads, left_out: LeftOut) -> list[Star]:
        """See `desa.survey.selection.BestData`."""
        parts = (reads.lightcurve_encoder is not None, reads.spectrum_encoder is not None)
        best = _best_data(self.folder, self.survey, *parts)
        found = (best.of(row, self.every_spectrum) for row in self.rows)
        return [star for star in found if star is not None]

    def prior(self, name: str) -> dict[str, Tensor] | None:
        """See `StarPart.prior`."""
        survey, prior = _survey(self.folder, self.survey), _prior(self.folder, self.survey, name)
        if prior is None:
            return None
        names = survey.stars.column("star_id")
        return {names[row].as_py(): prior[row] for row in self.rows}


def file_parts(
    paths: Sequence[str | Path],
    *,
    match_arcsec: float = 3.0,
    every_spectrum: bool = False,
    left_out: LeftOut,
    size: int = STARS_AT_ONCE,
) -> list[FilePart]:
    """The stars of files, in the order of their names; arguments as `stars_of_files`'."""
    stars = group_files([path.absolute() for path in expand(paths, left_out)], match_arcsec, left_out)
    return [
        FilePart(tuple(stars[start : start + size]), every_spectrum) for start in range(0, len(stars), size)
    ]


def survey_parts(
    survey: Survey, encodes: Encodes, *, every_spectrum: bool = False, size: int = STARS_AT_ONCE
) -> list[SurveyPart]:
    """A survey's stars that a network can read something of; arguments as `stars_of_survey`'s."""
    having = [
        rows_of(survey).stars
        for rows_of, encoder in (
            (lightcurves_of, encodes.lightcurve_encoder),
            (spectra_of, encodes.spectrum_encoder),
        )
        if encoder is not None
    ]
    rows = np.unique(np.concatenate(having)) if having else np.zeros(0, dtype=np.int64)
    folder = Path(survey.path).absolute()
    return [
        SurveyPart(folder, survey.identity, tuple(rows[start : start + size].tolist()), every_spectrum)
        for start in range(0, len(rows), size)
    ]


def _state(path: Path) -> list[Any]:
    """A file's name, size and time; of a member of a file (``path::member``), that file's."""
    try:
        state = Path(str(path).partition("::")[0]).stat()
    except OSError:
        return [str(path)]
    return [str(path), state.st_size, state.st_mtime_ns]


def _hash(content: Any) -> str:
    return hashlib.sha256(json_bytes(content)).hexdigest()


@lru_cache(maxsize=1)
def _survey(folder: Path, identity: str) -> Survey:
    """A survey, opened once a process; one of another identity is opened anew."""
    return Survey.open(folder)


@lru_cache(maxsize=1)
def _prior(folder: Path, identity: str, name: str) -> Tensor | None:
    return prior_of(_survey(folder, identity), name)


@dataclass
class _Encodes:
    lightcurve_encoder: bool | None
    spectrum_encoder: bool | None


@lru_cache(maxsize=1)
def _best_data(folder: Path, identity: str, curves: bool, spectra: bool) -> BestData:
    return BestData(_survey(folder, identity), _Encodes(curves or None, spectra or None))
