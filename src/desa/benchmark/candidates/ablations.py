"""DESA with one thing changed each (Fig. 4 of the paper, and the parts that the paper does not have)."""

from __future__ import annotations

from typing import Any

from desa.benchmark.base import CANDIDATES
from desa.benchmark.candidates.desa import DESA, Desa


def _model(**changes: Any) -> dict[str, Any]:
    return {"changes": {"dualformer": changes}}


def _loss(**changes: Any) -> dict[str, Any]:
    return {"changes": {"alignment": changes}}


LEAK = "Teff, log g, Prot, [Fe/H], R, RUWE: leaks what tasks ask"
TOGETHER = "InfoNCE of halves that saw each other"
WITHIN = "covariance loss 0.5 within each modality"
BOTH = "both, beside DESA's own terms"

ABLATIONS: tuple[tuple[str, str, str, dict[str, Any]], ...] = (
    ("cross_attention", "cross-attention only", "Fig. 4", _model(attention="cross")),
    ("self_attention", "self-attention only", "Fig. 4", _model(attention="self")),
    ("no_transpose", "A without transpose", "p_2 = A z_2", _model(transpose=False)),
    ("covariance", "covariance loss 0.5", "Fig. 4", _loss(covariance=0.5)),
    ("covariance_own", WITHIN, "as the published code", _loss(covariance=0.5, covariance_cross=False)),
    ("duality", "duality loss 0.5", "Fig. 4", _loss(duality=0.5)),
    ("covariance_duality", "covariance and duality losses", BOTH, _loss(covariance=0.5, duality=0.5)),
    ("joint_schur", "sum, Schur vectors of A", "eq. 6 with a real basis", _model(joint="schur")),
    ("joint_eigen", "sum, eigenvectors of A", "eq. 6 as published", _model(joint="published")),
    ("joint_sum", "sum, no projection", "z_1 + z_2", _model(joint="sum")),
    ("prior_photometric", "prior: photometric", "BP-RP, M_G, RUWE appended", _model(prior="photometric")),
    ("prior_published", "prior: published (labels)", LEAK, _model(prior="published")),
    ("scalar_tokens", "published tokens", "each feature a scalar token", _model(tokens="published")),
    ("feature_tokens", "a token a feature", "own direction a feature", _model(tokens="per_feature")),
    ("mean_pooling", "mean of tokens", "no learned queries", _model(pooling="mean")),
    ("no_skip", "no skip", "", _model(skip=False)),
    ("no_standardisation", "no standardisation", "", _model(standardise=False)),
    ("no_variance", "no variance term", "", _loss(variance=0.0)),
    ("no_contrastive", "no contrastive term", "", _loss(contrastive=0.0)),
    ("no_reconstruction", "no reconstruction", "", _loss(reconstruction=0.0)),
    ("no_modality_dropout", "no modality dropout", "", _loss(modality_dropout=0.0)),
    (
        "contrastive_together",
        TOGETHER,
        "cross-attention gives the pairs away",
        _loss(contrastive_alone=False),
    ),
    ("head_p", "heads read p", "as published, in place of z", {"head": "p"}),
    ("live_features", "live features", "random crops at each step, encoders run along", {"live": True}),
)
"""Name, title, text, and what is changed."""

for order, (name, title, text, changed) in enumerate(ABLATIONS, 100):
    CANDIDATES.add(Desa(name, title, text, order, group="ablation", base=DESA, **changed))
