"""Several surveys as one: shares, order, kinds, and what is refused."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch
from torch.utils.data import DataLoader

from desa.errors import SettingsError, SurveyError
from desa.survey.batches import LightCurveDataset, SpectrumDataset, loader_of, make_loader
from desa.survey.mixture import MixedDataset, MixedOrder, Mixture, counts_of_batch, largest_batch
from desa.survey.order import ItemSampler
from desa.survey.store import Survey, SurveyWriter
from helpers.stars import dwarf, spectrum


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Survey:
    """Spectra alone, of a survey that calls itself real; some are longer than the others'."""
    writer = SurveyWriter(tmp_path_factory.mktemp("real"), "real")
    for n in range(40):
        writer.add_spectrum(spectrum(f"Gaia {n}", dwarf(5000.0 + 10 * n), snr=30.0, seed=n))
    return writer.finish(pa.table({"star_id": [f"Gaia {n}" for n in range(40)]}), {})


@pytest.fixture
def mixture(survey: Survey, real: Survey) -> Mixture:
    return Mixture.of([f"{survey.path}=0.75", f"{real.path}=0.25"])


def loader(
    mixture: Mixture, size: int = 8, *, seed: int = 3, skip: int = 0, rank: int = 0, world: int = 1,
    workers: int = 0,
) -> DataLoader:  # fmt: skip
    parts = [SpectrumDataset(one, "train", ("teff",)) for one in mixture.surveys]
    samplers = [ItemSampler(part.star, seed, shuffle=True) for part in parts]
    order = MixedOrder(samplers, mixture.shares, size, skip=skip, rank=rank, world=world)
    return loader_of(MixedDataset(parts, mixture), order, workers)


def test_counts_are_the_shares_on_average_and_never_far_off() -> None:
    shares = (0.5, 0.3, 0.2)
    counts = np.array([counts_of_batch(shares, 7, 1, number) for number in range(4000)])
    assert (counts.sum(axis=1) == 7).all()
    assert (np.abs(counts - 7 * np.array(shares)) < 1).all()
    np.testing.assert_allclose(counts.mean(axis=0), 7 * np.array(shares), atol=0.03)
    assert counts_of_batch((1.0,), 7, 1, 0) == [7]
    assert counts_of_batch((0.5, 0.5), 8, 5, 12) == [4, 4]


def test_batches_have_their_shares_and_stars_their_kind(mixture: Mixture) -> None:
    for batch in islice(loader(mixture), 30):
        kinds = mixture.kinds_of(batch.star.numpy())
        assert len(batch) == 8 and (kinds == "real").sum() == 2 and (kinds == "mock").sum() == 6
        assert torch.isfinite(batch.labels["teff"]).numpy().tolist() == (kinds == "mock").tolist()
        assert batch.row is None
    star = batch.star.numpy() - mixture.first_star[1]
    train = mixture.surveys[1].split[star[star >= 0]]
    assert (train == "train").all(), "each survey keeps its own split"


def test_every_star_comes_and_none_twice_in_an_epoch(mixture: Mixture) -> None:
    mock = SpectrumDataset(mixture.surveys[0], "train")
    seen = [star for batch in islice(loader(mixture, 8), len(mock) // 6) for star in batch.star.tolist()]
    rows = [star for star in seen if star < mixture.first_star[1]]
    counts = dict(zip(*np.unique(mock.star, return_counts=True), strict=True))
    assert all(rows.count(star) <= counts[star] for star in rows)
    later = {star for batch in islice(loader(mixture, 8), 200) for star in batch.star.tolist()}
    assert later == {*mock.star.tolist(), *(SpectrumDataset(mixture.surveys[1], "train").star + 90).tolist()}


@pytest.mark.parametrize("skip", [1, 7, 23])
def test_skipping_is_having_gone_through(mixture: Mixture, skip: int) -> None:
    whole = [batch.flux for batch in islice(loader(mixture), 30)]
    rest = [batch.flux for batch in islice(loader(mixture, skip=skip, workers=1), 30 - skip)]
    assert all(torch.equal(a, b) for a, b in zip(whole[skip:], rest, strict=True))
    other = next(iter(loader(mixture, seed=4)))
    assert not torch.equal(other.flux, whole[0])


def test_processes_share_the_surveys_out(mixture: Mixture) -> None:
    batches = [list(islice(loader(mixture, 4, rank=rank, world=2), 6)) for rank in range(2)]
    seen = [{int(star) for batch in part for star in batch.star} for part in batches]
    twice = np.unique(mixture.surveys[0].spectrum_star, return_counts=True)
    assert seen[0] & seen[1] <= set(twice[0][twice[1] > 1].tolist()), "only a star with two spectra"
    for part in batches:
        assert all((batch.star >= mixture.first_star[1]).sum() == 1 for batch in part)


def test_one_survey_goes_the_way_it_went(survey: Survey) -> None:
    data = LightCurveDataset(survey, "train", 300, 2)
    order = MixedOrder([ItemSampler(data.star, 3, shuffle=True)], (1.0,), 8, skip=2)
    mixed = loader_of(MixedDataset([data], Mixture.of(survey)), order)
    alone = make_loader(data, 8, 3, skip=2, drop_last=True)
    for one, other in zip(islice(mixed, 20), islice(alone, 20), strict=True):
        assert torch.equal(one.row, other.row)
        assert torch.equal(one.flux.nan_to_num(), other.flux.nan_to_num())


def test_a_batch_is_as_large_as_every_survey_can_fill() -> None:
    assert largest_batch(32, [1000, 10], (0.5, 0.5), 1) == 20
    assert largest_batch(32, [1000, 10], (0.5, 0.5), 2) == 10
    assert largest_batch(32, [1000, 1000], (0.9, 0.1), 1) == 32
    assert largest_batch(32, [0], (1.0,), 1) == 1


def test_identity_and_facts(survey: Survey, real: Survey) -> None:
    assert Mixture.of(survey).identity == survey.identity and Mixture.of(survey).data == "mock survey"
    both = Mixture.of([survey, real])
    assert both.shares == (0.5, 0.5) and both.data == "mock survey and real survey"
    same, other = (Mixture((survey, real), weights) for weights in ((2.0, 2.0), (2.0, 1.0)))
    assert both.identity == same.identity != other.identity
    assert other.facts([60, 28]) == [
        {"kind": "mock", "survey": survey.identity, "share": 2 / 3, "stars": 60},
        {"kind": "real", "survey": real.identity, "share": 1 / 3, "stars": 28},
    ]
    assert other.only([False, True]).shares == (1.0,)


def test_what_is_no_mixture_is_refused(survey: Survey, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="given twice"):
        Mixture.of([survey, survey.path])
    with pytest.raises(SettingsError, match="give a survey"):
        Mixture.of([])
    for weight in ("0", "-1", "nan", "inf"):
        with pytest.raises(SettingsError, match="positive"):
            Mixture.of(f"{survey.path}={weight}")
    with pytest.raises(SurveyError, match="no survey"):
        Mixture.of(f"{tmp_path}/nowhere=0.5")
    (tmp_path / "odd=2").mkdir()
    with pytest.raises(SurveyError, match="odd=2: no survey"):
        Mixture.of(tmp_path / "odd=2")


@pytest.mark.parametrize("skip", [0, 7])
def test_batches_hold_the_same_items_whatever_the_number_of_processes(skip: int) -> None:
    """Over epochs, and from any place: so another number of processes can take a run up."""

    def batches(world: int) -> list[set[tuple[int, int]]]:
        sampler = ItemSampler(np.arange(53), 3, shuffle=True)
        orders = [
            islice(MixedOrder([sampler], (1.0,), 12 // world, skip=skip, rank=rank, world=world), 15)
            for rank in range(world)
        ]
        return [
            {(draw.epoch, int(item)) for (draw,) in draws for item in draw.items}
            for draws in zip(*orders, strict=True)
        ]

    alone = batches(1)
    assert all(len(batch) == 12 for batch in alone) and alone == batches(2) == batches(3)
