"""Spectral lines that the page writes over a spectrum."""

from __future__ import annotations

LINES: tuple[tuple[str, float], ...] = (
    ("Ca II K", 3934.78),
    ("Ca II H", 3969.59),
    ("Hδ", 4102.89),
    ("Ca I", 4227.92),
    ("G band", 4305.6),
    ("Hγ", 4341.68),
    ("Hβ", 4862.68),
    ("Mg b", 5168.76),
    ("Mg b", 5174.13),
    ("Mg b", 5185.05),
    ("Fe I", 5271.0),
    ("Na D", 5891.58),
    ("Na D", 5897.56),
    ("Hα", 6564.61),
    ("Li I", 6709.7),
    ("TiO", 7056.0),
    ("K I", 7667.0),
    ("K I", 7701.1),
    ("Na I", 8185.5),
    ("Na I", 8197.1),
    ("Ca II", 8500.36),
    ("Ca II", 8544.44),
    ("Ca II", 8664.52),
)
"""(name, rest wavelength in vacuum, angstrom), ascending. Atomic lines after NIST's Atomic Spectra Database;
the G band and the head of TiO are molecular features with a width of their own."""
