"""Cross-fitting: a model trained on all stars, its uncertainty told by twins that each leave a fold out.

Which fold a star is in is a hash of its identifier, as its split is: the same in every survey and run. The
stars of a fold are predicted by the twin that has not seen them, so that every labelled star calibrates.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Self

import numpy as np

from desa.errors import SettingsError
from desa.survey.store import Survey


@dataclass(frozen=True)
class Fold:
    """Which real stars are kept out of training.

    Parameters
    ----------
    number, count
        Fold `number` (from 1) of `count`; 0: none is kept out.
    """

    number: int
    count: int

    @classmethod
    def of(cls, text: str) -> Self:
        """``"2/3"``: all but the second of three folds; ``"all"``: every star.

        Raises
        ------
        SettingsError
            For anything else.
        """
        if text == "all":
            return cls(0, 1)
        number, _, count = text.partition("/")
        if not (number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count) <= 100):
            raise SettingsError(f"a fold is 'all' or, for instance, '2/3', not {text[:40]!r}")
        if int(count) < 2:
            raise SettingsError("there must be two folds at least")
        return cls(int(number), int(count))

    def __str__(self) -> str:
        return f"{self.number}/{self.count}" if self.number else "all"

    def holds(self, star_id: str) -> bool:
        """Whether a star is of this fold, and so was not trained on."""
        digest = hashlib.blake2b(star_id.encode(), digest_size=8, person=b"fold").digest()
        return int.from_bytes(digest, "big") % self.count == self.number - 1

    def split(self, survey: Survey) -> Survey:
        """A real survey with the fold as its test split and all else to train on; a mock one as it is."""
        if survey.kind != "real":
            return survey
        held = np.array([self.holds(star) for star in survey.stars.column("star_id").to_pylist()], dtype=bool)
        return survey.with_split(np.where(held, "test", "train"))
