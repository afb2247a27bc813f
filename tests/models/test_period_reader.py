"""The reader of rotation periods: it finds a period wherever it lies, and says the same of it there."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from desa.config import LightCurvePreprocessing, Objective, settings
from desa.errors import SettingsError
from desa.models.heads import QuantileHead
from desa.models.lightcurve import LightCurveEncoder
from desa.models.network import Network
from desa.models.periods import FEATURES, LEVELS, SHARPNESS, PeriodReader, binned, levels
from desa.preprocess.lightcurve import LightCurvePreprocessor
from desa.training.tasks import PretrainLightCurve
from desa.types import KEPLER_CADENCE_DAYS

LENGTH = 4096
POINTS = 40


def channels(periods: list[float], length: int = LENGTH) -> Tensor:
    """ACF and log spectrum of sinusoids of some periods [d], (B, 2, length)."""
    time = KEPLER_CADENCE_DAYS * torch.arange(length, dtype=torch.float64)
    phase = time / torch.tensor(periods, dtype=torch.float64)[:, None]
    flux = 1.0 + 5e-3 * torch.sin(2.0 * torch.pi * phase)
    flux += 1e-4 * torch.randn(flux.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return LightCurvePreprocessor(LightCurvePreprocessing(length=length))(flux.float()).channels[:, 2:]


@pytest.fixture
def reader() -> PeriodReader:
    torch.manual_seed(0)
    return PeriodReader(POINTS).eval()


def test_acf_and_spectrum_peak_at_the_period(reader: PeriodReader) -> None:
    periods = [1.0, 3.0, 8.0]
    inputs = reader.inputs(channels(periods))
    days = reader.log_days(LENGTH)
    for row, period in zip(inputs, periods, strict=True):
        at = int((days - torch.tensor(period).log10()).abs().argmin())
        assert abs(int(row[4].argmax()) - at) <= 1, "spectrum at P"
        near = slice(at - POINTS // 3, at + POINTS // 3)
        assert abs(int(row[1, near].argmax()) - POINTS // 3) <= 2, "smoothed ACF at P"
        assert row[2, at] == pytest.approx(float(row[1, at + POINTS])), "at 2 P"
        assert row[3, at] == pytest.approx(float(row[1, at - POINTS])), "at P / 2"


def test_what_is_found_moves_with_the_axis(reader: PeriodReader) -> None:
    one, other = reader.log_share(_through(reader, moved=0)), reader.log_share(_through(reader, moved=17))
    inner = slice(150, 250)
    torch.testing.assert_close(
        one[:, inner] - one[:, 200:201], other[:, 167:267] - other[:, 217:218], atol=1e-4, rtol=1e-4
    )


def _through(reader: PeriodReader, moved: int) -> Tensor:
    """The hidden layer of a picture that is moved along the axis."""
    picture = torch.randn(1, 7, 400, generator=torch.Generator().manual_seed(1))
    x: Tensor = picture.roll(moved, -1)
    with torch.no_grad():
        for layer in reader.layers:
            x = layer(x)
    return x


def test_trained_on_short_periods_it_reads_longer_ones() -> None:
    torch.manual_seed(0)
    reader = PeriodReader(POINTS)
    known = torch.logspace(-0.3, 0.3, 24)
    x = channels(known.tolist())
    optimizer = torch.optim.AdamW([p for n, p in reader.named_parameters() if n != "prior"], lr=1e-2)
    for _ in range(60):
        reader.train()
        loss = reader.loss(reader(x).log_share, known.log10(), LENGTH)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    unseen = [3.5, 5.0, 7.0]
    with torch.inference_mode():
        share = reader.eval()(channels(unseen)).log_share
    found = reader.log_days(LENGTH)[share.argmax(-1)]
    assert torch.allclose(found, torch.tensor(unseen).log10(), atol=0.0414), "within 10 %"


def test_levels_are_quantiles_of_the_places() -> None:
    places = torch.linspace(0.0, 1.0, 201)
    share = torch.exp(-0.5 * ((places - 0.4) / 0.05) ** 2)[None]
    found = levels(share / share.sum(), places)[0]
    wanted = 0.4 + 0.05 * torch.distributions.Normal(0.0, 1.0).icdf(torch.tensor(LEVELS))
    torch.testing.assert_close(found, wanted, atol=0.004, rtol=0)


def test_bins_interpolate_where_samples_are_few_and_average_where_many() -> None:
    values = torch.arange(100.0)[None]
    centre = torch.tensor([2.25, 7.0, 60.0, 99.9], dtype=torch.float64)
    found = binned(values, centre, 0.2)[0]
    torch.testing.assert_close(found, torch.tensor([2.25, 7.0, 60.0, 0.0]))


def test_unknown_periods_and_such_beyond_the_axis_cost_nothing(reader: PeriodReader) -> None:
    share = reader(channels([1.0, 2.0, 3.0])).log_share
    assert reader.loss(share, torch.tensor([torch.nan, torch.nan, 4.0]), LENGTH) == 0.0
    one = reader.loss(share, torch.tensor([0.0, torch.nan, torch.nan]), LENGTH)
    torch.testing.assert_close(one, reader.loss(share[:1], torch.zeros(1), LENGTH))
    one.backward()
    assert all(torch.isfinite(p.grad).all() for p in reader.parameters() if p.grad is not None)


@pytest.mark.parametrize("flux", ["constant", "missing"])
def test_a_light_curve_without_signal_is_read_too(reader: PeriodReader, flux: str) -> None:
    curve = torch.full((1, LENGTH), 1.0 if flux == "constant" else torch.nan)
    found = LightCurvePreprocessor(LightCurvePreprocessing(length=LENGTH))(curve).channels[:, 2:]
    assert all(torch.isfinite(part).all() for part in reader(found))


def test_reading_ends_the_features_and_need_not_be_made_twice() -> None:
    chosen = settings("mini", preprocess_lightcurve={"length": 1024})
    encoder = LightCurveEncoder(chosen.lightcurve).eval()
    x = torch.randn(3, 4, 1024)
    with torch.inference_mode():
        reading = encoder.read(x)
        assert reading is not None
        whole, given = encoder(x), encoder(x, None, reading)
    assert whole.shape == (3, chosen.lightcurve.features)
    assert torch.equal(whole[:, -FEATURES:], reading.features) and torch.equal(whole, given)


def test_too_few_features_for_a_reader_are_refused() -> None:
    with pytest.raises(SettingsError, match="the reader of periods takes 16"):
        LightCurveEncoder(settings("mini", lightcurve={"features": 16}).lightcurve)


def test_published_has_neither_reader_nor_skip() -> None:
    chosen = settings("published")
    assert chosen.objective_lightcurve.stretch == 1.0 and chosen.objective_lightcurve.periods == 0.0
    with torch.device("meta"):
        model = Network(chosen, ["lightcurve"])
    assert model.require("lightcurve_encoder").reader is None
    assert not any("skip" in name or "reader" in name for name in model.state_dict())


def test_the_head_starts_at_its_bias_and_can_use_its_skip() -> None:
    torch.manual_seed(0)
    head = QuantileHead(6, 8, Objective(labels=("prot",), scales=(1.0,)), "gelu", 0.0, skip=True).eval()
    features = torch.randn(4, 6)
    before = head(features)
    torch.testing.assert_close(before, head.layers[-1].bias.expand(4, 1, 5))
    assert isinstance(head.skip, nn.Linear)
    nn.init.ones_(head.skip.weight)
    torch.testing.assert_close(head(features) - before, features.sum(1)[:, None, None].expand(4, 1, 5))


def test_pre_training_begins_with_what_the_reader_says() -> None:
    task = PretrainLightCurve(settings("mini", preprocess_lightcurve={"length": LENGTH})).eval()
    task.start_at(torch.tensor([[0.5], [1.0], [torch.nan]]))
    x = torch.zeros(2, 4, LENGTH)
    x[:, 2:] = channels([2.0, 5.0])
    encoder = task.model.require("lightcurve_encoder")
    with torch.inference_mode():
        reading = encoder.read(x)
        said = task.model.lightcurve_quantiles(encoder(x))[:, 0]
        days = encoder.reader.log_days(LENGTH)
        wanted = levels(reading.log_share.exp(), days)
        wanted[:, LEVELS.index(0.5)] = (SHARPNESS * reading.log_share).softmax(-1) @ days
    torch.testing.assert_close(said, wanted.sort(-1).values, atol=1e-4, rtol=1e-4)
