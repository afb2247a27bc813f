"""Every setting of desa, typed; presets; YAML in and out.

A setting that does not exist is an error which names the nearest one that does. Times are in days,
cadences are the mission's 29.4 minutes, wavelengths are vacuum Angstrom.
"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from desa.errors import SettingsError
from desa.presets import PRESETS
from desa.types import SpectrumGrid

Prior = Literal["none", "photometric", "published"]


class Section(BaseModel):
    """Base of the sections: immutable, unknown keys refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class LightCurvePreprocessing(Section):
    """From flux on the cadence grid to the four channels (B, 4, L)."""

    mode: Literal["desa", "published"] = "desa"
    length: int = Field(34560, ge=64, description="crop length in cadences; 34560 = 720 d at 30 min")
    smooth: int = Field(1, ge=1, description="odd width of the Savitzky-Golay (order 1) filter; 1 = none")
    clip: float = Field(6.0, gt=0, description="channel 0 is clipped beyond this many robust sigma")
    min_valid: float = Field(0.05, ge=0, le=1, description="least share of good cadences in a crop")


class SpectrumPreprocessing(Section):
    """From flux and ivar to normalised rest-frame pixels (B, pixels) and their weights."""

    mode: Literal["desa", "published"] = "desa"
    log_wavelength_start: float = Field(3.5682, description="log10 of the first observed pixel, Angstrom")
    log_wavelength_step: float = Field(1e-4, gt=0, description="of the observed pixels, dex")
    observed_pixels: int = Field(3909, ge=64, description="most that an observed spectrum may have")
    blue: tuple[float, float] = (3841.0, 5800.0)
    red: tuple[float, float] = (5800.0, 8798.0)
    pixels: int = Field(4096, ge=64, description="the two arms, zero-padded to this")
    continuum_degree: int = Field(5, ge=0, le=15)
    continuum_iterations: int = Field(3, ge=1)
    remove_cosmic_rays: bool = True
    standardise: Literal["survey", "spectrum", "arm"] = Field(
        "survey", description="scale: constants (and asinh), or each spectrum's or arm's own mean and spread"
    )

    @property
    def grid(self) -> SpectrumGrid:
        """The observed pixels of the spectra that a model is trained on and reads: LAMOST's by default."""
        return SpectrumGrid(self.log_wavelength_start, self.log_wavelength_step, self.observed_pixels)


class LightCurveModel(Section):
    """The light-curve encoder (defaults: as published)."""

    cnn_widths: tuple[int, ...] = (32, 64, 128, 256, 512, 512, 512)
    sine_w0: float = 1.0
    log_axis: int = Field(
        0, ge=0, description="resample ACF and spectrum onto this many log-spaced lags; 0 = off"
    )
    cnn_pooling: Literal["mean", "flatten"] = "mean"
    period_points: int = Field(
        0, ge=0, description="points an octave of the reader of rotation periods; 0 = there is none"
    )
    stem: int = Field(20, ge=1, description="kernel and stride of the flux branch's first convolution")
    width: int = 512
    heads: int = 8
    blocks: int = 5
    features: int = Field(256, description="width of the projector's output: the encoder's features")
    dropout: float = 0.3
    head_hidden: int = 256
    head_skip: bool = Field(False, description="add a linear map of the features to what the head says")


class SpectrumModel(Section):
    """The spectrum encoder (defaults: as published)."""

    cnn_widths: tuple[int, ...] = (64, 128, 256, 1024, 2048, 2048)
    blocks: int = 8
    heads: int = 8
    feed_forward: int = 4
    pooling: Literal["sum", "mean", "mean_max", "flatten"] = Field(
        "sum", description="flatten: a linear map of all tokens side by side: places keep their meaning"
    )
    flatten_tokens: int = Field(128, ge=1, description="tokens that come to `flatten`: pixels / 2^layers")
    flatten_features: int = Field(128, ge=1, description="features that `flatten` gives")
    weights_channel: bool = Field(False, description="give the pixel weights to the CNN as a second channel")
    dropout: float = 0.2
    head_hidden: int = 1024
    head_batch_norm: bool = True

    @property
    def width(self) -> int:
        """Width of the tokens."""
        return self.cnn_widths[-1]


class DualFormerModel(Section):
    """The DualFormer and its projection (defaults: as published)."""

    width: int = 256
    heads: int = 8
    blocks: int = 4
    feed_forward: int = 2048
    dropout: float = 0.1
    attention_dropout: float = Field(0.1, ge=0, lt=1, description="share of the attention weights")
    attention: Literal["both", "cross", "self"] = "both"
    tokens: Literal["published", "per_feature", "groups"] = "published"
    groups: int = Field(16, ge=1, description="tokens per modality where tokens = groups")
    pooling: Literal["mean", "queries"] = "mean"
    queries: int = 4
    skip: bool = Field(
        False, description="add a linear map of the features to the pooled output, made as wide as they are"
    )
    standardise: bool = Field(
        False, description="standardise the features by constants of the training split"
    )
    prior: Prior = "none"
    transpose: bool = Field(True, description="p_lightcurve = A^T z; False: A z")
    joint: Literal["schur", "published", "sum", "concat"] = Field(
        "schur", description="real Schur vectors of A, real parts of its eigenvectors, z_1 + z_2, or both z"
    )

    @property
    def prior_size(self) -> int:
        """Numbers the prior appends: 6 for `published`, 3 for `photometric` (BP-RP, M_G, RUWE)."""
        return {"none": 0, "photometric": 3, "published": 6}[self.prior]


class Training(Section):
    """How one stage is trained."""

    steps: int = Field(1000, ge=1)
    epochs: int = Field(0, ge=0, description="passes through the training stars, in place of `steps`")
    batch_size: int = Field(32, ge=1)
    accumulate: int = Field(1, ge=1)
    learning_rate: float = Field(2e-5, gt=0)
    final_learning_rate: float = Field(2e-6, ge=0)
    schedule: Literal["constant", "cosine"] = "constant"
    warmup: float = Field(0, ge=0, description="steps of linear warm-up; below 1: share of all steps")
    weight_decay: float = Field(1e-6, ge=0)
    clip_norm: float = Field(1.0, gt=0)
    validate_every: int = Field(100, ge=1)
    patience: int = Field(0, ge=0, description="validations without gain before stopping; 0 = never")
    validate_start: bool = Field(False, description="validate before the first step: the start may be best")
    checkpoint_minutes: float = Field(5.0, gt=0)
    workers: int = Field(0, ge=0)
    strategy: Literal["ddp", "fsdp"] = Field("ddp", description="how several processes share an encoder")


class Objective(Section):
    """Hybrid loss of the encoders: (1 - supervised) L_ssl + supervised L_supervised.

    With ``supervised: 1`` the spectrum encoder is fitted to labels alone: no pixel is hidden.
    """

    supervised: float = Field(0.5, ge=0, le=1)
    quantiles: tuple[float, ...] = (0.1, 0.25, 0.5, 0.75, 0.9)
    labels: tuple[str, ...] = ()
    scales: tuple[float, ...] = Field((), description="labels are divided by these: teff by 5778 K")
    periods: float = Field(
        0.0, ge=0, description="weight of the period reader's cross-entropy with (log_)prot, in L_supervised"
    )
    stretch: float = Field(
        1.0,
        ge=1,
        description="half of the training light curves are stretched in time, and prot with them, by factors "
        "between 1/stretch and stretch; 1 = none",
    )
    mask_fraction: float = Field(0.15, ge=0, lt=1)
    mask_span: int = Field(1, ge=1, description="pixels masked together; 1 = single pixels as published")
    mask_zero_share: float = Field(0.8, ge=0, le=1)
    augment: bool = Field(False, description="training spectra get random shifts, noise, continua, gaps")
    half_weight_snr: float = Field(
        25.0, ge=0, description="S/N in g at which a spectrum's labels count half, 1 / (1 + (this / S/N)^2)"
    )


class Alignment(Section):
    """Losses that align the two modalities."""

    covariance: float = 0.5
    duality: float = 0.5
    covariance_cross: bool = True
    variance: float = Field(0.0, ge=0, description="VICReg's hinge on the standard deviation of p")
    contrastive: float = Field(0.0, ge=0, description="symmetric InfoNCE between p_spectrum and p_lightcurve")
    contrastive_alone: bool = Field(
        False,
        description="for InfoNCE each modality is embedded without the other, whose mean takes its place",
    )
    supervised: float = Field(
        0.0, ge=0, description="quantile loss of the encoders' labels, read linearly off the joint embedding"
    )
    temperature: float = Field(0.1, gt=0)
    reconstruction: float = Field(0.0, ge=0, description="each modality's features from the joint embedding")
    modality_dropout: float = Field(0.0, ge=0, lt=1)


class Settings(Section):
    """All of it."""

    preset: Literal["mini", "small", "published"] = "mini"
    seed: int = 0
    dtype: Literal["float32", "bfloat16"] = "float32"
    compile: bool = False
    preprocess_lightcurve: LightCurvePreprocessing = LightCurvePreprocessing()
    preprocess_spectrum: SpectrumPreprocessing = SpectrumPreprocessing()
    lightcurve: LightCurveModel = LightCurveModel()
    spectrum: SpectrumModel = SpectrumModel()
    dualformer: DualFormerModel = DualFormerModel()
    objective_lightcurve: Objective = Objective(labels=("prot",), scales=(70.0,))
    objective_spectrum: Objective = Objective(labels=("teff", "log_g", "fe_h"), scales=(5778.0, 1.0, 1.0))
    alignment: Alignment = Alignment()
    train_lightcurve: Training = Training(schedule="cosine")
    train_spectrum: Training = Training()
    train_align: Training = Training()


def _known_keys(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    for part in location[:-1]:
        annotation = model.model_fields[str(part)].annotation
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return []
        model = annotation
    return list(model.model_fields)


def _say(error: ValidationError) -> str:
    sentences = []
    for item in error.errors():
        location = item["loc"]
        name = ".".join(str(part) for part in location)
        if item["type"] == "extra_forbidden":
            near = difflib.get_close_matches(
                str(location[-1]), _known_keys(Settings, location), n=1, cutoff=0.0
            )
            sentences.append(f"unknown setting '{name}'" + (f": did you mean '{near[0]}'?" if near else ""))
        else:
            sentences.append(f"setting '{name}': {item['msg'].lower()} (given {item['input']!r})")
    return "; ".join(sentences)


def _merge(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in changes.items():
        old = merged.get(key)
        merged[key] = _merge(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


def settings(preset: str = "mini", **changes: Any) -> Settings:
    """Settings of a preset, with changes.

    Parameters
    ----------
    preset
        ``"mini"`` (trains in minutes on two cores), ``"small"`` (up to 5 M parameters) or
        ``"published"`` (the paper's).
    **changes
        Nested dictionaries, merged into the preset: ``spectrum={"blocks": 1}`` changes that alone.

    Raises
    ------
    SettingsError
        For an unknown preset or setting, or an impossible value.
    """
    if preset not in PRESETS:
        raise SettingsError(f"unknown preset '{preset}': there are {', '.join(PRESETS)}")
    try:
        # Sections that a preset leaves out have defaults of their own, which a partial change must keep.
        whole = _merge(Settings().model_dump(), PRESETS[preset]())
        return Settings.model_validate(_merge(whole, changes))
    except ValidationError as error:
        raise SettingsError(_say(error)) from None


def with_changes(value: Settings, changes: dict[str, Any]) -> Settings:
    """Copy of the settings with nested changes merged in.

    Raises
    ------
    SettingsError
        For an unknown setting or an impossible value.
    """
    try:
        return Settings.model_validate(_merge(value.model_dump(), changes))
    except ValidationError as error:
        raise SettingsError(_say(error)) from None


def read_settings(path: str | Path) -> Settings:
    """Read a YAML file: its `preset` first, then its own values over it.

    Raises
    ------
    SettingsError
        If the file is missing, is no YAML mapping, or holds an unknown or impossible setting.
    """
    try:
        loaded = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise SettingsError(f"{path}: can't be read as YAML ({error})") from None
    if not isinstance(loaded, dict):
        raise SettingsError(f"{path}: must be a mapping of settings, 'preset: mini' at least")
    loaded = {str(key): value for key, value in loaded.items()}
    preset = loaded.pop("preset", "mini")
    try:
        return settings(preset, **loaded)
    except SettingsError as error:
        raise SettingsError(f"{path}: {error}") from None


def write_settings(value: Settings, path: str | Path) -> None:
    """Write every setting as YAML."""
    text = yaml.safe_dump(value.model_dump(mode="json"), sort_keys=False)
    Path(path).write_text(text, encoding="utf-8")
