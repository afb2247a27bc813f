"""A finder of periods is trained by one command, scored on stars it never saw, and used by predictions."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from desa.cli import app
from desa.errors import DesaError, ModelError
from desa.inference.model import Desa
from desa.inference.predict import predict_survey
from desa.inference.quality import Flag, Limits
from desa.models.period_finder import FILE, PeriodFinder, read_finder, write_finder
from desa.survey.store import Survey
from desa.training.period_calibration import held_out
from desa.training.period_examples import injections_into, labelled_of, weight_of
from desa.training.period_stage import _periods, _rotation, train_finder
from helpers.stars import tiny_survey
from helpers.tiny import tiny_settings

STEPS = 25


@pytest.fixture(scope="module")
def stars(tmp_path_factory: pytest.TempPathFactory) -> Survey:
    """Rotators of 0.8 to 5 d, 18 d of each; a fifth of the periods are not in the table."""
    return tiny_survey(tmp_path_factory.mktemp("stars"), kind="real")


@pytest.fixture(scope="module")
def quiet(stars: Survey, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table of the stars without a known period."""
    path = tmp_path_factory.mktemp("quiet") / "quiet.csv"
    unknown = np.flatnonzero(np.isnan(stars.labels("prot")))
    names = stars.stars.column("star_id").to_pylist()
    path.write_text("kic\n" + "\n".join(names[star].removeprefix("KIC ") for star in unknown) + "\n")
    return path


@pytest.fixture(scope="module")
def folder(stars: Survey, quiet: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("model")
    Desa(tiny_settings(), ["lightcurve"]).save(out)
    command = ["pretrain", "periods", str(stars.path), "--quiet", str(quiet), "-o", str(out)]
    done = CliRunner().invoke(app, [*command, "--injections", "30", "--steps", str(STEPS)])
    assert done.exit_code == 0, done.output
    assert "Is there a rotation signal?" in done.output
    return out


def kics(table: Path) -> set[int]:
    return {int(line) for line in table.read_text().split()[1:]}


def test_the_model_takes_periods_from_the_finder(folder: Path, stars: Survey) -> None:
    model = Desa.load(folder)
    assert model.periods is not None
    found = predict_survey(model, stars, limits=Limits(good_days=5.0))
    by_name = dict(zip(stars.stars.column("star_id").to_pylist(), stars.labels("prot"), strict=True))
    truth = np.array([by_name[name] for name in found["star_id"]])
    told = np.isfinite(truth) & np.isfinite(found["prot"])
    assert np.mean(np.abs(found["prot"][told] / truth[told] - 1) < 0.1) > 0.8
    ends = [np.asarray(found[f"prot{end}"])[told] for end in ("_low90", "_low68", "", "_high68", "_high90")]
    assert np.all(np.diff(ends, axis=0) >= 0)
    assert "real light curves of known period" in found.meta["calib"]
    assert found["prot_p_rotation"].description
    inside = (found["prot_p_rotation"] >= 0) & (found["prot_p_rotation"] <= 1)
    assert inside[np.isfinite(found["prot"])].all()


def test_a_star_without_a_signal_is_flagged(folder: Path, stars: Survey) -> None:
    found = predict_survey(Desa.load(folder), stars, limits=Limits(good_days=5.0, rotation=1.1))
    told = np.isfinite(found["prot"])
    assert np.all(found["prot_flag"][told] & Flag.NO_ROTATION)
    assert "no rotation signal" in found["prot_why"][told][0]


def test_one_star_and_a_survey_agree(folder: Path, stars: Survey) -> None:
    model = Desa.load(folder)
    one = model.predict(stars.lightcurve(3))["prot"]
    table = predict_survey(model, stars)
    row = table["star_id"].tolist().index(stars.lightcurve(3).star_id)
    assert one.median == pytest.approx(table["prot"][row], rel=1e-5)


def test_the_finder_comes_back_as_it_was_written(folder: Path, tmp_path: Path) -> None:
    first = read_finder(folder)
    assert first is not None
    write_finder(tmp_path, first)
    second = read_finder(tmp_path)
    assert second is not None
    assert (second.calibration, second.rotation, second.facts) == (
        first.calibration,
        first.rotation,
        first.facts,
    )
    pairs = zip(first.scorer.state_dict().values(), second.scorer.state_dict().values(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)
    write_finder(tmp_path, None)
    assert read_finder(tmp_path) is None


def test_a_damaged_finder_is_refused(folder: Path, tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes((folder / FILE).read_bytes()[:-200])
    with pytest.raises(ModelError, match="damaged"):
        read_finder(tmp_path)


def test_numbers_that_are_not_finite_are_refused(folder: Path, tmp_path: Path) -> None:
    finder = read_finder(folder)
    assert finder is not None
    with torch.no_grad():
        finder.scorer.own_scale[0] = float("nan")
    write_finder(tmp_path, finder)
    with pytest.raises(ModelError, match="not finite"):
        read_finder(tmp_path)


def test_examples_are_what_is_known_of_the_stars(stars: Survey, quiet: Path) -> None:
    real = labelled_of(stars, kics(quiet))
    prot = dict(zip(stars.stars.column("star_id").to_pylist(), stars.labels("prot"), strict=True))
    for one in real:
        star = one.example.star
        if np.isfinite(prot[star]):
            assert one.example.prot == prot[star]
            assert one.example.rotates == 1.0
        else:
            assert np.isnan(one.example.prot)
            assert one.example.rotates == 0.0
    injected = injections_into(stars, kics(quiet), 20, seed=1)
    assert len(injected) == 20
    assert {int(one.star.removeprefix("KIC ")) for one in injected} <= kics(quiet)


def test_injections_count_as_their_periods_are_common() -> None:
    assert weight_of(15.0) > 5 * weight_of(0.5) > 0


def test_no_star_is_judged_by_a_scorer_that_saw_it(
    stars: Survey, quiet: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import desa.training.period_calibration as calibration

    real = [one for one in labelled_of(stars, kics(quiet)) if len(one.example.candidates.periods)]
    others = injections_into(stars, kics(quiet), 20, seed=1)
    trained_on: list[set[str]] = []
    train = calibration.train_scorer

    def watched(examples, **options):  # type: ignore[no-untyped-def]
        trained_on.append({one.star for one in examples})
        return train(examples, **options)

    monkeypatch.setattr(calibration, "train_scorer", watched)
    found = held_out(real, others, steps=2)
    for number, seen in enumerate(trained_on):
        held = {one.example.star for one, fold in zip(real, found.fold, strict=True) if fold == number}
        assert held
        assert not held & seen


def test_too_few_known_periods_are_refused(tmp_path: Path, quiet: Path) -> None:
    few = tiny_survey(tmp_path / "few", stars=12, kind="real")
    with pytest.raises(DesaError, match="known period"):
        train_finder([few], [quiet], tmp_path / "out", injections=0)


def test_nothing_to_choose_among_is_no_period(folder: Path, stars: Survey) -> None:
    finder = read_finder(folder)
    assert isinstance(finder, PeriodFinder)
    curve = stars.lightcurve(0)
    flat = type(curve)(np.ones_like(curve.flux), curve.flux_err)
    found = finder.find([flat, curve])
    assert np.isnan(found.log_period[0]) and np.isfinite(found.log_period[1])
    assert finder.probability(found)[0] == 0.0


@pytest.mark.parametrize(("kind", "said"), [("K2", True), ("Kepler, up to 200 d", False)])
def test_the_report_says_whose_periods_are_lomb_scargle_ones(kind: str, said: bool) -> None:
    example = SimpleNamespace(prot=3.0, candidates=SimpleNamespace(kind=kind))
    star: Any = SimpleNamespace(example=example, acf=3.0, lomb_scargle=3.0)
    found: Any = SimpleNamespace(log_period=np.log10([3.0, 3.1]))
    assert ("compared with itself" in _periods([star, star], found).caption) == said


def test_the_report_says_how_many_of_each_kind_are_flagged() -> None:
    stars: list[Any] = [
        SimpleNamespace(example=SimpleNamespace(rotates=told, candidates=SimpleNamespace(kind="TESS")))
        for told in (1.0, 1.0, 0.0, 0.0)
    ]
    found: Any = SimpleNamespace(probability=np.array([0.9, 0.4, 0.1, 0.2]))
    row = _rotation(stars, found).rows[0]
    assert row[4].startswith("0.500 ") and row[5].startswith("1.000 ")
