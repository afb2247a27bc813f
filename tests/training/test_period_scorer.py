"""The scorer of periods learns to choose, says how sure it is, and says "none" of noise."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from desa.models.period_answer import AXIS, STEP, answers
from desa.models.period_finder import inputs_of
from desa.models.period_scorer import PeriodScores, log_density
from desa.preprocess.period_candidates import candidates_of
from desa.simulate.injection import inject
from desa.training.periods import PeriodExample, train_scorer
from desa.types import KEPLER_CADENCE_DAYS, LightCurve


def noise(rng: np.random.Generator, days: float = 40.0) -> LightCurve:
    flux = (1 + 2e-4 * rng.standard_normal(round(days / KEPLER_CADENCE_DAYS))).astype(np.float32)
    return LightCurve(flux, np.full_like(flux, np.nan), mission="Kepler")


@pytest.fixture(scope="module")
def examples() -> list[PeriodExample]:
    rng = np.random.default_rng(0)
    found = []
    for number in range(120):
        if number % 3 == 0:
            found.append(PeriodExample(candidates_of(noise(rng)), np.nan, 0.0, star=f"KIC {number}"))
        else:
            injected = inject(noise(rng), rng, size=8.0)
            found.append(
                PeriodExample(candidates_of(injected.curve), injected.prot, 1.0, star=f"KIC {number}")
            )
    return found


def test_it_chooses_better_than_the_first_candidate_and_tells_noise(examples: list[PeriodExample]) -> None:
    train, test = examples[:90], examples[90:]
    scorer = train_scorer(train, seed=1, steps=150)
    with torch.no_grad():
        found = answers(scorer(inputs_of([one.candidates for one in test])))
    rotates = np.array([one.rotates for one in test]) == 1
    truth = np.array([one.prot for one in test])[rotates]
    right = np.abs(10 ** found.log_period[rotates] / truth - 1) < 0.1
    assert right.mean() >= 0.75
    assert found.rotation[rotates].min() > np.median(found.rotation[~rotates])


def test_the_same_seed_trains_the_same(examples: list[PeriodExample]) -> None:
    first, second = (train_scorer(examples[:20], seed=3, steps=3).state_dict() for _ in range(2))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_candidates_side_by_side_change_no_score(examples: list[PeriodExample]) -> None:
    """A light curve's answer is the same alone and beside others with more candidates."""
    scorer = train_scorer(examples[:20], seed=3, steps=3)
    several = sorted((one.candidates for one in examples[:8]), key=lambda one: len(one.periods))
    with torch.no_grad():
        together, alone = answers(scorer(inputs_of(several))), answers(scorer(inputs_of(several[:1])))
    np.testing.assert_allclose(together.log_period[0], alone.log_period[0], atol=1e-5)
    np.testing.assert_allclose(together.rotation[0], alone.rotation[0], atol=1e-4)


def scores(shares: list[float]) -> PeriodScores:
    """One light curve with candidates at 10 and 20 d."""
    centre = torch.log10(torch.tensor([[[10.0, 20.0]]]))
    width = torch.full_like(centre, 0.01)
    return PeriodScores(torch.tensor([[shares]]).log(), centre, width, torch.zeros(1, 1))


def test_the_density_is_one_and_the_answer_where_most_of_it_lies() -> None:
    found = answers(scores([0.3, 0.6, 0.1]))
    assert found.density.sum() * STEP == pytest.approx(1.0)
    assert 10 ** found.log_period[0] == pytest.approx(20.0, rel=0.01)
    assert found.share[0] == pytest.approx(0.6, abs=0.02)
    assert np.all(np.diff(found.quantiles[0]) > 0)
    low, median = 10 ** found.quantiles[0, [1, 2]]
    assert low < 11
    assert median == pytest.approx(20.0, rel=0.05)


def test_a_prior_turns_the_answer() -> None:
    prior = np.where(np.log10(15) > AXIS, 0.0, -3.0)[None]
    assert 10 ** answers(scores([0.3, 0.6, 0.1]), prior).log_period[0] == pytest.approx(10.0, rel=0.01)


def test_none_of_them_is_flat() -> None:
    places = torch.tensor([[0.0, 0.5, 1.5]])
    dense = log_density(scores([0.0005, 0.0005, 0.999]), places)[0, 0]
    assert torch.allclose(dense, dense[:1].expand(3), atol=1e-2)
