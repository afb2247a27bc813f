from __future__ import annotations

import copy

import pytest
import torch

from desa.survey.batches import LightCurveDataset, SpectrumDataset, make_loader
from desa.survey.store import Survey
from desa.survey.tensors import LightCurveBatch, SpectrumBatch
from desa.training.loop import autocast
from desa.training.tasks import (
    PretrainLightCurve,
    PretrainSpectrum,
    label_errors,
    scaled_targets,
    snr_weight,
    stretched,
)
from helpers.tiny import tiny_settings

LABELS = ("teff", "log_g", "fe_h")


def spectrum_batch(survey: Survey) -> SpectrumBatch:
    return next(iter(make_loader(SpectrumDataset(survey, "train", LABELS), 12)))


def lightcurve_batch(survey: Survey) -> LightCurveBatch:
    return next(iter(make_loader(LightCurveDataset(survey, "train", 512, 2, ("log_prot",)), 8)))


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_spectrum_step_reaches_every_parameter(survey: Survey) -> None:
    torch.manual_seed(0)
    task = PretrainSpectrum(tiny_settings())
    loss, metrics = task(spectrum_batch(survey), generator())
    loss.backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in task.parameters())
    share = task.objective.supervised
    expected = (1 - share) * metrics["self_supervised"] + share * metrics["supervised"]
    torch.testing.assert_close(loss, expected)


def test_lightcurve_step_reaches_every_parameter(survey: Survey) -> None:
    torch.manual_seed(0)
    task = PretrainLightCurve(tiny_settings())
    loss, metrics = task(lightcurve_batch(survey), generator())
    loss.backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in task.parameters())
    assert -1 <= metrics["self_supervised"].item() <= 1


def test_same_generator_same_loss(survey: Survey) -> None:
    torch.manual_seed(0)
    task, batch = PretrainSpectrum(tiny_settings()), spectrum_batch(survey)
    task.eval()
    one, same, other = (task(batch, generator(seed))[0] for seed in (1, 1, 2))
    assert one == same and one != other


def test_missing_labels_count_nothing(survey: Survey) -> None:
    torch.manual_seed(0)
    task, batch = PretrainSpectrum(tiny_settings()), spectrum_batch(survey)
    batch.labels = {name: torch.full_like(values, torch.nan) for name, values in batch.labels.items()}
    loss, metrics = task(batch, generator())
    assert metrics["supervised"].item() == 0.0
    loss.backward()
    assert all(torch.isfinite(p.grad).all() for p in task.parameters())
    with torch.no_grad():
        values = task(batch, generator(), validate=True)
    assert values["mae_teff"] == (0.0, 0.0), "no label, no weight"


def test_bad_pixels_change_nothing(survey: Survey) -> None:
    torch.manual_seed(0)
    task, batch = PretrainSpectrum(tiny_settings()).eval(), spectrum_batch(survey)
    batch.ivar[:, 1000:1020] = 0
    whole = task(batch, generator())[0]
    batch.flux[:, 1000:1020] = 1e30
    assert task(batch, generator())[0] == whole


def test_validation_mae_is_in_the_labels_units() -> None:
    objective = tiny_settings().objective_spectrum
    labels = {
        "teff": torch.tensor([5778.0, 6000.0, torch.nan]),
        "log_g": torch.tensor([4.0, 4.5, 2.0]),
        "fe_h": torch.full((3,), torch.nan),
    }
    targets = scaled_targets(labels, objective)
    median = torch.tensor([[1.0, 4.1, 0.0], [1.0, 4.1, 0.0], [1.0, 4.1, 0.0]])
    quantiles = median[..., None].expand(3, 3, 5)
    errors = label_errors(quantiles, targets, objective)
    assert errors["mae_teff"] == (pytest.approx(222.0, rel=1e-4), 2.0)
    assert errors["mae_log_g"] == (pytest.approx(0.1 + 0.4 + 2.1, rel=1e-5), 3.0)
    assert errors["mae_fe_h"] == (0.0, 0.0)


def test_head_starts_at_the_labels_quantiles() -> None:
    torch.manual_seed(0)
    task = PretrainSpectrum(tiny_settings())
    labels = torch.stack(
        [torch.linspace(4000, 7000, 101), torch.linspace(3, 5, 101), torch.full((101,), torch.nan)], dim=1
    )
    labels[::2, 1] = torch.nan
    before = task.model.require("spectrum_head").layers[-1].bias.detach().clone().view(3, 5)
    task.start_at(labels)
    bias = task.model.require("spectrum_head").layers[-1].bias.detach().view(3, 5)
    torch.testing.assert_close(bias[0] * 5778, torch.tensor([4300.0, 4750.0, 5500.0, 6250.0, 6700.0]))
    assert abs(float(bias[1, 2]) - 4.0) < 1e-6
    assert torch.equal(bias[2], before[2]), "nobody has the third label"


def test_a_spectrums_weight_goes_with_its_snr() -> None:
    weight = snr_weight(torch.tensor([-5.0, 1.0, 15.0, 150.0, torch.nan]), 15.0)
    assert weight.tolist() == pytest.approx([1 / 226, 1 / 226, 0.5, 1 / 1.01, 1.0])
    assert snr_weight(torch.tensor([0.5, 20.0]), 0.0).tolist() == [1.0, 1.0]


def copied(batch: SpectrumBatch) -> dict[str, object]:
    return copy.deepcopy(vars(batch))


@pytest.mark.parametrize("supervised", [0.0, 0.5, 1.0])
def test_a_step_leaves_its_batch_as_it_is(survey: Survey, supervised: float) -> None:
    torch.manual_seed(0)
    batch = spectrum_batch(survey)
    before = copied(batch)
    task = PretrainSpectrum(tiny_settings(objective_spectrum={"supervised": supervised, "augment": True}))
    task(batch, generator())[0].backward()
    after = copied(batch)
    labels, old = after.pop("labels"), before.pop("labels")
    assert labels.keys() == old.keys()
    for name in labels:
        torch.testing.assert_close(labels[name], old[name], rtol=0, atol=0, equal_nan=True)
    for name, value in before.items():
        torch.testing.assert_close(after[name], value, rtol=0, atol=0, equal_nan=True)


def test_labels_alone_hide_no_pixel_and_need_no_decoder(survey: Survey) -> None:
    torch.manual_seed(0)
    task, batch = (
        PretrainSpectrum(tiny_settings(objective_spectrum={"supervised": 1.0})),
        spectrum_batch(survey),
    )
    assert task.decoder is None
    loss, metrics = task(batch, generator(1))
    loss.backward()
    assert metrics["self_supervised"] == 0 and loss == metrics["supervised"]
    assert all(p.grad is not None for p in task.parameters()), "DDP wants every parameter in every step"
    task.eval()
    assert task(batch, generator(1))[0] == task(batch, generator(2))[0], "nothing is drawn at random"


def test_only_training_changes_spectra_at_random(survey: Survey) -> None:
    torch.manual_seed(0)
    batch = spectrum_batch(survey)
    task = PretrainSpectrum(tiny_settings(objective_spectrum={"supervised": 1.0, "augment": True}))
    one, same, other = (task(batch, generator(seed))[0] for seed in (1, 1, 2))
    assert one == same and one != other
    task.eval()
    assert task(batch, generator(1))[0] == task(batch, generator(2))[0]


def test_masked_filling_alone_teaches_the_head_nothing(survey: Survey) -> None:
    torch.manual_seed(0)
    task = PretrainSpectrum(tiny_settings(objective_spectrum={"supervised": 0.0}))
    loss, metrics = task(spectrum_batch(survey), generator())
    loss.backward()
    assert loss == metrics["self_supervised"]
    assert not any(p.grad.any() for p in task.head.parameters())
    assert task.decoder is not None and any(p.grad.any() for p in task.decoder.parameters())


def test_another_models_weights_to_begin_with(survey: Survey) -> None:
    first, second, other = (
        PretrainSpectrum(tiny_settings(objective_spectrum={"scales": (scale, 1.0, 1.0)}))
        for scale in (5778.0, 5778.0, 700.0)
    )
    head = copy.deepcopy(other.head.state_dict())
    for task in (second, other):
        task.begin_with(first.model)
        own, given = (t.model.require("spectrum_encoder").state_dict() for t in (task, first))
        assert all(torch.equal(own[name], given[name]) for name in given)
    assert all(torch.equal(second.head.state_dict()[k], v) for k, v in first.head.state_dict().items())
    assert all(torch.equal(other.head.state_dict()[k], v) for k, v in head.items()), "of other labels"


@pytest.mark.parametrize("kind", ["spectrum", "lightcurve"])
def test_bfloat16_loss_is_float32_and_close(survey: Survey, kind: str) -> None:
    torch.manual_seed(0)
    if kind == "spectrum":
        task, batch = PretrainSpectrum(tiny_settings()), spectrum_batch(survey)
    else:
        task, batch = PretrainLightCurve(tiny_settings()), lightcurve_batch(survey)
    exact = task(batch, generator())[0]
    with autocast(torch.device("cpu"), "bfloat16"):
        loss, _ = task(batch, generator())
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(exact.item(), abs=0.05)


def test_compiled_modules_are_the_ones_called(survey: Survey) -> None:
    torch.manual_seed(0)
    spectrum, curve = PretrainSpectrum(tiny_settings()), PretrainLightCurve(tiny_settings())
    called: set[int] = set()
    for task in (spectrum, curve):
        for module in task.compilable():
            module.register_forward_hook(lambda module, *_: called.add(id(module)))
    spectrum(spectrum_batch(survey), generator())
    curve(lightcurve_batch(survey), generator())
    wanted = [*spectrum.compilable(), *curve.compilable()]
    assert {id(module) for module in wanted} == called


def test_stretching_moves_the_label_of_a_star_with_all_its_crops(survey: Survey) -> None:
    batch = lightcurve_batch(survey)
    batch.labels["prot"] = 10 ** batch.labels["log_prot"]
    objective = tiny_settings().objective_lightcurve
    moved, same = (stretched(batch, objective, generator(2)) for _ in range(2))
    assert torch.equal(moved.flux.nan_to_num(), same.flux.nan_to_num())
    longer = moved.labels["log_prot"] - batch.labels["log_prot"]
    known = torch.isfinite(longer)
    assert known.any() and (longer[known] != 0).any() and (longer[known] == 0).any()
    torch.testing.assert_close(
        moved.labels["prot"].log10(), batch.labels["log_prot"] + longer, equal_nan=True
    )
    still = known & (longer == 0)
    assert torch.equal(moved.flux[still].nan_to_num(), batch.flux[still].nan_to_num())
    assert not torch.equal(
        moved.flux[known & (longer != 0)].nan_to_num(), batch.flux[known & (longer != 0)].nan_to_num()
    )


def test_only_training_stretches(survey: Survey) -> None:
    torch.manual_seed(0)
    batch = lightcurve_batch(survey)
    task = PretrainLightCurve(tiny_settings()).eval()
    plain = PretrainLightCurve(tiny_settings(objective_lightcurve={"stretch": 1.0})).eval()
    plain.load_state_dict(task.state_dict())
    with torch.no_grad():
        assert task(batch, generator(), validate=True) == plain(batch, generator(), validate=True)
        assert task(batch, generator())[0] != plain(batch, generator())[0]


def test_reader_learns_from_either_form_of_the_label(survey: Survey) -> None:
    torch.manual_seed(0)
    batch = lightcurve_batch(survey)
    one = PretrainLightCurve(tiny_settings(objective_lightcurve={"stretch": 1.0})).eval()
    no_weight = PretrainLightCurve(
        tiny_settings(objective_lightcurve={"stretch": 1.0, "periods": 0.0})
    ).eval()
    no_weight.load_state_dict(one.state_dict())
    supervised = one.losses(batch, generator())[1] - no_weight.losses(batch, generator())[1]
    batch.labels["prot"] = 10 ** batch.labels.pop("log_prot")
    days = {"labels": ("prot",), "stretch": 1.0}
    other = PretrainLightCurve(tiny_settings(objective_lightcurve=days)).eval()
    without = PretrainLightCurve(tiny_settings(objective_lightcurve={**days, "periods": 0.0})).eval()
    for task in (other, without):
        task.load_state_dict(one.state_dict())
    in_days = other.losses(batch, generator())[1] - without.losses(batch, generator())[1]
    assert supervised > 0
    torch.testing.assert_close(supervised, in_days, rtol=1e-4, atol=1e-5)
