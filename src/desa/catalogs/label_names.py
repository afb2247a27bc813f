"""What desa calls the labels of stars, and what each holds."""

from __future__ import annotations

import pyarrow as pa

NUMBER_LABELS = (
    *("teff", "log_g", "fe_h", "alpha_fe", "prot", "age", "mass", "radius", "log_l"),
    *("bp_rp", "m_g", "ruwe", "numax", "dnu", "sph"),
)
TEXT_LABELS = ("cmd_class", "binary_kind", "variable_class")
LABELS = (*NUMBER_LABELS, *TEXT_LABELS, "binary")
"""Canonical label names; a number's error is ``<name>_err``. Units: K, dex, dex, dex, d, Gyr, solar masses,
solar radii, log10 solar, mag, mag, 1, uHz, uHz, ppm."""


def label_type(name: str) -> pa.DataType:
    """Arrow type of a label column."""
    if name in TEXT_LABELS:
        return pa.string()
    return pa.bool_() if name == "binary" else pa.float64()
