"""What predicted labels are: units, words, and those that a head predicts by their logarithm."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class LabelWords:
    """A label's unit (as astropy writes it, empty for none) and what it is, in words."""

    unit: str
    description: str


WORDS: dict[str, LabelWords] = {
    "teff": LabelWords("K", "effective temperature"),
    "log_g": LabelWords("dex", "log10 of the surface gravity in cm/s2"),
    "fe_h": LabelWords("dex", "[Fe/H]"),
    "alpha_fe": LabelWords("dex", "[alpha/Fe]"),
    "prot": LabelWords("d", "rotation period"),
    "age": LabelWords("Gyr", "age"),
    "mass": LabelWords("solMass", "mass"),
    "radius": LabelWords("solRad", "radius"),
    "log_l": LabelWords("dex", "log10 of the luminosity in that of the Sun"),
    "bp_rp": LabelWords("mag", "Gaia BP-RP"),
    "m_g": LabelWords("mag", "absolute Gaia G magnitude"),
    "ruwe": LabelWords("", "Gaia RUWE"),
    "numax": LabelWords("uHz", "frequency of maximum oscillation power"),
    "dnu": LabelWords("uHz", "large frequency separation"),
    "sph": LabelWords("", "photometric activity index Sph in ppm"),
}

POSITIVE = ("prot", "age", "mass", "radius", "numax", "dnu", "sph", "ruwe")
"""Labels that can't be negative: their intervals end at 0."""

BY_LOGARITHM = {
    "log_prot": "prot",
    "log_age": "age",
    "log_sph": "sph",
    "log_numax": "numax",
    "log_dnu": "dnu",
}
"""Labels that heads may predict as log10, and what they are shown as."""

LOGARITHM = "log10 "
"""Before the name of any other label that a head predicts as log10."""


def words_of(label: str) -> LabelWords:
    """Unit and words of a label; of one that desa does not know: no unit, its own name."""
    return WORDS.get(label, LabelWords("", label.replace("_", " ")))


def shown(label: str, values: Any) -> tuple[str, NDArray[np.float64]]:
    """The name and the values that a head's label is shown by: those of a logarithm as numbers.

    Quantiles and interval ends stay what they are, as the map is monotonic.
    """
    numbers = np.asarray(values, dtype=np.float64)
    name = label.removeprefix(LOGARITHM) if label.startswith(LOGARITHM) else BY_LOGARITHM.get(label)
    if name is None:
        return label, numbers
    with np.errstate(over="ignore"):
        return name, np.asarray(np.power(10.0, numbers))


def periods_of(medians: NDArray[np.float64], labels: Sequence[str]) -> NDArray[np.float64] | None:
    """(N,) rotation periods in days from a head's medians, whether it gives days or their logarithm.

    Parameters
    ----------
    medians
        (N, K).
    labels
        K names; None is given back where neither ``prot`` nor ``log_prot`` is one of them.
    """
    found = dict(shown(label, medians[:, place]) for place, label in enumerate(labels))
    return found.get("prot")
