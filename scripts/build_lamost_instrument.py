"""Make `src/desa/simulate/data/lamost_instrument.npz`: how LAMOST's noise and masks vary, from real spectra.

    python scripts/build_lamost_instrument.py ../shared/data/lamost

From the DR10 files with an inverse variance: the response, log(ivar x (flux + background) / wavelength)
relative to its mean over 5000-5400 Angstrom, its regression on log S/N_g, and the principal components of
what is left. From all 1886 spectra: how many runs of bad pixels each arm has, how long they are, and how
many pixels a file has. Only these derived numbers are stored.
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

import numpy as np
from astropy.io import fits
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d, median_filter, percentile_filter

from desa.files import written_whole
from desa.io.lamost import LAMOST_PIXELS

OUT = Path(__file__).parents[1] / "src" / "desa" / "simulate" / "data" / "lamost_instrument.npz"
COMPONENTS = 25
BACKGROUND_AT_SNR_1 = 30.0
WAVE = 10 ** (3.5682 + 1e-4 * np.arange(LAMOST_PIXELS))
ARM_JOIN = 5900.0

Array = NDArray[np.float64]


def response(flux: Array, ivar: Array, snr_g: float) -> Array:
    """log(ivar (flux + b pseudo-continuum) / wavelength), interpolated over bad pixels, 0 at 5000-5400 A."""
    pixel = np.arange(len(flux))
    good = (ivar > 0) & (flux > 0)
    filled = np.interp(pixel, pixel[good], flux[good])
    level = gaussian_filter1d(percentile_filter(median_filter(filled, 5), 80, 151), 40)
    variance_shape = np.maximum(gaussian_filter1d(filled, 1.5), 0) + BACKGROUND_AT_SNR_1 / snr_g * level
    log_response = np.log(ivar[good] * variance_shape[good] / WAVE[: len(flux)][good])
    full = np.interp(np.arange(LAMOST_PIXELS), pixel[good], log_response)
    return full - np.median(full[(WAVE > 5000) & (WAVE < 5400)])


def read_responses(folder: Path) -> tuple[Array, Array]:
    """Responses (M, 3909) and log10 S/N_g (M,) of every file with all its pixels."""
    rows, snr = [], []
    for path in sorted(folder.glob("*.fits.gz")):
        with fits.open(path) as hdus:
            flux, ivar = (hdus[1].data[name][0].astype(np.float64) for name in ("FLUX", "IVAR"))
            snr_g = float(hdus[0].header["SNRG"])
        if len(flux) > 3890 and (ivar > 0).mean() > 0.8 and 5 < snr_g < 900:
            rows.append(response(flux, ivar, snr_g))
            snr.append(np.log10(snr_g))
    return np.array(rows), np.array(snr)


def runs(bad: NDArray[np.bool_]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Starts and lengths of the runs of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], bad.astype(np.int8), [0]])))
    return edges[::2], edges[1::2] - edges[::2]


def mask_statistics(folder: Path) -> dict[str, NDArray[np.generic]]:
    """Runs of bad pixels by arm, their lengths, and pixels a file."""
    with (folder / "dr10_labels.csv").open() as file:
        pixels = np.array([int(row["npix"]) for row in csv.DictReader(file)])
    with np.load(folder / "dr10_compact.npz", allow_pickle=False) as data:
        good = np.unpackbits(data["good_packed"], axis=1)[:, :LAMOST_PIXELS].astype(bool)
    counts: list[tuple[int, int]] = []
    lengths: list[int] = []
    places = np.zeros(LAMOST_PIXELS)
    for mask, n in zip(good, pixels, strict=True):
        starts, sizes = runs(~mask[:n])
        red = WAVE[starts] > ARM_JOIN
        counts.append((int((~red).sum()), int(red.sum())))
        lengths.extend(sizes.tolist())
        np.add.at(places, starts, 1.0)
    kinds, how_many = np.unique(pixels, return_counts=True)
    return {
        "bad_runs": np.array(counts, dtype=np.int16),
        "bad_run_places": gaussian_filter1d(places, 20.0).astype(np.float16),
        "bad_run_lengths": np.percentile(np.minimum(lengths, 400), np.linspace(0, 100, 1001)).astype(
            np.float32
        ),
        "pixel_counts": kinds.astype(np.int32),
        "pixel_count_shares": (how_many / how_many.sum()).astype(np.float32),
    }


def main() -> None:
    """Read, reduce, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("lamost", type=Path)
    folder = parser.parse_args().lamost
    rows, snr = read_responses(folder / "dr10_fits")
    design = np.column_stack([np.ones_like(snr), np.clip(snr, 1.0, 2.5) - 1.7])
    trend = np.linalg.lstsq(design, rows, rcond=None)[0]
    left = rows - design @ trend
    left = np.clip(left, -2.5, 2.5)
    u, s, vt = np.linalg.svd(left, full_matrices=False)
    scores = u[:, :COMPONENTS] * s[:COMPONENTS]
    arrays = {
        "response_trend": trend.astype(np.float16),
        "response_vectors": vt[:COMPONENTS].astype(np.float16),
        "response_scores": scores.astype(np.float32),
        "response_log_snr": snr.astype(np.float32),
        "response_scatter": np.sqrt(((left - scores @ vt[:COMPONENTS]) ** 2).mean(0)).astype(np.float16),
        **mask_statistics(folder),
    }
    print(
        f"{len(rows)} responses; scatter {left.std():.2f}, "
        f"beyond {COMPONENTS} components {arrays['response_scatter'].mean():.2f}"
    )
    with written_whole(OUT) as scratch, scratch.open("wb") as file:
        np.savez_compressed(file, **arrays)
    print(f"{OUT}: {OUT.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
