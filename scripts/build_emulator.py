"""Make `src/desa/simulate/data/spectrum_emulator.npz` from the spectral grid, and state its held-out error.

    python scripts/build_emulator.py ../shared/simulator/spectral_grid.npz

Takes a minute on one core; with --no-check a few seconds.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from desa.files import written_whole
from desa.simulate.emulator import matern, polynomial_terms, standardised

OUT = Path(__file__).parents[1] / "src" / "desa" / "simulate" / "data" / "spectrum_emulator.npz"
COMPONENTS = {"transmission": 90, "continuum": 16, "sed": 25}
NUGGET = 1e-4
FOLDS = 8

Array = NDArray[np.float64]


def principal_components(values: Array, count: int) -> tuple[Array, Array]:
    """Mean (P,) and leading components (K, P) of rows (N, P)."""
    mean = values.mean(0)
    deviations = values - mean
    strength, left = np.linalg.eigh(deviations @ deviations.T)
    vectors = left[:, strength.argsort()[::-1][:count]].T @ deviations
    return mean, vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def fit(x: Array, values: Array, count: int) -> dict[str, Array]:
    """One quantity's components and regression, rounded as they are shipped."""
    mean, vectors = principal_components(values, count)
    vectors = vectors.astype(np.float16).astype(np.float64)
    target = (values - mean) @ vectors.T
    terms = polynomial_terms(x)
    polynomial = np.linalg.lstsq(terms, target, rcond=None)[0]
    kernel = np.linalg.solve(matern(x, x) + NUGGET * np.eye(len(x)), target - terms @ polynomial)
    return {"mean": mean, "vectors": vectors, "polynomial": polynomial, "kernel": kernel}


def predict(model: dict[str, Array], x: Array, nodes: Array) -> Array:
    """Values (B, P) of a fitted quantity."""
    coefficients = polynomial_terms(x) @ model["polynomial"] + matern(x, nodes) @ model["kernel"]
    return model["mean"] + coefficients @ model["vectors"]


def cross_validate(x: Array, values: Array, count: int) -> Array:
    """Held-out prediction error (N, P) over `FOLDS` folds; components are refitted in each."""
    fold = np.random.default_rng(0).permutation(len(x)) % FOLDS
    error = np.empty_like(values)
    for k in range(FOLDS):
        train, held = fold != k, fold == k
        error[held] = predict(fit(x[train], values[train], count), x[held], x[train]) - values[held]
    return error


def log_g_bounds(teff: Array, log_g: Array) -> Array:
    """Rows Teff, lowest and highest log g of the grid near that Teff."""
    nodes = np.linspace(3500.0, 8000.0, 19)
    near = [np.abs(np.log(teff / node)) < 0.06 for node in nodes]
    return np.stack([nodes, [log_g[n].min() for n in near], [log_g[n].max() for n in near]])


def report(name: str, error: Array, wave: Array, teff: Array) -> None:
    """Print the held-out rms errors."""
    rms = 100 * np.sqrt((error[:, wave > 4000] ** 2).mean(1))
    blue = 100 * np.sqrt((error[:, wave <= 4000] ** 2).mean(1))
    hot = teff > 4800
    print(
        f"{name}: rms above 4000 A: median {np.median(rms):.3f} %, > 4800 K {np.median(rms[hot]):.3f} %, "
        f"below {np.median(rms[~hot]):.3f} %, 90th percentile {np.percentile(rms, 90):.3f} %; "
        f"below 4000 A: median {np.median(blue):.3f} %"
    )


def main() -> None:
    """Read the grid, fit, check, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("grid", type=Path)
    parser.add_argument("--no-check", action="store_true")
    options = parser.parse_args()
    with np.load(options.grid, allow_pickle=False) as grid:
        wave, edges = grid["wave"], grid["sed_edges"]
        labels = grid["labels"][:, :4].astype(np.float64)
        quantities = {
            "transmission": (grid["flux"] / grid["continuum"]).astype(np.float64),
            "continuum": np.log(grid["continuum"].astype(np.float64)),
            "sed": np.log(grid["sed"].astype(np.float64)),
        }
    raw = standardised(labels, np.zeros(4), np.ones(4))
    mean, scale = raw.mean(0), raw.std(0)
    x = (raw - mean) / scale
    arrays = {
        "wave": wave,
        "sed_edges": edges,
        "labels": labels.astype(np.float32),
        "coordinate_mean": mean,
        "coordinate_scale": scale,
        "log_g_bounds": log_g_bounds(labels[:, 0], labels[:, 1]),
    }
    # The nodes are shipped in float32, and the fit must see the same ones.
    x = standardised(arrays["labels"], mean, scale)
    for name, values in quantities.items():
        model = fit(x, values, COMPONENTS[name])
        for key, value in model.items():
            arrays[f"{name}_{key}"] = value.astype(np.float16 if key == "vectors" else np.float32)
        if not options.no_check:
            centres = (edges[1:] + edges[:-1]) / 2 if name == "sed" else wave
            report(name, cross_validate(x, values, COMPONENTS[name]), centres, labels[:, 0])
    with written_whole(OUT) as scratch, scratch.open("wb") as file:
        np.savez_compressed(file, **arrays)
    print(f"{OUT}: {OUT.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
