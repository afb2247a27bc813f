"""Settings so small that all three stages train in seconds on `helpers.stars.tiny_survey`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from desa.config import Settings, settings
from desa.models.network import Network
from desa.survey.store import Survey


@dataclass
class Trained:
    """All three stages on the tiny survey."""

    survey: Survey
    settings: Settings
    folder: Path
    model: Network


def tiny_settings(**changes: object) -> Settings:
    encoder = {"cnn_widths": [8, 8, 8, 8], "heads": 2, "blocks": 1, "head_hidden": 16, "dropout": 0.0}
    training = {"batch_size": 16, "learning_rate": 3e-3, "validate_every": 20, "schedule": "cosine"}
    small = {
        "preprocess_lightcurve": {"length": 512},
        "preprocess_spectrum": {},
        "lightcurve": {**encoder, "log_axis": 64, "stem": 16, "width": 8, "features": 24},
        "spectrum": {**encoder, "cnn_widths": [4, 8, 8, 8, 8, 8], "feed_forward": 1, "pooling": "mean"},
        "dualformer": {"width": 8, "heads": 2, "blocks": 1, "feed_forward": 16, "groups": 4},
        "train_spectrum": {**training, "steps": 60},
        "train_lightcurve": {**training, "steps": 40},
        "train_align": {**training, "steps": 60},
    }
    for name, values in changes.items():
        small[name] = {**small.get(name, {}), **values} if isinstance(values, dict) else values
    return settings("mini", **small)
