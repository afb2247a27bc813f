from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

import desa.survey.from_files
from desa.config import settings
from desa.errors import DamagedFile, DesaError
from desa.inference.embed import embed_files, embed_survey, write_embedding
from desa.inference.model import Desa
from desa.io.stitching import stitch
from desa.pipeline import Clock
from desa.survey.store import Survey, SurveyWriter
from desa.types import LightCurve, Spectrum
from helpers.stars import curve, spectrum

SMALL = {
    "preprocess_lightcurve": {"length": 256},
    "lightcurve": {"cnn_widths": [4, 4], "log_axis": 32, "stem": 16, "width": 8, "heads": 2, "features": 24},
    "spectrum": {"cnn_widths": [4, 4, 4, 4, 4, 8], "blocks": 1, "heads": 2},
    "dualformer": {"width": 8, "heads": 2, "blocks": 1, "feed_forward": 8, "groups": 2},
}


@pytest.fixture(scope="module")
def model() -> Desa:
    torch.manual_seed(0)
    return Desa(settings("mini", **SMALL)).eval()


@pytest.fixture(scope="module")
def survey(tmp_path_factory: pytest.TempPathFactory) -> Survey:
    """Both modalities, two spectra; light curve only; spectrum only."""
    writer = SurveyWriter(tmp_path_factory.mktemp("survey"), "mock")
    writer.add_lightcurve(curve("KIC 1", ra=280.0))
    writer.add_lightcurve(curve("KIC 2", ra=281.0, seed=1))
    for star_id, obsid, snr in (("KIC 1", "11", 10.0), ("KIC 1", "12", 40.0), ("KIC 3", "31", 9.0)):
        writer.add_spectrum(spectrum(star_id, obsid=obsid, ra=280.0 + 2 * (star_id == "KIC 3"), snr=snr))
    return writer.finish(None, {})


def test_survey_table(model: Desa, survey: Survey) -> None:
    clock = Clock()
    table = embed_survey(model, survey, clock=clock)
    assert table.column("star_id").to_pylist() == ["KIC 1", "KIC 2", "KIC 3"]
    assert table.column("modality").to_pylist() == ["joint", "lightcurve", "spectrum"]
    assert table.column("obsid").to_pylist() == ["12", "", "31"], "the spectrum of highest S/N"
    assert [value is None for value in table.column("joint").to_pylist()] == [False, True, True]
    assert [value is None for value in table.column("features_spectrum").to_pylist()] == [False, True, False]
    own = model.embed(survey.lightcurve(0), survey.spectrum(1))
    for name in ("joint", "z_spectrum", "p_lightcurve", "match_spectrum", "features_lightcurve"):
        np.testing.assert_allclose(table.column(name)[0].as_py(), getattr(own, name), rtol=1e-3, atol=1e-4)
    facts = {key.decode(): value.decode() for key, value in table.schema.metadata.items()}
    assert facts["desa.data"] == f"mock survey {survey.identity}" and len(facts["desa.model"]) == 32
    assert facts["desa.limit"] in ("read", "preprocess", "model") and clock.limit() == facts["desa.limit"]


def test_what_finds_one_modality_by_the_other_has_not_seen_it(model: Desa, survey: Survey) -> None:
    lightcurve, spectrum = survey.lightcurve(0), survey.spectrum(1)
    both = model.embed(lightcurve, spectrum)
    alone = {"lightcurve": model.embed(lightcurve, None), "spectrum": model.embed(None, spectrum)}
    for kind, other in (("lightcurve", "spectrum"), ("spectrum", "lightcurve")):
        own = getattr(alone[kind], f"match_{kind}")
        np.testing.assert_allclose(getattr(both, f"match_{kind}"), own, rtol=1e-4, atol=1e-5)
        assert np.abs(getattr(both, f"p_{kind}") - own).max() > 1e-3, "p has seen both"
        assert getattr(alone[kind], f"match_{other}") is None
    table = embed_survey(model, survey)
    for row, name in ((1, "match_lightcurve"), (2, "match_spectrum")):
        assert table.column(name)[row].is_valid, "a star of one modality can be found, too"


def test_a_modality_alone_takes_the_mean_star_in_place_of_the_other(model: Desa) -> None:
    former = model.dualformer
    assert former is not None
    own = torch.randn(3, former.lightcurve_features)
    other = former.mean_spectrum.expand(3, -1)
    torch.testing.assert_close(former.alone(own, 1), former(other, own).p_lightcurve)
    given = {**SMALL, "dualformer": {**SMALL["dualformer"], "prior": "photometric"}}
    with_prior = Desa(settings("mini", **given))
    for other_model in (with_prior, Desa(settings("mini", **SMALL), ["lightcurve"])):
        assert other_model.eval().embed(curve("KIC 1")).match_lightcurve is None


def test_parquet_there_and_back(model: Desa, survey: Survey, tmp_path: Path) -> None:
    table = embed_survey(model, survey)
    write_embedding(table, tmp_path / "emb.parquet")
    again = pq.read_table(tmp_path / "emb.parquet")
    assert (
        again.equals(table) and again.schema.metadata[b"desa.model"] == table.schema.metadata[b"desa.model"]
    )
    assert again.schema.field("joint").type.list_size == len(table.column("joint")[0].as_py())


def test_one_encoder_alone(survey: Survey) -> None:
    torch.manual_seed(0)
    table = embed_survey(Desa(settings("mini", **SMALL), ["spectrum"]).eval(), survey)
    assert table.column("star_id").to_pylist() == ["KIC 1", "KIC 3"]
    assert set(table.column("modality").to_pylist()) == {"spectrum"}
    assert "joint" not in table.column_names


def test_prior_of_the_survey_is_used(survey: Survey) -> None:
    torch.manual_seed(0)
    changed = {**SMALL, "dualformer": {**SMALL["dualformer"], "prior": "photometric"}}
    table = embed_survey(Desa(settings("mini", **changed)).eval(), survey)
    assert table.column("z_spectrum")[0].as_py()[-3:] == [-1.0] * 3, "missing, as this survey has no colours"
    assert table.schema.metadata[b"desa.prior"] == b"photometric"


FILES: dict[str, LightCurve | Spectrum] = {
    "q1": curve("KIC 1", first=1000, quarter=1),
    "q2": curve("KIC 1", first=1400, quarter=2, seed=2),
    "near": spectrum("", obsid="21", ra=290.0 + 0.5 / 3600),
    "named": spectrum("KIC 9", obsid="22", ra=10.0),
    "nine": curve("KIC 9", ra=float("nan")),
    "alone": spectrum("", obsid="23", ra=100.0),
    "lonely": curve("KIC 7", ra=200.0),
}


@pytest.fixture
def readable(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(path: Path) -> LightCurve | Spectrum:
        if path.name not in FILES:
            raise DamagedFile(path, "is empty")
        return FILES[path.name]

    monkeypatch.setattr(desa.survey.from_files, "read", read)


@pytest.mark.usefixtures("readable")
def test_files_are_stitched_and_paired(model: Desa) -> None:
    seen: list[tuple[int, int]] = []
    paths = ["q2", "bad", *FILES]
    paths.remove("q2")
    table, left_out = embed_files(model, paths, batch_size=1, progress=lambda *now: seen.append(now))
    assert left_out == [("bad", "is empty")] and seen[-1] == (len(paths), len(paths))
    rows = {(r["modality"], r["star_id"], r["obsid"]): r for r in table.to_pylist()}
    assert set(rows) == {
        ("joint", "KIC 1", "21"),
        ("joint", "KIC 9", "22"),
        ("lightcurve", "KIC 7", ""),
        ("spectrum", "file alone", "23"),
    }
    both = stitch([FILES["q1"], FILES["q2"]])
    own = model.embed(both, FILES["near"])
    np.testing.assert_allclose(rows["joint", "KIC 1", "21"]["joint"], own.joint, rtol=1e-3, atol=1e-4)


@pytest.mark.usefixtures("readable")
def test_nothing_usable_is_an_error(model: Desa) -> None:
    with pytest.raises(DesaError, match="none of 2 files could be used; bad: is empty"):
        embed_files(model, ["bad", "worse"])
    with pytest.raises(DesaError, match="none of 0 files"):
        embed_files(model, [])


@pytest.mark.usefixtures("readable")
def test_a_modality_without_encoder_is_left_out() -> None:
    torch.manual_seed(0)
    alone = Desa(settings("mini", **SMALL), ["lightcurve"]).eval()
    table, left_out = embed_files(alone, ["q1", "near"])
    assert table.column("modality").to_pylist() == ["lightcurve"]
    assert left_out[0][0] == "near" and "no spectrum encoder" in left_out[0][1]


def test_a_table_of_objects(model: Desa) -> None:
    curves, spectra = [curve("KIC 1"), None], [spectrum("KIC 1", obsid="11"), spectrum("KIC 2", obsid="12")]
    table = model.embed_table(curves, spectra)
    assert list(table["modality"]) == ["joint", "spectrum"]
    own = model.embed(curves[0], spectra[0])
    np.testing.assert_allclose(table["joint"][0], own.joint, rtol=1e-3, atol=1e-4)
    assert np.isnan(table["joint"][1]).all() and np.isfinite(table["features_spectrum"]).all()
    assert len(table.meta["model"]) == 32
