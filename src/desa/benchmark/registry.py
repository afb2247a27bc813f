"""Which models and ablations the benchmark compares, and what each is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from desa.errors import SettingsError

Kind = Literal["desa", "baseline", "fixed"]
Group = Literal["model", "control", "reference", "ablation"]


@dataclass(frozen=True)
class ModelSpec:
    """One row of the tables.

    Parameters
    ----------
    name
        Of the row in tables and of its folder.
    title
        As the report says it.
    kind
        ``"desa"`` and ``"baseline"`` are trained on pairs; ``"fixed"`` features are what they are.
    group
        Models, controls, references that only some tasks have, or ablations of DESA.
    text
        One line: what it is.
    changes
        To the preset's settings.
    base
        For an ablation: the model it is compared with.
    live
        Train on features computed anew from random crops at each step, not on cached ones.
    head
        What heads read of a DualFormer: its halves z, or their projections p, as published. The losses press
        p into what both modalities share; what only one of them knows is in z.
    """

    name: str
    title: str
    kind: Kind
    group: Group
    text: str
    changes: Mapping[str, Any] = field(default_factory=dict)
    base: str = "desa"
    live: bool = False
    head: Literal["z", "p"] = "z"

    @property
    def trained(self) -> bool:
        """Whether seeds and a search make sense."""
        return self.kind != "fixed"


PUBLISHED: dict[str, Any] = {
    "dualformer": {
        "tokens": "published",
        "pooling": "mean",
        "skip": False,
        "standardise": False,
        "joint": "published",
    },
    "alignment": {
        "covariance": 0.5,
        "duality": 0.5,
        "covariance_cross": False,
        "variance": 0.0,
        "contrastive": 0.0,
        "contrastive_alone": False,
        "reconstruction": 0.0,
        "modality_dropout": 0.0,
    },
}
"""The published tokeniser, pooling, loss and basis at the preset's sizes, without its label-leaking prior."""


def _ablation(name: str, title: str, text: str, **changes: Any) -> ModelSpec:
    return ModelSpec(name, title, "desa", "ablation", text, changes)


MODELS: tuple[ModelSpec, ...] = (
    ModelSpec("desa", "DESA", "desa", "model", "the DualFormer with this preset's settings"),
    ModelSpec(
        "desa_published",
        "DESA as published",
        "desa",
        "model",
        "scalar tokens, mean pooling, covariance and duality losses, real parts of eigenvectors; no prior",
        PUBLISHED,
        head="p",
    ),
    ModelSpec(
        "desa_labels",
        "DESA with labels",
        "desa",
        "model",
        "the encoders' labels (Teff, log g, [Fe/H], Prot of training stars) read off the joint embedding too",
        {"alignment": {"supervised": 1.0}},
    ),
    ModelSpec("moco", "MoCo", "baseline", "model", "momentum contrast between modalities"),
    ModelSpec("moco_clean", "MoCo Clean", "baseline", "model", "the same, each star once a batch"),
    ModelSpec("simsiam", "SimSiam", "baseline", "model", "each modality predicts the other, no negatives"),
    ModelSpec("vicreg", "VICReg", "baseline", "model", "invariance, variance and covariance"),
    ModelSpec("clip", "CLIP", "baseline", "model", "symmetric InfoNCE within the batch"),
    ModelSpec("only_spectrum", "Only spectra", "fixed", "control", "features of the spectrum encoder"),
    ModelSpec(
        "only_lightcurve", "Only light curves", "fixed", "control", "features of the light-curve encoder"
    ),
    ModelSpec("concatenation", "Concatenation", "fixed", "control", "both encoders' features side by side"),
    ModelSpec(
        "before_alignment",
        "DESA before alignment",
        "fixed",
        "control",
        "the DualFormer with random weights on the same features",
    ),
    ModelSpec(
        "components",
        "Principal components",
        "fixed",
        "control",
        "60 components of the pixels and 60 of ACF and power spectrum",
    ),
    ModelSpec(
        "untrained", "Untrained encoders", "fixed", "control", "encoders with random weights, side by side"
    ),
    ModelSpec(
        "canonical",
        "Canonical correlations",
        "fixed",
        "reference",
        "both encoders' features turned to each other in closed form; for retrieval",
    ),
    ModelSpec(
        "catalogue",
        "Catalogue labels, no data",
        "fixed",
        "reference",
        "Teff, log g, [Fe/H] and Prot as the catalogue has them: all that the encoders were taught; for ages",
    ),
    ModelSpec(
        "truth",
        "True parameters (mock only)",
        "fixed",
        "reference",
        "Teff, log g, [Fe/H], [alpha/Fe] and Prot as the simulation drew them: the limit; for ages",
    ),
)

REFERENCE_LABELS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "catalogue": (("teff", "log_g", "fe_h"), ("prot",)),
    "truth": (("teff_true", "log_g_true", "fe_h_true", "alpha_fe_true"), ("prot_true",)),
}
"""Columns that such a reference reads in place of a spectrum's and of a light curve's features."""

ABLATIONS: tuple[ModelSpec, ...] = (
    _ablation("cross_attention", "cross-attention only", "Fig. 4", dualformer={"attention": "cross"}),
    _ablation("self_attention", "self-attention only", "Fig. 4", dualformer={"attention": "self"}),
    _ablation("no_transpose", "A without transpose", "p_2 = A z_2", dualformer={"transpose": False}),
    _ablation("covariance", "covariance loss 0.5", "Fig. 4", alignment={"covariance": 0.5}),
    _ablation(
        "covariance_own",
        "covariance loss 0.5 within each modality",
        "as the published code",
        alignment={"covariance": 0.5, "covariance_cross": False},
    ),
    _ablation("duality", "duality loss 0.5", "Fig. 4", alignment={"duality": 0.5}),
    _ablation(
        "covariance_duality",
        "covariance and duality losses",
        "both, beside DESA's own terms",
        alignment={"covariance": 0.5, "duality": 0.5},
    ),
    _ablation(
        "joint_schur", "sum, Schur vectors of A", "eq. 6 with a real basis", dualformer={"joint": "schur"}
    ),
    _ablation(
        "joint_eigen", "sum, eigenvectors of A", "eq. 6 as published", dualformer={"joint": "published"}
    ),
    _ablation("joint_sum", "sum, no projection", "z_1 + z_2", dualformer={"joint": "sum"}),
    _ablation(
        "prior_photometric",
        "prior: photometric",
        "BP-RP, M_G, RUWE appended",
        dualformer={"prior": "photometric"},
    ),
    _ablation(
        "prior_published",
        "prior: published (labels)",
        "Teff, log g, Prot, [Fe/H], R, RUWE: leaks what tasks ask",
        dualformer={"prior": "published"},
    ),
    _ablation(
        "scalar_tokens", "published tokens", "each feature a scalar token", dualformer={"tokens": "published"}
    ),
    _ablation(
        "feature_tokens", "a token a feature", "own direction a feature", dualformer={"tokens": "per_feature"}
    ),
    _ablation("mean_pooling", "mean of tokens", "", dualformer={"pooling": "mean"}),
    _ablation("no_skip", "no skip", "", dualformer={"skip": False}),
    _ablation("no_standardisation", "no standardisation", "", dualformer={"standardise": False}),
    _ablation("no_variance", "no variance term", "", alignment={"variance": 0.0}),
    _ablation("no_contrastive", "no contrastive term", "", alignment={"contrastive": 0.0}),
    _ablation("no_reconstruction", "no reconstruction", "", alignment={"reconstruction": 0.0}),
    _ablation("no_modality_dropout", "no modality dropout", "", alignment={"modality_dropout": 0.0}),
    _ablation(
        "contrastive_together",
        "InfoNCE of halves that saw each other",
        "cross-attention gives the pairs away",
        alignment={"contrastive_alone": False},
    ),
    ModelSpec("head_p", "heads read p", "desa", "ablation", "as published, in place of z", head="p"),
    ModelSpec(
        "live_features",
        "live features",
        "desa",
        "ablation",
        "random crops at each step, encoders run along",
        live=True,
    ),
)

SPECS: dict[str, ModelSpec] = {spec.name: spec for spec in (*MODELS, *ABLATIONS)}

ENCODER_OBJECTIVES = {"hybrid": 0.5, "ssl_only": 0.0, "supervised_only": 1.0}
"""Share of the supervised loss in the encoders' pre-training (Fig. 3)."""


def spec_of(name: str) -> ModelSpec:
    """A model or ablation by name.

    Raises
    ------
    SettingsError
        If there is none of that name.
    """
    if name not in SPECS:
        raise SettingsError(f"no model {name!r} in the benchmark: there are {', '.join(SPECS)}")
    return SPECS[name]
