"""Settings: presets, YAML there and back, unknown keys named."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from desa.config import PRESETS, Settings, read_settings, settings, write_settings
from desa.errors import SettingsError


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_yaml_there_and_back(preset: str, tmp_path: Path) -> None:
    chosen = settings(preset, seed=7, spectrum={"dropout": 0.05})
    write_settings(chosen, tmp_path / "s.yaml")
    assert read_settings(tmp_path / "s.yaml") == chosen
    assert chosen.spectrum.dropout == 0.05


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"spectrum": {"block": 3}}, "unknown setting 'spectrum.block': did you mean 'blocks'"),
        ({"sead": 3}, "unknown setting 'sead': did you mean 'seed'"),
        ({"train_align": {"stepz": 3}}, "'train_align.stepz': did you mean 'steps'"),
        ({"train_align": {"steps": 0}}, "setting 'train_align.steps'.*greater than or equal to 1"),
        ({"dualformer": {"prior": "labels"}}, "setting 'dualformer.prior'"),
    ],
)
def test_wrong_settings_are_named(change: dict, sentence: str) -> None:
    with pytest.raises(SettingsError, match=sentence):
        settings("mini", **change)


@given(st.sampled_from(sorted(Settings.model_fields)), st.integers(0, 25))
def test_a_typo_in_any_key_is_refused(key: str, letter: int) -> None:
    typo = key + "abcdefghijklmnopqrstuvwxyz"[letter]
    with pytest.raises(SettingsError, match="did you mean"):
        settings("mini", **{typo: 1})


def test_files_that_are_no_settings(tmp_path: Path) -> None:
    for name, text in {"list.yaml": "- 1", "broken.yaml": "a: [", "empty.yaml": ""}.items():
        (tmp_path / name).write_text(text)
        with pytest.raises(SettingsError, match=name):
            read_settings(tmp_path / name)
    with pytest.raises(SettingsError, match=r"missing\.yaml"):
        read_settings(tmp_path / "missing.yaml")
    with pytest.raises(SettingsError, match="unknown preset 'tiny'"):
        settings("tiny")


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_a_partial_change_keeps_the_rest_of_its_section(preset: str) -> None:
    changed = settings(preset, objective_spectrum={"mask_fraction": 0.3})
    assert changed.objective_spectrum.mask_fraction == 0.3
    assert changed.objective_spectrum.labels == settings(preset).objective_spectrum.labels != ()


def test_published_is_the_papers() -> None:
    chosen = settings("published")
    assert chosen.spectrum.cnn_widths == (64, 128, 256, 1024, 2048, 2048)
    assert (chosen.dualformer.blocks, chosen.dualformer.width, chosen.dualformer.feed_forward) == (
        4,
        256,
        2048,
    )
    assert chosen.dualformer.prior_size == 6
    assert chosen.dualformer.tokens == "published"
    assert chosen.objective_lightcurve.scales == (70.0,)
