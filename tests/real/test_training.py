from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from desa.io.registry import read_spectrum
from desa.real.data import read_spectra
from desa.real.task import observed_pixels, shuffled_batches
from desa.real.train import QUANTILES, TYPICAL, new_model, predict, real_settings
from desa.survey.tensors import SpectrumBatch
from helpers.folder import write_lamost


def test_an_untrained_head_starts_at_typical_labels(tmp_path: Path) -> None:
    write_lamost(tmp_path, 8)
    found = predict([new_model(real_settings())], read_spectra(tmp_path))
    assert found.shape == (8, 3, len(QUANTILES))
    np.testing.assert_allclose(np.median(found, axis=(0, 2)), TYPICAL, rtol=0.3, atol=0.4)


def test_an_epoch_visits_every_spectrum_once(tmp_path: Path) -> None:
    write_lamost(tmp_path, 12)
    data = observed_pixels(new_model(real_settings()), read_spectra(tmp_path))
    batches = shuffled_batches(data, 4, seed=5, first=0)
    seen = torch.cat([next(batches).targets for _ in range(3)])
    assert torch.equal(seen[:, 0].sort().values, data.targets[:, 0].sort().values)
    late = shuffled_batches(data, 4, seed=5, first=4)
    next(batches)
    assert torch.equal(next(batches).targets, next(late).targets)


@pytest.mark.real
def test_compact_spectra_give_the_pixels_of_their_fits_files(shared: Path) -> None:
    spectra = read_spectra(shared / "data")
    model = new_model(real_settings())
    names = {int(obsid): row for row, obsid in enumerate(spectra.obsid)}
    found = []
    for path in sorted((shared / "data" / "lamost" / "dr10_fits").glob("*.fits.gz"))[::30]:
        spectrum = read_spectrum(path)
        row = names.get(int(spectrum.obsid))
        if row is not None:
            found.append((spectrum, row))
    assert len(found) >= 2
    batch = SpectrumBatch.of([spectrum for spectrum, _ in found])
    direct = model.spectrum_pixels(batch.flux, batch.ivar, batch.z, batch.log_wavelength_start)
    compact = observed_pixels(model, spectra.select(np.array([row for _, row in found])))
    both = (direct.weights > 0) & (compact.weights > 0)
    difference = (direct.pixels - compact.pixels)[both].abs()
    assert both.float().mean() > 0.8 * (compact.weights > 0).float().mean()
    assert difference.median() < 0.02 and difference.quantile(0.99) < 0.3
