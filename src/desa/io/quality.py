"""What the quality bits of Kepler, K2 and TESS mean, and which of them spoil a sample.

The tables follow the Kepler Archive Manual (KDMC-10008-006, table 2-3) and the TESS Science Data
Products Description (table 32).
"""

from __future__ import annotations

from typing import Final

KEPLER_BITS: Final = {
    1: "attitude tweak",
    2: "safe mode",
    4: "coarse point",
    8: "Earth point",
    16: "reaction wheel zero crossing",
    32: "reaction wheel desaturation",
    64: "argabrightening across the focal plane",
    128: "cosmic ray in the aperture",
    256: "manual exclude",
    1024: "sudden sensitivity dropout",
    2048: "impulsive outlier removed before cotrending",
    4096: "argabrightening on this CCD",
    8192: "cosmic ray in the collateral data",
    16384: "detector anomaly",
    32768: "no fine point",
    65536: "no data",
    131072: "rolling band in the aperture",
    262144: "rolling band in the full mask",
    524288: "possible thruster firing",
    1048576: "thruster firing",
}
"""SAP_QUALITY of Kepler and K2."""

TESS_BITS: Final = {
    1: "attitude tweak",
    2: "safe mode",
    4: "coarse point",
    8: "Earth point",
    16: "argabrightening",
    32: "reaction wheel desaturation",
    64: "cosmic ray in the aperture",
    128: "manual exclude",
    256: "discontinuity corrected",
    512: "impulsive outlier",
    1024: "cosmic ray in the collateral data",
    2048: "stray light",
    4096: "stray light predicted",
    8192: "excluded from the planet search",
    16384: "bad calibration",
    32768: "insufficient targets for cotrending",
}
"""QUALITY of TESS."""

KEPSEISMIC_BITS: Final = {1: "filled in, not observed"}
"""Second part of a KEPSEISMIC file, where 2 stands for filled in."""

_KEPLER_DEFAULT = 1 | 2 | 4 | 8 | 32 | 256 | 16384 | 65536 | 1048576
_TESS_DEFAULT = 1 | 2 | 4 | 8 | 16 | 32 | 128 | 512 | 4096 | 16384

PRESETS: Final = {
    "Kepler": {
        "none": 0,
        "default": _KEPLER_DEFAULT,
        "hard": _KEPLER_DEFAULT | 64 | 128 | 1024 | 4096 | 8192 | 524288,
    },
    "KEPSEISMIC": {"none": 0, "default": 1, "hard": 1},
    "TESS": {"none": 0, "default": _TESS_DEFAULT, "hard": _TESS_DEFAULT | 64 | 1024 | 2048},
}
"""Bits whose samples are dropped, by mission family and name of the choice."""


def bitmask(quality: str | int, family: str) -> int:
    """Bits to drop for a choice.

    Parameters
    ----------
    quality
        ``"none"``, ``"default"``, ``"hard"``, or the bits themselves as a number or its text.
    family
        ``"Kepler"`` (K2 too), ``"TESS"`` or ``"KEPSEISMIC"``.

    Raises
    ------
    ValueError
        For any other word.
    """
    if isinstance(quality, int):
        return quality
    if quality in PRESETS[family]:
        return PRESETS[family][quality]
    if quality.isdecimal():
        return int(quality)
    raise ValueError(f"quality must be none, default, hard or a number of bits, not {quality!r}")
