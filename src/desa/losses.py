"""Losses: pure functions of tensors. Missing labels (NaN) count nothing."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def pinball(
    predicted: Tensor, target: Tensor, quantiles: Sequence[float], weight: Tensor | None = None
) -> Tensor:
    """Quantile loss (Koenker & Bassett 1978), mean over the labels present and the quantiles.

    Parameters
    ----------
    predicted
        (B, K, Q).
    target
        (B, K); NaN where missing.
    quantiles
        The Q levels.
    weight
        (B,) weight of each star, or None.

    Returns
    -------
    Tensor
        Scalar; 0 (with zero gradient) where no label is present.
    """
    known = torch.isfinite(target)
    level = torch.as_tensor(list(quantiles), dtype=predicted.dtype, device=predicted.device)
    error = torch.where(known, target, torch.zeros_like(target))[..., None] - predicted
    loss = torch.maximum(level * error, (level - 1) * error).mean(-1)
    share = known.to(predicted.dtype) if weight is None else known * weight[:, None].to(predicted.dtype)
    return (torch.where(known, loss, torch.zeros_like(loss)) * share).sum() / share.sum().clamp_min(1e-12)


def negative_cosine(prediction: Tensor, target: Tensor) -> Tensor:
    """Mean of -cos(prediction, target), (B, D) each; no gradient flows into the target."""
    return -F.cosine_similarity(prediction, target.detach(), dim=-1).mean()


def simsiam(p1: Tensor, z1: Tensor, p2: Tensor, z2: Tensor) -> Tensor:
    """Symmetric SimSiam loss (Chen & He 2020): p of one view predicts z of the other."""
    return 0.5 * (negative_cosine(p1, z2) + negative_cosine(p2, z1))


def masked_reconstruction(
    filled: Tensor, pixels: Tensor, masked: Tensor, weights: Tensor | None = None
) -> Tensor:
    """Mean squared error over the masked pixels, weighted.

    Parameters
    ----------
    filled, pixels
        (B, P).
    masked
        (B, P) True where the encoder did not see the pixel.
    weights
        (B, P), 0 where the pixel is bad; None counts all alike.
    """
    share = masked.to(filled.dtype) if weights is None else masked * weights
    return (share * (filled - pixels) ** 2).sum() / share.sum().clamp_min(1e-12)


def hybrid(self_supervised: Tensor, supervised: Tensor, share: float) -> Tensor:
    """(1 - share) L_ssl + share L_supervised."""
    return (1 - share) * self_supervised + share * supervised


def _off_diagonal(a: Tensor, b: Tensor) -> Tensor:
    """Sum of the squared off-diagonal entries of the covariance of a with b, over d."""
    size, width = a.shape
    covariance = (a - a.mean(0)).T @ (b - b.mean(0)) / (size - 1)
    squares = covariance**2
    return (squares.sum() - squares.diagonal().sum()) / width


def covariance(p1: Tensor, p2: Tensor, cross: bool = True) -> Tensor:
    """Covariance loss (eqs. 2-3): off-diagonal squared covariance over d within p1, within p2, and between.

    Parameters
    ----------
    p1, p2
        (B, d) with B > 1.
    cross
        Count the term between p1 and p2, which the published code drops.
    """
    total = _off_diagonal(p1, p1) + _off_diagonal(p2, p2)
    return total + _off_diagonal(p1, p2) if cross else total


def duality(z1: Tensor, p1: Tensor, z2: Tensor, p2: Tensor) -> Tensor:
    """Duality loss (eq. 4): mean squared difference of <z1, p1> and <z2, p2>, star by star."""
    return F.mse_loss((z1 * p1).sum(-1), (z2 * p2).sum(-1))


def variance_hinge(p: Tensor, target: float = 1.0, epsilon: float = 1e-4) -> Tensor:
    """VICReg's hinge (Bardes et al. 2021): mean of max(0, target - standard deviation) over dimensions."""
    return F.relu(target - torch.sqrt(p.var(0) + epsilon)).mean()


def info_nce(a: Tensor, b: Tensor, temperature: float) -> Tensor:
    """Symmetric InfoNCE (Radford et al. 2021): row i of a belongs to row i of b, all others are negatives."""
    similarity = F.normalize(a, dim=-1) @ F.normalize(b, dim=-1).T / temperature
    own = torch.arange(len(a), device=a.device)
    return 0.5 * (F.cross_entropy(similarity, own) + F.cross_entropy(similarity.T, own))


def queue_nce(query: Tensor, key: Tensor, queue: Tensor, temperature: float) -> Tensor:
    """InfoNCE against a queue (MoCo, He et al. 2020): row i of `key` belongs to row i of `query`.

    Parameters
    ----------
    query, key
        (B, d); no gradient flows into the key.
    queue
        (Q, d) keys of earlier batches, the negatives.
    temperature
        Of the softmax.
    """
    q, k = F.normalize(query, dim=-1), F.normalize(key.detach(), dim=-1)
    own = (q * k).sum(-1, keepdim=True)
    logits = torch.cat([own, q @ F.normalize(queue, dim=-1).T], dim=1) / temperature
    return F.cross_entropy(logits, torch.zeros(len(q), dtype=torch.long, device=q.device))


def vicreg(
    a: Tensor, b: Tensor, invariance: float = 25.0, variance: float = 25.0, decorrelation: float = 0.1
) -> Tensor:
    """VICReg (Bardes et al. 2021) with the weights of the paper's baseline.

    Parameters
    ----------
    a, b
        (B, d) of the two modalities.
    """
    spread = 0.5 * (variance_hinge(a) + variance_hinge(b))
    cov = _off_diagonal(a, a) + _off_diagonal(b, b)
    return invariance * F.mse_loss(a, b) + variance * spread + decorrelation * cov
