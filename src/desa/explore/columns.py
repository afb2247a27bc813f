"""What a column of numbers or words is called on the page, its unit, and how it travels to the browser."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

MOST_CATEGORIES = 40
"""A text column with more different words is no use as a colour, and is left out."""

NAMES: dict[str, tuple[str, str]] = {
    "teff": ("Teff", "K"),
    "log_g": ("log g", "dex"),
    "fe_h": ("[Fe/H]", "dex"),
    "alpha_fe": ("[α/Fe]", "dex"),
    "prot": ("Prot", "d"),
    "age": ("Age", "Gyr"),
    "mass": ("Mass", "Msun"),
    "radius": ("Radius", "Rsun"),
    "log_l": ("log L/L☉", "dex"),
    "bp_rp": ("BP − RP", "mag"),
    "m_g": ("M_G", "mag"),
    "g": ("G", "mag"),
    "magnitude": ("Kepler magnitude", "mag"),
    "ruwe": ("RUWE", ""),
    "numax": ("ν max", "uHz"),
    "dnu": ("Δν", "uHz"),
    "sph": ("S_ph", "ppm"),
    "log_sph": ("log S_ph/ppm", "dex"),
    "log_r_hk": ("log R'HK", ""),
    "ra": ("RA", "deg"),
    "dec": ("Dec", "deg"),
    "av": ("A_V", "mag"),
    "distance": ("Distance", "pc"),
    "rv": ("Radial velocity", "km / s"),
    "vsini": ("v sin i", "km / s"),
    "inclination": ("Inclination", "deg"),
    "orbital_period": ("Orbital period", "d"),
    "orbital_inclination": ("Orbital inclination", "deg"),
    "good_days": ("Good samples", "d"),
    "p_spectrum": ("Spectrum like training, p", ""),
    "p_lightcurve": ("Light curve like training, p", ""),
    "z": ("Redshift", ""),
    "map_x": ("Map 1", ""),
    "map_y": ("Map 2", ""),
    **{f"snr_{band}": (f"S/N in {band}", "") for band in "ugriz"},
}
"""Column name -> (name on the page, unit as astropy writes it)."""

ENDINGS = {
    "_err": " error",
    "_true": " (mock truth)",
    "_catalogue": " (catalogue)",
    "_predicted": " (predicted)",
    "_flag": " flag",
    **{f"_low{share}": f" {share} % low" for share in (68, 90)},
    **{f"_high{share}": f" {share} % high" for share in (68, 90)},
}


@dataclass(frozen=True)
class Column:
    """A column that the page can show.

    Parameters
    ----------
    key
        Its name in the table and in exports.
    label
        Its name on the page.
    unit
        Unit as astropy writes it, empty if it has none.
    source
        ``"table"``, ``"predictions"``, ``"survey"`` or ``"map"``.
    categories
        The words of a text column, the commonest first; None for numbers.
    """

    key: str
    label: str
    unit: str
    source: str
    categories: tuple[str, ...] | None = None

    def described(self) -> dict[str, Any]:
        """As JSON for the page."""
        return {
            "key": self.key,
            "label": self.label,
            "unit": shown_unit(self.unit),
            "source": self.source,
            "categories": self.categories,
        }


def shown_unit(unit: str) -> str:
    """A unit as people write it."""
    replaced = {"Msun": "M☉", "Rsun": "R☉", "uHz": "µHz"}
    return replaced.get(unit, unit.replace(" / s", "/s").replace("deg", "°"))


def label_of(key: str) -> tuple[str, str]:
    """(name on the page, unit) of a column's key; the key itself where nothing is known of it."""
    stem, said = key, ""
    for ending, words in ENDINGS.items():
        if stem.endswith(ending) and len(stem) > len(ending):
            stem, said = stem.removesuffix(ending), words + said
            break
    if stem not in NAMES and stem.removesuffix("_catalogue") in NAMES:
        stem, said = stem.removesuffix("_catalogue"), " (catalogue)" + said
    name, unit = NAMES.get(stem, (stem.replace("_", " "), ""))
    return name + said, unit


def is_shown(field: pa.Field) -> bool:
    """Whether a column is numbers or words: not a vector, and no identifier."""
    if field.name in {"star_id", "obsid", "kic", "gaia"}:
        return False
    kind = field.type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    numbers = pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_boolean(kind)
    return bool(numbers or pa.types.is_string(kind) or pa.types.is_large_string(kind))


def read_column(key: str, values: pa.ChunkedArray, source: str) -> tuple[Column, NDArray[np.float32]] | None:
    """A column and its values as (N,) float32, NaN where missing; words become the place of their category.

    None where nothing is in it, or where it has more than `MOST_CATEGORIES` different words.
    """
    label, unit = label_of(key)
    if pa.types.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if pa.types.is_boolean(values.type):
        values = pc.if_else(values, "yes", "no")
    if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
        found = _categories(values)
        if found is None:
            return None
        words, codes = found
        return Column(key, label, unit, source, words), codes
    numbers = values.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False).astype(np.float32)
    if not np.isfinite(numbers).any():
        return None
    return Column(key, label, unit, source), np.where(np.isfinite(numbers), numbers, np.float32(np.nan))


def _categories(values: pa.ChunkedArray) -> tuple[tuple[str, ...], NDArray[np.float32]] | None:
    """Words, the commonest first, and each row's place among them."""
    filled = pc.if_else(pc.equal(values, ""), pa.scalar(None, values.type), values)
    counts = [
        (item["counts"], item["values"])
        for item in filled.value_counts().to_pylist()
        if item["values"] is not None
    ]
    if not 0 < len(counts) <= MOST_CATEGORIES:
        return None
    words = tuple(word for _, word in sorted(counts, key=lambda item: (-item[0], item[1])))
    places = pc.index_in(filled, value_set=pa.array(words, values.type))
    codes = places.cast(pa.float64()).to_numpy(zero_copy_only=False).astype(np.float32)
    return words, codes
