from __future__ import annotations

from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from desa.config import Objective
from desa.survey.selection import Pairs, best_pairs, lightcurves_of, pairs_of, prior_of
from desa.survey.store import Survey, SurveyWriter
from desa.training.pairs import PairLoader, standardisation, targets_of
from helpers.stars import curve, spectrum

STARS = np.array([0, 0, 1, 2, 3, 3, 3, 4, 5, 6])
PAIRS = Pairs(STARS, STARS, np.arange(len(STARS)))
SPECTRUM = np.arange(10, dtype=np.float32)[:, None] * np.ones((1, 3), np.float32)
LIGHTCURVE = np.arange(7, dtype=np.float32)[:, None]


def loader(batch_size: int = 2, **options: object) -> PairLoader:
    return PairLoader(PAIRS, SPECTRUM, LIGHTCURVE, None, batch_size, **options)  # type: ignore[arg-type]


def stars(batches: list) -> list[list[int]]:
    return [batch.lightcurve[:, 0].int().tolist() for batch in batches]


def test_a_pair_is_of_one_star() -> None:
    for batch in islice(loader(3, seed=1), 20):
        rows = batch.spectrum[:, 0].int().numpy()
        assert STARS[rows].tolist() == batch.lightcurve[:, 0].int().tolist()


def test_each_star_once_an_epoch() -> None:
    for start in range(0, 30, 3):
        epoch = stars(list(islice(loader(2, seed=4, skip=start), 3)))
        assert len({star for batch in epoch for star in batch}) == 6


def test_every_pair_comes_in_time() -> None:
    rows = {int(row) for batch in islice(loader(7), 60) for row in batch.spectrum[:, 0]}
    assert rows == set(range(10))


@pytest.mark.parametrize("skip", [0, 1, 3, 4, 11])
def test_skipping_is_having_gone_through(skip: int) -> None:
    whole = [batch.spectrum for batch in islice(loader(2, seed=9), 20)]
    rest = [batch.spectrum for batch in islice(loader(2, seed=9, skip=skip), 20 - skip)]
    assert all(torch.equal(a, b) for a, b in zip(whole[skip:], rest, strict=True))


def test_processes_share_an_epoch() -> None:
    parts = [list(islice(loader(3, seed=2, rank=rank, world=2), 1)) for rank in range(2)]
    seen = [set(stars(part)[0]) for part in parts]
    assert len(seen[0]) == len(seen[1]) == 3 and not seen[0] & seen[1]


def test_in_order_every_pair_once() -> None:
    batches = list(loader(4, shuffle=False))
    rows = torch.cat([batch.spectrum[:, 0] for batch in batches]).int().tolist()
    assert rows == list(range(10))
    assert [len(batch) for batch in batches] == [4, 4, 2]
    lengths = [len(batch) for batch in loader(3, shuffle=False)]
    assert lengths == [3, 3, 3], "one pair alone has no variance"


def test_too_few_pairs_give_no_batch() -> None:
    one = PAIRS.where(np.array([0, 1]))
    assert list(islice(PairLoader(one, SPECTRUM, LIGHTCURVE, None, 4), 3)) == []


def test_best_pair_of_a_star(tmp_path: Path) -> None:
    """The light curve with most good samples, the spectrum of highest S/N; of equals the first."""
    writer = SurveyWriter(tmp_path, "mock")
    for star, length in (("a", 300), ("a", 500), ("a", 500), ("b", 200), ("c", 100)):
        writer.add_lightcurve(curve(star, length=length))
    for star, snr in (("a", 5.0), ("a", np.nan), ("a", 9.0), ("b", np.nan), ("d", 1.0)):
        writer.add_spectrum(replace(spectrum(star), snr={"g": snr}))
    survey = writer.finish(None, {})
    best = best_pairs(survey)
    assert [survey.stars["star_id"][row].as_py() for row in best.star] == ["a", "b"]
    assert best.lightcurve.tolist() == [1, 3] and best.spectrum.tolist() == [2, 3]
    assert lightcurves_of(survey).choose(np.arange(survey.n_stars)).tolist()[-1] == -1, "d has none"


def test_pairs_of_a_survey(survey: Survey) -> None:
    pairs = pairs_of(survey)
    assert (survey.lightcurve_star[pairs.lightcurve] == pairs.star).all()
    assert (survey.spectrum_star[pairs.spectrum] == pairs.star).all()
    both = np.intersect1d(survey.lightcurve_star, survey.spectrum_star)
    assert set(pairs.star.tolist()) == set(both.tolist())
    assert len(pairs) == np.isin(survey.spectrum_star, survey.lightcurve_star).sum()


def test_whitening_constants() -> None:
    constant = np.concatenate([SPECTRUM, np.full((10, 1), 3.0, np.float32)], axis=1)
    chosen = PAIRS.where(STARS < 4)
    mean, scale, *_ = standardisation(chosen, constant, LIGHTCURVE)
    assert mean.tolist() == pytest.approx([3, 3, 3, 3])
    assert scale.tolist() == pytest.approx([2, 2, 2, 1])


def test_priors(survey: Survey) -> None:
    assert prior_of(survey, "none") is None
    photometric = prior_of(survey, "photometric")
    assert photometric is not None and photometric.shape == (survey.n_stars, 3)
    assert torch.isfinite(photometric[:, 0]).all() and torch.isnan(photometric[:, 1]).all()
    published = prior_of(survey, "published")
    assert published is not None and published.shape[1] == 6


def test_pairs_may_repeat_a_star_where_asked() -> None:
    pairs = Pairs(np.array([0, 0, 0, 1]), np.array([0, 0, 0, 1]), np.array([0, 1, 2, 3]))
    spectrum = np.arange(4, dtype=np.float32)[:, None]
    loader = PairLoader(pairs, spectrum, spectrum, None, 4, unique_stars=False)
    batch = next(iter(loader))
    assert sorted(batch.spectrum[:, 0].tolist()) == [0, 1, 2, 3]


def test_targets_are_the_objectives_labels_over_their_scales(survey: Survey) -> None:
    objectives = (
        Objective(labels=("teff", "log_g"), scales=(5778.0, 1.0)),
        Objective(labels=("prot",), scales=(70.0,)),
    )
    targets = targets_of(survey, objectives)
    assert targets.shape == (survey.n_stars, 3)
    np.testing.assert_allclose(targets[:, 0], survey.labels("teff") / 5778, rtol=1e-6)
    np.testing.assert_allclose(targets[:, 2], survey.labels("prot") / 70, rtol=1e-6)
