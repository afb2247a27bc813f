"""The published configuration (a YAML file of hyper-parameters) as desa's settings."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from desa.config import Prior, Settings, settings
from desa.documents import read_yaml, shortened
from desa.errors import ModelError, SettingsError

Config = Mapping[str, Mapping[str, Any]]

PUBLISHED: dict[str, dict[str, Any]] = {
    "CNNEncoder_lc": {"encoder_dims": [32, 64, 128, 256, 512], "num_layers": 6, "sine_w0": 1.0},
    "AstroConformer_lc": {"stride": 20, "encoder_dim": 512, "num_heads": 8, "num_layers": 5},
    "DoubleInputRegressor_lc": {"dropout_p": 0.3, "num_quantiles": 5},
    "MultiTaskRegressor_spec": {
        "encoder_dims": [64, 128, 256, 1024, 2048],
        "num_layers": 5,
        "num_quantiles": 5,
        "dropout_p": 0.2,
    },
    "Conformer_spec": {"encoder_dim": 2048, "num_layers": 8, "num_heads": 8},
    "dual_former": {
        "attention_type": "cross_self",
        "embed_dim": 256,
        "num_heads": 8,
        "num_layers": 4,
        "ffn_dim": 2048,
        "dropout": 0.1,
        "attention_dropout": 0.1,
        "projection_type": "transpose",
    },
}
"""What of the published checkpoint's configuration says sizes and choices."""

FIXED: dict[str, dict[str, Any]] = {
    "CNNEncoder_lc": {
        "activation": "sine",
        "avg_output": True,
        "in_channels": 2,
        "kernel_size": 3,
        "stride": 1,
    },
    "AstroConformer_lc": {
        "encoder": ["mhsa_pro", "conv"],
        "norm": "postnorm",
        "in_channels": 2,
        "kernel_size": 3,
        "timeshift": False,
    },
    "MultiTaskRegressor_spec": {
        "activation": "silu",
        "avg_output": False,
        "backbone": "cnn",
        "in_channels": 1,
        "kernel_size": 3,
        "num_quantiles": 5,
        "output_dim": 3,
        "stride": 1,
    },
    "Conformer_spec": {
        "encoder": ["mhsa_pro", "conv", "ffn"],
        "norm": "postnorm",
        "kernel_size": 3,
        "timeshift": False,
    },
    "DoubleInputRegressor_lc": {"num_quantiles": 5, "output_dim": 1, "stacked_input": True},
    "dual_former": {
        "activation": "gelu",
        "bidirectional": True,
        "input_dim": 1,
        "latent_dim": 0,
        "norm_first": True,
        "pooling": "mean",
        "use_positional_encoding": True,
        "use_prediction_head": False,
    },
}
"""What the published code could do otherwise, but no published checkpoint did: nothing to compare with."""


def settings_of(config: str | Path | Config | None) -> Settings:
    """Our settings for a published configuration (a YAML file or its content; None: the published one).

    Raises
    ------
    ModelError
        If it can't be read, a section is missing, or it asks for what was never published.
    """
    if isinstance(config, (str, Path)):
        try:
            content = read_yaml(config)
        except (OSError, ValueError) as error:
            raise ModelError(f"{config}: can't be read as YAML ({error})") from None
    else:
        content = PUBLISHED if config is None else config
    if not isinstance(content, Mapping) or not all(
        isinstance(content.get(name), Mapping) for name in PUBLISHED
    ):
        raise ModelError(f"a published configuration has the sections {', '.join(PUBLISHED)}")
    others = [
        f"{section}.{name} = {shortened(content[section][name])}, only {wanted!r}"
        for section, values in FIXED.items()
        for name, wanted in values.items()
        if content[section].get(name, wanted) != wanted
    ]
    if others:
        raise ModelError(f"no checkpoint was published with {'; '.join(others)}")
    try:
        return _settings(content)
    except (KeyError, TypeError, IndexError) as error:
        raise ModelError(f"the published configuration lacks {error}") from None
    except SettingsError as error:
        raise ModelError(f"the published configuration: {error}") from None


def _settings(config: Config) -> Settings:
    cnn, flux = config["CNNEncoder_lc"], config["AstroConformer_lc"]
    pixels, spectrum = config["MultiTaskRegressor_spec"], config["Conformer_spec"]
    dual, head = config["dual_former"], config["DoubleInputRegressor_lc"]
    return settings(
        "published",
        lightcurve={
            "cnn_widths": _widths(cnn["encoder_dims"], cnn["num_layers"]),
            "sine_w0": cnn["sine_w0"],
            "stem": flux["stride"],
            "width": flux["encoder_dim"],
            "heads": flux["num_heads"],
            "blocks": flux["num_layers"],
            "dropout": head["dropout_p"],
        },
        spectrum={
            "cnn_widths": _widths(pixels["encoder_dims"], pixels["num_layers"]),
            "blocks": spectrum["num_layers"],
            "heads": spectrum["num_heads"],
            "dropout": pixels["dropout_p"],
        },
        dualformer={
            "width": dual["embed_dim"],
            "heads": dual["num_heads"],
            "blocks": dual["num_layers"],
            "feed_forward": dual["ffn_dim"],
            "dropout": dual["dropout"],
            "attention_dropout": dual["attention_dropout"],
            "attention": {"cross_self": "both", "cross": "cross", "self": "self"}[dual["attention_type"]],
            "transpose": dual["projection_type"] == "transpose",
        },
    )


def _widths(given: list[int], layers: int) -> list[int]:
    """The embedding's width and each layer's; the last one goes on."""
    if not isinstance(layers, int) or not 0 < layers < 100:
        raise TypeError(f"a number of layers ({shortened(layers)} is none)")
    return [*given, *[given[-1]] * (layers + 1 - len(given))]


SIZES = {
    "features": ("lc_backbone.1.layer3.0.weight", "simsiam.encoder.1.layer3.0.weight"),
    "head": ("regressor.0.weight",),
    "projection": ("dual_former.projection_head.weight",),
}
"""Tensors whose first dimension is a size that the configuration leaves to the code."""


def sized(chosen: Settings, state: Mapping[str, Tensor]) -> Settings:
    """The settings with the sizes that only the tensors tell: features, hidden units of heads, the prior."""
    found = {
        what: int(state[name].shape[0])
        for what, names in SIZES.items()
        for name in names
        if name in state and state[name].ndim
    }
    lightcurve, spectrum, dualformer = chosen.lightcurve, chosen.spectrum, chosen.dualformer
    if "features" in found:
        lightcurve = lightcurve.model_copy(update={"features": found["features"]})
    if "head" in found:
        lightcurve = lightcurve.model_copy(update={"head_hidden": found["head"]})
        spectrum = spectrum.model_copy(update={"head_hidden": found["head"]})
    priors: dict[int, Prior] = {0: "none", 3: "photometric", 6: "published"}
    extra = found.get("projection", 0) - dualformer.width
    if extra in priors:
        dualformer = dualformer.model_copy(update={"prior": priors[extra]})
    return chosen.model_copy(
        update={"lightcurve": lightcurve, "spectrum": spectrum, "dualformer": dualformer}
    )
