from pathlib import Path

import numpy as np
import pytest

from desa.simulate.emulator import load_emulator

SIGMA = 5.670374e-5


@pytest.fixture(scope="module")
def grid(shared: Path):
    with np.load(shared / "simulator" / "spectral_grid.npz") as file:
        return {
            k: file[k] for k in ("labels", "flux", "continuum", "sed", "wave", "sun_flux", "sun_continuum")
        }


def test_reproduces_the_grid(grid) -> None:
    emulator = load_emulator()
    some = slice(None, None, 10)
    labels = grid["labels"][some, :4]
    np.testing.assert_allclose(emulator.wave, grid["wave"], rtol=1e-9)
    truth = (grid["flux"] / grid["continuum"])[some]
    rms = np.sqrt(((emulator.transmission(labels) - truth) ** 2).mean(1))
    assert np.median(rms) < 0.0015
    assert np.percentile(rms, 95) < 0.006
    assert np.median(np.abs(emulator.sed(labels) / grid["sed"][some] - 1)) < 0.005


def test_predicts_a_spectrum_that_it_has_not_seen(grid) -> None:
    # The solar model is no member of the grid's Sobol sequence.
    emulator = load_emulator()
    sun = [[5777, 4.44, 0.0, 0.0]]
    error = emulator.transmission(sun)[0] - grid["sun_flux"] / grid["sun_continuum"]
    assert np.sqrt((error[grid["wave"] > 4000] ** 2).mean()) < 0.002
    assert emulator.flux(sun)[0] == pytest.approx(grid["sun_flux"], rel=0.03)


def test_a_batch_is_its_rows() -> None:
    emulator = load_emulator()
    labels = np.array([[4500, 2.4, -0.3, 0.1], [6500, 4.2, 0.2, 0.0], [3800, 4.8, 0.0, 0.0]])
    batch = emulator.flux(labels)
    assert batch.shape == (3, 3909)
    for row, label in zip(batch, labels, strict=True):
        np.testing.assert_allclose(row, emulator.flux([label])[0], rtol=2e-5)


def test_physical_everywhere() -> None:
    rng = np.random.default_rng(1)
    labels = np.column_stack(
        [
            rng.uniform(2500, 12000, 300),
            rng.uniform(-1, 6, 300),
            rng.uniform(-4, 1, 300),
            rng.uniform(-0.5, 0.8, 300),
        ]
    )
    emulator = load_emulator()
    lines, flux = emulator.transmission(labels), emulator.flux(labels)
    assert np.isfinite(flux).all() and (flux > 0).mean() > 0.999 and (flux >= 0).all()
    assert lines.min() >= 0 and lines.max() <= 1
    inside = emulator.clip(labels)
    # 4 pi H integrates to sigma Teff^4; LAMOST's range holds a fifth (coolest) to two thirds of it.
    share = np.trapezoid(flux, emulator.wave, axis=1) / (SIGMA * inside[:, 0] ** 4)
    assert share.min() > 0.15
    assert share.max() < 0.75


def test_clipping() -> None:
    emulator = load_emulator()
    assert emulator.inside([[5777, 4.44, 0.0, 0.0]]).all()
    outside = np.array([[9000, 4.0, 0.0, 0.0], [5777, 0.1, 0.0, 0.0], [5777, 4.4, -3.0, 0.0]])
    assert not emulator.inside(outside).any()
    assert emulator.inside(emulator.clip(outside)).all()
    np.testing.assert_array_equal(emulator.flux(outside), emulator.flux(emulator.clip(outside)))


def test_hotter_is_bluer_and_metals_make_lines() -> None:
    emulator = load_emulator()
    teff = np.linspace(3600, 7900, 30)
    flux = emulator.flux(np.column_stack([teff, np.full(30, 4.3), np.zeros(30), np.zeros(30)]))
    blue = flux[:, (emulator.wave > 4400) & (emulator.wave < 4800)].mean(1)
    red = flux[:, (emulator.wave > 8000) & (emulator.wave < 8400)].mean(1)
    assert np.all(np.diff(blue / red) > 0)
    fe_h = np.linspace(-2, 0.5, 20)
    lines = emulator.transmission(np.column_stack([np.full(20, 5500), np.full(20, 4.3), fe_h, np.zeros(20)]))
    magnesium = (emulator.wave > 5150) & (emulator.wave < 5200)
    assert np.all(np.diff((1 - lines[:, magnesium]).sum(1)) > 0)
