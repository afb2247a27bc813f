from __future__ import annotations

import numpy as np
import pytest

from desa.config import settings
from desa.conformal import calibrate
from desa.errors import ModelError
from desa.inference.estimate import all_estimates, number_estimates
from desa.inference.labels import shown, words_of
from desa.inference.model import Desa

LEVELS = (0.05, 0.16, 0.5, 0.84, 0.95)
Z = np.array([-1.645, -0.994, 0.0, 0.994, 1.645])


def biased(count: int, seed: int, shift: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Predicted log periods of a head that is off by `shift`, and the truth."""
    rng = np.random.default_rng(seed)
    truth = rng.uniform(-0.3, 1.6, count)
    centre = truth + rng.normal(0, 0.1, count) + shift
    return centre[:, None, None] + 0.05 * Z, truth[:, None]


def test_logarithms_are_shown_as_numbers_with_their_coverage() -> None:
    calibration = calibrate(*biased(800, 0), LEVELS)
    quantiles, truth = biased(3000, 1)
    found = number_estimates(["log_prot"], LEVELS, quantiles, calibration, ("lightcurve",))[0]
    assert found.label == "prot" and found.calibrated
    np.testing.assert_allclose(found.median, 10 ** quantiles[:, 0, 2], rtol=1e-12)
    prot = 10 ** truth[:, 0]
    for coverage, (low, high) in found.intervals.items():
        assert np.mean((low <= prot) & (prot <= high)) == pytest.approx(coverage, abs=0.04)


def test_a_biased_head_gives_its_median_inside_nested_intervals() -> None:
    calibration = calibrate(*biased(400, 0, shift=0.4), LEVELS)
    quantiles, truth = biased(2000, 1, shift=0.4)
    found = number_estimates(["fe_h"], LEVELS, quantiles, calibration, ("spectrum",))[0]
    (low68, high68), (low90, high90) = found.intervals[0.68], found.intervals[0.9]
    assert np.all((low90 <= low68) & (low68 <= found.median) & (found.median <= high68) & (high68 <= high90))
    assert np.mean((low90 <= truth[:, 0]) & (truth[:, 0] <= high90)) >= 0.87


def test_intervals_of_what_is_positive_end_at_zero() -> None:
    quantiles = 2.0 + 4.0 * Z[None, None, :]
    calibration = {"coverages": [0.9], "quantiles": list(LEVELS), "offsets": [[1.0, 1.0]]}
    both = np.concatenate([quantiles, quantiles], axis=1)
    prot, fe_h = number_estimates(["prot", "fe_h"], LEVELS, both, calibration, ("lightcurve",))
    assert prot.intervals[0.9][0][0] == 0.0 and fe_h.intervals[0.9][0][0] < 0


def test_without_calibration_there_are_no_intervals() -> None:
    found = number_estimates(["teff"], LEVELS, biased(3, 0)[0], None, ("spectrum",))[0]
    assert found.intervals == {} and not found.calibrated
    assert list(found.quantiles) == list(LEVELS)


def test_unknown_labels_have_their_own_name() -> None:
    assert words_of("my_label").description == "my label" and words_of("my_label").unit == ""
    assert shown("age", [1.0])[0] == "age" and shown("log_age", [1.0])[1] == pytest.approx(10.0)


def test_a_model_without_any_head_says_so() -> None:
    model = Desa(settings("mini"), ["spectrum"])
    model.spectrum_head = None
    with pytest.raises(ModelError, match=r"no head of it predicts a label.*desa finetune"):
        all_estimates(model, {"spectrum": np.zeros((1, 64), np.float32)})
