"""On made-up stars: a hidden temperature and rotation, which both modalities see in their own ways."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from scipy.stats import combine_pvalues
from scipy.stats import t as student
from sklearn.ensemble import IsolationForest
from sklearn.metrics import average_precision_score
from statsmodels.stats.multitest import multipletests
from typer.testing import CliRunner

import desa
from desa.anomalies import parts as part_module
from desa.anomalies import ranking as module
from desa.anomalies.parts import Sample, fit_local_density
from desa.cli import app
from desa.config import settings
from desa.errors import DesaError, ModelError, SettingsError
from desa.inference.model import Desa
from desa.survey.store import Survey, SurveyWriter
from desa.types import Spectrum

VECTORS = ("joint", "features_spectrum", "features_lightcurve")
WAVE = 10 ** (3.5682 + 1e-4 * np.arange(3909))


def table_of(names: list[str], spectrum: NDArray[Any], curve: NDArray[Any], model: str = "m") -> pa.Table:
    columns: dict[str, Any] = {"star_id": names, "obsid": [name[4:] for name in names]}
    for name, rows in zip(VECTORS, (np.hstack([spectrum, curve]), spectrum, curve), strict=True):
        flat = pa.array(rows.astype(np.float32).ravel())
        columns[name] = pa.FixedSizeListArray.from_arrays(flat, rows.shape[1])
    return pa.table(columns).replace_schema_metadata({"desa.model": model})


def features(count: int, seed: int) -> tuple[NDArray[Any], NDArray[Any]]:
    rng = np.random.default_rng(seed)
    mix = np.random.default_rng(0).normal(size=(2, 4, 10))
    common = rng.normal(size=(count, 2))
    rows = [np.hstack([common, rng.normal(size=(count, 2))]) @ part for part in mix]
    return tuple(part + 0.2 * rng.normal(size=part.shape) for part in rows)  # type: ignore[return-value]


def names_of(count: int, first: int) -> list[str]:
    return [f"KIC {first + row}" for row in range(count)]


@pytest.fixture(scope="module")
def reference() -> pa.Table:
    return table_of(names_of(1500, 100_000), *features(1500, 1))


def test_p_values_of_ordinary_stars_are_what_they_say(reference: pa.Table) -> None:
    found = desa.find_anomalies(table_of(names_of(1500, 500_000), *features(1500, 2)), reference=reference)
    for column in ("p_joint", "p_spectrum", "p_lightcurve", "p_disagreement"):
        for level in (0.02, 0.1, 0.5):
            error = np.sqrt(level * (1 - level) * (1 / 1500 + 1 / 300))
            assert abs(np.mean(found[column] <= level) - level) < 4 * error, (column, level)
    assert np.mean(found["p_value"] <= 0.1) <= 0.1 + 4 * np.sqrt(0.09 * (1 / 1500 + 1 / 300))
    assert (found["q_value"] <= 0.05).sum() <= 2


@pytest.mark.parametrize("compared", [True, False])
def test_wrong_pairings_are_found_that_a_forest_misses(reference: pa.Table, compared: bool) -> None:
    spectrum, curve = features(1500, 3)
    odd = np.arange(1500) < 15
    order = np.argsort(spectrum[odd] @ np.linalg.svd(spectrum, full_matrices=False)[2][0])
    curve[np.flatnonzero(odd)[order]] = curve[np.flatnonzero(odd)[order[::-1]]]
    table = table_of(names_of(1500, 500_000), spectrum, curve)
    found = desa.find_anomalies(table, reference=reference if compared else None)
    truth = np.isin(found["star_id"], names_of(15, 500_000))
    ours = average_precision_score(truth, found["score"])
    forest = IsolationForest(random_state=0).fit(np.hstack(features(1500, 1)))
    theirs = average_precision_score(odd, -forest.score_samples(np.hstack([spectrum, curve])))
    assert ours > 5 * 0.01
    assert ours > 2 * theirs
    first = found[truth][0]
    assert "do not go together" in first["reason"]
    assert first["p_disagreement"] < 0.02
    assert np.isfinite(found["q_value"]).all() == compared


def test_a_star_far_from_all_leads_the_list_with_its_reason(reference: pa.Table) -> None:
    spectrum, curve = features(300, 4)
    curve[7] += 30 * np.random.default_rng(1).normal(size=10)
    found = desa.find_anomalies(table_of(names_of(300, 500_000), spectrum, curve), reference=reference)
    assert found["star_id"][0] == "KIC 500007"
    assert "its light curve is unlike" in found["reason"][0]
    assert found["p_spectrum"][0] > 0.02
    assert "its spectrum is unlike" not in found["reason"][0]
    assert found["rank"].tolist() == list(range(1, 301))
    assert found["p_value"].min() >= found.meta["least_p"] * (1 - 1e-9)


def test_missing_modalities_take_no_part(reference: pa.Table) -> None:
    table = table_of(names_of(300, 500_000), *features(300, 5))
    rows = np.array(table["features_lightcurve"].to_pylist(), np.float32)
    mask = np.arange(300) < 50
    short = pa.FixedSizeListArray.from_arrays(pa.array(rows.ravel()), 10, mask=pa.array(mask))
    table = table.set_column(
        table.schema.get_field_index("features_lightcurve"), "features_lightcurve", short
    )
    found = desa.find_anomalies(table, reference=reference)
    without = np.isin(found["star_id"], names_of(50, 500_000))
    assert np.isnan(found["p_lightcurve"][without]).all() and np.isnan(found["p_disagreement"][without]).all()
    assert np.isfinite(found["score"]).all() and np.isfinite(found["p_value"]).all()
    assert len(found) == 300


def test_what_can_not_be_compared_is_refused(reference: pa.Table) -> None:
    few = table_of(names_of(50, 500_000), *features(50, 6))
    for call, kind, words in (
        (lambda: desa.find_anomalies(few), SettingsError, "too few stars"),
        (lambda: desa.find_anomalies(few, reference=few), SettingsError, "too few stars"),
        (
            lambda: desa.find_anomalies(few.replace_schema_metadata({}), reference=reference),
            ModelError,
            "another model",
        ),
        (lambda: desa.find_anomalies(few.select(["star_id"])), SettingsError, "none of joint"),
        (lambda: desa.find_anomalies(few, reference=reference, parts=["joy"]), SettingsError, "no part joy"),
        (lambda: desa.find_anomalies("/no/table.parquet"), DesaError, "no such file"),
    ):
        with pytest.raises(kind, match=words):
            call()


def test_rules_of_joining_p_values() -> None:
    rng = np.random.default_rng(0)
    p = rng.uniform(size=(400, 4)) ** 2
    np.testing.assert_allclose(
        module.benjamini_hochberg(p[:, 0]), multipletests(p[:, 0], method="fdr_bh")[1], rtol=1e-12
    )
    with_gap = np.where(np.arange(400) == 7, np.nan, p[:, 0])
    np.testing.assert_allclose(
        np.delete(module.benjamini_hochberg(with_gap), 7),
        multipletests(np.delete(p[:, 0], 7), method="fdr_bh")[1],
    )
    assert np.isnan(module.benjamini_hochberg(with_gap)[7])
    right = [-np.log10(combine_pvalues(row).pvalue) for row in p]
    np.testing.assert_allclose(module.fisher(p), right, rtol=1e-9)
    gaps = module.fisher(np.array([[np.nan, 0.01], [np.nan, np.nan]]))
    assert gaps[0] == pytest.approx(2)
    assert np.isnan(gaps[1])
    assert np.isfinite(module.fisher(np.full((1, 4), 1e-290))).all()
    np.testing.assert_allclose(
        module.bonferroni(np.array([[0.01, np.nan, 0.4], [0.7, 0.8, 0.9]])), [0.02, 1.0]
    )
    scores, ordinary = np.array([0.5, 9.0, np.nan, 3.0]), np.array([1.0, 2.0, 3.0, np.nan])
    np.testing.assert_allclose(module.conformal_p(scores, ordinary), [1, 0.25, np.nan, 0.5])
    np.testing.assert_allclose(module.conformal_p(ordinary, ordinary, own=True)[:3], [1, 2 / 3, 1 / 3])


def spectrum(name: str, rng: np.random.Generator, emission: float = 0.0) -> Spectrum:
    teff = rng.uniform(4500, 6500)
    flux = 1e3 * (WAVE / 6000) ** ((teff - 5500) / 500)
    for line in (4102.9, 4341.7, 4862.7, 5176.6, 5893.6, 6564.6):
        flux *= 1 - np.clip((teff - 4000) / 4000, 0, 0.8) * np.exp(-(((WAVE - line) / 8) ** 2))
    flux *= 1 + emission * np.exp(-0.5 * ((WAVE - 6564.614) / 3) ** 2)
    noise = flux / rng.uniform(20, 80)
    return Spectrum(
        flux=(flux + rng.normal(0, noise)).astype(np.float32),
        ivar=(noise**-2).astype(np.float32),
        log_wavelength_start=3.5682,
        z=0.0,
        star_id=name,
        obsid=name[4:],
        snr={"g": 40.0},
    )


@pytest.fixture(scope="module")
def surveys(tmp_path_factory: pytest.TempPathFactory) -> list[Survey]:
    """Ordinary stars; and others, of which the first has H alpha in emission."""
    made = []
    for first, count in ((100_000, 400), (500_000, 60)):
        rng, writer = np.random.default_rng(first), SurveyWriter(tmp_path_factory.mktemp("survey"), "mock")
        for row, name in enumerate(names_of(count, first)):
            writer.add_spectrum(spectrum(name, rng, emission=0.8 if first > 100_000 and row == 0 else 0.0))
        made.append(writer.finish())
    return made


def test_emission_is_found_and_named(surveys: list[Survey]) -> None:
    model = Desa(settings("mini"), ["spectrum"])
    ordinary = table_of(names_of(400, 100_000), *features(400, 7))
    table = table_of(names_of(60, 500_000), *features(60, 8))
    given = {"model": model, "survey": surveys[1], "reference": ordinary, "reference_survey": surveys[0]}
    found = desa.find_anomalies(table, **given)  # type: ignore[arg-type]
    assert found["star_id"][0] == "KIC 500000"
    assert "unexplained emission at 65" in found["reason"][0] and "H alpha" in found["reason"][0]
    assert found["p_lines"][0] == found["p_lines"].min()
    assert {"p_residual", "p_lines"} <= set(found.colnames)
    assert not {"p_residual", "p_lines"} & set(desa.find_anomalies(table, reference=ordinary).colnames)
    with pytest.raises(SettingsError, match="another survey"):
        desa.find_anomalies(table, **{**given, "survey": surveys[0]})  # type: ignore[arg-type]


def test_noisy_spectra_are_not_odd_for_their_noise(surveys: list[Survey]) -> None:
    model = Desa(settings("mini"), ["spectrum"])
    ordinary = table_of(names_of(400, 100_000), *features(400, 7))
    sample = module._sample(ordinary, model, surveys[0], None)
    parts = module._fitted(
        sample.where(np.arange(400) < 250), sample.where(np.arange(400) >= 250), ["residual"], model
    )
    score, _ = parts["residual"].score(sample.where(np.arange(400) >= 250))
    assert sample.weights is not None
    noise = np.median(1 / np.maximum(sample.weights[250:, :3000], 1e-3), axis=1)
    assert abs(np.corrcoef(score, np.log(noise))[0, 1]) < 0.25
    blank = replace(sample, weights=np.zeros_like(sample.weights))
    assert np.isnan(parts["residual"].score(blank)[0]).all()


@pytest.mark.parametrize("compared", [True, False])
def test_the_command(tmp_path: Path, reference: pa.Table, compared: bool) -> None:
    pq.write_table(table_of(names_of(300, 500_000), *features(300, 9)), tmp_path / "emb.parquet")
    pq.write_table(reference, tmp_path / "ordinary.parquet")
    call = ["anomalies", str(tmp_path / "emb.parquet"), "-n", "3", "-o", str(tmp_path / "odd.ecsv")]
    done = CliRunner().invoke(
        app, call + (["--reference", str(tmp_path / "ordinary.parquet")] if compared else [])
    )
    assert done.exit_code == 0, done.output
    assert "oddest of 300 stars" in done.output
    assert ("false-discovery rate" in done.output) == compared
    assert ("give --reference" in done.output) != compared
    assert len((tmp_path / "odd.ecsv").read_text().splitlines()) > 300


def test_tails_of_p_values_go_on_as_the_ordinary_stars_do() -> None:
    rng = np.random.default_rng(0)
    ordinary = np.abs(rng.standard_t(4, 4000))
    scores = np.array([3.0, 5.0, 9.0])
    right = 2 * student.sf(scores, 4)
    found = module.smooth_p(scores, ordinary)
    assert (np.abs(np.log10(found / right)) < 0.3).all()
    assert (np.diff(module.smooth_p(np.linspace(0, 50, 200), ordinary)) <= 0).all()
    assert module.smooth_p(np.array([1.0]), np.ones(50))[0] == 1.0


def test_no_more_ordinary_stars_are_compared_with_than_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a star takes the longer, the more there are."""
    monkeypatch.setattr(part_module, "MOST_STARS", 150)
    rows = np.random.default_rng(0).normal(size=(299, 2)).astype(np.float32)
    for count, used in ((299, 150), (151, 150), (149, 149)):
        part = fit_local_density("joint", Sample({"joint": rows[:count]}), Sample({"joint": rows}))
        assert part is not None and part.factor.n_samples_fit_ == used
