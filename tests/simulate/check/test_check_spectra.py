from pathlib import Path

import numpy as np
import pytest

from desa.simulate.check.spectra import check_spectra, discriminate, figures, tells
from desa.simulate.check.spectrum_sample import local_noise, read_real, subset, twin
from desa.simulate.residuals import SpectralResiduals


def test_the_judge_is_fair_and_has_eyes() -> None:
    # Same distribution: it can't tell. A mean shift of some pixels, or more noise: it can.
    rng = np.random.default_rng(0)
    base = rng.standard_normal((2, 150, 12)) @ rng.standard_normal((12, 120))
    real, mock = (base + 0.3 * rng.standard_normal(base.shape)).astype("f4")
    assert all(0.35 < value.auc < 0.65 for value in discriminate(real, mock).values())
    shifted = mock + 8.0 * (np.arange(120) < 30)
    assert discriminate(real, shifted.astype("f4"))["linear"].auc > 0.8
    wide = discriminate(real, 2 * mock)
    assert wide["boosting"].auc > 0.8
    assert wide["linear"].auc < 0.6


def test_noise_estimate(shared: Path) -> None:
    sample = read_real(shared / "data" / "lamost")
    assert len(sample) > 1000
    some = subset(sample, np.arange(len(sample)) % 100 == 0)
    noise = local_noise(some)
    near = noise[:, 1500:1700].mean(1) * some.snr[:, 1]
    # S/N_g of 4000-5500 A against noise at 5250: within a factor of two, lines included.
    assert 0.5 < np.median(near) < 2


@pytest.mark.real
def test_mock_spectra_are_hard_to_tell(shared: Path) -> None:
    folder = shared / "data" / "lamost"
    check = check_spectra(folder, most=250, kinds=("linear",))
    assert check.auc["linear"].auc < 0.75
    numbers = check.statistics
    for band in "riz":
        key = f"ln S/N {band} over g, median"
        assert numbers[f"{key} mock"] == pytest.approx(numbers[f"{key} real"], abs=0.15)
    assert 0.4 < numbers["bad pixels, mean mock"] / numbers["bad pixels, mean real"] < 2
    assert set(figures(check, 2)) == {"pairs", "moments", "noise"}
    # Without the correction anyone can tell.
    none = SpectralResiduals.none()
    bare = check_spectra(folder, most=250, kinds=("linear",), make=lambda s, i, seed: twin(s, i, seed, none))
    assert bare.auc["linear"].auc > 0.9
    worst = tells(bare.real_pixels, bare.mock_pixels)[0]
    assert worst[1] > 2 * check.worst[0][1]
