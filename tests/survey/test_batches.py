from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from desa.errors import ModelError
from desa.io.lamost import LAMOST_GRID
from desa.io.resample import fitting
from desa.survey.batches import (
    LightCurveDataset,
    PairDataset,
    SpectrumDataset,
    make_loader,
)
from desa.survey.order import BatchOrder, ItemSampler, UniqueStarSampler
from desa.survey.store import SurveyWriter
from desa.types import SpectrumGrid
from helpers.stars import curve, small_survey, spectrum


@pytest.fixture(scope="module")
def survey(tmp_path_factory):
    return small_survey(tmp_path_factory.mktemp("batches") / "survey")


def take(loader, count):
    found = []
    for batch in loader:
        found.append(batch)
        if len(found) == count:
            break
    return found


def same(one, two):
    np.testing.assert_array_equal(one.flux, two.flux)
    np.testing.assert_array_equal(one.star, two.star)
    for name in one.labels:
        np.testing.assert_array_equal(one.labels[name], two.labels[name])


def test_lightcurve_batch(survey):
    data = LightCurveDataset(survey, None, 350, views=2, labels=("teff", "prot"))
    batch = next(iter(make_loader(data, 40, shuffle=False)))
    assert batch.flux.shape == (40, 2, 350) and batch.flux.dtype == torch.float32
    short = survey.lightcurve_flux(2)
    np.testing.assert_array_equal(batch.flux[2, 1, : len(short)], short)
    assert torch.isnan(batch.flux[2, :, len(short) :]).all()
    assert batch.labels["teff"][3] == 5030 and torch.isnan(batch.labels["prot"][0])
    assert batch.star.tolist() == list(range(40))
    long = survey.lightcurve_flux(39)
    windows = np.lib.stride_tricks.sliding_window_view(np.nan_to_num(long), 350)
    for view in np.nan_to_num(batch.flux[39].numpy()):
        assert (windows == view).all(axis=1).any()
    assert batch.to("cpu").row.tolist() == list(range(40))


def test_spectrum_batch(survey):
    data = SpectrumDataset(survey, "train", ("teff",))
    batch = next(iter(make_loader(data, 5, shuffle=False)))
    assert batch.flux.shape == (5, 3909) == batch.ivar.shape and len(batch) == 5
    for place, row in enumerate(batch.row.tolist()):
        flux, ivar = survey.spectrum_arrays(row)
        np.testing.assert_array_equal(batch.flux[place, : len(flux)], flux)
        np.testing.assert_array_equal(batch.ivar[place, : len(flux)], ivar)
        assert (batch.ivar[place, len(flux) :] == 0).all()
        assert survey.split[batch.star[place]] == "train"
    assert batch.log_wavelength_start.dtype == torch.float64
    assert batch.z == pytest.approx(1e-4) and batch.snr_g[0] == survey.spectrum(int(batch.row[0])).snr["g"]


def test_snr_cut(survey):
    data = SpectrumDataset(survey, None, min_snr_g=45)
    assert 0 < len(data) < survey.n_spectra
    assert (survey.spectrum_column("snr_g")[data.rows] >= 45).all()


def test_splits_share_the_stars_out(survey):
    parts = [set(LightCurveDataset(survey, s, 64).star) for s in ("train", "valid", "calibration", "test")]
    assert sum(map(len, parts)) == survey.stars.num_rows == len(set.union(*parts))
    both = LightCurveDataset(survey, ("train", "valid"), 64)
    assert set(both.star) == parts[0] | parts[1]


@pytest.mark.parametrize("workers", [0, 2])
def test_resumes_anywhere_with_any_workers(survey, workers):
    data = LightCurveDataset(survey, None, 100, views=2, labels=("prot",))
    whole = take(make_loader(data, 6, seed=3, drop_last=True), 14)
    for skip in (0, 4, 6, 11):
        rest = take(make_loader(data, 6, seed=3, drop_last=True, workers=workers, skip=skip), 14 - skip)
        for one, two in zip(whole[skip:], rest, strict=True):
            same(one, two)
    other = next(iter(make_loader(data, 6, seed=4)))
    assert other.star.tolist() != whole[0].star.tolist()


def test_crops_change_with_the_epoch_and_not_with_the_batch(survey):
    data = LightCurveDataset(survey, None, 100)
    one, two = data.fetch(np.array([39, 38]), 0, 0), data.fetch(np.array([38]), 0, 0)
    np.testing.assert_array_equal(one.flux[1], two.flux[0])
    assert not np.array_equal(one.flux[1], data.fetch(np.array([38]), 0, 1).flux[0], equal_nan=True)
    assert not np.array_equal(one.flux[1], data.fetch(np.array([38]), 1, 0).flux[0], equal_nan=True)


def test_validation_goes_once_and_repeats(survey):
    loader = make_loader(LightCurveDataset(survey, None, 100), 16, shuffle=False)
    first, second = list(loader), list(loader)
    assert [len(b) for b in first] == [16, 16, 8] and len(loader) == 3
    for one, two in zip(first, second, strict=True):
        same(one, two)


def test_loader_leaves_the_global_generator_alone(survey):
    before = torch.random.get_rng_state()
    next(iter(make_loader(LightCurveDataset(survey, None, 100), 16)))
    assert torch.equal(before, torch.random.get_rng_state())


def test_crops_avoid_gaps(tmp_path):
    writer = SurveyWriter(tmp_path / "s", "mock")
    item = curve("KIC 1", length=5000)
    item.flux[1:4800] = np.nan
    writer.add_lightcurve(item)
    survey = writer.finish()
    data = LightCurveDataset(survey, None, 100, views=16, min_valid=0.5)
    assert make_counts(data).mean() > 10
    best = LightCurveDataset(survey, None, 100, views=1, crop="best")
    assert make_counts(best).tolist() == [100]
    demanding = LightCurveDataset(survey, None, 4000, min_valid=0.5)
    assert make_counts(demanding)[0] > 0


def make_counts(data):
    return torch.isfinite(data.fetch(np.array([0])).flux[0]).sum(-1).numpy()


def test_unique_stars(survey):
    data = SpectrumDataset(survey, None)
    assert len(set(data.star)) < len(data.star)
    seen = set()
    for batch in make_loader(data, 8, epochs=20, unique_stars=True):
        seen |= set(batch.row.tolist())
        assert len(set(batch.star.tolist())) == len(batch)
    assert seen == set(range(survey.n_spectra))
    epoch = [s for b in make_loader(data, 8, epochs=1, unique_stars=True) for s in b.star.tolist()]
    assert sorted(epoch) == sorted(set(data.star))


def test_pairs(survey):
    data = PairDataset(survey, None, 100, labels=("teff",))
    stars = survey.stars.to_pylist()
    assert data.star.tolist() == [n for n, star in enumerate(stars) if star["n_spectra"]]
    rows = set()
    for batch in make_loader(data, 7, epochs=10):
        assert torch.equal(batch.lightcurve.star, batch.spectrum.star)
        assert torch.equal(batch.labels["teff"], 5000 + 10 * batch.star.float())
        rows |= set(batch.spectrum.row.tolist())
    assert rows == set(range(survey.n_spectra))
    best = next(iter(make_loader(PairDataset(survey, None, 100, crop="best"), 100, shuffle=False)))
    assert best.lightcurve.row.tolist() == data.star.tolist()


@settings(max_examples=60, deadline=None)
@given(
    count=st.integers(1, 60),
    size=st.integers(1, 9),
    world=st.integers(1, 4),
    drop_last=st.booleans(),
    unique=st.booleans(),
    skip=st.integers(0, 30),
)
def test_processes_share_an_epoch(count, size, world, drop_last, unique, skip):
    star = np.arange(count) // 2
    sampler = (UniqueStarSampler if unique else ItemSampler)(star, 5, True)
    orders = [
        [
            d.items.tolist()
            for d in BatchOrder(sampler, size, epochs=2, drop_last=drop_last, rank=r, world=world)
        ]
        for r in range(world)
    ]
    assert len({len(order) for order in orders}) == 1, "every process has equally many batches"
    assert all(0 < len(batch) <= size for order in orders for batch in order)
    each = len(orders[0]) // 2
    epoch = [item for order in orders for batch in order[:each] for item in batch]
    enough = len(sampler) >= world * each
    assert not enough or len(set(epoch)) == len(epoch), "no item twice"
    if not drop_last and enough:
        assert sorted(epoch) == sorted(sampler.items(0))
    if drop_last and len(sampler) >= size * world:
        assert {len(batch) for order in orders for batch in order} == {size}
    again = BatchOrder(sampler, size, epochs=2, drop_last=drop_last, world=world, skip=skip)
    assert [d.items.tolist() for d in again] == orders[0][skip:] and len(again) == len(orders[0][skip:])


def test_impossible_orders():
    with pytest.raises(ValueError, match="impossible"):
        BatchOrder(ItemSampler(np.arange(3), 0, True), 0, epochs=1)
    assert list(BatchOrder(ItemSampler(np.arange(0), 0, True), 4, epochs=None)) == []


def test_spectra_of_another_grid_are_refused_or_resampled(tmp_path):
    """A line stays at its wavelength, whatever grid it came on."""
    writer = SurveyWriter(tmp_path / "s", "mock")
    own = spectrum("KIC 1")
    grid = SpectrumGrid(3.56, 1e-4, 4600)
    flux = (100 - 50 * np.exp(-(((grid.wavelength - 6564.6) / 5) ** 2))).astype(np.float32)
    changes = {"flux": flux, "ivar": np.ones_like(flux), "log_wavelength_start": grid.start}
    other = replace(own, star_id="KIC 2", **changes)
    for item in (own, other):
        writer.add_spectrum(item)
    survey = writer.finish()
    rows = np.arange(2)
    with pytest.raises(ModelError, match=r"KIC 2: 4600 pixels .* the model was trained on 3909 pixels"):
        SpectrumDataset(survey, None).fetch(rows)
    batch = SpectrumDataset(survey, None, resample=True).fetch(rows)
    np.testing.assert_array_equal(batch.flux[0], own.flux)
    line = int(batch.flux[1].argmin())
    assert 10 ** (float(batch.log_wavelength_start[1]) + 1e-4 * line) == pytest.approx(6564.6, abs=1)
    assert not fitting(other, LAMOST_GRID, resample=True).grid.holds(other.grid)
    assert fitting(own, LAMOST_GRID) is own
