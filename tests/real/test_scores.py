from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from desa.real.scores import cross_coverage, score, score_line


def test_scores_by_hand() -> None:
    labels = np.zeros((4, 3))
    predicted = np.array([[10.0, 0.1, 0.0], [-20.0, 0.1, 0.2], [30.0, 0.1, 0.0], [0.0, 0.1, 0.2]])
    rows = score(predicted, labels, np.array([10.0, 50.0, 60.0, 70.0]))
    teff = rows[0]
    assert (teff.label, teff.group, teff.count) == ("teff", "all", 4)
    assert teff.mae == 15.0 and teff.median_error == 15.0 and teff.bias == 5.0
    assert teff.mae_err == pytest.approx(np.std([10, 20, 30, 0], ddof=1) / 2)
    good = [row for row in rows if row.group != "all"]
    assert good[0].count == 3 and good[0].mae == pytest.approx(50 / 3)
    assert score_line(rows, "all").startswith("teff 15.0")


def test_cross_calibrated_intervals_cover_what_they_say() -> None:
    rng = np.random.default_rng(0)
    count, levels = 3000, (0.05, 0.16, 0.5, 0.84, 0.95)
    labels = rng.standard_normal((count, 3))
    narrow = np.broadcast_to(0.3 * norm.ppf(levels), (count, 3, 5))
    rows = cross_coverage(narrow, labels, rng.integers(0, 5, count), levels)
    assert {row.nominal for row in rows} == {0.68, 0.9}
    for row in rows:
        assert abs(row.share - row.nominal) < 4 * row.share_err
        assert row.half_width == pytest.approx(norm.ppf((1 + row.nominal) / 2), rel=0.1)
