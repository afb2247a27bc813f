"""Batched preprocessing on the device."""

from __future__ import annotations

from torch import nn

from desa.config import Settings
from desa.preprocess.lightcurve import LightCurvePreprocessor
from desa.preprocess.spectrum import SpectrumPreprocessor

__all__ = ["build"]


def build(settings: Settings) -> tuple[nn.Module, nn.Module]:
    """Light-curve and spectrum preprocessing of the modes that the settings name.

    Raises
    ------
    SettingsError
        If a setting is impossible.
    """
    return (
        LightCurvePreprocessor(settings.preprocess_lightcurve),
        SpectrumPreprocessor(settings.preprocess_spectrum),
    )
