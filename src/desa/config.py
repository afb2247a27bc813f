"""Every setting of desa, typed; presets; YAML in and out.

A setting that does not exist is an error which names the nearest one that does. Times are in days,
cadences are the mission's 29.4 minutes, wavelengths are vacuum Angstrom.
"""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from desa.documents import SHOWN, cut, read_yaml, shortened
from desa.errors import SettingsError
from desa.files import written_whole
from desa.presets import PRESETS
from desa.types import SpectrumGrid

Prior = Literal["none", "photometric", "published"]

# Bounds keep a typing error, or a stranger's file, from asking for more than any machine has.
Width = Annotated[int, Field(ge=1, le=1 << 15)]
Widths = Annotated[tuple[Width, ...], Field(min_length=1, max_length=12)]
Blocks = Annotated[int, Field(ge=0, le=256)]
Heads = Annotated[int, Field(ge=1, le=256)]
Length = Annotated[int, Field(le=1 << 22)]
Count = Annotated[int, Field(le=10**9)]
Share = Annotated[float, Field(ge=0, lt=1)]
Weight = Annotated[float, Field(ge=0, le=1e6)]
Seed = Annotated[int, Field(ge=0, lt=1 << 63)]
Label = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$")]
Level = Annotated[float, Field(gt=0, lt=1)]
Quantiles = Annotated[tuple[Level, ...], Field(min_length=1, max_length=99)]
Wavelength = Annotated[float, Field(gt=0, le=1e6)]


class Section(BaseModel):
    """Base of the sections: immutable, unknown keys refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False)


def _heads_fit(width: int, heads: int) -> None:
    if width % heads or width // heads % 4 > 1:
        raise ValueError(
            f"a width of {width} can't be shared by {heads} heads: each takes 4, or a multiple of it"
        )


class LightCurvePreprocessing(Section):
    """From flux on the cadence grid to the four channels (B, 4, L)."""

    mode: Literal["desa", "published"] = "desa"
    length: Length = Field(34560, ge=64, description="crop length in cadences; 34560 = 720 d at 30 min")
    smooth: int = Field(
        1, ge=1, le=10001, description="odd width of the Savitzky-Golay (order 1) filter; 1 = none"
    )
    clip: float = Field(6.0, gt=0, le=1e6, description="channel 0 is clipped beyond this many robust sigma")
    min_valid: float = Field(0.05, ge=0, le=1, description="least share of good cadences in a crop")


class SpectrumPreprocessing(Section):
    """From flux and ivar to normalised rest-frame pixels (B, pixels) and their weights."""

    mode: Literal["desa", "published"] = "desa"
    log_wavelength_start: float = Field(
        3.5682, ge=2, le=6, description="log10 of the first observed pixel, Angstrom"
    )
    log_wavelength_step: float = Field(1e-4, gt=0, le=0.1, description="of the observed pixels, dex")
    observed_pixels: Length = Field(3909, ge=64, description="most that an observed spectrum may have")
    blue: tuple[Wavelength, Wavelength] = (3841.0, 5800.0)
    red: tuple[Wavelength, Wavelength] = (5800.0, 8798.0)
    pixels: Length = Field(4096, ge=64, description="the two arms, zero-padded to this")
    continuum_degree: int = Field(5, ge=0, le=15)
    continuum_iterations: int = Field(3, ge=1, le=100)
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

    cnn_widths: Widths = (32, 64, 128, 256, 512, 512, 512)
    sine_w0: float = Field(1.0, gt=0, le=1e4)
    log_axis: Length = Field(
        0, ge=0, description="resample ACF and spectrum onto this many log-spaced lags; 0 = off"
    )
    cnn_pooling: Literal["mean", "flatten"] = "mean"
    period_points: int = Field(
        0, ge=0, le=4096, description="points an octave of the reader of rotation periods; 0 = there is none"
    )
    stem: int = Field(
        20, ge=1, le=4096, description="kernel and stride of the flux branch's first convolution"
    )
    width: Width = 512
    heads: Heads = 8
    blocks: Blocks = 5
    features: Width = Field(256, description="width of the projector's output: the encoder's features")
    dropout: Share = 0.3
    head_hidden: Width = 256
    head_skip: bool = Field(False, description="add a linear map of the features to what the head says")

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        _heads_fit(self.width, self.heads)
        if self.cnn_pooling == "flatten" and not self.log_axis:
            raise ValueError("cnn_pooling = flatten needs log_axis: the length must be fixed")
        return self


class SpectrumModel(Section):
    """The spectrum encoder (defaults: as published)."""

    cnn_widths: Widths = (64, 128, 256, 1024, 2048, 2048)
    blocks: Blocks = 8
    heads: Heads = 8
    feed_forward: int = Field(4, ge=1, le=64)
    pooling: Literal["sum", "mean", "mean_max", "flatten"] = Field(
        "sum", description="flatten: a linear map of all tokens side by side: places keep their meaning"
    )
    flatten_tokens: Width = Field(128, description="tokens that come to `flatten`: pixels / 2^layers")
    flatten_features: Width = Field(128, description="features that `flatten` gives")
    weights_channel: bool = Field(False, description="give the pixel weights to the CNN as a second channel")
    dropout: Share = 0.2
    head_hidden: Width = 1024
    head_batch_norm: bool = True

    @property
    def width(self) -> int:
        """Width of the tokens."""
        return self.cnn_widths[-1]

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        _heads_fit(self.width, self.heads)
        return self


class DualFormerModel(Section):
    """The DualFormer and its projection (defaults: as published)."""

    width: Width = 256
    heads: Heads = 8
    blocks: Blocks = 4
    feed_forward: Width = 2048
    dropout: Share = 0.1
    attention_dropout: float = Field(0.1, ge=0, lt=1, description="share of the attention weights")
    attention: Literal["both", "cross", "self"] = "both"
    tokens: Literal["published", "per_feature", "groups"] = "published"
    groups: Width = Field(16, description="tokens per modality where tokens = groups")
    pooling: Literal["mean", "queries"] = "mean"
    queries: Width = 4
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

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        _heads_fit(self.width, self.heads)
        return self

    @property
    def prior_size(self) -> int:
        """Numbers the prior appends: 6 for `published`, 3 for `photometric` (BP-RP, M_G, RUWE)."""
        return {"none": 0, "photometric": 3, "published": 6}[self.prior]


class Training(Section):
    """How one stage is trained."""

    steps: Count = Field(1000, ge=1)
    epochs: Count = Field(0, ge=0, description="passes through the training stars, in place of `steps`")
    batch_size: int = Field(32, ge=1, le=1 << 20)
    accumulate: Count = Field(1, ge=1)
    learning_rate: float = Field(2e-5, gt=0, le=10)
    final_learning_rate: float = Field(2e-6, ge=0, le=10)
    schedule: Literal["constant", "cosine"] = "constant"
    warmup: float = Field(0, ge=0, le=1e9, description="steps of linear warm-up; below 1: share of all steps")
    weight_decay: float = Field(1e-6, ge=0, le=100)
    clip_norm: float = Field(1.0, gt=0, le=1e6)
    validate_every: Count = Field(100, ge=1)
    patience: Count = Field(0, ge=0, description="validations without gain before stopping; 0 = never")
    validate_start: bool = Field(False, description="validate before the first step: the start may be best")
    checkpoint_minutes: float = Field(5.0, gt=0, le=1e6)
    workers: int = Field(0, ge=0, le=1024)
    strategy: Literal["ddp", "fsdp"] = Field("ddp", description="how several processes share an encoder")


class Objective(Section):
    """Hybrid loss of the encoders: (1 - supervised) L_ssl + supervised L_supervised.

    With ``supervised: 1`` the spectrum encoder is fitted to labels alone: no pixel is hidden.
    """

    supervised: float = Field(0.5, ge=0, le=1)
    quantiles: Quantiles = (0.1, 0.25, 0.5, 0.75, 0.9)
    labels: Annotated[tuple[Label, ...], Field(max_length=256)] = ()
    scales: tuple[Annotated[float, Field(gt=0, le=1e12)], ...] = Field(
        (), description="labels are divided by these: teff by 5778 K"
    )
    periods: Weight = Field(
        0.0, description="weight of the period reader's cross-entropy with (log_)prot, in L_supervised"
    )
    stretch: float = Field(
        1.0,
        ge=1,
        le=100,
        description="half of the training light curves are stretched in time, and prot with them, by factors "
        "between 1/stretch and stretch; 1 = none",
    )
    mask_fraction: float = Field(0.15, ge=0, lt=1)
    mask_span: int = Field(
        1, ge=1, le=65536, description="pixels masked together; 1 = single pixels as published"
    )
    mask_zero_share: float = Field(0.8, ge=0, le=1)
    augment: bool = Field(False, description="training spectra get random shifts, noise, continua, gaps")
    half_weight_snr: float = Field(
        25.0, ge=0, description="S/N in g at which a spectrum's labels count half, 1 / (1 + (this / S/N)^2)"
    )

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        if len(self.labels) != len(self.scales):
            raise ValueError(f"{len(self.labels)} labels have {len(self.scales)} scales")
        if list(self.quantiles) != sorted(set(self.quantiles)):
            raise ValueError("quantiles must ascend")
        return self


class Alignment(Section):
    """Losses that align the two modalities."""

    covariance: Weight = 0.5
    duality: Weight = 0.5
    covariance_cross: bool = True
    variance: Weight = Field(0.0, description="VICReg's hinge on the standard deviation of p")
    contrastive: Weight = Field(0.0, description="symmetric InfoNCE between p_spectrum and p_lightcurve")
    contrastive_alone: bool = Field(
        False,
        description="for InfoNCE each modality is embedded without the other, whose mean takes its place",
    )
    supervised: Weight = Field(
        0.0, description="quantile loss of the encoders' labels, read linearly off the joint embedding"
    )
    temperature: float = Field(0.1, gt=0, le=1e6)
    reconstruction: Weight = Field(0.0, description="each modality's features from the joint embedding")
    modality_dropout: float = Field(0.0, ge=0, lt=1)


class Joining(Section):
    """The joint stage: sizes of what reads both encoders' tokens, and the weights of its objectives."""

    fusion: Literal["tokens", "none"] = Field(
        "tokens", description="none: the encoders' features side by side alone, the control"
    )
    width: Width = 64
    heads: Heads = 4
    blocks: Blocks = 2
    queries: Width = 4
    patch: Annotated[int, Field(ge=1, le=4096)] = Field(4, description="tokens of a sequence read as one")
    dropout: Share = 0.1
    hidden: Width = Field(64, description="of the heads that read labels off the joint embedding")
    gaia: bool = Field(False, description="BP-RP, M_G and RUWE as a third input")
    encoders: Literal["frozen", "last"] = Field("last", description="which of their blocks train along")
    encoder_rate: float = Field(0.1, ge=0, le=1, description="their learning rate, as a share of the others'")
    modality_dropout: Share = Field(0.3, description="share of training stars that lose a modality")
    gaia_dropout: Share = 0.3
    supervised: Weight = Field(1.0, description="quantile loss of the labels")
    binary: Weight = Field(0.3, description="cross-entropy of binaries, beside the labels")
    contrastive: Weight = Field(0.0, description="InfoNCE between both modalities, alone (CLIP)")
    fused_contrast: Weight = Field(
        0.0, description="InfoNCE of two augmented fused embeddings, and of each modality with them (CoMM)"
    )
    fill: Weight = Field(0.0, description="hidden tokens of either modality, filled from both")
    hidden_share: Share = Field(0.5, description="tokens that `fill` and `fused_contrast` hide")
    temperature: float = Field(0.1, gt=0, le=1e6)

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        _heads_fit(self.width, self.heads)
        if not (self.supervised or self.contrastive or self.fused_contrast or self.fill):
            raise ValueError("the joint stage needs at least one objective")
        return self


GAIA = ("bp_rp", "m_g", "ruwe")
"""What the joint stage may read of Gaia; never in the input of a task that predicts it."""


class Settings(Section):
    """All of it."""

    preset: Literal["mini", "small", "published"] = "mini"
    seed: Seed = 0
    dtype: Literal["float32", "bfloat16"] = "float32"
    compile: bool = False
    preprocess_lightcurve: LightCurvePreprocessing = LightCurvePreprocessing()
    preprocess_spectrum: SpectrumPreprocessing = SpectrumPreprocessing()
    lightcurve: LightCurveModel = LightCurveModel()
    spectrum: SpectrumModel = SpectrumModel()
    dualformer: DualFormerModel = DualFormerModel()
    objective_lightcurve: Objective = Objective(labels=("prot",), scales=(70.0,))
    objective_spectrum: Objective = Objective(labels=("teff", "log_g", "fe_h"), scales=(5778.0, 1.0, 1.0))
    objective_joint: Objective = Objective(
        labels=("teff", "log_g", "fe_h", "log_prot", "log_age"), scales=(1000.0, 0.5, 0.3, 0.4, 0.4)
    )
    alignment: Alignment = Alignment()
    joining: Joining = Joining()
    train_lightcurve: Training = Training(schedule="cosine")
    train_spectrum: Training = Training()
    train_align: Training = Training()
    train_joint: Training = Training(
        steps=600,
        batch_size=128,
        learning_rate=1e-3,
        schedule="cosine",
        weight_decay=0.01,
        validate_every=50,
        validate_start=True,
    )

    @model_validator(mode="after")
    def _gaia_is_not_asked_for(self) -> Self:
        leaked = sorted(set(GAIA) & set(self.objective_joint.labels))
        if self.joining.gaia and leaked:
            raise ValueError(f"joining.gaia gives {', '.join(leaked)}, which objective_joint asks for")
        return self


def _known_keys(model: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    for part in location[:-1]:
        annotation = model.model_fields[str(part)].annotation
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return []
        model = annotation
    return list(model.model_fields)


def _say(error: ValidationError) -> str:
    sentences = []
    items = error.errors(include_url=False, include_context=False)
    for item in items[:SHOWN]:
        location = item["loc"]
        name = cut(".".join(str(part) for part in location))
        if item["type"] == "extra_forbidden":
            near = difflib.get_close_matches(
                str(location[-1])[:64], _known_keys(Settings, location), n=1, cutoff=0.0
            )
            sentences.append(f"unknown setting '{name}'" + (f": did you mean '{near[0]}'?" if near else ""))
        else:
            sentences.append(f"setting '{name}': {item['msg'].lower()} (given {shortened(item['input'])})")
    more = len(items) - SHOWN
    return "; ".join(sentences) + (f"; and {more} more" if more > 0 else "")


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
    if not isinstance(preset, str) or preset not in PRESETS:
        raise SettingsError(f"unknown preset {shortened(preset)}: there are {', '.join(PRESETS)}")
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
        loaded = read_yaml(path)
    except (OSError, ValueError) as error:
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
    with written_whole(path) as scratch:
        scratch.write_text(text, encoding="utf-8")
