"""A small folder in the layout of the real data, of model spectra with noise."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

from desa.simulate.emulator import load_emulator

PIXELS = 3909

COLUMNS = (
    *("obsid", "file", "ra", "dec", "tsource", "tcomment", "z"),
    *("snru", "snrg", "snrr", "snri", "snrz", "teff", "logg", "feh"),
)


def write_lamost(folder: Path, count: int, seed: int = 0) -> None:
    """`count` spectra of 3/4 as many stars: the last quarter are second spectra of the first stars."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    star = np.arange(count) % max(1, (3 * count) // 4)
    teff, log_g, fe_h = (
        rng.uniform(4500, 7800, count),
        rng.uniform(3.8, 4.6, count),
        rng.uniform(-1, 0.3, count),
    )
    teff, log_g, fe_h = teff[star], log_g[star], fe_h[star]
    lines = load_emulator().transmission(np.column_stack([teff, log_g, fe_h, np.zeros(count)]))
    snr = rng.uniform(20, 200, count)
    flux = lines + rng.standard_normal(lines.shape) / snr[:, None]
    good = rng.random(lines.shape) > 0.02
    good[:, 3900:] = False
    flux[~good] = 0.0
    obsid = 900_000_000 + np.arange(count)
    np.savez(
        folder / "dr10_compact.npz",
        obsid=obsid,
        flux_over_median_f16=flux.astype(np.float16),
        good_packed=np.packbits(good, axis=1),
        loglam=3.5682 + 1e-4 * np.arange(PIXELS),
    )
    with (folder / "dr10_labels.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(COLUMNS)
        for i in range(count):
            band = [-9999.0, *[snr[i]] * 4]
            labels = [teff[i], log_g[i], fe_h[i]]
            place = [10.0 + star[i], 40.0]
            writer.writerow(
                [obsid[i], f"spec-{i}.fits.gz", *place, "LEGUE", "x", 1e-5 * (i % 7), *band, *labels]
            )
