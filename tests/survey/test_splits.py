from collections import Counter

import pytest

from desa.survey.splits import SHARES, SPLITS, split_of


def test_shares_are_as_said():
    count = Counter(split_of(f"KIC {n}") for n in range(20_000))
    for name, share in zip(SPLITS, SHARES, strict=True):
        assert count[name] / 20_000 == pytest.approx(share, abs=0.01)


def test_splits_never_change():
    """Written down once: a change would let training stars into the test split of published models."""
    names = ["KIC 8462852", "KIC 757450", "Gaia DR3 4295806720", "EPIC 211015853", ""]
    assert [split_of(name) for name in names] == ["valid", "train", "train", "train", "calibration"]
