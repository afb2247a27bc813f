"""Mock stars against Kepler's public catalogues: diagrams, rotation, activity, seismology."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from desa.simulate.check.numbers import Comparison, compared, distance
from desa.simulate.labels import measured_sph, prot_detected
from desa.simulate.lightcurves import simulate_lightcurve
from desa.simulate.population import StarParameters, stream
from desa.types import LightCurve

FloatArray = NDArray[np.float64]
TEFF_BINS: Final = ((3500, 4200), (4200, 5000), (5000, 5400), (5400, 5800), (5800, 6200), (6200, 6600))
DAYS: Final = 1400.0
DWARF: Final = 3.5


def columns(folder: Path, name: str, wanted: Sequence[str]) -> dict[str, FloatArray]:
    """Number columns of a catalogue in a folder of real data."""
    table: Any = pq.read_table(folder / "catalogs" / f"{name}.parquet", columns=list(wanted))
    return {c: np.asarray(table[c].to_numpy(), dtype=np.float64) for c in wanted}


@dataclass(frozen=True, eq=False)
class Rotators:
    """Stars with a published (or, of mock stars, publishable) period: K, days, ppm, log10 ppm of range."""

    teff: FloatArray
    prot: FloatArray
    sph: FloatArray
    rvar: FloatArray


def variability_range(curve: LightCurve) -> float:
    """Rvar in ppm: the 5 to 95 % range of each 30 days, the median of all (Basri et al. 2011, AJ 141, 20)."""
    size = round(30.0 / curve.cadence_days)
    flux: NDArray[np.float32] = curve.flux
    ranges = []
    for start in range(0, len(flux) - size + 1, size):
        part = flux[start : start + size]
        part = part[np.isfinite(part)]
        if len(part) > size // 2:
            low, high = np.percentile(part, [5, 95])
            ranges.append(1e6 * float(high - low))
    return float(np.median(ranges)) if ranges else float("nan")


def mock_rotators(stars: Sequence[StarParameters]) -> Rotators:
    """The mock dwarfs and subgiants whose period a catalogue would hold, with Sph and Rvar measured on their
    light curves (eight quarters).
    """
    rows = []
    for star in stars:
        if star.log_g < DWARF:
            continue
        rng = stream(star.seed, star.index, 3)
        if not prot_detected(star, 10**star.rotation.log_sph, DAYS, rng):
            continue
        curve = simulate_lightcurve(star, stream(star.seed, star.index, 1), range(4, 12))
        prot = star.rotation.prot
        rows.append((star.teff, prot, measured_sph(curve, prot), variability_range(curve)))
    found: FloatArray = np.array(rows, dtype=np.float64).reshape(-1, 4)
    return Rotators(found[:, 0], found[:, 1], found[:, 2], found[:, 3])


def real_rotators(folder: Path) -> dict[str, Rotators]:
    """Dwarfs and subgiants of Santos et al. (2019, 2021) and McQuillan et al. (2014)."""
    names = ("Teff", "Prot", "Sph", "logg")
    parts = [columns(folder, n, names) for n in ("santos2019_rotation_KM", "santos2021_rotation_FG")]
    santos = {name: np.concatenate([part[name] for part in parts]) for name in names}
    keep = santos["logg"] > DWARF
    nothing = np.full(keep.sum(), np.nan)
    teff, prot, sph = (santos[n][keep] for n in names[:3])
    found = {"Santos": Rotators(teff, prot, sph, nothing)}
    mcquillan = columns(folder, "mcquillan2014_rotation", ("Teff", "PRot", "Rper"))
    unknown = np.full(len(mcquillan["Teff"]), np.nan)
    found["McQuillan"] = Rotators(mcquillan["Teff"], mcquillan["PRot"], unknown, mcquillan["Rper"])
    return found


def range_over_sph(folder: Path) -> FloatArray:
    """Rvar (Reinhold & Gizon 2015, given in per cent) over Sph of real stars that both catalogues hold."""
    names = ("KIC", "Sph")
    parts = [columns(folder, n, names) for n in ("santos2019_rotation_KM", "santos2021_rotation_FG")]
    kic, sph = (np.concatenate([part[name] for part in parts]) for name in names)
    ranges = columns(folder, "reinhold2015_rotation_gyroage", ("KIC", "Rvar"))
    _, one, other = np.intersect1d(kic, ranges["KIC"], return_indices=True)
    return np.asarray(1e4 * ranges["Rvar"][other] / sph[one])


def rotation_numbers(mock: Rotators, real: dict[str, Rotators]) -> list[Comparison]:
    """Quantiles of Prot, and medians of Sph and range, by temperature."""
    rows = []
    for low, high in TEFF_BINS:
        ours = (mock.teff > low) & (mock.teff < high)
        for name, other in real.items():
            theirs = (other.teff > low) & (other.teff < high)
            for quantile in (0.16, 0.5, 0.84):
                what = f"Prot, {100 * quantile:.0f} %, {low}-{high} K, {name}"
                rows.append(compared(what, mock.prot[ours], other.prot[theirs], quantile))
            key = "sph" if name == "Santos" else "rvar"
            text = "Sph" if name == "Santos" else "Rvar (theirs: Rper)"
            one, two = getattr(mock, key)[ours], getattr(other, key)[theirs]
            rows.append(compared(f"{text}, median, {low}-{high} K, {name}", one, two))
    return rows


def population_numbers(folder: Path, stars: Sequence[StarParameters]) -> tuple[list[Comparison], list[str]]:
    """HR diagram and magnitudes against Huber et al. (2014), seismology against Yu et al. (2018)."""
    huber = columns(folder, "huber2014_q1q16_input_parameters", ("Teff", "logg"))
    yu = columns(folder, "yu2018_red_giants", ("numax", "dnu", "Teff"))
    teff, log_g = np.array([s.teff for s in stars]), np.array([s.log_g for s in stars])
    dwarfs = (log_g[log_g > DWARF], huber["logg"][huber["logg"] > DWARF])
    rows = [
        compared("Teff, median", teff, huber["Teff"]),
        compared("log g of dwarfs (> 3.5), median", dwarfs[0], dwarfs[1], difference=True),
    ]
    giants = [s for s in stars if s.log_g < DWARF and 5 < s.numax < 250]
    seen = (yu["numax"] > 5) & (yu["numax"] < 250)
    numax, dnu = np.array([s.numax for s in giants]), np.array([s.dnu for s in giants])
    rows += [
        compared("numax of giants (5-250 uHz), median", numax, yu["numax"][seen]),
        compared(
            "dnu / numax^0.77 of giants, median", dnu / numax**0.77, (yu["dnu"] / yu["numax"] ** 0.77)[seen]
        ),
        compared("Teff of giants, median", np.array([s.teff for s in giants]), yu["Teff"][seen]),
    ]
    said = []
    for name, one, other in (
        ("Teff", teff, huber["Teff"]),
        ("log g", log_g, huber["logg"]),
        ("numax of giants", numax, yu["numax"][seen]),
    ):
        value, error = distance(one, other)
        said.append(f"{name} {value:.3f} +- {error:.3f}")
    share = [float(np.mean(v[np.isfinite(v)] < DWARF)) for v in (log_g, huber["logg"])]
    said.append(f"share of giants {share[0]:.3f} mock, {share[1]:.3f} real")
    return rows, said
