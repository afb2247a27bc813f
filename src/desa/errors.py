"""What can go wrong with a file or a setting, said in one sentence a user can act on."""

from __future__ import annotations

import re
from pathlib import Path


def one_line(text: str, most: int = 1000) -> str:
    """A text without line breaks and control characters, cut if long: it may quote a stranger's file."""
    text = re.sub(r"[\x00-\x1f\x7f]+", " ", text)
    return text if len(text) <= most else text[: most - 3] + "..."


class DesaError(Exception):
    """Base of every error that is the input's fault, not the program's."""

    def __str__(self) -> str:
        return one_line(super().__str__(), 2500)


class FileRefused(DesaError):
    """A file that can't be used.

    Parameters
    ----------
    path
        The file.
    reason
        What the file is or what is wrong with it.
    advice
        What the user can do.
    """

    def __init__(self, path: str | Path, reason: str, advice: str = "") -> None:
        self.path = str(path)
        self.reason = one_line(reason)
        self.advice = advice
        super().__init__(f"{self.path}: {self.reason}" + (f"; {advice}" if advice else ""))

    def __reduce__(self) -> tuple[type[FileRefused], tuple[str, str, str]]:
        """Pickle by arguments, so that it crosses process boundaries."""
        return (type(self), (self.path, self.reason, self.advice))


class UnsupportedFile(FileRefused):
    """A whole, readable file of a kind that desa does not take."""


class DamagedFile(FileRefused):
    """A file that is empty, truncated, corrupt, or holds no usable sample."""


class WrongModality(DesaError):
    """A light curve where a spectrum is needed, or the reverse."""


class DifferentStars(DesaError):
    """A light curve and a spectrum that were given as one star's and are not."""


class SettingsError(DesaError):
    """A setting that does not exist or has an impossible value."""


class SurveyError(DesaError):
    """A survey store that is missing, incomplete or of another version."""


class ModelError(DesaError):
    """A model folder or checkpoint that can't be used."""


class ArchiveError(DesaError):
    """An archive that can't be asked, or a folder of downloads that can't be filled."""


class OutputError(DesaError):
    """A file or folder that can't be written: full, not allowed, taken by another run, or somebody else's."""
