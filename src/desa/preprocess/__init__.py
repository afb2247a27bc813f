"""Batched preprocessing on the device."""

from __future__ import annotations

from torch import nn

from desa.config import Settings
from desa.preprocess.lightcurve import LightCurvePreprocessor
from desa.preprocess.published import PublishedLightCurve, PublishedSpectrum
from desa.preprocess.spectrum import SpectrumPreprocessor

__all__ = ["build"]


def build(settings: Settings) -> tuple[nn.Module, nn.Module]:
    """Light-curve and spectrum preprocessing of the modes that the settings name.

    Raises
    ------
    SettingsError
        If a setting is impossible.
    """
    lightcurve, spectrum = settings.preprocess_lightcurve, settings.preprocess_spectrum
    return (
        (PublishedLightCurve if lightcurve.mode == "published" else LightCurvePreprocessor)(lightcurve),
        (PublishedSpectrum if spectrum.mode == "published" else SpectrumPreprocessor)(spectrum),
    )
